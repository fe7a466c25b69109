//! Does the bucket tell strangers what lies in it?

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::checks::assets::static_files;
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::bucket::{Asked, list};
use crate::probes::http::assets::bare_bucket;

/// `storage.bucket-not-listable`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NotListable {
    /// Files whose hosts are asked, at most.
    files: usize,
}

impl Default for NotListable {
    fn default() -> Self {
        Self { files: super::FILES }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ListFacts {
    /// The hosts and folders that visitors load files from.
    fronts: Vec<Asked>,
    /// The bucket's own address.
    bucket: Vec<Asked>,
}

impl Check for NotListable {
    const ID: &'static str = "storage.bucket-not-listable";
    const TITLE: &'static str = "strangers cannot list the bucket";
    const ABOUT: &'static str = "Asks without any key what lies in the bucket, in both of S3's ways: at the host and the folder that the pages' \
        files come from, and at the bucket's own address. No answer may name keys, and the bucket itself must have said no \
        (AccessDenied). Traps: an edge that hides / while the bucket's own address lists, an address of another region (its \
        redirect is followed: it is no refusal), a website address, which never lists, and a name of no bucket (NoSuchBucket).";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html",
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html",
    ];
    type Facts = ListFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<ListFacts, Missing> {
        let (http, site) = (&ctx.probes.http, &ctx.probes.site);
        let (mut fronts, mut buckets) = (BTreeSet::new(), BTreeSet::new());
        for asset in static_files(ctx, self.files).await? {
            let roots = roots(&asset.url);
            if bare_bucket(&asset.url) {
                buckets.extend(roots)
            } else {
                fronts.extend(roots)
            };
        }
        if let Some(named) = &site.bucket {
            if named.host_str().is_some_and(|host| host.contains("s3-website")) {
                return Err(Missing::new(
                    "a website address never lists, whatever the bucket allows",
                    "name the bucket's other address in rampup.toml: [site] bucket = \"https://NAME.s3.REGION.amazonaws.com/\"",
                ));
            }
            buckets.insert(named.clone());
        }
        let mut facts = ListFacts { fronts: Vec::new(), bucket: Vec::new() };
        for root in fronts {
            facts.fronts.extend(list(http, &root).await?);
        }
        for root in buckets {
            facts.bucket.extend(list(http, &root).await?);
        }
        Ok(facts)
    }

    fn judge(&self, facts: &ListFacts) -> CheckOutcome {
        let mut findings: Vec<Finding> = Vec::new();
        for asked in facts.fronts.iter().chain(&facts.bucket).filter(|asked| asked.listed) {
            findings.push(Finding {
                seen: format!("anybody may read what lies in the bucket: {} lists it", asked.address),
                todo: format!(
                    "take s3:ListBucket (and ACL grants of READ to everyone) away from the bucket; s3:GetObject on static/* is enough. \
                     See it: curl -s '{}'",
                    asked.address
                ),
            });
        }
        if !findings.is_empty() {
            findings.truncate(4);
            return CheckOutcome::Fail(findings);
        }
        let name_it = "name its own address in rampup.toml, with the bucket in it: [site] bucket = \
             \"https://NAME.s3.REGION.amazonaws.com/\" (or \"https://ACCOUNT.r2.cloudflarestorage.com/NAME/\")";
        if facts.bucket.is_empty() {
            return CheckOutcome::Unknown(Missing::new(
                "nothing lists at your own hosts, but the bucket's own address is not known",
                name_it,
            ));
        }
        match facts.bucket.iter().find(|asked| !refused(asked)) {
            None => CheckOutcome::Pass,
            Some(odd) => {
                let said = odd.moved.as_ref().map(|to| format!(", and points to {to}"));
                let code = odd.code.as_ref().map(|code| format!(" {code}"));
                CheckOutcome::Unknown(Missing::new(
                    format!(
                        "{} answered {}{}{}: neither a list nor a refusal",
                        odd.address,
                        odd.status,
                        code.unwrap_or_default(),
                        said.unwrap_or_default()
                    ),
                    name_it,
                ))
            }
        }
    }
}

/// The storage itself said no: 4xx with a word for it. R2 calls a request without a key an invalid one.
fn refused(asked: &Asked) -> bool {
    const REFUSALS: [&str; 6] = [
        "AccessDenied",
        "AllAccessDisabled",
        "InvalidSecurity",
        "Unauthorized",
        "InvalidArgument",
        "AuthenticationRequired",
    ];
    matches!(asked.status, 400 | 401 | 403) && asked.code.as_deref().is_some_and(|code| REFUSALS.contains(&code))
}

/// The host's root, and the first folder: an edge may lead only that one to the bucket, or the bucket's name is there.
fn roots(file: &Url) -> Vec<Url> {
    let mut root = file.clone();
    root.set_query(None);
    root.set_path("/");
    let folder = file.path_segments().and_then(|mut parts| {
        let first = parts.next()?;
        parts.next().map(|_| first.to_owned())
    });
    let below = folder.and_then(|folder| root.join(&format!("{folder}/")).ok());
    // Where the bucket's name is in the host, a folder is no bucket.
    let by_host = bare_bucket(file) && file.host_str().is_some_and(|host| host.split('.').count() > 4);
    std::iter::once(root).filter(|_| !bare_bucket(file) || by_host).chain(below.filter(|_| !by_host)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(status: u16, code: Option<&str>) -> Asked {
        Asked { address: "https://b.test/".to_owned(), status, code: code.map(str::to_owned), ..Asked::default() }
    }

    #[test]
    fn listing_traps() {
        let check = NotListable::default();
        let judge = |fronts: &[Asked], bucket: &[Asked]| {
            check.judge(&ListFacts { fronts: fronts.to_vec(), bucket: bucket.to_vec() }).word()
        };
        let (no, page) = (asked(403, Some("AccessDenied")), asked(200, None));
        let listed = Asked { listed: true, ..asked(200, None) };
        assert_eq!(judge(std::slice::from_ref(&page), &[no.clone(), no.clone()]), "pass");
        assert_eq!(judge(&[], &[asked(400, Some("InvalidArgument"))]), "pass");
        assert_eq!(judge(std::slice::from_ref(&listed), std::slice::from_ref(&no)), "fail");
        // The edge hides it, the bucket's own address lists; one way of asking is enough.
        assert_eq!(judge(&[page.clone(), no.clone()], &[no.clone(), listed]), "fail");
        // At a host of one's own a refusal may be about a file of the name "/".
        assert_eq!(judge(std::slice::from_ref(&no), &[]), "unknown");
        for odd in [
            Asked { moved: Some("b.test".to_owned()), ..asked(301, Some("PermanentRedirect")) },
            asked(404, Some("NoSuchBucket")),
            // An edge's own refusal, and a page.
            asked(403, None),
            page,
        ] {
            assert_eq!(judge(&[], &[no.clone(), odd.clone()]), "unknown", "{odd:?}");
        }
    }

    #[test]
    fn roots_are_where_a_bucket_may_be() {
        let of = |url: &str| roots(&Url::parse(url).unwrap()).iter().map(Url::to_string).collect::<Vec<_>>();
        assert_eq!(of("https://s.shop.test/static/a.css?x=1"), ["https://s.shop.test/", "https://s.shop.test/static/"]);
        assert_eq!(of("https://s.shop.test/a.css"), ["https://s.shop.test/"]);
        assert_eq!(of("https://b.s3.eu-west-1.amazonaws.com/static/a.css"), ["https://b.s3.eu-west-1.amazonaws.com/"]);
        assert_eq!(of("https://s3.eu-west-1.amazonaws.com/b/a.css"), ["https://s3.eu-west-1.amazonaws.com/b/"]);
    }
}
