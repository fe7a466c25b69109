//! Does the counter of requests only ever rise, whichever process answers?

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::metrics;

use super::{FAMILY, shown};

/// `metrics.monotonic`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Monotonic {
    /// Name of the counter.
    family: String,
    /// Rounds of scrapes, one after the other.
    rounds: u32,
    /// Scrapes at once in a round, so that more than one process has to answer.
    at_once: u32,
}

impl Default for Monotonic {
    fn default() -> Self {
        Self { family: FAMILY.to_owned(), rounds: 6, at_once: 4 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    path: String,
    rounds: Vec<Vec<Scraped>>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Scraped {
    status: u16,
    /// Sum of the counter.
    sum: Option<f64>,
    /// `process_start_time_seconds`: which process speaks, where the metrics are of a single one.
    started: Option<f64>,
}

impl Check for Monotonic {
    const ID: &'static str = "metrics.monotonic";
    const TITLE: &'static str = "the metrics speak for all processes: no scrape ever shows less than the one before";
    const ABOUT: &'static str = "Scrapes in six rounds of four at once, each over a new connection, so that every worker has to answer: \
        no round may show less than the round before, and no two may name different processes in turn. Traps: scrapes one after the \
        other that all meet the same worker; a single worker (nothing to add up: passes, and rightly); a worker or deploy that starts \
        anew meanwhile: the counter begins again once and never comes back, which is no fault but no proof either.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Counted;
    const DOCS: &'static [&'static str] = &[
        "https://prometheus.github.io/client_python/multiprocess/",
        "https://prometheus.io/docs/concepts/metric_types/#counter",
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        let one = || async {
            let answer = probes.scrape().await?;
            let read = |family: &str| metrics::sum(&answer.text, family);
            let (sum, started) = (read(&self.family), read("process_start_time_seconds"));
            Ok::<_, Missing>(Scraped { status: answer.status, sum, started })
        };
        let mut rounds = Vec::new();
        for _ in 0..self.rounds {
            rounds.push(try_join_all((0..self.at_once).map(|_| one())).await?);
        }
        Ok(Facts { path: probes.metrics_path()?.to_owned(), rounds })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let (path, family) = (&facts.path, &self.family);
        let all: Vec<Scraped> = facts.rounds.iter().flatten().copied().collect();
        if facts.rounds.len() < 2 || all.iter().all(|scraped| scraped.sum.is_none()) {
            let status = all.first().map_or(0, |scraped| scraped.status);
            return CheckOutcome::Unknown(Missing::new(
                format!("{path} (status {status}) has no counter {family} that could fall"),
                "let the metrics count requests first: see metrics.count-requests",
            ));
        }
        let todo = format!(
            "set PROMETHEUS_MULTIPROC_DIR to an empty folder that all workers of a replica share, and empty it at start; with several \
             replicas behind one address let each be scraped by itself and name one of them in rampup.toml: [site] origin; see it with: \
             for i in 1 2 3 4 5 6; do curl -s ADDRESS{path} | grep ^{family} | head -1; done"
        );
        if all.iter().any(|scraped| scraped.sum.is_none()) {
            return CheckOutcome::fail(
                format!("{path} has the counter {family} in some scrapes and not in others"),
                todo,
            );
        }
        match self.course(&facts.rounds) {
            Course::Rises => CheckOutcome::Pass,
            Course::Jumps(seen) => {
                CheckOutcome::fail(format!("{seen}: each scrape shows one process of several"), todo)
            }
            Course::BeganAgain(seen) => CheckOutcome::Unknown(Missing::new(
                format!("{seen}: a process was started anew while rampup looked"),
                "verify again when no deploy is going on; a worker that restarts often (max_requests) needs PROMETHEUS_MULTIPROC_DIR, \
                 or every restart loses its counts",
            )),
        }
    }
}

/// What a counter did, with the words for it.
enum Course {
    Rises,
    /// Up and down: several counters behind one address.
    Jumps(String),
    /// Down once, for good: one counter that was reset.
    BeganAgain(String),
}

impl Monotonic {
    fn course(&self, rounds: &[Vec<Scraped>]) -> Course {
        let sums: Vec<(f64, f64)> = rounds
            .iter()
            .map(|round| {
                let sums = round.iter().filter_map(|scraped| scraped.sum);
                sums.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), sum| (low.min(sum), high.max(sum)))
            })
            .collect();
        // Every scrape of a round began after all of the round before had ended.
        let falls: Vec<usize> = (1..sums.len()).filter(|&at| sums[at].0 < sums[at - 1].1).collect();
        let lows: Vec<f64> = sums.iter().map(|(low, _)| *low).collect();
        let seen = format!("{} falls between scrapes ({})", self.family, shown(&lows));
        if let (Some(&first), Some(&last)) = (falls.first(), falls.last()) {
            // A reset parts the rounds into those before and those after; it may fall into the midst of one.
            let before = sums[..first].iter().map(|(low, _)| *low).fold(f64::INFINITY, f64::min);
            let after = sums[last..].iter().map(|(_, high)| *high).fold(f64::NEG_INFINITY, f64::max);
            return if last <= first + 1 && after < before { Course::BeganAgain(seen) } else { Course::Jumps(seen) };
        }
        // Without a fall two processes may still take turns: after many requests their counts are alike.
        let mut lives: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
        for (at, scraped) in rounds.iter().enumerate().flat_map(|(at, round)| round.iter().map(move |s| (at, s))) {
            if let Some(started) = scraped.started {
                lives.entry(started.to_bits()).and_modify(|life| life.1 = at).or_insert((at, at));
            }
        }
        let mut lives: Vec<(usize, usize)> = lives.into_values().collect();
        lives.sort_unstable();
        if lives.windows(2).any(|two| two[1].0 < two[0].1) {
            return Course::Jumps(format!("{} processes take turns in answering", lives.len()));
        }
        if lives.len() > 1 { Course::BeganAgain("the process that answers changed".to_owned()) } else { Course::Rises }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rounds: &[&[(f64, Option<f64>)]]) -> Facts {
        let scraped = |&(sum, started): &(f64, Option<f64>)| Scraped { status: 200, sum: Some(sum), started };
        let rounds = rounds.iter().map(|round| round.iter().map(scraped).collect()).collect();
        Facts { path: "/metrics".to_owned(), rounds }
    }

