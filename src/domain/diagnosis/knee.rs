//! The climb in steps: where p95 leaves its flat part, and how much more the site could carry.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ceilings::{Ceiling, ceilings};
use crate::domain::measurement::{FarSide, Histogram, Measurement, RungFigures};
use crate::domain::site::Web;
use crate::domain::slo::Slo;
use crate::stats::usl::{Growth, Point, growth};
use crate::stats::{order, proportion};

/// p95 has left its flat part when it is this many times what it was at the bottom, by the bounds of both.
const BENT: f64 = 1.5;
/// Confidence of every bound here.
const CONFIDENCE: f64 = 0.95;

/// One number of users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KneeRung {
    /// Users held.
    pub users: u32,
    /// Requests answered in a second.
    pub rps: f64,
    /// Failed requests.
    pub errors: u64,
    /// p95 of the successful ones, ms; none without any.
    pub p95_ms: Option<f64>,
    /// Its one-sided bounds.
    pub low: Option<f64>,
    /// See `low`; none under the floor of requests.
    pub high: Option<f64>,
}

/// What the rungs show together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Knee {
    /// Ascending by users; the hold that was judged is among them.
    pub rungs: Vec<KneeRung>,
    /// Users at which p95 has left its flat part.
    pub bent_at: Option<u32>,
    /// Most users whose p95 lies under the limit and least whose p95 lies over it, when the rungs show both.
    pub breaks: Option<(u32, u32)>,
    /// Most requests a second by the universal scalability law (value, low, high), and users at the peak.
    pub ceiling: Option<([f64; 3], Option<f64>)>,
    /// Why no ceiling can be said; empty when one can.
    pub why: String,
    /// What the configuration can carry, the lowest first, where it is known.
    #[serde(default)]
    pub configured: Vec<Ceiling>,
    /// The users held in the judged hold, and why the climb past it ended early; none when it did not.
    #[serde(default)]
    pub ended: Option<(u32, String)>,
}

/// True when this rung breaks the promise beyond its bounds: p95 or error rate lie over their limits as a whole.
#[must_use]
pub fn breaks(rung: &RungFigures, slo: &Slo) -> bool {
    let slow = bounds(&rung.latency).0.is_some_and(|low| low > slo.p95_ms);
    let failed = proportion::bounds(rung.errors, rung.latency.count() + rung.errors, CONFIDENCE);
    slow || failed.is_some_and(|(low, _)| low * 100.0 > slo.error_percent)
}

/// None when there were no rungs.
#[must_use]
pub fn knee(measurement: &Measurement, far: &FarSide, web: Option<Web>, limit_ms: f64) -> Option<Knee> {
    if measurement.rungs.is_empty() {
        return None;
    }
    let mut points: Vec<(u32, f64, u64, &Histogram)> =
        measurement.rungs.iter().map(|r| (r.users, r.seconds, r.errors, &r.latency)).collect();
    points.push((measurement.users, measurement.hold_seconds, measurement.errors.total(), &measurement.latency));
    points.retain(|(users, seconds, ..)| *users > 0 && *seconds > 0.0);
    points.sort_by_key(|p| p.0);
    #[expect(clippy::cast_precision_loss, reason = "requests of a short hold")]
    let counted: Vec<Point> = points
        .iter()
        .map(|(users, seconds, _, latency)| Point {
            users: f64::from(*users),
            count: latency.count() as f64,
            seconds: *seconds,
        })
        .collect();
    let rungs: Vec<KneeRung> = points
        .iter()
        .zip(&counted)
        .map(|((users, _, errors, latency), point)| {
            let (low, high) = bounds(latency);
            let p95_ms = latency.quantile_ms(0.95);
            KneeRung { users: *users, rps: point.count / point.seconds, errors: *errors, p95_ms, low, high }
        })
        .collect();
    let most = rungs.last().map_or(0, |r| r.users);
    let (ceiling, why) = match growth(&counted) {
        Growth::TooFew => (None, "fewer than three rungs with answers say nothing of a ceiling".to_owned()),
        Growth::Straight => (None, format!("no ceiling in sight up to {most} users")),
        Growth::Vague => {
            (None, format!("throughput bends before {most} users; the rungs are too short to say where it ends"))
        }
        Growth::Bends { most, users } => (Some((most, users)), String::new()),
    };
    let configured = points.first().map_or_else(Vec::new, |(users, seconds, _, latency)| {
        ceilings(measurement, far, web, (*users, *seconds, latency))
    });
    let ended = measurement.beyond_ended.clone().map(|why| (measurement.users, why));
    Some(Knee { bent_at: bent(&points), breaks: crossing(&rungs, limit_ms), rungs, ceiling, why, configured, ended })
}

fn bounds(latency: &Histogram) -> (Option<f64>, Option<f64>) {
    let ranks = order::ranks(latency.count(), 0.95, CONFIDENCE);
    (ranks.low.and_then(|r| latency.rank_ms(r)), ranks.high.and_then(|r| latency.rank_ms(r)))
}

/// The lowest third of the rungs, and more until they have enough requests for an upper bound, are the flat part.
fn bent(points: &[(u32, f64, u64, &Histogram)]) -> Option<u32> {
    let mut flat = Histogram::new();
    let mut used = 0;
    while used < points.len() && (used < points.len().div_ceil(3) || bounds(&flat).1.is_none()) {
        flat.merge(points[used].3);
        used += 1;
    }
    let high = bounds(&flat).1?;
    points[used..].iter().find(|p| bounds(p.3).0.is_some_and(|low| low > BENT * high)).map(|p| p.0)
}

