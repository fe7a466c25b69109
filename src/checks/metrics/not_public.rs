//! May strangers read the metrics?

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::http::Ask;

/// Who a stranger may say that they are. Ours is among them as the first.
const STRANGERS: [(&str, Option<&str>); 4] = [
    ("rampup", None),
    ("a browser", Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")),
    ("curl", Some("curl/8.14.1")),
    ("Prometheus", Some("Prometheus/3.5.0")),
];

/// `metrics.not-public`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NotPublic {}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    address: String,
    looks: Vec<Look>,
    /// Lines of metrics that rampup itself is shown, by its key or at the app's own address.
    ours: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Look {
    stranger: String,
    status: u16,
    /// Lines of metrics in the answer.
    samples: usize,
    challenged: bool,
}

impl Check for NotPublic {
    const ID: &'static str = "metrics.not-public";
    const TITLE: &'static str = "the metrics are not for everybody's eyes";
    const ABOUT: &'static str = "Asks for the metrics through the front door without any key, as rampup, as a browser, as curl and as \
        Prometheus: none of them may see samples. Trap: a rule against bots stops the first asker and lets the next name through, \
        and a challenge protects only until somebody solves it.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &["https://prometheus.io/docs/operating/security/"];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        let path = probes.metrics_path()?;
        let mut looks = Vec::new();
        for (stranger, name) in STRANGERS {
            let mut answer = called(probes.http.get(path).nonce(&probes.nonce()), name).send_raw().await?;
            // Who reads /metrics/ is not stopped by a redirect from /metrics.
            if let Some(page) = answer.slashed() {
                answer = called(probes.http.ask(reqwest::Method::GET, Ok(page)), name).send_raw().await?;
            }
            let samples = if answer.status == 200 { samples(&answer.text()) } else { 0 };
            let challenged = answer.challenged();
            looks.push(Look { stranger: stranger.to_owned(), status: answer.status, samples, challenged });
        }
        let address = probes.http.base().join(path).map_or_else(|_| path.to_owned(), |url| url.to_string());
        let ours =
            probes.scrape().await.map_or(0, |scrape| if scrape.status == 200 { samples(&scrape.text) } else { 0 });
        Ok(Facts { address, looks, ours })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let address = &facts.address;
        let todo = format!(
            "let the metrics view want a key (compare the Authorization header with one from the environment, name it for rampup in \
             [site] metrics_auth_env), or serve it on the private network alone; a bot rule is no lock; see it with: curl -s {address} | head"
        );
        if let Some(open) = facts.looks.iter().find(|look| look.samples > 0) {
            let stopped: Vec<&str> =
                facts.looks.iter().filter(|look| look.samples == 0).map(|look| look.stranger.as_str()).collect();
            let but = if stopped.is_empty() {
                String::new()
            } else {
                format!(" (a rule stops {}, by name only)", stopped.join(", "))
            };
            return CheckOutcome::fail(
                format!(
                    "{address} shows {} samples to a stranger who says to be {}{but}: your views, traffic and errors",
                    open.samples, open.stranger
                ),
                todo,
            );
        }
        if facts.looks.iter().any(|look| look.challenged) {
            return CheckOutcome::weak(format!("only a challenge of the edge stands before {address}"), todo);
        }
        match facts.looks.iter().map(|look| look.status).find(|status| *status >= 500 || *status == 429) {
            Some(status) => CheckOutcome::Unknown(Missing::new(
                format!("{address} answers {status}, which is neither yes nor no"),
                "verify again when the app is well",
            )),
            None if facts.looks.is_empty() => {
                CheckOutcome::Unknown(Missing::new(format!("{address} was not asked"), "verify again"))
            }
            None if facts.ours == 0 => CheckOutcome::Unknown(Missing::new(
                format!("there are no metrics to hide: {address} shows none to rampup either"),
                "let the metrics answer first: see metrics.count-requests",
            )),
            None => CheckOutcome::Pass,
        }
    }
}

/// The question, asked as somebody of this name.
fn called<'a>(ask: Ask<'a>, name: Option<&str>) -> Ask<'a> {
    match name {
        Some(name) => ask.header("user-agent", name).fresh(),
        None => ask.fresh(),
    }
}

/// Lines that are samples, in a text that describes itself as Prometheus' format does.
fn samples(text: &str) -> usize {
    let described = text.lines().any(|line| line.starts_with("# TYPE ") || line.starts_with("# HELP "));
    if described { text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(looks: &[(u16, usize, bool)]) -> Facts {
        let looks = looks.iter().zip(STRANGERS).map(|(&(status, samples, challenged), (stranger, _))| Look {
            stranger: stranger.to_owned(),
            status,
            samples,
            challenged,
        });
        Facts { address: "https://shop.test/metrics".to_owned(), looks: looks.collect(), ours: 300 }
    }

    #[test]
    fn open_metrics_traps() {
        let check = NotPublic::default();
        let (open, closed) = ((200, 300, false), (401, 0, false));
        for (case, word, looks) in [
            ("a key is wanted", "pass", vec![closed; 4]),
            ("nothing there from outside", "pass", vec![(404, 0, false); 4]),
            ("the login page comes instead", "pass", vec![(302, 0, false), (200, 0, false)]),
            ("open to all", "fail", vec![open; 4]),
            ("a bot rule stops our name alone", "fail", vec![(403, 0, false), open]),
            ("a challenge stops our name alone", "fail", vec![(403, 0, true), open]),
            ("a challenge for everybody", "weak", vec![(403, 0, true); 4]),
            ("the app is ill", "unknown", vec![closed, (503, 0, false)]),
            ("nobody asked", "unknown", vec![]),
        ] {
            assert_eq!(check.judge(&facts(&looks)).word(), word, "{case}");
        }
        let nowhere = Facts { ours: 0, ..facts(&[(404, 0, false); 4]) };
        assert_eq!(check.judge(&nowhere).word(), "unknown", "a page that nobody has is not a hidden one");
    }

    #[test]
    fn a_page_is_not_taken_for_metrics() {
        assert_eq!(samples("# HELP up Well.\n# TYPE up gauge\nup 1\n\nother{a=\"b\"} 2\n"), 2);
        assert_eq!(samples("<html>\n<h1># TYPE</h1>\n"), 0);
        assert_eq!(samples("Sign in\nto see metrics\n"), 0);
    }
}
