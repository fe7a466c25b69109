//! The practice stack itself, on the real servers: starting, adopting, mending, remedies and orphans.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rampup::lab::{Lab, Progress, Service};

/// Set for the copy of this test binary that plays a rampup that is killed.
const VICTIM: &str = "RAMPUP_TEST_VICTIM";

/// Lines on the test's own output: shown when it fails.
pub fn telling() -> Progress {
    let begun = Instant::now();
    Progress::new(move |line| eprintln!("{:7.2} {line}", begun.elapsed().as_secs_f32()))
}

/// What `run/services.json` says: service → pid.
fn pids(dir: &Path) -> BTreeMap<String, u32> {
    let text = std::fs::read(dir.join("run/services.json")).unwrap_or_default();
    let list: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    let services = list.as_object().cloned().unwrap_or_default();
    services
        .iter()
        .filter_map(|(name, record)| Some((name.clone(), record["identity"]["pid"].as_u64()?.try_into().ok()?)))
        .collect()
}

/// Processes (zombies have neither) whose command line, environment or working folder names the lab's folder.
pub fn processes_of(dir: &Path) -> Vec<String> {
    let name = dir.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        let text = |file: &str| {
            let bytes = std::fs::read(entry.path().join(file)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let cwd = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let texts = [text("cmdline"), text("environ"), cwd.to_string_lossy().into_owned()];
        if pid != std::process::id() && texts.iter().any(|text| text.contains(&name)) {
            found.push(format!("{pid} {}", texts[0]));
        }
    }
    found
}

/// Which services answer, and which are asked for.
async fn answering(lab: &Lab) -> (Vec<Service>, Vec<Service>) {
    let status = lab.status().await.unwrap();
    let answering = status.iter().filter(|s| s.refusal.is_none()).map(|s| s.service).collect();
    (answering, status.iter().filter(|s| s.wanted).map(|s| s.service).collect())
}

fn variable(lab: &Lab, name: &str) -> String {
    lab.environment().into_iter().find(|(n, _)| *n == name).map(|(_, value)| value.expose().to_owned()).unwrap()
}

fn port(lab: &Lab, name: &str) -> String {
    format!(":{}/", lab.ports()[name])
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
}

/// The child of `a_killed_rampup…`: starts the stack until it is killed.
#[tokio::test]
#[ignore = "only as a child process of the test below"]
async fn victim() {
    let Some(dir) = std::env::var_os(VICTIM) else { return };
    Lab::open(&PathBuf::from(dir)).unwrap().up(&Progress::silent()).await.unwrap();
    std::future::pending::<()>().await;
}

/// The stack is installed, started, hurt, climbed and taken down; it ends up naive and running.
pub async fn story(dir: &Path) {
    let progress = telling();
    let mut lab = Lab::open(dir).unwrap();
    assert!(lab.status().await.unwrap().is_empty(), "a lab that never started claims nothing");
    let refused = lab.fix(1, &progress).await.unwrap_err().to_string();
    assert!(refused.contains("lab up"), "{refused}");
    lab.install(&progress).await.unwrap();
    assert!(lab.needs().unwrap().is_empty());

    // Naive: seven services answer, and those of later steps do not.
    lab.up(&progress).await.unwrap();
    let (answers, wanted) = answering(&lab).await;
    assert_eq!(answers, wanted);
    assert!(!wanted.contains(&Service::Pgbouncer) && !wanted.contains(&Service::Worker));

    // A second start adopts every process.
    let before = pids(dir);
    Lab::open(dir).unwrap().up(&progress).await.unwrap();
    assert_eq!(pids(dir), before);

    // A killed service is seen by asking, and mended; the others stay as they are. (gunicorn's workers outlive their
    // master for a moment and answer: those leftovers must not keep the port from the new one.)
    kill(before["redis_cache"]);
    kill(before["web"]);
    let (answers, _) = answering(&lab).await;
    assert!(!answers.contains(&Service::RedisCache), "{answers:?}");
    assert!(answers.contains(&Service::Postgres) && answers.contains(&Service::S3), "{answers:?}");
    lab.up(&progress).await.unwrap();
    assert_eq!(answering(&lab).await.0, wanted);
    let after = pids(dir);
    assert!(["postgres", "s3", "sink", "redis_broker"].iter().all(|name| after[*name] == before[*name]));
    assert_ne!(after["web"], before["web"]);

    // One step out of order, and back.
    let direct = variable(&lab, "DATABASE_URL");
    lab.fix(5, &progress).await.unwrap();
    assert!(answering(&lab).await.0.contains(&Service::Pgbouncer));
    assert_eq!(variable(&lab, "DATABASE_URL"), direct.replace(&port(&lab, "postgres"), &port(&lab, "pgbouncer")));
    lab.unfix(5, &progress).await.unwrap();
    assert!(!answering(&lab).await.0.contains(&Service::Pgbouncer));
    assert_eq!(variable(&lab, "DATABASE_URL"), direct);

    // All the way up, and naive again; every remedy can be taken back.
    lab.climbed(10, &progress).await.unwrap();
    // The stand-ins for the clouds run only when they are asked for.
    let all = Service::ALL.into_iter().filter(|service| *service != Service::Clouds);
    assert_eq!(answering(&lab).await.0, all.collect::<Vec<_>>());
    // A fault that is set up at one of them brings them along, and goes with them.
    lab.broken_by(BTreeSet::from(["ssl-flexible".to_owned()]), &progress).await.unwrap();
    assert!(lab.clouds() && answering(&lab).await.0.contains(&Service::Clouds));
    lab.broken_by(BTreeSet::new(), &progress).await.unwrap();
    assert!(!lab.clouds() && !answering(&lab).await.0.contains(&Service::Clouds));
    lab.climbed(0, &progress).await.unwrap();
    assert_eq!(answering(&lab).await.0, wanted);

    a_killed_rampup_leaves_no_orphan_behind_the_next_down(dir, &mut lab, &progress).await;

    // And what was prepared survives all that.
    let ports = lab.ports().clone();
    lab.up(&progress).await.unwrap();
    assert_eq!(answering(&lab).await.0, wanted);
    assert_eq!(lab.ports(), &ports, "free ports are kept");
}

/// The hard case: killed in the middle of starting, and its list of processes is lost with it.
async fn a_killed_rampup_leaves_no_orphan_behind_the_next_down(dir: &Path, lab: &mut Lab, progress: &Progress) {
    lab.down(progress).await.unwrap();
    assert_eq!(processes_of(dir), Vec::<String>::new());
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lab::victim", "--ignored"])
        .env(VICTIM, dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let limit = Instant::now() + Duration::from_secs(60);
    while !["postgres", "redis_broker", "s3", "sink"].iter().all(|name| pids(dir).contains_key(*name)) {
        assert!(Instant::now() < limit, "the victim started nothing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(processes_of(dir).len() >= 4, "its services outlive it");
    std::fs::remove_file(dir.join("run/services.json")).unwrap();
    lab.down(progress).await.unwrap();
    assert_eq!(processes_of(dir), Vec::<String>::new());
}
