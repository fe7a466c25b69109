//! The story's events: step 5 held by its checks, then run whole, second by second, to its verdict.

use std::collections::BTreeMap;

use rampup::domain::check::{CheckOutcome, Evidence, Finding, Missing, Rung};
use rampup::domain::diagnosis::{Change, Compared, Diagnosis, Knee, KneeRung, Moved, Mover};
use rampup::domain::event::Feed;
use rampup::domain::event::{Event, EventKind, SCHEMA};
use rampup::domain::ids::{CheckId, TaskId};
use rampup::domain::measurement::{Endpoint, ErrorKind, ErrorKinds, FarSide, Histogram, Measurement, Window, series};
use rampup::domain::progress::StepState;
use rampup::domain::ramp::{GeneratorSample, LoadPulse, RampEnd, RampPhase, ServerSample};
use rampup::domain::slo::Slo;
use rampup::domain::step::Level;
use rampup::domain::verdict::{Objective, ObjectiveOutcome, RampOutcome, Verdict};
use serde_json::json;

use super::{CLIMB, Ending, HOLD, USERS, at, claim, contract, plan, run_id, states, step_id};

const SETTLE: u32 = 24;
const DRAIN: u32 = 2;
const RAMP: TaskId = TaskId(90);

/// Numbers events and sets their clock.
struct Tape {
    feeds: Vec<Feed>,
    seq: u64,
    second: i64,
}

impl Tape {
    fn new() -> Self {
        Self { feeds: Vec::new(), seq: 0, second: 0 }
    }

    fn say(&mut self, kind: EventKind) {
        let event = Event { v: SCHEMA, seq: self.seq, at: at(self.second), run: run_id(), kind };
        self.seq += 1;
        self.feeds.push(Feed::Event(Box::new(event)));
    }

    fn check(&mut self, task: u64, check: &str, level: Level, title: &str, how: Rung, outcome: CheckOutcome) {
        let (task, check, step) = (TaskId(task), CheckId::from(check), step_id(5));
        self.say(EventKind::CheckStarted { task, step, check: check.clone() });
        self.second += 1;
        let facts = match check.0.as_str() {
            "pool.in-path" => json!({
                "asked": "backend pids seen by 24 requests",
                "through_pool": if outcome.opens() { 24 } else { 16 },
                "direct": if outcome.opens() { 0 } else { 8 },
                "ports": { "app": if outcome.opens() { 6432 } else { 5432 }, "pool": 6432 },
            }),
            "pool.multiplexes" => json!({ "clients_peak": 36, "servers_peak": 14, "waiting_peak": 0 }),
            _ => json!({ "answered": true, "pool_mode": "transaction" }),
        };
        self.say(EventKind::CheckFinished {
            evidence: Evidence {
                task,
                step,
                check,
                title: title.to_owned(),
                level,
                facts,
                outcome,
                how,
                at: at(self.second),
                took_ms: 180 + self.seq * 37,
            },
        });
    }
}

fn fail(seen: &str, todo: &str) -> CheckOutcome {
    CheckOutcome::Fail(vec![Finding { seen: seen.to_owned(), todo: todo.to_owned() }])
}

/// Step 5 before the fix: two checks hold it, no load is sent.
pub fn held() -> Vec<Feed> {
    let mut tape = Tape::new();
    tape.feeds.push(Feed::Busy(true));
    tape.say(EventKind::StepStarted { step: step_id(5), contract: contract() });
    tape.check(
        1,
        "pool.in-path",
        Level::Required,
        "the app reaches PostgreSQL through PgBouncer",
        Rung::Caused,
        fail(
            "8 of 24 requests reached PostgreSQL on port 5432 directly",
            "point DATABASE_URL of the service \"worker\" at PgBouncer's port 6432 (config/settings.py:41) and restart it",
        ),
    );
    tape.check(
        2,
        "pool.transaction-mode",
        Level::Required,
        "PgBouncer lends per transaction",
        Rung::Counted,
        CheckOutcome::Pass,
    );
    tape.check(
        3,
        "pool.cursors-off",
        Level::Required,
        "no server-side cursor outlives its transaction",
        Rung::Observed,
        CheckOutcome::Unknown(Missing::new(
            "PgBouncer's console did not answer: connection refused",
            "set PGBOUNCER_URL and name it in [services] pooler_console_env",
        )),
    );
    tape.check(
        4,
        "pool.idle-timeout",
        Level::Advised,
        "idle connections are given back",
        Rung::Repo,
        CheckOutcome::Weak(vec![Finding {
            seen: "pgbouncer.ini says server_idle_timeout = 600, nobody saw it act".to_owned(),
            todo: "nothing to do now; the next ramp will show it".to_owned(),
        }]),
    );
    tape.say(EventKind::StepJudged {
        step: step_id(5),
        state: StepState::Held,
        sentence: "Two checks hold the step, so no load was sent.".to_owned(),
        contract: contract(),
        users: None,
        p95_ms: None,
        error_percent: None,
        requests: 0,
        seconds: 4.0,
        held_by: vec![
            "pool.in-path: 8 of 24 requests reached PostgreSQL on port 5432 directly".to_owned(),
            "pool.cursors-off: PgBouncer's console did not answer: connection refused".to_owned(),
        ],
        waived: Vec::new(),
    });
    tape.feeds.push(Feed::States(states(StepState::Held)));
    tape.feeds.push(Feed::Busy(false));
    tape.feeds
}

