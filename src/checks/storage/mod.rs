//! Static files: do they come out of a bucket, under which names, and who may keep them?

mod bucket;
mod cors;
mod immutable;
mod listing;
mod names;
mod setting;
mod via_edge;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::domain::check::{CheckOutcome, Finding, Missing};
use crate::domain::text::tame;
use crate::probes::ProbeError;
use crate::probes::http::answer::Trail;
use crate::probes::http::assets::bare_bucket;

use super::assets::{abreast, static_files};
use super::{Context, Entry};

/// The checks of this group.
pub const CHECKS: &[Entry] = &[
    Entry::of::<bucket::FromBucket>(),
    Entry::of::<names::Hashed>(),
    Entry::of::<names::Unsigned>(),
    Entry::of::<immutable::Immutable>(),
    Entry::of::<via_edge::ViaEdge>(),
    Entry::of::<listing::NotListable>(),
    Entry::of::<cors::CorsStable>(),
    Entry::of::<setting::SettingEffective>(),
];

/// Findings shown; one remedy mends them all.
const SHOWN: usize = 4;
/// Files looked at, at most, unless a playbook says otherwise.
const FILES: usize = 24;

/// What a page's files are like.
#[derive(Debug, Serialize, Deserialize)]
struct Files {
    files: Vec<File>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct File {
    /// Host and port.
    host: String,
    /// The address without its query: a signature is in there.
    address: String,
    trail: Trail,
    /// The parameter of its address that signs it.
    signed_by: Option<String>,
    /// The address has a query.
    query: bool,
    /// The host is a bucket's own.
    bare: bool,
}

impl File {
    fn of(url: &Url, trail: Trail) -> Self {
        let mut bare_address = url.clone();
        bare_address.set_query(None);
        Self {
            host: tame(&url[url::Position::BeforeHost..url::Position::AfterPort], 120),
            address: tame(bare_address.as_str(), 200),
            trail,
            signed_by: url.query_pairs().map(|(name, _)| tame(&name, 40)).find(|name| names::signs(name)),
            query: url.query().is_some_and(|query| !query.is_empty()),
            bare: bare_bucket(url),
        }
    }

    /// The line that shows it to people.
    fn curl(&self) -> String {
        format!("see it: curl -sI '{}'", self.address)
    }
}

/// Every file once; again where the first answer only filled the edge's cache.
async fn look(ctx: &Context<'_>, limit: usize) -> Result<Files, Missing> {
    let http = &ctx.probes.http;
    let asked = static_files(ctx, limit).await?.into_iter().map(|asset| async move {
        let ask = || http.ask(reqwest::Method::GET, Ok(asset.url.clone())).send();
        let mut trail = ask().await?.trail();
        if trail.may_be_kept() && !trail.from_cache() {
            trail = ask().await?.trail();
        }
        Ok::<_, ProbeError>(File::of(&asset.url, trail))
    });
    let files = abreast(asked.collect()).await.into_iter().collect::<Result<_, _>>()?;
    Ok(Files { files })
}

fn judge_each(files: &[File], problem: impl Fn(&File) -> Option<Finding>) -> CheckOutcome {
    if files.is_empty() {
        return CheckOutcome::Unknown(Missing::new(
            "no static file was looked at",
            "name public pages in rampup.toml: [site] public_pages",
        ));
    }
    let findings: Vec<Finding> = files.iter().filter_map(problem).collect();
    if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(shown(findings)) }
}

/// The first findings, and how many more there are.
fn shown(mut findings: Vec<Finding>) -> Vec<Finding> {
    let all = findings.len();
    findings.truncate(SHOWN);
    if all > SHOWN {
        findings[SHOWN - 1].seen.push_str(&format!(" (and {} more files)", all - SHOWN));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const KEEP: &str = "public, max-age=31536000, immutable";

    pub(super) fn trail(path: &str, cache_control: &str) -> Trail {
        Trail {
            path: path.to_owned(),
            status: 200,
            edge: true,
            bucket: Some("id".to_owned()),
            cache_control: cache_control.to_owned(),
            ..Trail::default()
        }
    }

    pub(super) fn files(trails: Vec<Trail>) -> Files {
        let at =
            |trail: Trail| File::of(&Url::parse("https://static.shop.test").unwrap().join(&trail.path).unwrap(), trail);
        Files { files: trails.into_iter().map(at).collect() }
    }

    pub(super) fn file(address: &str) -> File {
        let url = Url::parse(address).unwrap();
        let trail = trail(url.path(), KEEP);
        File::of(&url, trail)
    }

    #[test]
    fn a_long_list_is_cut_but_counted() {
        let finding = || Finding { seen: "x".to_owned(), todo: "y".to_owned() };
        let outcome = judge_each(&files(vec![trail("/static/a.css", ""); 9]).files, |_| Some(finding()));
        assert!(outcome.seen().contains("and 5 more files"), "{}", outcome.seen());
    }

    #[test]
    fn no_signature_is_kept() {
        let file = file("https://b.test/a.css?X-Amz-Signature=s3cret&X-Amz-Credential=AKIA");
        let kept = serde_json::to_string(&file).unwrap();
        assert!(!kept.contains("s3cret") && !kept.contains("AKIA"), "{kept}");
        assert_eq!(file.signed_by.as_deref(), Some("X-Amz-Signature"));
    }
}
