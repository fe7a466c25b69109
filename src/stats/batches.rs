//! How uncertain a share is when its trials depend on each other for longer than anybody knows: means of batches.
//!
//! The run is cut into a few batches of equal length. Batches that last longer than the dependence are as good as
//! independent, so the spread of their shares gives the spread of the whole one, whatever happens within them; Student's
//! t with k - 1 degrees of freedom pays for the few batches (Schmeiser, *Oper. Res.* 30, 1982; for quantiles, by way of
//! the share of values over them, Alexopoulos et al., *Oper. Res.* 67, 2019). Nothing is fitted, and a run whose batches
//! agree pays for the few batches only.

use std::ops::Range;

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::binomial::real;
use super::seconds::Sums;

/// Fewer batches than this have hardly a spread: t for two is over six.
const LEAST: usize = 3;

/// Batches of a run that is too short for long ones.
const SHORT: usize = 4;

/// How far the true share may lie over or under that of the whole run, one-sided at `confidence`: the distance
/// t · √(k/(k-1) · Σ(hitsⱼ - share · trialsⱼ)²) / trials over k batches j, the largest for batches of each of `lengths`
/// seconds of which three fit. A run too short for any of them is cut into four. None without trials or with fewer than
/// four seconds.
#[must_use]
pub fn distance(hits: &Sums, trials: &Sums, seconds: &Range<usize>, lengths: &[usize], confidence: f64) -> Option<f64> {
    let n = trials.of(std::slice::from_ref(seconds));
    if n == 0 || seconds.len() < SHORT {
        return None;
    }
    let share = real(hits.of(std::slice::from_ref(seconds))) / real(n);
    let of = |k: usize| {
        let squares: f64 = cut(seconds, k)
            .map(|batch| {
                let each = std::slice::from_ref(&batch);
                (real(hits.of(each)) - share * real(trials.of(each))).powi(2)
            })
            .sum();
        let (student, k) = student(k, confidence)?;
        Some(student * (squares * k / (k - 1.0)).sqrt() / real(n))
    };
    counts(seconds, lengths).filter_map(of).reduce(f64::max).or_else(|| of(SHORT))
}

/// Upper bound of a positive level of which each batch gives one, like a quantile of its own: exp(m + t · s/√k) with mean
/// and standard deviation of the logarithms over k batches, the largest for batches of each of `lengths` seconds of which
/// three fit. Where the level rises or wanders so far that no share says anything, it still says how high it may be. None
/// when a batch has no level, or when no three batches fit.
#[must_use]
pub fn highest(
    level: impl Fn(&Range<usize>) -> Option<f64>,
    seconds: &Range<usize>,
    lengths: &[usize],
    confidence: f64,
) -> Option<f64> {
    let of = |k: usize| {
        let logs = cut(seconds, k).map(|batch| Some(level(&batch).filter(|level| *level > 0.0)?.ln()));
        let logs: Vec<f64> = logs.collect::<Option<_>>()?;
        let (student, k) = student(k, confidence)?;
        let mean = logs.iter().sum::<f64>() / k;
        let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
        Some((mean + student * (squares / (k - 1.0) / k).sqrt()).exp())
    };
    counts(seconds, lengths).map(of).collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max)
}

/// How many batches of each length there are, where three fit.
fn counts(seconds: &Range<usize>, lengths: &[usize]) -> impl Iterator<Item = usize> {
    lengths.iter().filter_map(|length| seconds.len().checked_div(*length)).filter(|k| *k >= LEAST)
}

/// So many stretches of the same length.
fn cut(seconds: &Range<usize>, k: usize) -> impl Iterator<Item = Range<usize>> {
    let edge = move |batch: usize| seconds.start + seconds.len() * batch / k;
    (0..k).map(move |batch| edge(batch)..edge(batch + 1))
}

/// Student's t for as many batches, and their number.
fn student(k: usize, confidence: f64) -> Option<(f64, f64)> {
    #[expect(clippy::cast_precision_loss, reason = "a count of batches")]
    let k = k as f64;
    Some((StudentsT::new(0.0, 1.0, k - 1.0).ok()?.inverse_cdf(confidence), k))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    #[test]
    fn agrees_with_the_formula_by_hand() {
        // Four batches of one second with 1, 3, 2 and 2 hits of ten: shares 0.1, 0.3, 0.2, 0.2, standard error 0.0408.
        let (hits, trials) = (Sums::new([1, 3, 2, 2].into_iter()), Sums::new([10; 4].into_iter()));
        let got = distance(&hits, &trials, &(0..4), &[1], 0.95).unwrap();
        assert!((got - 2.353 * 0.04082).abs() < 1e-4, "{got}");
        // Lengths that do not fit three times have no say, and if none does, four batches do.
        assert_eq!(distance(&hits, &trials, &(0..4), &[1, 2, 9], 0.95), Some(got));
        assert_eq!(distance(&hits, &trials, &(0..4), &[2, 9], 0.95), Some(got));
        assert_eq!(distance(&hits, &trials, &(0..3), &[1], 0.95), None);
        assert_eq!(distance(&hits, &Sums::new([0; 4].into_iter()), &(0..4), &[1], 0.95), None);
        let none = Sums::new([0; 4].into_iter());
        assert_eq!(distance(&none, &trials, &(0..4), &[1], 0.95), Some(0.0));
    }

    #[test]
    fn a_level_s_bound_is_the_formula_by_hand() {
        // Logarithms 0, 1, 2 and 1: mean 1, standard deviation 0.8165, t of four at 95 % 2.3534.
        let level = |batch: &Range<usize>| Some([0.0_f64, 1.0, 2.0, 1.0][batch.start].exp());
        let got = highest(level, &(0..4), &[1], 0.95).unwrap();
        assert!((got - (1.0_f64 + 2.3534 * 0.408_25).exp()).abs() < 1e-3, "{got}");
        assert!((highest(|_| Some(7.0), &(0..60), &[10, 20], 0.95).unwrap() - 7.0).abs() < 1e-9);
        assert_eq!(highest(|batch| (batch.start > 0).then_some(7.0), &(0..60), &[10], 0.95), None);
        assert_eq!(highest(|_| Some(7.0), &(0..20), &[10], 0.95), None);
    }

    /// Of a thousand runs of 120 s whose true share wanders (0.8 from second to second) around 0.3: how often the truth
    /// lies over the bound.
    fn missed(lengths: &[usize]) -> usize {
        let mut random = SmallRng::seed_from_u64(5);
        (0..1000)
            .filter(|_| {
                let mut level = 0.0;
                let mut second = || {
                    level = 0.8 * level + random.random_range(-0.06..0.06);
                    (0..50).filter(|_| random.random::<f64>() < 0.3 + level).count() as u64
                };
                (0..50).for_each(|_| _ = second());
                let hits = Sums::new((0..120).map(|_| second()));
                let share = real(hits.of(std::slice::from_ref(&(0..120)))) / 6000.0;
                let trials = Sums::new([50; 120].into_iter());
                share + distance(&hits, &trials, &(0..120), lengths, 0.95).unwrap() < 0.3
            })
            .count()
    }

    #[test]
    fn long_batches_keep_their_promise_where_short_ones_do_not() {
        let (long, short) = (missed(&[20]), missed(&[1]));
        // 5 % of a thousand is 50; single seconds take nine dependent ones for independent.
        assert!(long < 90, "{long}");
        assert!(short > 180, "{short}");
    }
}
