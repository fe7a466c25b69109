//! Does every question of a monitor reach the app, or does some cache answer in its place?

use serde::{Deserialize, Serialize};

use crate::checks::counting::{Meter, Rise, around};
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::http::answer::Trail;
use crate::probes::{ProbeError, Probes};

/// Least cost of a request that reached the app, in what requests at new addresses cost. Far below one: new addresses
/// may meet workers whose connections to the stores are still to be opened, which costs as well. A cache lets one in ten
/// through.
const REACHED: f64 = 0.15;

/// `health.uncached`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Uncached {
    /// How often the same address is asked.
    requests: u32,
}

impl Default for Uncached {
    fn default() -> Self {
        Self { requests: 10 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    address: String,
    /// The same address again and again, as a monitor asks.
    answers: Vec<Trail>,
    /// What these requests cost the stores, beside as many that no cache can know.
    meters: Vec<Compared>,
}

/// One store's counter around requests that no cache can know, and around those of a monitor.
#[derive(Debug, Serialize, Deserialize)]
struct Compared {
    store: String,
    new: Rise,
    same: Rise,
}

impl Compared {
    /// True when each request that no cache knows moves this counter, and little else does.
    fn tells(&self) -> bool {
        !self.new.drowned() && !self.same.drowned() && self.new.per_request() >= 0.95
    }

    /// True when hardly any of the monitor's requests reached the store.
    fn short(&self) -> bool {
        self.same.per_request() < 0.95 || self.same.per_request() < self.new.per_request() * REACHED
    }
}

impl Check for Uncached {
    const ID: &'static str = "health.uncached";
    const TITLE: &'static str = "monitors see the app itself, never a cache's copy of its health";
    const ABOUT: &'static str = "Asks the health endpoint's one address ten times through the front door, as a monitor does, and counts \
        what that costs the database and Redis, beside as many requests at addresses that no cache can know: as much must arrive. \
        Traps: a HIT hides an outage, and so does the MISS before it; a cache that shows no header at all (the counters tell); a \
        health page that asks no store (then request ids and cache states decide, not the counters).";
    const PHASE: Phase = Phase::Before;
    const ALONE: bool = true;
    const HOW: Rung = Rung::Counted;
    const DOCS: &'static [&'static str] = &[
        "https://developers.cloudflare.com/cache/concepts/cache-responses/",
        "https://docs.djangoproject.com/en/5.2/topics/cache/#controlling-cache-using-other-headers",
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let (probes, requests) = (ctx.probes, u64::from(self.requests));
        let path = &probes.site.health;
        let (stores, meters): (Vec<_>, Vec<_>) = stores(probes).await.into_iter().unzip();
        let new = async {
            for _ in 0..self.requests {
                probes.http.get_origin(path).nonce(&probes.nonce()).fresh().send().await?;
            }
            Ok(())
        };
        let same = async {
            let mut answers = Vec::new();
            for _ in 0..self.requests {
                answers.push(probes.http.get(path).send().await?.trail());
            }
            Ok::<_, ProbeError>(answers)
        };
        let (compared, answers) = if meters.is_empty() {
            (Vec::new(), same.await?)
        } else {
            // The monitor's first: what opening connections to the stores costs then counts in its favour.
            let (again, answers) = around(&meters, requests, same).await?;
            let (fresh, ()) = around(&meters, requests, new).await?;
            let compared = stores.into_iter().zip(fresh).zip(again);
            (compared.map(|((store, new), same)| Compared { store: store.to_owned(), new, same }).collect(), answers)
        };
        let address = probes.http.base().join(path).map_or_else(|_| path.clone(), |url| url.to_string());
        Ok(Facts { address, answers, meters: compared })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let address = &facts.address;
        let todo = format!(
            "put @never_cache on the health view (it sends Cache-Control: no-store) and take its path out of the edge's cache rules, else a \
             monitor watches the cache; see it with: for i in 1 2 3; do curl -s -o /dev/null -D - {address} | grep -iE 'cache|age|request-id'; done"
        );
        if let Some(trail) = facts.answers.iter().find(|trail| trail.may_be_kept()) {
            let what = if trail.from_cache() { "a cache answers for" } else { "a cache keeps the answer of" };
            return CheckOutcome::fail(format!("{what} {address} ({})", trail.cache_word()), todo);
        }
        if let Some(age) = facts.answers.iter().filter_map(|trail| trail.age).find(|age| *age > 0) {
            return CheckOutcome::fail(format!("an answer of {address} was {age} s old (header Age)"), todo);
        }
        let mut ids: Vec<&str> = facts.answers.iter().filter_map(|trail| trail.platform.as_deref()).collect();
        let with_id = ids.len();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() < with_id {
            let seen = format!("answers of {address} carry the same x-railway-request-id: they are one answer, kept");
            return CheckOutcome::fail(seen, todo);
        }
        if let Some(status) = facts.answers.iter().map(|trail| trail.status).find(|status| *status != 200) {
            return CheckOutcome::Unknown(Missing::new(
                format!("{address} answers {status}, so nothing can be said about caches"),
                "let it answer 200 first: see health.answers",
            ));
        }
        let telling: Vec<&Compared> = facts.meters.iter().filter(|meter| meter.tells()).collect();
        if let Some(short) = telling.iter().find(|meter| meter.short()) {
            #[expect(clippy::cast_precision_loss, reason = "a few requests")]
            let cost = |rise: &Rise| rise.per_request() * rise.requests as f64;
            return CheckOutcome::fail(
                format!(
                    "{} requests for {address} cost {} {:.0}, and as many at new addresses {:.0}: something before the app answers",
                    short.same.requests,
                    short.store,
                    cost(&short.same),
                    cost(&short.new)
                ),
                todo,
            );
        }
        let passed_on = |trail: &Trail| matches!(trail.cache_word(), "DYNAMIC" | "BYPASS");
        let shown = with_id == facts.answers.len() || facts.answers.iter().all(passed_on);
        if !telling.is_empty() || (shown && !facts.answers.is_empty()) {
            return CheckOutcome::Pass;
        }
        CheckOutcome::Unknown(Missing::new(
            format!(
                "nothing tells whether the app itself answered {address}: no counter follows it, and no header names a cache"
            ),
            "let the health view ask its stores (see health.touches-stores) and name their addresses in rampup.toml: [services] \
             database_direct_env and cache_env; with busy stores, verify again at a quiet time",
        ))
    }
}

/// The counters that are there. What is missing is for `health.touches-stores` to ask for.
async fn stores(probes: &Probes) -> Vec<(&'static str, Meter)> {
    let mut found = Vec::new();
    found.extend(Meter::database(probes).await.ok().map(|meter| ("the database", meter)));
    let redis = match probes.cache().await {
        Ok(redis) => Some(redis),
        Err(_) => probes.broker().await.ok().map(|broker| broker.redis().clone()),
    };
    found.extend(redis.map(|redis| ("Redis", Meter::Commands(redis))));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(cache: &str, ids: &[&str]) -> Vec<Trail> {
        let one = |id: Option<&str>| Trail {
            status: 200,
            cache: Some(cache.to_owned()).filter(|word| !word.is_empty()),
            platform: id.map(str::to_owned),
            ..Trail::default()
        };
        if ids.is_empty() { vec![one(None); 10] } else { ids.iter().map(|id| one(Some(id))).collect() }
    }

    /// A store's rise and idle slope around requests that no cache knows, and around a monitor's.
    fn meter(new: (u64, f64), same: (u64, f64)) -> Compared {
        let rise = |(rise, idle)| Rise { requests: 10, rise, idle };
        Compared { store: "Redis".to_owned(), new: rise(new), same: rise(same) }
    }

    #[test]
    fn uncached_traps() {
        let check = Uncached::default();
        let quiet = || meter((20, 0.0), (20, 0.0));
        let aged = answers("", &[]).into_iter().map(|trail| Trail { age: Some(7), ..trail }).collect();
        let ill = answers("", &[]).into_iter().map(|trail| Trail { status: 503, ..trail }).collect();
        for (case, word, answers, meters) in [
            ("no cache, and the stores feel it", "pass", answers("", &[]), vec![quiet()]),
            ("headers alone, no store known", "pass", answers("DYNAMIC", &[]), vec![]),
            ("ids of the platform alone", "pass", answers("", &["a", "b", "c"]), vec![]),
            ("new workers open connections", "pass", answers("", &[]), vec![meter((50, 0.0), (10, 0.0))]),
            ("a busy database, a quiet Redis", "pass", answers("", &[]), vec![meter((90, 80.0), (95, 85.0)), quiet()]),
            ("a constant page behind an honest edge", "pass", answers("BYPASS", &[]), vec![meter((0, 0.0), (0, 0.0))]),
            ("an outage hidden by a hit", "fail", answers("HIT", &[]), vec![quiet()]),
            ("refreshed in the background", "fail", answers("UPDATING", &[]), vec![quiet()]),
            ("the next one would be kept", "fail", answers("MISS", &[]), vec![quiet()]),
            ("one answer, kept", "fail", answers("", &["a", "b", "a"]), vec![]),
            ("a cache that shows its age alone", "fail", aged, vec![quiet()]),
            ("a cache without any header", "fail", answers("", &[]), vec![meter((20, 0.0), (2, 0.0))]),
            ("the same, with many statements each", "fail", answers("", &[]), vec![meter((200, 0.0), (20, 0.0))]),
            ("a page that is not well", "unknown", ill, vec![quiet()]),
            ("a constant page, no header", "unknown", answers("", &[]), vec![meter((0, 0.0), (0, 0.0))]),
            ("others' traffic drowns ours", "unknown", answers("", &[]), vec![meter((90, 80.0), (95, 85.0))]),
            ("nothing asked", "unknown", vec![], vec![]),
        ] {
            let facts = Facts { address: "https://shop.test/healthz".to_owned(), answers, meters };
            assert_eq!(check.judge(&facts).word(), word, "{case}");
        }
    }
}
