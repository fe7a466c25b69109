//! The practice stack and a project on it, all by the rampup binary as a user has it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use rampup::domain::event::{Event, EventKind};
use rampup::domain::ramp::RampPhase;
use rampup::store::atomic;

use crate::Drive;
use crate::edge;
use crate::seen::Seen;

/// The step whose gate is turned into the drive.
const STEP: &str = "1";

/// A running stack; ends with it.
pub struct Stack {
    lab: PathBuf,
    project: PathBuf,
    /// Removed at the end: the project, and the stack unless somebody wants to keep it.
    _folders: Vec<tempfile::TempDir>,
}

impl Stack {
    /// Brings the stack into the state after a step, and writes a project for the drive.
    pub fn up(lab: Option<&Path>, climbed: u8, drive: &Drive) -> anyhow::Result<Self> {
        let mut folders = vec![tempfile::tempdir()?];
        let project = folders[0].path().to_owned();
        let lab = if let Some(lab) = lab {
            std::path::absolute(lab)?
        } else {
            let folder = tempfile::tempdir()?;
            // The stack's services run as another account.
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
            let lab = folder.path().join("lab");
            folders.push(folder);
            lab
        };
        let stack = Self { lab, project, _folders: folders };
        let place = stack.lab.display().to_string();
        run(rampup().args(["lab", "climbed", &climbed.to_string(), "--yes", "--lab", &place]))?;
        stack.write(drive)?;
        Ok(stack)
    }

    /// The shop's own settings with the drive's pause, and with a promise that decides nothing: only what was measured
    /// counts here, and a hold that is undecided would be made longer.
    fn write(&self, drive: &Drive) -> anyhow::Result<()> {
        let shop = self.lab.join("project");
        let mut text = std::fs::read_to_string(shop.join("rampup.toml"))?;
        for (usual, here) in [
            (
                "think = \"5s-10s\"",
                format!(
                    "think = \"{}\"\nclimb = \"{}s\"\nsettle_limit = \"{}s\"",
                    drive.think, drive.climb, drive.settle
                ),
            ),
            ("p95_ms = 300", "p95_ms = 5000".into()),
            ("error_percent = 0.5", "error_percent = 50".into()),
        ] {
            anyhow::ensure!(text.contains(usual), "the practice shop's rampup.toml has no {usual:?} any more");
            text = text.replace(usual, &here);
        }
        let Drive { users, think, hold, .. } = drive;
        text += &format!("\n[steps.{STEP}]\nusers = {users}\nhold = \"{hold}s\"\nthink = \"{think}\"\n");
        atomic::write(&self.project.join("rampup.toml"), text.as_bytes())?;
        atomic::write_private(&self.project.join(".env"), &std::fs::read(shop.join(".env"))?)?;
        Ok(())
    }

    /// The stack's folder.
    pub fn lab(&self) -> &Path {
        &self.lab
    }

    /// The project.
    pub fn project(&self) -> &Path {
        &self.project
    }

    /// The flows as a k6 script.
    pub fn script(&self) -> anyhow::Result<Vec<u8>> {
        run(rampup().arg("-C").arg(&self.project).args(["flow", "export", "k6"]))
    }

    /// A ramp by rampup, read from the log that it leaves.
    pub fn ramp(&self) -> anyhow::Result<Seen> {
        let said = run(rampup().arg("-C").arg(&self.project).args(["ramp", STEP, "--json"]));
        let runs = self.project.join(".rampup/runs");
        let logs = std::fs::read_dir(&runs)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
        // Names of runs begin with their time.
        let log =
            logs.into_iter().filter(|path| path.extension().is_some_and(|e| e == "jsonl")).max().context("no log")?;
        let text = std::fs::read_to_string(log)?;
        let (mut hold, mut measured) = (None, None);
        for Event { at, kind, .. } in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
            match kind {
                EventKind::RampPhase { phase: RampPhase::Hold, .. } => hold = Some(at),
                EventKind::RampFinished { measurement, .. } => measured = Some(*measurement),
                _ => {}
            }
        }
        // A ramp whose verdict is not `pass` has measured all the same.
        match measured.zip(hold) {
            Some((measurement, hold)) => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some minutes")]
                let edge = edge::seen(&self.lab, hold, measurement.hold_seconds as u32)?;
                Ok(Seen::new(measurement, None).beside(edge))
            }
            None => Err(said.err().unwrap_or_else(|| anyhow::anyhow!("the ramp measured nothing"))),
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Err(why) = run(rampup().args(["lab", "down", "--lab"]).arg(&self.lab)) {
            println!("the practice stack did not stop: {why:#}");
        }
    }
}

fn rampup() -> Command {
    Command::new(env!("CARGO_BIN_EXE_rampup"))
}

/// Runs to the end; what it printed.
pub fn run(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output()?;
    anyhow::ensure!(
        output.status.success(),
        "{command:?} ended with {}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}
