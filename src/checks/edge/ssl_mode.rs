//! Does the edge speak TLS to the app, in the mode that its settings name?

use serde::{Deserialize, Serialize};

use super::proxied::complaint;
use super::rules;
use crate::checks::clouds::{Api, on_this_machine};
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::http::answer::{Answer, Trail};

/// `edge.ssl-mode`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SslMode {}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SslFacts {
    /// Scheme, host and port that users know.
    site: String,
    /// They are of this machine, where nobody listens between the edge and the app.
    practice: bool,
    /// The settings say that Railway runs the app.
    railway: bool,
    /// The front page and the health page, each under an address new to every cache.
    answers: Vec<Seen>,
    /// The zone's mode: `off`, `flexible`, `full`, `strict`.
    mode: Api<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Seen {
    trail: Trail,
    challenged: bool,
    /// A redirect to the very address that was asked.
    to_itself: bool,
}

impl Check for SslMode {
    const ID: &'static str = "edge.ssl-mode";
    const TITLE: &'static str = "the edge speaks TLS to the app, in the mode that is set";
    const ABOUT: &'static str = "Asks Cloudflare's API for the zone's SSL/TLS mode, and your front page and health page, past every cache, \
        for what the mode brings about: an answer from behind the edge, no redirect to itself, no 525 or 526. Both must agree. Off and \
        Flexible send everything between the edge and the app in the clear. Traps: a mode that looks right while the host is not proxied, \
        a configuration rule that sets another one (seen only when it loops or breaks), the mode of another zone, Full (strict) before Railway, which works only while its \
        certificate for your name is valid (Railway asks for Full).";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://developers.cloudflare.com/ssl/origin-configuration/ssl-modes/",
        "https://developers.cloudflare.com/ssl/troubleshooting/too-many-redirects/",
        "https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/",
    ];
    type Facts = SslFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<SslFacts, Missing> {
        let probes = ctx.probes;
        let (base, nonce) = (probes.http.base(), probes.nonce());
        let mut answers = Vec::new();
        for path in ["/", probes.site.health.as_str()] {
            let answer = probes.http.get(path).fresh().nonce(&nonce).send_raw().await?;
            answers.push(Seen {
                trail: answer.trail(),
                challenged: answer.challenged(),
                to_itself: to_itself(&answer),
            });
        }
        let question = async { rules::zone(probes, base).await?.ssl_mode().await };
        Ok(SslFacts {
            site: super::authority(base),
            practice: on_this_machine(base),
            railway: probes.site.railway.is_some(),
            answers,
            mode: Api::ask(probes.site.cloudflare.is_some(), question).await,
        })
    }

    fn judge(&self, facts: &SslFacts) -> CheckOutcome {
        if facts.answers.is_empty() {
            return CheckOutcome::Unknown(Missing::new("your address was not asked", "set [site] url in rampup.toml"));
        }
        let named = match &facts.mode {
            Api::Said(mode) => Some(mode.as_str()),
            Api::NotNamed | Api::Silent(_) => None,
        };
        if let Some(mode @ ("off" | "flexible")) = named {
            return facts.in_the_clear(mode);
        }
        if let Some(found) = facts.broken(named) {
            return CheckOutcome::Fail(vec![found]);
        }
        match facts.mode.said("cloudflare", &facts.effect()) {
            Ok(mode) => facts.agree(mode),
            Err(half) => half,
        }
    }
}

impl SslFacts {
    /// What the answers show, in one clause.
    fn effect(&self) -> String {
        let answers = self.answers.iter().map(|Seen { trail, to_itself, .. }| {
            let itself = if *to_itself { ", a redirect to itself" } else { "" };
            format!("{} {}{itself}", trail.path, trail.status)
        });
        let answers = answers.collect::<Vec<_>>().join(", ");
        let how = if self.answers.iter().all(|seen| seen.trail.edge) { "through" } else { "without passing" };
        format!("{} answers {how} Cloudflare ({answers})", self.site)
    }

