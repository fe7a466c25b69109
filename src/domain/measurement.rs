//! What a hold measured: counts, latencies, the generator's health, and the systems behind the app on the same clock.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

pub use super::histogram::Histogram;

use super::ids::{RunId, StepId};
use super::ramp::{GeneratorSample, RampEnd, RampPlan, ServerSample};
use super::verdict::{RampOutcome, Verdict};

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// No connection.
    Connect,
    /// No TLS.
    Tls,
    /// No whole answer in time, or none at all when the hold was drained.
    Timeout,
    /// The body ended early.
    Truncated,
    /// 500 to 599.
    ServerError,
    /// A status that the flow does not expect.
    UnexpectedStatus,
    /// The body lacks what the flow expects, or something to extract was not there.
    Assertion,
}

/// Failed requests by kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ErrorKinds(pub BTreeMap<ErrorKind, u64>);

impl ErrorKinds {
    /// Counts one.
    pub fn add(&mut self, kind: ErrorKind) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// All kinds together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// One second of the hold, by the instant a request should have left.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Requests that belong to it.
    pub requests: u64,
    /// Of these, failed.
    pub errors: u64,
    /// Of these, answered by the edge instead of the app.
    pub blocked: u64,
    /// Bytes of bodies read.
    #[serde(default)]
    pub bytes: u64,
    /// Latency of the successful ones.
    pub latency: Histogram,
    /// The generator in this second.
    pub generator: GeneratorSample,
}

/// One endpoint's share of the hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// Requests.
    pub requests: u64,
    /// Failed ones.
    pub errors: ErrorKinds,
    /// Latency of the successful ones, start to last byte.
    pub latency: Histogram,
    /// Time to first byte of the same requests.
    #[serde(default)]
    pub first_byte: Histogram,
    /// What came back.
    #[serde(default)]
    pub answers: Answers,
}

/// What came back, whatever it counts as.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Answers {
    /// Answers by status.
    #[serde(deserialize_with = "statuses")]
    pub statuses: BTreeMap<u16, u64>,
    /// Answers by what the edge says of its cache (`cf-cache-status`, in capitals); those without a word are not here.
    pub cache: BTreeMap<String, u64>,
    /// Bytes of bodies read, as they came off the wire after decoding.
    pub bytes: u64,
}

/// JSON has text for keys, and an event is read through serde's buffer, which does not turn it back into numbers.
fn statuses<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<u16, u64>, D::Error> {
    let number = |key: String| key.parse().map_err(|_| D::Error::custom(format!("{key:?} is no status")));
    BTreeMap::<String, u64>::deserialize(from)?.into_iter().map(|(key, count)| Ok((number(key)?, count))).collect()
}

impl Answers {
    /// Adds all of another's.
    pub fn merge(&mut self, other: &Answers) {
        self.bytes += other.bytes;
        other.statuses.iter().for_each(|(status, count)| *self.statuses.entry(*status).or_default() += count);
        other.cache.iter().for_each(|(word, count)| *self.cache.entry(word.clone()).or_default() += count);
    }
}

/// One rung of a climb in steps: a short hold on the way to the users of the gate, or past them. Never judged by itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RungFigures {
    /// Users held.
    pub users: u32,
    /// Length of the short hold, seconds.
    pub seconds: f64,
    /// Requests a user started in it.
    pub requests: u64,
    /// Failed ones.
    pub errors: u64,
    /// Latency of the successful ones.
    pub latency: Histogram,
    /// Second of the ramp's clock at which it began.
    pub from: u32,
}

impl RungFigures {
    /// Requests a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "requests of some seconds")]
    pub fn rps(&self) -> f64 {
        if self.seconds > 0.0 { self.requests as f64 / self.seconds } else { 0.0 }
    }
}

/// Who played the users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Goose, in this process.
    #[default]
    Goose,
    /// A Locust that was already running, in so many processes.
    Locust {
        /// Its workers.
        workers: u32,
    },
}

