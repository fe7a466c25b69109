//! One line of the promise: its figure, its interval, its answer.

use super::hold::{Hold, Part, ms, share};
use super::{Objective, ObjectiveOutcome};
use crate::domain::measurement::Histogram;
use crate::domain::slo::Slo;
use crate::stats::seconds::quantile_rank;
use crate::stats::{order, proportion};

/// The quantile of latency that the promise is about.
const P95: f64 = 0.95;

/// With fewer requests than this none of them is "the slowest twentieth": one slow request must not fail an endpoint.
const LEAST: u64 = 20;

/// Over this many further seconds nobody waits; the figure is then too close to its limit to be decided.
const BEARABLE: f64 = 3600.0;

/// A margin on every forecast: without it, half of the holds it suggests would just miss.
const MARGIN: f64 = 1.2;

/// One-sided confidence of what a hopeful forecast supposes of the seconds to come.
const HOPE: f64 = 0.95;

/// A figure with what is known about it. A bound that the sample cannot give is none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimate {
    /// Samples it rests on.
    pub n: u64,
    /// On the whole part.
    pub value: Option<f64>,
    /// One-sided lower bound.
    pub low: Option<f64>,
    /// One-sided upper bound.
    pub high: Option<f64>,
}

/// Every objective of a promise on a hold.
pub fn all(hold: &Hold, slo: &Slo, endpoints: &[String]) -> Vec<Objective> {
    let whole = &hold.whole;
    let over = micros(slo.p95_ms);
    let slow = times_to_decide(whole.slower(over), whole.count(), whole.slow_effect(over), 1.0 - P95, slo.confidence);
    let limit = slo.error_percent / 100.0;
    let failed = times_to_decide(whole.failures(), whole.tried(), whole.error_effect(), limit, slo.confidence);
    let mut all = vec![
        decide("p95".into(), "ms", slo.p95_ms, latency(whole), slow, hold),
        decide("errors".into(), "%", slo.error_percent, errors(whole), failed, hold),
    ];
    all.extend(endpoints.iter().map(|name| {
        let endpoint = hold.measurement.endpoints.get(name).filter(|_| whole.bootstrap.is_some());
        let (estimate, times) = endpoint.map_or((Estimate::default(), None), |e| of_endpoint(&e.latency, whole, over));
        decide(format!("p95 of {name}"), "ms", slo.p95_ms, estimate, times, hold)
    }));
    all
}

/// p95 of the successes, ms. The widest of four intervals: order statistics, the block bootstrap, order statistics of
/// dependent requests ([`dependent_bounds`]), and quantiles as far from 0.95 as long batches differ in their share of
/// requests over the whole one's p95 ([`crate::stats::batches`]). That share is 5 % in the sample as in the promise: the
/// spread is asked where it matters, not at the limit, over which a lucky hold has few requests to differ in. Without
/// enough seconds for a bootstrap there are no bounds.
pub fn latency(part: &Part) -> Estimate {
    let exact = latency_at_least(part);
    let (Some(value), Some(bootstrap)) = (exact.value, &part.bootstrap) else {
        return Estimate { low: None, high: None, ..exact };
    };
    let (low, high) = bootstrap.bounds(value, |draw| part.latency.quantile(draw, P95).map(ms));
    let distance = distance(part);
    let level = |level: f64| part.latency.quantile(part.all(), level).filter(|_| level < 1.0).map(ms);
    // A level that moves puts all that is over the whole one's p95 into some of the batches: then their own speak.
    let (low_level, high_level) = (level(P95 - distance), level(P95 + distance).or_else(|| part.highest(P95)));
    Estimate {
        low: exact.low.zip(low_level).map(|(exact, level)| exact.min(low).min(level)),
        high: exact
            .high
            .zip(high_level)
            .map(|(exact, level)| exact.max(high).max(level))
            .filter(|high| high.is_finite()),
        ..exact
    }
}

/// How far the share of requests over the sample's own p95 may lie from 5 %, by long batches. 1, which leaves nothing to
/// claim, when they cannot say.
fn distance(part: &Part) -> f64 {
    let p95 = part.latency.quantile(part.all(), P95);
    p95.and_then(|p95| part.slow_distance(p95)).unwrap_or(1.0)
}

