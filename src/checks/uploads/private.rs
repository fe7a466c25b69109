//! What a stranger sees of an upload.

use serde::{Deserialize, Serialize};

use super::{DOCS, SMALL, Written, ask, presign, small, taken};
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::object::Object;

/// `uploads.private`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Private {}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct PrivateFacts {
    path: String,
    /// The upload went in.
    written: Option<Written>,
    /// Status of a stranger who asks for it, and for a list of the bucket.
    object: u16,
    list: u16,
}

impl Check for Private {
    const ID: &'static str = "uploads.private";
    const TITLE: &'static str = "strangers can neither read an upload nor list the bucket";
    const ABOUT: &'static str = "Uploads 1 KiB through a form of the test user, then asks the bucket for it without any right, and for a \
        list of what it holds: both must be refused. The upload is removed again when keys are named in [services]. Trap: asking for an \
        object that is not there, which a private and an open bucket answer alike.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] =
        &["https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html", DOCS[1]];
    type Facts = PrivateFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<PrivateFacts, Missing> {
        let (probes, presign) = (ctx.probes, presign(ctx)?);
        let session = probes.sign_in().await?;
        let mut facts = PrivateFacts { path: presign.path.clone(), ..PrivateFacts::default() };
        let answer = ask(probes, &presign.path, Some(&session), small(presign)).await?;
        let Some(ticket) = small(presign).ticket(&answer) else { return Ok(facts) };
        let object = Object::of(&ticket)?;
        if !taken(&ticket.upload(&probes.http, SMALL, None).await?) {
            return Ok(facts);
        }
        let seen = object.to_a_stranger(&probes.http).await;
        facts.written = Some(Written::tidy(probes, &object).await?);
        (facts.object, facts.list) = seen?;
        Ok(facts)
    }

    fn judge(&self, facts: &PrivateFacts) -> CheckOutcome {
        let Some(written) = &facts.written else {
            return CheckOutcome::Unknown(Missing::new(
                format!("nothing could be uploaded through {}, so nothing can be said of who may read it", facts.path),
                "mend what uploads.oversize-refused says first",
            ));
        };
        let mut findings = Vec::new();
        let open = |status: u16| (200..400).contains(&status);
        if open(facts.object) {
            findings.push(Finding {
                seen: format!("a stranger could read {} (status {})", written.object, facts.object),
                todo: "block public access of the bucket that holds uploads, and hand out what people may see by presigned GET addresses; \
                       public pictures belong under a prefix, or into a bucket, of their own. See it: curl -I the object's address"
                    .to_owned(),
            });
        }
        if open(facts.list) {
            findings.push(Finding {
                seen: format!("a stranger could list the bucket of {} (status {})", written.object, facts.list),
                todo: "take s3:ListBucket away from everyone in the bucket's policy".to_owned(),
            });
        }
        if !findings.is_empty() {
            return CheckOutcome::Fail(findings);
        }
        if facts.object >= 500 || facts.list >= 500 {
            return CheckOutcome::Unknown(Missing::new(
                format!("the bucket answered a stranger with {} and {}", facts.object, facts.list),
                "look at the bucket's own state and verify again",
            ));
        }
        CheckOutcome::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_counts_once_something_was_there_to_refuse() {
        let written = || Some(Written { object: "a in b".into(), removed: true });
        let facts = |object, list| PrivateFacts { path: "/p".into(), written: written(), object, list };
        for (word, facts) in [
            ("pass", facts(403, 403)),
            ("pass", facts(404, 403)),
            ("fail", facts(200, 403)),
            ("fail", facts(403, 200)),
            ("unknown", facts(500, 403)),
            ("unknown", PrivateFacts { written: None, ..facts(403, 403) }),
        ] {
            assert_eq!(Private {}.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