/// One hold. Requests = successes (`latency.count()`) + errors + blocked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Measurement {
    /// Concurrent users held.
    pub users: u32,
    /// Length of the hold in seconds.
    pub hold_seconds: f64,
    /// How long the ramp settled before it, seconds.
    pub settle_seconds: f64,
    /// True when settling ended by its time limit instead of by a steady state.
    pub settle_limit_reached: bool,
    /// Requests a user started inside the hold.
    pub requests: u64,
    /// Failed ones, by kind.
    pub errors: ErrorKinds,
    /// Answers made by the edge or the platform instead of the app; neither success nor error.
    pub blocked: u64,
    /// Latency of the successful ones, start to last byte.
    pub latency: Histogram,
    /// Time to first byte of the same requests.
    pub first_byte: Histogram,
    /// The same by endpoint name.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// What came back.
    #[serde(default)]
    pub answers: Answers,
    /// Files that pages link to, when a flow fetches them: counted apart, never part of the figures above.
    #[serde(default)]
    pub assets: Endpoint,
    /// The rungs of a climb in steps, ascending; those past the hold have more users than it.
    #[serde(default)]
    pub rungs: Vec<RungFigures>,
    /// Why the climb past the hold ended before its last rung; none when it did not, or when there was none.
    #[serde(default)]
    pub beyond_ended: Option<String>,
    /// Users at which the generator was first unwell for two seconds in a row, in whichever phase; none when it never was.
    #[serde(default)]
    pub unwell_from: Option<u32>,
    /// How many times the hold was looked at before it ended; 1 without an extension.
    #[serde(default)]
    pub looks: u8,
    /// Who played the users.
    #[serde(default)]
    pub engine: Engine,
    /// The hold second by second.
    pub windows: Vec<Window>,
    /// How it ended.
    pub end: RampEnd,
}

/// The systems behind the app during settle and hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct FarSide {
    /// One sample a second, ascending.
    pub samples: Vec<ServerSample>,
    /// What could not be read, and what to provide.
    pub missing: Vec<super::check::Missing>,
    /// Why the app's own count of requests could not be read; no system behind the app is the less watched for it.
    #[serde(default)]
    pub app_missing: Option<super::check::Missing>,
    /// The database's statements over the hold: difference of two snapshots, largest total time first.
    pub statements: Vec<Statement>,
    /// How tables were read over the hold, most rows read first.
    #[serde(default)]
    pub tables: Vec<TableReads>,
    /// Requests that the app's own metrics counted over the hold; none when they could not be read, or began anew.
    #[serde(default)]
    pub app_requests: Option<f64>,
    /// Resident memory of the app's processes by their ids, bytes, when the hold began and when it ended; empty where the
    /// app's metrics do not show single processes.
    #[serde(default)]
    pub memory: [BTreeMap<String, f64>; 2],
    /// What the app said its release was when the hold began and when it ended; several processes may differ.
    #[serde(default)]
    pub releases: Option<[BTreeSet<String>; 2]>,
    /// Why that could not be read.
    #[serde(default)]
    pub releases_missing: Option<super::check::Missing>,
    /// First second of the hold and the first one after it, on the ramp's clock; none when no hold began. What was
    /// covered can only be said against this: a source that died leaves no samples to count.
    #[serde(default)]
    pub hold: Option<(u32, u32)>,
}

impl FarSide {
    /// The values of one series inside the hold, with their seconds; empty when no hold began.
    pub fn held<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (u32, f64)> + 'a {
        let (from, to) = self.hold.unwrap_or((0, 0));
        self.series(name).filter(move |(second, _)| (from..to).contains(second))
    }

    /// How much a counter rose in the hold; a fall is a restart, after which it counts from zero. None with fewer than two
    /// values.
    #[must_use]
    pub fn rise(&self, name: &str) -> Option<f64> {
        let values: Vec<f64> = self.held(name).map(|(_, value)| value).collect();
        let step = |two: &[f64]| if two[1] >= two[0] { two[1] - two[0] } else { two[1] };
        (values.len() > 1).then(|| values.windows(2).map(step).sum())
    }

    /// The values of one series, with their seconds.
    pub fn series<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (u32, f64)> + 'a {
        self.samples.iter().filter_map(move |s| s.values.get(name).map(|v| (s.second, *v)))
    }
}

/// A normalised statement of `pg_stat_statements` over a hold; no literals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Statement {
    /// PostgreSQL's own id of it.
    pub queryid: i64,
    /// Its normalised text, cut and tamed.
    pub text: String,
    /// Calls in the hold.
    pub calls: u64,
    /// Time spent executing it in the hold, ms.
    pub total_ms: f64,
    /// Rows it gave or wrote in the hold, all calls together.
    #[serde(default)]
    pub rows: u64,
}

