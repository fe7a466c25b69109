//! What the database runs without us, to be taken off what it ran for us. Knows nothing of pages.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::domain::measurement::Statement;
use crate::probes::ProbeError;
use crate::probes::postgres::Postgres;

/// What runs without us: a batch job, a worker, other visitors.
pub(super) struct Others {
    /// Calls a second by PostgreSQL's id of the statement.
    rates: BTreeMap<i64, f64>,
}

impl Others {
    /// Looks on for a while and asks nothing.
    pub(super) async fn watch(database: &Postgres, idle_ms: u64) -> Result<Self, ProbeError> {
        let (before, began) = (database.snapshot().await?, Instant::now());
        tokio::time::sleep(Duration::from_millis(idle_ms.min(10_000))).await;
        let ran = before.until(&database.snapshot().await?)?;
        let seconds = began.elapsed().as_secs_f64().max(0.1);
        Ok(Self { rates: ran.iter().map(|s| (s.queryid, s.calls as f64 / seconds)).collect() })
    }

    /// The statements without what would have run anyway, half as much again and three standard deviations for luck:
    /// visitors come in bursts.
    pub(super) fn taken_off(&self, ran: &[Statement], took: Duration) -> Vec<Statement> {
        self.less(ran, took, |usual| usual.sqrt().mul_add(3.0, usual * 1.5))
    }

    /// The most that may have been run for us: the statements without what runs on average. Those of which less than half
    /// as much again ran are a job's and no page's.
    pub(super) fn at_most(&self, ran: &[Statement], took: Duration) -> Vec<Statement> {
        let usual = |id| self.rates.get(&id).copied().unwrap_or(0.0) * took.as_secs_f64();
        let mut most = self.less(ran, took, |usual| usual);
        most.retain(|s| s.calls as f64 >= usual(s.queryid) / 2.0);
        most
    }

    fn less(&self, ran: &[Statement], took: Duration, anyway: impl Fn(f64) -> f64) -> Vec<Statement> {
        let off = |s: &Statement| {
            let rate = self.rates.get(&s.queryid).copied().unwrap_or(0.0);
            anyway(rate * took.as_secs_f64()).ceil() as u64
        };
        let rest = |s: &Statement| {
            let calls = s.calls.saturating_sub(off(s));
            // A call of theirs gave as many rows as one of ours, for all that is known.
            Statement { calls, rows: s.rows * calls / s.calls.max(1), ..s.clone() }
        };
        ran.iter().map(rest).filter(|s| s.calls > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_anyway_is_nobodys_page() {
        let ran = |queryid, calls| Statement { queryid, text: "SELECT a".to_owned(), calls, total_ms: 1.0, rows: 0 };
        let others = Others { rates: BTreeMap::from([(1, 200.0)]) };
        let left = others.taken_off(&[ran(1, 175), ran(2, 40), ran(3, 3)], Duration::from_millis(500));
        // A job asks 1 two hundred times a second, in bursts; 2 is the page's own.
        assert_eq!(left.iter().map(|s| (s.queryid, s.calls)).collect::<Vec<_>>(), [(2, 40), (3, 3)]);
        let most = |calls| others.at_most(&[ran(1, calls)], Duration::from_millis(500)).first().map(|s| s.calls);
        assert_eq!(
            (most(120), most(260)),
            (None, Some(160)),
            "a visitor's page beside ours is more than a job's burst"
        );
    }
}
