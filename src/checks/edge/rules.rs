//! The owner's rules as Cloudflare's API tells them, and the words by which they explain what an effect showed.
//!
//! Which requests an expression fits is not worked out here: only the edge knows. A rule is never a proof.

use serde::{Deserialize, Serialize};
use url::Url;

use super::expression;
use crate::checks::clouds::{Api, on_this_machine};
use crate::domain::check::{CheckOutcome, Finding};
use crate::domain::text::tame;
use crate::probes::cloudflare::{Cloudflare, Phase, RateLimit, Rule};
use crate::probes::http::answer::Trail;
use crate::probes::{ProbeError, Probes};

/// Characters of an expression that are kept, and that are shown.
const KEPT: usize = 200;
const SHOWN: usize = 80;
/// Actions that keep a request from the app.
const REFUSALS: [&str; 4] = ["block", "managed_challenge", "js_challenge", "challenge"];

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RuleFacts {
    pub enabled: bool,
    pub action: String,
    /// The beginning of its expression, with the values of paths and hosts alone: another may be a key.
    pub expression: String,
    pub description: Option<String>,
    /// Where it is a rate limit: when it counts requests as too many.
    pub limit: Option<Limit>,
}

/// When requests are too many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Limit {
    /// What is counted apart.
    pub by: Vec<String>,
    /// Requests that are let through in `seconds`; none where scores are added up instead.
    pub requests: Option<u64>,
    pub seconds: u64,
    /// Seconds for which it refuses then.
    pub refuses: Option<u64>,
}

/// Requests that were all let through: so many nearly at once, the rest one a second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub at_once: u64,
    pub all: u64,
}

impl Sent {
    /// The most of them within so many seconds.
    fn within(self, seconds: u64) -> u64 {
        self.all.min(self.at_once.saturating_add(seconds))
    }
}

impl From<Rule> for RuleFacts {
    fn from(rule: Rule) -> Self {
        let expression = tame(&expression::shown(&rule.expression), KEPT);
        let (enabled, action, description) = (rule.enabled, rule.action, rule.description);
        Self { enabled, action, expression, description, limit: rule.ratelimit.map(Limit::from) }
    }
}

impl From<RateLimit> for Limit {
    fn from(limit: RateLimit) -> Self {
        Self {
            by: limit.characteristics.iter().take(6).map(|what| tame(what, 60)).collect(),
            requests: limit.requests_per_period,
            seconds: limit.period,
            refuses: limit.mitigation_timeout,
        }
    }
}

impl RuleFacts {
    /// As its owner knows it.
    pub fn name(&self) -> String {
        match self.description.as_deref().map(str::trim) {
            Some(description) if !description.is_empty() => format!("the rule \"{}\"", tame(description, SHOWN)),
            _ => format!("the rule for {}", tame(&self.expression, SHOWN)),
        }
    }

    /// True when it is in force and keeps a request from the app.
    pub fn refuses(&self) -> bool {
        self.enabled && self.would_refuse()
    }

    fn would_refuse(&self) -> bool {
        REFUSALS.contains(&self.action.as_str())
    }
}

/// The zone that the settings name, where this address lies in it: what is true of another zone says nothing of it.
pub(super) async fn zone<'a>(probes: &'a Probes, at: &Url) -> Result<Cloudflare<'a>, ProbeError> {
    let zone = &probes.cloudflare_site()?.zone;
    let host = at.host_str().unwrap_or_default();
    if on_this_machine(at) || within(host, zone) {
        return probes.cloudflare().await;
    }
    Err(ProbeError::NotGiven {
        what: format!("{} is not in the zone {} that rampup.toml names", tame(host, 120), tame(zone, 120)),
        provide: "name the zone that holds it in rampup.toml: [site.cloudflare] zone".to_owned(),
    })
}

