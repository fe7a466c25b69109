//! How many independent samples a sample of dependent ones is worth: the design effect.

use std::ops::Range;

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::bootstrap::LEAST_BLOCKS;
use super::seconds::Sums;

/// By what factor the variance of a share is larger than if every trial were independent, 1 or more, made larger still
/// for the uncertainty of that factor (Korn & Graubard 1998: Student's t over normal, squared). 1 when all trials agree.
///
/// The variance is that of the circular block bootstrap, which has a closed form for a share: with the residuals
/// `hits - share · trials` of each second, the mean square of the sums of blocks, times their number. It sees dependence
/// that a block holds; what lasts longer is for [`super::batches`].
#[must_use]
pub fn design_effect(hits: &Sums, trials: &Sums, seconds: &Range<usize>, block: usize, confidence: f64) -> f64 {
    of_blocks(hits, trials, seconds, block, confidence).unwrap_or(1.0).max(1.0)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn of_blocks(hits: &Sums, trials: &Sums, seconds: &Range<usize>, block: usize, confidence: f64) -> Option<f64> {
    let blocks = seconds.len().checked_div(block).filter(|blocks| *blocks >= LEAST_BLOCKS)?;
    let all = std::slice::from_ref(seconds);
    let n = trials.of(all) as f64;
    let share = hits.of(all) as f64 / n;
    let independent = n * share * (1.0 - share);
    if independent.is_nan() || independent <= 0.0 {
        return None;
    }
    // Residuals summed up to each second, and on round the end for one block.
    let mut sum = 0.0;
    let mut summed = vec![0.0];
    summed.extend(seconds.clone().chain(seconds.start..seconds.start + block).map(|second| {
        let second = second..second + 1;
        let each = std::slice::from_ref(&second);
        sum += hits.of(each) as f64 - share * trials.of(each) as f64;
        sum
    }));
    let squares: f64 = (0..seconds.len()).map(|from| (summed[from + block] - summed[from]).powi(2)).sum();
    let k = blocks as f64;
    // Mean square of a block, times the (broken) number of blocks, times k/(k-1) for the mean that was taken out.
    let variance = squares / block as f64 * k / (k - 1.0);
    Some(variance / independent * student_over_normal(blocks, confidence)?.powi(2))
}

/// Student's t with k-1 degrees of freedom over the normal quantile: how much further out a bound lies when the
/// spread was estimated from k blocks. None for fewer than two.
#[must_use]
pub fn student_over_normal(blocks: usize, confidence: f64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a count of blocks")]
    let freedom = blocks.checked_sub(1)? as f64;
    let student = StudentsT::new(0.0, 1.0, freedom).ok()?.inverse_cdf(confidence);
    let normal = Normal::standard().inverse_cdf(confidence);
    // At confidence 0.5 both are zero and no bound moves.
    Some(if normal > 1e-9 { student / normal } else { 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    #[test]
    fn students_factor_is_that_of_the_tables() {
        // t tables at 0.95: 6.314 (1), 2.353 (3), 1.796 (11); z = 1.6449.
        for (k, t) in [(2, 6.314), (4, 2.353), (12, 1.796)] {
            assert!((student_over_normal(k, 0.95).unwrap() - t / 1.6449).abs() < 1e-3, "{k}");
        }
        assert!(student_over_normal(1000, 0.95).unwrap() < 1.003);
        assert_eq!(student_over_normal(1, 0.95), None);
    }

    /// Mean design effect over many series of 600 seconds with 50 trials each.
    fn mean_effect(hits: impl Fn(&mut SmallRng) -> u64) -> f64 {
        let mut random = SmallRng::seed_from_u64(11);
        let runs = 40;
        let sum: f64 = (0..runs)
            .map(|_| {
                let hits = Sums::new((0..600).map(|_| hits(&mut random)));
                let trials = Sums::new((0..600).map(|_| 50));
                of_blocks(&hits, &trials, &(0..600), 5, 0.95).unwrap()
            })
            .sum();
        sum / f64::from(runs)
    }

    #[test]
    fn independent_trials_are_worth_themselves() {
        let effect = mean_effect(|random| (0..50).filter(|_| random.random::<f64>() < 0.1).count() as u64);
        assert!((0.95..1.1).contains(&effect), "{effect}");
    }

    #[test]
    fn trials_that_fail_together_are_worth_one() {
        // All fifty of a second fail or none does: exactly fifty times the variance.
        let effect = mean_effect(|random| 50 * u64::from(random.random::<f64>() < 0.1));
        assert!((47.0..55.0).contains(&effect), "{effect}");
    }

    #[test]
    fn agreement_and_emptiness_have_no_effect() {
        let (none, some) = (Sums::new((0..60).map(|_| 0)), Sums::new((0..60).map(|_| 9)));
        for (hits, trials) in [(&none, &some), (&some, &some), (&none, &none)] {
            assert!((design_effect(hits, trials, &(0..60), 5, 0.95) - 1.0).abs() < 1e-12);
        }
    }
}
