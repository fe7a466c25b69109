//! Does the host of the static files stand behind the edge?

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{FILES, File, Files, look, shown};
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::http::assets::bare_bucket;

/// `storage.static-via-edge`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ViaEdge {
    /// Files looked at, at most.
    files: usize,
}

impl Default for ViaEdge {
    fn default() -> Self {
        Self { files: FILES }
    }
}

impl Check for ViaEdge {
    const ID: &'static str = "storage.static-via-edge";
    const TITLE: &'static str = "the host of the static files stands behind the edge";
    const ABOUT: &'static str = "Looks at every host from which the public pages and their styles load files: none may be a bucket's own \
        address, none may lead there by a redirect, and each answer must bear an edge's mark (Cloudflare, CloudFront, Fastly, Railway's \
        CDN …). Traps: pages that link to the bucket directly (S3 yes, edge no), a development address of R2 that bears a cf-ray \
        all the same, one of two hosts left out, and a cache of one's own that merely writes x-cache (weak).";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://developers.cloudflare.com/dns/proxy-status/",
        "https://developers.cloudflare.com/r2/buckets/public-buckets/",
        "https://django-storages.readthedocs.io/en/latest/backends/amazon-S3.html",
    ];
    type Facts = Files;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Files, Missing> {
        look(ctx, self.files).await
    }

    fn judge(&self, files: &Files) -> CheckOutcome {
        if files.files.is_empty() {
            return CheckOutcome::Unknown(Missing::new(
                "no static file was looked at",
                "name public pages in rampup.toml: [site] public_pages",
            ));
        }
        let mut hosts: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
        for file in &files.files {
            hosts.entry(&file.host).or_default().push(file);
        }
        let (mut failed, mut weak) = (Vec::new(), Vec::new());
        for (host, files) in hosts {
            let shed = |file: &&&File| file.trail.carrier().is_none() && file.trail.platform_cache.is_none();
            if let Some(file) = files.iter().find(|file| file.bare) {
                failed.push(Finding {
                    seen: format!("{} comes straight from the bucket's own address {host}", file.trail.path),
                    todo: format!(
                        "make a name of your own before the bucket (static.example.com), proxied by the edge, and let custom_domain in \
                         STORAGES[\"staticfiles\"] and STATIC_URL say that name instead of {host}"
                    ),
                });
            } else if let Some((file, to)) = files.iter().find_map(|file| Some((file, to_bucket(file)?))) {
                failed.push(Finding {
                    seen: format!("{} is redirected to the bucket's own address {to}", file.trail.path),
                    todo: format!("let the edge fetch from {to} as its origin instead of sending visitors there"),
                });
            } else if let Some(file) = files.iter().find(shed) {
                failed.push(Finding {
                    seen: format!(
                        "{} of {host} did not pass through an edge (no cf-ray, no mark of another CDN)",
                        file.trail.path
                    ),
                    todo: format!(
                        "switch the proxy on (orange cloud) for {host}, or put another CDN before it; {}",
                        file.curl()
                    ),
                });
            } else if let Some(file) = files.iter().find(|file| file.trail.carrier().is_none()) {
                weak.push(Finding {
                    seen: format!("{host} writes x-cache on {}, but no CDN that is known here bears that mark", file.trail.path),
                    todo: "if this is your own proxy before the bucket, put an edge in front: it alone is near your visitors"
                        .to_owned(),
                });
            }
        }
        match (failed.is_empty(), weak.is_empty()) {
            (false, _) => CheckOutcome::Fail(shown(failed)),
            (true, false) => CheckOutcome::Weak(shown(weak)),
            (true, true) => CheckOutcome::Pass,
        }
    }
}

/// The bucket's host, where an answer sends visitors there.
fn to_bucket(file: &File) -> Option<String> {
    let to = url::Url::parse(file.trail.location.as_deref()?).ok()?;
    bare_bucket(&to).then(|| to.host_str().map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::super::tests::{file, files};
    use super::*;
    use crate::probes::http::answer::Trail;

    #[test]
    fn edge_traps() {
        let check = ViaEdge::default();
        let judge = |files: Vec<File>| check.judge(&Files { files });
        let good = file("https://static.shop.test/a.js");
        let with = |change: &dyn Fn(&mut Trail)| {
            let mut file = good.clone();
            change(&mut file.trail);
            file
        };
        let grey = with(&|t| t.edge = false);
        assert_eq!(judge(vec![good.clone()]).word(), "pass");
        for cdn in ["CloudFront", "Railway's CDN"] {
            assert_eq!(judge(vec![with(&|t| (t.edge, t.cdn) = (false, Some(cdn.to_owned())))]).word(), "pass", "{cdn}");
        }
        assert_eq!(judge(vec![]).word(), "unknown");
        assert_eq!(judge(vec![grey.clone()]).word(), "fail");
        // One of two hosts is left out.
        let other = File { host: "img.shop.test".to_owned(), ..grey };
        assert!(judge(vec![good.clone(), other]).seen().contains("img.shop.test"));
        assert_eq!(judge(vec![file("https://b.s3.eu-west-1.amazonaws.com/a.js")]).word(), "fail");
        // R2's development address bears a cf-ray.
        assert_eq!(judge(vec![file("https://pub-1.r2.dev/a.js")]).word(), "fail");
        let sent = with(&|t| {
            (t.status, t.location) = (302, Some("https://b.s3.amazonaws.com/a.js?X-Amz-Signature=s".to_owned()))
        });
        let outcome = judge(vec![sent]);
        assert!(outcome.word() == "fail" && !outcome.seen().contains("Signature"), "{}", outcome.seen());
        let own_proxy = with(&|t| (t.edge, t.platform_cache) = (false, Some("HIT".to_owned())));
        assert_eq!(judge(vec![own_proxy]).word(), "weak");
        assert_eq!(check.judge(&files(vec![])).word(), "unknown");
    }
}
