//! What the systems behind the app do during a ramp, once a second, on the ramp's own seconds.
//!
//! Each source has a task, a connection and time-outs of its own: a dead one never disturbs the others or the load. It
//! leaves gaps, which are counted against the hold's seconds, never filled. Knows no verdict.

mod ends;
mod queue;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::domain::check::Missing;
use crate::domain::measurement::FarSide;
use crate::domain::ramp::{LoadPulse, ServerSample};
use crate::probes::{ProbeError, Probes};

use ends::{Spent, counted, releases, spent};
use queue::{Queue, Workers};
use sources::{Cache, Database, Pooler, Reading, of_load, watch as watch_source};

/// Longest wait for the last snapshot of the statements.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where the hold lies, in the ramp's seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Hold {
    from: Option<u32>,
    to: Option<u32>,
}

/// The running tasks. Dropped without [`Sampler::finish`], they end too.
#[derive(Debug)]
pub struct Sampler {
    epoch: Instant,
    hold: watch::Sender<Hold>,
    /// The load's own seconds, beside what the sources send.
    readings: Option<mpsc::UnboundedSender<Reading>>,
    /// The generator's second zero on this clock.
    offset: Option<u32>,
    stop: CancellationToken,
    collector: JoinHandle<FarSide>,
    statements: JoinHandle<Result<Spent, ProbeError>>,
    requests: JoinHandle<Result<ends::Counted, ProbeError>>,
    releases: JoinHandle<Result<[BTreeSet<String>; 2], ProbeError>>,
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Sampler {
    /// Begins to look, once a second from the ramp's second zero (`epoch`) on. Samples go to `out` as they become whole; a
    /// reader that is too slow misses some, the far side keeps all.
    ///
    /// Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(probes: Arc<Probes>, epoch: Instant, out: mpsc::Sender<ServerSample>) -> Self {
        let stop = CancellationToken::new();
        let (readings, arriving) = mpsc::unbounded_channel();
        let tasks = [
            tokio::spawn(watch_source(Database::default(), probes.clone(), epoch, readings.clone(), stop.clone())),
            tokio::spawn(watch_source(Pooler, probes.clone(), epoch, readings.clone(), stop.clone())),
            tokio::spawn(watch_source(Cache::default(), probes.clone(), epoch, readings.clone(), stop.clone())),
            tokio::spawn(watch_source(Queue, probes.clone(), epoch, readings.clone(), stop.clone())),
            tokio::spawn(watch_source(Workers::default(), probes.clone(), epoch, readings.clone(), stop.clone())),
        ];
        // They end by themselves when told to stop; nobody needs to wait for them.
        drop(tasks);
        let (hold, held) = watch::channel(Hold::default());
        Self {
            epoch,
            collector: tokio::spawn(collect(arriving, epoch, out)),
            requests: tokio::spawn(counted(probes.clone(), held.clone(), stop.clone())),
            releases: tokio::spawn(releases(probes.clone(), held.clone(), stop.clone())),
            statements: tokio::spawn(spent(probes, held, stop.clone())),
            hold,
            readings: Some(readings),
            offset: None,
            stop,
        }
    }

    /// One second of the load, put on the same clock. The generator counts from its own beginning, which comes a little
    /// later; the distance is taken once, from its first second, so that a late message moves nothing.
    pub fn load(&mut self, pulse: &LoadPulse) {
        let Self { epoch, offset, readings, .. } = self;
        let ours = epoch.elapsed().as_secs_f64().round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a ramp")]
        let offset = *offset.get_or_insert_with(|| (ours as u32).saturating_sub(pulse.second));
        if let Some(readings) = readings {
            // The collector lives as long as this sender does.
            let _ = readings.send(Reading::Values { second: pulse.second + offset, values: of_load(pulse) });
        }
    }

    /// The hold begins now.
    pub fn hold_began(&self) {
        let now = self.second();
        self.hold.send_modify(|hold| hold.from = hold.from.or(Some(now)));
    }