    /// The mode sends everything between the edge and the app in the clear.
    fn in_the_clear(&self, mode: &str) -> CheckOutcome {
        let looping = self.answers.iter().find(|seen| seen.trail.edge && seen.to_itself);
        let looping = looping.map_or_else(String::new, |seen| {
            format!("; {}{} leads to itself, as the app wants https and never gets it", self.site, seen.trail.path)
        });
        let target = if self.on_railway() {
            "Full"
        } else {
            "Full (strict), or Full where its certificate is not valid for your name"
        };
        CheckOutcome::fail(
            format!(
                "the zone's SSL/TLS mode is {mode}: passwords and sessions go from the edge to the app as plain text{looping}"
            ),
            format!(
                "let the app's host answer https and set SSL/TLS > Overview at Cloudflare to {target}; let Django know who came by https: \
                 SECURE_PROXY_SSL_HEADER = (\"HTTP_X_FORWARDED_PROTO\", \"https\")"
            ),
        )
    }

    /// The edge has no good answer from the app: a circle, or a status of its own about it.
    fn broken(&self, mode: Option<&str>) -> Option<Finding> {
        let bad = |seen: &&Seen| seen.trail.edge && (seen.to_itself || (520..=530).contains(&seen.trail.status));
        let seen = self.answers.iter().find(bad)?;
        let (address, status) = (format!("{}{}", self.site, seen.trail.path), seen.trail.status);
        let saw = if seen.to_itself {
            format!("{address} leads to itself")
        } else {
            format!("{address} gets {status}, the edge's own word for no good answer from the app")
        };
        let todo = match (status, mode) {
            (525 | 526, _) if self.on_railway() => "set SSL/TLS > Overview at Cloudflare to Full, not Full (strict): that one refuses \
                 a certificate which Railway has not made for your name, or not renewed"
                .to_owned(),
            (526, Some("full")) => format!(
                "a configuration rule sets Full (strict) for this host, as Full takes any certificate: take it out, or {}",
                complaint(status)
            ),
            (520..=530, _) => complaint(status).to_owned(),
            (_, Some("full" | "strict")) => "take out the configuration rule or page rule that sets another mode for this host; with none, \
                 let Django know who came by https: SECURE_PROXY_SSL_HEADER = (\"HTTP_X_FORWARDED_PROTO\", \"https\")"
                .to_owned(),
            _ => "set SSL/TLS > Overview at Cloudflare to Full or Full (strict), never Flexible, and let Django know who came by https: \
                  SECURE_PROXY_SSL_HEADER = (\"HTTP_X_FORWARDED_PROTO\", \"https\")"
                .to_owned(),
        };
        let seen = match mode {
            None => saw,
            // That mode takes no certificate but a valid one.
            Some("strict") if matches!(status, 525 | 526) => format!("{saw}: the zone's SSL/TLS mode is strict"),
            Some(mode) => format!("the zone's SSL/TLS mode is {mode}, and yet {saw}"),
        };
        Some(Finding { seen, todo: format!("{todo}; see it: curl -sI '{address}'") })
    }

