//! What is read at the two ends of a hold and compared: the app's own count of requests, its release, the database's
//! statements. A hold that never began has none of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::measurement::{Statement, TableReads};
use crate::probes::postgres::{Snapshot, reads};
use crate::probes::{ProbeError, Probes, metrics};

use super::{Hold, sources};

/// Statements kept of a hold.
const STATEMENTS: usize = 20;
/// Calls in a hold from which a statement may be the requests'.
const OFTEN: u64 = 10;
/// Times that the app is asked for its release at either end.
const ANSWERS: usize = 5;

/// What the hold cost the database.
#[derive(Debug, Default)]
pub(super) struct Spent {
    pub statements: Vec<Statement>,
    pub tables: Vec<TableReads>,
    /// Why there are no statements, although there are tables.
    pub missing: Option<ProbeError>,
}

/// Reads once when the hold begins and once when it ends; none when it never began, or is over for us.
async fn at_both_ends<T, F: Future<Output = Result<T, ProbeError>>>(
    read: impl Fn(Arc<Probes>) -> F,
    probes: Arc<Probes>,
    mut hold: watch::Receiver<Hold>,
    stop: CancellationToken,
) -> Result<Option<[T; 2]>, ProbeError> {
    let looking = async {
        let began = hold.wait_for(|h| h.from.is_some() || h.to.is_some()).await;
        if !began.is_ok_and(|hold| hold.from.is_some()) {
            return Ok(None);
        }
        let first = read(probes.clone()).await?;
        if hold.wait_for(|h| h.to.is_some()).await.is_err() {
            return Ok(None);
        }
        Ok(Some([first, read(probes.clone()).await?]))
    };
    tokio::select! {
        found = looking => found,
        () = stop.cancelled() => Ok(None),
    }
}

fn no_hold() -> ProbeError {
    ProbeError::odd("the ramp", "it ended before its hold")
}

/// What the app's own metrics say of a hold.
#[derive(Debug)]
pub(super) struct Counted {
    /// Requests counted from its first second to its last.
    pub requests: f64,
    /// Memory by process, at its first second and at its last.
    pub memory: [BTreeMap<String, f64>; 2],
}

/// Reads the app's own metrics at the hold's ends.
pub(super) async fn counted(
    probes: Arc<Probes>,
    hold: watch::Receiver<Hold>,
    stop: CancellationToken,
) -> Result<Counted, ProbeError> {
    let ends = at_both_ends(app_metrics, probes, hold, stop).await?;
    let [(before, first), (after, last)] = ends.ok_or_else(no_hold)?;
    if after >= before {
        Ok(Counted { requests: after - before, memory: [first, last] })
    } else {
        Err(ProbeError::odd("the metrics page", "its counter began anew meanwhile"))
    }
}

/// The release that was running at the hold's first second and at its last.
pub(super) async fn releases(
    probes: Arc<Probes>,
    hold: watch::Receiver<Hold>,
    stop: CancellationToken,
) -> Result<[BTreeSet<String>; 2], ProbeError> {
    at_both_ends(release, probes, hold, stop).await?.ok_or_else(no_hold)
}

async fn app_metrics(probes: Arc<Probes>) -> Result<(f64, BTreeMap<String, f64>), ProbeError> {
    let scrape = probes.scrape().await?;
    let none = || ProbeError::odd("the metrics page", format!("status {}, no {}", scrape.status, metrics::REQUESTS));
    Ok((metrics::sum(&scrape.text, metrics::REQUESTS).ok_or_else(none)?, metrics::memory(&scrape.text)))
}

/// Several answers, each over a connection of its own: a balancer leads them to several replicas.
async fn release(probes: Arc<Probes>) -> Result<BTreeSet<String>, ProbeError> {
    let mut said = BTreeSet::new();
    for _ in 0..ANSWERS {
        said.insert(probes.release().await?);
    }
    Ok(said)
}

/// The statements and table reads of the hold: a snapshot when it begins, one when it ends, and the difference.
pub(super) async fn spent(
    probes: Arc<Probes>,
    hold: watch::Receiver<Hold>,
    stop: CancellationToken,
) -> Result<Spent, ProbeError> {
    let ends = at_both_ends(database, probes, hold, stop).await?;
    Ok(ends.map_or_else(Spent::default, |[began, ended]| between(began, ended)))
}

