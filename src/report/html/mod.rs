//! `rampup report --format html`: one page for whoever asks how we know. No script, nothing loaded from elsewhere; light and
//! dark, and good on paper. Every text is escaped by the library that writes it.

mod chart;

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::domain::audit::Ramp;
use crate::domain::check::{CheckOutcome, Evidence};
use crate::domain::ids::StepId;
use crate::domain::measurement::{FarSide, series};
use crate::domain::progress::{StepRecord, StepState};
use crate::domain::step::{Level, Step};
use crate::domain::text::tame;
use crate::domain::verdict::{ObjectiveOutcome, Verdict};

use super::story::Climb;
use chart::{Axis, Chart};

const STYLE: &str = include_str!("../../../assets/report.css");
/// Longest text from outside.
const WIDTH: usize = 2000;
/// Longest facts shown of a check.
const FACTS: usize = 6000;

/// Series of the systems behind the app that are worth a picture: name, title, unit.
const SERIES: [(&str, &str, &str); 12] = [
    (series::LOAD_RPS, "Requests", "/s"),
    (series::LOAD_ERRORS, "Failed requests", "/s"),
    (series::PG_BACKENDS, "Database connections", ""),
    (series::PG_ACTIVE, "Active in the database", ""),
    (series::PG_WAITING, "Waiting in the database", ""),
    (series::POOL_CLIENTS, "Pool clients", ""),
    (series::POOL_WAITING, "Waiting for the pool", ""),
    (series::CACHE_EVICTED, "Evicted from the cache", "/s"),
    (series::CACHE_MEMORY, "Memory of the cache", "bytes"),
    (series::QUEUE_DEPTH, "Tasks waiting", ""),
    (series::EDGE_HIT_SHARE, "Served by the edge", "%"),
    (series::GENERATOR_LAG, "Lag of the generator", "ms"),
];

/// The whole page.
#[must_use]
pub fn page(climb: &Climb<'_>, at: Timestamp) -> String {
    let goal = climb.steps.iter().map(|step| step.gate.users).max().unwrap_or(0);
    let proven = climb.proven_users();
    let quick = climb.progress.steps.values().any(|record| record.contract.quick);
    let target =
        climb.progress.steps.values().max_by_key(|record| record.at).map(|record| record.contract.target.as_str());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (text(climb.site)) ": proven for " (proven) " of " (goal) " users" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    p.product { "rampup" }
                    h1 { (text(climb.site)) ": proven for " (proven) " of " (goal) " concurrent users" }
                    p.muted {
                        @if let Some(target) = target { (text(target)) " · " }
                        "as of " (at.strftime("%-d %B %Y, %H:%M UTC").to_string())
                    }
                    @if quick {
                        p.warn { "! Practice measurements: fewer users in a hurry, short holds. They prove nothing about a launch." }
                    }
                }
                (overview(climb))
                (waivers(climb))
                @for step in climb.steps {
                    @if let Some(record) = climb.progress.steps.get(&step.id) { (section(climb, step, record)) }
                }
                footer {
                    p { "A step is proven when every required check passed on the running systems and a real load kept the promise beyond doubt: the whole confidence interval lies under the limit. Bounds are one-sided, of 95 % unless said otherwise." }
                    p { code { "rampup verify-evidence" } " decides each judgement again from its run's log, and says what was edited since." }
                }
            }
        }
    };
    page.into_string()
}

fn text(from_outside: &str) -> String {
    tame(from_outside, WIDTH)
}

fn sign(state: StepState) -> (&'static str, &'static str) {
    match state {
        StepState::Proven => ("✓", "pass"),
        StepState::Held | StepState::Regressed => ("✗", "fail"),
        StepState::Waived => ("~", "warn"),
        StepState::Stale => ("↻", "warn"),
        StepState::Running => ("◐", "muted"),
        StepState::Open => ("○", "muted"),
        StepState::Locked => ("·", "muted"),
    }
}

