//! The real binary from its arguments to its exit code and the files it leaves, against a small site on loopback.
#![expect(clippy::unwrap_used, reason = "a test, where a panic is the finding")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use clap::Parser;
use clap::error::ErrorKind;
use rampup::domain::event::{Event, EventKind, Feed};
use rampup::domain::fingerprint::Fingerprint;
use rampup::headless::{Json, Printer};
use rampup::store::Store;
use story::Ending;

mod evidence;
#[allow(dead_code, unused_imports, reason = "other tests use more of the story")]
#[path = "../story/mod.rs"]
mod story;

fn rampup(project: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rampup"));
    command.arg("-C").arg(project).args(arguments).env_remove("DATABASE_URL").stdin(Stdio::null());
    command
}

fn output(project: &Path, arguments: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = rampup(project, arguments).output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code().unwrap_or(-1), text)
}

/// Answers every request with 200 and a few bytes until the test ends.
fn site() -> String {
    serving(|_| "200 OK\r\nContent-Length: 2\r\nContent-Type: text/html\r\n\r\nok")
}

/// Answers each request by its address.
fn serving(answer: impl Fn(&str) -> &'static str + Send + Sync + 'static) -> String {
    let answer = Arc::new(answer);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut stream, mut line, mut asked) = (stream, String::new(), String::new());
                while reader.read_line(&mut line).is_ok_and(|n| n > 0) {
                    if asked.is_empty() {
                        asked = line.split(' ').nth(1).unwrap_or_default().to_owned();
                    }
                    if line == "\r\n" {
                        let answer = format!("HTTP/1.1 {}", answer(&std::mem::take(&mut asked)));
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                    line.clear();
                }
            });
        }
    });
    format!("http://{address}")
}

fn project(url: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = output(folder.path(), &["init", "--url", url, "--name", "test"]);
    assert_eq!(code, 0, "{text}");
    folder
}

/// A project with the story's ramp in as many runs.
fn told(endings: &[Ending]) -> tempfile::TempDir {
    let folder = project("http://127.0.0.1:9");
    for (number, ending) in endings.iter().enumerate() {
        let run = format!("2026010{number}T120000Z-000{number}");
        let mut store = Store::open(folder.path(), &run.as_str().into()).unwrap();
        let kept = story::recorded(*ending).into_iter().filter(|event| !event.kind.is_droppable());
        let fingerprint = Fingerprint {
            product: "0.1.0".to_owned(),
            commit: Some(format!("{number:040}")),
            dirty: None,
            settings: format!("s{number}"),
            deployment: Some(format!("deployment-{number}")),
            rules: [("http_ratelimit".to_owned(), format!("{number}"))].into(),
            settings_by_name: [("slo.p95_ms".to_owned(), format!("{number}"))].into(),
        };
        let (site, target) = ("shop".to_owned(), "http://127.0.0.1:8080".to_owned());
        let began = EventKind::RunStarted { fingerprint, site, target, quick: false };
        let began = Event { v: 1, seq: 0, at: story::dawn(), run: run.as_str().into(), kind: began };
        for (seq, event) in (0..).zip(std::iter::once(began).chain(kept)) {
            store.record(&Event { seq, run: run.as_str().into(), ..event }).unwrap();
        }
    }
    folder
}

/// A project's own first step, with these checks.
fn first_asks(project: &Path, checks: &str) {
    let playbook = include_str!("../../playbooks/01-baseline.md");
    let (from, to) = (playbook.find("checks = [").unwrap(), playbook.find("gate = ").unwrap());
    let own = format!("{}checks = {checks}\n{}", &playbook[..from], &playbook[to..]);
    let path = project.join("playbooks/01-baseline.md");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    rampup::store::atomic::write(&path, own.as_bytes()).unwrap();
}

const HEALTH: &str = "[{ check = \"health.answers\" }]";

/// A site that has a health page and nothing else.
fn healthy_page(path: &str) -> &'static str {
    match path.split('?').next() == Some("/healthz") {
        true => "200 OK\r\nContent-Length: 11\r\nContent-Type: application/json\r\n\r\n{\"ok\":true}",
        false => "404 Not Found\r\nContent-Length: 0\r\n\r\n",
    }
}

