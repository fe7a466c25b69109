//! The binomial distribution function, summed exactly; both kinds of interval rest on it.

use statrs::function::gamma::ln_gamma;

/// P(X ≤ k) for X ~ Binomial(n, p), by summing the shorter tail outwards from its largest term.
///
/// Each term follows from its neighbour: `f(i-1) = f(i) · i/(n-i+1) · (1-p)/p`. The usual way, a continued fraction of
/// the incomplete beta function, stops after a fixed number of rounds in our library and is then silently wrong near
/// the mean of a large sample, which is where every quantile's rank lies.
#[must_use]
pub fn cdf(k: u64, n: u64, p: f64) -> f64 {
    if k >= n || p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return 0.0;
    }
    if real(k) < real(n) * p { lower_tail(k, n, p) } else { 1.0 - lower_tail(n - k - 1, n, 1.0 - p) }
}

/// Σ f(i) for i ≤ k, with k below the mean so that terms shrink downwards.
fn lower_tail(k: u64, n: u64, p: f64) -> f64 {
    let odds = (1.0 - p) / p;
    let mut term = ln_mass(k, n, p).exp();
    let mut sum = term;
    for i in (1..=k).rev() {
        term *= real(i) / real(n - i + 1) * odds;
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum.min(1.0)
}

fn ln_mass(k: u64, n: u64, p: f64) -> f64 {
    let (k, n) = (real(k), real(n));
    ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0) + k * p.ln() + (n - k) * (-p).ln_1p()
}

#[expect(clippy::cast_precision_loss, reason = "sample sizes are far below 2^52")]
pub(crate) fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_tables() {
        // Binomial tables, n = 20: P(X ≤ 3 | 0.25) = 0.2252, P(X ≤ 10 | 0.5) = 0.5881; n = 10: P(X ≤ 8 | 0.95) = 0.0861.
        for (k, n, p, table) in [(3, 20, 0.25, 0.2252), (10, 20, 0.5, 0.5881), (8, 10, 0.95, 0.0861)] {
            assert!((cdf(k, n, p) - table).abs() < 5e-5, "{k} {n} {p}: {}", cdf(k, n, p));
        }
    }

    #[test]
    fn is_right_for_a_million() {
        // Normal approximation with continuity correction and Edgeworth skewness term, good to 1e-6 here.
        let (n, p) = (1_000_000_u64, 0.95);
        let sd = (real(n) * p * (1.0 - p)).sqrt();
        let skew = (1.0 - 2.0 * p) / sd;
        for z in [-2.0_f64, -0.5, 0.0, 0.5, 2.0] {
            let k = (950_000.0 + z * sd).floor();
            let z = (k + 0.5 - 950_000.0) / sd;
            let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
            let normal = 0.5 * statrs::function::erf::erfc(-z / std::f64::consts::SQRT_2);
            let expected = normal + skew / 6.0 * (1.0 - z * z) * density;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive count")]
            let got = cdf(k as u64, n, p);
            assert!((got - expected).abs() < 3e-6, "z {z}: {got} against {expected}");
        }
    }

    proptest! {
        #[test]
        fn rises_from_nothing_to_one_and_mirrors(n in 1_u64..3000, share in 0.0_f64..1.0, p in 0.001_f64..0.999) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ share < 1")]
            let k = (real(n) * share) as u64;
            let here = cdf(k, n, p);
            prop_assert!((0.0..=1.0).contains(&here));
            prop_assert!(cdf(k + 1, n, p) >= here - 1e-12);
            if k < n {
                prop_assert!((here + cdf(n - k - 1, n, 1.0 - p) - 1.0).abs() < 1e-9);
            }
        }
    }
}
