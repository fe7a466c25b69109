//! A debt to sign for: the step or one of its checks, why, who answers for it, until when. No IO.

use jiff::ToSpan;
use jiff::civil::Date;

use super::model::{Model, Pane, Place};
use super::words;
use crate::domain::command::Waiver;
use crate::domain::ids::{CheckId, StepId};

/// What is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) step: StepId,
    pub(super) check: Option<CheckId>,
    /// Reason, owner, last day.
    pub(super) fields: [String; 3],
    /// The field that is written in.
    pub(super) at: usize,
    /// Why it was not taken.
    pub(super) said: Option<String>,
}

impl Form {
    /// Names of the fields.
    pub(super) const NAMES: [&'static str; 3] = ["why", "who", "until"];

    /// About the check that the list points at, else about the whole step.
    pub(super) fn new(model: &Model) -> Self {
        let step = model.subject();
        let pointed = matches!(model.place(), Place::Step(_)) && model.pane != Pane::Playbook;
        let check = model.step(step).filter(|_| pointed).and_then(|s| s.checks.get(model.check));
        let until = model.today.checked_add(Waiver::USUAL_DAYS.days()).unwrap_or(model.today);
        Self {
            step,
            check: check.map(|line| line.check.clone()),
            fields: [String::new(), model.owner.clone(), until.to_string()],
            at: 0,
            said: None,
        }
    }

    /// The next field, or the one before.
    pub(super) fn turn(&mut self, by: usize) {
        self.at = (self.at + by) % self.fields.len();
    }

    /// The waiver as it was written.
    ///
    /// # Errors
    /// What is missing, and the field that lacks it.
    pub(super) fn signed(&self, today: Date) -> Result<Waiver, (usize, String)> {
        let [reason, owner, until] = self.fields.each_ref().map(|field| words::tame(field.trim()));
        if reason.is_empty() {
            return Err((0, "write why it is acceptable: whoever reads the report will ask".to_owned()));
        }
        if owner.is_empty() {
            return Err((1, "write who answers for it".to_owned()));
        }
        let until: Date = until.parse().map_err(|_| (2, format!("{until:?} is no day; write one like {today}")))?;
        if until < today {
            return Err((2, format!("{until} is over; it counts up to and with its last day")));
        }
        Ok(Waiver { step: self.step, check: self.check.clone(), reason, owner, until })
    }
}
