//! `rampup report`: the ten steps as Markdown, for a pull request or a wiki.

use crate::domain::diagnosis::Diagnosis;
use crate::domain::ids::StepId;
use crate::domain::progress::{StepRecord, StepState};
use crate::domain::step::Step;
use crate::domain::text::tame;

use super::story::Climb;

/// The whole climb: a table of steps, then why each held one is held.
#[must_use]
pub fn climb(climb: &Climb<'_>) -> String {
    let Climb { site, steps, states, progress, .. } = climb;
    let mut page = format!("# {}: the climb\n\n", cell(site));
    page += "| step | | state | users | p95, ms (bounds) | errors, % (at most) | requests | run |\n";
    page += "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for ((id, state), step) in states.iter().zip(*steps) {
        let record = progress.steps.get(id);
        page += &format!("| {id} | {} | {} | {} |\n", cell(&step.title), state.word(), figures(step, record));
    }
    let quick = progress.steps.values().any(|record| record.contract.quick);
    if quick {
        page += "\nRuns marked *quick* are practice measurements: fewer users in a hurry, short holds. They prove nothing about a launch.\n";
    }
    for (id, record) in &progress.steps {
        if record.state != StepState::Proven {
            page += &format!("\n**Step {id}.** {}\n", cell(&record.sentence));
        }
    }
    for id in StepId::all() {
        if let Some(ramp) = climb.ramp(id) {
            page += &look(id, &ramp.verdict.diagnosis);
        }
    }
    for waiver in &progress.waivers {
        let what = waiver.check.as_ref().map_or_else(String::new, |check| format!(", check {check}"));
        page += &format!(
            "\n**Waived: step {}{what}** until {} by {}: {}\n",
            waiver.step,
            waiver.until,
            cell(&waiver.owner),
            cell(&waiver.reason)
        );
    }
    for ruling in &progress.invalidated {
        let (run, owner, reason) = (cell(ruling.run.as_str()), cell(&ruling.owner), cell(&ruling.reason));
        page += &format!("\n**Counts no more: run {run}** by {owner}: {reason}\n");
    }
    page
}

/// Where to look after a step's last ramp: sentences, then the climb in steps as a table.
fn look(step: StepId, diagnosis: &Diagnosis) -> String {
    let said = diagnosis.sentences();
    if said.is_empty() {
        return String::new();
    }
    let mut text = format!("\n**Where to look after step {step}** (decides nothing)\n\n");
    for sentence in said {
        text += &format!("- {}\n", cell(&sentence));
    }
    let Some(knee) = &diagnosis.knee else { return text };
    text += "\n| users | requests a second | p95, ms (bounds) | errors |\n| --- | --- | --- | --- |\n";
    for rung in &knee.rungs {
        let show = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), |v| format!("{v:.0}"));
        let (p95, low, high) = (show(rung.p95_ms), show(rung.low), show(rung.high));
        text += &format!("| {} | {:.1} | {p95} ({low} to {high}) | {} |\n", rung.users, rung.rps, rung.errors);
    }
    text
}

/// The last five columns of a row.
fn figures(step: &Step, record: Option<&StepRecord>) -> String {
    let Some(record) = record else { return format!("goal {} | | | | ", step.gate.users) };
    let users = record.users.map_or_else(|| format!("goal {}", step.gate.users), |users| users.to_string());
    let p95 =
        record.p95_ms.map_or_else(String::new, |[value, low, high]| format!("{value:.0} ({low:.0} to {high:.0})"));
    let errors = record.error_percent.map_or_else(String::new, |[value, _, high]| format!("{value:.2} ({high:.2})"));
    let quick = if record.contract.quick { " *quick*" } else { "" };
    format!("{users} | {p95} | {errors} | {} | {}{quick}", record.requests, record.run)
}

/// Text from outside, fit for a table's cell.
fn cell(text: &str) -> String {
    tame(text, 600).replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::diagnosis::{Knee, KneeRung};
    use crate::domain::fingerprint::Contract;
    use crate::domain::progress::Progress;
    use crate::domain::step::Gate;
    use std::time::Duration;

    #[test]
    fn a_held_practice_step_says_why_and_that_it_was_practice() {
        let gate = Gate {
            users: 10,
            hold: Duration::from_secs(60),
            think: None,
            slo: None,
            endpoints: Vec::new(),
            rungs: Vec::new(),
            beyond: Vec::new(),
        };
        let step = |id| Step {
            id,
            title: "Baseline | sight".into(),
            short: "baseline".into(),
            guide: String::new(),
            checks: Vec::new(),
            gate: gate.clone(),
            digest: String::new(),
        };
        let text = || "x".to_owned();
        let contract =
            Contract { playbook: text(), slo: text(), flows: text(), site: text(), target: text(), quick: true };
        let record = StepRecord {
            state: StepState::Held,
            run: "run".into(),
            at: jiff::Timestamp::UNIX_EPOCH,
            sentence: "Step 1 is held by <script>.".into(),
            users: Some(10),
            p95_ms: Some([143.0, 137.0, 150.0]),
            error_percent: Some([0.0, 0.0, 0.4]),
            requests: 800,
            held_by: Vec::new(),
            evidence: None,
            waived: Vec::new(),
            contract,
        };
        let mut progress = Progress::default();
        progress.steps.insert(StepId::FIRST, record);
        let steps: Vec<Step> = StepId::all().map(step).collect();
        let states: Vec<_> = StepId::all().map(|id| (id, StepState::Locked)).collect();
        let knee = Knee {
            rungs: vec![KneeRung { users: 50, rps: 6.5, errors: 1, p95_ms: Some(80.0), low: Some(70.0), high: None }],
            bent_at: None,
            breaks: None,
            ceiling: None,
            why: "no ceiling in sight".to_owned(),
            configured: Vec::new(),
            ended: None,
        };
        let diagnosis = Diagnosis { knee: Some(knee), ..Diagnosis::default() };
        let page = look(StepId::FIRST, &diagnosis);
        assert!(page.contains("- no ceiling in sight\n") && page.contains("| 50 | 6.5 | 80 (70 to ?) | 1 |"), "{page}");
        let page = climb(&Climb {
            site: "shop",
            steps: &steps,
            states: &states,
            progress: &progress,
            outdated: &BTreeMap::new(),
            today: jiff::civil::date(2026, 11, 27),
            events: &[],
        });
        assert!(page.contains("Baseline \\| sight"), "{page}");
        assert!(page.contains("| 10 | 143 (137 to 150) | 0.00 (0.40) | 800 | run *quick* |"), "{page}");
        assert!(page.contains("prove nothing") && page.contains("&lt;script>"), "{page}");
        assert_eq!(page.lines().filter(|line| line.starts_with("| ")).count(), 12);
    }
}
