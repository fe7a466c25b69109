//! Which commit of the user's repository a run was about: git itself is asked, and nothing is known without it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use crate::domain::fingerprint::digest;

/// Git answers at once; on a network drive, or with a lock in its way, it may not.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of changes that are read; what comes after no longer tells two states apart.
const READ: u64 = 16 << 20;

/// The commit that is checked out, and a digest of what differs from it anywhere in the repository; none when nothing does.
/// Neither when nobody can tell.
pub async fn of(folder: &Path) -> (Option<String>, Option<String>) {
    tokio::time::timeout(PATIENCE, ask(folder)).await.ok().flatten().unwrap_or_default()
}

async fn ask(folder: &Path) -> Option<(Option<String>, Option<String>)> {
    let commit = String::from_utf8(git(folder, &["rev-parse", "--verify", "HEAD"]).await?).ok()?;
    // Contents of tracked files and names of new ones; rampup's own files change with each run.
    const THEIRS: [&str; 3] = ["--", ":/", ":(top,exclude,glob)**/.rampup/**"];
    let changes = git(folder, &[&["diff", "HEAD", "--no-ext-diff", "--no-textconv"][..], &THEIRS].concat()).await?;
    let new =
        git(folder, &[&["ls-files", "--others", "--exclude-standard", "--full-name"][..], &THEIRS].concat()).await?;
    let all = [changes, new].concat();
    Some((Some(commit.trim().to_owned()), (!all.is_empty()).then(|| digest(&all))))
}

async fn git(folder: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let mut command = tokio::process::Command::new("git");
    command.arg("-C").arg(folder).args(arguments).env("GIT_OPTIONAL_LOCKS", "0");
    // A hook that calls rampup has set these for its own repository.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let mut running =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().ok()?;
    let mut said = Vec::new();
    running.stdout.take()?.take(READ).read_to_end(&mut said).await.ok()?;
    // One that has more to say than is read is cut off, and has told enough.
    (said.len() as u64 == READ || running.wait().await.ok()?.success()).then_some(said)
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
