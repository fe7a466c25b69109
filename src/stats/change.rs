//! When did a series leave its calm? A band from its first seconds, and a run of values outside.
//!
//! The band is Hampel's identifier, median ± k · 1.4826 · MAD (Hampel, *JASA* 69, 1974; Davies & Gather, *JASA* 88,
//! 1993), with k = 5 because a baseline of some seconds knows its own spread badly. A single value outside is noise; only
//! several in a row count, as in the run rules of control charts (Western Electric, 1956). Series that are constant at
//! rest have no spread at all: whoever asks gives the least distance that means something.

use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Spreads away from the median that a value may lie before it is outside.
const K: f64 = 5.0;
/// MAD to standard deviation, for normal noise.
const NORMAL: f64 = 1.4826;

/// What a series does at rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// Median of its calm.
    pub centre: f64,
    /// Values over this are outside.
    pub top: f64,
}

/// The middle one; none of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let high = *sorted.get(half)?;
    Some(if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[half - 1], high) } else { high })
}

/// The band of some calm values, at least `floor` wide; none for fewer than four.
#[must_use]
pub fn band(calm: &[f64], floor: f64) -> Option<Band> {
    if calm.len() < 4 {
        return None;
    }
    let centre = median(calm)?;
    let away: Vec<f64> = calm.iter().map(|v| (v - centre).abs()).collect();
    let spread = NORMAL * median(&away)?;
    Some(Band { centre, top: centre + (K * spread).max(floor) })
}

/// The most that a Poisson mean may be when `count` were seen, one-sided at `confidence` (Garwood, *Biometrika* 28, 1936).
#[must_use]
pub fn poisson_upper(count: f64, confidence: f64) -> f64 {
    ChiSquared::new(2.0 * count + 2.0).map_or(f64::INFINITY, |chi| chi.inverse_cdf(confidence) / 2.0)
}

/// The limit of a count that may grow with the work: three standard deviations over what the work explains (a u-chart,
/// Montgomery, *Introduction to Statistical Quality Control*, ch. 7), at least twice that and at least `floor`.
#[must_use]
pub fn explained(expected: f64, floor: f64) -> f64 {
    (expected + 3.0 * expected.max(0.0).sqrt()).max(2.0 * expected).max(floor)
}

/// The limit of a share of `n`, all as parts of one: three standard deviations over a steady share (a p-chart, Montgomery,
/// ch. 7) and at least `least` over it.
#[must_use]
pub fn explained_share(steady: f64, n: f64, least: f64) -> f64 {
    steady + (3.0 * (steady * (1.0 - steady) / n.max(1.0)).max(0.0).sqrt()).max(least)
}

/// The first of `run` values in a row that all lie over their limit, and the largest of that run. A hole of two seconds
/// or more in the series ends a run: nobody knows what happened in it.
pub fn leaves(points: impl IntoIterator<Item = (u32, f64, f64)>, run: usize) -> Option<(u32, f64)> {
    let mut outside: Vec<(u32, f64)> = Vec::new();
    for (second, value, limit) in points {
        if outside.last().is_some_and(|(last, _)| second > last + 2) {
            outside.clear();
        }
        // Not a number is not outside.
        if value > limit {
            outside.push((second, value))
        } else {
            outside.clear()
        }
        if outside.len() == run {
            return Some((outside[0].0, outside.iter().map(|o| o.1).fold(f64::MIN, f64::max)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    #[test]
    fn bands_and_medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(band(&[0.0; 3], 1.0), None);
        assert_eq!(band(&[0.0; 4], 1.0), Some(Band { centre: 0.0, top: 1.0 }));
        // One wild second does not widen it.
        let calm = [10.0, 11.0, 9.0, 10.0, 900.0, 10.5, 9.5];
        assert!(band(&calm, 0.1).unwrap().top < 20.0);
        // Garwood's table: none seen, at most 3.00; ten seen, at most 16.96.
        assert!((poisson_upper(0.0, 0.95) - 2.996).abs() < 1e-3);
        assert!((poisson_upper(10.0, 0.95) - 16.962).abs() < 1e-3);
    }

    #[test]
    fn only_a_run_leaves() {
        let of = |values: &[f64]| leaves((0..).zip(values).map(|(s, v)| (s, *v, 1.0)), 3);
        assert_eq!(of(&[0.0, 2.0, 2.0, 0.0, 2.0]), None);
        assert_eq!(of(&[0.0, 2.0, 3.0, 2.0, 9.0]), Some((1, 3.0)));
        assert_eq!(of(&[f64::NAN; 5]), None);
        assert_eq!(leaves([(1, 2.0, 1.0), (2, 2.0, 1.0), (9, 2.0, 1.0)], 3), None, "a hole");
    }

    #[test]
    fn a_share_may_scatter_with_its_number() {
        // 20 % of 100: a standard deviation of 4 points.
        assert!((explained_share(0.2, 100.0, 0.0) - 0.32).abs() < 1e-12);
        assert!((explained_share(0.2, 10_000.0, 0.1) - 0.3).abs() < 1e-12);
        assert!((explained_share(0.0, 50.0, 0.02) - 0.02).abs() < 1e-12);
    }

    #[test]
    fn noise_stays_inside() {
        let mut random = SmallRng::seed_from_u64(5);
        let alarms = (0..500)
            .filter(|_| {
                // Sum of twelve uniform ones: close to normal.
                let noise: Vec<f64> =
                    (0..120).map(|_| (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0).collect();
                let band = band(&noise[..6], 0.0).unwrap();
                leaves((0..).zip(&noise).map(|(s, v)| (s, *v, band.top)), 3).is_some()
            })
            .count();
        assert!(alarms <= 25, "{alarms} of 500");
    }
}
