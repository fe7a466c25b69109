//! May a browser on our pages post to the bucket?

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::{ask, presign, small};
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::domain::text::tame;

/// `uploads.cors`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Cors {}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct CorsFacts {
    path: String,
    /// Where our pages come from.
    origin: String,
    /// The ticket's: POST for a form, PUT for a signed address.
    #[serde(default = "post")]
    method: String,
    /// None when there was no ticket to ask with.
    status: Option<u16>,
    /// `access-control-allow-origin` of the answer.
    allowed: Option<String>,
    /// `access-control-allow-methods`.
    methods: Option<String>,
    /// `access-control-allow-headers`.
    #[serde(default)]
    headers: Option<String>,
}

/// What facts of older runs mean.
fn post() -> String {
    "POST".to_owned()
}

impl Check for Cors {
    const ID: &'static str = "uploads.cors";
    const TITLE: &'static str = "browsers on the site's pages may post to the bucket";
    const ABOUT: &'static str = "Asks the bucket what a browser asks before it uploads from one of the site's pages: a preflight with the \
        page's origin and the ticket's method. Trap: curl and server-side tests upload well without any permission; only browsers ask for it.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &["https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html"];
    type Facts = CorsFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<CorsFacts, Missing> {
        let (probes, presign) = (ctx.probes, presign(ctx)?);
        let session = probes.sign_in().await?;
        let origin = probes.site.url.origin().ascii_serialization();
        let mut facts = CorsFacts { path: presign.path.clone(), origin: origin.clone(), ..CorsFacts::default() };
        let answer = ask(probes, &presign.path, Some(&session), small(presign)).await?;
        let Some(ticket) = small(presign).ticket(&answer) else { return Ok(facts) };
        let ask = probes.http.ask(Method::OPTIONS, Ok(ticket.url().clone())).bare().header("origin", origin);
        let mut ask = ask.header("access-control-request-method", ticket.method().as_str());
        // A browser asks for the type of what it puts, a form's type needs no permission.
        if ticket.method() == Method::PUT {
            ask = ask.header("access-control-request-headers", "content-type");
        }
        let preflight = ask.send_raw().await?;
        facts.headers = preflight.header("access-control-allow-headers").map(|value| tame(&value, 200));
        facts.status = Some(preflight.status);
        facts.method = ticket.method().to_string();
        facts.allowed = preflight.header("access-control-allow-origin").map(|value| tame(&value, 200));
        facts.methods = preflight.header("access-control-allow-methods").map(|value| tame(&value, 200));
        Ok(facts)
    }

    fn judge(&self, facts: &CorsFacts) -> CheckOutcome {
        let Some(status) = facts.status else {
            return CheckOutcome::Unknown(Missing::new(
                format!("{} gave no form, so the bucket's address is not known", facts.path),
                "mend what uploads.policy-bounded says first",
            ));
        };
        let (origin, method) = (&facts.origin, &facts.method);
        let todo = format!(
            "allow it in the bucket's CORS rules: AllowedOrigins [\"{origin}\"], AllowedMethods [\"{method}\"], AllowedHeaders [\"*\"]. See it: \
             curl -i -X OPTIONS -H 'Origin: {origin}' -H 'Access-Control-Request-Method: {method}' the ticket's address"
        );
        if status >= 500 {
            return CheckOutcome::Unknown(Missing::new(
                format!("the bucket answered a browser's question with {status}"),
                "look at the bucket's own state and verify again",
            ));
        }
        if !(200..300).contains(&status) || facts.allowed.is_none() {
            return CheckOutcome::fail(
                format!(
                    "browsers may not upload from {origin}: the bucket answers their question with {status} and no permission"
                ),
                todo,
            );
        }
        let allowed = facts.allowed.as_deref().unwrap_or_default();
        if allowed != "*" && allowed != origin {
            return CheckOutcome::fail(format!("the bucket allows uploads from {allowed}, not from {origin}"), todo);
        }
        let names_post = |methods: &str| {
            methods.split(',').map(str::trim).any(|word| word == "*" || word.eq_ignore_ascii_case(method))
        };
        if facts.methods.as_deref().is_some_and(|methods| !names_post(methods)) {
            let methods = facts.methods.as_deref().unwrap_or_default();
            return CheckOutcome::fail(format!("the bucket allows {methods} from {origin}, not {method}"), todo);
        }
        let type_allowed = facts.headers.as_deref().unwrap_or_default().split(',').map(str::trim);
        if method == "PUT" && !type_allowed.into_iter().any(|h| h == "*" || h.eq_ignore_ascii_case("content-type")) {
            return CheckOutcome::fail(
                format!("the bucket does not allow the header Content-Type from {origin}"),
                todo,
            );
        }
        CheckOutcome::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_permission_must_be_for_our_pages_and_for_post() {
        let facts = |status, allowed: Option<&str>, methods: Option<&str>| CorsFacts {
            path: "/p".into(),
            origin: "https://shop.test".into(),
            method: "POST".into(),
            status: Some(status),
            allowed: allowed.map(str::to_owned),
            methods: methods.map(str::to_owned),
            headers: Some("Content-Type".into()),
        };
        for (word, facts) in [
            ("pass", facts(200, Some("*"), None)),
            ("pass", facts(204, Some("https://shop.test"), Some("PUT, POST"))),
            ("fail", facts(403, None, None)),
            // Answered, and nothing allowed.
            ("fail", facts(200, None, None)),
            ("fail", facts(200, Some("https://other.test"), None)),
            ("fail", facts(200, Some("*"), Some("GET, HEAD"))),
            ("fail", CorsFacts { method: "PUT".into(), ..facts(200, Some("*"), Some("GET, POST")) }),
            ("pass", CorsFacts { method: "PUT".into(), ..facts(200, Some("*"), Some("GET, PUT")) }),
            ("fail", CorsFacts { method: "PUT".into(), headers: None, ..facts(200, Some("*"), Some("GET, PUT")) }),
            ("unknown", facts(503, None, None)),
            ("unknown", CorsFacts { status: None, ..facts(200, Some("*"), None) }),
        ] {
            assert_eq!(Cors {}.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
