//! Makes the running processes those that the applied steps ask for: stops what is out of date, starts what is missing,
//! prepares the data once, waits for answers. Every wait asks the service and has a limit.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::error::{LabError, Result};
use super::progress::Progress;
use super::service::{Launch, Service};
use super::setup::Setup;
use super::supervise::{Supervisor, marks};
use super::{Lab, celery, database, files, fixes, ready};

/// How often a starting service is asked.
const ASK_AGAIN: Duration = Duration::from_millis(60);
/// How long a service that we find running may take to answer before it is restarted.
const ADOPTION: Duration = Duration::from_secs(6);
/// Most of a log that an error carries, bytes.
const TAIL: usize = 600;

impl Lab {
    /// Makes the running processes those that the setup asks for, and those in `renew` new ones. Returns what was
    /// (re)started or stopped.
    pub(super) async fn converge(
        &mut self,
        setup: &Setup,
        renew: &BTreeSet<Service>,
        progress: &Progress,
    ) -> Result<BTreeSet<Service>> {
        setup.write_conf()?;
        let mut supervisor = Supervisor::open(&self.layout);
        let mut outdated = BTreeSet::new();
        let mut adopted: Vec<Service> = Vec::new();
        for service in Service::ALL {
            let Some(record) = supervisor.alive(service) else { continue };
            let wanted = setup.effective.services.contains(&service) && !renew.contains(&service);
            let rests = service.rests_on().is_none_or(|other| adopted.contains(&other));
            if wanted && rests && record.fingerprint == Launch::of(service, setup).fingerprint() {
                adopted.push(service);
            } else {
                outdated.insert(service);
            }
        }
        let silent =
            join_all(adopted.iter().map(|service| self.await_answer(*service, setup, &supervisor, ADOPTION))).await;
        for (service, answer) in adopted.iter().zip(silent) {
            if let Err(why) = answer {
                progress.say(format!("{} runs but {why}: starting it anew", service.name()));
                outdated.insert(*service);
            }
        }
        supervisor.stop(&outdated, progress).await?;
        supervisor.sweep(&marks(setup), progress).await?;
        let missing: BTreeSet<Service> =
            setup.effective.services.iter().copied().filter(|service| supervisor.alive(*service).is_none()).collect();
        if missing.contains(&Service::Edge) {
            fixes::clear_edge_cache(&self.layout)?;
        }
        self.start_data_tier(&missing, setup, &mut supervisor, progress).await?;
        if missing.contains(&Service::Web) && !missing.contains(&Service::RedisCache) {
            // A deployment empties the page cache: pages of the old code must not outlive it.
            celery::empty(setup.port("redis_cache")).await.map_err(|_| LabError::NotRunning("the cache"))?;
        }
        if outdated.contains(&Service::Worker) || missing.contains(&Service::Worker) {
            celery::purge(setup.port("redis_broker"), !missing.contains(&Service::Web))
                .await
                .map_err(|_| LabError::NotRunning("the broker"))?;
        }
        for tier in &Service::TIERS[1..] {
            self.start(&missing, tier, setup, &mut supervisor, progress).await?;
        }
        Ok(outdated.union(&missing).copied().collect())
    }

