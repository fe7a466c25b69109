//! Uploads straight to the bucket: what the form allows, and what the bucket really refuses.

mod cors;
mod lifecycle;
mod private;
mod quick;
mod skip_web;
mod tickets;

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::site::Presign;
use crate::probes::object::{Keys, Object};
use crate::probes::s3::{Policy, Uploaded};
use crate::probes::{ProbeError, Probes};

use super::{Check, Context, Entry};
use tickets::{Wanted, ask};

/// The checks of this group.
pub const CHECKS: &[Entry] = &[
    Entry::of::<PolicyBounded>(),
    Entry::of::<OversizeRefused>(),
    Entry::of::<private::Private>(),
    Entry::of::<cors::Cors>(),
    Entry::of::<quick::TicketQuick>(),
    Entry::of::<lifecycle::Lifecycle>(),
    Entry::of::<skip_web::SkipWeb>(),
];

/// The largest body we are willing to send for a test.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// The length of a good file.
const SMALL: usize = 1024;

const DOCS: &[&str] = &[
    "https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html",
    "https://boto3.amazonaws.com/v1/documentation/api/latest/guide/s3-presigned-urls.html",
];

fn presign<'a>(ctx: &Context<'a>) -> Result<&'a Presign, Missing> {
    ctx.probes.site.presign.as_ref().ok_or_else(|| {
        Missing::new(
            "the endpoint that hands out upload forms is not known",
            "name it in rampup.toml: [site.presign] path, max_bytes and content_type",
        )
    })
}

/// A small file as the app means to allow it.
fn small(presign: &Presign) -> Wanted<'_> {
    Wanted { bytes: SMALL, content_type: &presign.content_type, insist: false }
}

/// An object that a check has written, and whether it is gone again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    object: String,
    removed: bool,
}

impl Written {
    /// Removes what was written, when the keys for that are known.
    async fn tidy(probes: &Probes, object: &Object) -> Result<Self, ProbeError> {
        let removed = match Keys::of(&probes.access) {
            // Whatever went wrong, the evidence names it.
            Some(keys) => object.remove(&probes.http, &keys).await.unwrap_or(false),
            None => false,
        };
        Ok(Self { object: object.name(), removed })
    }
}

/// `uploads.policy-bounded`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PolicyBounded {
    /// How long a form may be valid, seconds.
    valid_seconds: i64,
}

