//! `uploads.lifecycle`: old uploads move to a cheaper class, or go.

use serde::{Deserialize, Serialize};

use super::{ask, presign, small};
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::lifecycle::{Lifecycle as Bucket, Rule};
use crate::probes::object::{Keys, Object};

/// `uploads.lifecycle`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Lifecycle {}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    /// The object that a ticket would make: "uploads/7/ab.jpg in shop-media".
    object: String,
    bucket: Bucket,
}

impl Facts {
    fn key(&self) -> &str {
        self.object.split(" in ").next().unwrap_or_default()
    }
}

impl Check for Lifecycle {
    const ID: &'static str = "uploads.lifecycle";
    const TITLE: &'static str = "old uploads move to a cheaper class, or go";
    const ABOUT: &'static str = "Reads the bucket's own lifecycle rules with the keys of [services] and looks for one that is in force for the \
        very key that a ticket names. What the rule will do in a month cannot be seen today, so the bucket's word is the best there is. Traps: a \
        rule that is disabled, one with another prefix, one for tagged objects, one that only clears up unfinished uploads.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Api;
    const DOCS: &'static [&'static str] = &[
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lifecycle-mgmt.html",
        "https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLifecycleConfiguration.html",
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let (probes, presign) = (ctx.probes, presign(ctx)?);
        let keys = Keys::of(&probes.access).ok_or_else(|| {
            Missing::new(
                "the bucket's rules are told to its owner only",
                "name keys that may read them in rampup.toml: [services] bucket_access_env and bucket_secret_env, with the right \
                 s3:GetLifecycleConfiguration",
            )
        })?;
        let session = probes.sign_in().await?;
        let answer = ask(probes, &presign.path, Some(&session), small(presign)).await?;
        let ticket = small(presign).ticket(&answer).ok_or_else(|| {
            Missing::new(format!("{} gave no ticket", presign.path), "see uploads.policy-bounded first")
        })?;
        let object = Object::of(&ticket)?;
        Ok(Facts { object: object.name(), bucket: object.lifecycle(&probes.http, &keys).await? })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let todo = "put a rule on the bucket, enabled and with the prefix of your uploads: a transition to STANDARD_IA after 30 days, or an \
                    expiration; see what is there: aws s3api get-bucket-lifecycle-configuration --bucket NAME";
        match &facts.bucket {
            Bucket::Refused(status, word) => CheckOutcome::Unknown(Missing::new(
                format!("the bucket did not tell its rules: {status} {word}"),
                "give the keys of [services] the right s3:GetLifecycleConfiguration",
            )),
            Bucket::Rules(rules) if rules.iter().any(|rule| rule.covers(facts.key())) => CheckOutcome::weak(
                format!(
                    "a rule of the bucket covers {}; what it does is seen when objects are old enough",
                    facts.object
                ),
                "nothing to do",
            ),
            Bucket::Rules(rules) if rules.is_empty() => CheckOutcome::fail(
                format!("the bucket of {} has no lifecycle rule: uploads stay for ever", facts.object),
                todo,
            ),
            Bucket::Rules(rules) => CheckOutcome::fail(
                format!(
                    "no rule of the bucket is about {}: {}",
                    facts.object,
                    rules.iter().map(told).collect::<Vec<_>>().join(", ")
                ),
                todo,
            ),
        }
    }
}

/// One rule in a few words: why it does not count.
fn told(rule: &Rule) -> String {
    let prefix = if rule.prefix.is_empty() { "all keys".to_owned() } else { format!("prefix {:?}", rule.prefix) };
    let but = match (rule.enabled, rule.narrowed, rule.moves || rule.deletes) {
        (false, ..) => " (disabled)",
        (true, true, _) => " (for some tags or sizes only)",
        (true, false, false) => " (only clears up unfinished uploads or old versions)",
        (true, false, true) => "",
    };
    format!("one is for {prefix}{but}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifecycle_traps() {
        let judge =
            |bucket| Lifecycle::default().judge(&Facts { object: "uploads/7/a.jpg in shop-media".to_owned(), bucket });
        let good = Rule { enabled: true, prefix: "uploads/".to_owned(), moves: true, ..Rule::default() };
        assert_eq!(judge(Bucket::Rules(vec![good.clone()])).word(), "weak");
        assert_eq!(judge(Bucket::Rules(vec![Rule { prefix: String::new(), ..good.clone() }])).word(), "weak");
        for (said, rule) in [
            ("disabled", Rule { enabled: false, ..good.clone() }),
            ("\"photos/\"", Rule { prefix: "photos/".to_owned(), ..good.clone() }),
            ("tags", Rule { narrowed: true, ..good.clone() }),
            ("unfinished", Rule { moves: false, ..good }),
        ] {
            let outcome = judge(Bucket::Rules(vec![rule]));
            assert!(outcome.word() == "fail" && outcome.seen().contains(said), "{}", outcome.seen());
        }
        assert_eq!(judge(Bucket::Rules(Vec::new())).word(), "fail");
        assert_eq!(judge(Bucket::Refused(403, "AccessDenied".to_owned())).word(), "unknown");
    }
}