/// The same without the bootstrap, for parts too short for one.
pub fn latency_at_least(part: &Part) -> Estimate {
    let (n, all) = (part.count(), part.all());
    let ranks = order::ranks(n, P95, part.confidence);
    let at = |rank: Option<u64>| rank.and_then(|rank| part.latency.rank(all, rank));
    let slower = |micros| (part.slower(micros), part.slow_effect(micros));
    let (low, high) = dependent_bounds(part.latency.values(), n, part.confidence, slower);
    Estimate {
        n,
        value: part.latency.quantile(all, P95).map(ms),
        low: at(ranks.low).zip(low).map(|(exact, dependent)| ms(exact.min(dependent))),
        high: at(ranks.high).zip(high).map(|(exact, dependent)| ms(exact.max(dependent))),
    }
}

/// p95 of one endpoint, ms, and how many times the sample would decide it. Its own seconds are not recorded, so it
/// takes the whole hold's dependence, less as far as fewer of its requests fall together (Kish 1965: the effect is
/// 1 + (m - 1)ρ for clusters of m). What moves the whole hold for longer moves it as well, by as much.
fn of_endpoint(latency: &Histogram, whole: &Part, limit: u64) -> (Estimate, Option<f64>) {
    let n = latency.count();
    let values: Vec<u64> = latency.buckets().map(|(value, _)| value).collect();
    let slower = slower_of(latency, whole);
    let (low, high) = dependent_bounds(&values, n, whole.confidence, &slower);
    let value = latency.rank_ms(quantile_rank(n, P95));
    let distance = distance(whole);
    let level = |level: f64| Some(latency.rank_ms(quantile_rank(n, level))?).filter(|_| level < 1.0);
    let low = low.map(ms).zip(level(P95 - distance)).map(|(low, level)| low.min(level));
    let moved = || Some(value? * whole.highest(P95)? / ms(whole.latency.quantile(whole.all(), P95)?).max(0.001));
    let high_level = level(P95 + distance).or_else(moved);
    let high = high.map(ms).zip(high_level).map(|(high, level)| high.max(level));
    let (slow, effect) = slower(limit);
    let times = times_to_decide(slow, n, effect, 1.0 - P95, whole.confidence);
    (Estimate { n, value, low, high }, times)
}

/// Requests of an endpoint over a value, and how much they depend on each other there.
fn slower_of(latency: &Histogram, whole: &Part) -> impl Fn(u64) -> (u64, f64) {
    let (values, counts): (Vec<u64>, Vec<u64>) = latency.buckets().unzip();
    let part = share(latency.count(), whole.count());
    move |micros| {
        let slow = counts[values.partition_point(|value| *value <= micros)..].iter().sum();
        (slow, 1.0 + (whole.slow_effect(micros) - 1.0) * part)
    }
}

/// Bounds of p95, µs: the largest value over which certainly more than 5 % of all requests lie, and the smallest over
/// which certainly fewer do. `slower` counts the requests over a value and says how much they depend on each other
/// *there*: a slow stretch counts by the requests it holds, and where nobody was, all requests bear witness. With a
/// design effect of 1 these are the order-statistic bounds again, and the floor of 59 holds in any case.
fn dependent_bounds(
    values: &[u64],
    n: u64,
    confidence: f64,
    slower: impl Fn(u64) -> (u64, f64),
) -> (Option<u64>, Option<u64>) {
    if n < LEAST {
        return (None, None);
    }
    let bounds = |micros: u64| {
        let (slow, effect) = slower(micros);
        proportion::bounds_of_dependent(slow, n, confidence, effect).unwrap_or((0.0, 1.0))
    };
    let certainly_more = values.partition_point(|value| bounds(*value).0 > 1.0 - P95);
    let certainly_fewer = values.partition_point(|value| bounds(*value).1 > 1.0 - P95);
    // The bound is the first value over which it is *not* certain: the quantile may be that one.
    (values.get(certainly_more).copied(), values.get(certainly_fewer).copied())
}

/// Share of failures among all requests but the blocked ones, percent. The widest of Clopper–Pearson, the block
/// bootstrap, Clopper–Pearson of as many requests as the dependent ones are worth, and the spread of long batches.
pub fn errors(part: &Part) -> Estimate {
    let exact = errors_at_least(part);
    let (Some(value), Some(bootstrap)) = (exact.value, &part.bootstrap) else {
        return Estimate { low: None, high: None, ..exact };
    };
    let (low, high) = bootstrap.bounds(value, |draw| {
        let trials = part.trials.of(draw);
        (trials > 0).then(|| share(part.errors.of(draw), trials) * 100.0)
    });
    let distance = part.error_distance().unwrap_or(1.0) * 100.0;
    Estimate {
        low: exact.low.map(|exact| exact.min(low).min(value - distance).max(0.0)),
        high: exact.high.map(|exact| exact.max(high).max(value + distance).min(100.0)),
        ..exact
    }
}

