//! May browsers keep static files for a year?

use serde::Deserialize;

use super::names::hashed;
use super::{FILES, Files, judge_each, look};
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};

/// A year, seconds.
const YEAR: u64 = 31_536_000;

/// `storage.static-immutable`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Immutable {
    /// Files looked at, at most.
    files: usize,
}

impl Default for Immutable {
    fn default() -> Self {
        Self { files: FILES }
    }
}

impl Check for Immutable {
    const ID: &'static str = "storage.static-immutable";
    const TITLE: &'static str = "browsers may keep static files for a year, safely";
    const ABOUT: &'static str = "Each static file must answer with Cache-Control: max-age of a year and immutable, and only where its \
        name holds its content's hash. Traps: a year on a name without a hash (visitors keep the old file for that year), a year \
        without immutable (browsers ask again at every reload), no header at all, where the edge makes up some hours, and a file \
        that sets a cookie.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://docs.djangoproject.com/en/5.2/ref/contrib/staticfiles/#manifeststaticfilesstorage",
        "https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Cache-Control",
    ];
    type Facts = Files;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Files, Missing> {
        look(ctx, self.files).await
    }

    fn judge(&self, files: &Files) -> CheckOutcome {
        judge_each(&files.files, |file| {
            let (trail, path) = (&file.trail, &file.trail.path);
            let finding = |seen: String, todo: &str| Some(Finding { seen, todo: format!("{todo}; {}", file.curl()) });
            let year = trail.directive("max-age").and_then(|v| v.parse::<u64>().ok()).is_some_and(|s| s >= YEAR);
            if trail.status != 200 {
                return finding(
                    format!("{path} answers {}", trail.status),
                    "run collectstatic, so that the pages' files exist in the bucket",
                );
            }
            let kept_out = ["no-store", "no-cache", "private"].into_iter().find(|word| trail.directive(word).is_some());
            if !year || trail.directive("immutable").is_none() || kept_out.is_some() {
                let said = if trail.cache_control.is_empty() { "no Cache-Control" } else { &trail.cache_control };
                return finding(
                    format!("{path} may not be kept for a year: {said}"),
                    "set object_parameters = {\"CacheControl\": \"public, max-age=31536000, immutable\"} for the static files' storage \
                     and run collectstatic again (objects that are there already keep their old header until they are written anew)",
                );
            }
            if !hashed(path) {
                return finding(
                    format!(
                        "{path} may be kept for a year, but there is no hash in its name: visitors keep the old file for that year"
                    ),
                    "let only names with a hash be immutable, and use a manifest storage for STORAGES[\"staticfiles\"]",
                );
            }
            if let Some(name) = trail.foreign_cookie() {
                return finding(
                    format!("{path} sets the cookie {name}"),
                    "serve static files from a path or host where nothing sets cookies",
                );
            }
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{KEEP, files, trail};
    use super::*;
    use crate::probes::http::answer::Trail;

    #[test]
    fn immutable_traps() {
        let check = Immutable::default();
        for (word, trail) in [
            ("pass", trail("/static/a.cc0c0de151bf.css", KEEP)),
            ("pass", trail("/assets/index-B3fk_9Aq2x.js", KEEP)),
            // A year on a name without a hash.
            ("fail", trail("/static/a.css", KEEP)),
            ("fail", trail("/static/theme-bootstrap.css", KEEP)),
            ("fail", trail("/static/a.cc0c0de151bf.css", "private, max-age=31536000, immutable")),
            ("fail", trail("/static/a.cc0c0de151bf.css", "max-age=0, immutable")),
            ("fail", trail("/static/a.cc0c0de151bf.css", "")),
            ("fail", trail("/static/a.cc0c0de151bf.css", "max-age=7200")),
            ("fail", trail("/static/a.cc0c0de151bf.css", "public, max-age=31536000")),
            ("fail", Trail { cookies: vec!["csrftoken".to_owned()], ..trail("/static/a.cc0c0de151bf.css", KEEP) }),
            ("pass", Trail { cookies: vec!["__cf_bm".to_owned()], ..trail("/static/a.cc0c0de151bf.css", KEEP) }),
            ("fail", Trail { status: 404, ..trail("/static/a.cc0c0de151bf.css", KEEP) }),
        ] {
            assert_eq!(check.judge(&files(vec![trail.clone()])).word(), word, "{trail:?}");
        }
    }
}
