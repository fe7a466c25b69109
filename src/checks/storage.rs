//! Static files: do they come out of a bucket, and may browsers keep them?

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::http::answer::Trail;

use super::assets::static_files;
use super::{Check, Context, Entry};

/// The checks of this group.
pub const CHECKS: &[Entry] = &[Entry::of::<FromBucket>(), Entry::of::<Immutable>()];

/// Findings shown; one remedy mends them all.
const SHOWN: usize = 4;
/// A year, seconds.
const YEAR: u64 = 31_536_000;

#[derive(Debug, Serialize, Deserialize)]
struct Files {
    files: Vec<File>,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    trail: Trail,
    /// The address carries a signature of its own.
    signed: bool,
}

async fn look(ctx: &Context<'_>, limit: usize) -> Result<Files, Missing> {
    let mut files = Vec::new();
    for asset in static_files(ctx, limit).await? {
        let signed = asset.url.query_pairs().any(|(name, _)| matches!(&*name, "X-Amz-Signature" | "Signature"));
        let answer = ctx.probes.http.ask(reqwest::Method::GET, Ok(asset.url)).send().await?;
        files.push(File { trail: answer.trail(), signed });
    }
    Ok(Files { files })
}

fn judge_each(files: &Files, problem: impl Fn(&File) -> Option<Finding>) -> CheckOutcome {
    if files.files.is_empty() {
        return CheckOutcome::Unknown(Missing::new(
            "no static file was looked at",
            "name public pages in rampup.toml: [site] public_pages",
        ));
    }
    let mut findings: Vec<Finding> = files.files.iter().filter_map(problem).collect();
    let all = findings.len();
    findings.truncate(SHOWN);
    if all > SHOWN {
        findings[SHOWN - 1].seen.push_str(&format!(" (and {} more files)", all - SHOWN));
    }
    if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
}

/// `storage.static-from-bucket`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FromBucket {
    /// Files looked at, at most.
    files: usize,
}

impl Default for FromBucket {
    fn default() -> Self {
        Self { files: 24 }
    }
}

impl Check for FromBucket {
    const ID: &'static str = "storage.static-from-bucket";
    const TITLE: &'static str = "static files come out of the bucket, not out of the app";
    const ABOUT: &'static str = "Fetches every script, style, icon and image that the public pages need, and what the styles need in \
        turn, and looks at who made the answer: S3 signs with x-amz-request-id, the app or its platform with headers of their own. \
        Traps: pages that point to the bucket while the images inside the styles do not, files that the app merely passes on, \
        files served by WhiteNoise behind a cache (shown as weak).";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://django-storages.readthedocs.io/en/latest/backends/amazon-S3.html",
        "https://docs.djangoproject.com/en/5.2/howto/static-files/deployment/",
    ];
    type Facts = Files;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Files, Missing> {
        look(ctx, self.files).await
    }

    fn judge(&self, files: &Files) -> CheckOutcome {
        const TODO: &str = "set STORAGES[\"staticfiles\"] to an S3 backend (django-storages), run collectstatic, and let STATIC_URL or the \
            edge lead to the bucket; DEFAULT_FILE_STORAGE and STATICFILES_STORAGE are ignored since Django 5.1";
        let through_app = |t: &Trail| t.platform.is_some() || t.origin_signs.iter().any(|s| !s.starts_with("x-amz-"));
        let outcome = judge_each(files, |File { trail, .. }| {
            let seen = match (trail.status, &trail.bucket, through_app(trail)) {
                (200, Some(_), false) => return None,
                (200, Some(_), true) => format!("{} comes from the bucket, but through the app", trail.path),
                (200, None, _) => format!("{} shows no sign of a bucket (x-amz-request-id)", trail.path),
                (status, ..) => format!("{} answers {status}", trail.path),
            };
            Some(Finding { seen, todo: TODO.to_owned() })
        });
        // The edge carries them, but nothing says that a bucket is behind it: WhiteNoise, or headers stripped.
        let carried = |t: &Trail| t.status == 200 && !through_app(t) && (t.bucket.is_some() || t.from_cache());
        match outcome {
            CheckOutcome::Fail(findings) if files.files.iter().all(|f| carried(&f.trail)) => {
                CheckOutcome::Weak(findings)
            }
            outcome => outcome,
        }
    }
}

/// `storage.static-immutable`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Immutable {
    /// Files looked at, at most.
    files: usize,
}

impl Default for Immutable {
    fn default() -> Self {
        Self { files: 24 }
    }
}

