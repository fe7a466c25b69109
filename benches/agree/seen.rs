//! What a tool saw, with the intervals that the product's own verdict would draw.

use std::collections::BTreeMap;

use rampup::domain::measurement::Measurement;
use rampup::domain::slo::Slo;
use rampup::domain::verdict::{Objective, judge};

/// Confidence of each bound, so that both together hold with 95 %.
const EACH: f64 = 0.975;

/// A measurement and what it says.
pub struct Seen {
    measurement: Measurement,
    objectives: Vec<Objective>,
    /// p95 of k6's `http_req_duration` alone, ms: without waiting for a connection.
    pub bare_ms: Option<f64>,
    /// What the edge logged in the same seconds.
    pub edge: Option<Box<Self>>,
    /// Share of seconds in which the generator was unwell; rampup alone knows.
    pub tainted: f64,
}

impl Seen {
    /// Judges a measurement for its intervals; the limits do not matter.
    pub fn new(measurement: Measurement, bare_ms: Option<f64>) -> Self {
        let names: Vec<String> = measurement.endpoints.keys().cloned().collect();
        let verdict = judge(&measurement, &Slo { confidence: EACH, ..Slo::default() }, &names);
        Self { measurement, objectives: verdict.objectives, bare_ms, edge: None, tainted: verdict.tainted }
    }

    /// Several runs as one, their seconds one behind the other.
    pub fn pooled<'a>(runs: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let edges = runs.clone().filter_map(|run| run.edge.as_deref());
        let edge = Self::whole(edges);
        Self::whole(runs).beside(edge)
    }

    fn whole<'a>(runs: impl Iterator<Item = &'a Self>) -> Self {
        let mut all = Measurement::default();
        for Self { measurement: run, .. } in runs {
            all.users = run.users;
            all.hold_seconds += run.hold_seconds;
            all.requests += run.requests;
            all.blocked += run.blocked;
            all.latency.merge(&run.latency);
            all.windows.extend(run.windows.iter().cloned());
            run.errors.0.iter().for_each(|(kind, count)| *all.errors.0.entry(*kind).or_default() += count);
            for (name, endpoint) in &run.endpoints {
                let kept = all.endpoints.entry(name.clone()).or_default();
                kept.requests += endpoint.requests;
                kept.latency.merge(&endpoint.latency);
            }
        }
        Self::new(all, None)
    }

    /// The same with what the edge says of it.
    pub fn beside(self, edge: Self) -> Self {
        Self { edge: Some(Box::new(edge)), ..self }
    }

    /// p95 of all successful requests, ms.
    pub fn latency(&self) -> &Objective {
        &self.objectives[0]
    }

    /// Failed requests, percent.
    pub fn errors(&self) -> &Objective {
        &self.objectives[1]
    }

    /// p95 of each endpoint, ms.
    pub fn endpoints(&self) -> BTreeMap<&str, &Objective> {
        let own = self.objectives.iter().filter_map(|o| Some((o.name.strip_prefix("p95 of ")?, o)));
        own.collect()
    }

    /// Requests a second: the load itself must be the same.
    pub fn rps(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "requests of some minutes")]
        let requests = self.measurement.requests as f64;
        requests / self.measurement.hold_seconds
    }

    /// Median of the successful requests, ms.
    pub fn median_ms(&self) -> Option<f64> {
        self.measurement.latency.quantile_ms(0.5)
    }
}
