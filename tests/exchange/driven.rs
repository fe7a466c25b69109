//! A ramp whose users are played by a real Locust, a master with two workers, against a server that counts.

use std::io::{BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rampup::domain::flow::{Mix, Think};
use rampup::domain::measurement::{Engine, Measurement};
use rampup::domain::ramp::{Model, RampEnd, RampPhase, RampPlan};
use rampup::domain::secret::Secret;
use rampup::domain::slo::Slo;
use rampup::domain::verdict::Next;
use rampup::exchange::{self, Job};
use rampup::load::{Driver, LoadError, LocustDriver, Onlooker, Order, Signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::{Request, peers};

const TOKEN: &str = "a token of this test";
/// What the slow tenth of the answers takes, between headers and body.
const SLOW: Duration = Duration::from_millis(500);
const USERS: u32 = 20;

/// One test at a time: each is many processes.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Every tenth answer's body comes late. Counts what was asked.
fn server() -> (url::Url, Arc<AtomicU64>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let counting = asked.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let asked = counting.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while Request::read(&mut reader).is_some() {
                    let slow = asked.fetch_add(1, Ordering::SeqCst) % 10 == 9;
                    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n";
                    if stream.write_all(head).is_err() {
                        return;
                    }
                    if slow {
                        std::thread::sleep(SLOW);
                    }
                    if stream.write_all(b"hello").is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, asked)
}

fn mix(path: &str) -> Mix {
    let flow = format!("name = \"read\"\n[[step]]\nname = \"page\"\nget = \"{path}\"\nexpect = [200]");
    Mix { flows: vec![toml::from_str(&flow).unwrap()], ..Mix::default() }
}

/// The hold begins at once, so that all that is ever asked belongs to it.
fn order(target: &url::Url, hold: Duration) -> (Order, UnboundedReceiver<Signal>) {
    let (pulses, heard) = unbounded_channel();
    let plan = RampPlan {
        users: USERS,
        climb: Duration::ZERO,
        settle_limit: Duration::ZERO,
        hold,
        think: Think::Even { least: Duration::from_millis(200), most: Duration::from_millis(400) },
        timeout: Duration::from_secs(5),
        seed: 7,
        quick: true,
        extensions: 0,
        rungs: Vec::new(),
        rung_hold: Duration::ZERO,
        beyond: Vec::new(),
        model: Model::Closed,
    };
    let order = Order {
        plan,
        slo: Slo::default(),
        mix: mix("/"),
        target: target.clone(),
        health: String::new(),
        passwords: Arc::default(),
        pulses,
        looks: Onlooker::new(|_, _| Next::Stop),
        stop: CancellationToken::new(),
    };
    (order, heard)
}

fn driver(wait: u64) -> LocustDriver {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    LocustDriver::new(anywhere, Secret::new(TOKEN.into()), Duration::from_secs(wait))
}

/// A Locust of one master and two workers. Gone when it is dropped.
struct Locust {
    master: Child,
    workers: Vec<Child>,
    _folder: tempfile::TempDir,
}

impl Locust {
    /// Calls the place that the ramp's first note names.
    async fn call(heard: &mut UnboundedReceiver<Signal>, token: &str, target: &url::Url, mix: &Mix) -> Self {
        let place = loop {
            let Some(Signal::Note(note)) = heard.recv().await else { panic!("no place to call") };
            if let Some(place) = note.split_once("RAMPUP_BRIDGE=").and_then(|(_, rest)| rest.split(' ').next()) {
                break place.to_owned();
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flows.py");
        let job = Job { target, mix, slo: &Slo::default(), users: USERS };
        rampup::store::atomic::write(&file, exchange::locust(&job).script.as_bytes()).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port().to_string();
        let master = start(
            &file,
            &[
                "--headless",
                "--master",
                "--expect-workers",
                "2",
                "--master-bind-host",
                "127.0.0.1",
                "--master-bind-port",
                &port,
            ],
            &[("RAMPUP_BRIDGE", &place), ("RAMPUP_TOKEN", token)],
        );
        let worker = || start(&file, &["--worker", "--master-host", "127.0.0.1", "--master-port", &port], &[]);
        Self { master, workers: vec![worker(), worker()], _folder: folder }
    }

    /// All of it ends by itself; says how the master did.
    fn ended(&mut self) -> ExitStatus {
        let patience = Instant::now();
        loop {
            let gone = self.workers.iter_mut().all(|worker| worker.try_wait().unwrap().is_some());
            if let (true, Some(status)) = (gone, self.master.try_wait().unwrap()) {
                return status;
            }
            assert!(patience.elapsed() < Duration::from_secs(30), "Locust goes on without rampup");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Locust {
    fn drop(&mut self) {
        for child in self.workers.iter_mut().chain([&mut self.master]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start(file: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Child {
    Command::new(peers().join("locust"))
        .arg("-f")
        .arg(file)
        .args(arguments)
        .args(["--only-summary", "--loglevel", "WARNING"])
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

type Driven = tokio::task::JoinHandle<Result<Measurement, LoadError>>;

fn drive(driver: LocustDriver, order: Order) -> Driven {
    tokio::spawn(async move { tokio::time::timeout(Duration::from_secs(80), driver.drive(order)).await.unwrap() })
}

async fn until_hold(heard: &mut UnboundedReceiver<Signal>) {
    while !matches!(heard.recv().await.unwrap(), Signal::Phase(RampPhase::Hold, _)) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_locust_s_requests_are_counted_and_timed_to_the_last_byte() {
    let _turn = TURN.lock().await;
    let (target, asked) = server();
    let (order, mut heard) = order(&target, Duration::from_secs(8));
    let ramp = drive(driver(60), order);
    let mut locust = Locust::call(&mut heard, TOKEN, &target, &mix("/")).await;
    let measured = ramp.await.unwrap().unwrap();
    locust.ended();

    assert_eq!(measured.end, RampEnd::Completed);
    assert_eq!(measured.engine, Engine::Locust { workers: 2 });
    let (seen, truth) = (measured.requests, asked.load(Ordering::SeqCst));
    // What left after the hold and before the last user heard that the gate is shut is at most one request a user.
    assert!(seen > 100 && (seen..=seen + u64::from(USERS)).contains(&truth), "{seen} measured, {truth} asked");
    assert_eq!((measured.latency.count(), measured.errors.total()), (seen, 0));
    assert_eq!(measured.answers.statuses[&200], seen);
    assert_eq!(measured.endpoints["page"].requests, seen);
    assert_eq!(measured.answers.bytes, seen * 5);
    let [p50, p95] = [0.5, 0.95].map(|q| measured.latency.quantile_ms(q).unwrap());
    assert!(p95 >= 500.0 && p50 < 500.0, "the body is part of it: p50 {p50}, p95 {p95}");
    assert!(measured.first_byte.quantile_ms(0.95).unwrap() < p95);
    let due: u32 = measured.windows.iter().map(|w| w.generator.due).sum();
    assert!(due > 0 && measured.windows.iter().any(|w| w.generator.cpu > 0.0), "how the workers feel is known");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_spoils_the_ramp() {
    let _turn = TURN.lock().await;
    let (target, _) = server();
    let (order, mut heard) = order(&target, Duration::from_secs(60));
    let ramp = drive(driver(60), order);
    let mut locust = Locust::call(&mut heard, TOKEN, &target, &mix("/")).await;
    until_hold(&mut heard).await;
    locust.workers[0].kill().unwrap();
    let measured = ramp.await.unwrap().unwrap();
    let RampEnd::Invalid(why) = &measured.end else { panic!("{:?}", measured.end) };
    assert!(why.contains("was lost"), "{why}");
    locust.ended();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_keeps_what_was_seen_and_ends_locust() {
    let _turn = TURN.lock().await;
    let (target, asked) = server();
    let (order, mut heard) = order(&target, Duration::from_secs(60));
    let stop = order.stop.clone();
    let ramp = drive(driver(60), order);
    let mut locust = Locust::call(&mut heard, TOKEN, &target, &mix("/")).await;
    until_hold(&mut heard).await;
    while asked.load(Ordering::SeqCst) < 50 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    let measured = ramp.await.unwrap().unwrap();
    assert!(matches!(measured.end, RampEnd::Aborted(_)), "{:?}", measured.end);
    assert!(measured.requests >= 50 - u64::from(USERS), "{}", measured.requests);
    locust.ended();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ramp_that_dies_takes_locust_with_it() {
    let _turn = TURN.lock().await;
    let (target, asked) = server();
    let (order, mut heard) = order(&target, Duration::from_secs(60));
    let ramp = drive(driver(60), order);
    let mut locust = Locust::call(&mut heard, TOKEN, &target, &mix("/")).await;
    until_hold(&mut heard).await;
    ramp.abort();
    locust.ended();
    let asked_by_now = asked.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(asked.load(Ordering::SeqCst), asked_by_now);
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_foreign_token_nor_foreign_flows_get_in() {
    let _turn = TURN.lock().await;
    let (target, asked) = server();
    for (token, played, word, wait) in
        [("another token", "/", "RAMPUP_TOKEN", 15), (TOKEN, "/elsewhere/", "other flows", 60)]
    {
        let (order, mut heard) = order(&target, Duration::from_secs(60));
        let ramp = drive(driver(wait), order);
        let mut locust = Locust::call(&mut heard, token, &target, &mix(played)).await;
        let why = ramp.await.unwrap().unwrap_err().to_string();
        assert!(why.contains(word), "{why}");
        assert!(!why.contains(TOKEN), "{why}");
        assert_eq!(locust.ended().code(), Some(2));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nobody may ask anything before rampup says so");
}

#[test]
fn the_command_wants_a_token_and_a_target_that_is_ours() {
    let folder = tempfile::tempdir().unwrap();
    let ramp = |token: &str| {
        let mut rampup = Command::new(env!("CARGO_BIN_EXE_rampup"));
        rampup.arg("-C").arg(folder.path()).stdin(Stdio::null()).env("RAMPUP_TOKEN", token);
        let ended =
            rampup.args(["ramp", "1", "--quick", "--engine", "locust", "--listen", "127.0.0.1:0"]).output().unwrap();
        let text = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
        (ended.status.code(), text)
    };
    // TEST-NET-1 (RFC 5737): nobody is there, and nothing is sent.
    let settings = b"schema = 1\n[site]\nname = \"x\"\nurl = \"http://192.0.2.1\"\n[[flow]]\nname = \"a\"\n[[flow.step]]\nname = \"checkout\"\nget = \"/\"\n";
    rampup::store::atomic::write(&folder.path().join("rampup.toml"), settings).unwrap();
    let (code, text) = ramp("short");
    assert!(code == Some(2) && text.contains("RAMPUP_TOKEN"), "{code:?} {text}");
    let (code, text) = ramp(TOKEN);
    assert!(code == Some(5) && text.contains("not driven") && !text.contains("RAMPUP_BRIDGE"), "{code:?} {text}");
}
