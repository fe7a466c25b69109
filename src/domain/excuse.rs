//! What a signature lets pass. Pure: whoever asks brings the steps, what was signed for, and the day.

use super::check::CheckOutcome;
use super::ids::StepId;
use super::progress::Progress;
use super::step::{CheckLine, Level, Step};

/// True when this answer (none when there was none) holds nothing up, by a signature: the check is waived here, or with
/// every earlier step that requires it too. There, too, a check that is waived by name may fail; one that is only part
/// of a waived step may be unknown, as the uploads of an app that has none, but what fails fails.
#[must_use]
pub fn excused<'a>(
    steps: impl IntoIterator<Item = &'a Step>,
    signed: &Progress,
    step: StepId,
    line: &CheckLine,
    outcome: Option<&CheckOutcome>,
    today: jiff::civil::Date,
) -> bool {
    let failed = matches!(outcome, Some(CheckOutcome::Fail(_)));
    let by_name = |step: StepId| signed.check_waived(step, &line.check, today);
    let with_its_step = |step: StepId| signed.waiver(step, today).is_some() && !failed;
    let same = |theirs: &CheckLine| {
        (&theirs.check, &theirs.parameters, theirs.level) == (&line.check, &line.parameters, Level::Required)
    };
    let asks_it = |other: &&Step| other.id < step && other.checks.iter().any(&same);
    let mut earlier = steps.into_iter().filter(asks_it).map(|other| other.id).peekable();
    by_name(step) || (earlier.peek().is_some() && earlier.all(|other| by_name(other) || with_its_step(other)))
}
