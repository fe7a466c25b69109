//! Which series left its calm first. A correlation in time, never a cause: it says where to look.
//!
//! Both clocks are read once a second, so what lies a second apart happened together. Series that grow with the users by
//! nature are held against the requests of the same second; the others against their own first seconds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::measurement::{FarSide, series};
use crate::stats::change::{band, explained, explained_share, leaves, median, poisson_upper};
use crate::stats::proportion::bounds;

use self::Way::{Down, Up};

/// Seconds in a row outside.
const RUN: usize = 3;
/// Share of a limit at which little room is left.
const NEARLY: f64 = 0.9;

enum Kind {
    /// At rest it is what it was in its first seconds; the least rise that means something.
    Level(f64),
    /// Grows with the requests; the least count that means something.
    PerRequest(f64),
    /// A share, in percent, of the count in another series; the least rise that means something, in percent.
    Share(&'static str, f64),
    /// The same, and a fall is what means something.
    Falls(&'static str, f64),
    /// Has a limit of its own, in another series.
    Limit(&'static str),
}

/// What is watched: series, words, the step whose remedy fits, how it behaves at rest. What lies deeper comes first: of two
/// that move together, the deeper one explains the other. The edge's cache goes before all: what it no longer keeps, the
/// app and all behind it must answer. What the edge blocks never came as far as the app.
const WATCHED: [(&str, &str, Option<u8>, Kind); 11] = [
    (series::EDGE_HIT_SHARE, "edge cache hits, %", Some(2), Kind::Falls(series::EDGE_ANSWERS, 10.0)),
    (series::PG_LOCKS, "PostgreSQL lock waits", Some(9), Kind::Level(1.0)),
    (series::PG_IO, "PostgreSQL disk waits", Some(9), Kind::Level(2.0)),
    (series::PG_ACTIVE, "active PostgreSQL statements", Some(9), Kind::PerRequest(3.0)),
    (series::PG_BACKENDS, "PostgreSQL connections, near the limit", Some(5), Kind::Limit(series::PG_MOST)),
    (series::POOL_WAITING, "PgBouncer clients waiting", Some(5), Kind::Level(1.0)),
    (series::CACHE_EVICTED, "Redis evictions a second", Some(3), Kind::Level(1.0)),
    (series::CACHE_MISSES, "cache misses a second", Some(3), Kind::PerRequest(3.0)),
    (series::QUEUE_DEPTH, "jobs waiting", Some(6), Kind::PerRequest(5.0)),
    (series::EDGE_BLOCKED_SHARE, "blocked by the edge, %", Some(8), Kind::Share(series::LOAD_RPS, 5.0)),
    (series::GENERATOR_LAG, "the load generator's own lag, ms", None, Kind::Level(10.0)),
];

/// Systems by the series that shows them.
const SYSTEMS: [(&str, &str); 4] = [
    (series::PG_ACTIVE, "PostgreSQL"),
    (series::POOL_WAITING, "PgBouncer"),
    (series::CACHE_MISSES, "Redis"),
    (series::QUEUE_DEPTH, "the job queue"),
];

/// A series that left its calm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mover {
    /// Its name.
    pub series: String,
    /// In words.
    pub words: String,
    /// Second at which it left, on the ramp's clock.
    pub second: u32,
    /// Median of its calm.
    pub from: f64,
    /// Farthest of the first three seconds outside.
    pub to: f64,
    /// The step whose remedy fits, 1 to 10.
    pub step: Option<u8>,
}

/// What left before p95 did, or with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Moved {
    /// p95 itself, when it left.
    pub p95: Option<Mover>,
    /// Users who were there then; none for ramps of older versions.
    #[serde(default)]
    pub users: Option<u32>,
    /// The others, first come first; none when p95 stayed.
    pub first: Vec<Mover>,
    /// Systems of which nothing was seen.
    pub unseen: Vec<String>,
}

/// Looks from the first request until the users leave, also past the hold; none without the load's own seconds.
#[must_use]
pub fn moved(far: &FarSide) -> Option<Moved> {
    let users: Vec<(u32, f64)> = far.series(series::LOAD_USERS).filter(|(_, n)| *n > 0.0).collect();
    let begin = far.series(series::LOAD_RPS).find(|(_, rps)| *rps > 0.0)?.0;
    let all = users.iter().map(|u| u.1).fold(0.0, f64::max);
    let top = users.iter().find(|u| u.1 >= all)?.0;
    let calm = begin..begin + (top.saturating_sub(begin) / 3).clamp(5, 10);
    let last = users.last()?.0;
    let load = Load { far, begin, calm, last };

    let p95 = load.left(series::LOAD_P95, "p95, ms", None, Up, &|calm| {
        let band = band(calm, 10.0)?;
        let top = band.top.max(1.5 * band.centre);
        Some(Box::new(move |_| Some(top)))
    });
    let mut first: Vec<Mover> = WATCHED
        .iter()
        .filter_map(|(name, words, step, kind)| {
            let way = if matches!(kind, Kind::Falls(..)) { Down } else { Up };
            load.left(name, words, *step, way, &|calm| load.limit(name, kind, calm))
        })
        .filter(|mover| p95.as_ref().is_some_and(|p95| mover.second <= p95.second + 1))
        .collect();
    first.sort_by_key(|mover| mover.second);
    let unseen = SYSTEMS.iter().filter(|(name, _)| far.series(name).next().is_none());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands of users")]
    let there = p95.as_ref().and_then(|p95| load.at(series::LOAD_USERS, p95.second)).map(|users| users as u32);
    Some(Moved { p95, users: there, first, unseen: unseen.map(|(_, system)| (*system).to_owned()).collect() })
}

/// In which direction a series leaves its calm. A fall of a share is a rise of what lacks to a hundred.
#[derive(Clone, Copy)]
enum Way {
    Up,
    Down,
}

impl Way {
    fn turned(self, value: f64) -> f64 {
        match self {
            Up => value,
            Down => 100.0 - value,
        }
    }
}

/// The limit of a series at a second; none where it cannot be said.
type Limit<'a> = Box<dyn Fn(u32) -> Option<f64> + 'a>;

struct Load<'a> {
    far: &'a FarSide,
    begin: u32,
    calm: std::ops::Range<u32>,
    last: u32,
}