#[test]
fn init_writes_settings_that_work_and_overwrites_nothing() {
    let folder = project("https://shop.example");
    let settings = std::fs::read_to_string(folder.path().join("rampup.toml")).unwrap();
    assert!(settings.contains("https://shop.example"));
    let (code, text) = output(folder.path(), &["init", "--url", "https://other.example"]);
    assert_eq!(code, 2, "{text}");
    assert_eq!(std::fs::read_to_string(folder.path().join("rampup.toml")).unwrap(), settings);
    let (code, text) = output(folder.path(), &["status"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("proven 0 of 1000 users") && text.contains("next: rampup run 1"), "{text}");
}

#[test]
fn plain_lines_ask_by_number_and_send_nothing_unless_yes_is_typed() {
    let folder = project("https://shop.example");
    let typed = |arguments: &[&str], accessible: &str, lines: &str| {
        let mut command = rampup(folder.path(), arguments);
        command.env("ACCESSIBLE", accessible).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        (status.code().unwrap_or(-1), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
    };
    let (code, text) = typed(&["--plain"], "0", "3\n1\nno\n5\n12\n5\n7\nmaybe\n6\n");
    assert_eq!(code, 0, "{text}");
    for said in [
        "Step 1, ",
        "Choose 1 to 6",
        "## ",
        "This sends load to https://shop.example/",
        "Nothing was sent.",
        "There is no step \"12\".",
        "Step 7, ",
        "\"maybe\" is none of the choices.",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!text.contains('\x1b'), "nothing moves a cursor: {text:?}");
    // A waiver is signed by its owner, and refused without a reason; when nobody types any more, it is over.
    let (code, text) = typed(&[], "1", "4\n\nann\n\n4\nno uploads here\nann\n\n");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("this needs a reason and an owner") && text.contains("by ann: no uploads here"), "{text}");
    assert!(text.contains("Step 2, "), "{text}");
}

#[test]
fn wrong_calls_and_wrong_settings_end_with_2_and_the_place() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["run"][..], &["status"], &["verify", "1"], &["run", "11"], &["run", "5-4"]] {
        let (code, text) = output(folder.path(), arguments);
        assert_eq!(code, 2, "{arguments:?}: {text}");
    }
    let settings = b"schema = 1\n[site]\nnmae = \"x\"\n";
    rampup::store::atomic::write(&folder.path().join("rampup.toml"), settings).unwrap();
    let (code, text) = output(folder.path(), &["status"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("rampup.toml:3"), "{text}");
}

#[test]
fn the_playbooks_that_travel_with_the_program_are_sound() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = output(folder.path(), &["playbook", "lint"]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn no_load_goes_to_a_host_that_is_not_proven_ours() {
    // TEST-NET-1 (RFC 5737): nobody is there, and nothing is sent.
    let folder = project("http://192.0.2.1");
    let (code, text) = output(folder.path(), &["ramp", "1", "--quick"]);
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("not driven"), "{text}");
}