/// The difference. How the tables were read can be told without the statements.
fn between((tables, before): Read, (tables_after, after): Read) -> Spent {
    let mut spent = Spent { tables: reads(&tables, &tables_after), ..Spent::default() };
    match statements(before, after) {
        Ok(statements) => spent.statements = statements,
        Err(error) => spent.missing = Some(error),
    }
    // A dump's few long statements must not crowd out what the users' requests run; the sort keeps the order of cost.
    spent.statements.sort_by_key(|statement| statement.calls < OFTEN);
    spent.statements.truncate(STATEMENTS);
    spent.statements.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms));
    spent.tables = most_read(spent.tables);
    spent
}

/// The statements between the two looks, or why they cannot be told.
fn statements(
    before: Result<Snapshot, ProbeError>,
    after: Result<Snapshot, ProbeError>,
) -> Result<Vec<Statement>, ProbeError> {
    let (before, after) = (before?, after?);
    let statements = before.until(&after)?;
    if statements.is_empty() && after.hidden > 0 {
        return Err(ProbeError::Refused {
            system: "pg_stat_statements",
            why: format!("{} statements of other users are hidden", after.hidden),
            provide: sources::GRANT.to_owned(),
        });
    }
    Ok(statements)
}

/// The tables that were read most, and the largest of all, however it was read: by its rows a check sees whether a missing
/// index would show.
fn most_read(mut tables: Vec<TableReads>) -> Vec<TableReads> {
    let largest = tables.iter().enumerate().max_by_key(|(_, table)| table.rows).map(|(at, _)| at);
    if let Some(at) = largest.filter(|at| *at >= STATEMENTS) {
        tables.swap(STATEMENTS - 1, at);
    }
    tables.truncate(STATEMENTS);
    tables
}

/// Tables by name, and statements where they may be read.
type Read = (BTreeMap<String, TableReads>, Result<Snapshot, ProbeError>);

/// Over a connection of its own each time: the first would be idle for minutes.
async fn database(probes: Arc<Probes>) -> Result<Read, ProbeError> {
    let database = probes.database().await?;
    Ok((database.tables().await?, database.snapshot().await))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::postgres::tests::snapshot;

    #[test]
    fn tables_are_told_without_the_statements() {
        let tables = |scans| {
            let reads = TableReads { table: "a".to_owned(), rows: 9, scans, rows_read: 9 * scans, by_index: 0 };
            BTreeMap::from([("a".to_owned(), reads)])
        };
        let seen = || Ok(snapshot("0", &[(1, 10, 5.0)]));
        let hidden = |hidden| {
            let mut snapshot = snapshot("0", &[(1, 10, 5.0)]);
            snapshot.hidden = hidden;
            Ok(snapshot)
        };
        let refused = || Err(ProbeError::odd("pg_stat_statements", "refused"));
        for (statements, missing, before, after) in [
            (1, None, seen(), Ok(snapshot("0", &[(1, 14, 9.0)]))),
            (0, None, seen(), seen()),
            (0, Some("lack of room"), seen(), Ok(snapshot("1", &[(1, 14, 9.0)]))),
            (0, Some("12 statements of other users"), seen(), hidden(12)),
            (0, Some("refused"), refused(), seen()),
            (0, Some("refused"), seen(), refused()),
        ] {
            let spent = between((tables(2), before), (tables(5), after));
            assert_eq!((spent.statements.len(), spent.tables[0].scans), (statements, 3), "{missing:?}");
            let told = spent.missing.map(|error| error.to_string());
            assert_eq!(told.is_some(), missing.is_some(), "{told:?}");
            assert!(told.unwrap_or_default().contains(missing.unwrap_or_default()), "{missing:?}");
        }
    }

    #[test]
    fn the_largest_table_is_kept_though_nobody_reads_it_whole() {
        let table = |at: usize| TableReads {
            table: format!("t{at}"),
            rows: if at == 40 { 9_000_000 } else { 10 },
            scans: 1,
            rows_read: 100 - at as u64,
            by_index: 0,
        };
        let kept = most_read((0..50).map(table).collect());
        assert_eq!((kept.len(), kept[0].name(), kept[STATEMENTS - 1].name()), (STATEMENTS, "t0", "t40"));
        assert_eq!(most_read((0..3).map(table).collect()).len(), 3);
    }
}
