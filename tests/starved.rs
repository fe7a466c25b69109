//! The real binary with too little processor: stopped and let go again some twelve times a second while a hundred users
//! of its hurry against a fast site. Whatever was promised, such a ramp is invalid: it may neither pass nor fail.
#![expect(clippy::unwrap_used, reason = "a test, where a panic is the finding")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rampup::store::atomic;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The share of the time that the process may run: one fifth.
const STOPPED: Duration = Duration::from_millis(64);
const RUNNING: Duration = Duration::from_millis(16);
/// Far more than the ramp takes.
const LIMIT: Duration = Duration::from_secs(240);

/// Answers every request at once until the test ends.
fn site() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                let mut answer = stream.try_clone().unwrap();
                for line in BufReader::new(stream).lines() {
                    let Ok(line) = line else { return };
                    // The empty line ends a request.
                    if line.is_empty() && answer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                        return;
                    }
                }
            });
        }
    });
    format!("http://{address}")
}

/// Lets the process run for a fifth of the time until it ends.
fn starve(child: &mut Child) -> ExitStatus {
    let pid = Pid::from_child(child);
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if began.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("it did not end within {LIMIT:?}");
        }
        kill_process(pid, Signal::STOP).unwrap();
        std::thread::sleep(STOPPED);
        kill_process(pid, Signal::CONT).unwrap();
        std::thread::sleep(RUNNING);
    }
}

fn ramp_promising(p95_ms: u32) {
    let folder = tempfile::tempdir().unwrap();
    let settings = format!(
        r#"
schema = 1
[site]
name = "fast"
url = "{}"
[slo]
p95_ms = {p95_ms}
error_percent = 50
[load]
settle_limit = "5s"
[steps.1]
users = 100
think = "100ms"
[steps.6]
endpoints = []
[[flow]]
name = "home"
weight = 1
[[flow.step]]
get = "/"
"#,
        site()
    );
    atomic::write(&folder.path().join("rampup.toml"), settings.as_bytes()).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_rampup"))
        .arg("-C")
        .arg(folder.path())
        .args(["ramp", "1", "--quick", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).map(|_| text)
    });
    let status = starve(&mut child);
    let out = reader.join().unwrap().unwrap();
    let mut events = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ramp = events.find(|event| event["event"] == "ramp_finished").unwrap_or_else(|| panic!("{out}"));
    let verdict = &ramp["verdict"];
    assert_eq!((&verdict["outcome"], status.code()), (&Value::from("invalid"), Some(4)), "{verdict}");
    let sentence = verdict["sentence"].as_str().unwrap();
    assert!(sentence.contains("the load generator itself was unwell"), "{sentence}");
    assert!(sentence.contains("measure from a machine with more free CPU"), "{sentence}");
}

/// Its own waiting is more than that: taken at its word it would fail the site.
#[test]
fn a_starved_generator_fails_no_site() {
    ramp_promising(20);
}

/// Taken at its word it would pass the site, with a load that it could not make.
#[test]
fn a_starved_generator_passes_no_site() {
    ramp_promising(60_000);
}
