//! A climb made by hand: what a session looks like from the screen's side, with a fixed clock and no chance in it.
//!
//! Steps 1, 2 and 4 are proven and 3 is waived; step 5 is run and held by two checks; after a fix it is run again, through its ramp.
//! Used by the screen tests, the terminal tests and the example that plays it.
#![expect(clippy::expect_used, reason = "a story that cannot be told is a broken test")]

mod tape;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rampup::domain::command::Waiver;
use rampup::domain::event::{Event, EventKind, Feed, SCHEMA};
use rampup::domain::fingerprint::Contract;
use rampup::domain::flow::Think;
use rampup::domain::ids::{CheckId, RunId, StepId};
use rampup::domain::measurement::{Engine, FarSide, RampRecord};
use rampup::domain::progress::{Outdated, Progress, StepState};
use rampup::domain::ramp::{Claim, Model, RampPhase, RampPlan};
use rampup::domain::slo::Slo;
use rampup::domain::step::{CheckLine, Gate, Level, Step};
use rampup::domain::verdict::RampOutcome;
use rampup::tui::{Look, Start};
pub use tape::{climbed, held};

/// How the ramp of the story ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Inside the SLO.
    Holds,
    /// p95 well over the limit.
    Breaks,
    /// Not enough seconds to be sure.
    Unsure,
}

const CLIMB: u32 = 40;
const HOLD: u32 = 60;
const USERS: u32 = 200;

pub fn step_id(number: u8) -> StepId {
    StepId::new(number).expect("a step of the story")
}

/// When the story begins.
pub fn dawn() -> Timestamp {
    "2026-11-23T14:00:00Z".parse().expect("an instant")
}

fn at(seconds: i64) -> Timestamp {
    dawn() + SignedDuration::from_secs(seconds)
}

fn run_id() -> RunId {
    RunId::from("20261123T140000Z-51a7")
}

fn contract() -> Contract {
    Contract {
        playbook: "p".to_owned(),
        slo: "s".to_owned(),
        flows: "f".to_owned(),
        site: "w".into(),
        target: "http://127.0.0.1:8080".to_owned(),
        quick: false,
    }
}

const GUIDE: &str = "\
## Why

Every web worker holds a PostgreSQL connection of its own, and PostgreSQL pays several MB for each. At 200 users nine
workers with four threads may hold 36; the next deploy doubles them while old and new overlap. **PgBouncer** lends a
few real connections to all of them, for one transaction at a time.

## Do

1. Start PgBouncer next to PostgreSQL, with `pool_mode = transaction`.
2. Point `DATABASE_URL` at port 6432.
3. Turn off server-side cursors, since the next query may get another connection:

```python
# config/settings.py
DATABASES[\"default\"].update({
    \"CONN_MAX_AGE\": 60,
    \"DISABLE_SERVER_SIDE_CURSORS\": True,
})
```

4. Keep migrations on the direct connection:
   - `DATABASE_URL_DIRECT` for `manage.py migrate`
   - nothing else may use it

## Verify

