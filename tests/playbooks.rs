//! The ten playbooks that travel with the program: whole, in order, on the ladder, and readable.

use std::path::Path;
use std::time::Duration;

use rampup::config::{self, Settings};
use rampup::domain::flow::Think;
use rampup::domain::plan::{Pace, plan};
use rampup::domain::ramp::{Claim, Model, RampPlan};
use rampup::domain::step::{Gate, Level, Step};
use rampup::domain::verdict::at_look;
use rampup::playbook::{HEADINGS, embedded, lint, load};
use rampup::stats::order;

/// The checks each step must ask for, as required ones.
const REQUIRED: [&[&str]; 10] = [
    &[
        "health.answers",
        "health.touches-stores",
        "health.uncached",
        "app.debug-off",
        "sentry.trace-roundtrip",
        "sentry.key-active",
        "sentry.error-roundtrip",
        "metrics.count-requests",
        "metrics.monotonic",
        "app.log-line",
    ],
    &[
        "edge.proxied",
        "edge.no-redirect-loop",
        "edge.static-hit",
        "storage.static-from-bucket",
        "storage.static-via-edge",
        "storage.static-hashed",
        "storage.static-unsigned",
        "storage.static-immutable",
        "storage.bucket-not-listable",
        "edge.ssl-mode",
        "edge.app-answers",
    ],
    &["cache.page-served", "cache.shared-backend", "cache.page-stored", "cache.no-leak", "cache.bounded"],
    &["uploads.policy-bounded", "uploads.oversize-refused", "uploads.private", "uploads.cors"],
    &[
        "pool.in-path",
        "pool.transaction",
        "pool.carries-app",
        "pool.fits-server",
        "pool.conn-reuse",
        "pool.conn-setting-placed",
        "pool.server-cursors-off",
        "pool.multiplexes",
        "pool.no-queue",
        "pool.headroom",
    ],
    &[
        "jobs.worker-alive",
        "jobs.queues-consumed",
        "jobs.broker-keeps-jobs",
        "jobs.slow-work-offloaded",
        "jobs.depth-stable",
        "jobs.own-service",
    ],
    &["load.run-valid", "load.ladder-done", "load.series-sampled"],
    &["edge.private-never-cached", "edge.cache-deception-safe", "edge.rate-limit-fires", "edge.origin-not-bypassable"],
    &["queries.statements-ready", "queries.no-n-plus-one", "queries.indexes-valid", "queries.top-improved"],
    &[
        "cycles.evidence-fresh",
        "health.touches-stores",
        "sentry.trace-roundtrip",
        "edge.static-hit",
        "storage.static-immutable",
        "cache.shared-backend",
        "cache.no-leak",
        "uploads.policy-bounded",
        "pool.in-path",
        "pool.carries-app",
        "jobs.worker-alive",
        "jobs.queues-consumed",
        "edge.private-never-cached",
        "queries.no-n-plus-one",
        "queries.indexes-valid",
        "load.run-valid",
        "load.ladder-done",
        "pool.no-queue",
        "cycles.repeated",
    ],
];

const LADDER: [u32; 10] = [10, 25, 50, 100, 200, 300, 500, 650, 800, 1000];

