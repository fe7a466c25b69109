//! The exit code: what a script may conclude (`verdicts.md`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::check::CheckOutcome;
use crate::domain::event::{Event, EventKind};
use crate::domain::excuse::excused;
use crate::domain::ids::{CheckId, StepId};
use crate::domain::progress::{Progress, StepState};
use crate::domain::ramp::RampEnd;
use crate::domain::step::{Level, Step};
use crate::domain::verdict::RampOutcome;

/// Everything asked for is proven.
pub const PROVEN: u8 = 0;
/// Measured, and a check or an objective failed.
pub const FAILED: u8 = 1;
/// Usage, settings or a playbook are wrong.
pub const USAGE: u8 = 2;
/// Not enough evidence.
pub const INCONCLUSIVE: u8 = 3;
/// The generator was too weak, or blocked on the way.
pub const INVALID: u8 = 4;
/// The target is not proven ours, or a breaker tripped.
pub const UNSAFE: u8 = 5;
/// Stopped by SIGINT.
pub const INTERRUPTED: u8 = 130;
/// Stopped by SIGTERM.
pub const TERMINATED: u8 = 143;

/// The worse of two codes of jobs that looked; none is that of a job that had nothing to look at.
#[must_use]
pub fn worse(one: Option<u8>, other: Option<u8>) -> Option<u8> {
    const WORST_FIRST: [u8; 6] = [UNSAFE, INVALID, FAILED, USAGE, INCONCLUSIVE, PROVEN];
    WORST_FIRST.into_iter().find(|code| one == Some(*code) || other == Some(*code))
}

/// Reads the exit code of one job off its events. Without an answer it is [`INCONCLUSIVE`]: silence proves nothing.
#[derive(Debug, Default)]
pub struct Tally {
    steps: Vec<Step>,
    /// What was signed for until now. Only a judgement tells by itself what was excused; a look ends without one.
    signed: Progress,
    job: Job,
}

/// What one job came to.
#[derive(Debug, Default)]
struct Job {
    /// Something was taken up or decided.
    taken: bool,
    /// The step it is about.
    step: Option<StepId>,
    /// When its last event came.
    at: Option<Timestamp>,
    /// What its own step was judged to be, and by what it is held.
    judged: Option<(StepState, Vec<String>)>,
    /// The last answer of every required check: one that was asked again is what it said then.
    answers: BTreeMap<(StepId, CheckId), CheckOutcome>,
    ramped: bool,
    failed: bool,
    undecided: bool,
    invalid: bool,
    unsafe_: bool,
}

impl Tally {
    /// For jobs over these steps, after what was signed for until now.
    #[must_use]
    pub fn knowing(steps: Vec<Step>, signed: Progress) -> Self {
        Self { steps, signed, job: Job::default() }
    }

    /// Takes one event of the job.
    pub fn see(&mut self, event: &Event) {
        self.signed.apply(event);
        let job = &mut self.job;
        job.at = Some(event.at);
        job.taken |= event.kind.decides();
        match &event.kind {
            EventKind::StepStarted { step, .. } => {
                *job = Job { taken: true, step: Some(*step), at: job.at, ..Job::default() };
            }
            EventKind::CheckFinished { evidence } if evidence.level == Level::Required => {
                job.answers.insert((evidence.step, evidence.check.clone()), evidence.outcome.clone());
            }
            EventKind::RampFinished { verdict, measurement, .. } => {
                job.ramped = true;
                match verdict.outcome {
                    RampOutcome::Pass => {}
                    RampOutcome::Fail => job.failed = true,
                    RampOutcome::Inconclusive => job.undecided = true,
                    RampOutcome::Invalid => job.invalid = true,
                    RampOutcome::Aborted => job.unsafe_ |= matches!(measurement.end, RampEnd::Aborted(_)),
                }
            }
            EventKind::RampFailed { unsafe_target, .. } => {
                job.unsafe_ |= unsafe_target;
                job.invalid |= !unsafe_target;
            }
            // Another step may be judged on the way, to hold no longer; what failed for it is among the answers.
            EventKind::StepJudged { step, state, held_by, .. } if job.step.is_none_or(|own| own == *step) => {
                job.step = Some(*step);
                job.judged = Some((*state, held_by.clone()));
            }
            _ => {}
        }
    }