    /// Whether the answers bear out a mode that keeps everything secret.
    fn agree(&self, mode: &str) -> CheckOutcome {
        let site = &self.site;
        if let Some(past) = self.answers.iter().find(|seen| !seen.trail.edge) {
            let way = past.trail.carrier().map_or_else(String::new, |other| format!(", but through {other}"));
            return CheckOutcome::fail(
                format!(
                    "the zone's SSL/TLS mode is {mode}, but {site}{} did not pass through Cloudflare (no cf-ray){way}: the mode \
                     is in force for nobody there",
                    past.trail.path
                ),
                "switch the proxy on (orange cloud) for the app's host, or name its own zone in rampup.toml: [site.cloudflare] zone",
            );
        }
        if !self.practice && !site.starts_with("https://") {
            return CheckOutcome::fail(
                format!(
                    "the zone's SSL/TLS mode is {mode}, but {site} is asked by http: anybody on the way can read along"
                ),
                "write the https:// address that your visitors use in rampup.toml, [site] url, and switch on Always Use HTTPS at Cloudflare",
            );
        }
        if !self.answers.iter().any(Seen::fetched_behind) {
            return CheckOutcome::Unknown(Missing::new(
                format!("the edge answered by itself, so nothing was seen of its way to the app: {}", self.effect()),
                "allow this machine's address or the User-Agent rampup/ in a skip rule, and keep the health page out of the edge's cache",
            ));
        }
        match mode {
            "strict" | "origin_pull" if self.on_railway() => CheckOutcome::weak(
                "the zone's SSL/TLS mode is Full (strict) and Railway runs the app: it works as long as Railway's certificate for your \
                 name is valid, and after that every page is a 526",
                "set SSL/TLS > Overview at Cloudflare to Full, the mode that Railway asks for behind Cloudflare",
            ),
            "full" | "strict" | "origin_pull" => CheckOutcome::Pass,
            other => CheckOutcome::Unknown(Missing::new(
                format!("the zone's SSL/TLS mode is {other}, which is not known here"),
                "set SSL/TLS > Overview at Cloudflare to Full or Full (strict), or take a newer rampup",
            )),
        }
    }

    fn on_railway(&self) -> bool {
        self.railway || self.answers.iter().any(|seen| seen.trail.platform.is_some())
    }
}

impl Seen {
    /// True when the answer was fetched from behind Cloudflare just now.
    fn fetched_behind(&self) -> bool {
        self.trail.edge && !self.challenged && !self.trail.by_edge() && !rules::cloudflares_hit(&self.trail)
    }
}

