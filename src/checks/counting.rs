//! A counter before and after requests of ours, against the same counter while we do nothing.
//!
//! Other people's traffic only ever adds. Where it adds about as much as we do, nothing can be said, and that is said.

use std::future::Future;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::domain::check::Missing;
use crate::probes::pooler::Console;
use crate::probes::postgres::Postgres;
use crate::probes::redis::Redis;
use crate::probes::{ProbeError, Probes};

/// How long the counters are watched while we do nothing.
const IDLE: Duration = Duration::from_secs(1);

/// How much a counter rose around requests of ours.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rise {
    /// Requests we made.
    pub requests: u64,
    /// By how much the counter rose meanwhile.
    pub rise: u64,
    /// By how much it would have risen without us: its slope just before, over the same time.
    pub idle: f64,
}

impl Rise {
    /// What is left for our requests, per request.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of one probe are small")]
    pub fn per_request(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { (self.rise as f64 - self.idle).max(0.0) / self.requests as f64 }
    }

    /// True when other traffic moves the counter about as much as one count per request of ours would.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of one probe are small")]
    pub fn drowned(&self) -> bool {
        self.idle > self.requests as f64 / 2.0
    }

    /// The sentence for a counter that other traffic drowns.
    #[must_use]
    pub fn noise(&self, what: &str) -> Missing {
        Missing::new(
            format!(
                "other traffic moves {what} by {:.0} in the time of our {} requests, so ours cannot be told apart",
                self.idle, self.requests
            ),
            "verify again at a quiet time",
        )
    }
}

/// Something that counts.
#[derive(Debug)]
pub enum Meter {
    /// Statements the database executed.
    Statements(Postgres),
    /// The same without what kept connections and transactions cost by themselves.
    PageStatements(Postgres),
    /// Queries the pooler passed on.
    Queries(Console),
    /// Sessions the database opened.
    Sessions(Postgres),
    /// Server-side cursors that Django declared.
    Cursors(Postgres),
    /// Commands Redis processed.
    Commands(Redis),
    /// Keys Redis found.
    Hits(Redis),
}

impl Meter {
    /// Whatever counts the database's work: its own statistics, else the pooler's.
    ///
    /// # Errors
    /// When neither is there; the words are the database's.
    pub async fn database(probes: &Probes) -> Result<Self, ProbeError> {
        let counted = async {
            let postgres = probes.database().await?;
            postgres.calls().await?;
            Ok(Self::Statements(postgres))
        };
        match counted.await {
            Ok(meter) => Ok(meter),
            Err(first) => probes.pooler().await.map(Self::Queries).map_err(|_: ProbeError| first),
        }
    }

    /// The same, without health checks of kept connections and the frames of transactions where the texts can be read.
    ///
    /// # Errors
    /// As [`Meter::database`].
    pub async fn of_pages(probes: &Probes) -> Result<Self, ProbeError> {
        Ok(match Self::database(probes).await? {
            Self::Statements(postgres) => Self::PageStatements(postgres),
            other => other,
        })
    }

    async fn read(&self) -> Result<u64, ProbeError> {
        match self {
            Self::Statements(postgres) => postgres.calls().await,
            Self::PageStatements(postgres) => postgres.page_calls().await,
            Self::Queries(console) => Ok(console.passed().await?.queries),
            Self::Sessions(postgres) => postgres.sessions().await,
            Self::Cursors(postgres) => postgres.cursors().await,
            Self::Commands(redis) => counter(redis, "total_commands_processed").await,
            Self::Hits(redis) => counter(redis, "keyspace_hits").await,
        }
    }

    /// What one reading of ours adds to the counter.
    fn own(&self) -> u64 {
        u64::from(matches!(self, Self::Commands(_)))
    }
}

async fn counter(redis: &Redis, field: &str) -> Result<u64, ProbeError> {
    redis.info().await?.count(field).ok_or_else(|| ProbeError::odd("Redis", format!("INFO without {field}")))
}

/// Watches the meters for a second, lets the requests happen, and says what each meter rose by.
///
/// # Errors
/// When a meter or a request fails.
pub async fn around<T, F>(meters: &[Meter], requests: u64, send: F) -> Result<(Vec<Rise>, T), ProbeError>
where
    F: Future<Output = Result<T, ProbeError>>,
{
    let first = read(meters).await?;
    tokio::time::sleep(IDLE).await;
    let before = read(meters).await?;
    let began = Instant::now();
    let sent = send.await?;
    let share = began.elapsed().as_secs_f64() / IDLE.as_secs_f64();
    let after = read(meters).await?;
    let rises = meters.iter().enumerate().map(|(i, meter)| {
        let own = meter.own();
        let idle = before[i].saturating_sub(first[i] + own);
        Rise {
            requests,
            rise: after[i].saturating_sub(before[i] + own),
            #[expect(clippy::cast_precision_loss, reason = "counts of one second are small")]
            idle: idle as f64 * share,
        }
    });
    Ok((rises.collect(), sent))
}

async fn read(meters: &[Meter]) -> Result<Vec<u64>, ProbeError> {
    let mut values = Vec::with_capacity(meters.len());
    for meter in meters {
        values.push(meter.read().await?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idle_slope_is_taken_off() {
        let rise = Rise { requests: 20, rise: 50, idle: 10.0 };
        assert!((rise.per_request() - 2.0).abs() < 1e-9 && !rise.drowned());
        assert!(Rise { requests: 20, rise: 500, idle: 480.0 }.drowned());
        assert!(Rise { requests: 0, rise: 5, idle: 0.0 }.per_request() == 0.0);
    }
}