/// Step 5 after the fix: all checks, the ramp, the verdict.
pub fn climbed(ending: Ending) -> Vec<Feed> {
    let mut tape = Tape::new();
    tape.second = 600;
    tape.feeds.push(Feed::Busy(true));
    tape.say(EventKind::Note { text: "fix 5 applied to the practice stack".to_owned() });
    tape.say(EventKind::StepStarted { step: step_id(5), contract: contract() });
    let passing = [
        ("pool.in-path", Level::Required, "the app reaches PostgreSQL through PgBouncer", Rung::Caused),
        ("pool.transaction-mode", Level::Required, "PgBouncer lends per transaction", Rung::Counted),
        ("pool.cursors-off", Level::Required, "no server-side cursor outlives its transaction", Rung::Observed),
        ("pool.idle-timeout", Level::Advised, "idle connections are given back", Rung::Observed),
    ];
    for (task, (check, level, title, how)) in (10..).zip(passing) {
        tape.check(task, check, level, title, how, CheckOutcome::Pass);
    }
    tape.say(EventKind::RampStarted {
        task: RAMP,
        step: step_id(5),
        plan: plan(),
        slo: Slo::default(),
        claim: claim(),
    });
    ramp(&mut tape, ending);
    if ending == Ending::Holds {
        tape.check(
            14,
            "pool.multiplexes",
            Level::Required,
            "PgBouncer serves more clients than it holds connections",
            Rung::Counted,
            CheckOutcome::Pass,
        );
    }
    verdict(&mut tape, ending);
    tape.feeds.push(Feed::Busy(false));
    tape.feeds
}

/// A number between -1 and 1 that looks like noise and is always the same.
fn noise(second: u32, of: u32) -> f64 {
    let mut n = second.wrapping_mul(0x9e37_79b9) ^ of.wrapping_mul(0x85eb_ca6b);
    for _ in 0..2 {
        n = (n ^ (n >> 15)).wrapping_mul(0x2c1b_3c6d);
    }
    f64::from((n >> 8) % 2001) / 1000.0 - 1.0
}