#[test]
fn a_site_without_a_health_page_is_held_with_the_reason_and_stays_unproven() {
    let folder = project(&site());
    let (code, text) = output(folder.path(), &["run", "1", "--quick"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("HELD step 1") && text.contains("health.answers"), "{text}");
    let (progress, _) = Store::read(folder.path()).unwrap();
    assert_eq!(progress.steps.len(), 1);
    let (code, text) = output(folder.path(), &["run", "2", "--quick"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("step 2 is locked"), "{text}");
}

#[test]
fn json_is_one_event_a_line_in_order() {
    let folder = project(&site());
    let Output { stdout, .. } = rampup(folder.path(), &["verify", "1", "--json"]).output().unwrap();
    let events: Vec<serde_json::Value> =
        String::from_utf8(stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["event"], "run_started");
    assert!(events.iter().any(|e| e["event"] == "check_finished"));
    assert!(events.windows(2).all(|pair| pair[0]["seq"].as_u64() < pair[1]["seq"].as_u64()));
}

/// The table of docs/ci.md; what a signal ends has tests of its own.
#[test]
fn every_exit_code_is_shown_by_a_command() {
    let (healthy, nowhere, empty) = (project(&site()), project("http://192.0.2.1"), tempfile::tempdir().unwrap());
    let shut = tempfile::tempdir().unwrap();
    let refusing = serving(|_| "403 Forbidden\r\ncf-ray: 8f0c-FRA\r\nContent-Length: 2\r\n\r\nno");
    // A promise that a short hold can show.
    assert_eq!(output(shut.path(), &["init", "--yes", "--url", &refusing, "--errors", "5"]).0, 0);
    let answers = project(&serving(healthy_page));
    first_asks(answers.path(), HEALTH);
    let table = include_str!("../../docs/ci.md");
    for (folder, arguments, wanted) in [
        (&answers, &["verify", "1"][..], 0),
        (&healthy, &["verify", "1"], 1),
        (&empty, &["status"], 2),
        (&healthy, &["run", "1", "--quick", "--deadline", "1ms"], 3),
        (&shut, &["ramp", "1", "--quick"], 4),
        (&nowhere, &["ramp", "1", "--quick"], 5),
    ] {
        let (code, text) = output(folder.path(), arguments);
        assert_eq!(code, wanted, "{arguments:?}: {text}");
        assert!(table.contains(&format!("\n| {code} | ")), "docs/ci.md does not tell of {code}");
    }
}

#[test]
fn a_check_that_is_waived_holds_no_code_up() {
    let folder = project(&site());
    first_asks(folder.path(), HEALTH);
    assert_eq!(output(folder.path(), &["verify", "1"]).0, 1);
    let waive = ["waive", "1", "--check", "health.answers", "--reason", "x", "--owner", "ada", "--until", "2098-12-31"];
    assert_eq!(output(folder.path(), &waive).0, 0);
    let (code, text) = output(folder.path(), &["verify", "1"]);
    assert!(code == 0 && text.contains("with health.answers waived"), "{code}: {text}");
    // Where nothing can be looked at without load, nothing was shown.
    let (code, text) = output(folder.path(), &["verify", "7"]);
    assert!(code == 3 && text.contains("no check that looks without load"), "{code}: {text}");
}

#[test]
fn settings_that_go_bad_on_the_way_are_no_pass_of_the_steps_behind() {
    let place: Arc<OnceLock<PathBuf>> = Arc::default();
    let settings = place.clone();
    let url = serving(move |path| {
        if let Some(file) = settings.get() {
            rampup::store::atomic::write(file, b"schema = 1\n[site]\nnmae = \"x\"\n").unwrap();
        }
        healthy_page(path)
    });
    let folder = project(&url);
    first_asks(folder.path(), HEALTH);
    place.set(folder.path().join("rampup.toml")).unwrap();
    let (code, text) = output(folder.path(), &["verify", "1-3"]);
    assert!(code == 2 && text.contains("PASS    health.answers") && text.contains("rampup.toml:3"), "{code}: {text}");
}

#[test]
fn a_playbook_by_which_load_alone_proves_or_one_answer_stands_for_two_is_refused() {
    let folder = project("http://127.0.0.1:9");
    let twice = "[\n  { check = \"health.answers\" },\n  { check = \"health.answers\", level = \"advised\" },\n]";
    for (checks, said) in [
        ("[]", "playbooks/01-baseline.md:4: no check is required"),
        ("[{ check = \"health.answers\", level = \"advised\" }]", "playbooks/01-baseline.md:4: no check is required"),
        (twice, "playbooks/01-baseline.md:6: health.answers is asked for twice; keep one"),
    ] {
        first_asks(folder.path(), checks);
        for arguments in [&["run", "1", "--quick"][..], &["verify", "1"], &["status"], &["playbook", "lint"]] {
            let (code, text) = output(folder.path(), arguments);
            assert!(code == 2 && text.contains(said), "{arguments:?} {checks}: {code}: {text}");
        }
    }
}

/// The code of a command whose reader has left before it begins, and what it says on the other channel.
fn unread(project: &Path, arguments: &[&str]) -> (i32, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let Output { status, stderr, .. } = rampup(project, arguments).stdout(writer).output().unwrap();
    (status.code().unwrap_or(-1), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn a_reader_that_leaves_changes_no_verdict() {
    let (folder, nowhere) = (project(&site()), project("http://192.0.2.1"));
    let edit = |from: &str, to: &str| {
        let file = folder.path().join(".rampup/progress.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        rampup::store::atomic::write(&file, text.replacen(from, to, 1).as_bytes()).unwrap();
    };
    let check = |project: &Path, arguments: &[&str], wanted: i32| {
        let (code, said) = unread(project, arguments);
        assert_eq!(code, wanted, "{arguments:?}: {said}");
        assert!(!said.contains("pipe"), "{arguments:?}: {said}");
    };
    check(folder.path(), &["verify", "1"], 1);
    check(folder.path(), &["run", "1", "--quick"], 1);
    check(folder.path(), &["run", "2", "--quick", "--json"], 3);
    check(nowhere.path(), &["ramp", "1", "--quick"], 5);
    // What was seen is whole all the same.
    let runs = Store::runs(folder.path()).unwrap();
    let ends = runs.iter().map(|run| Store::read_run(folder.path(), run).unwrap().pop().unwrap().kind);
    let exits = [1, 1, 3].map(|exit| EventKind::RunFinished { exit });
    assert_eq!(ends.collect::<Vec<_>>(), exits);
    for printing in [&["status"][..], &["explain"], &["report"], &["schema", "events"], &["verify-evidence"]] {
        check(folder.path(), printing, 0);
    }
    edit("state = \"held\"", "state = \"proven\"");
    check(folder.path(), &["verify-evidence"], 1);
    check(folder.path(), &["verify-evidence", "--json"], 1);
    edit("state = \"proven\"", "state = \"held\"");
    let waive = ["waive", "1", "--reason", " ", "--owner", "ada", "--until", "2098-12-31"];
    check(folder.path(), &waive, 2);
}

/// Reads a child's lines until one holds the word; fails after a generous limit.
fn wait_for(child: &mut Child, word: &str) -> BufReader<std::process::ChildStdout> {
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let began = Instant::now();
    let mut seen = String::new();
    while !seen.contains(word) {
        assert!(began.elapsed() < Duration::from_secs(90), "{word:?} did not appear in:\n{seen}");
        assert!(reader.read_line(&mut seen).unwrap() > 0, "ended before {word:?}:\n{seen}");
    }
    reader
}

#[test]
fn a_signal_stops_the_load_keeps_what_was_seen_and_says_so_in_the_code() {
    let url = site();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let folder = project(&url);
        let mut child = rampup(folder.path(), &["ramp", "1", "--quick"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut rest = wait_for(&mut child, "climb");
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        let asked = Instant::now();
        let mut text = String::new();
        rest.read_to_string(&mut text).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{text}");
        assert!(asked.elapsed() < Duration::from_secs(30), "it took {:?}", asked.elapsed());
        Store::read(folder.path()).unwrap();
    }
}

/// A site that answers until it is told to hang; and how many requests hang in it.
fn hanging_site() -> (String, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (hang, hanging) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (told, count) = (hang.clone(), hanging.clone());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (told, count) = (told.clone(), count.clone());
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|n| n > 0) {
                    if line == "\r\n" {
                        if told.load(Ordering::SeqCst) {
                            count.fetch_add(1, Ordering::SeqCst);
                            // Until the other side goes.
                            let _ = reader.read_to_string(&mut line);
                            return;
                        }
                        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/html\r\n\r\nok";
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                    line.clear();
                }
            });
        }
    });
    (format!("http://{address}"), hang, hanging)
}

#[test]
fn a_signal_in_the_hold_of_a_site_that_hangs_leaves_nobody_running() {
    let (url, hang, hanging) = hanging_site();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        hang.store(false, Ordering::SeqCst);
        hanging.store(0, Ordering::SeqCst);
        let folder = project(&url);
        let mut child = rampup(folder.path(), &["ramp", "1", "--quick"]).stdout(Stdio::piped()).spawn().unwrap();
        // The line of its first second; the plan speaks of a hold, too, but in other columns.
        let mut rest = wait_for(&mut child, " hold   ");
        hang.store(true, Ordering::SeqCst);
        let patience = Instant::now();
        while hanging.load(Ordering::SeqCst) == 0 && patience.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(hanging.load(Ordering::SeqCst) > 0, "nobody asks");
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        let asked = Instant::now();
        let mut text = String::new();
        rest.read_to_string(&mut text).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{text}");
        // Far under the ten seconds that a request may take.
        assert!(asked.elapsed() < Duration::from_secs(8), "it took {:?}", asked.elapsed());
        Store::read(folder.path()).unwrap();
    }
}

