//! A ramp: climb to a number of users, settle until nothing drifts, hold, drain. Only the hold is judged.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::flow::Think;
use super::units::seconds;

/// What will be driven, decided before the first request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RampPlan {
    /// Concurrent users.
    pub users: u32,
    /// Time to bring them in, evenly.
    #[serde(with = "seconds")]
    #[schemars(with = "f64")]
    pub climb: Duration,
    /// Longest time to wait for a steady state before holding anyway (the verdict then says so).
    #[serde(with = "seconds")]
    #[schemars(with = "f64")]
    pub settle_limit: Duration,
    /// Time that is judged.
    #[serde(with = "seconds")]
    #[schemars(with = "f64")]
    pub hold: Duration,
    /// Pause between actions.
    pub think: Think,
    /// A request that takes longer counts as a timeout error.
    #[serde(with = "seconds")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
    /// Seed of every random choice, so that a ramp can be repeated.
    pub seed: u64,
    /// A practice measurement: short holds, fewer users. Marked wherever it is shown.
    pub quick: bool,
    /// How often an undecided hold may be made longer by its own length. Each look at it spends a part of the error
    /// that the confidence allows.
    #[serde(default)]
    pub extensions: u8,
    /// Numbers of users to hold shortly on the way up, ascending, all under `users`; empty for a climb in one go.
    #[serde(default)]
    pub rungs: Vec<u32>,
    /// Length of each rung's short hold.
    #[serde(default, with = "seconds")]
    #[schemars(with = "f64")]
    pub rung_hold: Duration,
    /// Numbers of users to hold shortly after a hold that kept the promise, ascending, all over `users`: they show where
    /// it would break, and decide nothing. Ends at the first that breaks it.
    #[serde(default)]
    pub beyond: Vec<u32>,
    /// Who decides when a flow begins.
    #[serde(default)]
    pub model: Model,
}

impl RampPlan {
    /// Time until all users are in, with a stop on each rung.
    #[must_use]
    pub fn climbing(&self) -> Duration {
        let stops = self.rungs.iter().filter(|rung| (1..self.users).contains(rung)).count();
        self.climb + self.rung_hold * u32::try_from(stops).unwrap_or(u32::MAX)
    }

    /// Most users there will ever be.
    #[must_use]
    pub fn most_users(&self) -> u32 {
        self.beyond.last().copied().unwrap_or_default().max(self.users)
    }

    /// Time past the hold, if every rung there is climbed: users come in as quickly as on the way up.
    #[must_use]
    pub fn exploring(&self) -> Duration {
        let more = f64::from(self.most_users() - self.users) / f64::from(self.users.max(1));
        self.climb.mul_f64(more) + self.rung_hold * u32::try_from(self.beyond.len()).unwrap_or(u32::MAX)
    }
}

/// Who decides when a flow begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Model {
    /// The user who ended the last one: a slow site gets fewer requests.
    #[default]
    Closed,
    /// Chance: flows begin as often as the users of a fast site would begin them, however slow this one is. Latency
    /// counts from when a flow should have begun.
    ///
    /// "Users" then are a rate, not people at the site: that of so many users who wait 0.1 s for each answer. Up to twice
    /// as many play; what none of them is free to begin waits, and what never begins counts as timed out. A flow's later
    /// requests still follow its own answers. Sessions outlive a flow: whoever is free takes the next one.
    Open,
}

/// What a clean hold of the plan could show, said before it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// Requests the hold will make, roughly.
    pub requests: u64,
    /// The error rate, in percent, that a hold without errors rules out; none when it cannot reach any limit.
    pub error_percent: Option<f64>,
    /// Ranks of the order statistics that bound p95, as percentiles (for example 93.7 to 96.3); none under the floor.
    pub p95_ranks: Option<(f64, f64)>,
    /// Whole time of the ramp when its first look decides it, as it does for most.
    #[serde(with = "seconds")]
    #[schemars(with = "f64")]
    pub takes: Duration,
    /// Whole time when every extension is needed.
    #[serde(default, with = "seconds")]
    #[schemars(with = "f64")]
    pub longest: Duration,
}

/// Where a ramp is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RampPhase {
    /// Users come in.
    #[default]
    Climb,
    /// All are in; waiting for a steady state.
    Settle,
    /// The sample is taken.
    Hold,
    /// The promise was kept; more users come, rung by rung, to see where it would break.
    Beyond,
    /// No new requests; those in flight end.
    Drain,
}

