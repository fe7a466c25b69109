//! Exact bounds of a share (Clopper & Pearson, *Biometrika* 26, 1934), one-sided each.

use super::binomial::{cdf, real};

/// Halvings of the unit interval when a bound is sought: 2⁻⁶⁰ is finer than any share that matters.
const HALVINGS: u32 = 60;

/// Lower and upper bound of the share behind `hits` of `n` trials, each holding with `confidence`; none without trials.
///
/// The upper bound solves P(X ≤ hits) = 1 - confidence for p, the lower one P(X ≥ hits) = 1 - confidence. They are the
/// beta quantiles of the textbook, found by bisection on the exact sum (see [`super::binomial::cdf`] for why).
#[must_use]
pub fn bounds(hits: u64, n: u64, confidence: f64) -> Option<(f64, f64)> {
    if n == 0 || hits > n {
        return None;
    }
    let rest = 1.0 - confidence;
    let low = if hits == 0 { 0.0 } else { crossing(|p| 1.0 - cdf(hits - 1, n, p) >= rest) };
    let high = match hits {
        0 => -(rest.ln() / real(n)).exp_m1(),
        hits if hits == n => 1.0,
        hits => crossing(|p| cdf(hits, n, p) <= rest),
    };
    Some((low, high))
}

/// The same for trials that depend on each other and are worth only n / `effect` independent ones (Korn & Graubard,
/// *Survey Methodology* 24, 1998). A broken number of hits lies between its neighbours.
#[must_use]
pub fn bounds_of_dependent(hits: u64, n: u64, confidence: f64, effect: f64) -> Option<(f64, f64)> {
    if n == 0 || hits > n {
        return None;
    }
    let effect = effect.max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ worth ≤ n")]
    let worth = ((real(n) / effect).floor() as u64).max(1);
    let share = real(hits) / real(n);
    let worth_hits = share * real(worth);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ hits ≤ n")]
    let under = worth_hits.floor() as u64;
    let between = worth_hits - real(under);
    let (low, high) = bounds(under, worth, confidence)?;
    let (next_low, next_high) = bounds((under + 1).min(worth), worth, confidence)?;
    let (low, high) = (low + (next_low - low) * between, high + (next_high - high) * between);
    Some((low.min(share), high.max(share)))
}

/// Where a condition turns true on its way from 0 to 1.
fn crossing(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The smallest sample without a hit whose upper bound lies under `limit` (a share): the least n with
/// (1 - limit)ⁿ < 1 - confidence. 598 for 0.5 % at 95 %. None when no sample can (a limit of zero).
#[must_use]
pub fn floor(limit: f64, confidence: f64) -> Option<u64> {
    if !(limit > 0.0 && (0.0..1.0).contains(&confidence)) {
        return None;
    }
    if limit >= 1.0 {
        return Some(1);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and saturates")]
    let n = ((1.0 - confidence).ln() / (-limit).ln_1p()).floor() as u64;
    Some(n.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_floor_of_half_a_percent_is_598() {
        assert_eq!(floor(0.005, 0.95), Some(598));
        assert!(bounds(0, 597, 0.95).unwrap().1 >= 0.005);
        assert!(bounds(0, 598, 0.95).unwrap().1 < 0.005);
        assert_eq!(floor(0.0, 0.95), None);
    }

    #[test]
    fn agrees_with_published_intervals() {
        // Two-sided 95 % Clopper–Pearson: 10 of 100 is 4.90 % to 17.62 %, 1 of 20 is 0.13 % to 24.87 %.
        for (hits, n, low, high) in [(10, 100, 0.0490, 0.1762), (1, 20, 0.0013, 0.2487), (20, 20, 0.8316, 1.0)] {
            let (l, h) = bounds(hits, n, 0.975).unwrap();
            assert!((l - low).abs() < 6e-5 && (h - high).abs() < 6e-5, "{hits}/{n}: {l} {h}");
        }
        // The rule of three's exact form, and the Poisson factor 4.744 for one hit.
        assert!((bounds(0, 3000, 0.95).unwrap().1 - 0.000_998).abs() < 1e-6);
        assert!((bounds(1, 1_000_000, 0.95).unwrap().1 * 1e6 - 4.744).abs() < 1e-3);
    }

    #[test]
    fn agrees_with_beta_quantiles() {
        use statrs::distribution::{Beta, ContinuousCDF};
        for (hits, n) in [(1_u64, 50_u64), (7, 900), (30, 40)] {
            let (low, high) = bounds(hits, n, 0.95).unwrap();
            let beta = |a: u64, b: u64, x| Beta::new(real(a), real(b)).unwrap().cdf(x);
            assert!((beta(hits, n - hits + 1, low) - 0.05).abs() < 1e-9);
            assert!((beta(hits + 1, n - hits, high) - 0.95).abs() < 1e-9);
        }
    }

    #[test]
    fn dependence_widens() {
        assert_eq!(bounds_of_dependent(7, 900, 0.95, 1.0), bounds(7, 900, 0.95));
        assert_eq!(bounds_of_dependent(40, 1000, 0.95, 4.0), bounds(10, 250, 0.95));
        let (low, high) = bounds_of_dependent(42, 1000, 0.95, 4.0).unwrap();
        assert!(high > bounds(10, 250, 0.95).unwrap().1 && high < bounds(11, 250, 0.95).unwrap().1);
        assert!(low > bounds(10, 250, 0.95).unwrap().0 && low < 0.042);
    }

    proptest! {
        #[test]
        fn the_share_lies_between_and_more_trials_narrow(n in 1_u64..4000, part in 0.0_f64..1.0, c in 0.6_f64..0.995) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ part < 1")]
            let hits = (real(n) * part) as u64;
            let share = real(hits) / real(n);
            let (low, high) = bounds(hits, n, c).unwrap();
            prop_assert!(0.0 <= low && low <= share && share <= high && high <= 1.0);
            let (low4, high4) = bounds(hits * 4, n * 4, c).unwrap();
            prop_assert!(high4 - low4 <= high - low + 1e-9);
        }
    }
}
