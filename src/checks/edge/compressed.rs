//! Are scripts and styles compressed on their way?

use serde::{Deserialize, Serialize};

use crate::checks::assets::{abreast, static_files};
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::ProbeError;
use crate::probes::http::answer::Trail;

/// Under this size compression gains nothing that anybody feels, and CDNs leave it alone (CloudFront under 1000 bytes).
const SMALL: usize = 1024;

/// `edge.static-compressed`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Compressed {
    /// Files asked for, at most.
    files: usize,
}

impl Default for Compressed {
    fn default() -> Self {
        Self { files: 16 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CompressedFacts {
    files: Vec<Sized>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Sized {
    trail: Trail,
    /// `content-encoding`
    encoding: Option<String>,
    /// Bytes on the wire.
    bytes: usize,
}

impl Check for Compressed {
    const ID: &'static str = "edge.static-compressed";
    const TITLE: &'static str = "scripts and styles travel compressed";
    const ABOUT: &'static str = "Asks for static files as browsers do (Accept-Encoding: gzip, br, zstd) and looks at the answer's \
        Content-Encoding: scripts, styles, SVG and JSON of a kilobyte and more must come compressed. Traps: pictures and fonts, \
        which are compressed already, small files, which gain nothing, and an HTTP client that unpacks and hides what it got.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://developers.cloudflare.com/speed/optimization/content/compression/",
        "https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html",
    ];
    type Facts = CompressedFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<CompressedFacts, Missing> {
        let http = &ctx.probes.http;
        let asked = static_files(ctx, self.files).await?.into_iter().map(|asset| async move {
            let answer = http.ask(reqwest::Method::GET, Ok(asset.url)).packed().send().await?;
            let encoding = answer.header("content-encoding").map(|e| e.trim().to_ascii_lowercase());
            Ok::<_, ProbeError>(Sized { trail: answer.trail(), encoding, bytes: answer.body.len() })
        });
        Ok(CompressedFacts { files: abreast(asked.collect()).await.into_iter().collect::<Result<_, _>>()? })
    }

    fn judge(&self, facts: &CompressedFacts) -> CheckOutcome {
        if facts.files.is_empty() {
            return CheckOutcome::Unknown(Missing::new(
                "no static file was asked for",
                "name public pages in rampup.toml: [site] public_pages",
            ));
        }
        let packed = |file: &Sized| file.encoding.as_deref().is_some_and(|e| !e.is_empty() && e != "identity");
        let counts = |file: &&Sized| {
            file.trail.status == 200 && text(&file.trail.content_type) && (packed(file) || file.bytes >= SMALL)
        };
        let counted: Vec<&Sized> = facts.files.iter().filter(counts).collect();
        if counted.is_empty() {
            return CheckOutcome::NotApplicable(
                "no script, style or SVG of a kilobyte or more is among the files".to_owned(),
            );
        }
        let plain = |file: &&&Sized| !packed(file);
        let mut findings: Vec<Finding> = counted.iter().filter(plain).map(|file| finding(file)).collect();
        findings.truncate(4);
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

fn finding(file: &Sized) -> Finding {
    let Sized { trail, bytes, .. } = file;
    let todo = if trail.directive("no-transform").is_some() {
        "take no-transform out of the files' Cache-Control: it forbids the edge to compress them"
    } else {
        "switch compression on at the edge (Cloudflare: Speed, Brotli; CloudFront: \"Compress objects automatically\"), and give \
         the objects their right Content-Type: edges compress by type"
    };
    Finding {
        seen: format!("{} ({}) came uncompressed, {bytes} bytes", trail.path, trail.content_type),
        todo: todo.to_owned(),
    }
}

/// Text by its type; pictures, fonts and archives are compressed in themselves.
fn text(content_type: &str) -> bool {
    content_type.starts_with("text/")
        || ["javascript", "json", "xml"].iter().any(|end| content_type.ends_with(end))
        || content_type == "application/wasm"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_traps() {
        let check = Compressed::default();
        let file = |content_type: &str, encoding: Option<&str>, bytes| Sized {
            trail: Trail {
                path: "/a".to_owned(),
                status: 200,
                content_type: content_type.to_owned(),
                ..Trail::default()
            },
            encoding: encoding.map(str::to_owned),
            bytes,
        };
        let judge = |files: &[Sized]| check.judge(&CompressedFacts { files: files.to_vec() });
        let good = file("text/css", Some("br"), 300);
        assert_eq!(judge(&[good.clone(), file("application/javascript", Some("gzip"), 9000)]).word(), "pass");
        assert_eq!(judge(&[]).word(), "unknown");
        // Pictures and fonts do not count, in neither direction.
        let pictures =
            [file("image/png", None, 90_000), file("font/woff2", None, 90_000), file("image/webp", Some("gzip"), 9)];
        assert_eq!(judge(&pictures).word(), "n/a");
        assert_eq!(judge(&[good.clone(), pictures[0].clone()]).word(), "pass");
        assert_eq!(judge(&[file("text/css", None, 900)]).word(), "n/a");
        for plain in ["text/css", "image/svg+xml", "text/javascript", "application/json"] {
            assert_eq!(judge(&[good.clone(), file(plain, None, 5000)]).word(), "fail", "{plain}");
        }
        assert_eq!(judge(&[file("text/css", Some("identity"), 5000)]).word(), "fail");
        let mut forbidden = file("text/css", None, 5000);
        forbidden.trail.cache_control = "public, no-transform".to_owned();
        let CheckOutcome::Fail(findings) = judge(&[forbidden]) else { panic!() };
        assert!(findings[0].todo.contains("no-transform"));
    }
}
