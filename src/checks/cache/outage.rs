//! `cache.outage-tolerant`: a Redis that is gone or slow does not take the pages with it.

use serde::{Deserialize, Serialize};

use super::settings::{Backend, InRedis, in_redis};
use crate::checks::written::Written;
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};

/// `cache.outage-tolerant`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OutageTolerant {}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    caches: Vec<InRedis>,
}

impl Check for OutageTolerant {
    const ID: &'static str = "cache.outage-tolerant";
    const TITLE: &'static str = "a cache that is gone or slow does not take the pages with it";
    const ABOUT: &'static str = "Follows the cache's settings beside rampup.toml: django-redis needs IGNORE_EXCEPTIONS to go on without Redis, and \
        any backend needs limits for connecting and answering, or each thread waits for a Redis that does not answer until the system gives \
        up. Nothing is switched off to try it, so the best answer is weak. Traps: IGNORE_EXCEPTIONS under Django's own backend, which does \
        not know it; an option that is False; remarks.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Repo;
    const DOCS: &'static [&'static str] = &[
        "https://github.com/jazzband/django-redis#memcached-exceptions-behavior",
        "https://docs.djangoproject.com/en/5.2/topics/cache/#redis",
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        Ok(Facts { caches: in_redis(ctx).await? })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        const WAITS: &str = "give OPTIONS limits in seconds: \"SOCKET_CONNECT_TIMEOUT\": 0.5 and \"SOCKET_TIMEOUT\": 0.5 for django-redis, \
                             \"socket_connect_timeout\" and \"socket_timeout\" for Django's own backend";
        if facts.caches.is_empty() {
            return CheckOutcome::Unknown(Missing::new("no settings were read", "verify again"));
        }
        if let Some(why) = facts.caches.iter().find_map(|cache| cache.open.first()) {
            return CheckOutcome::Unknown(Missing::new(
                format!("whether a lost Redis is ignored is not known: {why}"),
                "look for IGNORE_EXCEPTIONS and the socket timeouts yourself: python manage.py shell -c \"from django.conf import settings; \
                 print(settings.CACHES)\" (it may print a password)",
            ));
        }
        let mut findings = Vec::new();
        for cache in &facts.caches {
            let mut wrong = |seen: String, todo: &str| findings.push(Finding { seen, todo: todo.to_owned() });
            let (place, ours) = (&cache.place, cache.backend == Backend::DjangoRedis);
            match (ours, cache.ignores) {
                (true, Written::On) | (false, Written::Absent | Written::Off) => {}
                (true, _) => wrong(
                    format!(
                        "{place} lets every page fail with 500 when Redis is gone: django-redis has no IGNORE_EXCEPTIONS"
                    ),
                    "set \"IGNORE_EXCEPTIONS\": True in OPTIONS (pages are then made anew, only slower), and DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS \
                     = True, so that you hear of it",
                ),
                (false, Written::On) => wrong(
                    format!(
                        "{place} sets IGNORE_EXCEPTIONS, and Django's own backend does not know it: pages fail with 500 when Redis is gone"
                    ),
                    "use django_redis.cache.RedisCache, or take the line out and know that the cache must be there",
                ),
            }
            if !cache.waits {
                wrong(
                    format!("{place} sets no limit for a Redis that does not answer: every thread would wait for it"),
                    WAITS,
                );
            }
        }
        if !findings.is_empty() {
            return CheckOutcome::Fail(findings);
        }
        let own = facts.caches.iter().any(|cache| cache.backend == Backend::Django);
        CheckOutcome::weak(
            if own {
                "the settings limit how long Redis is waited for; Django's own backend still fails a page when it is gone"
            } else {
                "the settings let pages go on without Redis; that the running app has them is not shown"
            },
            "try it where nobody is harmed: stop the cache of a staging stack and open a page",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::of_row;
    use super::*;

    #[test]
    fn outage_traps() {
        let cache = |backend, ignores, waits| InRedis {
            place: "s.py:7".into(),
            backend,
            ignores,
            waits,
            open: Vec::new(),
            parsers: Vec::new(),
            unnamed: Vec::new(),
        };
        let of = |cache| OutageTolerant::default().judge(&Facts { caches: vec![cache] });
        let judge = |backend, ignores, waits| of(cache(backend, ignores, waits)).word();
        assert_eq!(judge(Backend::DjangoRedis, Written::On, true), "weak");
        assert_eq!(judge(Backend::DjangoRedis, Written::Absent, true), "fail");
        assert_eq!(judge(Backend::DjangoRedis, Written::Off, true), "fail");
        assert_eq!(judge(Backend::DjangoRedis, Written::On, false), "fail");
        // Django's own backend is as good; only its limit can be forgotten, or another's option set for it.
        assert_eq!(judge(Backend::Django, Written::Absent, true), "weak");
        assert_eq!(judge(Backend::Django, Written::Absent, false), "fail");
        assert_eq!(judge(Backend::Django, Written::On, true), "fail");
        assert_eq!(OutageTolerant::default().judge(&Facts { caches: Vec::new() }).word(), "unknown");
        for (row, word) in [
            ("", "weak"),
            ("cache-falls-with-redis", "fail"),
            ("cache-waits-for-ever", "fail"),
            ("cache-option-of-another-backend", "fail"),
            ("cache-by-django-itself", "weak"),
            ("cache-without-prefix", "weak"),
            ("cache-with-a-local-alias", "weak"),
        ] {
            assert_eq!(OutageTolerant::default().judge(&Facts { caches: of_row(row) }).word(), word, "{row}");
        }
        // A variable decides, or something that is not followed.
        let open = InRedis { open: vec!["s.py:9: made".into()], ..cache(Backend::DjangoRedis, Written::Absent, true) };
        let said = of(open);
        assert!(said.word() == "unknown" && said.seen().contains("s.py:9"), "{}", said.seen());
    }
}