fn crossing(rungs: &[KneeRung], limit_ms: f64) -> Option<(u32, u32)> {
    let over = rungs.iter().find(|r| r.low.is_some_and(|low| low > limit_ms))?.users;
    let under = rungs.iter().rev().find(|r| r.users < over && r.high.is_some_and(|high| high < limit_ms))?.users;
    Some((under, over))
}

impl Knee {
    /// What it says, in words.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut said = Vec::new();
        let bent = |users| format!("p95 has left its flat part at {users} users");
        let crosses = |(under, over)| format!("p95 crosses its limit between {under} and {over} users");
        match (self.breaks, self.bent_at) {
            (Some(breaks), Some(users)) => said.push(format!("{}; its flat part ends at {users}", crosses(breaks))),
            (Some(breaks), None) => said.push(crosses(breaks)),
            (None, Some(users)) => said.push(bent(users)),
            (None, None) => {}
        }
        said.push(match self.ceiling {
            None => self.why.clone(),
            Some(([value, low, high], users)) => {
                let at = users.map_or(String::new(), |n| format!(" near {n:.0} users"));
                format!("ceiling about {value:.0} req/s ({low:.0}–{high:.0}){at}, if it bends on like this")
            }
        });
        said.extend(self.configured.iter().map(Ceiling::sentence));
        said.extend(self.ended.iter().map(|(users, why)| format!("the climb past {users} users ended: {why}")));
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::measurement::RungFigures;

    fn latency(n: u64, ms: u64) -> Histogram {
        let mut histogram = Histogram::new();
        (0..n).for_each(|i| histogram.record(ms * 1000 * (50 + i * 50 / n) / 100));
        histogram
    }

    fn climb(rungs: &[(u32, u64, u64)]) -> Measurement {
        let ((users, n, ms), below) = rungs.split_last().unwrap();
        Measurement {
            users: *users,
            hold_seconds: 20.0,
            latency: latency(*n, *ms),
            rungs: below
                .iter()
                .map(|&(users, n, ms)| RungFigures {
                    users,
                    seconds: 20.0,
                    requests: n,
                    latency: latency(n, ms),
                    ..RungFigures::default()
                })
                .collect(),
            ..Measurement::default()
        }
    }

    #[test]
    fn a_healthy_climb_has_no_ceiling_and_no_knee() {
        let knee = knee(
            &climb(&[(50, 130, 80), (100, 260, 82), (200, 520, 85), (400, 1040, 90)]),
            &FarSide::default(),
            None,
            300.0,
        )
        .unwrap();
        assert_eq!((knee.bent_at, knee.breaks, knee.ceiling), (None, None, None));
        assert_eq!(knee.sentences(), ["no ceiling in sight up to 400 users"]);
    }

    #[test]
    fn a_saturated_climb_shows_where() {
        let rungs = [(100, 1300, 80), (200, 2600, 85), (400, 4000, 200), (600, 4100, 900), (800, 4100, 2500)];
        let knee = knee(&climb(&rungs), &FarSide::default(), None, 300.0).unwrap();
        assert_eq!((knee.bent_at, knee.breaks), (Some(400), Some((400, 600))));
        let ([value, low, high], _) = knee.ceiling.unwrap();
        assert!(low <= value && value <= high && (170.0..280.0).contains(&value), "{value}");
        assert!(knee.sentences()[0].contains("between 400 and 600 users"));
    }

    #[test]
    fn the_climb_past_the_hold_belongs_to_the_knee() {
        let mut m = climb(&[(50, 130, 80), (100, 260, 82), (200, 520, 85)]);
        m.rungs.push(RungFigures {
            users: 400,
            seconds: 20.0,
            requests: 900,
            latency: latency(900, 900),
            ..Default::default()
        });
        m.beyond_ended = Some("the promise broke at 400 users".to_owned());
        let knee = knee(&m, &FarSide::default(), None, 300.0).unwrap();
        assert_eq!((knee.rungs.len(), knee.bent_at, knee.breaks), (4, Some(400), Some((200, 400))));
        let said = knee.sentences();
        assert_eq!(said.last().unwrap(), "the climb past 200 users ended: the promise broke at 400 users");
    }

    #[test]
    fn a_rung_breaks_the_promise_only_beyond_its_bounds() {
        let slo = Slo::default();
        let rung = |n, ms, errors| RungFigures { latency: latency(n, ms), errors, ..RungFigures::default() };
        for (name, rung, broken) in [
            ("fast", rung(200, 80, 0), false),
            ("slow", rung(200, 900, 0), true),
            ("one slow answer says nothing", rung(1, 900, 0), false),
            ("nothing at all", rung(0, 0, 0), false),
            ("two errors in a hundred could be chance", rung(98, 80, 1), false),
            ("nothing but errors", rung(0, 0, 50), true),
        ] {
            assert_eq!(breaks(&rung, &slo), broken, "{name}");
        }
    }

    #[test]
    fn too_little_is_refused() {
        assert_eq!(knee(&climb(&[(400, 1000, 80)]), &FarSide::default(), None, 300.0), None);
        let two = knee(&climb(&[(10, 40, 80), (400, 1000, 900)]), &FarSide::default(), None, 300.0).unwrap();
        assert!(two.ceiling.is_none() && two.why.contains("fewer than three"));
        // A rung of twenty requests has no upper bound and proves nothing under the limit.
        let thin =
            knee(&climb(&[(10, 20, 80), (20, 20, 80), (400, 1000, 900)]), &FarSide::default(), None, 300.0).unwrap();
        assert_eq!(thin.breaks, None);
    }
}
