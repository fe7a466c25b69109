//! `[site.railway]` and `[site.cloudflare]`: what the clouds call the site, and where they may be asked.

use url::Url;

use crate::domain::clouds::{self, Cloudflare, Railway, may_have_token};

use super::faults::Faults;
use super::raw;

/// What stands in `[site.railway]`.
pub(super) fn railway(file: &raw::Railway, faults: &mut Faults<'_>) -> Option<Railway> {
    let section = ["site", "railway"];
    let named = [
        ("service", Some(&file.service)),
        ("environment", Some(&file.environment)),
        ("project", file.project.as_ref()),
    ];
    for (key, _) in named.iter().filter(|(_, name)| name.is_some_and(|name| name.trim().is_empty())) {
        faults.add(&[section[0], section[1], key], format!("{key} is empty; write what Railway calls it"));
    }
    let api = api(file.api.as_ref(), clouds::RAILWAY, &section, faults)?;
    Some(Railway {
        api,
        project: file.project.clone(),
        environment: file.environment.clone(),
        service: file.service.clone(),
    })
}

/// What stands in `[site.cloudflare]`.
pub(super) fn cloudflare(file: &raw::Cloudflare, faults: &mut Faults<'_>) -> Option<Cloudflare> {
    let section = ["site", "cloudflare"];
    let dotted = file.zone.contains('.') && !file.zone.contains("..") && !file.zone.starts_with('.');
    if !dotted || !file.zone.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.')) {
        faults.add(
            &[section[0], section[1], "zone"],
            "zone must be the domain as Cloudflare lists it, without scheme and path; write for example \"shop.example\"",
        );
    }
    Some(Cloudflare { api: api(file.api.as_ref(), clouds::CLOUDFLARE, &section, faults)?, zone: file.zone.clone() })
}

/// Where the API is asked: at the vendor's, unless an address of this machine stands in for it.
fn api(written: Option<&Url>, vendor: &str, section: &[&str; 2], faults: &mut Faults<'_>) -> Option<Url> {
    let api = written.cloned().or_else(|| Url::parse(&format!("https://{vendor}")).ok())?;
    if may_have_token(&api, vendor) {
        return Some(api);
    }
    let what = format!(
        "api must be https://{vendor} or an address of this machine, like http://127.0.0.1:9000: the token goes nowhere \
         else; leave the line out"
    );
    faults.add(&[section[0], section[1], "api"], what);
    None
}