impl Default for PolicyBounded {
    fn default() -> Self {
        Self { valid_seconds: 900 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct PolicyFacts {
    path: String,
    max_bytes: u64,
    content_type: String,
    /// What a stranger got.
    anonymous_status: u16,
    anonymous_got_form: bool,
    /// A stranger was refused and had no form token: perhaps only for that.
    #[serde(default)]
    anonymous_without_token: bool,
    /// What the test user got.
    status: u16,
    policy: Option<Policy>,
}

impl Check for PolicyBounded {
    const ID: &'static str = "uploads.policy-bounded";
    const TITLE: &'static str = "upload forms are for signed-in users and bound size, type, place and time";
    const ABOUT: &'static str = "Asks for a presigned form as a stranger (must get none) and as the test user, and decodes its policy: at most \
        15 minutes, a fixed key or a prefix, a fixed content type, a size range within your limit, no public ACL. Traps: a policy with \
        a content type only (any size goes in, up to 5 GB), a redirect to the login page (that is a refusal), a form valid for days. A presigned \
        PUT is as good where length and type are among the signed headers.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = DOCS;
    type Facts = PolicyFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<PolicyFacts, Missing> {
        let (probes, presign) = (ctx.probes, presign(ctx)?);
        let session = probes.sign_in().await?;
        let wanted = small(presign);
        // With a form token, so that a refusal is about who asks and not about a token.
        let stranger = probes.http.visit(probes.site.account.as_ref().map_or("/", |a| a.login.as_str())).await?;
        let anonymous = ask(probes, &presign.path, Some(&stranger), wanted).await?;
        let answer = ask(probes, &presign.path, Some(&session), wanted).await?;
        let policy = match wanted.ticket(&answer) {
            Some(ticket) => Some(ticket.policy(jiff::Timestamp::now())?),
            None => None,
        };
        Ok(PolicyFacts {
            path: presign.path.clone(),
            max_bytes: presign.max_bytes,
            content_type: presign.content_type.clone(),
            anonymous_status: anonymous.answer.status,
            anonymous_without_token: anonymous.by_post && anonymous.answer.status == 403 && stranger.csrf().is_none(),
            anonymous_got_form: wanted.ticket(&anonymous).is_some(),
            status: answer.answer.status,
            policy,
        })
    }

    fn judge(&self, facts: &PolicyFacts) -> CheckOutcome {
        let path = &facts.path;
        let Some(policy) = &facts.policy else {
            if matches!(facts.status, 400 | 403 | 415 | 422) {
                return CheckOutcome::Unknown(Missing::new(
                    format!(
                        "{path} answers the test user {}: perhaps it wants to be asked in another way",
                        facts.status
                    ),
                    "let it answer GET, or POST (form or JSON) with filename, content_type and size, or waive this check",
                ));
            }
            return CheckOutcome::fail(
                format!("{path} gives the test user no presigned form (status {})", facts.status),
                format!(
                    "add a view at {path} that answers signed-in users with boto3's generate_presigned_post: JSON with url and fields"
                ),
            );
        };
        let mut findings = Vec::new();
        let mut wrong = |seen: String, todo: String| findings.push(Finding { seen, todo });
        if facts.anonymous_got_form {
            wrong(
                format!("{path} hands a form to anybody"),
                format!("put login_required (or IsAuthenticated) on {path}"),
            );
        }
        if policy.valid_seconds > self.valid_seconds {
            wrong(
                format!("a form is valid for {} s", policy.valid_seconds),
                format!("pass ExpiresIn={} or less to generate_presigned_post", self.valid_seconds),
            );
        }
        if !policy.key_fixed && policy.key_prefix.as_deref().is_none_or(str::is_empty) {
            wrong(
                "the policy lets the uploader choose any key".to_owned(),
                "fix the key in the view, like uploads/<user id>/<uuid>.jpg, or add [\"starts-with\", \"$key\", \"uploads/<user id>/\"]".to_owned(),
            );
        }
        let pinned = policy.content_type.as_deref() == Some(facts.content_type.as_str());
        let family =
            policy.content_type_prefix.as_deref().is_some_and(|p| p.contains('/') && facts.content_type.starts_with(p));
        if !pinned && !family {
            wrong(
                "the policy does not pin the content type".to_owned(),
                if policy.put {
                    format!("pass ContentType={:?} in Params of generate_presigned_url", facts.content_type)
                } else {
                    format!(
                        "pass Fields={{\"Content-Type\": {0:?}}} and Conditions=[{{\"Content-Type\": {0:?}}}, ...]",
                        facts.content_type
                    )
                },
            );
        }
        match policy.length {
            Some((_, most)) if most <= facts.max_bytes => {}
            Some((_, most)) => wrong(
                format!("the policy allows {most} bytes, you mean {}", facts.max_bytes),
                format!("set [\"content-length-range\", 1, {}]", facts.max_bytes),
            ),
            None if policy.put => wrong(
                "the signed address does not bind the length: up to 5 GB go in".to_owned(),
                format!(
                    "let the browser say the size, refuse more than {} in the view, and pass ContentLength=size in Params of \
                     generate_presigned_url; or hand out forms (generate_presigned_post), which can bound it by a range",
                    facts.max_bytes
                ),
            ),
            None => wrong(
                "the policy has no size limit: up to 5 GB go in".to_owned(),
                format!("add [\"content-length-range\", 1, {}] to Conditions", facts.max_bytes),
            ),
        }
        if policy.public_acl {
            wrong("the policy makes uploads public".to_owned(), "remove acl from Fields and Conditions".to_owned());
        }
        if !findings.is_empty() {
            return CheckOutcome::Fail(findings);
        }
        if facts.anonymous_without_token {
            return CheckOutcome::Unknown(Missing::new(
                format!("a stranger was refused at {path}, perhaps only for want of a form token"),
                "name a login page that sets the csrftoken cookie in rampup.toml: [site.account] login",
            ));
        }
        CheckOutcome::Pass
    }
}

/// `uploads.oversize-refused`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OversizeRefused {}

#[derive(Debug, Serialize, Deserialize)]
struct OversizeFacts {
    path: String,
    max_bytes: u64,
    /// The form leads to the app itself.
    through_app: bool,
    /// A good file of 1 KiB, one a byte too large, one of another type; none when there was no form.
    good: Option<Uploaded>,
    oversize: Option<Uploaded>,
    wrong_type: Option<Uploaded>,
    /// What went in.
    #[serde(default)]
    written: Vec<Written>,
}

impl Check for OversizeRefused {
    const ID: &'static str = "uploads.oversize-refused";
    const TITLE: &'static str = "the bucket takes a good file and refuses a too large one and a wrong type";
    const ABOUT: &'static str = "Uploads a good file of 1 KiB through a form of the test user, then one a byte over your limit and one of \
        type text/html: the first must go in, the others must be refused by the bucket itself. The good one shows that the refusals \
        are not just a broken path. What goes in is removed again when keys are named in [services]; otherwise the evidence names it. Traps: limits that \
        only the script in the browser knows, a form that leads back to the app, a stand-in that refuses nothing.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = DOCS;
    type Facts = OversizeFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<OversizeFacts, Missing> {
        let (probes, presign) = (ctx.probes, presign(ctx)?);
        if presign.max_bytes >= MOST_BYTES {
            return Err(Missing::new(
                format!("a test of {} bytes would be too large", presign.max_bytes),
                "lower [site.presign] max_bytes under 64 MB, or waive this check",
            ));
        }
        let session = probes.sign_in().await?;
        let mut facts = OversizeFacts {
            path: presign.path.clone(),
            max_bytes: presign.max_bytes,
            through_app: false,
            good: None,
            oversize: None,
            wrong_type: None,
            written: Vec::new(),
        };
        let over = usize::try_from(presign.max_bytes + 1).unwrap_or(usize::MAX);
        let good = small(presign);
        let wrong = Wanted { insist: true, ..good };
        for file in [good, Wanted { bytes: over, ..wrong }, Wanted { content_type: "text/html", ..wrong }] {
            // A ticket for this very file; where the view refuses that, one for a good file, used for this one.
            let mut ticket = good.ticket(&ask(probes, &presign.path, Some(&session), file).await?);
            if ticket.is_none() {
                ticket = good.ticket(&ask(probes, &presign.path, Some(&session), good).await?);
            }
            let Some(ticket) = ticket else { return Ok(facts) };
            let app = [Some(&probes.site.url), probes.site.origin.as_ref()];
            facts.through_app |= app.into_iter().flatten().any(|site| site.origin() == ticket.url().origin());
            let wrong_type = (file.content_type != good.content_type).then_some(file.content_type);
            if facts.through_app {
                return Ok(facts);
            }
            // Known before anything is written, so that it can be removed or named.
            let object = Object::of(&ticket)?;
            let uploaded = ticket.upload(&probes.http, file.bytes, wrong_type).await?;
            if taken(&uploaded) {
                facts.written.push(Written::tidy(probes, &object).await?);
            }
            let uploaded = Some(uploaded);
            match (file.bytes == over, wrong_type) {
                (true, _) => facts.oversize = uploaded,
                (_, Some(_)) => facts.wrong_type = uploaded,
                (_, None) => facts.good = uploaded,
            }
        }
        Ok(facts)
    }

    fn judge(&self, facts: &OversizeFacts) -> CheckOutcome {
        let path = &facts.path;
        if facts.through_app {
            return CheckOutcome::fail(
                format!("the form of {path} leads back to the app, so every upload occupies one of its threads"),
                "hand out a form for the bucket's own address",
            );
        }
        let (Some(good), Some(oversize), Some(wrong_type)) = (&facts.good, &facts.oversize, &facts.wrong_type) else {
            return CheckOutcome::fail(
                format!("{path} gave the test user no presigned form to upload with"),
                format!(
                    "add a view at {path} that answers signed-in users with boto3's generate_presigned_post (see uploads.policy-bounded)"
                ),
            );
        };
        if !taken(good) {
            return CheckOutcome::fail(
                format!("the bucket refused a good file of 1 KiB: {}", said(good)),
                "give the app's key the right s3:PutObject below the upload prefix, and send every field of the form before the file",
            );
        }
        let mut findings = Vec::new();
        for (what, uploaded, todo) in [
            (
                format!("a file of {} bytes", facts.max_bytes + 1),
                oversize,
                format!(
                    "add [\"content-length-range\", 1, {}] to Conditions of generate_presigned_post",
                    facts.max_bytes
                ),
            ),
            (
                "a file declared as text/html".to_owned(),
                wrong_type,
                "add {\"Content-Type\": ...} to Fields and Conditions: else anyone can host pages under your name"
                    .to_owned(),
            ),
        ] {
            if taken(uploaded) {
                findings.push(Finding { seen: format!("the bucket took {what}"), todo });
            } else if !(400..500).contains(&uploaded.status) {
                return CheckOutcome::Unknown(Missing::new(
                    format!("the bucket neither took nor refused {what}: {}", said(uploaded)),
                    "look at the bucket's own state and verify again",
                ));
            }
        }
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

fn taken(uploaded: &Uploaded) -> bool {
    matches!(uploaded.status, 200 | 201 | 204 | 303)
}

fn said(uploaded: &Uploaded) -> String {
    format!("status {} {}", uploaded.status, uploaded.code.as_deref().unwrap_or("without a code"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy {
            valid_seconds: 60,
            key_fixed: true,
            content_type: Some("image/jpeg".to_owned()),
            length: Some((1, 5_242_880)),
            ..Policy::default()
        }
    }

    fn facts(policy: Option<Policy>) -> PolicyFacts {
        PolicyFacts {
            path: "/api/uploads/presign".to_owned(),
            max_bytes: 5_242_880,
            content_type: "image/jpeg".to_owned(),
            anonymous_status: 401,
            anonymous_got_form: false,
            anonymous_without_token: false,
            status: 200,
            policy,
        }
    }

    #[test]
    fn policy_traps() {
        let check = PolicyBounded::default();
        for (word, policy) in [
            ("pass", Some(policy())),
            ("pass", Some(Policy { key_fixed: false, key_prefix: Some("uploads/7/".to_owned()), ..policy() })),
            ("pass", Some(Policy { content_type: None, content_type_prefix: Some("image/".to_owned()), ..policy() })),
            ("fail", None),
            // The guide's own snippet.
            ("fail", Some(Policy { length: None, ..policy() })),
            ("fail", Some(Policy { length: Some((1, 5_242_881)), ..policy() })),
            ("fail", Some(Policy { content_type: None, ..policy() })),
            ("fail", Some(Policy { content_type: Some("text/html".to_owned()), ..policy() })),
            ("fail", Some(Policy { content_type: None, content_type_prefix: Some(String::new()), ..policy() })),
            ("fail", Some(Policy { valid_seconds: 604_800, ..policy() })),
            ("fail", Some(Policy { key_fixed: false, ..policy() })),
            ("fail", Some(Policy { key_fixed: false, key_prefix: Some(String::new()), ..policy() })),
            ("fail", Some(Policy { public_acl: true, ..policy() })),
            ("pass", Some(Policy { put: true, length: Some((1024, 1024)), ..policy() })),
            ("fail", Some(Policy { put: true, length: None, ..policy() })),
            ("fail", Some(Policy { put: true, length: Some((1024, 1024)), content_type: None, ..policy() })),
        ] {
            assert_eq!(check.judge(&facts(policy.clone())).word(), word, "{policy:?}");
        }
        let open = PolicyFacts { anonymous_got_form: true, anonymous_status: 200, ..facts(Some(policy())) };
        assert_eq!(check.judge(&open).word(), "fail");
        // It may want to be asked in a way that we do not know.
        assert_eq!(check.judge(&PolicyFacts { status: 415, ..facts(None) }).word(), "unknown");
        assert_eq!(check.judge(&PolicyFacts { status: 404, ..facts(None) }).word(), "fail");
        // Refused by Django's token check, before the view was asked who it is.
        let untold = PolicyFacts { anonymous_status: 403, anonymous_without_token: true, ..facts(Some(policy())) };
        assert_eq!(check.judge(&untold).word(), "unknown");
        assert_eq!(check.judge(&PolicyFacts { anonymous_without_token: false, ..untold }).word(), "pass");
        // A redirect to the login page is a refusal.
        let login = PolicyFacts { anonymous_status: 302, ..facts(Some(policy())) };
        assert_eq!(check.judge(&login).word(), "pass");
    }

    #[test]
    fn oversize_traps() {
        let check = OversizeRefused::default();
        let one = |status| Some(Uploaded { status, code: None });
        let facts = |good, oversize, wrong_type| OversizeFacts {
            path: "/presign".to_owned(),
            max_bytes: 100,
            through_app: false,
            good,
            oversize,
            wrong_type,
            written: Vec::new(),
        };
        for (word, facts) in [
            ("pass", facts(one(204), one(400), one(403))),
            ("pass", facts(one(303), one(413), one(403))),
            ("fail", facts(one(204), one(204), one(403))),
            ("fail", facts(one(204), one(400), one(204))),
            // Everything refused: a broken path looks like a strict one.
            ("fail", facts(one(403), one(403), one(403))),
            ("fail", facts(None, None, None)),
            ("fail", OversizeFacts { through_app: true, ..facts(one(204), one(400), one(403)) }),
            ("unknown", facts(one(204), one(500), one(403))),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
