//! Do static files come out of the bucket?

use serde::Deserialize;

use super::{FILES, Files, judge_each, look};
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::http::answer::Trail;

/// `storage.static-from-bucket`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FromBucket {
    /// Files looked at, at most.
    files: usize,
}

impl Default for FromBucket {
    fn default() -> Self {
        Self { files: FILES }
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
        let outcome = judge_each(&files.files, |file| {
            let trail = &file.trail;
            let seen = match (trail.status, &trail.bucket, through_app(trail)) {
                (200, Some(_), false) => return None,
                (200, Some(_), true) => format!("{} comes from the bucket, but through the app", trail.path),
                (200, None, _) => format!("{} shows no sign of a bucket (x-amz-request-id)", trail.path),
                (status, ..) => format!("{} answers {status}", trail.path),
            };
            Some(Finding { seen, todo: format!("{TODO}; {}", file.curl()) })
        });
        // The edge has them, whoever made them: WhiteNoise behind a CDN, or a CDN that strips the bucket's headers.
        let carried = |t: &Trail| t.status == 200 && (t.from_cache() || (t.bucket.is_some() && !through_app(t)));
        match outcome {
            CheckOutcome::Fail(findings) if files.files.iter().all(|f| carried(&f.trail)) => {
                CheckOutcome::Weak(findings)
            }
            outcome => outcome,
        }
    }
}

/// True when the app, or the platform that runs it, passed the answer on.
fn through_app(trail: &Trail) -> bool {
    trail.platform.is_some() || trail.origin_signs.iter().any(|sign| !sign.starts_with("x-amz-"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{KEEP, files, trail};
    use super::*;

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
            ("weak", vec![good.clone(), whitenoise.clone()]),
            // What the app's platform wrote on its answer stays on the copy in the edge's cache.
            ("weak", vec![good.clone(), Trail { platform: Some("r".to_owned()), ..whitenoise }]),
            ("pass", vec![Trail { edge: false, cdn: Some("CloudFront".to_owned()), ..good }]),
        ] {
            assert_eq!(check.judge(&files(trails)).word(), word);
        }
    }
}
