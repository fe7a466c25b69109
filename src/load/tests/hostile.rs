//! Whole ramps against servers that mean no good, and a generator that is starved. Each must end in bounded time and
//! memory, with errors of the right kind and a verdict that does not pass.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::server::{Reply, Server};
use super::{ms, order, turn};
use crate::domain::flow::Think;
use crate::domain::measurement::{ErrorKind, Measurement};
use crate::domain::ramp::{Model, RampEnd, RampPhase};
use crate::domain::slo::Slo;
use crate::domain::verdict::{RampOutcome, Verdict, judge};
use crate::load::flow::live;
use crate::load::guard::Limits;
use crate::load::ramp::{Ears, conduct};
use crate::load::script::Script;
use crate::load::stage::Stage;
use crate::load::visitor::Visitor;
use crate::load::{Driver, GooseDriver, LoadError, Order, Signal, client};

const HOME: &str = "[[flow]]\nname='home'\nstep=[{get='/', name='home'}]";

/// Breakers that let a test see the end of the hold.
fn patient() -> GooseDriver {
    GooseDriver::with_limits(Limits { span: 600, ..Limits::of(&Slo::default()) })
}

async fn drive(driver: &GooseDriver, order: Order) -> Result<Measurement, LoadError> {
    tokio::time::timeout(ms(60_000), driver.drive(order)).await.expect("a ramp ends")
}

fn judged(measured: &Measurement) -> Verdict {
    judge(measured, &Slo::default(), &[])
}

/// Reads a request's head, then does as it is told; dies with all its connections when the handle is aborted.
async fn raw<F, W>(work: F) -> (Url, AbortHandle)
where
    F: Fn(TcpStream) -> W + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let work = Arc::new(work);
    let served = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let work = work.clone();
            connections.spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                work(stream).await;
            });
        }
    });
    (url, served.abort_handle())
}

async fn answer(mut stream: TcpStream, head: &str, body: &[u8], times: usize) {
    if stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}connection: close\r\n\r\n").as_bytes()).await.is_ok() {
        for _ in 0..times {
            if stream.write_all(body).await.is_err() {
                return;
            }
        }
    }
}

/// A few users for a few seconds against a raw server.
async fn few(url: &Url, flows: &str) -> Measurement {
    let idle = Server::start(|_| Reply::ok()).await;
    let (mut order, _heard) = order(&idle, flows, 3, ms(2000));
    order.target = url.clone();
    drive(&patient(), order).await.unwrap()
}

/// How a body without end fails: it is read no further, or takes too long, whichever comes first.
const BOUNDLESS: [ErrorKind; 2] = [ErrorKind::Truncated, ErrorKind::Timeout];

/// All requests failed in one of these ways, and the verdict says no.
fn all_failed(measured: &Measurement, kinds: &[ErrorKind]) {
    assert_eq!(measured.end, RampEnd::Completed);
    assert!(measured.requests > 0);
    let failed: u64 = kinds.iter().filter_map(|kind| measured.errors.0.get(kind)).sum();
    assert_eq!(failed, measured.requests, "{:?}", measured.errors);
    let verdict = judged(measured);
    assert_ne!(verdict.outcome, RampOutcome::Pass, "{}", verdict.sentence);
}

