//! Does somebody outside look after the site when nobody of its owners does?

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::checks::clouds::Api;
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::domain::units::show_duration;
use crate::probes::railway::{HttpLine, MOST_LINES, Wanted};
use crate::probes::{ProbeError, Probes};

/// Who asks the health endpoint and watches nothing: ourselves, and Railway while it deploys.
const NO_WATCHERS: [&str; 2] = ["rampup/", "RailwayHealthCheck"];

/// `health.watched`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Watched {
    /// Longest pause between two looks, seconds.
    every_seconds: u64,
    /// Looks by which a rhythm is known.
    looks: usize,
}

impl Default for Watched {
    fn default() -> Self {
        Self { every_seconds: 300, looks: 4 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    path: String,
    api: Api<Visits>,
}

/// Who asked for the health endpoint.
#[derive(Debug, Serialize, Deserialize)]
struct Visits {
    /// For how long the log shows it, seconds: since the deployment, or since the oldest of the lines that were read.
    seconds: u64,
    /// By program, but for rampup and Railway.
    visitors: BTreeMap<String, Rhythm>,
}

/// How often one program asks.
#[derive(Debug, Serialize, Deserialize)]
struct Rhythm {
    times: usize,
    /// From its first visit to its last, seconds.
    over: u64,
    /// The usual pause, seconds: the median.
    pause: u64,
    /// Since its last visit, seconds.
    ago: u64,
}

fn visits(lines: &[HttpLine], deployed: Timestamp, now: Timestamp) -> Visits {
    let times = lines.iter().filter_map(|line| Some((line.agent.as_str(), line.at.parse::<Timestamp>().ok()?)));
    let mut by_agent = BTreeMap::<String, Vec<Timestamp>>::new();
    let mut first = if lines.len() < MOST_LINES { deployed } else { now };
    for (agent, at) in times {
        first = first.min(at);
        by_agent.entry(agent.chars().take(60).collect()).or_default().push(at);
    }
    let foreign = by_agent.into_iter().filter(|(agent, _)| !NO_WATCHERS.iter().any(|own| agent.contains(own)));
    let visitors = foreign.map(|(agent, mut at)| {
        at.sort_unstable();
        let mut pauses: Vec<u64> = at.windows(2).map(|two| seconds(two[0], two[1])).collect();
        pauses.sort_unstable();
        let pause = pauses.get(pauses.len() / 2).copied().unwrap_or(0);
        let (first, last) = (at.first().copied().unwrap_or(now), at.last().copied().unwrap_or(now));
        (agent, Rhythm { times: at.len(), over: seconds(first, last), pause, ago: seconds(last, now) })
    });
    Visits { seconds: seconds(first, now), visitors: visitors.collect() }
}

/// A path without what is asked for behind it: the log is looked through by paths.
fn bare(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    to.duration_since(from).as_secs().try_into().unwrap_or(0)
}

async fn look(probes: &Probes) -> Result<Visits, ProbeError> {
    let railway = probes.railway().await?;
    let deployment = railway.deployed().await?;
    let lines = railway.http_lines(&deployment.id, Wanted::Path(bare(&probes.site.health))).await?;
    Ok(visits(&lines, deployment.created, Timestamp::now()))
}

impl Check for Watched {
    const ID: &'static str = "health.watched";
    const TITLE: &'static str = "a monitor outside asks the health endpoint every few minutes";
    const ABOUT: &'static str = "Looks in the router's log for a program that asks the health endpoint steadily, every five minutes or oftener, and \
        did so just now: a monitor shows itself that way without a key of its own. Traps: Railway's own check, which runs only while \
        it deploys; rampup's questions; a person who reloads the page; a monitor that was switched off last week. Needs \
        [site.railway].";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] =
        &["https://docs.railway.com/guides/logs", "https://docs.railway.com/reference/healthchecks"];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        let api = Api::ask(probes.site.railway.is_some(), look(probes)).await;
        Ok(Facts { path: probes.site.health.clone(), api })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let path = &facts.path;
        let visits = match facts.api.said("railway", "the health endpoint answers rampup") {
            Ok(visits) => visits,
            Err(other) => return other,
        };
        let (every, looks) = (self.every_seconds, self.looks);
        // A minute late is still in time; who only reloads a page has no rhythm.
        let least = every * (looks as u64).saturating_sub(1);
        let steady = |visitor: &Rhythm| {
            visitor.times >= looks
                && visitor.over + 60 >= least
                && visitor.pause <= every + 60
                && visitor.ago <= 2 * every
        };
        if visits.visitors.values().any(steady) {
            return CheckOutcome::Pass;
        }
        let span = show_duration(std::time::Duration::from_secs(visits.seconds));
        if visits.seconds < every * looks as u64 {
            return CheckOutcome::Unknown(Missing::new(
                format!("the router's log shows {path} for {span} only: too short for a monitor's rhythm"),
                "verify again some half an hour after a deploy, and after a ramp (rampup's own questions fill the log)",
            ));
        }
        let seen: Vec<String> = visits
            .visitors
            .iter()
            .map(|(agent, visitor)| format!("{agent} {} times, {} s ago last", visitor.times, visitor.ago))
            .take(3)
            .collect();
        let others = if seen.is_empty() { "nobody else at all".to_owned() } else { seen.join("; ") };
        CheckOutcome::fail(
            format!("in {span}, nobody asked {path} steadily but rampup and Railway ({others})"),
            format!(
                "let a monitor (UptimeRobot, Better Stack, …) ask {path} at least every {} minutes and tell you",
                every / 60
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rhythm_tells_a_monitor_from_a_visitor() {
        let now: Timestamp = "2026-11-27T12:00:00Z".parse().unwrap();
        let line = |agent: &str, ago: i64| HttpLine {
            request: String::new(),
            at: (now - std::time::Duration::from_secs(ago.unsigned_abs())).to_string(),
            method: "GET".to_owned(),
            path: "/healthz".to_owned(),
            status: 200,
            total_ms: 1,
            received: 100,
            agent: agent.to_owned(),
            instance: String::new(),
        };
        let every = |agent: &str, pause: i64, from: i64, to: i64| -> Vec<HttpLine> {
            (to..=from).step_by(usize::try_from(pause).unwrap()).map(|ago| line(agent, ago)).collect()
        };
        let day = now - std::time::Duration::from_secs(86_400);
        for (word, deployed, lines) in [
            ("pass", day, every("UptimeRobot/2.0", 300, 7_200, 10)),
            ("pass", day, [every("Better Uptime", 30, 3_600, 5), every("rampup/1", 1, 900, 0)].concat()),
            // Only ourselves and the deploy.
            ("fail", day, every("rampup/1 (+probe r)", 2, 1_000, 0)),
            ("fail", day, every("RailwayHealthCheck/1.0", 5, 80_000, 79_900)),
            ("fail", day, Vec::new()),
            // A person, a monitor by the hour, one that ended.
            ("fail", day, vec![line("curl/8", 10), line("curl/8", 12), line("curl/8", 14), line("curl/8", 16)]),
            ("fail", day, every("UptimeRobot/2.0", 3_600, 80_000, 10)),
            ("fail", day, every("UptimeRobot/2.0", 300, 80_000, 7_000)),
            // Nothing can be said yet.
            ("unknown", now - std::time::Duration::from_secs(300), Vec::new()),
            ("unknown", day, every("rampup/1", 1, 1_000, 0)),
        ] {
            let facts = Facts { path: "/healthz".to_owned(), api: Api::Said(visits(&lines, deployed, now)) };
            assert_eq!(Watched::default().judge(&facts).word(), word, "{facts:?}");
        }
        let nobody = Facts { path: "/healthz".to_owned(), api: Api::NotNamed };
        assert_eq!(Watched::default().judge(&nobody).word(), "n/a");
    }
}
