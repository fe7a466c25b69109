//! How far a figure of a hold would move if the hold were run again, when its seconds depend on their neighbours.
//!
//! Moving blocks (Künsch, *Ann. Statist.* 17, 1989) in their circular form (Politis & Romano 1992): whole blocks of
//! consecutive seconds are drawn with replacement until the hold's length is reached, the figure is computed again, a
//! thousand times. Circular, because plain moving blocks draw the last seconds less often than the others, and a crash
//! in the last seconds is what must not be missed.

use std::ops::Range;

use rand::{Rng, SeedableRng, rngs::SmallRng};
use statrs::distribution::{ContinuousCDF, Normal};

use super::effective::student_over_normal;
use super::seconds::Stretch;

/// Draws at 95 % confidence; more for rarer tails, so that some draws lie beyond a bound.
const DRAWS: f64 = 1000.0;

/// Fewer blocks than this say nothing about how blocks differ.
pub const LEAST_BLOCKS: usize = 4;

/// A set of draws, the same for every figure of one hold.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    draws: Vec<Vec<Stretch>>,
    /// Share of draws beyond each bound.
    beyond: f64,
}

impl Bootstrap {
    /// Draws blocks of `block` seconds from some seconds; the same seed draws the same blocks. None when there are not
    /// at least four whole blocks.
    ///
    /// Few blocks understate the spread, because the variance of k resampled blocks is short by (k-1)/k and is itself
    /// uncertain. Bounds are therefore read further out: at Φ(t/z · √(k/(k-1)) · z) instead of Φ(z), with Student's t
    /// for k-1 degrees of freedom. Read as a percentile, this holds for skewed figures on any scale.
    #[must_use]
    pub fn new(seconds: Range<usize>, block: usize, confidence: f64, seed: u64) -> Option<Self> {
        if block == 0 || seconds.len() < LEAST_BLOCKS * block || !(0.5..1.0).contains(&confidence) {
            return None;
        }
        let blocks = seconds.len() / block;
        #[expect(clippy::cast_precision_loss, reason = "a count of blocks")]
        let k = blocks as f64;
        let further = student_over_normal(blocks, confidence)? * (k / (k - 1.0)).sqrt();
        let normal = Normal::standard();
        let beyond = normal.sf(normal.inverse_cdf(confidence) * further);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands")]
        let count = (5.0 / beyond).clamp(DRAWS, 20_000.0) as usize;
        let mut random = SmallRng::seed_from_u64(seed);
        let draws = (0..count)
            .map(|_| {
                (0..seconds.len().div_ceil(block))
                    .flat_map(|_| around(random.random_range(seconds.clone()), block, &seconds))
                    .collect()
            })
            .collect();
        Some(Self { draws, beyond })
    }

    /// One-sided lower and upper bound of a figure that is `value` on the whole and `figure` on a draw. A draw without
    /// a figure (no sample in it) counts as infinitely bad.
    pub fn bounds(&self, value: f64, mut figure: impl FnMut(&[Stretch]) -> Option<f64>) -> (f64, f64) {
        let mut figures: Vec<f64> = self.draws.iter().map(|draw| figure(draw).unwrap_or(f64::INFINITY)).collect();
        figures.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index into some thousands of figures"
        )]
        let beyond = (figures.len() as f64 * self.beyond).floor() as usize;
        (value.min(figures[beyond]), value.max(figures[figures.len() - 1 - beyond]))
    }
}

/// A block as one or two stretches: one that passes the end goes on at the beginning.
fn around(from: usize, length: usize, seconds: &Range<usize>) -> impl Iterator<Item = Stretch> {
    let end = from + length;
    let over = end.saturating_sub(seconds.end);
    [from..end - over, seconds.start..seconds.start + over].into_iter().filter(|stretch| !stretch.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::prop, prop_assert, prop_assert_eq, proptest};

    fn mean(series: &[f64], draw: &[Stretch]) -> Option<f64> {
        let picked: Vec<f64> = draw.iter().flat_map(|stretch| series[stretch.clone()].iter().copied()).collect();
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let n = picked.len() as f64;
        Some(picked.iter().sum::<f64>() / n)
    }

    #[test]
    fn three_blocks_know_nothing() {
        assert!(Bootstrap::new(0..19, 5, 0.95, 1).is_none());
        assert!(Bootstrap::new(0..20, 5, 0.95, 1).is_some());
        assert!(Bootstrap::new(0..20, 0, 0.95, 1).is_none());
    }

    #[test]
    fn blocks_stay_within_their_seconds_and_draw_each_as_often() {
        let mut drawn = [0_u32; 60];
        for stretch in Bootstrap::new(20..60, 5, 0.95, 1).unwrap().draws.iter().flatten() {
            for second in stretch.clone() {
                drawn[second] += 1;
            }
        }
        assert_eq!(drawn[..20], [0; 20]);
        // 40 draws of each second per forty draws; the last seconds as often as the middle ones.
        let mean = f64::from(drawn.iter().sum::<u32>()) / 40.0;
        assert!(drawn[20..].iter().all(|n| (f64::from(*n) / mean - 1.0).abs() < 0.2), "{drawn:?}");
    }

    #[test]
    fn the_mean_of_noise_gets_the_textbook_interval() {
        let mut random = SmallRng::seed_from_u64(7);
        let series: Vec<f64> = (0..600).map(|_| random.random_range(-1.0..1.0)).collect();
        let whole = mean(&series, std::slice::from_ref(&(0..600))).unwrap();
        let (low, high) = Bootstrap::new(0..600, 5, 0.95, 3).unwrap().bounds(whole, |draw| mean(&series, draw));
        // Uniform on (-1, 1): standard error 1/√3/√600 = 0.02357, times 1.645.
        for half in [whole - low, high - whole] {
            assert!((0.031..0.047).contains(&half), "{half}");
        }
    }

    #[test]
    fn neighbours_that_agree_widen_the_interval() {
        let mut random = SmallRng::seed_from_u64(9);
        let mut level = 0.0;
        let series: Vec<f64> = (0..600)
            .map(|_| {
                level = 0.8 * level + random.random_range(-1.0..1.0);
                level
            })
            .collect();
        let half = |block| {
            let (low, high) = Bootstrap::new(0..600, block, 0.95, 3).unwrap().bounds(0.0, |draw| mean(&series, draw));
            high - low
        };
        assert!(half(5) > 1.5 * half(1), "{} against {}", half(5), half(1));
    }

    #[test]
    fn a_draw_without_samples_is_infinitely_bad() {
        let (_, high) = Bootstrap::new(0..20, 5, 0.95, 3).unwrap().bounds(1.0, |_| None);
        assert!(high.is_infinite());
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(24))]
        #[test]
        fn seeded_and_around_the_value(series in prop::collection::vec(0.0_f64..100.0, 20..80), seed: u64) {
            let all = 0..series.len();
            let whole = mean(&series, std::slice::from_ref(&all)).unwrap();
            let run = || Bootstrap::new(all.clone(), 5, 0.95, seed).unwrap().bounds(whole, |d| mean(&series, d));
            let (low, high) = run();
            prop_assert!(low <= whole && whole <= high);
            prop_assert_eq!((low, high), run());
        }
    }
}
