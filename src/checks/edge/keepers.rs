//! What may make the edge keep a page, as Cloudflare's API tells it. Asked only where something is to be explained.
//!
//! Which of the rules fits a path is not worked out here, nor what a page rule sets a level to: the owner sees both.

use serde::{Deserialize, Serialize};

use super::rules::{RuleFacts, zone};
use crate::checks::clouds::Api;
use crate::domain::text::tame;
use crate::probes::cloudflare::{CacheSettings, PageRule, Phase};
use crate::probes::{ProbeError, Probes};

/// What page rules do to the edge's cache.
const OF_THE_CACHE: [&str; 4] = ["cache_level", "edge_cache_ttl", "cache_ttl_by_status", "cache_on_cookie"];

/// What is switched on in the zone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Keepers {
    /// Cache rules that make answers eligible or overrule what the app says, and page rules about the cache, by name.
    pub rules: Vec<String>,
    /// What is cached by default: `aggressive` is Cloudflare's own default.
    pub level: String,
}

impl Keepers {
    /// A clause about a path that the edge keeps.
    pub fn words(&self, path: &str) -> String {
        let level = &self.level;
        if self.rules.is_empty() {
            return format!(
                "Cloudflare's API shows no cache rule or page rule that would keep {path} (cache level {level}), so its file ending or a \
                 Worker does"
            );
        }
        format!(
            "Cloudflare's API shows what may keep {path}: {} (cache level {level})",
            self.rules.iter().take(6).cloned().collect::<Vec<_>>().join(", ")
        )
    }
}

/// Asks what is switched on.
pub(super) async fn ask(probes: &Probes) -> Api<Keepers> {
    let question = async {
        let zone = zone(probes, probes.http.base()).await?;
        let cache_rules = zone.rules(Phase::Cache).await?.rules.into_iter();
        let mut rules: Vec<String> = cache_rules
            .filter(|rule| rule.enabled && keeps(&rule.cache))
            .map(|rule| RuleFacts::from(rule).name())
            .collect();
        rules.extend(zone.page_rules().await?.iter().filter_map(about_the_cache));
        Ok::<Keepers, ProbeError>(Keepers { rules, level: zone.cache_level().await? })
    };
    Api::ask(probes.site.cloudflare.is_some(), question).await
}

/// True for settings that let an answer be kept which otherwise would not.
fn keeps(settings: &CacheSettings) -> bool {
    let overrules = || settings.edge_ttl.as_ref().is_some_and(|ttl| ttl.mode == "override_origin");
    settings.cache.unwrap_or_else(overrules)
}

/// A page rule's name, where it is about the edge's cache.
fn about_the_cache(rule: &PageRule) -> Option<String> {
    let does: Vec<&str> = rule.actions.iter().filter_map(|action| action.id.as_deref()).collect();
    let does: Vec<&str> = does.into_iter().filter(|id| OF_THE_CACHE.contains(id)).collect();
    let pattern = rule.targets.first().map_or("any address", |target| target.constraint.value.as_str());
    // A query may hold a key.
    let pattern = match pattern.split_once('?') {
        Some((path, _)) => format!("{path}?…"),
        None => pattern.to_owned(),
    };
    (!does.is_empty()).then(|| format!("the page rule for {} ({})", tame(&pattern, 80), does.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::edge::rules::tests::{api, probes};

    #[tokio::test]
    async fn only_what_is_on_and_keeps_pages_is_named() {
        let rule = |name: &str, enabled: bool, settings: serde_json::Value| {
            json!({
                "enabled": enabled, "action": "set_cache_settings", "expression": "true", "description": name,
                "action_parameters": settings,
            })
        };
        let rules = json!({ "version": "3", "rules": [
            rule("all", true, json!({ "cache": true })),
            rule("off", false, json!({ "cache": true })),
            rule("bypass", true, json!({ "cache": false })),
            rule("forced", true, json!({ "edge_ttl": { "mode": "override_origin", "default": 60 } })),
            rule("browsers", true, json!({ "browser_ttl": { "mode": "respect_origin" } })),
        ] });
        let page_rule = |action: &str| {
            json!({
                "targets": [{ "target": "url", "constraint": { "operator": "matches", "value": "*shop.example/a*?k=s3" } }],
                "actions": [{ "id": action, "value": "x" }],
            })
        };
        let page_rules = json!([page_rule("cache_level"), page_rule("forwarding_url")]);
        let level = json!({ "id": "cache_level", "value": "aggressive" });
        let (probes, asked) = probes(&api(&[rules, page_rules, level])).await;
        let Api::Said(keepers) = ask(&probes).await else { panic!("nothing was said: {:?}", asked.lock().unwrap()) };
        let words = keepers.words("/account/");
        for part in
            ["the rule \"all\", the rule \"forced\", the page rule for *shop.example/a*?… (cache_level)", "aggressive"]
        {
            assert!(words.contains(part), "{part}: {words}");
        }
        assert_eq!(keepers.rules.len(), 3);
        assert!(Keepers { rules: vec![], ..keepers }.words("/account/").contains("no cache rule"));
    }
}
