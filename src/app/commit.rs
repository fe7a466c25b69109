//! Which commit of the user's repository a run was about: git itself is asked, and nothing is known without it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::domain::fingerprint::digest;

/// Git answers at once; on a network drive, or with a lock in its way, it may not.
const PATIENCE: Duration = Duration::from_secs(3);

/// The commit that is checked out, and a digest of what differs from it; none when nothing does, or nobody can tell.
pub async fn of(folder: &Path) -> (Option<String>, Option<String>) {
    let commit = git(folder, &["rev-parse", "--verify", "HEAD"]).await;
    let commit = commit.and_then(|out| String::from_utf8(out).ok()).map(|id| id.trim().to_owned());
    if commit.is_none() {
        return (None, None);
    }
    // Contents of tracked files and names of new ones; rampup's own files change with each run.
    let changes = git(folder, &["diff", "HEAD", "--no-ext-diff", "--", ".", ":(exclude).rampup"]).await;
    let new = git(folder, &["ls-files", "--others", "--exclude-standard", "--", ".", ":(exclude).rampup"]).await;
    let dirty = changes.zip(new).map(|(changes, new)| [changes, new].concat()).filter(|all| !all.is_empty());
    (commit, dirty.map(|all| digest(&all)))
}

async fn git(folder: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let mut command = tokio::process::Command::new("git");
    command
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let done = tokio::time::timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    done.status.success().then_some(done.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_commit_and_what_differs_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        assert_eq!(of(at).await, (None, None), "no repository");
        let run = async |arguments: &[&str]| {
            let who = ["-c", "user.name=a", "-c", "user.email=a@b"];
            git(at, &[&who, arguments].concat()).await.unwrap_or_else(|| panic!("git {arguments:?}"))
        };
        let write = |name: &str, text: &str| crate::store::atomic::write(&at.join(name), text.as_bytes()).unwrap();
        run(&["init", "--quiet"]).await;
        assert_eq!(of(at).await, (None, None), "no commit yet");
        write("a", "1");
        run(&["add", "a"]).await;
        run(&["commit", "--quiet", "-m", "a"]).await;
        let (commit, clean) = of(at).await;
        assert_eq!((commit.as_ref().map(String::len), clean), (Some(40), None));
        std::fs::create_dir(at.join(".rampup")).unwrap();
        write(".rampup/progress.toml", "x");
        assert_eq!(of(at).await, (commit.clone(), None), "our own files are not the user's changes");
        write("a", "2");
        let (_, changed) = of(at).await;
        write("b", "new");
        let (_, more) = of(at).await;
        assert!(changed.is_some() && more.is_some() && changed != more);
    }
}
