//! Runs a command to its end: with a limit, its output to a log and to whoever listens. Knows no particular command.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use super::account::Account;
use super::error::{LabError, Result, file};
use super::progress::Progress;

/// Lines of output that an error message carries.
const TAIL: usize = 12;

/// A command that is expected to end by itself.
pub(crate) struct Task {
    /// What it does, as a person would say it.
    pub what: String,
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// Its whole environment, or what is added to ours.
    pub env: BTreeMap<String, String>,
    /// True for package managers, which need their user's proxies and certificates.
    pub inherits: bool,
    pub folder: PathBuf,
    pub account: Option<Account>,
    /// How long it may take before it is killed.
    pub limit: Duration,
}

impl Task {
    /// Runs it; every line of output goes to `progress`. On failure the error carries the last lines.
    pub async fn run(&self, progress: &Progress) -> Result<()> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.arguments).current_dir(&self.folder).process_group(0);
        if !self.inherits {
            command.env_clear();
        }
        command.envs(&self.env);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        if let Some(account) = &self.account {
            command.uid(account.uid).gid(account.gid);
        }
        let mut child = command.spawn().map_err(file("start", &self.program))?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let tail = std::sync::Mutex::new(VecDeque::new());
        let work = async {
            tokio::join!(follow(out, &tail, progress), follow(err, &tail, progress));
            child.wait().await
        };
        let status = match tokio::time::timeout(self.limit, work).await {
            Ok(Ok(status)) if status.success() => return Ok(()),
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            // Dropping the child kills it.
            Err(_) => format!("still running after {} s", self.limit.as_secs()),
        };
        let tail = tail.into_inner().unwrap_or_default().into_iter().collect::<Vec<String>>().join(" | ");
        Err(LabError::Command { what: self.what.clone(), status, tail })
    }
}

async fn follow(
    stream: Option<impl AsyncRead + Unpin>,
    tail: &std::sync::Mutex<VecDeque<String>>,
    progress: &Progress,
) {
    let Some(stream) = stream else { return };
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    // An unreadable stream ends like a closed one: the exit status decides.
    while reader.read_until(b'\n', &mut line).await.is_ok_and(|length| length > 0) {
        let text = crate::domain::text::tame(String::from_utf8_lossy(&line).trim_end(), 400);
        line.clear();
        if text.is_empty() {
            continue;
        }
        progress.say(format!("  {text}"));
        if let Ok(mut tail) = tail.lock() {
            tail.push_back(text);
            if tail.len() > TAIL {
                tail.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Task {
        Task {
            what: "a test".into(),
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            env: BTreeMap::new(),
            inherits: false,
            folder: "/".into(),
            account: None,
            limit,
        }
    }

    #[tokio::test]
    async fn a_failure_says_what_was_said_last() {
        let error = shell("echo begun; echo broken >&2; exit 3", Duration::from_secs(20))
            .run(&Progress::silent())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("broken") && error.contains("exit status: 3"), "{error}");
    }

    #[tokio::test]
    async fn a_command_that_never_ends_is_ended() {
        let error = shell("echo asleep; exec sleep 60", Duration::from_millis(300)).run(&Progress::silent()).await;
        assert!(error.unwrap_err().to_string().contains("asleep"));
    }
}