/// True for a redirect to the address that was asked. With a cookie of the app's own, the same address is another question.
fn to_itself(answer: &Answer) -> bool {
    let to = (300..400).contains(&answer.status).then(|| answer.header("location")).flatten();
    let same = to.and_then(|to| answer.url.join(&to).ok()).is_some_and(|to| to == answer.url);
    same && answer.trail().foreign_cookie().is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::edge::rules::tests::{api, probes};
    use crate::probes::http::tests::answer;

    fn seen(status: u16) -> Seen {
        let cache = Some("DYNAMIC".to_owned());
        let trail = Trail { path: "/healthz".to_owned(), status, edge: true, cache, ..Trail::default() };
        Seen { trail, challenged: false, to_itself: false }
    }

    fn facts(mode: &str, seen: Seen) -> SslFacts {
        SslFacts {
            site: "https://shop.test".to_owned(),
            practice: false,
            railway: false,
            answers: vec![seen],
            mode: Api::Said(mode.to_owned()),
        }
    }

    #[test]
    fn ssl_traps() {
        let on_railway = |facts: SslFacts| SslFacts { railway: true, ..facts };
        let http = |facts: SslFacts| SslFacts { site: "http://shop.test".to_owned(), ..facts };
        let trail = |change: fn(&mut Trail)| {
            let mut seen = seen(200);
            change(&mut seen.trail);
            seen
        };
        let circle = || Seen { to_itself: true, ..seen(301) };
        let grey = || trail(|trail| (trail.edge, trail.cache) = (false, None));
        let silent =
            |facts: SslFacts| SslFacts { mode: Api::Silent(Missing::new("it refused", "add a right")), ..facts };
        let not_named = |facts: SslFacts| SslFacts { mode: Api::NotNamed, ..facts };
        for (word, part, facts) in [
            ("pass", "", facts("full", seen(200))),
            ("pass", "", facts("strict", seen(200))),
            // The app's own trouble is no matter of the mode.
            ("pass", "", facts("full", seen(500))),
            ("pass", "", on_railway(facts("full", seen(200)))),
            ("pass", "", SslFacts { practice: true, ..http(facts("full", seen(200))) }),
            ("weak", "Full, the mode", on_railway(facts("strict", seen(200)))),
            ("weak", "Full, the mode", facts("strict", trail(|trail| trail.platform = Some("id".to_owned())))),
            ("fail", "plain text", facts("flexible", seen(200))),
            ("fail", "leads to itself", facts("flexible", circle())),
            ("fail", "plain text", facts("off", grey())),
            ("fail", "plain text", SslFacts { practice: true, ..http(facts("off", seen(200))) }),
            // The API and the effect contradict each other.
            ("fail", "configuration rule", facts("full", circle())),
            ("fail", "configuration rule", facts("full", seen(526))),
            ("fail", "did not pass", facts("full", grey())),
            (
                "fail",
                "CloudFront",
                facts("full", Seen { trail: Trail { cdn: Some("CloudFront".to_owned()), ..grey().trail }, ..grey() }),
            ),
            ("fail", "asked by http", http(facts("full", seen(200)))),
            ("fail", "certificate", facts("strict", seen(526))),
            ("fail", "not Full (strict)", on_railway(facts("strict", seen(526)))),
            ("fail", "listen", facts("full", seen(521))),
            // What the edge makes itself, or keeps, says nothing of the way behind it.
            ("unknown", "by itself", facts("full", trail(|trail| (trail.status, trail.cache) = (403, None)))),
            ("unknown", "by itself", facts("full", Seen { challenged: true, ..seen(403) })),
            ("unknown", "by itself", facts("full", trail(|trail| trail.cache = Some("HIT".to_owned())))),
            ("unknown", "not known here", facts("fuller", seen(200))),
            ("unknown", "not asked", SslFacts { answers: vec![], ..facts("full", seen(200)) }),
            // One half alone.
            ("unknown", "one half is missing", silent(facts("", seen(200)))),
            ("unknown", "without passing", silent(facts("", grey()))),
            ("n/a", "through Cloudflare (/healthz 200)", not_named(facts("", seen(200)))),
            ("n/a", "without passing", not_named(facts("", grey()))),
            ("fail", "never Flexible", not_named(facts("", circle()))),
            ("fail", "certificate", silent(facts("", seen(525)))),
        ] {
            let outcome = SslMode {}.judge(&facts);
            let said = format!("{} {:?}", outcome.seen(), outcome.said());
            assert!(outcome.word() == word && said.contains(part), "{word}, {part}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn both_halves_are_asked_for() {
        let page = answer("200 OK", "cf-ray: 1\r\ncf-cache-status: DYNAMIC\r\n", "hello");
        let mut answers = vec![page.clone(), page];
        answers.extend(api(&[json!({ "id": "ssl", "value": "full" })]));
        let (probes, asked) = probes(&answers).await;
        let ctx = Context { probes: &probes, ramp: None, history: &[], before: &[] };
        let facts = SslMode {}.gather(&ctx).await.unwrap();
        assert_eq!((facts.answers.len(), facts.practice, &facts.mode), (2, true, &Api::Said("full".to_owned())));
        assert_eq!(SslMode {}.judge(&facts), CheckOutcome::Pass);
        let asked = asked.lock().unwrap();
        assert!(asked[0].starts_with("GET /?_probe=") && asked[1].starts_with("GET /healthz?_probe="), "{asked:?}");
        assert!(asked[4].contains("/zones/z1/settings/ssl"), "{asked:?}");
    }

    #[tokio::test]
    async fn only_a_redirect_to_the_same_address_is_a_circle() {
        for (circle, headers) in [
            (true, "Location: /a?b=1\r\n"),
            (true, "Location: /a?b=1\r\nSet-Cookie: __cf_bm=x\r\n"),
            (false, "Location: /a?b=1\r\nSet-Cookie: lang=en\r\n"),
            (false, "Location: /a/?b=1\r\n"),
            (false, "Location: https://shop.test/a?b=1\r\n"),
            (false, ""),
        ] {
            let (probes, _) = probes(&[answer("301 Moved", headers, "")]).await;
            let answer = probes.http.get("/a?b=1").send_raw().await.unwrap();
            assert_eq!(to_itself(&answer), circle, "{headers}");
        }
    }
}
