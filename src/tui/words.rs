//! Numbers and states in words: the sentences that more than one screen says.

use jiff::Timestamp;

use super::model::{Model, Standing};
use crate::domain::ids::StepId;
use crate::domain::measurement::ErrorKind;
use crate::domain::progress::StepState;
use crate::domain::ramp::RampPhase;
use crate::domain::text;
use crate::domain::verdict::RampOutcome;

/// Longest text from outside that a screen takes in, characters.
const LONGEST: usize = 4000;

/// Text from outside, harmless and in one line.
pub(super) fn tame(text: &str) -> String {
    text::tame(text, LONGEST)
}

/// Milliseconds for people: `2.4`, `88`, `1,204`.
pub(super) fn ms(value: f64) -> String {
    if value < 9.95 { format!("{value:.1}") } else { thousands(value) }
}

/// Percent for people, two decimals.
pub(super) fn percent(value: f64) -> String {
    format!("{value:.2}")
}

/// A whole number with commas.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "shown figures are small and not negative")]
pub(super) fn thousands(value: f64) -> String {
    let digits = (value.max(0.0).round() as u64).to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A count with commas.
#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^52")]
pub(super) fn count(value: u64) -> String {
    thousands(value as f64)
}

/// A limit as people write it: `300`, `0.5`.
pub(super) fn limit(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value}") }
}

/// `06:14`.
pub(super) fn clock(seconds: u32) -> String {
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

/// Seconds, for a phase or a hold: `41 s`, `2 min`, `1 min 30 s`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "durations of a ramp, in seconds")]
pub(super) fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match (whole / 60, whole % 60) {
        (0, s) => format!("{s} s"),
        (m, 0) => format!("{m} min"),
        (m, s) if m < 10 => format!("{m} min {s} s"),
        (m, _) => format!("{m} min"),
    }
}

/// Time of day in the reader's zone.
pub(super) fn time(model: &Model, at: Timestamp) -> String {
    at.to_zoned(model.zone.clone()).strftime("%H:%M:%S").to_string()
}

/// Day and time in the reader's zone.
pub(super) fn day(model: &Model, at: Timestamp) -> String {
    at.to_zoned(model.zone.clone()).strftime("%-d %b %H:%M").to_string()
}

/// A ramp's phase.
pub(super) fn phase(phase: RampPhase) -> &'static str {
    match phase {
        RampPhase::Climb => "climb",
        RampPhase::Settle => "settle",
        RampPhase::Hold => "hold",
        RampPhase::Beyond => "beyond",
        RampPhase::Drain => "drain",
    }
}

/// A ramp's outcome, in the contract's word.
pub(super) fn ramp_outcome(outcome: RampOutcome) -> &'static str {
    match outcome {
        RampOutcome::Pass => "pass",
        RampOutcome::Fail => "fail",
        RampOutcome::Inconclusive => "inconclusive",
        RampOutcome::Invalid => "invalid",
        RampOutcome::Aborted => "aborted",
    }
}

/// Why requests failed.
pub(super) fn error(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Connect => "without a connection",
        ErrorKind::Tls => "without TLS",
        ErrorKind::Timeout => "timed out",
        ErrorKind::Truncated => "cut short",
        ErrorKind::ServerError => "answered 5xx",
        ErrorKind::UnexpectedStatus => "with an unexpected status",
        ErrorKind::Assertion => "without the expected content",
    }
}

/// "7 Load ramp".
pub(super) fn name(model: &Model, id: StepId) -> String {
    model.step(id).map_or_else(|| format!("step {id}"), |s| format!("{id} {}", tame(&s.short)))
}

/// One line about a step for a narrow rail: its state and what it is worth.
pub(super) fn rail(model: &Model, id: StepId) -> String {
    let state = model.state(id);
    let record = model.climb.progress.steps.get(&id);
    let more = match state {
        StepState::Locked | StepState::Open => format!("goal {}", model.gate_users(id)),
        StepState::Running => match model.climb.ramp.as_ref().filter(|r| r.step == id && !r.ended) {
            Some(ramp) => format!("{}, {} users", phase(ramp.phase), ramp.last().map_or(0, |p| p.users)),
            None => "checks".to_owned(),
        },
        StepState::Proven => match record.and_then(|r| r.users) {
            Some(users) => format!("{users} users"),
            None => "no ramp".to_owned(),
        },
        StepState::Held => match record {
            Some(r) if r.held_by.len() == 1 => "by 1 check".to_owned(),
            Some(r) if !r.held_by.is_empty() => format!("by {} checks", r.held_by.len()),
            _ => "by its ramp".to_owned(),
        },
        StepState::Waived => match model.climb.progress.waiver(id, model.today) {
            Some(waiver) => format!("to {}", waiver.until.strftime("%-d %b")),
            None => String::new(),
        },
        StepState::Stale => "its basis changed".to_owned(),
        StepState::Regressed => "was proven".to_owned(),
    };
    if more.is_empty() { state.word().to_owned() } else { format!("{} · {more}", state.word()) }
}

