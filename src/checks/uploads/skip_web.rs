//! `uploads.skip-web`: no upload goes through the app's own processes any more.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::checks::clouds::Api;
use crate::checks::{Check, Context, ramp};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::railway::{HttpLine, Wanted};
use crate::probes::{ProbeError, Probes};

/// `uploads.skip-web`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SkipWeb {
    /// Longest body that is still a form, bytes.
    longest_form: u64,
}

impl Default for SkipWeb {
    fn default() -> Self {
        Self { longest_form: 100_000 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    longest_form: u64,
    api: Api<Bodies>,
}

/// What visitors sent to the app's service.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Bodies {
    /// Requests for a ticket; POSTs of any kind where no address of tickets is known.
    asked: usize,
    /// Long bodies that the app took, how long the longest was, and where they went.
    taken: usize,
    longest: u64,
    paths: BTreeSet<String>,
    /// Long bodies that the app refused.
    refused: usize,
}

impl Bodies {
    fn of(asked: usize, long: &[HttpLine]) -> Self {
        let mut bodies = Self { asked, ..Self::default() };
        for line in long {
            // 499: the visitor gave up while the app was still reading. And who fails has read it, too.
            if (400..499).contains(&line.status) {
                bodies.refused += 1;
                continue;
            }
            bodies.taken += 1;
            bodies.longest = bodies.longest.max(line.received);
            if bodies.paths.len() < 4 {
                bodies.paths.insert(line.path.clone());
            }
        }
        bodies
    }
}

impl SkipWeb {
    async fn look(&self, probes: &Probes) -> Result<Bodies, ProbeError> {
        let railway = probes.railway().await?;
        let deployment = railway.deployed().await?;
        let tickets = probes.site.presign.as_ref().and_then(|presign| presign.path.split('?').next());
        let uploads = tickets.map_or(Wanted::Method("POST"), Wanted::Path);
        let asked = railway.http_lines(&deployment.id, uploads).await?;
        let long = railway.http_lines(&deployment.id, Wanted::BodiesOver(self.longest_form)).await?;
        Ok(Bodies::of(asked.len(), &long))
    }
}

impl Check for SkipWeb {
    const ID: &'static str = "uploads.skip-web";
    const TITLE: &'static str = "no upload goes through the app's own processes";
    const ABOUT: &'static str = "Looks after the ramp in the router's log of the deployment that runs for requests with a long body that the app \
        took: each held a web worker for as long as the visitor's line needed. Traps: tickets that work while the old form still \
        posts to Django; an old endpoint that refuses (410) is right; a log in which nobody asked for a ticket shows nothing. Needs [site.railway].";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &["https://docs.railway.com/guides/logs"];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        ramp(ctx)?;
        let api = Api::ask(ctx.probes.site.railway.is_some(), self.look(ctx.probes)).await;
        Ok(Facts { longest_form: self.longest_form, api })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let bodies = match facts.api.said("railway", "what the tickets allow and the bucket takes") {
            Ok(bodies) => bodies,
            Err(other) => return other,
        };
        if bodies.taken > 0 {
            let paths: Vec<&str> = bodies.paths.iter().map(String::as_str).collect();
            return CheckOutcome::fail(
                format!(
                    "the app itself took {} bodies of more than {} kB, the longest of {} kB, at {}",
                    bodies.taken,
                    facts.longest_form / 1000,
                    bodies.longest / 1000,
                    paths.join(", ")
                ),
                "let that form ask for a ticket and send the file to the bucket, and let the old address answer 410",
            );
        }
        if bodies.asked == 0 {
            return CheckOutcome::Unknown(Missing::new(
                "nobody has asked this deployment for a ticket to upload, so nothing shows where uploads go",
                "a flow in rampup.toml that uploads as your visitors do, and the step again",
            ));
        }
        CheckOutcome::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_bodies_that_were_taken_count() {
        let line = |status, received| HttpLine {
            request: String::new(),
            at: String::new(),
            method: "POST".to_owned(),
            path: "/api/upload".to_owned(),
            status,
            total_ms: 1,
            received,
            agent: String::new(),
            instance: String::new(),
        };
        for (word, api) in [
            ("pass", Api::Said(Bodies::of(12, &[]))),
            ("pass", Api::Said(Bodies::of(12, &[line(410, 200_000)]))),
            ("fail", Api::Said(Bodies::of(12, &[line(201, 200_000)]))),
            ("fail", Api::Said(Bodies::of(12, &[line(500, 200_000)]))),
            ("fail", Api::Said(Bodies::of(12, &[line(302, 200_000), line(410, 200_000)]))),
            ("unknown", Api::Said(Bodies::of(0, &[]))),
            ("unknown", Api::Silent(Missing::new("no answer", "a token"))),
            ("n/a", Api::NotNamed),
        ] {
            let facts = Facts { longest_form: 100_000, api };
            assert_eq!(SkipWeb::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
