//! `cycles.one-release`: was the same release running from the hold's first second to its last?

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};

use super::{Check, Context, ramp};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OneRelease {}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    /// What the app said of itself when the hold began and when it ended.
    releases: Option<[BTreeSet<String>; 2]>,
    missing: Option<Missing>,
}

impl Check for OneRelease {
    const ID: &'static str = "cycles.one-release";
    const TITLE: &'static str = "no deploy fell into the hold";
    const ABOUT: &'static str = "Asks the app at the hold's first second and at its last which release of it is running: they must be the same. \
        Traps: a deploy in the middle of a ramp gives one p95 for two builds, and proves neither of them.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &["https://docs.railway.com/reference/variables#railway-provided-variables"];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let far_side = &ramp(ctx)?.far_side;
        Ok(Facts { releases: far_side.releases.clone(), missing: far_side.releases_missing.clone() })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        match (&facts.releases, &facts.missing) {
            (Some([first, last]), _) if first.len() != 1 || last.len() != 1 => CheckOutcome::Unknown(Missing::new(
                format!("the app says several releases at once: {} at first, {} at last", all(first), all(last)),
                "let a deploy finish before the ramp; and let each process say the release, not its own name",
            )),
            (Some([first, last]), _) if first == last => CheckOutcome::Pass,
            (Some([first, last]), _) => CheckOutcome::fail(
                format!("the hold began on release {} and ended on {}", all(first), all(last)),
                "let the deploy finish, then run the step again: what was measured belongs to neither of the two",
            ),
            (None, Some(missing)) => CheckOutcome::Unknown(missing.clone()),
            (None, None) => CheckOutcome::Unknown(Missing::new("the hold was not watched", "run the step whole")),
        }
    }
}

fn all(releases: &BTreeSet<String>) -> String {
    releases.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deploy_in_the_hold_is_seen() {
        let set = |said: &str| said.split(' ').map(str::to_owned).collect();
        let of = |releases: Option<[&str; 2]>, missing| Facts { releases: releases.map(|r| r.map(set)), missing };
        let nobody = || Some(Missing::new("not known", "name the place"));
        for (word, facts) in [
            ("pass", of(Some(["a1b2", "a1b2"]), None)),
            ("fail", of(Some(["a1b2", "c3d4"]), None)),
            // Half rolled out, or each process says its own name.
            ("unknown", of(Some(["a1b2", "a1b2 c3d4"]), None)),
            ("unknown", of(Some(["web-1 web-2", "web-1 web-2"]), None)),
            ("unknown", of(None, nobody())),
            ("unknown", of(None, None)),
        ] {
            assert_eq!(OneRelease {}.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