    /// Goes on to the next job, with what was signed for.
    pub fn next_job(&mut self) {
        self.job = Job::default();
    }

    /// True when the job was never taken up: its step is locked, or the settings cannot be read any more.
    #[must_use]
    pub fn refused(&self) -> bool {
        !self.job.taken
    }

    /// The code for a job that was to prove a step.
    #[must_use]
    pub fn proving(&self) -> u8 {
        match self.job.judged {
            Some((StepState::Proven, _)) => PROVEN,
            _ => self.trouble().unwrap_or(INCONCLUSIVE),
        }
    }

    /// The code for a job that was only to look (`verify`, `ramp`); none when its step has nothing to look at.
    #[must_use]
    pub fn looking(&self) -> Option<u8> {
        let asked = self.job.ramped || !self.job.answers.is_empty();
        self.trouble().or(asked.then_some(PROVEN))
    }

    /// The worst that was seen: safety first, then a spoiled measurement, then a failure, then doubt.
    fn trouble(&self) -> Option<u8> {
        let (mut failed, mut undecided) = (self.job.failed, self.job.undecided);
        for ((step, check), outcome) in &self.job.answers {
            if outcome.opens() || self.is_excused(*step, check, outcome) {
                continue;
            }
            failed |= matches!(outcome, CheckOutcome::Fail(_));
            undecided = true;
        }
        [(self.job.unsafe_, UNSAFE), (self.job.invalid, INVALID), (failed, FAILED), (undecided, INCONCLUSIVE)]
            .into_iter()
            .find_map(|(seen, code)| seen.then_some(code))
    }

