//! Does a miss ask another data centre before it asks the origin?

use serde::{Deserialize, Serialize};

use super::rules;
use crate::checks::clouds::Api;
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::ProbeError;

/// `edge.tiered-cache`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TieredCache {}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TieredFacts {
    /// Railway runs the app, by the settings or by its mark on an answer.
    railway: bool,
    settings: Api<Tiers>,
}

/// What the zone is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Tiers {
    on: bool,
    /// One upper tier for each origin, chosen by the origin's place.
    smart: bool,
}

impl Check for TieredCache {
    const ID: &'static str = "edge.tiered-cache";
    const TITLE: &'static str = "a miss at the edge asks another data centre before the origin";
    const ABOUT: &'static str = "Asks Cloudflare's API for the zone's two settings of Tiered Cache. No answer shows from which data centre \
        it came, so this is the API's word alone: off is a failure, on is weak and never more. Traps: the smart topology with Tiered \
        Cache itself off, which does nothing, and with an app at Railway, whose addresses are the same all over the world (anycast), so \
        that no place for one upper tier can be found.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Api;
    const DOCS: &'static [&'static str] = &["https://developers.cloudflare.com/cache/how-to/tiered-cache/"];
    type Facts = TieredFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<TieredFacts, Missing> {
        let probes = ctx.probes;
        let question = async {
            let zone = rules::zone(probes, probes.http.base()).await?;
            let set = zone.tiered_cache().await?;
            Ok::<Tiers, ProbeError>(Tiers { on: set.on, smart: set.smart })
        };
        let settings = Api::ask(probes.site.cloudflare.is_some(), question).await;
        let mut railway = probes.site.railway.is_some();
        if let (Api::Said(Tiers { smart: true, .. }), false) = (&settings, railway) {
            let asked = probes.http.get(&probes.site.health).send_raw().await;
            railway = asked.is_ok_and(|answer| answer.trail().platform.is_some());
        }
        Ok(TieredFacts { railway, settings })
    }

    fn judge(&self, facts: &TieredFacts) -> CheckOutcome {
        let tiers = match &facts.settings {
            Api::Said(tiers) => tiers,
            Api::Silent(missing) => return CheckOutcome::Unknown(missing.clone()),
            Api::NotNamed => {
                return CheckOutcome::NotApplicable(
                    "rampup.toml names no [site.cloudflare] to ask, and from outside no answer shows whether its cache has tiers"
                        .to_owned(),
                );
            }
        };
        if !tiers.on {
            let smart = if tiers.smart { " (the smart topology is on, which does nothing alone)" } else { "" };
            return CheckOutcome::fail(
                format!(
                    "Tiered Cache is off{smart}: every data centre of Cloudflare fetches each file from the origin for itself"
                ),
                "switch it on at Cloudflare: Caching > Tiered Cache",
            );
        }
        let mut findings = vec![Finding {
            seen: "Tiered Cache is on, as Cloudflare's API says; no effect of it can be seen from outside".to_owned(),
            todo: "nothing: this is advice, and a high edge.hit-ratio is its effect".to_owned(),
        }];
        if tiers.smart && facts.railway {
            findings.push(Finding {
                seen: "its topology is smart, and the app is at Railway, whose addresses are the same all over the world (anycast): \
                       Cloudflare finds no single upper tier for the app's own pages there"
                    .to_owned(),
                todo: "leave it on for files from a bucket, which stands in one place, and do not count on it for pages: those need the \
                       app's own cache (step 3)"
                    .to_owned(),
            });
        }
        CheckOutcome::Weak(findings)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::edge::rules::tests::{api, probes};
    use crate::probes::http::tests::answer;

    #[test]
    fn tier_traps() {
        let facts = |on, smart, railway| TieredFacts { railway, settings: Api::Said(Tiers { on, smart }) };
        let silent = Api::Silent(Missing::new("it refused", "add a right"));
        for (word, part, facts) in [
            ("fail", "Tiered Cache is off:", facts(false, false, false)),
            ("fail", "which does nothing alone", facts(false, true, true)),
            // The API alone never passes.
            ("weak", "from outside", facts(true, false, false)),
            ("weak", "from outside", facts(true, true, false)),
            ("weak", "anycast", facts(true, true, true)),
            ("unknown", "it refused", TieredFacts { railway: true, settings: silent }),
            ("n/a", "[site.cloudflare]", TieredFacts { railway: true, settings: Api::NotNamed }),
        ] {
            let outcome = TieredCache {}.judge(&facts);
            assert!(outcome.word() == word && outcome.seen().contains(part), "{word}, {part}: {outcome:?}");
        }
        let CheckOutcome::Weak(findings) = TieredCache {}.judge(&facts(true, false, true)) else { panic!("not weak") };
        assert_eq!(findings.len(), 1, "only the smart topology looks for the origin's place");
    }

    #[tokio::test]
    async fn railway_is_known_by_its_mark_where_it_matters() {
        for (smart, railway) in [("on", true), ("off", false)] {
            let set = |id: &str, value: &str| json!({ "id": id, "value": value });
            let settings = [set("tiered_caching", "on"), set("tiered_cache_smart_topology_enable", smart)];
            let mut answers = api(&settings);
            answers.push(answer("200 OK", "cf-ray: 1\r\nx-railway-request-id: 1\r\n", "fine"));
            let (probes, asked) = probes(&answers).await;
            let ctx = Context { probes: &probes, ramp: None, history: &[], before: &[] };
            let facts = TieredCache {}.gather(&ctx).await.unwrap();
            assert_eq!((facts.railway, facts.settings), (railway, Api::Said(Tiers { on: true, smart: smart == "on" })));
            assert_eq!(asked.lock().unwrap().len(), if railway { 5 } else { 4 });
        }
    }
}