fn overview(climb: &Climb<'_>) -> Markup {
    html! {
        section {
            h2 { "The ten steps" }
            div.scroll { table {
                thead { tr { th { "step" } th {} th { "state" } th.n { "users" } th.n { "p95, ms" } th.n { "errors, %" } th.n { "requests" } } }
                tbody {
                    @for step in climb.steps {
                        @let state = climb.state(step.id);
                        @let (mark, class) = sign(state);
                        @let record = climb.progress.steps.get(&step.id);
                        tr {
                            td.n { (step.id) }
                            td { @if record.is_some() { a href=(format!("#step-{}", step.id)) { (text(&step.title)) } } @else { (text(&step.title)) } }
                            td class=(class) { (mark) " " (state.word()) }
                            td.n { (record.and_then(|r| r.users).map_or_else(|| format!("goal {}", step.gate.users), |users| users.to_string())) }
                            td.n { (record.and_then(|r| r.p95_ms).map_or_else(String::new, |[value, _, high]| format!("{value:.0} (≤ {high:.0})"))) }
                            td.n { (record.and_then(|r| r.error_percent).map_or_else(String::new, |[value, _, high]| format!("{value:.2} (≤ {high:.2})"))) }
                            td.n { (record.map_or_else(String::new, |r| r.requests.to_string())) }
                        }
                    }
                }
            } }
        }
    }
}

fn waivers(climb: &Climb<'_>) -> Markup {
    html! {
        @if !climb.progress.waivers.is_empty() {
            section {
                h2 { "Signed for, not proven" }
                ul { @for waiver in &climb.progress.waivers {
                    li {
                        span.warn { "~ step " (waiver.step) @if let Some(check) = &waiver.check { ", " (text(&check.0)) } }
                        " until " (waiver.until) " by " (text(&waiver.owner)) ": " (text(&waiver.reason))
                    }
                } }
            }
        }
    }
}

fn section(climb: &Climb<'_>, step: &Step, record: &StepRecord) -> Markup {
    let (mark, class) = sign(climb.state(step.id));
    html! {
        section.step id=(format!("step-{}", step.id)) {
            h2 { "Step " (step.id) ". " (text(&step.title)) " " span class=(class) { (mark) " " (climb.state(step.id).word()) } }
            p.verdict { (text(&record.sentence)) }
            @if let Some(outdated) = climb.outdated.get(&step.id) { p.warn { "↻ " (text(&outdated.sentence())) } }
            @if climb.basis(step.id).is_empty() {
                p.muted { "The log of run " (record.run) " is not on this machine: what it rests on is with whoever ran it." }
            }
            @if let Some(ramp) = climb.ramp(step.id) { (measured(&ramp)) }
            (checks(&climb.answers(step.id)))
            (about(climb, step.id, record))
        }
    }
}

fn measured(ramp: &Ramp<'_>) -> Markup {
    html! {
        (objectives(ramp.verdict))
        (over_time(ramp))
        @let said = ramp.verdict.diagnosis.sentences();
        @if !said.is_empty() {
            h3 { "Where to look " small.muted { "(decides nothing)" } }
            ul { @for sentence in &said { li { (text(sentence)) } } }
        }
        (by_users(ramp))
        (behind(ramp.far_side))
        @for note in &ramp.verdict.notes { p.muted { (text(note)) } }
    }
}

fn objectives(verdict: &Verdict) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th { "objective" } th {} th.n { "wanted" } th.n { "measured" } th.n { "between" } th.n { "requests" } } }
            tbody { @for objective in &verdict.objectives {
                @let unit = text(&objective.unit);
                @let show = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), |v| if unit == "%" { format!("{v:.2}") } else { format!("{v:.0}") });
                @let (mark, class) = match objective.outcome {
                    ObjectiveOutcome::Pass => ("✓ pass", "pass"),
                    ObjectiveOutcome::Fail => ("✗ fail", "fail"),
                    ObjectiveOutcome::Inconclusive => ("? inconclusive", "warn"),
                };
                tr {
                    td { (text(&objective.name)) }
                    td class=(class) { (mark) }
                    td.n { "< " (objective.limit) " " (unit) }
                    td.n { (show(objective.value)) " " (unit) }
                    td.n { (show(objective.low)) " and " (show(objective.high)) }
                    td.n { (objective.n) }
                }
            } }
        } }
    }
}

fn over_time(ramp: &Ramp<'_>) -> Markup {
    let seconds =
        |name| ramp.far_side.series(name).map(|(second, value)| (f64::from(second), value)).collect::<Vec<_>>();
    let limit = format!("SLO p95 {:.0} ms", ramp.slo.p95_ms);
    let chart = Chart {
        title: "p95 of each second over the ramp, with the number of users behind it",
        line: seconds(series::LOAD_P95),
        behind: seconds(series::LOAD_USERS),
        limit: Some((ramp.slo.p95_ms, limit)),
        part: ramp.far_side.hold.map(|(from, to)| (f64::from(from), f64::from(to))),
        unit: "ms",
        ..Chart::default()
    };
    html! {
        @if chart.line.len() > 1 {
            figure {
                (chart.draw())
                figcaption { "p95 of each second. Grey: users, up to " (ramp.plan.users) ". Shaded: the hold, which alone is judged." }
            }
        }
    }
}

