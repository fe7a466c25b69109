//! Is the edge the only way in, or does the app answer whoever knows its own address?

mod look;
mod words;

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
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Address {
    url: String,
    /// The line of the settings that it was read from; none when the owner named it in rampup.toml.
    read_from: Option<String>,
    /// Its name leads somewhere.
    exists: bool,
    knocks: Vec<Knock>,
    /// With the edge's key it gave the page; none when there is no key or it was not asked.
    key_opens: Option<bool>,
    /// Its name is one that a platform gave.
    platforms: bool,
    /// Its own name leads nowhere, the site's is refused: whether one that nobody has leads nowhere as well, so that
    /// the refusal is the app's.
    knows_only_the_site: Option<bool>,
    /// An edge of the same make stands there: whether it refuses, under the site's name, what the owner's firewall does.
    edges_rules: Option<bool>,
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
        the app; a secret that is accepted when it is empty; an address that nobody uses any more (a 404 proves nothing, unless the site's \
        name alone is known there and refused); a platform with an edge of the same make, where your rules are not in force.";
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
        for (url, read_from) in look::addresses(probes).await {
            facts.addresses.push(look::look(probes, &url, read_from, &pages, facts.header.as_deref()).await?);
        }
        Ok(facts)
    }

    fn judge(&self, facts: &OriginFacts) -> CheckOutcome {
        let open: Vec<Finding> = facts.addresses.iter().filter_map(|address| words::opened(address, facts)).collect();
        if !open.is_empty() {
            return CheckOutcome::Fail(open);
        }
        let provide = "name where the app answers without the edge in rampup.toml: [site] origin = \"https://NAME.up.railway.app\", or \
                       [site.edge] origins = [\"https://203.0.113.7\"] for one that only the edge may ask; the platform's dashboard \
                       shows it, and so does the target of the proxied DNS record";
        let unknown = |what: String| CheckOutcome::Unknown(Missing::new(what, provide));
        let nowhere = "name the target of your site's own DNS record at the edge (the CNAME that the platform shows for your domain) in \
                       rampup.toml: [site.edge] origins = [\"https://TARGET\"]; it is asked under your site's name";
        let same_make = "name a path that a firewall rule of your own refuses in rampup.toml: [site.edge] blocked = \"/wp-login.php\"; it \
                         is asked for there, and a refusal shows that it is your edge and not the platform's";
        if facts.addresses.is_empty() {
            return unknown("the app's own address behind the edge is not known".to_owned());
        }
        let named_open_question =
            facts.addresses.iter().find(|address| address.read_from.is_none() && !closed(address));
        if let Some(address) = named_open_question {
            let what = format!("whether {} lets strangers in could not be seen: {}", address.url, words::seen(address));
            let all_are = |wanted: fn(&End) -> bool| address.knocks.iter().all(|knock| wanted(&knock.end));
            return match () {
                () if address.knocks.iter().any(|knock| knock.end == End::Edge) && address.platforms => {
                    CheckOutcome::Unknown(Missing::new(what, same_make))
                }
                () if all_are(|end| matches!(end, End::Absent(_))) => {
                    CheckOutcome::Unknown(Missing::new(what, nowhere))
                }
                () => unknown(what),
            };
        }
        if facts.addresses.iter().any(closed) {
            return CheckOutcome::Pass;
        }
        let all: Vec<String> = facts.addresses.iter().map(|a| format!("{}: {}", a.url, words::seen(a))).collect();
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
        End::Absent(_) => {
            address.key_opens == Some(true) || (knock.way == Way::OwnName && address.knows_only_the_site == Some(true))
        }
        // The owner's edge, by its rules: the way that everybody goes.
        End::Edge => address.platforms && knock.way != Way::OwnName && address.edges_rules == Some(true),
        End::Page | End::Unclear(_) | End::Slow(_) => false,
    };
    let asked = |way| address.knocks.iter().any(|knock| knock.way == way);
    asked(Way::OwnName) && asked(Way::SitesName) && address.knocks.iter().all(shut)
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
            ..Address::default()
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
        let only_site = |knows_only_the_site| Address {
            knows_only_the_site,
            ..address(&[(Way::OwnName, End::Absent(404)), (Way::SitesName, End::Refused(403))])
        };
        let same_make = |own, edges_rules| Address {
            platforms: true,
            edges_rules,
            ..address(&[(Way::OwnName, own), (Way::SitesName, End::Edge)])
        };
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
            // The platform's name was given back, and the app refuses the site's.
            ("pass", vec![only_site(Some(true))]),
            ("unknown", vec![only_site(Some(false))]),
            ("unknown", vec![only_site(None)]),
            // A platform behind an edge of the same make.
            ("pass", vec![same_make(End::Refused(403), Some(true))]),
            ("unknown", vec![same_make(End::Absent(404), Some(true))]),
            ("unknown", vec![same_make(End::Refused(403), None)]),
            ("fail", vec![same_make(End::Refused(403), Some(false))]),
            ("fail", vec![same_make(End::Page, Some(true))]),
            ("unknown", vec![Address { platforms: false, ..same_make(End::Edge, Some(true)) }]),
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
