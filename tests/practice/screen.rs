//! The screen over a real step: keys to checks, to load, to a verdict, to progress on disk.

use std::path::Path;
use std::time::Duration;

use portable_pty::CommandBuilder;
use rampup::domain::ids::StepId;
use rampup::domain::progress::StepState;
use rampup::store::{Store, atomic};

use super::tty::Tty;
use super::{RAMPUP, rampup};

/// Longer than checks, climb, settling and the longest hold together.
const LIMIT: Duration = Duration::from_secs(300);
/// A promise and a load that are about the screen: a minute, whatever the machine does.
const LOAD: &str = r#"
[slo]
p95_ms = 5000
error_percent = 5

[load]
think = "1s"

[steps.1]
users = 5
hold = "20s"
think = "1s"

[steps.6]
endpoints = []

[[flow]]
name = "look"
weight = 1

[[flow.step]]
name = "home"
get = "/"
"#;

pub fn story(lab: &str) {
    assert_eq!(rampup(&["lab", "climbed", "10", "--lab", lab]).0, 0);
    let (shop, folder) = (Path::new(lab).join("project"), tempfile::tempdir().unwrap());
    let settings = std::fs::read_to_string(shop.join("rampup.toml")).unwrap();
    let site = settings[..settings.find("[slo]").unwrap()].replace("slow_endpoints = [\"checkout\"]\n", "");
    atomic::write(&folder.path().join("rampup.toml"), (site + LOAD).as_bytes()).unwrap();
    atomic::write_private(&folder.path().join(".env"), &std::fs::read(shop.join(".env")).unwrap()).unwrap();

    let mut command = CommandBuilder::new(RAMPUP);
    command.args(["--theme", "dark", "-C"]);
    command.arg(folder.path());
    let mut tty = Tty::spawn(command, LIMIT);
    tty.wait_for("Do this next");
    tty.press("R");
    tty.wait_for("Run step 1");
    tty.press("y");
    tty.wait_for("Latency, ms");
    tty.press("m");
    tty.wait_for("marked at");
    tty.wait_for("PROVEN");
    tty.press("H");
    tty.wait_for("1 measured");
    tty.press("\x03");
    assert_eq!(tty.end().exit_code(), 0);
    tty.assert_given_back();
    let (progress, _) = Store::read(folder.path()).unwrap();
    assert_eq!(progress.steps[&StepId::FIRST].state, StepState::Proven);
}
