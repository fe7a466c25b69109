//! Does an error that we cause arrive in Sentry?

use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::sentry::Occurrence;
use crate::probes::{ProbeError, Probes};

use super::{Patience, WAIT, list, traced};

/// More form fields than Django takes unless told otherwise (`DATA_UPLOAD_MAX_NUMBER_FIELDS`, 1000).
const FIELDS: u32 = 1_100;
/// How long the form alone is given where the site has a page that fails on purpose.
const FORM_ALONE: Duration = Duration::from_secs(5);

/// `sentry.error-roundtrip`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ErrorRoundtrip {
    /// Longest wait for the error to show up, seconds.
    wait_seconds: u64,
}

impl Default for ErrorRoundtrip {
    fn default() -> Self {
        Self { wait_seconds: WAIT }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    project: String,
    form: Provoked,
    /// The site's own page that fails on purpose; only asked when the form's error did not come.
    page: Option<Provoked>,
    /// Errors of our trace.
    errors: u64,
    /// Those that could be found.
    found: Vec<Occurrence>,
    waited_seconds: f64,
}

/// A request that the app must stumble over.
#[derive(Debug, Serialize, Deserialize)]
struct Provoked {
    path: String,
    status: u16,
}

impl Check for ErrorRoundtrip {
    const ID: &'static str = "sentry.error-roundtrip";
    const TITLE: &'static str = "an error that we cause in the app arrives in its Sentry project";
    const ABOUT: &'static str = "Only with [site.sentry] send_error = true, for it leaves one event in Sentry: sends a form with 1,100 \
        fields, which Django refuses with 400 and logs as an error before any view runs, under a trace id of our own, and asks Sentry \
        for that error. Where the site has a page that fails on purpose (error_path), that is asked too when the form's error does \
        not come. Trap: an app that sends exceptions but no log records is healthy, so the form alone proves no fault.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &[
        "https://docs.sentry.io/platforms/python/integrations/django/",
        "https://docs.djangoproject.com/en/5.2/ref/settings/#data-upload-max-number-fields",
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        let sentry = probes.sentry_site()?;
        if !sentry.send_error {
            return Err(Missing::new(
                "whether errors arrive is only seen when one happens, and you have not agreed to one",
                "allow one harmless error per verification in rampup.toml: [site.sentry] send_error = true (it shows up in Sentry as \
                 TooManyFieldsSent; archive it there)",
            ));
        }
        let trace = probes.nonce();
        // Asked first, so that a missing token is found before anything is sent.
        probes.sentry_trace(&trace).await?;
        let form = oversized_form(probes, &trace).await?;
        let (longest, own) = (Duration::from_secs(self.wait_seconds), sentry.error_path.as_ref());
        let mut patience = Patience::new(if own.is_some() { longest.min(FORM_ALONE) } else { longest });
        let mut errors = arrived(probes, &trace, &mut patience).await?;
        let (mut waited_seconds, mut page) = (patience.waited(), None);
        if let Some(path) = own.filter(|_| errors == 0) {
            let ask = probes.http.get_origin(path).nonce(&trace);
            let answer = traced(ask, &trace, &probes.nonce()).send().await?;
            page = Some(Provoked { path: path.clone(), status: answer.status });
            let mut patience = Patience::new(longest);
            errors = arrived(probes, &trace, &mut patience).await?;
            waited_seconds += patience.waited();
        }
        let found = if errors > 0 { probes.sentry_errors(&trace).await? } else { Vec::new() };
        Ok(Facts { project: sentry.project.clone(), form, page, errors, found, waited_seconds })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let Facts { project, form, page, errors, found, waited_seconds } = facts;
        let elsewhere: Vec<String> = found.iter().map(|error| error.project.clone()).collect();
        if *errors > 0 && !elsewhere.is_empty() && !elsewhere.contains(project) {
            return CheckOutcome::fail(
                format!("our error arrived in project {} instead of {project:?}", list(&elsewhere)),
                format!("copy the DSN from the keys of project {project:?}, or correct [site.sentry] project"),
            );
        }
        if *errors > 0 {
            return CheckOutcome::Pass;
        }
        match page {
            Some(page) if page.status >= 500 => CheckOutcome::fail(
                format!(
                    "{} failed as it should ({}), and Sentry received no error within {waited_seconds:.0} s",
                    page.path, page.status
                ),
                "look in sentry_sdk.init for what drops errors: before_send that returns None, sample_rate (that is for errors; \
                 traces_sample_rate is for traces), ignore_errors, a missing DjangoIntegration; and see sentry.not-dropped for the quota",
            ),
            Some(page) => CheckOutcome::Unknown(Missing::new(
                format!("{} answers {}, so no error happened there", page.path, page.status),
                "name a page that raises an exception in rampup.toml: [site.sentry] error_path = \"/sentry-debug/\"",
            )),
            None => {
                let what = if form.status == 400 {
                    format!(
                        "Django refused our form at {} (400), and Sentry received no error within {waited_seconds:.0} s: either errors do \
                         not arrive, or only log records are not sent",
                        form.path
                    )
                } else {
                    format!(
                        "{} answers {} to our form of {FIELDS} fields, so no error happened",
                        form.path, form.status
                    )
                };
                CheckOutcome::Unknown(Missing::new(
                    what,
                    "let a page of yours raise an exception, as Sentry's own guide does (def sentry_debug(request): 1 / 0), and name it in \
                     rampup.toml: [site.sentry] error_path = \"/sentry-debug/\"",
                ))
            }
        }
    }
}

/// Sends more fields than Django takes, with what its CSRF check wants to see before it reads the form.
async fn oversized_form(probes: &Probes, trace: &str) -> Result<Provoked, ProbeError> {
    let site = &probes.site;
    let path = site.account.as_ref().map(|account| &account.login).or_else(|| site.public_pages.first());
    let path = path.unwrap_or(&site.health);
    let base = site.origin.as_ref().unwrap_or(&site.url);
    let url = base.join(path).map_err(|e| ProbeError::odd("the site", e))?;
    // No Origin header: behind TLS that ends before the app it would name another scheme than the app sees.
    let ask = probes
        .http
        .ask(Method::POST, Ok(url.clone()))
        .nonce(trace)
        .header("referer", url.as_str())
        .header("cookie", format!("csrftoken={trace}"))
        .form((0..FIELDS).map(|number| (format!("rampup{number}"), String::new())).collect());
    let answer = traced(ask, trace, &probes.nonce()).send().await?;
    Ok(Provoked { path: path.clone(), status: answer.status })
}

/// Errors of the trace, as soon as there are any or patience ends.
async fn arrived(probes: &Probes, trace: &str, patience: &mut Patience) -> Result<u64, ProbeError> {
    let mut errors = probes.sentry_trace(trace).await?.errors;
    while errors == 0 && patience.pause().await {
        errors = probes.sentry_trace(trace).await?.errors;
    }
    Ok(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(form: u16, page: Option<u16>, errors: u64, project: Option<&str>) -> Facts {
        let occurrence = |project: &str| Occurrence { title: "E".to_owned(), project: project.to_owned() };
        Facts {
            project: "shop".to_owned(),
            form: Provoked { path: "/login/".to_owned(), status: form },
            page: page.map(|status| Provoked { path: "/sentry-debug/".to_owned(), status }),
            errors,
            found: project.map(occurrence).into_iter().collect(),
            waited_seconds: 30.0,
        }
    }

    #[test]
    fn error_traps() {
        let check = ErrorRoundtrip::default();
        for (case, word, facts) in [
            ("the form's error arrives", "pass", facts(400, None, 1, Some("shop"))),
            ("counted, but not yet listed", "pass", facts(400, None, 1, None)),
            ("log records are not sent, exceptions are", "pass", facts(400, Some(500), 1, Some("shop"))),
            ("CSRF_USE_SESSIONS: no form error, but exceptions", "pass", facts(403, Some(500), 1, Some("shop"))),
            ("it arrives in staging", "fail", facts(400, None, 1, Some("staging"))),
            ("an exception does not arrive", "fail", facts(400, Some(500), 0, None)),
            ("the form alone proves no fault", "unknown", facts(400, None, 0, None)),
            ("another cookie name, or a firewall", "unknown", facts(403, None, 0, None)),
            ("forms need no token", "unknown", facts(200, None, 0, None)),
            ("the page that should fail is not there", "unknown", facts(400, Some(404), 0, None)),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{case}");
        }
    }
}
