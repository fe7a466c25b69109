//! Does a series go somewhere, or does it only shake? Mann–Kendall's test and the Theil–Sen slope.
//!
//! Mann (*Econometrica* 13, 1945) and Kendall (*Rank Correlation Methods*, 1975). Ranks only, so that one outlier second
//! does not make or hide a trend. Neighbouring seconds that depend on each other make the test cry trend too easily,
//! never too rarely: whoever waits for "no trend" waits longer, which is the safe side.

use statrs::distribution::{ContinuousCDF, Normal};

/// What the test found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Rising pairs minus falling pairs.
    pub s: i64,
    /// Two-sided probability of an S at least this far from zero when there is no trend.
    pub p: f64,
    /// Median of all pairwise slopes, per step (Sen, *JASA* 63, 1968).
    pub slope: f64,
}

/// Up to here the distribution of S is counted exactly when no two values are equal.
const EXACT: usize = 20;

/// Tests a series in order of time; none for fewer than three values.
#[must_use]
pub fn mann_kendall(series: &[f64]) -> Option<Trend> {
    let n = series.len();
    if n < 3 {
        return None;
    }
    let mut s = 0_i64;
    let mut slopes = Vec::with_capacity(n * (n - 1) / 2);
    for (i, early) in series.iter().enumerate() {
        for (steps, late) in (1_u32..).zip(&series[i + 1..]) {
            s += i64::from(late > early) - i64::from(late < early);
            slopes.push((late - early) / f64::from(steps));
        }
    }
    slopes.sort_by(f64::total_cmp);
    let ties = tie_groups(series);
    let p = if ties.is_empty() && n <= EXACT { exact_p(n, s) } else { normal_p(n, s, &ties) };
    Some(Trend { s, p, slope: median(&slopes) })
}

/// The middle of sorted values; 0 for none.
fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Sizes of the groups of equal values.
fn tie_groups(series: &[f64]) -> Vec<f64> {
    let mut sorted = series.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::float_cmp, clippy::cast_precision_loss, reason = "ties are equal values; sizes are small")]
    sorted.chunk_by(|a, b| a == b).filter(|group| group.len() > 1).map(|group| group.len() as f64).collect()
}

/// P(|S| ≥ |s|) over all orders of n distinct values. An order with d inversions has S = n(n-1)/2 - 2d, and the
/// shares of orders by inversions follow from n-1 by inserting the n-th value at each place.
fn exact_p(n: usize, s: i64) -> f64 {
    let mut shares = vec![1.0_f64];
    for size in 2..=n {
        let mut next = vec![0.0; shares.len() + size - 1];
        #[expect(clippy::cast_precision_loss, reason = "at most twenty")]
        let each = 1.0 / size as f64;
        for (inversions, share) in shares.iter().enumerate() {
            for place in &mut next[inversions..inversions + size] {
                *place += share * each;
            }
        }
        shares = next;
    }
    let pairs = i64::try_from(shares.len() - 1).unwrap_or(i64::MAX);
    (0_i64..)
        .zip(&shares)
        .filter(|(d, _)| (pairs - 2 * d).abs() >= s.abs())
        .map(|(_, share)| share)
        .sum::<f64>()
        .min(1.0)
}

/// Kendall's normal approximation with continuity correction and variance corrected for ties.
fn normal_p(n: usize, s: i64, ties: &[f64]) -> f64 {
    let spread = |t: f64| t * (t - 1.0) * (2.0 * t + 5.0);
    #[expect(clippy::cast_precision_loss, reason = "some hundreds of seconds")]
    let (n, s) = (n as f64, s as f64);
    let variance = (spread(n) - ties.iter().copied().map(spread).sum::<f64>()) / 18.0;
    if variance <= 0.0 {
        return 1.0;
    }
    let z = (s.abs() - 1.0).max(0.0) / variance.sqrt();
    2.0 * Normal::standard().sf(z)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::prop, prop_assert, prop_assert_eq, proptest};
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    #[test]
    fn agrees_with_kendalls_tables() {
        // Kendall's table of P(S ≥ s): n = 4: S = 6 is 0.042; n = 5: S = 8 is 0.042; n = 10: S = 21 is 0.036.
        for (n, s, one_sided) in [(4, 6, 0.042), (5, 8, 0.042), (10, 21, 0.036)] {
            assert!((exact_p(n, s) / 2.0 - one_sided).abs() < 5e-4, "n {n}: {}", exact_p(n, s));
        }
    }

    #[test]
    fn a_line_is_a_trend_and_a_constant_is_none() {
        let line: Vec<f64> = (0..10).map(|i| 5.0 + 2.0 * f64::from(i)).collect();
        let trend = mann_kendall(&line).unwrap();
        assert_eq!(trend.s, 45);
        assert!((trend.slope - 2.0).abs() < 1e-12 && trend.p < 1e-5);
        let flat = mann_kendall(&[3.0; 10]).unwrap();
        assert_eq!((flat.s, flat.slope), (0, 0.0));
        assert!((flat.p - 1.0).abs() < 1e-12);
        assert_eq!(mann_kendall(&[1.0, 2.0]), None);
    }

    #[test]
    fn exact_and_normal_meet() {
        for s in [0, 20, 46, 80] {
            assert!((exact_p(20, s) - normal_p(20, s, &[])).abs() < 0.01, "{s}");
        }
    }

    #[test]
    fn noise_is_called_a_trend_as_often_as_promised() {
        let mut random = SmallRng::seed_from_u64(5);
        let alarms = (0..2000)
            .filter(|_| {
                let noise: Vec<f64> = (0..15).map(|_| random.random()).collect();
                mann_kendall(&noise).unwrap().p < 0.05
            })
            .count();
        assert!((60..140).contains(&alarms), "{alarms} of 2000 at 5 %");
    }

    proptest! {
        #[test]
        fn reversing_time_reverses_the_trend(series in prop::collection::vec(-50_i32..50, 3..40)) {
            let there: Vec<f64> = series.iter().map(|v| f64::from(*v)).collect();
            let back: Vec<f64> = there.iter().rev().copied().collect();
            let (there, back) = (mann_kendall(&there).unwrap(), mann_kendall(&back).unwrap());
            prop_assert_eq!(there.s, -back.s);
            prop_assert!((there.slope + back.slope).abs() < 1e-9 && (there.p - back.p).abs() < 1e-9);
            prop_assert!((0.0..=1.0).contains(&there.p));
        }
    }
}