/// One second of a ramp as seen from the generator. Droppable: the measurement keeps its own record.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LoadPulse {
    /// Seconds since the ramp began.
    pub second: u32,
    /// Where the ramp is.
    pub phase: RampPhase,
    /// Seconds spent in this phase.
    pub phase_seconds: u32,
    /// Users let in.
    pub users: u32,
    /// Requests under way.
    pub in_flight: u32,
    /// Age of the oldest of them, ms.
    pub oldest_ms: f64,
    /// Requests finished in this second.
    pub rps: f64,
    /// Percentiles of this second's successful requests, ms; none without any.
    pub p50_ms: Option<f64>,
    /// See `p50_ms`.
    pub p95_ms: Option<f64>,
    /// See `p50_ms`.
    pub p99_ms: Option<f64>,
    /// Percentile of the hold so far, ms; none before the hold.
    pub hold_p95_ms: Option<f64>,
    /// Errors in this second.
    pub errors: u64,
    /// Answers of the edge instead of the app in this second.
    #[serde(default)]
    pub blocked: u64,
    /// Successful answers of this second that carry the edge's word on its cache.
    #[serde(default)]
    pub edge_answers: u64,
    /// Of these, given from its cache.
    #[serde(default)]
    pub edge_hits: u64,
    /// Requests finished since the ramp began.
    pub total: u64,
    /// Errors since the ramp began.
    pub total_errors: u64,
    /// Answers of the edge instead of the app since the ramp began.
    pub total_blocked: u64,
    /// Answers by status class since the ramp began: `2xx`, `3xx`, `4xx`, `5xx`.
    pub statuses: BTreeMap<String, u64>,
    /// The generator's own health.
    pub generator: GeneratorSample,
}

/// The load generator in one second.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct GeneratorSample {
    /// Timer lag of the load runtime, p99 of the second, ms.
    pub lag_ms: f64,
    /// CPU of this process, cores.
    pub cpu: f64,
    /// Open file descriptors.
    pub sockets: u32,
    /// How many this process may open; 0 when that is not known.
    #[serde(default)]
    pub socket_limit: u32,
    /// Local socket errors (EMFILE, EADDRNOTAVAIL) in this second.
    pub socket_errors: u32,
    /// Requests that were due in this second.
    #[serde(default)]
    pub due: u32,
    /// Of these, left later than 25 ms after they were due.
    #[serde(default)]
    pub late: u32,
    /// p95 of the requests to the generator's own loopback endpoint in this second, ms; 0 when none was made.
    #[serde(default)]
    pub control_ms: f64,
}

impl GeneratorSample {
    /// Timer lag above which a second is tainted, ms.
    ///
    /// Lag only ever adds to a measured latency, so it cannot make a slow site look fast; what it can do is thin out
    /// the load, and 25 ms are little beside the shortest usual pause of a second. A lower limit refuses healthy stacks
    /// where app and generator share their cores.
    pub const LAG_LIMIT_MS: f64 = 25.0;

    /// A request that leaves later than this after it was due is late, ms. The same 25 ms as for the timer: on two shared
    /// cores a healthy generator passes 10 ms in up to a third of the seconds.
    pub const PUNCTUAL_MS: u64 = 25;

    /// Share of late requests over which a second is tainted: 98 % of the plan must leave on time. One late request is
    /// a hiccup, whatever its share of a quiet second.
    pub const LATE_LIMIT: f64 = 0.02;

    /// p95 of the control requests over which a second is tainted, ms.
    ///
    /// The control request crosses the same runtime, client and loopback as the load but meets no app, so what it takes
    /// is the generator's own share of every latency. That share only ever adds, so it cannot make a slow site look
    /// fast; the limit is the timer's, because the same wait for a processor shows in both. On two shared cores, p95 of a
    /// second was 4 to 17 ms at rest, 4 to 5 ms with two busy threads beside and 14 to 61 ms with six (`cargo test --lib
    /// load::control::tests::figures -- --nocapture`): 5 ms would refuse the healthy.
    pub const CONTROL_LIMIT_MS: f64 = Self::LAG_LIMIT_MS;

    /// Share of the allowed open files over which the next connection may be refused.
    pub const SOCKET_SHARE: f64 = 0.95;

    /// Why the generator, not the app, may have shaped this second: every sign there is.
    pub fn signs(&self) -> impl Iterator<Item = Sign> + use<> {
        let late = self.late >= 2 && f64::from(self.late) > Self::LATE_LIMIT * f64::from(self.due);
        let full = self.socket_limit > 0 && f64::from(self.sockets) > Self::SOCKET_SHARE * f64::from(self.socket_limit);
        [
            (self.lag_ms > Self::LAG_LIMIT_MS, Sign::Lag),
            (late, Sign::Late),
            (self.control_ms > Self::CONTROL_LIMIT_MS, Sign::Control),
            (self.socket_errors > 0, Sign::SocketErrors),
            (full, Sign::Sockets),
        ]
        .into_iter()
        .filter_map(|(seen, sign)| seen.then_some(sign))
    }

    /// True when the generator, not the app, may have shaped this second.
    #[must_use]
    pub fn tainted(&self) -> bool {
        self.signs().next().is_some()
    }
}

/// A sign of an unwell generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// The load runtime's timer woke late.
    Lag,
    /// Requests left late.
    Late,
    /// Requests to the generator's own endpoint were slow.
    Control,
    /// Files or ports ran out.
    SocketErrors,
    /// Nearly all allowed files are open.
    Sockets,
}

/// How the driving ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", tag = "end", content = "why")]
pub enum RampEnd {
    /// The hold ran its whole time.
    #[default]
    Completed,
    /// A breaker or a person stopped it; the text names the value that tripped it.
    Aborted(String),
    /// The measurement cannot be trusted (the generator, an edge block); the text says what to do.
    Invalid(String),
}

/// One second of the systems behind the app: value by series name, on the ramp's own seconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ServerSample {
    /// Seconds since the ramp began.
    pub second: u32,
    /// See [`super::measurement::series`] for the names.
    pub values: BTreeMap<String, f64>,
}