fn within(host: &str, zone: &str) -> bool {
    let (host, zone) = (host.to_ascii_lowercase(), zone.to_ascii_lowercase());
    host.strip_suffix(zone.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// True when the answer came out of Cloudflare's own cache, and not of one behind it.
pub(super) fn cloudflares_hit(trail: &Trail) -> bool {
    trail.edge && Trail { platform_cache: None, ..trail.clone() }.from_cache()
}

/// The rules of a phase, in the order in which they are tried.
pub(super) async fn of(probes: &Probes, phase: Phase) -> Api<Vec<RuleFacts>> {
    let question = async {
        let zone = zone(probes, probes.http.base()).await?;
        let rules = zone.rules(phase).await?.rules;
        Ok::<Vec<RuleFacts>, ProbeError>(rules.into_iter().map(RuleFacts::from).collect())
    };
    Api::ask(probes.site.cloudflare.is_some(), question).await
}

/// What an effect showed; where it failed, with what the API says of the rules before each remedy.
pub(super) fn explain(
    effect: CheckOutcome,
    rules: &Api<Vec<RuleFacts>>,
    why: impl FnOnce(&[RuleFacts]) -> String,
) -> CheckOutcome {
    let CheckOutcome::Fail(findings) = effect else {
        return effect;
    };
    let shown = match rules {
        Api::NotNamed => return CheckOutcome::Fail(findings),
        Api::Said(rules) => format!("Cloudflare's API shows {}", why(rules)),
        Api::Silent(missing) => {
            format!("which rules there are could not be asked: {} ({})", missing.what, missing.provide)
        }
    };
    let explained = |found: Finding| Finding { todo: format!("{shown}; {}", found.todo), ..found };
    CheckOutcome::Fail(findings.into_iter().map(explained).collect())
}

/// Why the firewall let a request for this path through, as far as its rules tell.
pub(super) fn let_through(rules: &[RuleFacts], path: &str) -> String {
    let rule = match refusing(rules, "custom rule", path) {
        Ok(rule) => rule,
        Err(why) => return why,
    };
    let skips = |other: &&RuleFacts| other.enabled && other.action == "skip";
    match rules.iter().take_while(|other| *other != rule).find(skips) {
        Some(skip) => {
            format!(
                "{} with the action skip before {}: what it fits may meet no rule after it",
                skip.name(),
                rule.name()
            )
        }
        None => format!(
            "{} switched on with the action {}, so its expression does not seem to fit a plain GET of {path}",
            rule.name(),
            rule.action
        ),
    }
}

/// Why the edge's rate limits did to a burst at this path what they did, as far as the rules tell. `sent` is what they let
/// through; none where one did fire.
pub(super) fn limits_say(rules: &[RuleFacts], path: &str, sent: Option<Sent>) -> String {
    let rule = match refusing(rules, "rate limiting rule", path) {
        Ok(rule) => rule,
        Err(why) => return why,
    };
    let name = rule.name();
    let Some(limit) = &rule.limit else {
        return format!("{name} switched on with the action {}", rule.action);
    };
    let mut words = match limit.requests {
        Some(requests) => format!("{name}, which refuses what is more than {requests} requests in {} s", limit.seconds),
        None => format!("{name}, which adds up scores over {} s", limit.seconds),
    };
    if let Some(seconds) = limit.refuses {
        words.push_str(&format!(", for {seconds} s"));
    }
    if !limit.by.is_empty() {
        words.push_str(&format!(", counted apart by {}", limit.by.join(" and ")));
    }
    if let Some(written) = limit.by.iter().find(|what| callers(what)) {
        words.push_str(&format!(": the caller writes {written} and is counted anew with every other value"));
    } else if let (Some(requests), Some(sent)) = (limit.requests, sent) {
        let sent = sent.within(limit.seconds);
        words.push_str(&match requests >= sent {
            true => format!(": no more than {sent} were sent in that time, so it is too high for this burst"),
            false => format!(": up to {sent} were sent in that time, so its expression does not seem to fit {path}"),
        });
    }
    words
}

/// The rule that should refuse, or why there is none.
fn refusing<'a>(rules: &'a [RuleFacts], kind: &str, path: &str) -> Result<&'a RuleFacts, String> {
    let path = path.split('?').next().unwrap_or_default();
    // Rules that name the path are meant first; with none of them, any rule may be.
    let named: Vec<&RuleFacts> = rules.iter().filter(|rule| rule.expression.contains(path)).collect();
    let meant: Vec<&RuleFacts> = if named.is_empty() { rules.iter().collect() } else { named };
    if let Some(rule) = meant.iter().copied().find(|rule| rule.refuses()) {
        return Ok(rule);
    }
    let off = meant.iter().find(|rule| rule.would_refuse());
    let other = meant.iter().find(|rule| rule.enabled).or(meant.first());
    Err(match (off, other) {
        (Some(rule), _) => format!("that {} is switched off", rule.name()),
        (None, Some(rule)) if !rule.enabled => format!("that {} is switched off", rule.name()),
        (None, Some(rule)) => format!("that {} has the action {}, which refuses nothing", rule.name(), rule.action),
        (None, None) => format!("no {kind} in this zone"),
    })
}

