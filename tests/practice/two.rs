//! Two engineers and one target: whoever comes second is told of the first, and drives nothing.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rampup::store::{Store, atomic};

use super::{RAMPUP, rampup};

pub fn story(lab: &str) {
    assert_eq!(rampup(&["lab", "climbed", "10", "--lab", lab]).0, 0);
    let (shop, other) = (Path::new(lab).join("project"), tempfile::tempdir().unwrap());
    let read = |name: &str| std::fs::read(shop.join(name)).unwrap();
    atomic::write(&other.path().join("rampup.toml"), &read("rampup.toml")).unwrap();
    atomic::write_private(&other.path().join(".env"), &read(".env")).unwrap();
    // Of the first step's checks one that other people's traffic does not disturb.
    let playbook = include_str!("../../playbooks/01-baseline.md");
    let (from, to) = (playbook.find("checks = [").unwrap(), playbook.find("gate = ").unwrap());
    let own = format!("{}checks = [{{ check = \"health.answers\" }}]\n{}", &playbook[..from], &playbook[to..]);
    std::fs::create_dir(other.path().join("playbooks")).unwrap();
    atomic::write(&other.path().join("playbooks/01-baseline.md"), own.as_bytes()).unwrap();
    let second = |verb: &str| rampup(&["-C", other.path().to_str().unwrap(), verb, "1", "--quick"]);

    let mut first = Command::new(RAMPUP);
    first.arg("-C").arg(&shop).args(["ramp", "1", "--quick", "--json"]);
    let mut first = first.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(first.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("\"event\":\"ramp_phase\"")), "the first one drives");
    let (code, out) = second("run");
    assert!(code == 4 && out.contains("another rampup is measuring this target (run 2"), "{code}: {out}");
    // What was not measured is no judgement, and takes none back.
    assert!(Store::read(other.path()).unwrap().0.steps.is_empty());
    first.kill().unwrap();
    first.wait().unwrap();
    // However the first one ended, the second's turn has come.
    let (_, out) = second("ramp");
    assert!(!out.contains("another rampup") && !out.contains("could not be asked"), "{out}");
}