impl Load<'_> {
    fn values(&self, name: &str) -> Vec<(u32, f64)> {
        self.far
            .samples
            .iter()
            .filter(|s| (self.begin..=self.last).contains(&s.second))
            .filter_map(|s| Some((s.second, *s.values.get(name)?)))
            .collect()
    }

    fn at(&self, name: &str, second: u32) -> Option<f64> {
        let found = self.far.samples.binary_search_by_key(&second, |s| s.second).ok()?;
        self.far.samples[found].values.get(name).copied()
    }

    fn left<'l>(
        &self,
        name: &str,
        words: &str,
        step: Option<u8>,
        way: Way,
        limit: &dyn Fn(&[f64]) -> Option<Limit<'l>>,
    ) -> Option<Mover> {
        let values = self.values(name);
        let calm: Vec<f64> = values.iter().filter(|v| self.calm.contains(&v.0)).map(|v| v.1).collect();
        let limit = limit(&calm)?;
        let after = values.iter().filter_map(|(s, v)| Some((*s, way.turned(*v), limit(*s)?)));
        let (second, to) = leaves(after, RUN)?;
        let (from, to) = (median(&calm)?, way.turned(to));
        Some(Mover { series: name.to_owned(), words: words.to_owned(), second, from, to, step })
    }

    fn limit<'l>(&'l self, name: &str, kind: &Kind, calm: &[f64]) -> Option<Limit<'l>> {
        match *kind {
            Kind::Level(floor) => {
                let top = band(calm, floor)?.top;
                Some(Box::new(move |_| Some(top)))
            }
            Kind::Limit(most) => {
                // What was nearly full at rest did not move.
                let most = self.values(most).first()?.1;
                (median(calm)? < NEARLY * most).then(|| -> Limit<'l> { Box::new(move |_| Some(NEARLY * most)) })
            }
            Kind::Share(of, least) => self.share(name, of, least, Up),
            Kind::Falls(of, least) => self.share(name, of, least, Down),
            Kind::PerRequest(floor) => {
                let both = |s: u32| Some((self.at(name, s)?, self.at(series::LOAD_RPS, s)?));
                let (seen, requests) =
                    self.calm.clone().filter_map(both).fold((0.0, 0.0), |(x, r), (y, q)| (x + y, r + q));
                if requests <= 0.0 || calm.len() < 4 {
                    return None;
                }
                let each = poisson_upper(seen, 0.95) / requests;
                Some(Box::new(move |s| Some(explained(each * self.at(series::LOAD_RPS, s)?, floor))))
            }
        }
    }

    /// What the calm's share, as high as it may be behind so few seconds, explains.
    fn share<'l>(&'l self, name: &str, of: &'static str, least: f64, way: Way) -> Option<Limit<'l>> {
        let both = |s: u32| Some((way.turned(self.at(name, s)?) / 100.0, self.at(of, s)?));
        let seen: Vec<(f64, f64)> = self.calm.clone().filter_map(both).collect();
        if seen.len() < 4 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "requests of some seconds")]
        let whole = |count: f64| count.round().max(0.0) as u64;
        let (hits, n) = seen.iter().fold((0.0, 0.0), |(hits, n), (share, of)| (hits + share * of, n + of));
        let (_, steady) = bounds(whole(hits), whole(n), 0.95)?;
        Some(Box::new(move |s| Some(100.0 * explained_share(steady, self.at(of, s)?, least / 100.0))))
    }
}

impl Moved {
    /// What it says, the most useful first.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let Some(p95) = &self.p95 else { return Vec::new() };
        let mut said: Vec<String> = (self.first.iter().take(2).enumerate())
            .map(|(i, mover)| {
                let when = match p95.second.saturating_sub(mover.second) {
                    0 | 1 => "with p95".to_owned(),
                    lead => format!("{lead} s before p95"),
                };
                let see = match mover.step {
                    Some(step) => format!("step {step}"),
                    None => "measure from elsewhere".to_owned(),
                };
                let head = if i == 0 { "moved first (correlation)" } else { "then" };
                format!("{head}: {}, {} → {}, {when}: {see}", mover.words, short(mover.from), short(mover.to))
            })
            .collect();
        if said.is_empty() {
            // Without the database in sight, what stood behind the app is anybody's guess.
            let blind = self.unseen.iter().any(|name| name == "PostgreSQL");
            let see = if blind { "" } else { ": step 7, workers and threads" };
            said.push(format!("moved first (correlation): p95, and nothing that was watched behind the app{see}"));
        }
        let unseen = match self.unseen.as_slice() {
            [] => String::new(),
            names => format!("; not watched: {}", names.join(", ")),
        };
        let (from, to) = (short(p95.from), short(p95.to));
        let there = self.users.map_or_else(String::new, |users| format!(" ({users} users)"));
        said.push(format!("p95 left its calm at second {}{there}, {from} → {to} ms{unseen}", p95.second));
        said
    }
}

/// "0", "3.5", "412".
fn short(value: f64) -> String {
    if value < 9.95 && value.fract() != 0.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests;