#[test]
fn two_runs_cannot_share_a_project() {
    let folder = project(&site());
    let mut first = rampup(folder.path(), &["ramp", "1", "--quick"]).stdout(Stdio::piped()).spawn().unwrap();
    let _rest = wait_for(&mut first, "RAMP");
    let (code, text) = output(folder.path(), &["verify", "1"]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert_ne!(code, 0, "{text}");
    assert!(text.contains("lock") || text.contains("in use"), "{text}");
}

#[test]
fn schemas_are_printed_where_no_project_is() {
    let folder = tempfile::tempdir().unwrap();
    for (of, kept) in [
        ("settings", include_str!("../../docs/rampup.schema.json")),
        ("events", include_str!("../../docs/events.schema.json")),
        ("progress", include_str!("../../docs/progress.schema.json")),
    ] {
        let (code, shown) = output(folder.path(), &["schema", of]);
        assert!(code == 0 && shown == kept, "write it anew: cargo run -- schema {of} > docs/…");
    }
}

fn validator(schema: &str) -> jsonschema::Validator {
    jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
}

fn assert_valid(validator: &jsonschema::Validator, value: &serde_json::Value) {
    let wrong: Vec<String> = validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:?} in {value}");
}

/// Every line of a log, every line that is printed, and the progress file keep to what is published.
#[test]
fn lines_keep_to_their_schema() {
    let events = validator(include_str!("../../docs/events.schema.json"));
    let lines =
        |text: &str| -> Vec<serde_json::Value> { text.lines().map(|l| serde_json::from_str(l).unwrap()).collect() };
    let mut seen = std::collections::BTreeSet::new();
    let mut check = |line: serde_json::Value| {
        assert_valid(&events, &line);
        seen.insert(line["event"].as_str().unwrap().to_owned());
    };
    let folder = told(&[Ending::Holds, Ending::Breaks, Ending::Unsure]);
    for log in std::fs::read_dir(folder.path().join(".rampup/runs")).unwrap() {
        lines(&std::fs::read_to_string(log.unwrap().path()).unwrap()).into_iter().for_each(&mut check);
    }
    let mut printed = Vec::new();
    for feed in story::held().into_iter().chain(story::climbed(Ending::Breaks)) {
        if let Feed::Event(event) = feed {
            Json { pulses: true }.print(&event, &mut printed).unwrap();
        }
    }
    lines(&String::from_utf8(printed).unwrap()).into_iter().for_each(&mut check);
    let live = project(&site());
    let Output { stdout, .. } = rampup(live.path(), &["run", "1", "--quick", "--json"]).output().unwrap();
    lines(&String::from_utf8(stdout).unwrap()).into_iter().for_each(&mut check);
    assert!(seen.len() >= 10, "{seen:?}");
    assert!(!events.is_valid(&serde_json::json!({ "v": 1, "seq": 0, "at": "now", "run": "r", "event": "note" })));

    let progress = std::fs::read_to_string(folder.path().join(".rampup/progress.toml")).unwrap();
    let progress: toml::Table = progress.parse().unwrap();
    let schema = validator(include_str!("../../docs/progress.schema.json"));
    assert_valid(&schema, &serde_json::to_value(&progress).unwrap());
}

