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
    pub(super) fn taken_off(&self, ran: Vec<Statement>, took: Duration) -> Vec<Statement> {
        let anyway = |s: &Statement| {
            let rate = self.rates.get(&s.queryid).copied().unwrap_or(0.0);
            let usual = rate * took.as_secs_f64();
            usual.sqrt().mul_add(3.0, usual * 1.5).ceil() as u64
        };
        ran.into_iter()
            .map(|s| Statement { calls: s.calls.saturating_sub(anyway(&s)), ..s })
            .filter(|s| s.calls > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_anyway_is_nobodys_page() {
        let ran = |queryid, calls| Statement { queryid, text: "SELECT a".to_owned(), calls, total_ms: 1.0 };
        let others = Others { rates: BTreeMap::from([(1, 200.0)]) };
        let left = others.taken_off(vec![ran(1, 175), ran(2, 40), ran(3, 3)], Duration::from_millis(500));
        // A job asks 1 two hundred times a second, in bursts; 2 is the page's own.
        assert_eq!(left.iter().map(|s| (s.queryid, s.calls)).collect::<Vec<_>>(), [(2, 40), (3, 3)]);
    }
}
