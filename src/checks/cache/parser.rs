//! `cache.parser-importable`: the class that is to read Redis's answers still exists.

use serde::{Deserialize, Serialize};

use super::settings::{InRedis, in_redis};
use crate::checks::{Check, Context, source};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};

/// Names that redis-py took away with version 5. hiredis is used by itself when it is installed.
const GONE: [&str; 2] = ["redis.connection.HiredisParser", "redis.connection.PythonParser"];

/// `cache.parser-importable`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ParserImportable {}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    caches: Vec<InRedis>,
    /// Versions of redis-py that are pinned, with the file that pins each.
    versions: Vec<(String, String)>,
}

impl Check for ParserImportable {
    const ID: &'static str = "cache.parser-importable";
    const TITLE: &'static str = "the parser class of the cache's settings exists";
    const ABOUT: &'static str = "Follows the settings beside rampup.toml to PARSER_CLASS and reads redis-py's version in the lock file or \
        requirements: redis.connection.HiredisParser, which many guides show, is gone since redis-py 5, and the first use of the cache then \
        fails with an ImportError. That the cache works in the running app is for cache.page-served to show. Traps: an old redis-py that \
        is pinned still has the class, remarks, settings for tests.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Repo;
    const DOCS: &'static [&'static str] =
        &["https://github.com/jazzband/django-redis#pluggable-parsers", "https://redis.readthedocs.io/en/stable/"];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let caches = in_redis(ctx).await?;
        Ok(Facts { caches, versions: source::ask(ctx.probes, |repository| repository.versions("redis")).await? })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let named = |cache: &InRedis| {
            cache.parsers.iter().map(|class| (cache.place.clone(), class.clone())).collect::<Vec<_>>()
        };
        let classes: Vec<(String, String)> = facts.caches.iter().flat_map(named).collect();
        if facts.caches.is_empty() {
            return CheckOutcome::Unknown(Missing::new("no settings were read", "verify again"));
        }
        let Some((place, class)) = classes.iter().find(|(_, class)| GONE.contains(&class.as_str())).or(classes.first())
        else {
            if let Some(why) = facts.caches.iter().find_map(|cache| cache.unnamed.first()) {
                return CheckOutcome::Unknown(Missing::new(
                    format!("whether the settings name a PARSER_CLASS is not known: {why}"),
                    "nothing to do when cache.page-served passes: a class that is missing would fail at once",
                ));
            }
            return CheckOutcome::NotApplicable(
                "the settings name no PARSER_CLASS; redis-py chooses its own".to_owned(),
            );
        };
        const REMEDY: &str = "take PARSER_CLASS out: redis-py uses hiredis by itself when it is installed; see what is there: python -c \"import \
                            redis; print(redis.__version__, redis.connection.DefaultParser)\"";
        let major = |version: &str| version.split('.').next().and_then(|number| number.parse::<u32>().ok());
        // Several files may pin several versions; the newest one lacks the class.
        let pinned = facts.versions.iter().filter_map(|(text, file)| Some((major(text)?, text, file))).max();
        match (GONE.contains(&class.as_str()), pinned) {
            (true, Some((5.., version, pin))) => CheckOutcome::fail(
                format!(
                    "{place} names {class}, which redis-py {version} ({pin}) does not have: the first use of the cache fails"
                ),
                REMEDY,
            ),
            (true, Some((_, version, pin))) => CheckOutcome::weak(
                format!("{place} names {class}: redis-py {version} ({pin}) has it, every later one has not"),
                REMEDY,
            ),
            (true, None) => CheckOutcome::weak(
                format!("{place} names {class}, which is gone since redis-py 5; its version was found in no lock file"),
                REMEDY,
            ),
            (false, _) => CheckOutcome::weak(
                format!("{place} names {class}; whether redis-py has it is not known here"),
                "nothing to do when cache.page-served passes: a class that is missing would fail at once",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Backend;
    use super::super::settings::tests::of_row;
    use super::*;
    use crate::checks::source::tests::of_shop;
    use crate::checks::written::Written;

    #[test]
    fn parser_traps() {
        let cache = |parsers: &[&str]| InRedis {
            place: "s.py:7".to_owned(),
            backend: Backend::DjangoRedis,
            ignores: Written::Absent,
            waits: false,
            open: Vec::new(),
            parsers: parsers.iter().map(|p| (*p).to_owned()).collect(),
            unnamed: Vec::new(),
        };
        let of = |cache: InRedis, versions: &[&str]| {
            let versions = versions.iter().map(|v| ((*v).to_owned(), "uv.lock".to_owned())).collect();
            ParserImportable::default().judge(&Facts { caches: vec![cache], versions }).word()
        };
        let judge = |parsers: &[&str], versions: &[&str]| of(cache(parsers), versions);
        assert_eq!(judge(&[], &["8.1.0"]), "n/a");
        assert_eq!(judge(&[GONE[0]], &["5.0.0"]), "fail");
        assert_eq!(judge(&[GONE[1]], &["4.6.0", "8.1.0"]), "fail");
        assert_eq!(judge(&["redis._parsers._HiredisParser", GONE[0]], &["8.1.0"]), "fail");
        // An old client that is pinned has it still; an unknown one may.
        assert_eq!(judge(&[GONE[0]], &["4.6.0"]), "weak");
        assert_eq!(judge(&[GONE[0]], &[]), "weak");
        assert_eq!(judge(&["redis._parsers._HiredisParser"], &["8.1.0"]), "weak");
        for (row, word) in [("", "n/a"), ("cache-parser-gone", "fail")] {
            let versions = of_shop(3, row, |repository| repository.versions("redis"));
            let facts = Facts { caches: of_row(row), versions };
            assert_eq!(ParserImportable::default().judge(&facts).word(), word, "{row}");
        }
        // A variable decides, or something that is not followed.
        let unnamed = |parsers: &[&str]| InRedis { unnamed: vec!["s.py:9: made".to_owned()], ..cache(parsers) };
        assert_eq!(of(unnamed(&[]), &["8.1.0"]), "unknown");
        assert_eq!(of(unnamed(&[GONE[0]]), &["8.1.0"]), "fail");
        let none = Facts { caches: Vec::new(), versions: Vec::new() };
        assert_eq!(ParserImportable::default().judge(&none).word(), "unknown");
    }
}