/// The same without the bootstrap, for parts too short for one.
pub fn errors_at_least(part: &Part) -> Estimate {
    let (hits, n) = (part.failures(), part.tried());
    let bounds = proportion::bounds_of_dependent(hits, n, part.confidence, part.error_effect());
    Estimate {
        n,
        value: bounds.map(|_| share(hits, n) * 100.0),
        low: bounds.map(|(low, _)| low * 100.0),
        high: bounds.map(|(_, high)| high * 100.0),
    }
}

/// Whether some times the hold may decide each objective: one answer per objective of [`all`], in its order.
///
/// More generous than the forecast that a person reads: what follows may be like this hold, or as good as this hold can
/// just not rule out. A hiccup that comes once is outlived by a longer hold, and one that comes again is seen by it; only
/// time tells them apart. Hopeless is what would be undecided either way.
pub fn decidable(hold: &Hold, slo: &Slo, endpoints: &[String], times: f64) -> Vec<bool> {
    // A longer hold has more blocks: the few of this one need not be paid for.
    let whole = &hold.whole.at(0.5);
    let over = micros(slo.p95_ms);
    let may = |hits: u64, n: u64, effect: f64, limit: f64| {
        let (low, _) = proportion::bounds_of_dependent(hits, n, HOPE, effect)?;
        let then = |share: f64| decided(hits, n, share, effect, limit, slo.confidence, times);
        Some(then(low) || then(share(hits, n)))
    };
    let slow = may(whole.slower(over), whole.count(), whole.slow_effect(over), 1.0 - P95);
    let failed = may(whole.failures(), whole.tried(), whole.error_effect(), slo.error_percent / 100.0);
    let of_endpoint = |name: &String| {
        let latency = &hold.measurement.endpoints.get(name)?.latency;
        let slower = slower_of(latency, whole);
        let (slow, effect) = slower(over);
        may(slow, latency.count(), effect, 1.0 - P95)
    };
    let each = [slow, failed].into_iter().chain(endpoints.iter().map(of_endpoint));
    each.map(|may| may.unwrap_or(false)).collect()
}

fn decide(name: String, unit: &str, limit: f64, seen: Estimate, times: Option<f64>, hold: &Hold) -> Objective {
    let outcome = match (seen.low, seen.high) {
        (_, Some(high)) if high < limit => ObjectiveOutcome::Pass,
        (Some(low), _) if low > limit => ObjectiveOutcome::Fail,
        _ => ObjectiveOutcome::Inconclusive,
    };
    let more_seconds = times
        .filter(|_| outcome == ObjectiveOutcome::Inconclusive)
        .map(|times| hold.measurement.hold_seconds * (times - 1.0))
        // Whole fives, like everything a person waits for.
        .map(|seconds| ((seconds / 5.0).ceil() * 5.0).max(5.0))
        .filter(|seconds| *seconds <= BEARABLE);
    let Estimate { n, value, low, high } = seen;
    Objective { name, unit: unit.into(), limit, value, low, high, n, outcome, more_seconds }
}

/// How many times the sample would probably decide whether a share lies under or over its limit, by asking the bounds
/// of ever larger samples with the same share. For p95 the share is that of requests over the limit, and its limit is
/// 5 %: a quantile itself does not follow the square root when a few bad seconds sit between it and the limit.
/// None without a sample, or when a thousand times would not do.
fn times_to_decide(hits: u64, n: u64, effect: f64, limit: f64, confidence: f64) -> Option<f64> {
    let mut times = 1.0;
    while n > 0 && times < 1000.0 {
        if decided(hits, n, share(hits, n), effect, limit, confidence, times) {
            return Some(times * MARGIN);
        }
        times *= 1.1;
    }
    None
}

/// Whether a sample so many times as large would decide, when what follows has this share of hits.
fn decided(hits: u64, n: u64, then: f64, effect: f64, limit: f64, confidence: f64, times: f64) -> bool {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "counts")]
    let more = |share: f64| (n as f64 * (times - 1.0) * share).round() as u64;
    proportion::bounds_of_dependent(hits + more(then), n + more(1.0), confidence, effect)
        .is_some_and(|(low, high)| high < limit || low > limit)
}

/// µs from a limit in ms.
fn micros(ms: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and limits are positive")]
    let micros = (ms * 1000.0) as u64;
    micros
}