/// How one table was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableReads {
    /// Its name, with its schema where the search path does not find it.
    pub table: String,
    /// Rows it has, roughly.
    pub rows: u64,
    /// Times it was read whole.
    pub scans: u64,
    /// Rows that these read.
    pub rows_read: u64,
    /// Times it was read by an index.
    pub by_index: u64,
}

impl TableReads {
    /// Its name without a schema.
    #[must_use]
    pub fn name(&self) -> &str {
        self.table.rsplit('.').next().unwrap_or(&self.table)
    }
}

/// A ramp that has just been judged: what checks of the phase "after" look at.
#[derive(Debug, Clone, PartialEq)]
pub struct RampFacts {
    /// The step it was driven for.
    pub step: StepId,
    /// What was driven.
    pub plan: RampPlan,
    /// Digest of the flows, as in the step's contract.
    pub flows: String,
    /// Scheme, host and port that it went to, as in the step's contract.
    pub target: String,
    /// What was measured.
    pub measurement: Measurement,
    /// What the other systems did meanwhile.
    pub far_side: FarSide,
    /// What it means.
    pub verdict: Verdict,
}

impl RampFacts {
    /// What later ramps are compared with. An objective without a value or bounds leaves none.
    #[must_use]
    pub fn record(&self, run: RunId, at: jiff::Timestamp) -> RampRecord {
        let bounds = |name: &str| {
            let objective = self.verdict.objectives.iter().find(|o| o.name == name)?;
            Some([objective.value?, objective.low?, objective.high?])
        };
        RampRecord {
            run,
            step: self.step,
            users: self.plan.users,
            flows: self.flows.clone(),
            target: self.target.clone(),
            at,
            quick: self.plan.quick,
            outcome: self.verdict.outcome,
            p95_ms: bounds("p95"),
            error_percent: bounds("errors"),
            requests: self.measurement.requests,
            statements: self.far_side.statements.clone(),
            think: self.plan.think,
            model: self.plan.model,
            engine: self.measurement.engine,
            pinned: false,
        }
    }
}

/// An earlier ramp, as far as later ones are compared with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RampRecord {
    /// The run whose log holds it.
    pub run: RunId,
    /// The step it was driven for.
    pub step: StepId,
    /// Users held.
    pub users: u32,
    /// Digest of the flows.
    pub flows: String,
    /// Scheme, host and port that it went to.
    pub target: String,
    /// When it ended.
    pub at: jiff::Timestamp,
    /// A practice measurement.
    pub quick: bool,
    /// Its verdict.
    pub outcome: RampOutcome,
    /// p95 (value, low, high), ms; none when it could not be said.
    pub p95_ms: Option<[f64; 3]>,
    /// Failed requests (value, low, high), percent; none when it could not be said.
    pub error_percent: Option<[f64; 3]>,
    /// Requests of the hold.
    pub requests: u64,
    /// The database's statements over the hold.
    pub statements: Vec<Statement>,
    /// Pauses of its users; other pauses are another load.
    pub think: super::flow::Think,
    /// Who decided when a flow began.
    pub model: super::ramp::Model,
    /// Who played the users.
    pub engine: Engine,
    /// Somebody pinned its run as the baseline; progress knows that, not the log.
    #[serde(skip)]
    pub pinned: bool,
}

