//! Exact bounds of a quantile: which order statistics hold it, whatever the distribution.
//!
//! Of n independent values, the number at or under the true p-quantile is Binomial(n, p). Hence the r-th smallest value
//! lies over that quantile with probability P(X ≤ r-1) (David & Nagaraja, *Order Statistics*, 3rd ed., 7.1).

use super::binomial::cdf;

/// Ranks (from 1) of the order statistics that bound a quantile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranks {
    /// The quantile lies at or over this one; none when the sample is too small to say so.
    pub low: Option<u64>,
    /// The quantile lies at or under this one; none when the sample is too small to say so.
    pub high: Option<u64>,
}

/// One-sided bounds of the `p`-quantile of `n` independent values, each holding with `confidence`.
#[must_use]
pub fn ranks(n: u64, p: f64, confidence: f64) -> Ranks {
    // The largest r with P(X ≥ r) ≥ confidence, and the smallest with P(X ≤ r-1) ≥ confidence.
    let under = first(n, |r| cdf(r - 1, n, p) > 1.0 - confidence).unwrap_or(n + 1) - 1;
    let high = first(n, |r| cdf(r - 1, n, p) >= confidence);
    Ranks { low: (under > 0).then_some(under), high }
}

/// The first rank from 1 to n for which a condition holds that, once true, stays true.
fn first(n: u64, holds: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut low, mut high) = (1, n + 1);
    while low < high {
        let middle = u64::midpoint(low, high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    (low <= n).then_some(low)
}

/// The smallest sample whose largest value bounds the `p`-quantile from above: the least n with 1 - pⁿ ≥ confidence.
/// 59 for p = 0.95 and confidence 0.95. None when no sample can.
#[must_use]
pub fn floor(p: f64, confidence: f64) -> Option<u64> {
    if !(0.0..1.0).contains(&p) || !(0.0..1.0).contains(&confidence) {
        return None;
    }
    if p == 0.0 {
        return Some(1);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and saturates")]
    Some(((1.0 - confidence).ln() / p.ln()).ceil().max(1.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_floor_of_p95_is_fifty_nine() {
        assert_eq!(floor(0.95, 0.95), Some(59));
        assert_eq!(ranks(58, 0.95, 0.95).high, None);
        assert_eq!(ranks(59, 0.95, 0.95).high, Some(59));
        // Wilks (1941): 93 values for two; 59 at 95/95 and 299 at 99/95 are the textbook figures for one.
        assert_eq!(floor(0.99, 0.95), Some(299));
        assert_eq!(floor(0.95, 0.99), Some(90));
    }

    #[test]
    fn agrees_with_published_ranks() {
        // One-sided non-parametric tolerance limits (ISO 16269-6, p = 0.95, confidence 0.95): the k-th largest of n may
        // serve from n = 59, 93, 124, 153, 181, 208 on.
        for (k, n) in [(1, 59), (2, 93), (3, 124), (4, 153), (5, 181), (6, 208)] {
            assert_eq!(ranks(n, 0.95, 0.95).high, Some(n - k + 1), "n = {n}");
            assert_ne!(ranks(n - 1, 0.95, 0.95).high, Some(n - k), "n = {}", n - 1);
        }
        // Two-sided 95 % for a median of ten: second smallest to second largest covers 97.9 %.
        assert_eq!(ranks(10, 0.5, 0.975), Ranks { low: Some(2), high: Some(9) });
    }

    proptest! {
        #[test]
        fn bounds_are_valid_and_no_wider_than_needed(n in 1_u64..5000, p in 0.01_f64..0.99, c in 0.6_f64..0.999) {
            let Ranks { low, high } = ranks(n, p, c);
            if let Some(high) = high {
                prop_assert!(cdf(high - 1, n, p) >= c);
                prop_assert!(high == 1 || cdf(high - 2, n, p) < c);
            } else {
                prop_assert!(n < floor(p, c).unwrap());
            }
            if let Some(low) = low {
                prop_assert!(1.0 - cdf(low - 1, n, p) >= c - 1e-12);
                prop_assert!(high.is_none_or(|high| low <= high));
            }
        }
    }
}