/// Takes one request after the other and sends each body on.
fn hook(answers: &'static [&'static str]) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/secret-path", listener.local_addr().unwrap());
    let (heard, hears) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for (stream, answer) in listener.incoming().flatten().zip(answers.iter().cycle()) {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut length, mut line) = (0, String::new());
            while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            heard.send(String::from_utf8(body).unwrap()).unwrap();
            let head = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            (&stream).write_all(head.as_bytes()).unwrap();
        }
    });
    (address, hears)
}

#[test]
fn a_webhook_is_told_of_a_verdict_and_its_address_never_shown() {
    let folder = project(&site());
    let run = |address: &str| {
        let done = rampup(folder.path(), &["run", "1", "--quick"]).env("RAMPUP_WEBHOOK", address).output().unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    let (address, hears) = hook(&["503 Busy", "200 OK"]);
    let shown = run(&address);
    let told: Vec<String> = hears.try_iter().collect();
    assert_eq!(told.len(), 2, "once more after a 503");
    let body: serde_json::Value = serde_json::from_str(&told[1]).unwrap();
    assert_eq!((&body["step"], &body["state"], &body["site"]), (&1.into(), &"held".into(), &"test".into()), "{body}");
    assert!(body["text"].as_str().unwrap().starts_with("rampup, test: step 1 is held (a quick"), "{body}");
    assert!(!shown.contains("webhook") && !shown.contains("secret-path"), "{shown}");
    let (address, _hears) = hook(&["404 Gone"]);
    let shown = run(&address);
    assert!(shown.contains("was not told: it answers 404") && !shown.contains("secret-path"), "{shown}");
}

#[test]
fn a_run_ends_where_and_when_it_is_told_to() {
    let folder = project(&site());
    let (code, shown) = output(folder.path(), &["run", "--until", "1", "--quick", "--deadline", "1ms"]);
    assert!(code == 3 && !shown.contains("STEP 2"), "{code}: {shown}");
    assert_eq!(output(folder.path(), &["run", "--until", "1", "--all"]).0, 2);
    let strict = ["run", "1", "--quick", "--deadline", "1ms", "--on-inconclusive", "fail"];
    assert_eq!(output(folder.path(), &strict).0, 1);
}

/// What the documents tell people to type is understood.
#[test]
fn commands_in_the_documents_are_right() {
    let documents =
        [include_str!("../../docs/ci.md"), include_str!("../../README.md"), include_str!("../../docs/flows.md")];
    let code = documents.iter().flat_map(|text| text.split("```").skip(1).step_by(2));
    let command = |line: &str| {
        let line = line.trim().trim_start_matches("- run: ");
        let line = line.split("  #").next()?.split(" >").next()?.trim().to_owned();
        line.starts_with("rampup ").then_some(line)
    };
    let commands: Vec<String> = code.flat_map(str::lines).filter_map(command).collect();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        let parsed = rampup::cli::Cli::try_parse_from(command.split_whitespace());
        let harmless = |why: &clap::Error| matches!(why.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        assert!(parsed.as_ref().err().is_none_or(harmless), "{command}: {}", parsed.unwrap_err());
    }
}

/// Stands in for a cloud that refuses every token.
fn refusing_cloud() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 65536];
            let _ = stream.read(&mut request);
            let body =
                r#"{"success": false, "errors": [{"code": 10000, "message": "Not Authorized"}], "messages": []}"#;
            let head = format!("Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}", body.len());
            let _ = stream.write_all(format!("HTTP/1.1 403 Forbidden\r\n{head}\r\n\r\n{body}").as_bytes());
        }
    });
    format!("http://{address}")
}