impl Check for Immutable {
    const ID: &'static str = "storage.static-immutable";
    const TITLE: &'static str = "browsers may keep static files for a year, safely";
    const ABOUT: &'static str = "Each static file must carry its content's hash in its name and Cache-Control with max-age of a year and \
        immutable, and neither a cookie nor a signature in its address. Traps: a year on a name without a hash (visitors keep the \
        old file for that year), ?v=1 instead of a hash, signed addresses that change all the time (querystring_auth is on by \
        default), lifetimes that only the edge made up.";
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
        judge_each(files, |File { trail, signed }| {
            let path = &trail.path;
            let finding = |seen: String, todo: &str| Some(Finding { seen, todo: todo.to_owned() });
            let year = trail.directive("max-age").and_then(|v| v.parse::<u64>().ok()).is_some_and(|s| s >= YEAR);
            if trail.status != 200 {
                return finding(
                    format!("{path} answers {}", trail.status),
                    "run collectstatic, so that the pages' files exist in the bucket",
                );
            }
            if *signed {
                return finding(
                    format!("{path} has a signature in its address"),
                    "set querystring_auth to False for the static files' storage",
                );
            }
            if !hashed(path) {
                return finding(
                    format!("{path} has no hash in its name"),
                    "use a manifest storage for STORAGES[\"staticfiles\"] (S3ManifestStaticStorage), and refer to files by {% static %}",
                );
            }
            if !year || trail.directive("immutable").is_none() {
                let said = if trail.cache_control.is_empty() { "no Cache-Control" } else { &trail.cache_control };
                return finding(
                    format!("{path} may not be kept for a year: {said}"),
                    "set object_parameters = {\"CacheControl\": \"public, max-age=31536000, immutable\"} for the static files' storage and run collectstatic again",
                );
            }
            if trail.sets_cookie {
                return finding(
                    format!("{path} sets a cookie"),
                    "serve static files from a path or host where nothing sets cookies",
                );
            }
            None
        })
    }
}

/// True when a file's name holds a hash of its content: Django's 12 hex digits, or a bundler's 8 and more letters.
fn hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let django = name
        .split('.')
        .skip(1)
        .any(|part| part.len() == 12 && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    // Bundlers write name-3fk_9Aq2.js or name.3fk29aq2.js; a word like "-bootstrap" has no digit.
    let stem = name.split('.').collect::<Vec<_>>();
    let bundler = stem.iter().take(stem.len().saturating_sub(1)).any(|part| {
        let last = part.split_once('-').map_or(*part, |(_, rest)| rest);
        (8..=64).contains(&last.len())
            && last.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
            && last.bytes().filter(u8::is_ascii_digit).count() >= 2
            && last.bytes().any(|b| b.is_ascii_alphabetic())
    });
    django || bundler
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(path: &str, cache_control: &str) -> Trail {
        Trail {
            path: path.to_owned(),
            status: 200,
            edge: true,
            bucket: Some("id".to_owned()),
            cache_control: cache_control.to_owned(),
            ..Trail::default()
        }
    }

    fn files(trails: Vec<Trail>) -> Files {
        Files { files: trails.into_iter().map(|trail| File { trail, signed: false }).collect() }
    }

    const KEEP: &str = "public, max-age=31536000, immutable";

    #[test]
    fn bucket_traps() {
        let check = FromBucket::default();
        let good = trail("/static/a.cc0c0de151bf.css", KEEP);
        let app = Trail { bucket: None, origin_signs: vec!["x-frame-options: DENY".to_owned()], ..good.clone() };
        let passed_on = Trail { platform: Some("r".to_owned()), ..good.clone() };
        let whitenoise = Trail { bucket: None, cache: Some("HIT".to_owned()), ..good.clone() };
        let plain = Trail { bucket: None, ..good.clone() };
        for (word, trails) in [
            ("pass", vec![good.clone(), good.clone()]),
            ("unknown", vec![]),
            ("fail", vec![app]),
            ("fail", vec![plain.clone()]),
            // The page's files are in the bucket, an image inside a style is not.
            ("fail", vec![good.clone(), good.clone(), plain]),
            ("fail", vec![passed_on]),
            ("fail", vec![Trail { status: 404, ..good.clone() }]),
            ("weak", vec![good, whitenoise]),
        ] {
            assert_eq!(check.judge(&files(trails)).word(), word);
        }
    }

    #[test]
    fn immutable_traps() {
        let check = Immutable::default();
        for (word, trail) in [
            ("pass", trail("/static/a.cc0c0de151bf.css", KEEP)),
            ("pass", trail("/assets/index-B3fk_9Aq2x.js", KEEP)),
            ("fail", trail("/static/a.css", KEEP)),
            ("fail", trail("/static/theme-bootstrap.css", KEEP)),
            ("fail", trail("/static/a.cc0c0de151bf.css", "")),
            ("fail", trail("/static/a.cc0c0de151bf.css", "max-age=7200")),
            ("fail", trail("/static/a.cc0c0de151bf.css", "public, max-age=31536000")),
            ("fail", Trail { sets_cookie: true, ..trail("/static/a.cc0c0de151bf.css", KEEP) }),
            ("fail", Trail { status: 404, ..trail("/static/a.cc0c0de151bf.css", KEEP) }),
        ] {
            assert_eq!(check.judge(&files(vec![trail.clone()])).word(), word, "{trail:?}");
        }
        let signed = Files { files: vec![File { trail: trail("/static/a.cc0c0de151bf.css", KEEP), signed: true }] };
        assert_eq!(check.judge(&signed).word(), "fail");
    }

    #[test]
    fn a_long_list_is_cut_but_counted() {
        let outcome = Immutable::default().judge(&files(vec![trail("/static/a.css", ""); 9]));
        assert!(outcome.seen().contains("and 5 more files"), "{}", outcome.seen());
    }
}
