//! What the configuration can carry at most, whatever was measured: slots divided by the time each request keeps one.
//!
//! Little's law (Little 1961, "A proof for the queuing formula L = λW"): with `n` slots that a request keeps for `W`
//! seconds, no more than `n / W` requests a second get through.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::measurement::{FarSide, Histogram, Measurement, series};
use crate::domain::site::Web;

/// A part of the stack that can be full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ceiling {
    /// Which slots there are, and how long a request keeps one.
    pub what: String,
    /// Most requests a second.
    pub rps: f64,
    /// Users of these flows who ask as often, while the site is fast.
    pub users: f64,
}

/// The ceilings that can be computed, the lowest first. `calm` is the lowest rung: users, seconds and latency there.
#[must_use]
pub(super) fn ceilings(
    measurement: &Measurement,
    far: &FarSide,
    web: Option<Web>,
    calm: (u32, f64, &Histogram),
) -> Vec<Ceiling> {
    let (users, seconds, latency) = calm;
    let answers = float(latency.count());
    let each = answers / seconds / f64::from(users);
    let mut found: Vec<Ceiling> = [web.and_then(|web| of_web(web, latency)), of_pool(measurement, far)]
        .into_iter()
        .flatten()
        .filter(|(_, rps)| rps.is_finite() && *rps > 0.0 && each > 0.0)
        .map(|(what, rps)| Ceiling { what, rps, users: rps / each })
        .collect();
    found.sort_by(|a, b| a.rps.total_cmp(&b.rps));
    found
}

/// While hardly anybody is there, latency is service time and the way to the site: the ceiling is a little low, not high.
fn of_web(web: Web, calm: &Histogram) -> Option<(String, f64)> {
    let sum: f64 = calm.buckets().map(|(micros, count)| float(micros) * float(count)).sum();
    let mean_ms = sum / 1000.0 / float(calm.count());
    let slots = web.slots();
    (mean_ms > 0.0).then(|| {
        let what = format!("{slots} web workers × threads at {mean_ms:.0} ms a request of the lowest rung");
        (what, f64::from(slots) * 1000.0 / mean_ms)
    })
}

/// PgBouncer's own record of the hold: time that transactions kept a server connection.
fn of_pool(measurement: &Measurement, far: &FarSide) -> Option<(String, f64)> {
    let transactions = far.rise(series::POOL_TRANSACTIONS)?;
    let seconds = far.rise(series::POOL_BUSY)?;
    let (_, servers) = far.held(series::POOL_MOST).last()?;
    if transactions <= 0.0 || seconds <= 0.0 {
        return None;
    }
    let what =
        format!("{servers:.0} PgBouncer server connections at {:.1} ms a transaction", seconds * 1000.0 / transactions);
    Some((what, servers * float(measurement.requests) / seconds))
}

impl Ceiling {
    /// "by configuration: 12 web workers × threads at 45 ms a request of the lowest rung carry about 267 req/s, near 2000
    /// users".
    pub(super) fn sentence(&self) -> String {
        format!(
            "by configuration (computed, not measured): {} carry about {:.0} req/s, near {:.0} users",
            self.what, self.rps, self.users
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of one ramp")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ramp::ServerSample;

    fn far(rows: &[(&str, f64, f64)]) -> FarSide {
        let at = |second: u32, value: fn(&(&str, f64, f64)) -> f64| ServerSample {
            second,
            values: rows.iter().map(|row| (row.0.to_owned(), value(row))).collect(),
        };
        FarSide { samples: vec![at(10, |r| r.1), at(39, |r| r.2)], hold: Some((10, 40)), ..FarSide::default() }
    }

    #[test]
    fn slots_over_time_kept_is_the_ceiling_and_the_lowest_comes_first() {
        let mut calm = Histogram::new();
        (0..100).for_each(|_| calm.record(50_000));
        let web = Web { workers: 2, threads: 4, replicas: 1 };
        let m = Measurement { requests: 3000, ..Measurement::default() };
        // 4500 transactions of 2 ms for 3000 requests: 3 ms of a server connection each.
        let pool = far(&[
            (series::POOL_TRANSACTIONS, 100.0, 4600.0),
            (series::POOL_BUSY, 1.0, 10.0),
            (series::POOL_MOST, 6.0, 6.0),
        ]);
        let seen = ceilings(&m, &pool, Some(web), (50, 20.0, &calm));
        let rounded: Vec<_> = seen.iter().map(|c| (c.rps.round(), c.users.round())).collect();
        // Fifty users ask 5 times a second together, a tenth of a request each.
        assert_eq!(rounded, [(160.0, 1600.0), (2000.0, 20_000.0)], "{seen:?}");
        assert!(seen[0].sentence().contains("8 web workers × threads at 50 ms"), "{}", seen[0].sentence());
        assert!(seen[1].what.contains("6 PgBouncer server connections at 2.0 ms"), "{}", seen[1].what);
    }

    #[test]
    fn what_is_not_known_has_no_ceiling() {
        let m = Measurement { requests: 3000, ..Measurement::default() };
        let mut calm = Histogram::new();
        assert_eq!(ceilings(&m, &FarSide::default(), None, (50, 20.0, &calm)), []);
        let web = Some(Web { workers: 2, threads: 4, replicas: 1 });
        assert_eq!(ceilings(&m, &FarSide::default(), web, (50, 20.0, &calm)), [], "no answers, no service time");
        calm.record(50_000);
        let idle =
            far(&[(series::POOL_TRANSACTIONS, 5.0, 5.0), (series::POOL_BUSY, 1.0, 1.0), (series::POOL_MOST, 6.0, 6.0)]);
        assert_eq!(ceilings(&m, &idle, None, (50, 20.0, &calm)), [], "a pool that nobody used");
    }
}
