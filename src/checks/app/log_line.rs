//! Is what the app writes found where its platform collects it?

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::checks::clouds::{Api, on_this_machine};
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::railway::Wanted;
use crate::probes::{ProbeError, Probes};

/// Between two looks into the log.
const PAUSE: Duration = Duration::from_millis(1500);

/// `app.log-line`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LogLine {
    /// How long a line may take to its place, seconds; never more than 60.
    within_seconds: u64,
}

impl Default for LogLine {
    fn default() -> Self {
        Self { within_seconds: 12 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    /// The address that nobody has, and what the app answered there; none when it was not asked.
    asked: Option<(String, u16)>,
    /// It is of this machine, where no router of Railway's marks an answer.
    practice: bool,
    api: Api<Found>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Found {
    /// Lines of the app's own about this request.
    lines: usize,
    /// Whether the router's line about it was there in the end; none where the answer bore no id of the router's.
    router: Option<bool>,
    /// How long the log was watched.
    seconds: f64,
}

impl LogLine {
    /// Watches the log of the deployment that runs for a line that holds the word.
    async fn find(&self, probes: &Probes, word: &str, request: Option<&str>) -> Result<Found, ProbeError> {
        let railway = probes.railway().await?;
        let deployment = railway.deployed().await?;
        let (began, limit) = (Instant::now(), Duration::from_secs(self.within_seconds.min(60)));
        let lines = loop {
            let lines = railway.app_lines(&deployment.id, word).await?.len();
            if lines > 0 || began.elapsed() >= limit {
                break lines;
            }
            tokio::time::sleep(PAUSE).await;
        };
        let router = match request {
            Some(id) if lines == 0 => Some(!railway.http_lines(&deployment.id, Wanted::Id(id)).await?.is_empty()),
            _ => None,
        };
        Ok(Found { lines, router, seconds: began.elapsed().as_secs_f64() })
    }
}

impl Check for LogLine {
    const ID: &'static str = "app.log-line";
    const TITLE: &'static str = "what the app writes is found in its platform's log";
    const ABOUT: &'static str = "Asks the app for an address that nobody has, with a word of our own in it, and looks for a line of the app's that \
        holds the word in Railway's log of the deployment that runs. Traps: the router's own line about the request, which is there \
        whatever the app does (it only tells whether the log is late); an app that logs into a file of its container; an old \
        deployment's log. Needs [site.railway].";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &[
        "https://docs.railway.com/guides/logs",
        "https://docs.djangoproject.com/en/5.2/topics/logging/#configuring-logging",
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        if probes.site.railway.is_none() {
            return Ok(Facts { asked: None, practice: false, api: Api::NotNamed });
        }
        let word = probes.nonce()[..12].to_owned();
        let health = probes.site.health.split('?').next().unwrap_or_default();
        let nobody = format!("{}-{word}", health.trim_end_matches('/'));
        let answer = probes.http.get_origin(&nobody).send().await?;
        let request = answer.trail().platform;
        let api = Api::ask(true, self.find(probes, &word, request.as_deref())).await;
        Ok(Facts { asked: Some((nobody, answer.status)), practice: on_this_machine(&answer.url), api })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let seen = match &facts.asked {
            Some((path, status)) => format!("the app answered {status} at {path}"),
            None => "that the app answers".to_owned(),
        };
        match facts.api.said("railway", &seen) {
            Err(other) => other,
            Ok(found) if found.lines > 0 => CheckOutcome::Pass,
            Ok(Found { router: Some(false), seconds, .. }) => CheckOutcome::Unknown(Missing::new(
                format!(
                    "{seen}, and after {seconds:.0} s Railway's log holds not even its router's line: the log is late"
                ),
                "verify again in a minute",
            )),
            Ok(Found { router: None, .. }) if !facts.practice => CheckOutcome::Unknown(Missing::new(
                format!("{seen}, but the answer bears no mark of Railway's router: it may have come from elsewhere"),
                "name the app's own address at Railway in rampup.toml: [site] origin = \"https://….up.railway.app\"",
            )),
            Ok(found) => CheckOutcome::fail(
                format!("{seen}, and wrote nothing about it into Railway's log within {:.0} s", found.seconds),
                "log to the standard output: a logging.StreamHandler at the root of LOGGING, level INFO (Django then tells each \
                 \"Not Found\"), and --access-logfile - for gunicorn; see it: railway logs | grep 'Not Found'",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_of_the_apps_own_counts() {
        let found = |lines, router| Api::Said(Found { lines, router, seconds: 12.0 });
        for (word, practice, api) in [
            ("pass", false, found(1, None)),
            // The router's line is there whatever the app does.
            ("fail", false, found(0, Some(true))),
            ("unknown", false, found(0, Some(false))),
            // Nobody knows whose answer it was; on this machine there is no router.
            ("unknown", false, found(0, None)),
            ("fail", true, found(0, None)),
            ("unknown", false, Api::Silent(Missing::new("Railway's API did not answer", "a token"))),
            ("n/a", false, Api::NotNamed),
        ] {
            let facts = Facts { asked: Some(("/healthz-1".to_owned(), 404)), practice, api };
            assert_eq!(LogLine::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
