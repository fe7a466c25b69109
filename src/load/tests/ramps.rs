//! What a ramp measures, how it stops, what it makes of servers that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::server::{Reply, Server};
use super::{ms, order, turn};
use crate::domain::measurement::{ErrorKind, Histogram, Measurement};
use crate::domain::ramp::{RampEnd, RampPhase};
use crate::domain::slo::Slo;
use crate::domain::verdict::Next;
use crate::load::guard::Limits;
use crate::load::ramp::{Ears, conduct};
use crate::load::script::Script;
use crate::load::stage::Stage;
use crate::load::{Driver, GooseDriver, LoadError, Onlooker, Signal, client};

const HOME: &str = "[[flow]]\nname='home'\nstep=[{get='/', name='home'}]";

/// Drives, with a limit on the test's own patience.
async fn drive(driver: &GooseDriver, order: crate::load::Order) -> Result<Measurement, LoadError> {
    tokio::time::timeout(ms(60_000), driver.drive(order)).await.expect("a ramp ends")
}

fn quick_breakers() -> GooseDriver {
    GooseDriver::with_limits(Limits { span: 2, ..Limits::of(&Slo::default()) })
}

fn p95(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[(times.len() * 95).div_ceil(100) - 1].as_secs_f64() * 1000.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_body_is_a_slow_answer_and_counts_are_the_server_s() {
    let _turn = turn().await;
    let server = Server::start(|asked| {
        // 20 of 100 answers are slow, and only in their bodies.
        let slow = asked.header("x-dice").parse::<u32>().unwrap() < 20;
        Reply::ok().after(5, if slow { 100 } else { 0 })
    })
    .await;
    let flow = "[[flow]]\nname='home'\nstep=[{get='/', name='home', headers={x-dice='{{random 0 99}}'}}]";
    let (order, mut heard) = order(&server, flow, 20, ms(4000));
    let measured = drive(&GooseDriver::default(), order).await.unwrap();

    assert_eq!(measured.end, RampEnd::Completed);
    assert_eq!(measured.requests, measured.latency.count() + measured.errors.total() + measured.blocked);
    assert_eq!((measured.errors.total(), measured.blocked), (0, 0));
    assert!((measured.hold_seconds - 4.0).abs() < 0.01 && measured.windows.len() == 4);
    assert_eq!(measured.windows.iter().map(|w| w.requests).sum::<u64>(), measured.requests);
    assert!(measured.windows.iter().all(|w| w.generator.sockets > 0), "every second has a generator");
    // 20 users, one request every 200 ms and a bit: some 300 in 4 s.
    assert!((150..500).contains(&measured.requests), "{}", measured.requests);

    // Generous, for machines that are busy with something else; what must not happen is that the body is overlooked.
    let truth = p95(server.served_since(server.asked()[0].at));
    let whole = measured.latency.quantile_ms(0.95).unwrap();
    assert!(whole >= 100.0 && (whole - truth).abs() < 150.0, "measured {whole}, the server says {truth}");
    let slow = |times: &Histogram| times.buckets().filter(|(micros, _)| *micros >= 100_000).map(|b| b.1).sum::<u64>();
    let (bodies, heads) = (slow(&measured.latency), slow(&measured.first_byte));
    assert!(bodies * 10 > measured.requests, "one in five bodies is late, but only {bodies} were seen");
    assert!(heads < bodies, "all headers come after 5 ms: {heads} of {bodies}");

    heard.close();
    let (mut phases, mut pulses) = (Vec::new(), Vec::new());
    while let Some(signal) = heard.recv().await {
        match signal {
            Signal::Phase(phase, users) => phases.push((phase, users)),
            Signal::Pulse(pulse) => pulses.push(*pulse),
            Signal::Note(note) => assert!(note.contains("health endpoint"), "{note}"),
        }
    }
    let expected = [(RampPhase::Climb, 1), (RampPhase::Settle, 20), (RampPhase::Hold, 20), (RampPhase::Drain, 0)];
    assert_eq!(phases, expected);
    assert!(pulses.len() >= 4 && pulses.windows(2).all(|p| p[0].second < p[1].second));
    let last = pulses.last().unwrap();
    assert!(last.statuses["2xx"] > 0);
    // What ended behind the last whole second is not in it: at most a quarter of these few.
    let (counted, seen) = (usize::try_from(last.total).unwrap(), server.count());
    assert!((seen * 3 / 4..=seen).contains(&counted), "counted {counted}, the server saw {seen}");
    assert!(measured.requests <= server.count() as u64, "nothing is counted that the server did not see");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_traffic_within_a_second_and_keeps_what_was_seen() {
    let _turn = turn().await;
    let server = Server::start(|_| Reply::ok().after(400, 0)).await;
    let (mut order, _heard) = order(&server, HOME, 30, ms(20_000));
    order.plan.think = crate::domain::flow::Think::Even { least: ms(0), most: ms(50) };
    let stop = order.stop.clone();
    let ramp = tokio::spawn(async move { drive(&GooseDriver::default(), order).await });
    let patience = Instant::now();
    while server.count() < 150 && patience.elapsed() < ms(15_000) {
        tokio::time::sleep(ms(10)).await;
    }
    let stopped = Instant::now();
    stop.cancel();
    let measured = ramp.await.unwrap().unwrap();
    let took = stopped.elapsed();
    tokio::time::sleep(ms(500)).await;
    let last = server.asked().iter().map(|a| a.at).max().unwrap();
    let traffic = last.saturating_duration_since(stopped);
    eprintln_figures(&format!("stop: traffic ended after {traffic:?}, the ramp after {took:?}"));
    assert!(traffic < ms(1000), "requests for {traffic:?} after the stop");
    assert!(took < ms(4000), "{took:?}");
    assert_eq!(measured.end, RampEnd::Aborted("stopped from outside".into()));
    assert!(measured.requests > 0 && measured.errors.total() == 0, "{measured:?}");
    assert!(measured.hold_seconds > 0.0 && measured.hold_seconds < 19.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_ramp_stops_its_traffic() {
    let _turn = turn().await;
    let server = Server::start(|_| Reply::ok()).await;
    let (order, _heard) = order(&server, HOME, 10, ms(20_000));
    let seen = server.clone();
    let ramp = tokio::spawn(async move { drive(&GooseDriver::default(), order).await });
    let patience = Instant::now();
    while seen.count() < 20 && patience.elapsed() < ms(15_000) {
        tokio::time::sleep(ms(10)).await;
    }
    ramp.abort();
    let _ = ramp.await;
    tokio::time::sleep(ms(300)).await;
    let count = server.count();
    tokio::time::sleep(ms(700)).await;
    assert_eq!(server.count(), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_fails_is_left_alone_soon() {
    let _turn = turn().await;
    let server = Server::start(|_| Reply::new(500, "oh no")).await;
    let (order, _heard) = order(&server, HOME, 20, ms(30_000));
    let started = Instant::now();
    let measured = drive(&quick_breakers(), order).await.unwrap();
    let RampEnd::Aborted(why) = &measured.end else { panic!("{:?}", measured.end) };
    assert!(why.contains("error rate 100.0 %"), "{why}");
    assert!(started.elapsed() < ms(12_000));
    assert_eq!(measured.errors.0.keys().collect::<Vec<_>>(), [&ErrorKind::ServerError]);
    assert_eq!(measured.latency.count(), 0, "failures have no latency to be proud of");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_server_trips_the_breaker_that_looks_at_what_is_under_way() {
    let _turn = turn().await;
    let server = Server::start(|_| Reply { stall: true, ..Reply::ok() }).await;
    let (mut order, _heard) = order(&server, HOME, 10, ms(30_000));
    order.plan.timeout = ms(20_000);
    order.slo.p95_ms = 100.0;
    let driver = GooseDriver::with_limits(Limits { span: 2, ..Limits::of(&order.slo) });
    let measured = drive(&driver, order).await.unwrap();
    let RampEnd::Aborted(why) = &measured.end else { panic!("{:?}", measured.end) };
    assert!(why.contains("10 requests without an answer"), "{why}");
    assert_eq!(measured.requests, 0, "what we cut ourselves is no error of the site");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_or_breaks_off_is_an_error_of_its_kind() {
    let _turn = turn().await;
    let server = Server::start(|asked| match asked.path.as_str() {
        "/hangs" => Reply { stall: true, ..Reply::ok() },
        "/breaks" => Reply { break_off: true, ..Reply::ok() },
        "/odd" => Reply::new(404, "gone"),
        "/edge" => Reply::new(429, "slow down").header("cf-ray", "1"),
        _ => Reply::new(200, "a page without the word"),
    })
    .await;
    let flows: Vec<_> = ["hangs", "breaks", "odd", "edge", "page"]
        .map(|f| format!("[[flow]]\nname='{f}'\nstep=[{{get='/{f}', name='{f}', expect_text='welcome'}}]"))
        .into();
    let (mut order, _heard) = order(&server, &flows.join("\n"), 10, ms(2500));
    order.plan.timeout = ms(1000);
    let patient = GooseDriver::with_limits(Limits { span: 60, ..Limits::of(&order.slo) });
    let measured = drive(&patient, order).await.unwrap();
    assert_eq!(measured.end, RampEnd::Completed);
    for (endpoint, kind) in [
        ("hangs", ErrorKind::Timeout),
        ("breaks", ErrorKind::Truncated),
        ("odd", ErrorKind::UnexpectedStatus),
        ("page", ErrorKind::Assertion),
    ] {
        let seen = &measured.endpoints[endpoint];
        assert!(seen.requests > 0, "{endpoint}");
        assert_eq!(seen.errors.0.get(&kind), Some(&seen.requests), "{endpoint}: {seen:?}");
    }
    assert!(measured.blocked > 0 && measured.blocked == measured.endpoints["edge"].requests);
    assert_eq!(measured.latency.count(), 0);
    assert_eq!(measured.requests, measured.errors.total() + measured.blocked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_port_is_a_connect_error() {
    let _turn = turn().await;
    let server = Server::start(|_| Reply::ok()).await;
    let (mut order, _heard) = order(&server, HOME, 5, ms(1500));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    order.target = url::Url::parse(&format!("http://{free}/")).unwrap();
    let patient = GooseDriver::with_limits(Limits { span: 60, ..Limits::of(&order.slo) });
    let measured = drive(&patient, order).await.unwrap();
    assert_eq!(measured.errors.0.get(&ErrorKind::Connect), Some(&measured.requests));
    assert!(measured.requests > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sick_health_endpoint_ends_the_ramp() {
    let _turn = turn().await;
    let server = {
        let asked = std::sync::atomic::AtomicU32::new(0);
        Server::start(move |request| match request.path.as_str() {
            "/healthz" if asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0 => Reply::new(503, ""),
            _ => Reply::ok(),
        })
        .await
    };
    let (mut order, mut heard) = order(&server, HOME, 3, ms(30_000));
    order.health = "/healthz".into();
    let measured = drive(&GooseDriver::default(), order).await.unwrap();
    assert_eq!(measured.end, RampEnd::Aborted("the health endpoint failed 3 times in a row".into()));
    heard.close();
    while let Some(signal) = heard.recv().await {
        assert!(!matches!(signal, Signal::Note(_)), "it worked at first: {signal:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_cannot_be_driven_is_refused_before_the_first_request() {
    let _turn = turn().await;
    let server = Server::start(|_| Reply::ok()).await;
    let (mut nobody, _heard) = order(&server, HOME, 0, ms(1000));
    assert!(matches!(drive(&GooseDriver::default(), nobody.clone()).await, Err(LoadError::Plan(_))));
    nobody.plan.users = u32::MAX / 4;
    assert!(matches!(drive(&GooseDriver::default(), nobody.clone()).await, Err(LoadError::OpenFiles { .. })));
    nobody.plan.users = 1;
    nobody.mix.flows.clear();
    assert!(drive(&GooseDriver::default(), nobody).await.is_err());
    assert_eq!(server.count(), 0);
}

/// Figures for `--nocapture`.
#[expect(clippy::print_stderr, reason = "figures are wanted when a person asks the test for them")]
fn eprintln_figures(text: &str) {
    eprintln!("{text}");
}

#[tokio::test]
async fn users_that_break_off_in_silence_spoil_the_measurement() {
    let server = Server::start(|_| Reply::ok()).await;
    let (order, _heard) = order(&server, HOME, 3, ms(5000));
    let script = Script::compile(&order.mix, order.passwords.clone()).unwrap();
    let wires = client::prepare(&order.target, &[], order.plan.timeout).await.unwrap();
    let stage = Arc::new(Stage::new(order.plan, order.target, script, wires));
    // Three come, one panics; nobody tells the ramp.
    for user in 0..3 {
        let stage = stage.clone();
        tokio::spawn(async move {
            let _alive = stage.enter();
            assert!(user != 1, "this user falls over");
            stage.cut.cancelled().await;
        });
    }
    let ears = Ears {
        stop: order.stop,
        engine_gone: CancellationToken::new(),
        heartbeat: None,
        slo: order.slo.clone(),
        limits: Limits::of(&order.slo),
        looks: order.looks,
        signals: order.pulses,
    };
    let measured = conduct(stage, ears).await;
    let RampEnd::Invalid(why) = measured.end else { panic!("{:?}", measured.end) };
    assert!(why.contains("1 of 3 users broke off"), "{why}");
}

/// A plan of ten users with two rungs past them, at a server that is slow or broken once the hold is over.
async fn past_the_hold(spoil: fn(Reply) -> Reply, stop: bool) -> (Measurement, Vec<(RampPhase, u32)>) {
    let over = Arc::new(AtomicBool::new(false));
    let spoiled = over.clone();
    let server = Server::start(move |_| {
        let reply = Reply::ok().after(20, 0);
        if spoiled.load(Ordering::SeqCst) { spoil(reply) } else { reply }
    })
    .await;
    let (mut order, mut heard) = order(&server, HOME, 10, ms(2000));
    order.plan.beyond = vec![20, 30];
    order.plan.rung_hold = ms(1800);
    order.looks = Onlooker::new(|_, _| Next::Beyond);
    let token = order.stop.clone();
    let mut phases = Vec::new();
    let listening = async {
        while let Some(signal) = heard.recv().await {
            if let Signal::Phase(phase, users) = signal {
                over.fetch_or(phase == RampPhase::Beyond, Ordering::SeqCst);
                if stop && phase == RampPhase::Beyond {
                    token.cancel();
                }
                phases.push((phase, users));
            }
        }
    };
    let driver = quick_breakers();
    let (measured, ()) = tokio::join!(drive(&driver, order), listening);
    (measured.unwrap(), phases)
}

#[tokio::test(flavor = "multi_thread")]
async fn rungs_past_the_hold_show_where_it_breaks_and_leave_the_hold_alone() {
    let _turn = turn().await;
    let (healthy, phases) = past_the_hold(|reply| reply, false).await;
    let in_order = [RampPhase::Climb, RampPhase::Settle, RampPhase::Hold, RampPhase::Beyond, RampPhase::Drain];
    assert_eq!(phases.iter().map(|p| p.0).collect::<Vec<_>>(), in_order);
    assert_eq!(healthy.rungs.iter().map(|r| r.users).collect::<Vec<_>>(), [20, 30]);
    assert!(healthy.rungs[1].rps() > healthy.rungs[0].rps(), "more users ask more: {:?}", healthy.rungs);
    assert_eq!((&healthy.end, &healthy.beyond_ended), (&RampEnd::Completed, &None));

    let (slow, _) = past_the_hold(|reply| reply.after(450, 0), false).await;
    assert_eq!(slow.beyond_ended.as_deref(), Some("the promise broke at 20 users"));
    let (failing, _) = past_the_hold(|_| Reply::new(500, "too many"), false).await;
    let why = failing.beyond_ended.as_deref().unwrap();
    assert!(why.starts_with("error rate ") || why == "the promise broke at 20 users", "{why}");
    let (stopped, _) = past_the_hold(|reply| reply, true).await;
    assert_eq!((stopped.beyond_ended.as_deref(), stopped.rungs.len()), (Some("stopped from outside"), 0));

    for held in [&healthy, &slow, &failing, &stopped] {
        assert_eq!((&held.end, held.users, held.windows.len(), held.looks), (&RampEnd::Completed, 10, 2, 1));
        assert_eq!(held.latency.count() + held.errors.total(), held.requests);
        assert!((40..130).contains(&held.requests), "ten users for two seconds: {}", held.requests);
        // What was due in the hold's last moments may have met the spoiled server.
        assert!(held.errors.total() <= 10 && held.latency.quantile_ms(0.5) < Some(300.0), "{held:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undecided_hold_goes_on_and_a_decided_one_ends_as_it_was() {
    let _turn = turn().await;
    let server = Server::start(|_| Reply::ok()).await;
    for (undecided, seconds, looks) in [(0, 2, 1), (1, 4, 2), (9, 6, 3)] {
        let (mut order, mut heard) = order(&server, HOME, 10, ms(2000));
        order.plan.extensions = 2;
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let shown = seen.clone();
        order.looks = Onlooker::new(move |m, look| {
            // The load goes on while somebody thinks.
            std::thread::sleep(ms(300));
            let mut seen = shown.lock().unwrap();
            seen.push((look, m.hold_seconds.round() as u64, m.requests));
            if seen.len() > undecided { Next::Stop } else { Next::Hold(Some(format!("look {look}"))) }
        });
        let measured = drive(&GooseDriver::default(), order).await.unwrap();
        assert_eq!(measured.end, RampEnd::Completed);
        assert_eq!((measured.windows.len(), measured.looks), (seconds, looks));
        assert!((measured.hold_seconds - seconds as f64).abs() < 0.01, "{}", measured.hold_seconds);
        assert_eq!(measured.windows.iter().map(|w| w.requests).sum::<u64>(), measured.requests);
        let quietest = measured.windows.iter().map(|w| w.requests).min();
        assert!(quietest > Some(5), "no second is lost between looks: {:?}", measured.windows);
        // The last look of a plan is nobody's to ask about.
        let seen = seen.lock().unwrap().clone();
        let asked: Vec<_> = (1..=u64::from(looks.min(2))).map(|look| (look as u8, 2 * look)).collect();
        assert_eq!(seen.iter().map(|s| (s.0, s.1)).collect::<Vec<_>>(), asked);
        assert!(seen.iter().all(|s| s.2 <= measured.requests) && seen[0].2 > 0, "{seen:?}");
        heard.close();
        let mut notes = 0;
        while let Some(signal) = heard.recv().await {
            notes += usize::from(matches!(&signal, Signal::Note(text) if text.starts_with("look ")));
        }
        assert_eq!(notes, seen.len() - usize::from(seen.len() > undecided));
    }
}
