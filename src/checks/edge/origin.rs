//! Is the edge the only way in, or does the app answer whoever knows its own address?

mod look;

use serde::{Deserialize, Serialize};
use url::Position;

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::text::tame;

/// `edge.origin-not-bypassable`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OriginNotBypassable {
    /// Public pages asked for at each address, at most.
    pages: usize,
}

impl Default for OriginNotBypassable {
    fn default() -> Self {
        Self { pages: 3 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OriginFacts {
    /// The name that users know, without scheme.
    site: String,
    /// The header by which the app knows the edge, where it is named.
    header: Option<String>,
    addresses: Vec<Address>,
}

/// One address where the app may stand.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Address {
    url: String,
    /// A settings file that it was read from; none when the owner named it in rampup.toml.
    read_from: Option<String>,
    /// Its name leads somewhere.
    exists: bool,
    knocks: Vec<Knock>,
    /// With the edge's key it gave the page; none when there is no key or it was not asked.
    key_opens: Option<bool>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Knock {
    way: Way,
    path: String,
    end: End,
}

/// How a stranger asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Way {
    /// Under the address's own name.
    OwnName,
    /// Under the name that users know.
    SitesName,
    /// The same with the secret header there, and empty.
    EmptyKey,
    /// … and made up.
    MadeUpKey,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum End {
    /// The page that users get through the edge.
    Page,
    /// The edge itself stands at this address.
    Edge,
    /// A refusal, with its status.
    Refused(u16),
    /// Sent to another address.
    Sent(u16),
    /// Nobody has such a page there.
    Absent(u16),
    /// Another page, or a failure.
    Unclear(u16),
    /// No connection: a firewall, or a certificate of the edge was asked for.
    Silent(String),
    /// A connection and no answer in time, or a failure on our side.
    Slow(String),
}

impl Check for OriginNotBypassable {
    const ID: &'static str = "edge.origin-not-bypassable";
    const TITLE: &'static str = "the app answers nobody who walks around the edge";
    const ABOUT: &'static str = "Asks for public pages at the app's own address, which you named or which stands in ALLOWED_HOSTS or \
        CSRF_TRUSTED_ORIGINS (NAME.up.railway.app and the like), under its own name and, by Host and SNI, under your site's; and with \
        the secret header empty and made up. The page that users get must not come: a 403, a closed port or a certificate that only \
        the edge has is fine. Traps: only the platform's name was removed or refused, while its router still leads your own name to \
        the app; a secret that is accepted when it is empty; an address that nobody uses any more (a 404 proves nothing).";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &[
        "https://developers.cloudflare.com/fundamentals/security/protect-your-origin-server/",
        "https://developers.cloudflare.com/rules/transform/request-header-modification/",
    ];
    type Facts = OriginFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<OriginFacts, Missing> {
        let probes = ctx.probes;
        let site = &probes.site;
        let mut pages = Vec::new();
        for path in site.public_pages.iter().take(self.pages.clamp(1, 5)) {
            let page = probes.http.get(path).send().await?;
            if page.status == 200 || page.trail().location.is_some() {
                pages.push((path.clone(), page));
            }
        }
        if pages.is_empty() {
            return Err(Missing::new(
                "no public page answers through the edge, so there is nothing to compare with",
                "name pages that anyone may see in rampup.toml: [site] public_pages",
            ));
        }
        let header = site.edge.as_ref().and_then(|edge| edge.secret_header.clone());
        let name = site.url[Position::BeforeHost..Position::AfterPort].to_owned();
        let mut facts = OriginFacts { site: tame(&name, 120), header, addresses: Vec::new() };
        for (url, read_from) in look::addresses(probes) {
            facts.addresses.push(look::look(probes, &url, read_from, &pages, facts.header.as_deref()).await?);
        }
        Ok(facts)
    }

    fn judge(&self, facts: &OriginFacts) -> CheckOutcome {
        let open: Vec<Finding> = facts.addresses.iter().filter_map(|address| opened(address, facts)).collect();
        if !open.is_empty() {
            return CheckOutcome::Fail(open);
        }
        let provide = "name where the app answers without the edge in rampup.toml: [site] origin = \"https://NAME.up.railway.app\", or \
                       [site.edge] origins = [\"https://203.0.113.7\"] for one that only the edge may ask; the platform's dashboard \
                       shows it, and so does the target of the proxied DNS record";
        let unknown = |what: String| CheckOutcome::Unknown(Missing::new(what, provide));
        if facts.addresses.is_empty() {
            return unknown("the app's own address behind the edge is not known".to_owned());
        }
        let named_open_question =
            facts.addresses.iter().find(|address| address.read_from.is_none() && !closed(address));
        if let Some(address) = named_open_question {
            return unknown(format!("whether {} lets strangers in could not be seen: {}", address.url, seen(address)));
        }
        if facts.addresses.iter().any(closed) {
            return CheckOutcome::Pass;
        }
        let all: Vec<String> = facts.addresses.iter().map(|a| format!("{}: {}", a.url, seen(a))).collect();
        unknown(format!("at the addresses in your settings nobody was found ({})", all.join("; ")))
    }
}

/// True when strangers are seen to be kept out of this address.
fn closed(address: &Address) -> bool {
    let named = address.read_from.is_none();
    let shut = |knock: &Knock| match &knock.end {
        End::Refused(_) | End::Sent(_) => true,
        // Where the owner says that the app stands while the site answers through the edge, silence is a closed door.
        End::Silent(_) => named,
        End::Absent(_) => address.key_opens == Some(true),
        End::Page | End::Edge | End::Unclear(_) | End::Slow(_) => false,
    };
    let asked = |way| address.knocks.iter().any(|knock| knock.way == way);
    asked(Way::OwnName) && asked(Way::SitesName) && address.knocks.iter().all(shut)
}

fn opened(address: &Address, facts: &OriginFacts) -> Option<Finding> {
    let knock = address.knocks.iter().find(|knock| knock.end == End::Page)?;
    let (url, path, site) = (&address.url, &knock.path, &facts.site);
    let header = facts.header.as_deref().unwrap_or("the secret header");
    let how = match knock.way {
        Way::OwnName => String::new(),
        Way::SitesName => format!(" when it is asked for under the name {site}"),
        Way::EmptyKey => format!(" when {header} is empty"),
        Way::MadeUpKey => format!(" with a made-up {header}"),
    };
    let whence = address.read_from.as_ref().map_or_else(String::new, |file| format!(" (it stands in {file})"));
    let key = match knock.way {
        Way::EmptyKey => format!(" -H '{header};'"),
        Way::MadeUpKey => format!(" -H '{header}: x'"),
        Way::OwnName | Way::SitesName => String::new(),
    };
    let show = match (knock.way, url.split_once("://")) {
        (Way::OwnName, _) => format!("curl -sI '{url}{path}'"),
        (_, Some(("https", at))) => format!("curl -skI --connect-to '::{at}:'{key} 'https://{site}{path}'"),
        _ => format!("curl -sI -H 'Host: {site}'{key} '{url}{path}'"),
    };
    let todo = match knock.way {
        Way::EmptyKey | Way::MadeUpKey => format!(
            "let the middleware compare {header} with a value that is never empty (hmac.compare_digest), refuse when the variable is \
             missing, and look that it is set in production"
        ),
        Way::OwnName | Way::SitesName => "let the edge add a secret header (Cloudflare: Transform Rules, modify request header) and a \
            middleware answer 403 without it; removing the platform's name alone does not help, as its router still leads your own \
            name to the app"
            .to_owned(),
    };
    Some(Finding {
        seen: format!(
            "{url}{whence} gives a stranger {path} past the edge{how}: no rate limit and no firewall rule protects it there"
        ),
        todo: format!("{todo}; see it: {show}"),
    })
}

/// What was seen at an address that is not open.
fn seen(address: &Address) -> String {
    if !address.exists {
        return "its name leads nowhere".to_owned();
    }
    let word = |end: &End| match end {
        End::Page => "the page".to_owned(),
        End::Edge => "the edge itself stands there".to_owned(),
        End::Refused(status) | End::Sent(status) | End::Absent(status) => format!("status {status}"),
        End::Unclear(status) => format!("another page or a failure (status {status})"),
        End::Silent(why) | End::Slow(why) => why.clone(),
    };
    let mut words: Vec<String> = address.knocks.iter().map(|knock| word(&knock.end)).collect();
    words.dedup();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(knocks: &[(Way, End)]) -> Address {
        Address {
            url: "https://shop.up.railway.app".into(),
            read_from: None,
            exists: true,
            knocks: knocks.iter().map(|(way, end)| Knock { way: *way, path: "/".into(), end: end.clone() }).collect(),
            key_opens: None,
        }
    }

    fn both(end: End) -> Address {
        address(&[(Way::OwnName, end.clone()), (Way::SitesName, end)])
    }

    #[test]
    fn every_way_past_the_edge_must_be_shut() {
        let refused = || both(End::Refused(403));
        let with = |way, end| {
            let mut address = refused();
            address.knocks.push(Knock { way, path: "/".into(), end });
            address
        };
        let guessed = |address: Address| Address { read_from: Some("config/settings.py".into()), ..address };
        let silent = || both(End::Silent("connection refused".into()));
        let gone = || Address { exists: false, ..address(&[]) };
        for (word, addresses) in [
            ("pass", vec![refused()]),
            ("pass", vec![guessed(refused())]),
            // The app does not know the platform's name (400); a firewall or mutual TLS; a redirect to the site.
            ("pass", vec![both(End::Refused(400))]),
            ("pass", vec![silent()]),
            ("pass", vec![address(&[(Way::OwnName, End::Sent(301)), (Way::SitesName, End::Refused(403))])]),
            ("pass", vec![with(Way::MadeUpKey, End::Refused(403))]),
            ("pass", vec![Address { key_opens: Some(true), ..both(End::Absent(404)) }]),
            // An old name beside the real one.
            ("pass", vec![refused(), guessed(both(End::Absent(404)))]),
            ("pass", vec![refused(), guessed(gone())]),
            ("fail", vec![both(End::Page)]),
            ("fail", vec![refused(), guessed(both(End::Page))]),
            // Only the platform's name is refused, or only the site's.
            ("fail", vec![address(&[(Way::OwnName, End::Refused(403)), (Way::SitesName, End::Page)])]),
            ("fail", vec![address(&[(Way::OwnName, End::Page), (Way::SitesName, End::Refused(403))])]),
            ("fail", vec![address(&[(Way::OwnName, End::Absent(404)), (Way::SitesName, End::Page)])]),
            ("fail", vec![with(Way::EmptyKey, End::Page)]),
            ("fail", vec![with(Way::MadeUpKey, End::Page)]),
            // Nothing known; an address that nobody uses any more; the edge itself; a failure; a name half asked.
            ("unknown", vec![]),
            ("unknown", vec![guessed(both(End::Absent(404)))]),
            ("unknown", vec![both(End::Absent(404))]),
            ("unknown", vec![both(End::Edge)]),
            ("unknown", vec![both(End::Unclear(502))]),
            ("unknown", vec![both(End::Unclear(200))]),
            ("unknown", vec![guessed(silent())]),
            ("unknown", vec![gone()]),
            ("unknown", vec![refused(), gone()]),
            ("unknown", vec![address(&[(Way::OwnName, End::Refused(403))])]),
        ] {
            let facts = OriginFacts { site: "shop.test".into(), header: None, addresses };
            assert_eq!(OriginNotBypassable::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