/// True for what a caller may write as he likes: a header, a cookie, a part of the query or of the body.
fn callers(characteristic: &str) -> bool {
    ["headers[", "cookies[", "args[", ".body"].iter().any(|part| characteristic.contains(part))
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;
    use crate::domain::check::Missing;
    use crate::domain::clouds::Cloudflare as Site;
    use crate::domain::ids::RunId;
    use crate::domain::secret::Secret;
    use crate::domain::site::{Access, Key};
    use crate::probes::http::tests::{answer, server, site};

    /// A site and its Cloudflare, both of them a server that gives each answer once, in turn.
    pub(in crate::checks::edge) async fn probes(answers: &[String]) -> (Probes, Arc<Mutex<Vec<String>>>) {
        let (http, asked) = server(answers).await;
        let mut site = site(http.base().as_str());
        site.cloudflare = Some(Site { api: http.base().clone(), zone: "shop.example".to_owned() });
        let token = Key { variable: "CLOUDFLARE_TOKEN".to_owned(), secret: Secret::new("t0ken".to_owned()) };
        let access = Access { cloudflare_token: Some(token), ..Access::default() };
        (Probes::new(site, access, RunId::from("run-1")).unwrap(), asked)
    }

    fn said(result: &Value) -> String {
        let body = json!({ "success": true, "errors": [], "messages": [], "result": result });
        answer("200 OK", "Content-Type: application/json\r\n", &body.to_string())
    }

    /// What it answers to these questions: before them it is asked whether the token is good, and for the zone.
    pub(in crate::checks::edge) fn api(results: &[Value]) -> Vec<String> {
        let zone = json!([{ "id": "z1", "name": "shop.example", "status": "active", "account": { "id": "a1" } }]);
        let before = [json!({ "id": "t1", "status": "active" }), zone];
        before.iter().chain(results).map(said).collect()
    }

    /// A rule without a limit.
    pub(in crate::checks::edge) fn rule(action: &str, expression: &str) -> RuleFacts {
        RuleFacts {
            enabled: true,
            action: action.to_owned(),
            expression: expression.to_owned(),
            description: None,
            limit: None,
        }
    }

    #[tokio::test]
    async fn rules_are_asked_for_and_told_by_their_names() {
        let rules = json!({ "version": "1", "rules": [{
            "enabled": false, "action": "block", "expression": "http.request.uri.path eq \"/search\"",
            "description": "searches", "action_parameters": {},
            "ratelimit": { "characteristics": ["ip.src", "cf.colo.id"], "period": 10, "requests_per_period": 50,
                "mitigation_timeout": 10 },
        }, {
            "enabled": true, "action": "block",
            "expression": "http.request.uri.path eq \"/x\" and http.request.headers[\"x-key\"][0] ne \"s3cr3t\"",
        }] });
        let (probes, asked) = probes(&api(&[rules])).await;
        let Api::Said(rules) = of(&probes, Phase::RateLimit).await else { panic!("no rules") };
        assert_eq!((rules[0].name().as_str(), rules[0].refuses()), ("the rule \"searches\"", false));
        assert_eq!(rules[0].limit.as_ref().unwrap().requests, Some(50));
        let [kept, shown] = [serde_json::to_string(&rules).unwrap(), let_through(&rules, "/x")];
        assert!(!kept.contains("s3cr3t") && shown.contains("x-key") && !shown.contains("s3cr3t"), "{kept} {shown}");
        assert!(asked.lock().unwrap()[2].contains("/zones/z1/rulesets/phases/http_ratelimit/entrypoint"));
        let nobody = Probes::new(site("http://127.0.0.1:9/"), Access::default(), RunId::from("run-1")).unwrap();
        assert_eq!(of(&nobody, Phase::Firewall).await, Api::NotNamed);
    }

    #[tokio::test]
    async fn another_zone_is_not_asked() {
        let (probes, asked) = probes(&[]).await;
        for at in ["https://shop.test/", "https://eshop.example/", "http://10.0.0.1/"] {
            let told = zone(&probes, &at.parse().unwrap()).await.unwrap_err().to_string();
            assert!(told.contains("[site.cloudflare] zone"), "{told}");
        }
        assert!(asked.lock().unwrap().is_empty());
        assert!(within("shop.example", "shop.example") && within("static.Shop.example", "shop.example"));
    }

    #[test]
    fn a_hit_behind_cloudflare_is_not_its_own() {
        let trail = |cache: &str| Trail {
            edge: true,
            cache: Some(cache.to_owned()),
            platform_cache: Some("HIT".to_owned()),
            ..Trail::default()
        };
        assert!(cloudflares_hit(&trail("HIT")) && cloudflares_hit(&trail("STALE")));
        assert!(!cloudflares_hit(&trail("MISS")) && !cloudflares_hit(&Trail { edge: false, ..trail("HIT") }));
    }

    #[test]
    fn a_failure_is_explained_by_the_rules() {
        let fails = || CheckOutcome::fail("seen", "do it");
        let todo = |api: Api<Vec<RuleFacts>>| match explain(fails(), &api, |rules| let_through(rules, "/x")) {
            CheckOutcome::Fail(findings) => findings[0].todo.clone(),
            other => panic!("{other:?}"),
        };
        let block = || rule("block", "path eq \"/x\"");
        let off = |rule: RuleFacts| RuleFacts { enabled: false, ..rule };
        for (part, rules) in [
            ("shows no custom rule", vec![]),
            ("switched off", vec![off(block())]),
            ("has the action log", vec![rule("log", "path eq \"/x\"")]),
            ("has the action log", vec![rule("log", "path eq \"/x\""), rule("block", "path eq \"/y\"")]),
            ("action skip before", vec![rule("skip", "true"), block()]),
            ("does not seem to fit", vec![off(rule("skip", "true")), block(), rule("skip", "true")]),
            ("switched off", vec![off(rule("log", "path eq \"/x\""))]),
        ] {
            let said = todo(Api::Said(rules.clone()));
            assert!(said.contains(part) && said.ends_with("; do it"), "{part}: {said}");
        }
        assert_eq!(todo(Api::NotNamed), "do it");
        assert!(todo(Api::Silent(Missing::new("refused", "add a right"))).contains("add a right"));
        assert_eq!(explain(CheckOutcome::Pass, &Api::Said(vec![]), |_| String::new()), CheckOutcome::Pass);
    }

    #[test]
    fn a_burst_that_was_let_through_is_explained_by_the_numbers() {
        let limit = |requests, by: &[&str]| RuleFacts {
            limit: Some(Limit {
                by: by.iter().map(|what| (*what).to_owned()).collect(),
                requests: Some(requests),
                seconds: 10,
                refuses: Some(60),
            }),
            ..rule("block", "path eq \"/search\"")
        };
        let sent = Sent { at_once: 80, all: 110 };
        let address = ["ip.src", "cf.colo.id"];
        for (part, rules) in [
            ("no rate limiting rule", vec![]),
            (
                "more than 500 requests in 10 s, for 60 s, counted apart by ip.src and cf.colo.id",
                vec![limit(500, &address)],
            ),
            ("no more than 90 were sent", vec![limit(500, &address)]),
            ("does not seem to fit /search", vec![limit(20, &address)]),
            ("x-forwarded-for", vec![limit(20, &["http.request.headers[\"x-forwarded-for\"]"])]),
            ("has the action log", vec![RuleFacts { action: "log".to_owned(), ..limit(20, &address) }]),
        ] {
            let told = limits_say(&rules, "/search?q=x", Some(sent));
            assert!(told.contains(part), "{part}: {told}");
        }
        let fired = limits_say(&[limit(500, &address)], "/search", None);
        assert!(fired.contains("for 60 s") && !fired.contains("sent"), "{fired}");
    }
}