fn by_users(ramp: &Ramp<'_>) -> Markup {
    let Some(knee) = &ramp.verdict.diagnosis.knee else { return html! {} };
    let users = |users: u32| f64::from(users);
    let chart = Chart {
        title: "p95 by number of users",
        line: knee.rungs.iter().filter_map(|rung| Some((users(rung.users), rung.p95_ms?))).collect(),
        bounds: knee.rungs.iter().filter_map(|rung| Some((users(rung.users), rung.low?, rung.high?))).collect(),
        limit: Some((ramp.slo.p95_ms, format!("SLO p95 {:.0} ms", ramp.slo.p95_ms))),
        dots: true,
        x: Axis::Users,
        unit: "ms",
        ..Chart::default()
    };
    html! {
        @if chart.line.len() > 1 {
            figure { (chart.draw()) figcaption { "p95 by number of users, with its bounds." } }
        }
    }
}

fn behind(far_side: &FarSide) -> Markup {
    let chart = |name, title, unit| Chart {
        title,
        line: far_side.series(name).map(|(second, value)| (f64::from(second), value)).collect(),
        part: far_side.hold.map(|(from, to)| (f64::from(from), f64::from(to))),
        unit,
        small: true,
        ..Chart::default()
    };
    let all: Vec<_> = SERIES.into_iter().map(|(name, title, unit)| (title, chart(name, title, unit))).collect();
    let shown: Vec<_> =
        all.iter().filter(|(_, chart)| chart.line.len() > 1 && chart.line.iter().any(|p| p.1 > 0.0)).collect();
    html! {
        @if !shown.is_empty() {
            h3 { "The systems behind the app, on the same clock" }
            div.small { @for (title, chart) in shown { figure { figcaption { (title) } (chart.draw()) } } }
        }
        @for missing in &far_side.missing { p.muted { "Not seen: " (text(&missing.what)) } }
    }
}

fn checks(answers: &[&Evidence]) -> Markup {
    html! {
        @if !answers.is_empty() {
            h3 { "What was checked" }
            div.checks { @for evidence in answers { (check(evidence)) } }
        }
    }
}

fn check(evidence: &Evidence) -> Markup {
    let (mark, class) = match &evidence.outcome {
        CheckOutcome::Pass => ("✓", "pass"),
        CheckOutcome::Fail(_) => ("✗", "fail"),
        CheckOutcome::Weak(_) => ("!", "warn"),
        CheckOutcome::Unknown(_) => ("?", "warn"),
        CheckOutcome::NotApplicable(_) => ("–", "muted"),
    };
    let how = evidence.how.words();
    let facts = serde_json::to_string_pretty(&evidence.facts).unwrap_or_default();
    html! {
        details {
            summary {
                span class=(class) { (mark) " " (evidence.outcome.word()) } " " (text(&evidence.title))
                @if evidence.level == Level::Advised { span.muted { " (advised)" } }
            }
            @match &evidence.outcome {
                CheckOutcome::Fail(findings) | CheckOutcome::Weak(findings) => @for finding in findings {
                    p { (text(&finding.seen)) br; strong { (text(&finding.todo)) } }
                },
                CheckOutcome::Unknown(missing) => p { (text(&missing.what)) br; strong { (text(&missing.provide)) } },
                CheckOutcome::NotApplicable(why) => p { (text(why)) },
                CheckOutcome::Pass => {},
            }
            p.muted { code { (text(&evidence.check.0)) } " · " (how) " · " (evidence.at.strftime("%-d %b %Y, %H:%M UTC").to_string()) }
            @if !evidence.facts.is_null() { pre { (facts.lines().map(|line| tame(line, FACTS)).collect::<Vec<_>>().join("\n").chars().take(FACTS).collect::<String>()) } }
        }
    }
}

fn about(climb: &Climb<'_>, step: StepId, record: &StepRecord) -> Markup {
    html! {
        p.muted.about {
            "Run " code { (record.run) } ", " (record.at.strftime("%-d %B %Y, %H:%M UTC").to_string())
            @if let Some(fingerprint) = climb.fingerprint(step) {
                @if let Some(commit) = &fingerprint.commit {
                    ", commit " code { (text(commit.get(..12).unwrap_or(commit))) }
                    @if fingerprint.dirty.is_some() { " with uncommitted changes" }
                }
                ", rampup " (text(&fingerprint.product))
            }
            @if let Some(evidence) = &record.evidence { ". Evidence " code { (evidence.get(..16).unwrap_or(evidence)) } }
        }
    }
}

#[cfg(test)]
mod tests;
