//! How throughput grows with load: Gunther's universal scalability law, X(N) = λN / (1 + σ(N-1) + κN(N-1))
//! (*Guerrilla Capacity Planning*, 2007, ch. 4-6).
//!
//! N/X is linear in (1, N-1, N(N-1)), so the fit is weighted linear least squares with σ, κ ≥ 0: the best of the four
//! fits with some of them zero that keeps the rest positive is the constrained optimum. A count of n requests is taken
//! as Poisson, which overstates its variance in a closed system; its weight is n/(N/X)². The uncertainty comes from
//! drawing all counts again. Users' pauses are inside: N counts people, not requests.

use rand::{Rng, SeedableRng, rngs::SmallRng};
use statrs::distribution::{ContinuousCDF, Normal};

/// One measured point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Concurrent users.
    pub users: f64,
    /// Requests answered.
    pub count: f64,
    /// In this many seconds.
    pub seconds: f64,
}

/// A fitted curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    /// Requests a second of one user alone.
    pub lambda: f64,
    /// Contention.
    pub sigma: f64,
    /// Crosstalk.
    pub kappa: f64,
}

impl Curve {
    /// Requests a second at `n` users.
    #[must_use]
    pub fn rate(&self, n: f64) -> f64 {
        self.lambda * n / (1.0 + self.sigma * (n - 1.0) + self.kappa * n * (n - 1.0))
    }

    /// Users at the peak (none when it only flattens) and the most requests a second; none when it grows without end.
    #[must_use]
    pub fn peak(&self) -> Option<(Option<f64>, f64)> {
        if self.kappa > 0.0 && self.sigma < 1.0 {
            let users = ((1.0 - self.sigma) / self.kappa).sqrt().max(1.0);
            return Some((Some(users), self.rate(users)));
        }
        (self.sigma > 0.0).then(|| (None, self.lambda / self.sigma))
    }
}

/// What some points say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Growth {
    /// Fewer than three different numbers of users.
    TooFew,
    /// Throughput bends by less than its own uncertainty or by less than 5 %.
    Straight,
    /// It bends, but where it ends is anybody's guess: the interval spans more than a factor of two.
    Vague,
    /// It bends: the most requests a second (value, low, high; two-sided 90 %), and the users where it peaks.
    Bends {
        /// Requests a second.
        most: [f64; 3],
        /// Users at the peak; none when it only flattens.
        users: Option<f64>,
    },
}

const DRAWS: usize = 400;

/// Fits the curve; none for fewer than three different numbers of users.
#[must_use]
pub fn fit(points: &[Point]) -> Option<Curve> {
    let mut levels: Vec<f64> = points.iter().map(|p| p.users).collect();
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    let usable = points.iter().all(|p| p.users >= 1.0 && p.count > 0.0 && p.seconds > 0.0);
    if levels.len() < 3 || !usable {
        return None;
    }
    let rows: Vec<([f64; 3], f64, f64)> = points
        .iter()
        .map(|p| {
            let (n, y) = (p.users, p.users * p.seconds / p.count);
            ([1.0, n - 1.0, n * (n - 1.0)], y, p.count / (y * y))
        })
        .collect();
    let best = [&[0, 1, 2][..], &[0, 1], &[0, 2], &[0]]
        .into_iter()
        .filter_map(|used| {
            let b = solve(&rows, used)?;
            let error: f64 = rows.iter().map(|(x, y, w)| w * (y - dot(x, &b)).powi(2)).sum();
            (b[0] > 0.0 && b[1] >= 0.0 && b[2] >= 0.0).then_some((error, b))
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))?;
    let [a, b, c] = best.1;
    Some(Curve { lambda: 1.0 / a, sigma: b / a, kappa: c / a })
}

fn dot(x: &[f64; 3], b: &[f64; 3]) -> f64 {
    x.iter().zip(b).map(|(x, b)| x * b).sum()
}

/// Weighted least squares over some of the three columns, by normal equations on scaled columns.
fn solve(rows: &[([f64; 3], f64, f64)], used: &[usize]) -> Option<[f64; 3]> {
    let scale: Vec<f64> = used.iter().map(|&i| rows.iter().map(|r| r.0[i].abs()).fold(1e-12, f64::max)).collect();
    let k = used.len();
    let mut m = vec![vec![0.0; k + 1]; k];
    for (x, y, w) in rows {
        for i in 0..k {
            let xi = x[used[i]] / scale[i];
            for j in 0..k {
                m[i][j] += w * xi * x[used[j]] / scale[j];
            }
            m[i][k] += w * xi * y;
        }
    }
    for i in 0..k {
        let pivot = (i..k).max_by(|a, b| m[*a][i].abs().total_cmp(&m[*b][i].abs()))?;
        m.swap(i, pivot);
        if m[i][i].abs() < 1e-12 {
            return None;
        }
        for j in 0..k {
            if i != j {
                let factor = m[j][i] / m[i][i];
                let row = m[i].clone();
                m[j].iter_mut().zip(row).for_each(|(value, above)| *value -= factor * above);
            }
        }
    }
    let mut b = [0.0; 3];
    for (i, &column) in used.iter().enumerate() {
        b[column] = m[i][k] / m[i][i] / scale[i];
    }
    Some(b)
}