#[test]
fn the_doctor_says_what_answers_what_is_set_and_what_to_provide() {
    let folder = project(&site());
    let settings = folder.path().join("rampup.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    let without = text.replace("database_env = ", "# database_env = ");
    rampup::store::atomic::write(&settings, without.as_bytes()).unwrap();
    let (code, said) = output(folder.path(), &["doctor"]);
    assert_eq!(code, 0, "{said}");
    for line in ["  answers   site             /healthz: status 200", "everything that is named answers"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(said.contains("  not named Railway") && said.contains("queries.*"), "{said}");

    let cloud = refusing_cloud();
    let clouds = format!(
        "[site.railway]\ntoken_env = \"CLOUD_A\"\nservice = \"web\"\napi = \"{cloud}\"\n\
         [site.cloudflare]\ntoken_env = \"CLOUD_B\"\nzone = \"shop.example\"\napi = \"{cloud}\"\n[services]\n"
    );
    let with = without.replace("[services]\n", &clouds).replace("# cache_env", "cache_env");
    rampup::store::atomic::write(&settings, with.as_bytes()).unwrap();
    let ask = |flags: &[&str]| {
        let mut command = rampup(folder.path(), flags);
        command.env("CLOUD_A", "hunter2").env("CLOUD_B", "hunter2").env_remove("REDIS_URL");
        let Output { status, stdout, stderr } = command.output().unwrap();
        (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
    };
    let began = Instant::now();
    let (code, said) = ask(&["doctor"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(began.elapsed() < Duration::from_secs(15));
    assert!(said.lines().all(|line| line.chars().count() <= 80) && !said.contains("hunter2"), "{said}");
    for line in [
        "  unknown   cache            REDIS_URL is not set",
        "  unknown   Railway          Railway's API refused: status 403",
        "  unknown   Cloudflare       Cloudflare's API refused: Not Authorized (code",
        "  not set   REDIS_URL",
        "  set       CLOUD_A",
        "next: ",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let (code, said) = ask(&["doctor", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &json["well"]), (Some(3), &serde_json::json!(false)), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn keys_are_listed_and_a_file_of_ones_own_changes_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let keys = |flags: &[&str]| output(folder.path(), &[flags, &["keys"]].concat());
    assert_eq!(
        keys(&[]),
        (0, include_str!("../../docs/keys.md").split_once("\n\n|").map(|(_, table)| format!("|{table}")).unwrap())
    );
    let own = path.display().to_string();
    rampup::store::atomic::write(&path, b"verify = \"f5\"\n").unwrap();
    let (code, shown) = keys(&["--keys", &own]);
    assert!(code == 0 && shown.contains("| `f5` | run the step's checks"), "{shown}");
    rampup::store::atomic::write(&path, b"verify = \"w\"\n").unwrap();
    let (code, shown) = keys(&["--keys", &own]);
    assert!(code == 2 && shown.contains("keys.toml") && shown.contains("both verify and waive"), "{shown}");
    assert_eq!(keys(&["--keys", "nowhere.toml"]).0, 2);
}

#[test]
fn a_flow_check_shows_each_step_and_where_the_failed_one_stands() {
    let folder = project(&site());
    let file = folder.path().join("rampup.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (code, shown) = output(folder.path(), &["flow", "check"]);
    // The small site answers 200 to everything, and the checkout expects that or a redirect.
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("ok    home") && shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let wrong = text.replacen("get = \"/cart/\"", "get = \"/cart/\"\nexpect_text = \"basket\"", 1);
    rampup::store::atomic::write(&file, wrong.as_bytes()).unwrap();
    let line = wrong[..wrong.find("name = \"cart\"").unwrap()].matches('\n').count();
    let (code, shown) = output(folder.path(), &["flow", "check", "buy"]);
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("FAIL  cart") && shown.contains("the body lacks \"basket\""), "{shown}");
    assert!(shown.contains(&format!("rampup.toml:{line}:")), "{line}: {shown}");
    assert!(!shown.contains("browse") && shown.contains("1 more step was not reached"), "{shown}");
    let (code, shown) = output(folder.path(), &["flow", "check", "buy", "--json"]);
    let first: serde_json::Value = serde_json::from_str(shown.lines().next().unwrap()).unwrap();
    assert_eq!((code, first["ok"].as_bool(), first["flow"].as_str()), (1, Some(false), Some("buy")));
    assert_eq!(output(folder.path(), &["flow", "check", "nobody"]).0, 2);
}

#[test]
fn a_recording_becomes_a_flow_that_runs_and_a_flow_a_script() {
    let url = site();
    let folder = project(&url);
    let entry = |at: &str, address: &str, kind: &str| {
        serde_json::json!({
            "startedDateTime": at, "time": 20.0, "_resourceType": kind,
            "request": { "method": "GET", "url": address, "httpVersion": "HTTP/1.1", "headers": [], "queryString": [],
                "cookies": [], "headersSize": -1, "bodySize": 0 },
            "response": { "status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "headers": [], "cookies": [],
                "content": { "size": 2, "mimeType": "text/html" }, "redirectURL": "", "headersSize": -1, "bodySize": 2 },
        })
    };
    let recording = serde_json::json!({ "log": { "version": "1.2", "creator": { "name": "a browser", "version": "1" },
        "entries": [
            entry("2026-11-26T10:00:00.000Z", &format!("{url}/"), "document"),
            entry("2026-11-26T10:00:00.300Z", "https://ads.example/pixel", "image"),
            entry("2026-11-26T10:00:04.000Z", &format!("{url}/products?page=2"), "document"),
        ] } });
    rampup::store::atomic::write(&folder.path().join("shop.har"), recording.to_string().as_bytes()).unwrap();
    let har = folder.path().join("shop.har").display().to_string();
    let Output { status, stdout, stderr } = rampup(folder.path(), &["flow", "import", &har]).output().unwrap();
    let (flow, notes) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(status.success() && notes.contains("ads.example"), "{notes}");
    assert!(flow.contains("/products") && !flow.contains("ads.example"), "{flow}");
    // It goes into the settings as it is, and runs.
    let file = folder.path().join("rampup.toml");
    let text = std::fs::read_to_string(&file).unwrap() + "\n" + &flow;
    rampup::store::atomic::write(&file, text.as_bytes()).unwrap();
    let (code, shown) = output(folder.path(), &["flow", "check", "recorded"]);
    assert!(code == 0 && shown.contains("/products"), "{shown}");
    for engine in ["k6", "locust"] {
        let (code, script) = output(folder.path(), &["flow", "export", engine, "--users", "7"]);
        assert!(code == 0 && script.contains("/products"), "{script}");
    }
    let (code, shown) = output(folder.path(), &["flow", "import", "nowhere.har"]);
    assert!(code == 2 && shown.contains("nowhere.har"), "{shown}");
    rampup::store::atomic::write(&folder.path().join("shop.har"), b"{\"log\": 1}").unwrap();
    let (code, shown) = output(folder.path(), &["flow", "import", &har]);
    assert!(code == 2, "{shown}");
}

#[test]
fn a_scan_tells_a_table_to_people_and_an_object_to_programs() {
    let folder = tempfile::tempdir().unwrap();
    let (code, shown) = output(folder.path(), &["scan"]);
    assert!(code == 2 && shown.contains("no Django project"), "{shown}");
    std::fs::create_dir(folder.path().join("shop")).unwrap();
    let put =
        |path: &str, text: &str| rampup::store::atomic::write(&folder.path().join(path), text.as_bytes()).unwrap();
    put("manage.py", "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n");
    put("shop/settings.py", "INSTALLED_APPS = []\nSESSION_ENGINE = 'django.contrib.sessions.backends.cache'\n");
    let (code, shown) = output(folder.path(), &["scan"]);
    let row = shown.lines().find(|line| line.starts_with("session_engine")).unwrap();
    assert!(code == 0 && row.contains("cache") && row.contains("shop/settings.py:2"), "{shown}");
    let (code, shown) = output(Path::new("/"), &["scan", folder.path().to_str().unwrap(), "--json"]);
    let told: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &told["settings_module"]), (0, &serde_json::json!("shop.settings")));
    assert_eq!(told["facts"]["session_engine"]["value"], "cache");
    assert_eq!(told["facts"].as_object().unwrap().len(), 25);
}
