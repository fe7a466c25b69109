//! Does the firewall rule that the owner named refuse what it is meant for?

use serde::{Deserialize, Serialize};

use super::rules::{self, RuleFacts};
use crate::checks::clouds::Api;
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::cloudflare;
use crate::probes::http::answer::{RAILWAY, Trail};
use crate::probes::{ProbeError, Probes};

/// `edge.firewall-rule`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FirewallRule {}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FirewallFacts {
    site: String,
    path: String,
    /// The answer at the path; none when the connection was broken off.
    at_rule: Option<Seen>,
    /// The answer at a path that nobody has a rule for.
    beside: Seen,
    /// The owner's firewall rules at Cloudflare; facts from before anybody asked have none.
    #[serde(default)]
    api: Api<Vec<RuleFacts>>,
    /// What Cloudflare's own trace of a request for the path meets, where the rule did nothing and the token may ask.
    #[serde(default)]
    traced: Option<Vec<String>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Seen {
    trail: Trail,
    challenged: bool,
}

impl Check for FirewallRule {
    const ID: &'static str = "edge.firewall-rule";
    const TITLE: &'static str = "the edge's firewall refuses what its rule is meant for";
    const ABOUT: &'static str = "Asks once for the path that you named as blocked, and once for one that nobody has a rule for: the edge must \
        refuse the first itself (its mark, and nothing that only an answer from your app has) and pass the second on. Where your zone is \
        named, Cloudflare's API says whether it has a rule that refuses, and why one does not. Traps: a rule that is off or only logs, one \
        behind a rule that skips it, the app's own 403 or 404 (the request did reach it), an edge that refuses this machine everything, a \
        refusal that is none of your rules'.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &["https://developers.cloudflare.com/waf/custom-rules/"];
    type Facts = FirewallFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<FirewallFacts, Missing> {
        let probes = ctx.probes;
        let path = probes.site.edge.as_ref().and_then(|edge| edge.blocked.clone()).ok_or_else(|| {
            Missing::new(
                "no path that a firewall rule refuses is named",
                "name one in rampup.toml: [site.edge] blocked = \"/wp-login.php\"; it is asked for once",
            )
        })?;
        let ask = |path: String| async move {
            let answer = probes.http.get(&path).fresh().send_raw().await?;
            Ok::<_, ProbeError>(Seen { trail: answer.trail(), challenged: answer.challenged() })
        };
        let beside = ask(format!("/rampup-{}", probes.nonce())).await?;
        // A rule may break the connection off instead of answering.
        let at_rule = ask(path.clone()).await.ok();
        let api = rules::of(probes, cloudflare::Phase::Firewall).await;
        let site = super::authority(probes.http.base());
        let mut facts = FirewallFacts { site, path, at_rule, beside, api, traced: None };
        if matches!((&facts.api, facts.effect()), (Api::Said(_), CheckOutcome::Fail(_))) {
            // Only explains, and needs a permission of its own: without an answer the failure stands as it is.
            facts.traced = traced(probes, &facts.path).await.ok();
        }
        Ok(facts)
    }

    fn judge(&self, facts: &FirewallFacts) -> CheckOutcome {
        let effect = facts.effect();
        let through_cloudflare = facts.at_rule.as_ref().is_some_and(|seen| seen.trail.edge);
        if !through_cloudflare {
            // Its rules do not explain what another edge does, or none.
            return effect;
        }
        if let (CheckOutcome::Pass, Api::Said(rules)) = (&effect, &facts.api)
            && !rules.iter().any(RuleFacts::refuses)
        {
            let path = &facts.path;
            return CheckOutcome::weak(
                format!(
                    "{path} was refused, but not by a custom rule of this zone: Cloudflare's API shows {}",
                    rules::let_through(rules, path)
                ),
                format!(
                    "what refused it (a managed rule, a bot protection) may change without you: add a custom rule with action Block for \
                     {path}; Security > Events names the service that stopped this request"
                ),
            );
        }
        rules::explain(effect, &facts.api, |rules| {
            let shown = rules::let_through(rules, &facts.path);
            match facts.traced.as_deref() {
                None => shown,
                Some([]) => format!("{shown}; its trace of {} meets no rule at all", facts.path),
                Some(effects) => format!("{shown}; its trace of {} meets: {}", facts.path, effects.join(", ")),
            }
        })
    }
}