/// What the points say of the ceiling; the same points always say the same.
#[must_use]
pub fn growth(points: &[Point]) -> Growth {
    let Some(curve) = fit(points) else { return Growth::TooFew };
    let far = points.iter().map(|p| p.users).fold(1.0, f64::max);
    let mut random = SmallRng::seed_from_u64(1);
    let normal = Normal::standard();
    let mut draw = |count: f64| {
        let z = normal.inverse_cdf(random.random_range(1e-9..1.0 - 1e-9));
        (count + count.sqrt() * z).max(1.0)
    };
    let drawn: Vec<Curve> = (0..DRAWS)
        .filter_map(|_| fit(&points.iter().map(|p| Point { count: draw(p.count), ..*p }).collect::<Vec<_>>()))
        .collect();
    let quantile = |mut values: Vec<f64>, share: f64| {
        values.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let at = (share * (values.len().max(1) - 1) as f64).round() as usize;
        values.get(at).copied().unwrap_or(f64::INFINITY)
    };
    let straightness: Vec<f64> = drawn.iter().map(|c| c.rate(far) / (c.lambda * far)).collect();
    if quantile(straightness, 0.95) > 0.95 {
        return Growth::Straight;
    }
    let Some((users, most)) = curve.peak() else { return Growth::Straight };
    let most_of: Vec<f64> = drawn.iter().map(|c| c.peak().map_or(f64::INFINITY, |p| p.1)).collect();
    let (low, high) = (quantile(most_of.clone(), 0.05), quantile(most_of, 0.95));
    if high > 2.0 * low { Growth::Vague } else { Growth::Bends { most: [most, low.min(most), high.max(most)], users } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prop_assert, proptest};

    const USERS: [f64; 6] = [10.0, 50.0, 100.0, 200.0, 400.0, 800.0];

    fn points(curve: &Curve, seconds: f64) -> Vec<Point> {
        USERS.iter().map(|&users| Point { users, count: (curve.rate(users) * seconds).round(), seconds }).collect()
    }

    #[test]
    fn a_known_law_is_found_again() {
        let law = Curve { lambda: 0.15, sigma: 0.002, kappa: 4e-6 };
        let Growth::Bends { most: [most, low, high], users } = growth(&points(&law, 600.0)) else { panic!() };
        let (peak, truth) = law.peak().unwrap();
        assert!((most / truth - 1.0).abs() < 0.05 && low <= truth && truth <= high, "{low} {most} {high} for {truth}");
        assert!((users.unwrap() / peak.unwrap() - 1.0).abs() < 0.15);
    }

    #[test]
    fn what_the_points_do_not_say_is_not_said() {
        let line = Curve { lambda: 0.13, sigma: 0.0, kappa: 0.0 };
        assert_eq!(growth(&points(&line, 30.0)), Growth::Straight);
        assert_eq!(growth(&points(&line, 30.0)[..2]), Growth::TooFew);
        let same = [points(&line, 30.0)[0]; 3];
        assert_eq!(growth(&same), Growth::TooFew);
        assert_eq!(growth(&[Point { count: 0.0, ..same[0] }]), Growth::TooFew);
        let faint = Curve { sigma: 0.0012, ..line };
        for seconds in [2.0, 4.0, 8.0, 16.0] {
            let said = growth(&points(&faint, seconds)[..4]);
            assert!(matches!(said, Growth::Straight | Growth::Vague), "{said:?}");
        }
    }

    #[test]
    fn noise_alone_has_no_ceiling() {
        let line = Curve { lambda: 0.13, sigma: 0.0, kappa: 0.0 };
        let mut random = SmallRng::seed_from_u64(3);
        let alarms = (0..60)
            .filter(|_| {
                let noisy: Vec<Point> = points(&line, 20.0)
                    .into_iter()
                    .map(|p| Point { count: (p.count + p.count.sqrt() * random.random_range(-1.7..1.7)).max(1.0), ..p })
                    .collect();
                matches!(growth(&noisy), Growth::Bends { .. })
            })
            .count();
        assert!(alarms <= 3, "{alarms} of 60");
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]
        #[test]
        fn nothing_is_ever_negative(counts in proptest::collection::vec(1.0_f64..1e5, 6)) {
            let points: Vec<Point> = USERS.iter().zip(counts).map(|(&users, count)| Point { users, count, seconds: 20.0 }).collect();
            let curve = fit(&points).unwrap();
            prop_assert!(curve.lambda > 0.0 && curve.sigma >= 0.0 && curve.kappa >= 0.0);
        }
    }
}