/// Names of the series a sampler may write.
pub mod series {
    /// PostgreSQL client backends that run a statement.
    pub const PG_ACTIVE: &str = "pg.active";
    /// PostgreSQL client backends in all.
    pub const PG_BACKENDS: &str = "pg.backends";
    /// PostgreSQL client backends of all databases and roles: what counts against `max_connections`.
    pub const PG_EVERYONE: &str = "pg.everyone";
    /// PostgreSQL client backends that wait for a lock or I/O.
    pub const PG_WAITING: &str = "pg.waiting";
    /// Of these, waiting for a lock that another transaction holds.
    pub const PG_LOCKS: &str = "pg.locks";
    /// Of these, waiting for the disk.
    pub const PG_IO: &str = "pg.io";
    /// PostgreSQL's `max_connections`.
    pub const PG_MOST: &str = "pg.max-connections";
    /// PostgreSQL sessions opened in the app's database since its statistics began (PostgreSQL 14 and newer).
    pub const PG_SESSIONS: &str = "pg.sessions";
    /// PostgreSQL connections of the pools' roles that are not PgBouncer's: somebody goes past it.
    pub const PG_PAST: &str = "pg.past-pooler";
    /// PgBouncer clients linked to a server or waiting (all pools of the app).
    pub const POOL_CLIENTS: &str = "pool.clients";
    /// PgBouncer clients that wait for a server.
    pub const POOL_WAITING: &str = "pool.waiting";
    /// PgBouncer server connections.
    pub const POOL_SERVERS: &str = "pool.servers";
    /// How long the oldest of the waiting clients has waited, seconds.
    pub const POOL_MAXWAIT: &str = "pool.maxwait";
    /// Queries PgBouncer has passed on since it started (the app's databases).
    pub const POOL_QUERIES: &str = "pool.queries";
    /// Transactions PgBouncer has passed on since it started (the app's databases).
    pub const POOL_TRANSACTIONS: &str = "pool.transactions";
    /// Time that these kept a server connection, summed, seconds.
    pub const POOL_BUSY: &str = "pool.busy";
    /// The most server connections the pools may open.
    pub const POOL_MOST: &str = "pool.max-servers";
    /// Redis cache hits in this second.
    pub const CACHE_HITS: &str = "cache.hits";
    /// Redis cache misses in this second.
    pub const CACHE_MISSES: &str = "cache.misses";
    /// Redis cache evictions in this second.
    pub const CACHE_EVICTED: &str = "cache.evicted";
    /// Redis clients that wait in a blocking call.
    pub const CACHE_BLOCKED: &str = "cache.blocked";
    /// Redis memory in use, bytes.
    pub const CACHE_MEMORY: &str = "cache.memory";
    /// Redis `maxmemory`, bytes; not there when it has none.
    pub const CACHE_MOST: &str = "cache.max-memory";
    /// Users that the load let in.
    pub const LOAD_USERS: &str = "load.users";
    /// Requests finished in this second.
    pub const LOAD_RPS: &str = "load.rps";
    /// p95 of the second's successful requests, ms.
    pub const LOAD_P95: &str = "load.p95";
    /// Failed requests of the second.
    pub const LOAD_ERRORS: &str = "load.errors";
    /// Successful answers of the second that carry the edge's word on its cache.
    pub const EDGE_ANSWERS: &str = "edge.answers";
    /// Share of these that came from its cache, percent; none without any.
    pub const EDGE_HIT_SHARE: &str = "edge.hit-share";
    /// Share of the second's requests that the edge answered instead of the app, percent; none without any.
    pub const EDGE_BLOCKED_SHARE: &str = "edge.blocked-share";
    /// Timer lag of the load generator, p99 of the second, ms.
    pub const GENERATOR_LAG: &str = "generator.lag";
    /// Tasks waiting: lists of the broker's queues and their priorities, plus those that are due and unacknowledged.
    pub const QUEUE_DEPTH: &str = "queue.depth";
    /// Tasks that workers hold until they are due (Celery's countdown and eta).
    pub const QUEUE_LATER: &str = "queue.later";
    /// Tries of tasks that failed before, counted since the sampler's first look (Celery).
    pub const QUEUE_RETRIED: &str = "queue.retried";
    /// Of the tasks counted as waiting, those being worked on, where the library or its workers say so.
    pub const QUEUE_ACTIVE: &str = "queue.active";
    /// Tasks the workers have begun or finished since the sampler first heard of each, summed.
    pub const QUEUE_PROCESSED: &str = "queue.processed";
    /// Of these, the ones that ended with an error, where the library counts them (RQ).
    pub const QUEUE_FAILED: &str = "queue.failed";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_back_survives_being_part_of_an_event() {
        #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "event")]
        enum Kind {
            Finished { answers: Answers },
        }
        let cache = BTreeMap::from([("HIT".to_owned(), 3)]);
        let kind =
            Kind::Finished { answers: Answers { statuses: BTreeMap::from([(200, 7), (404, 1)]), cache, bytes: 9 } };
        let text = serde_json::to_string(&kind).unwrap();
        assert_eq!(serde_json::from_str::<Kind>(&text).unwrap(), kind);
        assert!(serde_json::from_str::<Answers>(r#"{"statuses": {"many": 1}}"#).is_err());
    }
}
