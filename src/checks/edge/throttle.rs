//! Does the app's own limit hold when the caller makes up addresses, and over all processes?

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::domain::site::Throttle;

/// Requests of the burst, at most.
const BURST: u32 = 160;
/// Pairs of requests after it: one with a made-up address, one without.
const PAIRS: u32 = 12;

/// `edge.throttle-not-evadable`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ThrottleHolds {}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct ThrottleFacts {
    site: String,
    path: String,
    /// What the owner says that one address may send.
    allowed: u32,
    sent: u32,
    /// Answers of the burst that let us through, and how often one came after a refusal.
    through: u32,
    relapses: u32,
    /// Status of the first refusal, and whether the edge made any.
    refusal: Option<u16>,
    refused_at_first: bool,
    by_edge: u32,
    /// Of the pairs afterwards, let through with a made-up X-Forwarded-For and without.
    made_up_through: u32,
    plain_through: u32,
}

impl Check for ThrottleHolds {
    const ID: &'static str = "edge.throttle-not-evadable";
    const TITLE: &'static str = "the app's own limit holds against made-up addresses and over all processes";
    const ABOUT: &'static str = "Sends up to four times what the app allows one address at the harmless path you named, one request after the \
        other, until it refuses; then pairs with and without a made-up X-Forwarded-For: those with must be refused like those without. \
        Traps: a key that holds the whole header or its first entry (a caller writes both), counters in each process (LocMemCache: \
        four workers allow four times as much), the edge's limit answering in the app's place.";
    const PHASE: Phase = Phase::Before;
    const ALONE: bool = true;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &[
        "https://www.django-rest-framework.org/api-guide/throttling/#how-clients-are-identified",
        "https://developers.cloudflare.com/fundamentals/reference/http-headers/#x-forwarded-for",
    ];
    type Facts = ThrottleFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<ThrottleFacts, Missing> {
        let probes = ctx.probes;
        let Throttle { path, requests } = probes.site.throttle.clone().ok_or_else(|| {
            Missing::new(
                "no path under the app's own limit is named",
                "name a harmless one in rampup.toml: [site.throttle] path = \"/api/orders/0/status\" and requests = 20, what one \
                 address may send in a minute; a short burst of four times as much goes there",
            )
        })?;
        // An address nobody else uses, where the practice edge believes the header: the limit must not hit other probes.
        let address = format!("198.18.{}.{}", rand::random::<u8>(), rand::random::<u8>().clamp(2, 254));
        // Each on a connection of its own, so that every process gets its share.
        let ask = |made_up: bool| {
            let ask = probes.http.get(&path).from_address(&address).fresh();
            let of_documentation = format!("203.0.113.{}", rand::random::<u8>().clamp(1, 254));
            if made_up { ask.header("x-forwarded-for", of_documentation) } else { ask }
        };
        let mut facts = ThrottleFacts {
            site: super::authority(probes.http.base()),
            path: path.clone(),
            allowed: requests,
            ..ThrottleFacts::default()
        };
        let most = requests.saturating_mul(4).clamp(20, BURST);
        let mut refused_before = false;
        for number in 0..most {
            let trail = ask(false).send().await?.trail();
            facts.sent += 1;
            let refused = matches!(trail.status, 403 | 429);
            facts.refused_at_first |= refused && number == 0;
            facts.through += u32::from(!refused);
            facts.relapses += u32::from(refused_before && !refused);
            facts.by_edge += u32::from(refused && trail.by_edge());
            facts.refusal = facts.refusal.or(refused.then_some(trail.status));
            refused_before = refused;
        }
        for _ in 0..if facts.refusal.is_some() { PAIRS } else { 0 } {
            for made_up in [true, false] {
                let trail = ask(made_up).send().await?.trail();
                let through = u32::from(!matches!(trail.status, 403 | 429));
                facts.by_edge += u32::from(trail.by_edge());
                *if made_up { &mut facts.made_up_through } else { &mut facts.plain_through } += through;
            }
        }
        Ok(facts)
    }

