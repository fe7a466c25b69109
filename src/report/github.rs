//! `rampup report --format github`: workflow commands that put findings beside the lines of a pull request. The summary of
//! the step is the Markdown report.

use crate::domain::check::{CheckOutcome, Evidence};
use crate::domain::spot;
use crate::domain::step::Level;
use crate::domain::text::tame;

use super::story::Climb;

/// Longest text from outside.
const WIDTH: usize = 1000;

/// One workflow command a line.
#[must_use]
pub fn annotations(climb: &Climb<'_>) -> String {
    climb
        .steps
        .iter()
        .flat_map(|step| climb.answers(step.id))
        .flat_map(|e| commands(e, climb.signed(e)))
        .map(|line| line + "\n")
        .collect()
}

fn commands(evidence: &Evidence, signed: bool) -> Vec<String> {
    let required = evidence.level == Level::Required;
    let command = match &evidence.outcome {
        CheckOutcome::Fail(_) if required && !signed => "error",
        CheckOutcome::Fail(_) | CheckOutcome::Weak(_) if !signed => "warning",
        CheckOutcome::Unknown(_) if !required => return Vec::new(),
        _ => "notice",
    };
    let line = |(seen, todo): (&str, &str)| {
        let place = spot::named(seen).into_iter().chain(spot::named(todo)).next();
        let file = place.as_ref().map_or_else(String::new, |spot| format!("file={},", property(&spot.file)));
        let line = place.and_then(|spot| spot.line).map_or_else(String::new, |line| format!("line={line},"));
        let title = property(&format!("Step {}: {}", evidence.step, tame(&evidence.title, WIDTH)));
        let message = data(&format!("{}\n{}", tame(seen, WIDTH), tame(todo, WIDTH)));
        format!("::{command} {file}{line}title={title}::{message}")
    };
    evidence.outcome.said().into_iter().map(line).collect()
}

/// Escapes a message, as the runner undoes it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property, likewise.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_become_a_command() {
        assert_eq!(data("50 %\n::error::x"), "50 %25%0A::error::x");
        assert_eq!(property("a:b,c\n"), "a%3Ab%2Cc%0A");
    }
}
