//! The tables: runs, endpoints, and whether the two agree.

use rampup::domain::verdict::Objective;
use serde_json::{Value, json};

use crate::seen::Seen;

/// Both bounds of an objective, when the sample gives both.
fn bounds(objective: &Objective) -> Option<(f64, f64)> {
    Some((objective.low?, objective.high?))
}

fn overlap(a: &Objective, b: &Objective) -> Option<bool> {
    let ((a_low, a_high), (b_low, b_high)) = (bounds(a)?, bounds(b)?);
    Some(a_low <= b_high && b_low <= a_high)
}

/// "41.3 (38.0-44.9)"
fn figure(objective: &Objective, digits: usize) -> String {
    let show = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.digits$}"));
    format!("{} ({}-{})", show(objective.value), show(objective.low), show(objective.high))
}

/// How far apart two figures are, in percent of the second.
fn apart(a: &Objective, b: &Objective) -> Option<f64> {
    Some((a.value? / b.value? - 1.0) * 100.0)
}

/// A row a run.
pub fn runs(rows: &[(String, &Seen)]) {
    println!(
        "\n| run | requests/s | answers | median ms | p95 ms (95 % interval) | the edge's p95 of the same seconds | p95 of http_req_duration alone | errors % (interval) | generator unwell |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (name, seen) in rows {
        let maybe = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.1}"));
        println!(
            "| {name} | {:.1} | {} | {} | {} | {} | {} | {} | {} |",
            seen.rps(),
            seen.latency().n,
            maybe(seen.median_ms()),
            figure(seen.latency(), 1),
            seen.edge.as_ref().map_or("-".into(), |edge| figure(edge.latency(), 1)),
            maybe(seen.bare_ms),
            figure(seen.errors(), 2),
            if name.starts_with("Rampup") { format!("{:.0} %", seen.tainted * 100.0) } else { "-".into() },
        );
    }
}

/// A row an endpoint that enough requests went to, of all runs together.
pub fn endpoints(ours: &Seen, theirs: &Seen) {
    println!(
        "\n| endpoint | rampup: answers | p95 ms (interval) | k6: answers | p95 ms (interval) | apart | overlap |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | --- |");
    let k6 = theirs.endpoints();
    for (name, own) in ours.endpoints() {
        let Some(other) = k6.get(name) else {
            println!("| {name} | {} | {} | 0 | - | - | - |", own.n, figure(own, 1));
            continue;
        };
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} |",
            own.n,
            figure(own, 1),
            other.n,
            figure(other, 1),
            apart(own, other).map_or("-".into(), |percent| format!("{percent:+.1} %")),
            overlap(own, other).map_or("too few", |yes| if yes { "yes" } else { "**no**" }),
        );
    }
}

/// Says whether every run of the one overlaps every run of the other, and each run what the edge logged meanwhile. They
/// disagree when the runs together do not overlap although the edge was asked the same, or a run contradicts the edge.
pub fn verdict(ours: &[&Seen], theirs: &[&Seen], all_ours: &Seen, all_theirs: &Seen) -> bool {
    let pairs: Vec<_> = ours.iter().flat_map(|a| theirs.iter().map(|b| overlap(a.latency(), b.latency()))).collect();
    let agreeing = pairs.iter().filter(|pair| **pair == Some(true)).count();
    let together = overlap(all_ours.latency(), all_theirs.latency()) == Some(true);
    let errors = overlap(all_ours.errors(), all_theirs.errors()) == Some(true);
    let within = |runs: &[&Seen]| match runs {
        [first, .., last] => apart(last.latency(), first.latency()),
        _ => None,
    };
    let percent = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:+.1} %"));
    println!(
        "\np95: rampup is {} from k6; rampup's runs are {} apart, k6's {}. Intervals overlap in {agreeing} of {} pairs of \
         runs, {} for all runs together; those of the errors {}.",
        percent(apart(all_ours.latency(), all_theirs.latency())),
        percent(within(ours)),
        percent(within(theirs)),
        pairs.len(),
        if together { "and" } else { "**not**" },
        if errors { "too" } else { "do **not**" },
    );
    let beside =
        |run: &&Seen| run.edge.as_ref().is_some_and(|edge| overlap(run.latency(), edge.latency()) == Some(true));
    let runs = || ours.iter().chain(theirs).copied();
    let true_to_edge = runs().filter(beside).count() == runs().count();
    let off = |seen: &Seen| percent(seen.edge.as_ref().and_then(|edge| apart(seen.latency(), edge.latency())));
    println!(
        "The edge's own p95 of the same seconds: rampup is {} from it, k6 {}; every run's interval {} the edge's.",
        off(all_ours),
        off(all_theirs),
        if true_to_edge { "overlaps" } else { "does **not** overlap" },
    );
    let same_site = match (&all_ours.edge, &all_theirs.edge) {
        (Some(a), Some(b)) => overlap(a.latency(), b.latency()) == Some(true),
        _ => true,
    };
    true_to_edge && errors && (together || !same_site)
}

/// A run as data.
pub fn data(name: &str, seen: &Seen) -> Value {
    let of = |o: &Objective| json!({ "n": o.n, "value": o.value, "low": o.low, "high": o.high });
    json!({
        "run": name,
        "requests_per_second": seen.rps(),
        "median_ms": seen.median_ms(),
        "p95_ms": of(seen.latency()),
        "p95_of_duration_alone_ms": seen.bare_ms,
        "edge_p95_ms": seen.edge.as_ref().map(|edge| of(edge.latency())),
        "errors_percent": of(seen.errors()),
        "tainted": seen.tainted,
        "endpoints": seen.endpoints().iter().map(|(name, o)| ((*name).to_owned(), of(o))).collect::<serde_json::Map<_, _>>(),
    })
}