    /// The hold is over; what is drained afterwards is not part of it. Without this call it ends with [`Sampler::finish`].
    pub fn hold_ended(&self) {
        let now = self.second();
        self.hold.send_modify(|hold| hold.to = hold.to.or(Some(now)));
    }

    /// Stops looking and gives all that was seen.
    pub async fn finish(mut self) -> FarSide {
        self.hold_ended();
        let hold = *self.hold.borrow();
        let statements = in_time(&mut self.statements, "pg_stat_statements").await;
        let requests = in_time(&mut self.requests, "the metrics page").await;
        let releases = in_time(&mut self.releases, "the app").await;
        self.stop.cancel();
        // The collector ends when the last source, and the load, let go of its channel.
        self.readings = None;
        let mut far_side = (&mut self.collector).await.unwrap_or_default();
        far_side.hold = hold.from.zip(hold.to);
        match statements {
            Ok(spent) => {
                (far_side.statements, far_side.tables) = (spent.statements, spent.tables);
                far_side.missing.extend(spent.missing.map(Missing::from));
            }
            Err(error) => far_side.missing.push(error.into()),
        }
        match requests {
            Ok(counted) => (far_side.app_requests, far_side.memory) = (Some(counted.requests), counted.memory),
            Err(error) => far_side.app_missing = Some(error.into()),
        }
        match releases {
            Ok(releases) => far_side.releases = Some(releases),
            Err(error) => far_side.releases_missing = Some(error.into()),
        }
        // Two sources may lack the same thing; it is asked for once.
        let mut named: Vec<Missing> = Vec::new();
        for missing in far_side.missing.drain(..) {
            if !named.contains(&missing) {
                named.push(missing);
            }
        }
        far_side.missing = named;
        far_side
    }

    /// The ramp's next whole second.
    fn second(&self) -> u32 {
        next_second(self.epoch)
    }
}

/// The answer of a task that reads at the hold's end, or word that it took too long.
async fn in_time<T>(task: &mut JoinHandle<Result<T, ProbeError>>, system: &'static str) -> Result<T, ProbeError> {
    let answer = tokio::time::timeout(PATIENCE, &mut *task).await;
    task.abort();
    match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => Err(ProbeError::TimedOut { system, limit: PATIENCE }),
    }
}

/// The next whole second since `epoch`; a sample of second `n` is read at `epoch + n`.
fn next_second(epoch: Instant) -> u32 {
    let elapsed = epoch.elapsed();
    let whole = u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX);
    if elapsed.subsec_nanos() > 0 { whole.saturating_add(1) } else { whole }
}