fn ramp(tape: &mut Tape, ending: Ending) {
    let mut total = 0;
    let mut total_errors = 0;
    let mut processed = 4200.0;
    let worse = if ending == Ending::Breaks { 1.85 } else { 1.0 };
    for second in 1..=CLIMB + SETTLE + HOLD + DRAIN {
        let (phase, spent) = match second {
            s if s <= CLIMB => (RampPhase::Climb, s),
            s if s <= CLIMB + SETTLE => (RampPhase::Settle, s - CLIMB),
            s if s <= CLIMB + SETTLE + HOLD => (RampPhase::Hold, s - CLIMB - SETTLE),
            s => (RampPhase::Drain, s - CLIMB - SETTLE - HOLD),
        };
        let users = (USERS * second / CLIMB).min(USERS);
        tape.second += 1;
        if spent == 1 {
            tape.say(EventKind::RampPhase { task: RAMP, step: step_id(5), phase, users });
        }
        let load = f64::from(users) / f64::from(USERS);
        let p50 = 38.0 + 14.0 * load + noise(second, 1) * 4.0;
        let bump = if second == 31 { 160.0 } else { 0.0 };
        let p95 = (70.0 + 110.0 * load * load) * (1.0 + (worse - 1.0) * load) + noise(second, 2) * 16.0 + bump;
        let p99 = p95 * (1.45 + noise(second, 3).abs() * 0.5);
        let drain = phase == RampPhase::Drain;
        let rps = if drain { 3.0 } else { 27.0 * load + noise(second, 4) * 1.6 * load };
        let errors = u64::from(second % 37 == 0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few requests")]
        let finished = rps.round() as u64;
        total += finished;
        total_errors += errors;
        let mut statuses = BTreeMap::from([("2xx".to_owned(), total - total / 31 - total_errors)]);
        statuses.insert("3xx".to_owned(), total / 31);
        statuses.insert("5xx".to_owned(), total_errors);
        tape.say(EventKind::Pulse {
            pulse: LoadPulse {
                second,
                phase,
                phase_seconds: spent,
                users,
                in_flight: if drain { 1 } else { users / 60 + 1 },
                oldest_ms: 90.0 + p99,
                rps,
                p50_ms: Some(p50),
                p95_ms: Some(p95),
                p99_ms: Some(p99),
                hold_p95_ms: (phase == RampPhase::Hold).then(|| (180.0 + noise(second / 9, 6) * 5.0) * worse),
                errors,
                blocked: 0,
                edge_answers: 0,
                edge_hits: 0,
                total,
                total_errors,
                total_blocked: 0,
                statuses,
                generator: GeneratorSample {
                    lag_ms: 1.4 + noise(second, 7).abs(),
                    cpu: 0.08 + 0.3 * load,
                    sockets: 24 + users,
                    ..GeneratorSample::default()
                },
            },
        });
        processed += (2.0 * load).round();
        let hits = (18.0 * load + noise(second, 8)).round().max(0.0);
        let values = BTreeMap::from([
            (series::PG_BACKENDS.to_owned(), 9.0 + (5.0 * load).round()),
            (series::PG_ACTIVE.to_owned(), (4.0 * load + noise(second, 9)).round().max(0.0)),
            (series::PG_WAITING.to_owned(), if ending == Ending::Breaks { (3.0 * load).round() } else { 0.0 }),
            (series::POOL_CLIENTS.to_owned(), (36.0 * load).round()),
            (series::POOL_SERVERS.to_owned(), 6.0 + (8.0 * load).round()),
            (
                series::POOL_WAITING.to_owned(),
                if ending == Ending::Breaks { (11.0 * load * load).round() } else { 0.0 },
            ),
            (series::CACHE_HITS.to_owned(), hits),
            (series::CACHE_MISSES.to_owned(), (hits * 0.06 + 0.4).round()),
            (series::CACHE_EVICTED.to_owned(), 0.0),
            (series::QUEUE_DEPTH.to_owned(), (6.0 * load + noise(second, 11) * 2.0).round().max(0.0)),
            (series::QUEUE_PROCESSED.to_owned(), processed),
        ]);
        tape.say(EventKind::Sample { sample: ServerSample { second, values } });
    }
}

/// A second of the hold as the measurement keeps it.
pub fn window(pulse: &LoadPulse) -> Window {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few requests")]
    let requests = pulse.rps.round() as u64;
    let latency = endpoint(pulse.p95_ms.unwrap_or_default(), requests.max(1), 0).latency;
    Window { requests, errors: pulse.errors, latency, generator: pulse.generator, ..Window::default() }
}

fn endpoint(p95_ms: f64, requests: u64, errors: u64) -> Endpoint {
    let mut latency = Histogram::new();
    for i in 0..requests - errors {
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let share = i as f64 / (requests - errors) as f64;
        // A curve that passes through the wanted value at 0.95.
        let ms = p95_ms * (0.2 + 0.8 * (share / 0.95).powi(4));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds")]
        latency.record((ms * 1000.0) as u64);
    }
    let mut kinds = ErrorKinds::default();
    (0..errors).for_each(|_| kinds.add(ErrorKind::ServerError));
    Endpoint { requests, errors: kinds, latency, ..Endpoint::default() }
}

fn measurement(ending: Ending) -> Measurement {
    let worse = if ending == Ending::Breaks { 1.85 } else { 1.0 };
    let mut endpoints = BTreeMap::new();
    for (name, p95, requests, errors) in [
        ("/", 96.0, 420, 0),
        ("/menu/", 142.0, 380, 0),
        ("/search/", 205.0, 260, 1),
        ("/cart/add/", 118.0, 240, 0),
        ("/checkout/", 238.0, 180, 1),
        ("/login/", 171.0, 120, 0),
    ] {
        endpoints.insert(name.to_owned(), endpoint(p95 * worse, requests, errors));
    }
    let mut latency = Histogram::new();
    let mut errors = ErrorKinds::default();
    for e in endpoints.values() {
        latency.merge(&e.latency);
        (0..e.errors.total()).for_each(|_| errors.add(ErrorKind::ServerError));
    }
    Measurement {
        users: USERS,
        hold_seconds: f64::from(HOLD),
        settle_seconds: f64::from(SETTLE),
        settle_limit_reached: ending == Ending::Unsure,
        requests: 1600,
        errors,
        blocked: 0,
        latency,
        first_byte: Histogram::new(),
        endpoints,
        windows: Vec::new(),
        end: RampEnd::Completed,
        ..Measurement::default()
    }
}

fn objective(name: &str, unit: &str, limit: f64, figures: [f64; 3], outcome: ObjectiveOutcome) -> Objective {
    Objective {
        name: name.to_owned(),
        unit: unit.to_owned(),
        limit,
        value: Some(figures[0]),
        low: Some(figures[1]),
        high: Some(figures[2]),
        n: 1600,
        outcome,
        more_seconds: (outcome == ObjectiveOutcome::Inconclusive).then_some(85.0),
    }
}

/// A climb in steps that broke, and the clock that says what moved first.
fn diagnosis(ending: Ending) -> Diagnosis {
    let compared = Compared::Ratio {
        at: at(-86_400),
        ratio: if ending == Ending::Breaks { [1.85, 1.61, 2.1] } else { [1.02, 0.91, 1.14] },
        change: if ending == Ending::Breaks { Change::Slower } else { Change::None },
    };
    if ending != Ending::Breaks {
        return Diagnosis { compared, ..Diagnosis::default() };
    }
    let mover = |series: &str, words: &str, second, from, to, step| Mover {
        series: series.to_owned(),
        words: words.to_owned(),
        second,
        from,
        to,
        step,
    };
    let moved = Moved {
        p95: Some(mover(series::LOAD_P95, "p95, ms", 29, 82.0, 286.0, None)),
        first: vec![
            mover(series::POOL_WAITING, "PgBouncer clients waiting", 25, 0.0, 6.0, Some(5)),
            mover(series::PG_ACTIVE, "active PostgreSQL statements", 28, 1.0, 9.0, Some(9)),
        ],
        users: Some(140),
        unseen: vec!["Redis".to_owned()],
    };
    let rung = |users: u32, rps, p95: f64| KneeRung {
        users,
        rps,
        errors: 0,
        p95_ms: Some(p95),
        low: Some(p95 * 0.9),
        high: Some(p95 * 1.1),
    };
    let knee = Knee {
        rungs: vec![rung(50, 6.6, 78.0), rung(100, 13.1, 84.0), rung(150, 19.0, 161.0), rung(200, 22.4, 335.0)],
        bent_at: Some(150),
        breaks: Some((150, 200)),
        ceiling: Some(([25.0, 22.0, 31.0], Some(260.0))),
        why: String::new(),
        configured: Vec::new(),
        ended: None,
    };
    Diagnosis { moved: Some(moved), knee: Some(knee), compared }
}

fn verdict(tape: &mut Tape, ending: Ending) {
    use ObjectiveOutcome::{Fail, Inconclusive, Pass};
    let (p95, errors, outcome, state, sentence) = match ending {
        Ending::Holds => (
            objective("p95", "ms", 300.0, [181.0, 174.0, 190.0], Pass),
            objective("errors", "%", 0.5, [0.13, 0.02, 0.41], Pass),
            RampOutcome::Pass,
            StepState::Proven,
            "200 users held for 60 s: p95 181 ms (at most 190) against 300, errors 0.13 % (at most 0.41) against 0.5.",
        ),
        Ending::Breaks => (
            objective("p95", "ms", 300.0, [335.0, 321.0, 352.0], Fail),
            objective("errors", "%", 0.5, [0.13, 0.02, 0.41], Pass),
            RampOutcome::Fail,
            StepState::Held,
            "Broke at 200 users: p95 335 ms (at least 321) against 300.",
        ),
        Ending::Unsure => (
            objective("p95", "ms", 300.0, [181.0, 174.0, 190.0], Pass),
            objective("errors", "%", 0.5, [0.38, 0.14, 0.71], Inconclusive),
            RampOutcome::Inconclusive,
            StepState::Held,
            "Not enough seconds to be sure: errors 0.38 %, between 0.14 and 0.71 against 0.5; about 85 s more would decide.",
        ),
    };
    let verdict = Verdict {
        outcome,
        sentence: sentence.to_owned(),
        objectives: vec![p95.clone(), errors.clone()],
        worst_window: Some((p95.value.unwrap_or(0.0) * 1.12, 31)),
        tainted: 0.0,
        notes: match ending {
            Ending::Holds => vec!["the hold was steady: second half 3 ms slower, inside its interval".to_owned()],
            Ending::Breaks => vec!["11 clients waited for a connection at the peak".to_owned()],
            Ending::Unsure => vec!["settling reached its limit of 60 s".to_owned()],
        },
        diagnosis: diagnosis(ending),
    };
    tape.say(EventKind::RampFinished {
        task: RAMP,
        step: step_id(5),
        measurement: Box::new(measurement(ending)),
        far_side: Box::new(FarSide::default()),
        verdict,
    });
    let figures = |o: &Objective| Some([o.value?, o.low?, o.high?]);
    tape.say(EventKind::StepJudged {
        step: step_id(5),
        state,
        sentence: sentence.to_owned(),
        contract: contract(),
        users: (ending != Ending::Unsure).then_some(USERS),
        p95_ms: figures(&p95),
        error_percent: figures(&errors),
        requests: 1600,
        seconds: 131.0,
        held_by: Vec::new(),
        waived: Vec::new(),
    });
    tape.feeds.push(Feed::States(states(state)));
}
