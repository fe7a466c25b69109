//! Does a level that wanders grow? Means of increments over batches, which a random walk has independent of each other.
//!
//! A queue's length depends on what it was a moment ago, so that ranks or a line through its values find a trend in every
//! walk. Its increments over batches of some seconds do not: their mean is the growth, their spread says how sure it is
//! (Student's t, k - 1 degrees of freedom). A level that returns has increments that take each other back, and is called
//! growing more rarely than promised.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Fewer batches than this have hardly a spread.
const LEAST: usize = 4;

/// How a level grew, per value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// From the first value to the last.
    pub per_step: f64,
    /// One-sided lower bound.
    pub low: f64,
}

/// The growth of a series with one value a step, from increments over `batch` steps; none with fewer than four of them.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "some hundreds of seconds")]
pub fn growth(series: &[f64], batch: usize, confidence: f64) -> Option<Growth> {
    let ends: Vec<f64> = series.iter().copied().step_by(batch.max(1)).collect();
    let steps: Vec<f64> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
    if steps.len() < LEAST {
        return None;
    }
    let (k, batch) = (steps.len() as f64, batch.max(1) as f64);
    let mean = steps.iter().sum::<f64>() / k;
    let squares: f64 = steps.iter().map(|step| (step - mean).powi(2)).sum();
    let student = StudentsT::new(0.0, 1.0, k - 1.0).ok()?.inverse_cdf(confidence);
    let error = (squares / (k - 1.0) / k).sqrt();
    Some(Growth { per_step: mean / batch, low: (mean - student * error) / batch })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    #[test]
    fn agrees_with_the_formula_by_hand() {
        // Increments 1, 3, 2, 2 over two steps each: mean 2, standard error 0.4082, t of four at 95 % 2.3534.
        let got = growth(&[0.0, 9.0, 1.0, 9.0, 4.0, 9.0, 6.0, 9.0, 8.0], 2, 0.95).unwrap();
        assert!(
            (got.per_step - 1.0).abs() < 1e-12 && (got.low - (2.0 - 2.3534 * 0.408_25) / 2.0).abs() < 1e-3,
            "{got:?}"
        );
        assert_eq!(growth(&[1.0; 4], 1, 0.95), None);
        assert_eq!(growth(&[3.0; 9], 1, 0.95), Some(Growth { per_step: 0.0, low: 0.0 }));
    }

    #[test]
    fn a_walk_that_goes_nowhere_is_called_growing_as_often_as_promised() {
        let mut random = SmallRng::seed_from_u64(5);
        let called = (0..1000)
            .filter(|_| {
                let mut level = 0.0;
                let walk: Vec<f64> = (0..120)
                    .map(|_| {
                        level += random.random_range(-1.0..1.0);
                        level
                    })
                    .collect();
                growth(&walk, 5, 0.95).unwrap().low > 0.0
            })
            .count();
        // 5 % of a thousand is 50.
        assert!((25..85).contains(&called), "{called}");
    }
}