/// Most memory this process ever held, KiB; none where the system does not say.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_accepts_and_never_answers_times_out() {
    let _turn = turn().await;
    let (url, _server) = raw(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    all_failed(&few(&url, HOME).await, &[ErrorKind::Timeout]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_ends_is_given_up_and_not_kept() {
    let _turn = turn().await;
    let (url, _server) = raw(|stream| answer(stream, "", &[b'x'; 65_536], usize::MAX)).await;
    // Somebody wants to read it, too.
    let flow = "[[flow]]\nname='home'\nstep=[{get='/', name='home', expect_text='never there'}]";
    let before = peak_kib();
    let measured = few(&url, flow).await;
    all_failed(&measured, &BOUNDLESS);
    assert!(measured.answers.bytes > 50 << 20, "{} bytes", measured.answers.bytes);
    let grown = peak_kib().zip(before).map_or(0, |(after, before)| after - before);
    assert!(grown < 400 << 10, "{grown} KiB for three users");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_is_read_and_dropped() {
    let _turn = turn().await;
    let (url, _server) = raw(|stream| answer(stream, "content-length: 1073741824\r\n", &[b'x'; 65_536], 1 << 14)).await;
    let before = peak_kib();
    let measured = few(&url, HOME).await;
    assert!(measured.requests > 0 && measured.answers.bytes > 50 << 20, "{measured:?}");
    assert_ne!(judged(&measured).outcome, RampOutcome::Pass);
    let grown = peak_kib().zip(before).map_or(0, |(after, before)| after - before);
    assert!(grown < 400 << 10, "{grown} KiB for three users");
}

/// One block of deflate with fixed codes: a zero, then "258 bytes from one back" (code 11000101, distance 00000) without
/// end. Eight of these take 13 bytes.
fn bomb() -> (Vec<u8>, Vec<u8>) {
    fn pack(bits: &str) -> Vec<u8> {
        let bits: Vec<u8> = bits.bytes().map(|b| b - b'0').collect();
        bits.chunks(8).map(|byte| byte.iter().enumerate().map(|(i, bit)| bit << i).sum()).collect()
    }
    // Header of the last block with fixed codes (1, 01 from its lowest bit), the zero; then 5 bits of the first match.
    let start = "1".to_owned() + "10" + "00110000" + "11000";
    let matches = "1100010100000".repeat(8);
    let rest = matches[5..].to_owned() + &matches[..5];
    let mut head = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    head.extend(pack(&start));
    (head, pack(&rest).repeat(1000))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gzip_bomb_is_not_unpacked_into_memory() {
    let _turn = turn().await;
    let (url, _server) = raw(|mut stream| async move {
        let (start, more) = bomb();
        let head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n";
        if stream.write_all(head).await.is_ok() && stream.write_all(&start).await.is_ok() {
            while stream.write_all(&more).await.is_ok() {}
        }
    })
    .await;
    let flow = "[[flow]]\nname='home'\nstep=[{get='/', name='home', expect_text='never there'}]";
    let before = peak_kib();
    let measured = few(&url, flow).await;
    all_failed(&measured, &BOUNDLESS);
    // Bytes are counted as they are after decoding: the bomb went off, into nothing.
    assert!(measured.answers.bytes > 10 << 20, "{} bytes", measured.answers.bytes);
    let grown = peak_kib().zip(before).map_or(0, |(after, before)| after - before);
    assert!(grown < 400 << 10, "{grown} KiB for three users");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_the_answers_truncated_is_half_of_them_failed() {
    let _turn = turn().await;
    let server =
        Server::start(|asked| Reply { break_off: asked.header("x-dice").parse::<u32>().unwrap() < 50, ..Reply::ok() })
            .await;
    let flow = "[[flow]]\nname='home'\nstep=[{get='/', name='home', headers={x-dice='{{random 0 99}}'}}]";
    let (order, _heard) = order(&server, flow, 10, ms(3000));
    let measured = drive(&patient(), order).await.unwrap();
    let cut = measured.errors.0.get(&ErrorKind::Truncated).copied().unwrap_or(0);
    assert_eq!(cut, measured.errors.total(), "{:?}", measured.errors);
    assert!(cut * 4 > measured.requests && cut * 4 < measured.requests * 3, "{cut} of {}", measured.requests);
    assert_ne!(judged(&measured).outcome, RampOutcome::Pass);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_in_mid_hold_never_passes() {
    let _turn = turn().await;
    let (url, server) = raw(|stream| answer(stream, "content-length: 2\r\n", b"ok", 1)).await;
    let idle = Server::start(|_| Reply::ok()).await;
    let (mut order, mut heard) = order(&idle, HOME, 5, ms(4000));
    order.target = url;
    let killer = tokio::spawn(async move {
        while let Some(signal) = heard.recv().await {
            if matches!(&signal, Signal::Pulse(pulse) if pulse.phase == RampPhase::Hold && pulse.phase_seconds >= 2) {
                server.abort();
            }
        }
    });
    let measured = drive(&patient(), order).await.unwrap();
    killer.abort();
    assert!(measured.latency.count() > 0, "it lived at first");
    assert!(measured.errors.0.contains_key(&ErrorKind::Connect), "{:?}", measured.errors);
    assert_eq!(measured.windows.last().unwrap().latency.count(), 0, "and was dead at last");
    assert_ne!(judged(&measured).outcome, RampOutcome::Pass);
}

#[test]
fn a_crash_in_the_last_seconds_never_passes() {
    for dead in 1..=5 {
        let mut m = Measurement { users: 50, hold_seconds: 300.0, ..Measurement::default() };
        for second in 0..300 {
            let mut window = crate::domain::measurement::Window { requests: 20, ..Default::default() };
            if second >= 300 - dead {
                // Dead servers get fewer requests: users wait for their time-outs.
                (window.requests, window.errors) = (6, 6);
                (0..6).for_each(|_| m.errors.add(ErrorKind::Connect));
            } else {
                (0..20).for_each(|i| window.latency.record(50_000 + i * 500));
            }
            m.requests += window.requests;
            m.latency.merge(&window.latency);
            m.windows.push(window);
        }
        let verdict = judged(&m);
        assert_ne!(verdict.outcome, RampOutcome::Pass, "dead for {dead} s: {}", verdict.sentence);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_that_fails_is_an_error_of_its_own() {
    let _turn = turn().await;
    // It speaks HTTP where TLS is wanted.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                // Closed at once, it would be reset before its answer is read.
                while stream.read_buf(&mut Vec::new()).await.is_ok_and(|n| n > 0) {}
            });
        }
    });
    let secure = Url::parse(&format!("https://127.0.0.1:{port}/")).unwrap();
    match tokio::time::timeout(ms(60_000), client::prepare(&secure, &[], ms(1000))).await.unwrap() {
        Ok(_) => all_failed(&few(&secure, HOME).await, &[ErrorKind::Tls]),
        // A machine without roots says so before it asks anybody.
        Err(why) => assert!(why.to_string().contains("root certificates"), "{why}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_an_address_is_said_before_the_first_request() {
    let _turn = turn().await;
    let idle = Server::start(|_| Reply::ok()).await;
    let (mut order, _heard) = order(&idle, HOME, 3, ms(2000));
    order.target = Url::parse("http://nobody.invalid/").unwrap();
    let why = drive(&patient(), order).await.unwrap_err();
    assert!(matches!(&why, LoadError::Resolve { host, .. } if host == "nobody.invalid"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_fails_for_one_user_is_seen_in_the_figures() {
    let _turn = turn().await;
    let server = Server::start(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", "/in/") if asked.body.contains("username=user7&") => Reply::new(200, "please try again"),
        ("POST", "/in/") => Reply::new(302, "").header("location", "/"),
        ("GET", "/in/") => Reply::new(200, "<input name='csrfmiddlewaretoken' value='x'>"),
        _ => Reply::ok(),
    })
    .await;
    let flow = "[[flow]]\nname='home'\nlogin={path='/in/', username='user{{user}}', password_env='PASSWORD'}\n\
                step=[{get='/', name='home'}]";
    let (order, _heard) = order(&server, flow, 20, ms(3000));
    let measured = drive(&patient(), order).await.unwrap();
    assert_eq!(measured.end, RampEnd::Completed);
    assert!(measured.settle_limit_reached, "one never came in");
    let login = &measured.endpoints["/in/ (sign in)"];
    assert!(login.errors.0.get(&ErrorKind::UnexpectedStatus) > Some(&0), "{login:?}");
    assert_eq!(measured.errors, login.errors, "nothing else fails");
    assert_ne!(judged(&measured).outcome, RampOutcome::Pass);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_quick_in_every_phase_of_a_server_that_hangs() {
    let _turn = turn().await;
    for phase in [RampPhase::Climb, RampPhase::Settle, RampPhase::Hold, RampPhase::Drain] {
        let server = Server::start(|_| Reply { stall: true, ..Reply::ok() }).await;
        let (mut order, mut heard) = order(&server, HOME, 5, ms(1200));
        order.plan.timeout = ms(20_000);
        order.plan.climb = ms(1200);
        order.plan.settle_limit = ms(1200);
        let stop = order.stop.clone();
        let ramp = tokio::spawn(async move { drive(&patient(), order).await });
        while let Some(signal) = heard.recv().await {
            if matches!(&signal, Signal::Phase(reached, _) if *reached == phase) {
                break;
            }
        }
        // Let somebody hang first.
        let patience = Instant::now();
        while server.count() == 0 && patience.elapsed() < ms(10_000) {
            tokio::time::sleep(ms(10)).await;
        }
        let asked = Instant::now();
        stop.cancel();
        // The last signal's sender goes with the last of the ramp, when nobody is under way any more.
        while tokio::time::timeout(ms(10_000), heard.recv()).await.expect("it ends").is_some() {}
        let took = asked.elapsed();
        let measured = ramp.await.unwrap().unwrap();
        assert_eq!(measured.end, RampEnd::Aborted("stopped from outside".into()), "{phase:?}");
        let count = server.count();
        tokio::time::sleep(ms(300)).await;
        assert_eq!(server.count(), count, "{phase:?}: nobody is left");
        assert!(took < ms(1500), "{phase:?}: {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_is_gone_soon_after_a_breaker_s_span() {
    let _turn = turn().await;
    let bad = Arc::new(AtomicBool::new(false));
    let server = Server::start({
        let bad = bad.clone();
        move |_| if bad.load(Ordering::SeqCst) { Reply::new(500, "no") } else { Reply::ok() }
    })
    .await;
    let (order, mut heard) = order(&server, HOME, 20, ms(40_000));
    let ramp = tokio::spawn(async move {
        let driver = GooseDriver::with_limits(Limits { span: 4, ..Limits::of(&Slo::default()) });
        drive(&driver, order).await
    });
    while let Some(signal) = heard.recv().await {
        if matches!(&signal, Signal::Phase(RampPhase::Hold, _)) {
            break;
        }
    }
    bad.store(true, Ordering::SeqCst);
    let since = Instant::now();
    let measured = ramp.await.unwrap().unwrap();
    let last = server.asked().iter().map(|a| a.at).max().unwrap().duration_since(since);
    assert!(matches!(&measured.end, RampEnd::Aborted(why) if why.contains("error rate")), "{:?}", measured.end);
    assert!(last < ms(4000 + 5000), "the load went on for {last:?}");
    assert_eq!(judged(&measured).outcome, RampOutcome::Aborted);
}

/// A server on a runtime of its own, so that nothing here can starve it.
fn apart() -> Server {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            tell.send(Server::start(|_| Reply::ok()).await).unwrap();
            std::future::pending::<()>().await;
        });
    });
    told.recv().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_starved_generator_is_invalid_and_blames_nobody_else() {
    let server = apart();
    let (mut order, _heard) = order(&server, HOME, 20, ms(6000));
    // So slow is the starved one that it would fail a promise like this.
    order.slo.p95_ms = 50.0;
    let script = Script::compile(&order.mix, order.passwords.clone()).unwrap();
    let wires = client::prepare(&order.target, &[], order.plan.timeout).await.unwrap();
    let stage = Arc::new(Stage::new(order.plan, order.target, script, wires));
    for me in 0..20 {
        let stage = stage.clone();
        tokio::spawn(async move {
            let _alive = stage.enter();
            let mut visitor = Visitor::new(me, &stage.script, &stage.target, stage.wires.build(), 7);
            tokio::select! {
                () = stage.cut.cancelled() => {}
                ended = live(&stage, &mut visitor, me) => panic!("{ended:?}"),
            }
        });
    }
    // Takes the load's only thread away for most of the time.
    let hog = tokio::spawn(async {
        loop {
            std::thread::sleep(Duration::from_millis(90));
            tokio::task::yield_now().await;
        }
    });
    while stage.ready() < 20 {
        tokio::time::sleep(ms(5)).await;
    }
    let ears = Ears {
        stop: order.stop,
        engine_gone: CancellationToken::new(),
        heartbeat: None,
        slo: order.slo.clone(),
        looks: order.looks.clone(),
        limits: Limits { span: 600, ..Limits::of(&order.slo) },
        signals: order.pulses,
    };
    let measured = conduct(stage, ears).await;
    hog.abort();
    assert_eq!(measured.end, RampEnd::Completed);
    let slow = Slo { p95_ms: 50.0, ..Slo::default() };
    assert!(measured.latency.quantile_ms(0.95).unwrap() > slow.p95_ms, "it would have failed the site");
    let verdict = judge(&measured, &slow, &[]);
    assert_eq!(verdict.outcome, RampOutcome::Invalid, "{}", verdict.sentence);
    for sign in ["unwell at 20 users", "timer lag", "left late", "control request"] {
        assert!(verdict.sentence.contains(sign), "{sign}: {}", verdict.sentence);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_hides_from_the_closed_model_and_not_from_the_open_one() {
    let _turn = turn().await;
    let mut slow = Vec::new();
    for model in [Model::Closed, Model::Open] {
        // Everything that comes in within two seconds of the hold waits for the end of them.
        let stalled = Arc::new(std::sync::Mutex::new(None::<Instant>));
        let server = Server::start({
            let stalled = stalled.clone();
            move |_| {
                let left = stalled
                    .lock()
                    .unwrap()
                    .map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
                Reply { head_after: left, ..Reply::ok() }
            }
        })
        .await;
        let (mut order, mut heard) = order(&server, HOME, 10, ms(6000));
        (order.plan.model, order.plan.timeout) = (model, ms(8000));
        order.plan.think = Think::Even { least: ms(200), most: ms(400) };
        let ramp = tokio::spawn(async move { drive(&patient(), order).await });
        while let Some(signal) = heard.recv().await {
            if matches!(&signal, Signal::Phase(RampPhase::Hold, _)) {
                break;
            }
        }
        *stalled.lock().unwrap() = Some(Instant::now() + ms(2000));
        let measured = ramp.await.unwrap().unwrap();
        assert_eq!((measured.end.clone(), measured.errors.total()), (RampEnd::Completed, 0));
        let over = measured.latency.buckets().filter(|(micros, _)| *micros > 500_000).map(|b| b.1).sum::<u64>();
        // 10 users, a flow every 0.4 s of a fast site: some 25 a second, 150 in all.
        assert!(model == Model::Closed || (90..220).contains(&measured.requests), "{}", measured.requests);
        slow.push(over);
    }
    let (closed, open) = (slow[0], slow[1]);
    assert!(closed <= 10, "each user is stalled once: {closed}");
    assert!(open >= 20, "some 37 flows should have begun in the first second and a half: {open}");
}