`r` asks the running app through which door it talks; `R` also sends 200 users and watches PgBouncer lend fewer
connections than it has clients. Read [pool modes](https://www.pgbouncer.org/features.html) when a check is unclear.

## Undo

Put `DATABASE_URL` back on port 5432 and restart the workers.
";

fn step(number: u8, title: &str, short: &str, users: u32, checks: &[&str]) -> Step {
    let guide = if number == 5 {
        GUIDE.to_owned()
    } else {
        format!(
            "## Why\n\n{title}.\n\n## Do\n\n1. Change it.\n\n## Verify\n\n`r`, then `R`.\n\n## Undo\n\nTake it back.\n"
        )
    };
    Step {
        id: step_id(number),
        title: title.to_owned(),
        short: short.to_owned(),
        guide,
        checks: checks
            .iter()
            .map(|check| CheckLine {
                check: CheckId::from(check.trim_start_matches('?')),
                level: if check.starts_with('?') { Level::Advised } else { Level::Required },
                parameters: toml::Table::new(),
            })
            .collect(),
        gate: Gate {
            users,
            hold: Duration::from_secs(60),
            think: None,
            slo: None,
            endpoints: Vec::new(),
            rungs: Vec::new(),
            beyond: Vec::new(),
        },
        digest: "d".to_owned(),
    }
}

pub fn steps() -> Vec<Step> {
    vec![
        step(
            1,
            "Know what happens: errors, metrics, health",
            "Baseline",
            10,
            &["health.answers", "health.touches-stores", "sentry.trace-roundtrip", "metrics.count-requests"],
        ),
        step(
            2,
            "Serve static files from S3 through Cloudflare",
            "Static + edge",
            25,
            &["edge.static-hit", "storage.static-from-bucket", "storage.static-immutable"],
        ),
        step(3, "Cache pages in Redis", "Redis cache", 50, &["cache.page-served", "cache.shared-backend"]),
        step(
            4,
            "Upload straight to S3",
            "Presigned uploads",
            100,
            &["uploads.policy-bounded", "uploads.oversize-refused"],
        ),
        step(
            5,
            "Lend database connections with PgBouncer",
            "PgBouncer",
            USERS,
            &["pool.in-path", "pool.transaction-mode", "pool.cursors-off", "?pool.idle-timeout", "pool.multiplexes"],
        ),
        step(6, "Move slow work to Celery", "Background jobs", 300, &["jobs.worker-alive", "jobs.slow-work-offloaded"]),
        step(7, "Load, look, change, repeat", "Load tests", 500, &["load.series-sampled"]),
        step(8, "Harden the edge", "Harden edge", 650, &["edge.private-never-cached", "edge.rate-limit-fires"]),
        step(9, "Find and fix slow queries", "Slow queries", 800, &["queries.no-n-plus-one", "queries.top-improved"]),
        step(10, "Measure again, at a thousand", "Thousand users", 1000, &["cycles.repeated"]),
    ]
}

/// A step judged in an earlier session.
fn judged(seq: u64, number: u8, users: u32, p95: f64, errors: f64) -> Event {
    Event {
        v: SCHEMA,
        seq,
        at: at(-86_400 + i64::from(number) * 1800),
        run: RunId::from("20261122T090000Z-0a1b"),
        kind: EventKind::StepJudged {
            step: step_id(number),
            state: StepState::Proven,
            sentence: format!("{users} users held for 60 s: p95 {p95:.0} ms, errors {errors:.2} %."),
            contract: contract(),
            users: Some(users),
            p95_ms: Some([p95, p95 * 0.94, p95 * 1.07]),
            error_percent: Some([errors, errors / 2.0, errors + 0.2]),
            requests: u64::from(users) * 8,
            seconds: 190.0,
            held_by: Vec::new(),
            waived: Vec::new(),
        },
    }
}

pub fn plan() -> RampPlan {
    RampPlan {
        users: USERS,
        climb: Duration::from_secs(u64::from(CLIMB)),
        settle_limit: Duration::from_secs(60),
        hold: Duration::from_secs(u64::from(HOLD)),
        think: Think::Even { least: Duration::from_secs(5), most: Duration::from_secs(10) },
        timeout: Duration::from_secs(30),
        seed: 7,
        quick: false,
        extensions: 0,
        rungs: Vec::new(),
        rung_hold: Duration::ZERO,
        beyond: Vec::new(),
        model: Model::Closed,
    }
}

pub fn claim() -> Claim {
    Claim {
        requests: 1600,
        error_percent: Some(0.19),
        p95_ranks: Some((93.9, 96.1)),
        takes: Duration::from_secs(162),
        longest: Duration::from_secs(162),
    }
}

/// States while step 5 is in question.
pub fn states(fifth: StepState) -> Vec<(StepId, StepState)> {
    StepId::all()
        .map(|id| {
            let state = match id.number() {
                3 => StepState::Waived,
                1..=4 => StepState::Proven,
                5 => fifth,
                6 if fifth == StepState::Proven => StepState::Open,
                _ => StepState::Locked,
            };
            (id, state)
        })
        .collect()
}

/// What a run's log keeps of the climb: its events without pulses and samples, whose figures are in the measurement.
pub fn recorded(ending: Ending) -> Vec<Event> {
    let told: Vec<Event> = climbed(ending)
        .into_iter()
        .filter_map(|feed| match feed {
            Feed::Event(event) => Some(*event),
            _ => None,
        })
        .collect();
    let (mut samples, mut windows, mut hold) = (Vec::new(), Vec::new(), None);
    for event in &told {
        match &event.kind {
            EventKind::Sample { sample } => samples.push(sample.clone()),
            EventKind::Pulse { pulse } if pulse.phase == RampPhase::Hold => {
                let (from, _) = hold.get_or_insert((pulse.second, 0));
                hold = Some((*from, pulse.second + 1));
                windows.push(tape::window(pulse));
            }
            _ => {}
        }
    }
    let mut kept: Vec<Event> = told.into_iter().filter(|event| !event.kind.is_droppable()).collect();
    for event in &mut kept {
        if let EventKind::RampFinished { measurement, far_side, .. } = &mut event.kind {
            measurement.windows = windows.clone();
            **far_side = FarSide { samples: samples.clone(), hold, ..FarSide::default() };
        }
    }
    kept
}

/// Five ramps of the days before, oldest first.
pub fn ramps() -> Vec<RampRecord> {
    let ramp = |days: i64, number: u8, users, p95: [f64; 3], errors: [f64; 3], outcome| RampRecord {
        run: RunId::from(format!("202611{:02}T090000Z-51a7", 23 - days).as_str()),
        step: step_id(number),
        users,
        flows: "f".to_owned(),
        target: "http://127.0.0.1:8080".to_owned(),
        at: at(-86_400 * days),
        quick: false,
        outcome,
        p95_ms: Some(p95),
        error_percent: Some(errors),
        requests: u64::from(users) * 31,
        statements: Vec::new(),
        think: Think::constant(Duration::from_secs(3)),
        model: Model::Closed,
        engine: Engine::Goose,
        pinned: false,
    };
    vec![
        ramp(5, 1, 10, [88.0, 80.1, 96.4], [0.0, 0.0, 0.21], RampOutcome::Pass),
        ramp(4, 2, 25, [74.0, 70.2, 79.9], [0.0, 0.0, 0.12], RampOutcome::Pass),
        ramp(3, 4, 100, [412.0, 390.0, 431.0], [0.31, 0.2, 0.44], RampOutcome::Fail),
        ramp(2, 4, 100, [95.0, 92.3, 99.1], [0.02, 0.0, 0.08], RampOutcome::Pass),
        ramp(1, 5, 200, [341.0, 333.0, 350.0], [0.04, 0.01, 0.09], RampOutcome::Fail),
    ]
}

/// The flows were changed after step 4 was proven.
pub fn stale() -> Vec<(StepId, StepState)> {
    let mut states = states(StepState::Locked);
    states[3].1 = StepState::Stale;
    states
}

/// The morning: three steps proven, the third waived, the fifth open.
pub fn start(look: Look) -> Start {
    let mut progress = Progress::default();
    for (seq, (number, users, p95, errors)) in (0..).zip([(1, 10, 88.0, 0.0), (2, 25, 74.0, 0.0), (4, 100, 95.0, 0.02)])
    {
        progress.apply(&judged(seq, number, users, p95, errors));
    }
    let waiver = Waiver {
        step: step_id(3),
        check: None,
        reason: "every page is personal until the launch".to_owned(),
        owner: "maria".to_owned(),
        until: jiff::civil::date(2026, 12, 1),
    };
    progress.waivers.push(waiver);
    Start {
        steps: steps(),
        site: "shop".to_owned(),
        target: "http://127.0.0.1:8080".to_owned(),
        slo: Slo::default(),
        states: states(StepState::Open),
        progress,
        plans: BTreeMap::from([(step_id(5), (plan(), claim()))]),
        past: Vec::new(),
        ramps: ramps(),
        outdated: BTreeMap::from([(
            step_id(4),
            Outdated {
                changed: vec!["the flows", "the target"],
                lapsed: Vec::new(),
                takes_seconds: 463,
                invalidated: None,
            },
        )]),
        replay: None,
        owner: "maria".to_owned(),
        today: jiff::civil::date(2026, 11, 23),
        zone: jiff::tz::TimeZone::UTC,
        demo: None,
        quick: false,
        look,
        keys: rampup::tui::keymap::Keymap::default(),
        ticks: rampup::tui::Ticks::default(),
    }
}