    /// The services that hold data, started together; the data prepared once, as soon as each can be.
    async fn start_data_tier(
        &mut self,
        missing: &BTreeSet<Service>,
        setup: &Setup,
        supervisor: &mut Supervisor,
        progress: &Progress,
    ) -> Result<()> {
        database::make_cluster(setup, progress).await?;
        if missing.contains(&Service::Postgres) {
            database::remove_stale_locks(setup)?;
        }
        let fresh: Vec<Service> =
            Service::TIERS[0].iter().copied().filter(|service| missing.contains(service)).collect();
        for service in &fresh {
            supervisor.start(&Launch::of(*service, setup), setup)?;
        }
        let (lab, supervisor) = (&*self, &*supervisor);
        let quick = async |service: Service| {
            if fresh.contains(&service) { lab.ready(service, setup, supervisor, progress).await } else { Ok(()) }
        };
        let (seeded, stocked) = (self.state.is_prepared("seed", "done"), self.state.is_prepared("buckets", "done"));
        let database = async {
            quick(Service::Postgres).await?;
            if !seeded {
                database::make_roles(setup).await?;
                progress.say("filling the database with half a million orders (once, about 20 s)");
                fixes::manage(setup, &["seed"], progress).await?;
            }
            Ok(())
        };
        let storage = async {
            if !stocked {
                let answered = until(Service::S3.ready_limit(), || ready::s3_refuses_strangers(setup)).await;
                answered.map_err(|why| lab.not_ready(Service::S3, why))?;
                progress.say("making the buckets");
                fixes::manage(setup, &["buckets"], progress).await?;
            }
            quick(Service::S3).await
        };
        let rest = async {
            for service in [Service::RedisCache, Service::RedisBroker, Service::Sink] {
                quick(service).await?;
            }
            Ok(())
        };
        tokio::try_join!(database, storage, rest)?;
        if !(seeded && stocked) {
            for what in ["seed", "buckets"] {
                self.state.prepared.insert(what.into(), "done".into());
            }
            self.save()?;
        }
        Ok(())
    }

    /// Starts those of a group that are missing, then waits until each answers.
    async fn start(
        &self,
        missing: &BTreeSet<Service>,
        group: &[Service],
        setup: &Setup,
        supervisor: &mut Supervisor,
        progress: &Progress,
    ) -> Result<()> {
        let fresh: Vec<Service> = group.iter().copied().filter(|service| missing.contains(service)).collect();
        for service in &fresh {
            supervisor.start(&Launch::of(*service, setup), setup)?;
        }
        let supervisor = &*supervisor;
        let answers = join_all(fresh.iter().map(|service| self.ready(*service, setup, supervisor, progress))).await;
        answers.into_iter().collect()
    }

    async fn ready(&self, service: Service, setup: &Setup, supervisor: &Supervisor, progress: &Progress) -> Result<()> {
        let begun = Instant::now();
        let answer = self.await_answer(service, setup, supervisor, service.ready_limit()).await;
        answer.map_err(|why| self.not_ready(service, why))?;
        progress.say(format!("{} answers after {:.1} s", service.name(), begun.elapsed().as_secs_f32()));
        Ok(())
    }

    /// Asks until the service answers, its process has died, or the limit is reached.
    async fn await_answer(
        &self,
        service: Service,
        setup: &Setup,
        supervisor: &Supervisor,
        limit: Duration,
    ) -> std::result::Result<(), String> {
        let asked = until(limit, || async {
            if supervisor.alive(service).is_none() {
                return Ok(Err("stopped by itself".to_owned()));
            }
            ready::ask(service, setup).await.map(Ok)
        });
        asked.await?
    }

    fn not_ready(&self, service: Service, why: String) -> LabError {
        let log = self.layout.log_of(service.name());
        let tail = self.clean(&files::tail(&log, TAIL));
        LabError::NotReady { service: service.name(), why: self.clean(&why), log, tail }
    }

    /// Text from services and their logs, without control characters and secrets.
    pub(super) fn clean(&self, text: &str) -> String {
        crate::domain::text::tame(&self.state.redact(text), TAIL)
    }
}

/// Repeats a question until it is answered; at the limit, why it last was not.
async fn until<T, F: Future<Output = std::result::Result<T, String>>>(
    limit: Duration,
    question: impl Fn() -> F,
) -> std::result::Result<T, String> {
    let end = Instant::now() + limit;
    loop {
        match question().await {
            Ok(answer) => return Ok(answer),
            Err(why) if Instant::now() > end => {
                return Err(format!("did not answer within {} s: {why}", limit.as_secs()));
            }
            Err(_) => tokio::time::sleep(ASK_AGAIN).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn waiting_ends_with_the_first_answer_or_says_why_there_was_none() {
        let asked = AtomicU32::new(0);
        let third = until(Duration::from_secs(20), || async {
            if asked.fetch_add(1, Ordering::Relaxed) == 2 { Ok("yes") } else { Err("not yet".to_owned()) }
        });
        assert_eq!(third.await, Ok("yes"));
        let never = until::<(), _>(Duration::ZERO, || async { Err("refused".to_owned()) }).await;
        assert!(never.unwrap_err().ends_with("refused"));
    }
}