/// What the rules that a request for the path meets do, in order.
async fn traced(probes: &Probes, path: &str) -> Result<Vec<String>, ProbeError> {
    let trace = rules::zone(probes, probes.http.base()).await?.trace(path).await?;
    Ok(trace.effects().into_iter().take(8).map(str::to_owned).collect())
}

impl FirewallFacts {
    /// What the two answers show, whatever the rules are.
    fn effect(&self) -> CheckOutcome {
        let (site, path) = (&self.site, &self.path);
        let stopped =
            |seen: &Seen| seen.challenged || (seen.trail.by_edge() && (400..500).contains(&seen.trail.status));
        if stopped(&self.beside) {
            return CheckOutcome::Unknown(Missing::new(
                format!("the edge refuses this machine even a harmless path ({})", self.beside.trail.status),
                "allow this machine's address or the User-Agent rampup/ in a skip rule that leaves your own rule in force",
            ));
        }
        let Some(seen) = &self.at_rule else {
            return CheckOutcome::weak(
                format!(
                    "the connection was broken off at {path} while another path is answered: who did it cannot be seen"
                ),
                "let the rule answer (action Block) instead of dropping the connection",
            );
        };
        if stopped(seen) {
            return CheckOutcome::Pass;
        }
        let status = seen.trail.status;
        let wordless = seen.trail.platform_cache.is_none() && status != 404;
        if wordless && (400..500).contains(&status) && seen.trail.carrier() == Some("CloudFront") {
            return CheckOutcome::Unknown(Missing::new(
                format!(
                    "who answered {path} with {status} cannot be told: CloudFront says x-cache in all that it hands on or makes, and \
                     this bears none"
                ),
                "look into AWS WAF's sampled requests and the app's own log for the request",
            ));
        }
        if self.beside.trail.carrier() == Some(RAILWAY) && wordless {
            return CheckOutcome::Unknown(Missing::new(
                format!(
                    "who answered {path} with {status} cannot be told: Railway's router marks what it makes and passes on alike"
                ),
                "put an edge with a firewall before the platform, or look into the app's own log for the request",
            ));
        }
        let show = format!(
            "see it: curl -si '{site}{path}' | grep -i cf-cache-status shows a line, which Cloudflare's own block has not"
        );
        if seen.trail.carrier().is_none() && seen.trail.platform_cache.is_none() {
            return CheckOutcome::fail(
                format!("{path} answered {status} and did not pass through the edge at all"),
                "switch the proxy on (orange cloud) for the app's host: without it there are no rules to verify",
            );
        }
        if (400..500).contains(&status) && status != 404 {
            return CheckOutcome::fail(
                format!("{path} is refused ({status}), but by your app: the request came through the edge"),
                format!(
                    "add a custom rule at the edge with action Block for {path}, so that such requests cost the app nothing; {show}"
                ),
            );
        }
        CheckOutcome::fail(
            format!("{path} got through the edge to your app, which answered {status}"),
            format!(
                "switch the rule for {path} on with action Block (not Log), before any rule that skips the others; {show}"
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_edges_own_refusal_counts() {
        let edge = Trail { edge: true, ..Trail::default() };
        let seen = |status, cache: &str| Seen {
            trail: Trail { status, cache: (!cache.is_empty()).then(|| cache.to_owned()), ..edge.clone() },
            challenged: false,
        };
        let facts = |at_rule| FirewallFacts {
            site: "https://shop.test".into(),
            path: "/.env".into(),
            at_rule,
            beside: seen(404, "DYNAMIC"),
            api: Api::NotNamed,
            traced: None,
        };
        let challenge = || Seen { challenged: true, ..seen(403, "") };
        let grey = Seen { trail: Trail { status: 403, ..Trail::default() }, challenged: false };
        let cloudfront = |signs: &[&str]| Seen {
            trail: Trail {
                status: 403,
                cdn: Some("CloudFront".into()),
                platform_cache: Some("ERROR".into()),
                origin_signs: signs.iter().map(|s| (*s).to_owned()).collect(),
                edges_server: signs.is_empty(),
                ..Trail::default()
            },
            challenged: false,
        };
        let behind_nginx = Seen { trail: Trail { edges_server: false, ..cloudfront(&[]).trail }, challenged: false };
        let wordless = Seen { trail: Trail { platform_cache: None, ..behind_nginx.trail.clone() }, challenged: false };
        let railway = |status, cdn: bool| Seen {
            trail: Trail {
                status,
                platform: Some("id".into()),
                cdn: cdn.then(|| RAILWAY.to_owned()),
                platform_cache: cdn.then(|| "DYNAMIC".to_owned()),
                ..Trail::default()
            },
            challenged: false,
        };
        for (word, facts) in [
            ("pass", facts(Some(seen(403, "")))),
            ("pass", facts(Some(challenge()))),
            ("pass", facts(Some(cloudfront(&[])))),
            // The app's own 403, behind a web server too; a rule that is off, a grey cloud.
            ("fail", facts(Some(behind_nginx))),
            ("unknown", facts(Some(wordless))),
            ("fail", facts(Some(cloudfront(&["server: gunicorn"])))),
            ("fail", facts(Some(seen(403, "DYNAMIC")))),
            ("fail", facts(Some(seen(404, "DYNAMIC")))),
            ("fail", facts(Some(seen(200, "MISS")))),
            ("fail", facts(Some(grey))),
            ("weak", facts(None)),
            ("unknown", FirewallFacts { beside: railway(404, true), ..facts(Some(railway(403, false))) }),
            ("fail", FirewallFacts { beside: railway(404, true), ..facts(Some(railway(404, true))) }),
            // Everything is refused: then this refusal shows no rule.
            ("unknown", FirewallFacts { beside: seen(403, ""), ..facts(Some(seen(403, ""))) }),
            ("unknown", FirewallFacts { beside: challenge(), ..facts(Some(challenge())) }),
        ] {
            assert_eq!(FirewallRule {}.judge(&facts).word(), word, "{facts:?}");
        }
    }

    #[test]
    fn the_api_explains_and_never_passes_alone() {
        use crate::checks::edge::rules::tests::rule;
        let seen = |status, cache: Option<&str>| Seen {
            trail: Trail { status, edge: true, cache: cache.map(str::to_owned), ..Trail::default() },
            challenged: false,
        };
        let facts = |at_rule: Option<&str>, api| FirewallFacts {
            site: "https://shop.test".into(),
            path: "/.env".into(),
            at_rule: Some(seen(403, at_rule)),
            beside: seen(404, Some("DYNAMIC")),
            api,
            traced: None,
        };
        let (by_edge, by_app) = (None, Some("DYNAMIC"));
        let silent = || Api::Silent(Missing::new("the API refused", "add a right"));
        for (word, part, at_rule, api) in [
            ("pass", "", by_edge, Api::Said(vec![rule("log", "true"), rule("block", "path eq \"/.env\"")])),
            ("pass", "", by_edge, Api::Said(vec![rule("managed_challenge", "true")])),
            // A managed rule, and nothing of the owner's.
            ("weak", "shows no custom rule", by_edge, Api::Said(vec![])),
            ("weak", "has the action log", by_edge, Api::Said(vec![rule("log", "true")])),
            ("weak", "switched off", by_edge, Api::Said(vec![RuleFacts { enabled: false, ..rule("block", "true") }])),
            // The effect is the stronger half.
            ("pass", "", by_edge, silent()),
            ("pass", "", by_edge, Api::NotNamed),
            ("fail", "shows no custom rule", by_app, Api::Said(vec![])),
            ("fail", "does not seem to fit", by_app, Api::Said(vec![rule("block", "path eq \"/env\"")])),
            ("fail", "add a right", by_app, silent()),
            ("fail", "add a custom rule", by_app, Api::NotNamed),
        ] {
            let outcome = FirewallRule {}.judge(&facts(at_rule, api.clone()));
            let said = format!("{:?}", outcome.said());
            assert!(outcome.word() == word && said.contains(part), "{word}, {part}, {api:?}: {said}");
        }
        for (traced, part) in [(vec![], "meets no rule at all"), (vec!["log".to_owned()], "meets: log")] {
            let bent = FirewallFacts { traced: Some(traced), ..facts(by_app, Api::Said(vec![])) };
            let said = format!("{:?}", FirewallRule {}.judge(&bent).said());
            assert!(said.contains(part), "{said}");
        }
        // Facts from before anybody asked.
        let mut old = serde_json::to_value(facts(by_edge, Api::Said(vec![]))).unwrap();
        old.as_object_mut().unwrap().remove("api");
        assert_eq!(FirewallRule {}.judge(&serde_json::from_value(old).unwrap()).word(), "pass");
    }
}