/// On the practice stack: what makes the step's change for those who want to watch.
fn remedy(model: &Model, id: StepId) -> Option<String> {
    let command = model.demo.as_ref()?;
    Some(format!("Here, `{} {id}` in a second terminal makes the change the way a person would.", tame(command)))
}

/// What a step needs from a person now: a headline and one or two sentences. A locked step says what unlocks it.
pub(super) fn advice(model: &Model, id: StepId) -> (String, Vec<String>) {
    let state = model.state(id);
    let record = model.climb.progress.steps.get(&id);
    let short = model.step(id).map_or(String::new(), |s| tame(&s.short));
    let head = format!("Step {id}, {short}, is {}", state.word());
    let users = model.gate_users(id);
    let checks = model.step(id).map_or(0, |s| s.checks.len());
    let body = match state {
        StepState::Locked => vec![locked(model, id)],
        StepState::Open => {
            let checks = format!("{checks} checks, and {users} users held inside the SLO");
            let mut body = vec![format!("Read its playbook and make the change. Then run it: {checks}.")];
            body.extend(remedy(model, id));
            body
        }
        StepState::Running if model.ramping() => {
            vec!["Load is on its way to the target. v shows it live, s stops it.".to_owned()]
        }
        StepState::Running => vec![format!("{} of {checks} checks have answered.", answered(model, id))],
        StepState::Proven => {
            let mut body = vec![record.map_or(String::new(), |r| tame(&r.sentence))];
            if let Some(next) = model.next_step() {
                body.push(format!("Next is step {}.", name(model, next)));
            }
            body
        }
        StepState::Held => record.map_or(Vec::new(), |r| {
            let mut body = vec![tame(&r.sentence)];
            body.extend(remedy(model, id));
            body.extend(r.held_by.iter().map(|h| format!("✗ {}", tame(h))));
            body
        }),
        StepState::Waived => model.climb.progress.waiver(id, model.today).map_or(Vec::new(), |w| {
            vec![format!(
                "Signed for by {} until {}: {}",
                tame(&w.owner),
                w.until.strftime("%-d %b %Y"),
                tame(&w.reason)
            )]
        }),
        StepState::Stale => {
            let why = model.outdated.get(&id).map(|why| format!("Since then {}.", why.sentence()));
            vec![
                "It was proven, and what the proof rests on has changed.".to_owned(),
                why.unwrap_or_else(|| "The playbook, the SLO, the flows or the target is another one.".to_owned()),
                "Run it again to prove it as things are now.".to_owned(),
            ]
        }
        StepState::Regressed => {
            let mut body = vec!["It was proven once, and a later run showed it broken.".to_owned()];
            body.extend(record.map(|r| tame(&r.sentence)));
            body
        }
    };
    (head, body.into_iter().filter(|line| !line.is_empty()).collect())
}

/// What unlocks a locked step.
pub(super) fn locked(model: &Model, id: StepId) -> String {
    let Some(previous) = id.previous() else { return String::new() };
    let before = match model.state(previous) {
        // One signature for a step is none for those below it.
        StepState::Waived => "It unlocks when every step below it is proven or waived.".to_owned(),
        _ => format!("It unlocks when step {} is proven or waived.", name(model, previous)),
    };
    match model.next_step() {
        Some(next) if next < previous => format!("{before} First comes step {}.", name(model, next)),
        _ => before,
    }
}

/// Checks of a step that have answered.
pub(super) fn answered(model: &Model, id: StepId) -> usize {
    let Some(step) = model.step(id) else { return 0 };
    step.checks.iter().filter(|line| matches!(model.standing(id, &line.check), Standing::Answered(_))).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!([ms(2.44), ms(88.4), ms(1204.0)], ["2.4", "88", "1,204"]);
        assert_eq!([thousands(0.0), thousands(999.0), thousands(36_148.2)], ["0", "999", "36,148"]);
        assert_eq!([span(41.0), span(60.0), span(90.0), span(725.0)], ["41 s", "1 min", "1 min 30 s", "12 min"]);
        assert_eq!([limit(300.0), limit(0.5)], ["300", "0.5"]);
    }
}
