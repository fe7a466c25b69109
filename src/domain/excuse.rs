//! What a signature lets pass. Pure: whoever asks brings the steps, what was signed for, and the day.

use super::check::CheckOutcome;
use super::ids::StepId;
use super::progress::{Excused, Progress};
use super::step::{CheckLine, Level, Step};

/// The other steps that require this very check.
pub fn also_required_by<'a>(
    steps: impl IntoIterator<Item = &'a Step>,
    step: StepId,
    line: &CheckLine,
) -> impl Iterator<Item = StepId> {
    let same = |theirs: &CheckLine| {
        (&theirs.check, &theirs.parameters, theirs.level) == (&line.check, &line.parameters, Level::Required)
    };
    let others = steps.into_iter().filter(move |other| other.id != step);
    others.filter(move |other| other.checks.iter().any(&same)).map(|other| other.id)
}

/// What excuses this answer (none when there was none) by a signature of today, in the form that a judgement keeps.
#[must_use]
pub fn excused<'a>(
    steps: impl IntoIterator<Item = &'a Step>,
    signed: &Progress,
    step: StepId,
    line: &CheckLine,
    outcome: Option<&CheckOutcome>,
    today: jiff::civil::Date,
) -> Option<Excused> {
    let excused = Excused {
        check: line.check.clone(),
        earlier: also_required_by(steps, step, line).filter(|other| *other < step).collect(),
        failed: matches!(outcome, Some(CheckOutcome::Fail(_))),
    };
    signed.excuses(step, &excused, today).then_some(excused)
}
