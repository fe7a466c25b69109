//! Looking at a growing sample several times without making a lucky look more likely: group sequential bounds.
//!
//! Lan & DeMets (*Biometrika* 70, 1983): the allowed error is spent by a rule fixed beforehand, whatever is seen. How far
//! out a bound then lies follows from the recursion of Armitage, McPherson & Rowe (*JRSS A* 132, 1969), integrated
//! numerically over a sum of independent steps of equal size: the large-sample law of quantiles and shares alike.

use statrs::distribution::{ContinuousCDF, Normal};

/// Share of the error spent at the first of several looks. Nearly all: a healthy system is recognised there, and its
/// hold becomes hardly longer than without further looks.
const FIRST: f64 = 0.8;

/// Steps of the integral over each look's sum.
const STEPS: u32 = 400;

/// How far below zero the integral begins, in standard deviations.
const REACH: f64 = 8.0;

/// One-sided confidence of a bound at each of `looks` evenly spaced looks, so that over all of them together a wrong
/// side is claimed with a chance of at most 1 - `confidence`. One look has the whole confidence. Without looks, empty.
///
/// Four fifths of the error go to the first look, the rest evenly to the others: 96.0 %, 98.9 % and 98.9 % for three
/// looks at 95 %.
#[must_use]
pub fn confidences(confidence: f64, looks: u8) -> Vec<f64> {
    let alpha = 1.0 - confidence;
    let spent = match looks {
        0 | 1 => vec![alpha; usize::from(looks)],
        more => (0..more)
            .map(|look| if look == 0 { alpha * FIRST } else { alpha * (1.0 - FIRST) / f64::from(more - 1) })
            .collect(),
    };
    let normal = Normal::standard();
    let mut sum = Sum::default();
    spent
        .into_iter()
        .map(|error| {
            let bound = sum.bound(error);
            sum.go_on(bound);
            1.0 - normal.sf(bound / sum.looks.sqrt())
        })
        .collect()
}

/// Where a sum of standard normal steps may be that has crossed no bound yet: values with their weights.
#[derive(Debug, Default)]
struct Sum {
    weighted: Vec<(f64, f64)>,
    looks: f64,
}

impl Sum {
    /// Chance to be over a value for the first time after one step more.
    fn crosses(&self, bound: f64) -> f64 {
        let normal = Normal::standard();
        if self.weighted.is_empty() {
            return normal.sf(bound);
        }
        self.weighted.iter().map(|(at, weight)| weight * normal.sf(bound - at)).sum()
    }

    /// The value that is crossed with this chance, by bisection.
    fn bound(&self, chance: f64) -> f64 {
        let (mut low, mut high) = (-REACH, 4.0 * REACH);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if self.crosses(middle) > chance { low = middle } else { high = middle }
        }
        f64::midpoint(low, high)
    }

    /// Makes the step and stays under the bound (trapezoidal rule).
    fn go_on(&mut self, bound: f64) {
        self.looks += 1.0;
        let from = -REACH * self.looks.sqrt();
        let step = (bound - from) / f64::from(STEPS);
        let weighted = (0..=STEPS)
            .map(|i| {
                let at = from + step * f64::from(i);
                let edge = if i == 0 || i == STEPS { 0.5 } else { 1.0 };
                (at, self.density(at) * step * edge)
            })
            .collect();
        self.weighted = weighted;
    }

    fn density(&self, at: f64) -> f64 {
        let bell = |z: f64| (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
        if self.weighted.is_empty() {
            return bell(at);
        }
        self.weighted.iter().map(|(from, weight)| weight * bell(at - from)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    /// Chance to cross any of these bounds, each given in standard deviations at its look.
    fn total(bounds: &[f64]) -> f64 {
        let mut sum = Sum::default();
        (1_u32..)
            .zip(bounds)
            .map(|(look, z)| {
                let bound = z * f64::from(look).sqrt();
                let crossed = sum.crosses(bound);
                sum.go_on(bound);
                crossed
            })
            .sum()
    }

    #[test]
    fn the_recursion_agrees_with_published_tables() {
        // Jennison & Turnbull, Group Sequential Methods, tables 2.1 and 2.3: two-sided 5 %, hence 2.5 % on one side.
        for bounds in [
            &[2.178; 2][..],
            &[2.289; 3],
            &[2.413; 5],
            &[1.977 * std::f64::consts::SQRT_2, 1.977],
            &[2.004 * 3.0_f64.sqrt(), 2.004 * 1.5_f64.sqrt(), 2.004],
        ] {
            assert!((total(bounds) - 0.025).abs() < 1e-4, "{bounds:?}: {}", total(bounds));
        }
    }

    #[test]
    fn one_look_has_all_and_several_share() {
        assert!(confidences(0.95, 0).is_empty());
        assert!((confidences(0.95, 1)[0] - 0.95).abs() < 1e-9);
        let three = confidences(0.95, 3);
        for (got, expected) in three.iter().zip([0.96, 0.9888, 0.9888]) {
            assert!((got - expected).abs() < 1e-4, "{three:?}");
        }
        for confidence in [0.8, 0.9, 0.99] {
            for looks in 2..5 {
                let all = confidences(confidence, looks);
                assert!(all.iter().all(|one| *one > confidence && *one < 1.0), "{all:?}");
            }
        }
    }

    #[test]
    fn simulated_sums_cross_as_often_as_allowed() {
        let normal = Normal::standard();
        let bounds: Vec<f64> = confidences(0.95, 3).into_iter().map(|c| normal.inverse_cdf(c)).collect();
        let mut random = SmallRng::seed_from_u64(3);
        let runs = 40_000;
        let crossed = (0..runs)
            .filter(|_| {
                let mut sum = 0.0;
                (1_u32..).zip(&bounds).any(|(look, bound)| {
                    sum += normal.inverse_cdf(random.random_range(1e-12..1.0));
                    sum / f64::from(look).sqrt() > *bound
                })
            })
            .count();
        // 5 % of 40,000 is 2,000 with a standard error of 44.
        assert!((1850..2150).contains(&crossed), "{crossed}");
    }
}