    /// True when this answer holds nothing up, by a signature: a judgement names every check that holds its step, and
    /// where there is none the same rule says it.
    fn is_excused(&self, step: StepId, check: &CheckId, outcome: &CheckOutcome) -> bool {
        if let Some((_, held_by)) = &self.job.judged
            && self.job.step == Some(step)
        {
            let names = |held: &String| held.strip_prefix(&*check.0).is_some_and(|rest| rest.starts_with(": "));
            return !held_by.iter().any(names);
        }
        let lines = self.steps.get(step.index()).map_or(&[][..], |step| &step.checks);
        match (lines.iter().find(|line| line.check == *check), self.job.at) {
            (Some(line), Some(at)) => {
                let today = at.to_zoned(TimeZone::UTC).date();
                excused(&self.steps, &self.signed, step, line, Some(outcome), today).is_some()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::check::{Evidence, Missing, Rung};
    use crate::domain::command::Waiver;
    use crate::domain::fingerprint::Contract;
    use crate::domain::ids::TaskId;
    use crate::domain::measurement::{FarSide, Measurement};
    use crate::domain::step::{CheckLine, Gate};
    use crate::domain::verdict::Verdict;

    fn id(step: u8) -> StepId {
        StepId::new(step).unwrap()
    }

    /// Ten steps; the second and the third require "shared".
    fn steps() -> Vec<Step> {
        let line =
            |check: &str| CheckLine { check: check.into(), level: Level::Required, parameters: toml::Table::new() };
        let gate = Gate {
            users: 10,
            hold: Duration::from_secs(60),
            think: None,
            slo: None,
            endpoints: Vec::new(),
            rungs: Vec::new(),
            beyond: Vec::new(),
        };
        let checks = |step: StepId| match step.number() {
            2 | 3 => vec![line("own"), line("shared")],
            _ => vec![line("own")],
        };
        let step = |id: StepId| Step {
            id,
            title: "t".into(),
            short: "s".into(),
            guide: String::new(),
            checks: checks(id),
            gate: gate.clone(),
            digest: "d".into(),
        };
        StepId::all().map(step).collect()
    }

    fn contract() -> Contract {
        let text = || "x".to_owned();
        Contract { playbook: text(), slo: text(), flows: text(), site: text(), target: text(), quick: false }
    }

    fn started(step: u8) -> EventKind {
        EventKind::StepStarted { step: id(step), contract: contract() }
    }

    fn answered(step: u8, check: &str, outcome: CheckOutcome) -> EventKind {
        let evidence = Evidence {
            task: TaskId(0),
            step: id(step),
            check: check.into(),
            title: "t".into(),
            level: Level::Required,
            facts: serde_json::Value::Null,
            outcome,
            how: Rung::Caused,
            at: Timestamp::UNIX_EPOCH,
            took_ms: 1,
        };
        EventKind::CheckFinished { evidence }
    }

    fn advised(kind: EventKind) -> EventKind {
        match kind {
            EventKind::CheckFinished { evidence } => {
                EventKind::CheckFinished { evidence: Evidence { level: Level::Advised, ..evidence } }
            }
            kind => kind,
        }
    }

    fn ramped(outcome: RampOutcome) -> EventKind {
        let verdict = Verdict {
            outcome,
            sentence: String::new(),
            objectives: Vec::new(),
            worst_window: None,
            tainted: 0.0,
            notes: Vec::new(),
            diagnosis: Default::default(),
        };
        let (measurement, far_side) = (Box::new(Measurement::default()), Box::new(FarSide::default()));
        EventKind::RampFinished { task: TaskId(1), step: id(2), measurement, far_side, verdict }
    }

    fn judged(step: u8, state: StepState, held_by: &[&str]) -> EventKind {
        EventKind::StepJudged {
            step: id(step),
            state,
            sentence: String::new(),
            contract: contract(),
            users: None,
            p95_ms: None,
            error_percent: None,
            requests: 0,
            seconds: 1.0,
            held_by: held_by.iter().map(|held| (*held).to_owned()).collect(),
            waived: Vec::new(),
        }
    }

    fn note() -> EventKind {
        EventKind::Note { text: "said".into() }
    }

    fn waiver(step: u8, check: Option<&str>, until: &str) -> Waiver {
        let check = check.map(CheckId::from);
        Waiver { step: id(step), check, reason: "r".into(), owner: "o".into(), until: until.parse().unwrap() }
    }

    fn seen(waivers: Vec<Waiver>, kinds: &[EventKind]) -> Tally {
        let mut tally = Tally::knowing(steps(), Progress { waivers, ..Progress::default() });
        for kind in kinds {
            let at = "2026-11-23T04:01:02Z".parse().unwrap();
            tally.see(&Event { v: 1, seq: 0, at, run: "r".into(), kind: kind.clone() });
        }
        tally
    }

    fn failed() -> CheckOutcome {
        CheckOutcome::fail("404", "add it")
    }

    fn unknown() -> CheckOutcome {
        CheckOutcome::Unknown(Missing::new("no DSN", "set it"))
    }

    const LATER: &str = "2026-12-31";

    #[test]
    fn the_last_answer_counts_and_a_signature_excuses_what_the_machine_excuses() {
        let (pass, weak) = (CheckOutcome::Pass, CheckOutcome::weak("a", "b"));
        for (name, waivers, answers, code) in [
            ("all well", vec![], vec![("own", pass.clone()), ("shared", pass.clone())], Some(PROVEN)),
            ("n/a", vec![], vec![("own", CheckOutcome::NotApplicable("Huey".into()))], Some(PROVEN)),
            ("failed", vec![], vec![("own", failed()), ("shared", weak.clone())], Some(FAILED)),
            ("weak", vec![], vec![("own", weak)], Some(INCONCLUSIVE)),
            ("unknown", vec![], vec![("own", unknown())], Some(INCONCLUSIVE)),
            ("nothing to ask", vec![], vec![], None),
            ("well when asked again", vec![], vec![("own", failed()), ("own", pass.clone())], Some(PROVEN)),
            ("failed when asked again", vec![], vec![("own", pass.clone()), ("own", failed())], Some(FAILED)),
            ("waived", vec![waiver(3, Some("own"), LATER)], vec![("own", failed())], Some(PROVEN)),
            ("no longer waived", vec![waiver(3, Some("own"), "2026-11-22")], vec![("own", failed())], Some(FAILED)),
            ("another is waived", vec![waiver(3, Some("shared"), LATER)], vec![("own", failed())], Some(FAILED)),
            ("waived below", vec![waiver(2, Some("shared"), LATER)], vec![("shared", failed())], Some(PROVEN)),
            ("waived with its step", vec![waiver(2, None, LATER)], vec![("shared", unknown())], Some(PROVEN)),
            ("failed for all that", vec![waiver(2, None, LATER)], vec![("shared", failed())], Some(FAILED)),
            ("waived above", vec![waiver(4, Some("own"), LATER)], vec![("own", failed())], Some(FAILED)),
        ] {
            let mut kinds = vec![started(3)];
            kinds.extend(answers.into_iter().map(|(check, outcome)| answered(3, check, outcome)));
            kinds.extend([advised(answered(3, "advised", failed())), note()]);
            let tally = seen(waivers, &kinds);
            assert_eq!((tally.looking(), tally.refused()), (code, false), "{name}");
            assert_ne!(tally.proving(), PROVEN, "{name}: nothing was judged");
        }
    }

    #[test]
    fn a_judgement_says_itself_what_was_excused() {
        let waived = || vec![waiver(2, Some("own"), LATER)];
        for (name, waivers, ramp, end, code) in [
            ("proven", vec![], Some(RampOutcome::Pass), judged(2, StepState::Proven, &[]), PROVEN),
            ("proven, with it waived", waived(), Some(RampOutcome::Pass), judged(2, StepState::Proven, &[]), PROVEN),
            (
                "waived, and not enough data",
                waived(),
                Some(RampOutcome::Inconclusive),
                judged(2, StepState::Held, &[]),
                INCONCLUSIVE,
            ),
            // As `run --once` says it again: by the events alone.
            ("by itself", vec![], Some(RampOutcome::Inconclusive), judged(2, StepState::Held, &[]), INCONCLUSIVE),
            ("too slow", waived(), Some(RampOutcome::Fail), judged(2, StepState::Held, &[]), FAILED),
            ("held by it", vec![], None, judged(2, StepState::Held, &["own: fail, 404"]), FAILED),
            ("held by another", vec![], None, judged(2, StepState::Held, &["own.more: fail, 404"]), INCONCLUSIVE),
            ("another step was judged", vec![], None, judged(1, StepState::Proven, &[]), FAILED),
        ] {
            let mut kinds = vec![started(2), answered(2, "own", failed())];
            kinds.extend(ramp.map(ramped));
            kinds.push(end);
            assert_eq!(seen(waivers, &kinds).proving(), code, "{name}");
        }
        // What a step is seen to break on its way is not excused by its own waiver.
        let kinds = [
            started(3),
            answered(3, "shared", failed()),
            answered(2, "shared", failed()),
            judged(2, StepState::Regressed, &["shared: fail, 404"]),
            judged(3, StepState::Held, &["step 2: no longer holds"]),
        ];
        let tally = seen(vec![waiver(3, Some("shared"), LATER)], &kinds);
        assert_eq!((tally.proving(), tally.looking()), (FAILED, Some(FAILED)));
    }

    #[test]
    fn every_job_is_tallied_by_itself_and_what_is_signed_stays() {
        let mut tally = seen(vec![], &[started(2), answered(2, "own", failed()), note()]);
        tally.next_job();
        assert!(tally.refused() && tally.looking().is_none(), "{tally:?}");
        let at = "2026-11-23T04:01:02Z".parse().unwrap();
        let waived = EventKind::Waived { waiver: waiver(2, Some("own"), LATER) };
        for (kind, code) in
            [(note(), None), (waived, None), (started(2), None), (answered(2, "own", failed()), Some(0))]
        {
            tally.see(&Event { v: 1, seq: 0, at, run: "r".into(), kind });
            assert_eq!(tally.looking(), code);
        }
        assert!(!tally.refused());
    }

    #[test]
    fn a_row_ends_with_its_worst_code() {
        for (codes, worst) in [
            (&[Some(PROVEN), None, Some(PROVEN)][..], Some(PROVEN)),
            (&[None, None], None),
            (&[Some(PROVEN), Some(INCONCLUSIVE)], Some(INCONCLUSIVE)),
            (&[Some(PROVEN), Some(USAGE), Some(INCONCLUSIVE)], Some(USAGE)),
            (&[Some(FAILED), Some(USAGE)], Some(FAILED)),
            (&[Some(FAILED), Some(INVALID), Some(PROVEN)], Some(INVALID)),
            (&[Some(INVALID), Some(UNSAFE), None], Some(UNSAFE)),
        ] {
            assert_eq!(codes.iter().copied().fold(None, worse), worst, "{codes:?}");
        }
    }
}