/// Puts the sources' readings together, second by second.
async fn collect(
    mut arriving: mpsc::UnboundedReceiver<Reading>,
    epoch: Instant,
    out: mpsc::Sender<ServerSample>,
) -> FarSide {
    let mut seconds: BTreeMap<u32, ServerSample> = BTreeMap::new();
    let (mut missing, mut shown) = (Vec::new(), 0);
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            reading = arriving.recv() => match reading {
                None => break,
                Some(Reading::Missing(what)) => missing.push(what),
                Some(Reading::Values { second, values }) => {
                    let sample = seconds.entry(second).or_insert_with(|| ServerSample { second, ..ServerSample::default() });
                    sample.values.extend(values.into_iter().map(|(name, value)| (name.to_owned(), value)));
                }
            },
            _ = tick.tick() => {
                // A second is whole when every source had its time for it.
                let whole = next_second(epoch).saturating_sub(1);
                for (_, sample) in seconds.range(shown..whole.max(shown)) {
                    // Droppable: a face that is behind misses one.
                    let _ = out.try_send(sample.clone());
                }
                shown = whole.max(shown);
            }
        }
    }
    FarSide { samples: seconds.into_values().collect(), missing, ..FarSide::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RunId;
    use crate::domain::measurement::series;
    use crate::domain::secret::Secret;
    use crate::domain::site::{Access, Key, Site};

    fn site() -> Site {
        let site = serde_json::json!({
            "name": "x", "url": "http://127.0.0.1:9/", "health": "/healthz", "public_pages": [], "private_pages": [],
            "slow_endpoints": [], "queue": "celery", "probe_headers": {},
        });
        serde_json::from_value(site).unwrap()
    }

    async fn run(access: Access) -> FarSide {
        let probes = Arc::new(Probes::new(site(), access, RunId::from("r")).unwrap());
        let (out, _kept) = mpsc::channel(8);
        let sampler = Sampler::start(probes, Instant::now(), out);
        sampler.hold_began();
        tokio::time::sleep(Duration::from_millis(2100)).await;
        sampler.hold_ended();
        sampler.finish().await
    }

    #[tokio::test]
    async fn what_is_not_given_is_named_once_and_samples_nothing() {
        let far_side = run(Access::default()).await;
        assert_eq!(far_side.samples, []);
        assert!(far_side.hold.is_some_and(|(from, to)| to - from >= 2), "{:?}", far_side.hold);
        let what: Vec<&str> = far_side.missing.iter().map(|m| m.what.as_str()).collect();
        for system in ["PostgreSQL", "PgBouncer", "cache", "broker"] {
            assert_eq!(what.iter().filter(|w| w.contains(system)).count(), 1, "{system} in {what:?}");
        }
    }

    #[tokio::test]
    async fn the_load_is_on_the_same_clock() {
        let probes = Arc::new(Probes::new(site(), Access::default(), RunId::from("r")).unwrap());
        let (out, _kept) = mpsc::channel(8);
        // The generator began four seconds after the sampler.
        let epoch = Instant::now().checked_sub(Duration::from_secs(5)).unwrap();
        let mut sampler = Sampler::start(probes, epoch, out);
        for (second, p95_ms) in [(1, Some(80.0)), (2, None), (3, Some(90.0))] {
            sampler.load(&pulse(second, p95_ms));
        }
        let far_side = sampler.finish().await;
        let of = |name| far_side.series(name).collect::<Vec<_>>();
        assert_eq!(of(series::LOAD_USERS), [(5, 7.0), (6, 7.0), (7, 7.0)]);
        assert_eq!(of(series::LOAD_P95), [(5, 80.0), (7, 90.0)]);
    }

    #[test]
    fn the_edge_s_shares_are_of_what_can_show_them() {
        let of = |pulse: &LoadPulse, name| sources::of_load(pulse).into_iter().find(|v| v.0 == name).map(|v| v.1);
        let seen = LoadPulse { rps: 20.0, blocked: 5, edge_answers: 8, edge_hits: 2, ..pulse(1, None) };
        assert_eq!(of(&seen, series::EDGE_HIT_SHARE), Some(25.0));
        assert_eq!(of(&seen, series::EDGE_ANSWERS), Some(8.0));
        assert_eq!(of(&seen, series::EDGE_BLOCKED_SHARE), Some(25.0));
        // No edge has no share, and a second without requests says nothing.
        let quiet = LoadPulse { rps: 0.0, ..pulse(1, None) };
        assert_eq!((of(&quiet, series::EDGE_HIT_SHARE), of(&quiet, series::EDGE_BLOCKED_SHARE)), (None, None));
        assert_eq!(of(&pulse(1, None), series::EDGE_BLOCKED_SHARE), Some(0.0));
    }

    fn pulse(second: u32, p95_ms: Option<f64>) -> LoadPulse {
        LoadPulse { second, phase_seconds: second, users: 7, rps: 1.0, p95_ms, ..LoadPulse::default() }
    }

    #[tokio::test]
    async fn dead_systems_end_in_words_not_in_a_hang() {
        let key = |variable: &str, url: &str| {
            Some(Key { variable: variable.to_owned(), secret: Secret::new(url.to_owned()) })
        };
        let access = Access {
            database_direct: key("DB", "postgres://u:geheim@127.0.0.1:9/x"),
            cache: key("CACHE", "redis://:geheim@127.0.0.1:9/0"),
            ..Access::default()
        };
        let far_side = run(access).await;
        assert_eq!(far_side.samples, []);
        let text = format!("{:?}", far_side.missing);
        assert!(text.contains("could not be reached") && !text.contains("geheim"), "{text}");
    }
}
