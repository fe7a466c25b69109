//! The health endpoint: does it answer by itself, and does it really ask the stores?

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::http::answer::Trail;

use super::counting::{Meter, Rise, around};
use super::{Check, Context, Entry};

mod deploy_gate;
mod uncached;
mod watched;

/// The checks of this group.
pub const CHECKS: &[Entry] = &[
    Entry::of::<Answers>(),
    Entry::of::<TouchesStores>(),
    Entry::of::<uncached::Uncached>(),
    Entry::of::<deploy_gate::DeployGate>(),
    Entry::of::<watched::Watched>(),
];

const DOCS: &[&str] =
    &["https://docs.railway.com/reference/healthchecks", "https://docs.djangoproject.com/en/5.2/topics/http/views/"];

/// `health.answers`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Answers {
    /// How often it is asked.
    requests: u32,
}

impl Default for Answers {
    fn default() -> Self {
        Self { requests: 5 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct AnswersFacts {
    path: String,
    answers: Vec<OneAnswer>,
    /// An address that cannot exist answers with JSON and 200 as well.
    catch_all: bool,
    /// Where the answers redirect to the same path with a slash: how that one answers.
    #[serde(default)]
    slashed: Option<u16>,
}

#[derive(Debug, Serialize, Deserialize)]
struct OneAnswer {
    trail: Trail,
    json: bool,
}

impl Check for Answers {
    const ID: &'static str = "health.answers";
    const TITLE: &'static str = "the health endpoint answers 200 with JSON";
    const ABOUT: &'static str = "Asks the health endpoint several times the way a monitor would: 200, JSON, no redirect. Traps: a \
        catch-all route that answers 200 for any address (an address that cannot exist is asked too), a redirect to https or to \
        the address with a slash. Whether a cache answers is for health.uncached.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = DOCS;
    type Facts = AnswersFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<AnswersFacts, Missing> {
        let http = &ctx.probes.http;
        let path = ctx.probes.site.health.clone();
        let is_json = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|v| v.is_object());
        let (mut answers, mut slashed) = (Vec::new(), None);
        for _ in 0..self.requests {
            let answer = http.get(&path).send().await?;
            if let (None, Some(page)) = (slashed, answer.slashed()) {
                slashed = Some(http.ask(reqwest::Method::GET, Ok(page)).send().await?.status);
            }
            answers.push(OneAnswer { json: is_json(&answer.body), trail: answer.trail() });
        }
        let nobody = format!("{}-{}", path.trim_end_matches('/'), &ctx.probes.nonce()[..12]);
        let stranger = http.get(&nobody).send().await?;
        let catch_all = stranger.status == 200 && is_json(&stranger.body);
        Ok(AnswersFacts { path, answers, catch_all, slashed })
    }

    fn judge(&self, facts: &AnswersFacts) -> CheckOutcome {
        let path = &facts.path;
        if facts.answers.is_empty() {
            return CheckOutcome::Unknown(Missing::new(
                format!("{path} was not asked"),
                "ask at least once: requests = 5",
            ));
        }
        for OneAnswer { trail, json } in &facts.answers {
            let add = || {
                format!(
                    "add a view at {path} that asks database and cache and returns JsonResponse({{\"ok\": True}}), and name its path in rampup.toml: [site] health"
                )
            };
            let problem = match trail.status {
                300..400 if facts.slashed.is_some_and(|status| matches!(status, 404 | 410)) => {
                    Some((format!("there is no page at {path}: it redirects to {path}/, and that is not found"), add()))
                }
                300..400 if facts.slashed == Some(200) => Some((
                    format!("{path} redirects to {path}/, which answers 200"),
                    format!("name the address that answers by itself in rampup.toml: [site] health = \"{path}/\""),
                )),
                301 | 302 | 303 | 307 | 308 => Some((
                    format!("{path} redirects to {}", trail.location.as_deref().unwrap_or("somewhere else")),
                    format!(
                        "answer {path} itself: add it to SECURE_REDIRECT_EXEMPT and write it with or without the last slash as in urls.py"
                    ),
                )),
                200 if !json => Some((
                    format!("{path} answers 200, but with {} instead of a JSON object", kind(&trail.content_type)),
                    format!(
                        "route {path} to a view that returns JsonResponse({{\"ok\": True}}); a catch-all page may be answering"
                    ),
                )),
                200 => None,
                status => Some((format!("{path} answers {status}"), add())),
            };
            if let Some((seen, todo)) = problem {
                return CheckOutcome::fail(seen, todo);
            }
        }
        if facts.catch_all {
            return CheckOutcome::fail(
                format!("an address that does not exist answers like {path}: 200 with JSON"),
                "answer 404 for unknown addresses, else a health check proves nothing",
            );
        }
        CheckOutcome::Pass
    }
}

fn kind(content_type: &str) -> &str {
    if content_type.is_empty() { "something without a type" } else { content_type }
}

/// `health.touches-stores`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TouchesStores {
    /// How many requests must show up in the counters.
    requests: u64,
    /// Look for Redis as well.
    redis: bool,
}

impl Default for TouchesStores {
    fn default() -> Self {
        Self { requests: 20, redis: true }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct StoresFacts {
    path: String,
    /// Answers that were 200.
    ok: u64,
    database: Rise,
    redis: Option<Rise>,
}

impl Check for TouchesStores {
    const ID: &'static str = "health.touches-stores";
    const TITLE: &'static str = "the health endpoint asks the database and Redis every time";
    const ABOUT: &'static str = "Counts what the stores did around twenty requests of ours: each must cost the database a statement \
        and Redis a command, above what they do when we are silent. Trap: a page that always says 200 moves nothing, and says 200 \
        when the database is gone.";
    const PHASE: Phase = Phase::Before;
    const ALONE: bool = true;
    const HOW: Rung = Rung::Counted;
    const DOCS: &'static [&'static str] = &[
        "https://www.postgresql.org/docs/current/pgstatstatements.html",
        "https://redis.io/docs/latest/commands/info/",
    ];
    type Facts = StoresFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<StoresFacts, Missing> {
        let probes = ctx.probes;
        let mut meters = vec![Meter::database(probes).await?];
        if self.redis {
            let redis = match probes.cache().await {
                Ok(redis) => redis,
                Err(first) => probes.broker().await.map(|b| b.redis().clone()).map_err(|_| first)?,
            };
            meters.push(Meter::Commands(redis));
        }
        let send = async {
            let mut ok = 0;
            for _ in 0..self.requests {
                let answer = probes.http.get_origin(&probes.site.health).nonce(&probes.nonce()).fresh().send().await?;
                ok += u64::from(answer.status == 200);
            }
            Ok(ok)
        };
        let (rises, ok) = around(&meters, self.requests, send).await?;
        Ok(StoresFacts { path: probes.site.health.clone(), ok, database: rises[0], redis: rises.get(1).copied() })
    }

    fn judge(&self, facts: &StoresFacts) -> CheckOutcome {
        let path = &facts.path;
        if facts.database.requests == 0 || facts.ok < facts.database.requests {
            return CheckOutcome::fail(
                format!("{path} answered 200 only {} of {} times", facts.ok, facts.database.requests),
                format!("make {path} answer first (see health.answers); it must not redirect"),
            );
        }
        if self.redis && facts.redis.is_none() {
            return CheckOutcome::Unknown(Missing::new(
                "Redis was not looked at",
                "name its address in rampup.toml: [services] cache_env",
            ));
        }
        let mut findings = Vec::new();
        for (store, rise, ask) in [
            ("the database", Some(facts.database), "run SELECT 1"),
            ("Redis", facts.redis, "call cache.get(\"health\") or PING"),
        ] {
            let Some(rise) = rise else { continue };
            if rise.drowned() {
                return CheckOutcome::Unknown(rise.noise(&format!("{store}'s counter")));
            }
            if rise.per_request() < 0.95 {
                findings.push(Finding {
                    seen: format!(
                        "{} requests of {path} cost {store} {:.0}: it is not asked",
                        rise.requests,
                        rise.per_request() * rise.requests as f64
                    ),
                    todo: format!(
                        "in the view behind {path}, {ask} with a time-out of a second, and answer 503 when it fails"
                    ),
                });
            }
        }
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, json: bool) -> OneAnswer {
        OneAnswer { trail: Trail { status, ..Trail::default() }, json }
    }

    fn facts(answers: Vec<OneAnswer>) -> AnswersFacts {
        AnswersFacts { path: "/healthz".to_owned(), answers, catch_all: false, slashed: None }
    }

    #[test]
    fn answers_traps() {
        let check = Answers::default();
        for (word, answers) in [
            ("pass", vec![answer(200, true), answer(200, true)]),
            ("unknown", vec![]),
            ("fail", vec![answer(404, false)]),
            ("fail", vec![answer(503, true)]),
            ("fail", vec![answer(301, false)]),
            // A catch-all page of a single-page app.
            ("fail", vec![answer(200, false)]),
            ("fail", vec![answer(200, true), answer(500, true)]),
        ] {
            assert_eq!(check.judge(&facts(answers)).word(), word);
        }
        for (behind, words) in
            [(Some(404), "there is no page at /healthz"), (Some(200), "which answers 200"), (None, "redirects to")]
        {
            let outcome = check.judge(&AnswersFacts { slashed: behind, ..facts(vec![answer(301, false)]) });
            assert!(outcome.word() == "fail" && outcome.seen().contains(words), "{}", outcome.seen());
        }
        let mut catch_all = facts(vec![answer(200, true)]);
        catch_all.catch_all = true;
        assert_eq!(check.judge(&catch_all).word(), "fail");
    }

    #[test]
    fn stores_traps() {
        let check = TouchesStores::default();
        let facts = |ok, database: (u64, f64), redis: Option<(u64, f64)>| StoresFacts {
            path: "/healthz".to_owned(),
            ok,
            database: Rise { requests: 20, rise: database.0, idle: database.1 },
            redis: redis.map(|(rise, idle)| Rise { requests: 20, rise, idle }),
        };
        for (word, facts) in [
            ("pass", facts(20, (20, 0.0), Some((20, 0.0)))),
            ("pass", facts(20, (62, 2.0), Some((45, 4.0)))),
            // A constant page.
            ("fail", facts(20, (0, 0.0), Some((0, 0.0)))),
            ("fail", facts(20, (20, 0.0), Some((1, 0.0)))),
            ("fail", facts(20, (9, 8.0), Some((20, 0.0)))),
            ("fail", facts(0, (20, 0.0), Some((20, 0.0)))),
            // Other traffic would pass for ours.
            ("unknown", facts(20, (220, 200.0), Some((20, 0.0)))),
            ("unknown", facts(20, (20, 0.0), None)),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