    fn judge(&self, facts: &ThrottleFacts) -> CheckOutcome {
        let ThrottleFacts { site, path, allowed, sent, through, .. } = facts;
        let unknown = |what: String, provide: &str| CheckOutcome::Unknown(Missing::new(what, provide));
        if *sent == 0 || *allowed == 0 {
            return unknown(format!("nothing was sent to {path}"), "set [site.throttle] requests in rampup.toml");
        }
        if facts.by_edge > 0 {
            return unknown(
                format!("the edge's own limit refused {} requests to {path} before the app could", facts.by_edge),
                "name a path in rampup.toml that only the app limits: [site.throttle] path",
            );
        }
        if facts.refusal.is_none() {
            return CheckOutcome::fail(
                format!(
                    "{sent} requests to {path} from one address were all let through, and the app should allow {allowed}"
                ),
                format!(
                    "set a limit for {path}: DRF's DEFAULT_THROTTLE_CLASSES and _RATES on that view, or django-ratelimit with \
                     block=True; see it: for i in $(seq {sent}); do curl -so /dev/null -w '%{{http_code}} ' '{site}{path}'; done"
                ),
            );
        }
        if facts.made_up_through > facts.plain_through + 1 {
            return CheckOutcome::fail(
                format!(
                    "{} of {PAIRS} requests to {path} with a made-up X-Forwarded-For were let through while the same address without \
                     it was refused",
                    facts.made_up_through
                ),
                "take the address that the edge adds, the last one, and not the first or the whole header: with DRF set \
                 REST_FRAMEWORK = {\"NUM_PROXIES\": 1} (2 behind Cloudflare and a platform's router), or read CF-Connecting-IP where \
                 only the edge can reach the app",
            );
        }
        if *through > allowed * 2 || (through > allowed && facts.relapses >= 2) {
            return CheckOutcome::fail(
                format!(
                    "{through} requests to {path} from one address were let through where {allowed} are allowed, some after the \
                     first refusal: each process seems to count for itself"
                ),
                "let the counters live in the shared cache of step 3: point CACHES[\"default\"] (or the throttle's own `cache`) at \
                 Redis, not LocMemCache; if the limit is meant to be higher, correct [site.throttle] requests in rampup.toml",
            );
        }
        if facts.refused_at_first {
            return unknown(
                format!(
                    "{path} refused from the first request on: an earlier burst still counts, or it always refuses"
                ),
                "wait until the limit's period is over and verify again; name a path that answers: [site.throttle] path",
            );
        }
        if facts.plain_through > PAIRS / 2 {
            return unknown(
                format!("the limit of {path} had let go before it could be tried with made-up addresses"),
                "name a path whose limit holds for a minute or longer: [site.throttle] path",
            );
        }
        if *through > allowed + 2 {
            return CheckOutcome::weak(
                format!("{through} requests to {path} were let through where {allowed} are allowed"),
                "verify again: a period may have ended in between; if it stays so, correct [site.throttle] requests in rampup.toml",
            );
        }
        CheckOutcome::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_addresses_and_many_processes_are_seen() {
        let good = ThrottleFacts {
            path: "/api/x".into(),
            allowed: 20,
            sent: 80,
            through: 20,
            refusal: Some(429),
            ..ThrottleFacts::default()
        };
        let with = |change: fn(&mut ThrottleFacts)| {
            let mut facts = good.clone();
            change(&mut facts);
            facts
        };
        for (word, facts) in [
            ("pass", good.clone()),
            // A tighter limit than said, and one that slides a little.
            ("pass", with(|f| f.through = 5)),
            ("pass", with(|f| (f.through, f.relapses, f.plain_through, f.made_up_through) = (21, 1, 1, 1))),
            ("fail", with(|f| (f.through, f.refusal) = (80, None))),
            ("fail", with(|f| f.made_up_through = 12)),
            ("fail", with(|f| f.made_up_through = 2)),
            // Three processes, each with a counter of its own.
            ("fail", with(|f| (f.through, f.relapses) = (60, 4))),
            ("fail", with(|f| (f.through, f.relapses) = (38, 3))),
            // A fixed period that ended in the middle.
            ("weak", with(|f| (f.through, f.relapses) = (33, 1))),
            ("unknown", with(|f| (f.through, f.refused_at_first) = (0, true))),
            ("unknown", with(|f| (f.plain_through, f.made_up_through) = (12, 12))),
            ("unknown", with(|f| f.by_edge = 30)),
            ("unknown", ThrottleFacts::default()),
        ] {
            assert_eq!(ThrottleHolds {}.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
