//! Is it steady? Before the hold ([`settled`]) and within it (drift, and an end that breaks the promise).

use super::hold::{Hold, WORST, ms};
use super::objective::{self, Estimate};
use super::sentence::{milliseconds, percent};
use crate::domain::slo::Slo;
use crate::stats::trend::{Trend, mann_kendall};
use crate::stats::{order, proportion};

/// One second of settling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Second {
    /// Requests finished in it.
    pub rps: f64,
    /// Their median (or mean) latency, ms; none when nothing succeeded. Not a high percentile: of a few requests that
    /// is their maximum, which shakes too much to show a trend.
    pub latency_ms: Option<f64>,
}

/// Settling lasts at least this many seconds: fewer cannot show a trend.
const LEAST: usize = 5;

/// Only the last so many seconds are asked, so that an early disturbance is forgiven.
const LOOK: usize = 10;

/// A trend is suspected already at this level: waiting a second too long is cheap, judging a hold that still climbs is
/// not.
const SUSPECT: f64 = 0.2;

/// A trend that moves a series by less than this share of its level over the look is no matter.
const MATTERS: f64 = 0.1;

/// True when neither throughput nor latency goes anywhere over the last seconds (Mann–Kendall, see
/// [`crate::stats::trend`]). Give it the seconds since the last user came in, oldest first, once a second.
#[must_use]
pub fn settled(seconds: &[Second]) -> bool {
    if seconds.len() < LEAST {
        return false;
    }
    let last = &seconds[seconds.len().saturating_sub(LOOK)..];
    let rates: Vec<f64> = last.iter().map(|s| s.rps).collect();
    let latencies: Vec<f64> = last.iter().filter_map(|s| s.latency_ms).collect();
    // At a trickle (ten users that think for ten seconds) some seconds are empty; half must have something to say.
    latencies.len() * 2 >= last.len() && still(&rates) && still(&latencies)
}

fn still(series: &[f64]) -> bool {
    let Some(Trend { p, slope, .. }) = mann_kendall(series) else {
        return false;
    };
    #[expect(clippy::cast_precision_loss, reason = "at most ten")]
    let n = series.len() as f64;
    let level = series.iter().sum::<f64>() / n;
    p >= SUSPECT || (slope * (n - 1.0)).abs() <= MATTERS * level
}

/// Something that was not steady within a hold.
pub struct Unsteady {
    /// What was seen, with numbers.
    pub why: String,
    /// True when the hold must not pass for it; false when it is only worth knowing.
    pub refuses: bool,
}

/// Looks at a hold whose objectives all pass as a whole.
///
/// **Drift.** The second half must keep the promise alone: a pass is refused when its own interval reaches the limit,
/// whether or not the first half was faster. The second half is slower than the first when the lower bound of the
/// difference lies over zero; that refuses a pass as well when the same drift through another hold of this length would
/// reach the limit. A healthy app that moves from 20 to 25 ms under a limit of 300 gets a note, not a refusal. Errors,
/// of which half a hold may have too few to say, threaten when they rose and the second half's interval reaches the
/// limit.
///
/// **The end.** A crash in the last seconds must not hide in an average: when the last ten seconds alone, judged by
/// exact bounds, break the promise, the hold did not end well enough to pass.
pub fn unsteady(hold: &Hold, slo: &Slo) -> Option<Unsteady> {
    bad_end(hold, slo).or_else(|| drift(hold, slo))
}

/// Halves between the middle of the second half and the end of another hold: from ¾ of this one to its double.
const AHEAD: f64 = 2.5;

/// One-sided confidence with which a drift is suspected. Less than a verdict's own: a pass carries the burden of proof,
/// and a drift that reaches the limit is a reason to look again, not a `fail`. A drift far from the limit refuses nothing.
const SUSPICION: f64 = 0.8;

/// The same for an end that breaks the promise. It does not follow the looks, which would make the guard sleepier the
/// longer a hold is extended.
const BAD_END: f64 = 0.95;

/// The bounds of a half are the narrowest that there are: they shall show a rise early, not prove it.
fn drift(hold: &Hold, slo: &Slo) -> Option<Unsteady> {
    let seconds = hold.seconds();
    let (first, second) = (hold.part(0..seconds / 2, SUSPICION), hold.part(seconds / 2..seconds, SUSPICION));
    let (early, late) = (objective::errors_at_least(&first), objective::errors_at_least(&second));
    if rose(early, late) && reaches(late, slo.error_percent) {
        let why = format!(
            "errors rose from {} in the first half to {} in the second",
            percent(early.value?, slo.error_percent),
            percent(late.value?, slo.error_percent)
        );
        return Some(Unsteady { why, refuses: true });
    }
    let (early, late) = (objective::latency_at_least(&first), objective::latency_at_least(&second));
    let (from, to) = (early.value?, late.value?);
    if !rose(early, late) {
        // Half of a hold may have too few requests for a bound; that it did not rise must then do.
        let high = late.high.filter(|high| *high >= slo.p95_ms)?;
        let [to, high] = [to, high].map(|value| milliseconds(value, slo.p95_ms));
        let why = format!("p95 of its second half alone is {to} and may be {high}");
        return Some(Unsteady { why, refuses: true });
    }
    let ahead = to + AHEAD * (to - from);
    let refuses = reaches(late, slo.p95_ms) || ahead >= slo.p95_ms;
    let [from, to, ahead] = [from, to, ahead].map(|value| milliseconds(value, slo.p95_ms));
    let mut why = format!("p95 rose from {from} in the first half to {to} in the second");
    why += &if refuses {
        format!("; at this pace it would be at {ahead} by the end of another hold")
    } else {
        ", still far from the limit".to_owned()
    };
    Some(Unsteady { why, refuses })
}

/// The lower bound of `late - early` lies over zero, by the squares of both distances (Zou & Donner, *Stat. Med.* 27,
/// 2008: an interval of a difference from the intervals of its parts).
fn rose(early: Estimate, late: Estimate) -> bool {
    let (Some(from), Some(high), Some(to), Some(low)) = (early.value, early.high, late.value, late.low) else {
        return false;
    };
    to - from > (high - from).hypot(to - low)
}

fn reaches(estimate: Estimate, limit: f64) -> bool {
    estimate.high.is_none_or(|high| high >= limit)
}

fn bad_end(hold: &Hold, slo: &Slo) -> Option<Unsteady> {
    let part = &hold.whole;
    // In a hold of fewer than three such windows the last one has weight enough in the whole.
    let from = hold.seconds().checked_sub(WORST).filter(|from| *from >= 2 * WORST)?;
    let end = std::slice::from_ref(&(from..hold.seconds())).to_owned();
    let (errors, trials) = (part.errors.of(&end), part.trials.of(&end));
    if let Some((low, _)) = proportion::bounds(errors, trials, BAD_END)
        && low * 100.0 > slo.error_percent
    {
        let why = format!("{errors} of the {trials} requests of its last {WORST} s failed");
        return Some(Unsteady { why, refuses: true });
    }
    let n = part.latency.count(&end);
    let low = part.latency.rank(&end, order::ranks(n, 0.95, BAD_END).low?).map(ms)?;
    let p95 = part.latency.quantile(&end, 0.95).map(ms)?;
    let why = format!("p95 of its last {WORST} s is {}", milliseconds(p95, slo.p95_ms));
    (low > slo.p95_ms).then_some(Unsteady { why, refuses: true })
}