fn steps() -> Vec<Step> {
    load(None).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn there_are_ten_in_order_and_none_has_a_fault() {
    assert_eq!(steps().iter().map(|step| step.id.number()).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    let known: Vec<&str> = rampup::checks::catalogue().map(|entry| entry.id).collect();
    assert_eq!(lint(&embedded(), &known, &|_| Ok(())), []);
}

#[test]
fn the_ladder_goes_from_ten_to_a_thousand() {
    for (step, users) in steps().iter().zip(LADDER) {
        let gate = &step.gate;
        assert_eq!(gate.users, users, "step {}", step.id);
        assert!(gate.hold >= Duration::from_secs(60), "step {}: too short a hold", step.id);
        assert_eq!(gate.slo, None, "step {}: the promise is the settings'", step.id);
        let think = gate.think.map(|think| think.to_string());
        let wanted = match users {
            ..=10 => Some("1s-3s"),
            11..=25 => Some("2s-4s"),
            26..=100 => Some("3s-6s"),
            _ => None,
        };
        assert_eq!(think.as_deref(), wanted, "step {}", step.id);
        // Where users pause less than people would, the prose says so.
        assert!(think.is_none() || step.guide.contains("rung"), "{users}");
        let slow: &[&str] = if step.id.number() == 6 { &["checkout"] } else { &[] };
        assert_eq!(gate.endpoints, slow, "step {}", step.id);
    }
}

#[test]
fn every_step_asks_for_its_checks_and_needs_them() {
    for (step, required) in steps().iter().zip(REQUIRED) {
        let needed = step.checks.iter().filter(|line| line.level == Level::Required);
        let asked: Vec<&str> = needed.map(|line| line.check.0.as_str()).collect();
        assert_eq!(asked, required, "step {}", step.id);
    }
}

#[test]
fn the_prose_has_its_headings_and_fits_a_screen() {
    for source in embedded() {
        let lines = source.text.split("+++\n").nth(2).unwrap_or_default().lines().count();
        assert!((50..=110).contains(&lines), "{} has {lines} lines", source.file);
        let fences = source.text.lines().filter(|line| line.starts_with("```")).count();
        assert!(fences.is_multiple_of(2), "{}: a code block is never closed", source.file);
        for (number, line) in (1..).zip(source.text.lines()) {
            assert!(line.chars().count() <= 120, "{}:{number} is too long", source.file);
        }
        for heading in HEADINGS {
            let section = source.text.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_default();
            let words = section.split("\n## ").next().unwrap_or_default().split_whitespace().count();
            assert!(words >= 15, "{}: ## {heading} says next to nothing", source.file);
        }
    }
}

/// Put on top of a file that has all else, the settings that a playbook shows must be understood.
#[test]
fn settings_that_playbooks_show_are_right() {
    let url = "http://127.0.0.1:8000".parse().unwrap();
    let template = rampup::config::template(&rampup::config::Answers::usual("Shop", url), &rampup::config::nonce());
    let mut seen = 0;
    for source in embedded() {
        for block in source.text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap_or_default();
            let shown: toml::Table = toml::from_str(block).unwrap_or_else(|error| panic!("{}: {error}", source.file));
            let mut whole: toml::Table = toml::from_str(&template).unwrap();
            for (section, values) in shown {
                let into = whole.entry(section).or_insert_with(|| toml::Table::new().into());
                into.as_table_mut().unwrap().extend(values.as_table().unwrap().clone());
            }
            if let Err(error) = rampup::config::parse(&toml::to_string(&whole).unwrap(), Path::new(".")) {
                panic!("{}: {error}", source.file);
            }
            seen += 1;
        }
    }
    assert!(seen >= 2, "the playbooks show settings");
}

/// The mistakes of well-known guides must not come back as advice.
#[test]
fn known_mistakes_are_named_as_such() {
    let text = |step: usize| embedded()[step - 1].text.clone();
    assert!(text(2).contains("Django 5.1 removed both"));
    assert!(text(3).contains("leave out `\"PARSER_CLASS\""));
    assert!(text(4).contains("[\"content-length-range\", 1, MAX_BYTES]"));
    assert!(text(5).contains("at the top level of `settings.py`") && text(5).contains("does nothing"));
    assert!(text(5).contains("\"DISABLE_SERVER_SIDE_CURSORS\": True"));
    assert!(text(6).contains("Railway does not do that by itself"));
    assert!(text(7).contains("only where to begin"));
}

/// The practice shop's settings.
fn shop() -> Settings {
    let text = include_str!("../assets/lab/rampup.toml");
    let text = ["edge", "web", "sink_http", "s3"]
        .iter()
        .fold(text.to_owned(), |text, port| text.replace(&format!("{{{{port.{port}}}}}"), "8000"));
    config::parse(&text, Path::new(".")).unwrap_or_else(|error| panic!("{error}"))
}

fn planned(gate: &Gate, settings: &Settings) -> (RampPlan, Claim) {
    let pace = Pace {
        quick: false,
        climb: None,
        settle_limit: Duration::from_secs(60),
        timeout: Duration::from_secs(10),
        model: Model::Closed,
    };
    plan(gate, &settings.slo, &settings.mix, &pace, 1)
}

#[test]
fn the_plan_expects_the_requests_that_real_ramps_made() {
    // Counted in holds of the practice shop with these users and pauses for these seconds.
    // One pause a request, whatever the flows say, would miss them by 4 to 5 %.
    for (users, think, seconds, counted) in
        [(10, "1s-3s", 160.0, 803.0), (300, "5s-10s", 130.0, 5333.0), (1000, "5s-10s", 60.0, 8205.0)]
    {
        let think = Some(Think::try_from(think.to_owned()).unwrap());
        let gate = Gate { users, think, ..steps()[0].gate.clone() };
        let (plan, claim) = planned(&gate, &shop());
        let expected = claim.requests as f64 / plan.hold.as_secs_f64() * seconds;
        assert!((expected / counted - 1.0).abs() < 0.035, "{users} users: {expected:.0} of {counted}");
    }
}

#[test]
fn every_gates_hold_of_the_practice_shop_passes_its_floors() {
    let shop = shop();
    for step in steps() {
        let (plan, claim) = planned(&step.gate, &shop);
        let say = || format!("step {}: {claim:?} in {:?}", step.id, plan.hold);
        assert!(plan.hold >= step.gate.hold, "{}", say());
        assert!(claim.error_percent.is_some_and(|least| least < shop.slo.error_percent), "{}", say());
        assert!(claim.p95_ranks.is_some(), "{}", say());
        for endpoint in &step.gate.endpoints {
            let own = shop.mix.share_of(endpoint, plan.pauses()) * claim.requests as f64;
            let floor = order::floor(0.95, at_look(&shop.slo, plan.extensions, 1).confidence).unwrap() as f64;
            assert!(own >= floor * 1.2, "{endpoint}: {own:.0} of {floor}, {}", say());
        }
    }
}