    fn sums(rounds: &[&[f64]]) -> Facts {
        let rounds: Vec<Vec<_>> = rounds.iter().map(|round| round.iter().map(|sum| (*sum, None)).collect()).collect();
        of(&rounds.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    #[test]
    fn monotonic_traps() {
        let check = Monotonic::default();
        let (a, b, c) = (Some(1_700_000_000.1), Some(1_700_000_000.2), Some(1_700_000_900.0));
        let mut gone = sums(&[&[10.0], &[11.0]]);
        gone.rounds[1][0].sum = None;
        let mut missing = sums(&[&[10.0], &[11.0]]);
        missing.rounds.iter_mut().flatten().for_each(|scraped| scraped.sum = None);
        for (case, word, facts) in [
            ("one folder for all workers", "pass", sums(&[&[10.0, 13.0, 12.0], &[14.0, 16.0], &[17.0, 18.0]])),
            ("a single worker", "pass", of(&[&[(10.0, a), (11.0, a)], &[(12.0, a), (13.0, a)]])),
            ("others' traffic makes it rise faster", "pass", sums(&[&[10.0, 500.0], &[900.0, 700.0], &[1000.0]])),
            ("three workers, each for itself", "fail", sums(&[&[90.0, 7.0, 55.0], &[8.0, 91.0], &[56.0, 9.0]])),
            ("they answer in turn", "fail", sums(&[&[90.0], &[91.0], &[7.0], &[92.0]])),
            ("alike in numbers, two in turn", "fail", of(&[&[(10.0, a)], &[(11.0, b)], &[(12.0, a)], &[(12.0, b)]])),
            ("some have never counted", "fail", gone),
            ("a restart: it begins again, for good", "unknown", sums(&[&[90.0], &[91.0], &[1.0], &[2.0], &[3.0]])),
            ("a restart in the midst of a round", "unknown", sums(&[&[90.0], &[91.0, 1.0], &[2.0, 3.0], &[4.0]])),
            ("a restart that the sum does not show", "unknown", of(&[&[(1.0, a)], &[(2.0, a)], &[(3.0, c)]])),
            ("no counter at all", "unknown", missing),
            ("nothing scraped", "unknown", sums(&[])),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{case}");
        }
    }
}
