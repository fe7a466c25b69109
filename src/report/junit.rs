//! `rampup report --format junit`: a test suite for each judged step, a test case for each check and objective, as build
//! servers show them.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::domain::check::{CheckOutcome, Evidence};
use crate::domain::progress::StepState;
use crate::domain::step::Level;
use crate::domain::text::tame;
use crate::domain::verdict::{Objective, ObjectiveOutcome};

use super::story::Climb;

/// Longest text from outside.
const WIDTH: usize = 2000;

/// The whole file.
///
/// # Errors
/// When it cannot be written as XML.
pub fn file(climb: &Climb<'_>) -> Result<String, String> {
    let mut report = Report::new(format!("rampup {}", tame(climb.site, WIDTH)));
    for step in climb.steps {
        let Some(record) = climb.progress.steps.get(&step.id) else { continue };
        let quick =
            if record.contract.quick { " (quick: practice measurements prove nothing about a launch)" } else { "" };
        let mut suite = TestSuite::new(format!("step {}: {}{quick}", step.id, tame(&step.title, WIDTH)));
        suite.add_test_case(judgement(climb.state(step.id), &tame(&record.sentence, WIDTH)));
        let signed = climb.state(step.id) == StepState::Waived;
        suite.add_test_cases(climb.answers(step.id).into_iter().map(|e| check(e, climb.signed(e))));
        if let Some(ramp) = climb.ramp(step.id) {
            suite.add_test_cases(ramp.verdict.objectives.iter().map(|o| objective(o, signed)));
        }
        report.add_test_suite(suite);
    }
    report.to_string().map_err(|why| why.to_string())
}

fn failed(kind: &str, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_type(kind).set_message(message);
    status
}

fn skipped(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(message);
    status
}

fn case(class: &str, name: String, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case
}

/// A waived step is a debt that somebody signed for: shown, and no failure.
fn judgement(state: StepState, sentence: &str) -> TestCase {
    let status = match state {
        StepState::Proven => TestCaseStatus::success(),
        StepState::Waived => skipped("waived"),
        state => failed(state.word(), sentence),
    };
    case("rampup.step", "the step is proven".to_owned(), status)
}

fn check(evidence: &Evidence, signed: bool) -> TestCase {
    let (outcome, word) = (&evidence.outcome, evidence.outcome.word());
    let lines = || {
        let line = |(seen, todo)| format!("{} Do: {}", tame(seen, WIDTH), tame(todo, WIDTH));
        outcome.said().into_iter().map(line).collect::<Vec<_>>().join("\n")
    };
    let status = match outcome {
        CheckOutcome::Pass => TestCaseStatus::success(),
        _ if signed => skipped(&format!("waived, {word}: {}", tame(&outcome.seen(), WIDTH))),
        CheckOutcome::NotApplicable(why) => skipped(&tame(why, WIDTH)),
        _ if evidence.level == Level::Required => failed(word, &lines()),
        _ => skipped(&format!("advised, {word}: {}", lines())),
    };
    let mut case = case("rampup.check", format!("{}: {}", evidence.check, tame(&evidence.title, WIDTH)), status);
    case.set_time(Duration::from_millis(evidence.took_ms));
    case
}

fn objective(objective: &Objective, signed: bool) -> TestCase {
    let unit = tame(&objective.unit, WIDTH);
    let show = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), |value| format!("{value:.2}"));
    let figures = format!(
        "{} {unit}, between {} and {}, wanted under {} {unit}; {} requests",
        show(objective.value),
        show(objective.low),
        show(objective.high),
        objective.limit,
        objective.n
    );
    let status = match objective.outcome {
        ObjectiveOutcome::Pass => TestCaseStatus::success(),
        _ if signed => skipped(&format!("waived: {figures}")),
        ObjectiveOutcome::Fail => failed("fail", &figures),
        ObjectiveOutcome::Inconclusive => failed("inconclusive", &figures),
    };
    case("rampup.objective", format!("{} < {} {unit}", tame(&objective.name, WIDTH), objective.limit), status)
}
