//! Asks where the app may stand, in every way that a stranger has. Judges nothing.

use std::collections::BTreeMap;

use regex::Regex;
use url::Url;

use super::{Address, End, Knock, Way};
use crate::checks::edge::alike::alike;
use crate::checks::edge::authority;
use crate::checks::edge::redirects::{PLATFORMS, platforms_own};
use crate::checks::source;
use crate::django::Repository;
use crate::domain::check::Missing;
use crate::domain::text::tame;
use crate::probes::http::answer::{Answer, Trail};
use crate::probes::http::direct::Door;
use crate::probes::{ProbeError, Probes};

/// Addresses asked, at most, but for those that the owner named.
const ADDRESSES: usize = 4;

/// Asks at one address in every way.
pub(super) async fn look(
    probes: &Probes,
    url: &Url,
    read_from: Option<String>,
    pages: &[(String, Answer)],
    header: Option<&str>,
) -> Result<Address, Missing> {
    let read_from_owner = read_from.is_none();
    let platforms = url.host_str().is_some_and(platforms_own);
    let mut found = Address { url: authority(url), read_from, platforms, exists: false, ..Address::default() };
    for way in [Way::OwnName, Way::SitesName, Way::EmptyKey, Way::MadeUpKey] {
        // Whoever stands at a guessed address need not hear what the header is called.
        let header = header.filter(|_| read_from_owner);
        let key = match (way, header) {
            (Way::EmptyKey, Some(name)) => Some((name, String::new())),
            (Way::MadeUpKey, Some(name)) => Some((name, probes.nonce())),
            (Way::OwnName | Way::SitesName, _) => None,
            (Way::EmptyKey | Way::MadeUpKey, None) => continue,
        };
        let Some(door) = Door::of(url, (way != Way::OwnName).then_some(&probes.site.url)).await? else { continue };
        found.exists = true;
        for (path, through_edge) in pages.iter().take(if key.is_some() { 1 } else { pages.len() }) {
            // What an edge that speaks TLS to users says, so that an app which insists on https shows itself.
            let mut ask = probes.http.knock(&door, path).header("x-forwarded-proto", probes.site.url.scheme());
            if let Some((name, value)) = &key {
                ask = ask.header(name, value.clone());
            }
            let end = match ask.send_raw().await {
                Ok(answer) => end(&answer, through_edge, &probes.site.url, platforms && way == Way::OwnName),
                Err(ProbeError::NotGiven { what, provide }) => return Err(Missing::new(what, provide)),
                Err(why) => no_answer(&why),
            };
            let silent = matches!(end, End::Silent(_) | End::Slow(_));
            found.knocks.push(Knock { way, path: path.clone(), end });
            if silent {
                break;
            }
        }
    }
    let by_key = probes.site.origin.as_ref().is_some_and(|origin| origin.origin() == url.origin());
    if by_key && probes.access.edge_secret.is_some() {
        let (path, through_edge) = &pages[0];
        let answer = probes.http.get_origin(path).send_raw().await;
        found.key_opens = Some(answer.is_ok_and(|a| end(&a, through_edge, &probes.site.url, platforms) == End::Page));
    }
    let ended = |way, wanted: fn(&End) -> bool| found.knocks.iter().any(|k| k.way == way && wanted(&k.end));
    if ended(Way::OwnName, |e| matches!(e, End::Absent(_))) && ended(Way::SitesName, |e| matches!(e, End::Refused(_))) {
        found.knows_only_the_site = nobody(probes, url, &pages[0]).await?;
    }
    if ended(Way::SitesName, |e| *e == End::Edge) {
        found.edges_rules = rules(probes, url).await?;
    }
    Ok(found)
}

/// Whether a name that nobody has leads nowhere there; none when nothing was said.
async fn nobody(probes: &Probes, url: &Url, page: &(String, Answer)) -> Result<Option<bool>, Missing> {
    let mut name = probes.site.url.clone();
    if name.set_host(Some(&format!("rampup-{}.example.net", probes.nonce()))).is_err() {
        return Ok(None);
    }
    let Some(door) = Door::of(url, Some(&name)).await? else { return Ok(None) };
    let ask = probes.http.knock(&door, &page.0).header("x-forwarded-proto", probes.site.url.scheme());
    let answer = ask.send_raw().await.ok();
    Ok(answer.map(|a| matches!(end(&a, &page.1, &probes.site.url, false), End::Absent(_))))
}

/// Whether the path that the owner's firewall refuses is refused there too, under the site's name: then it is the owner's
/// edge that stands there, and not a platform's own. None when no path is named, or it is not refused at the front.
async fn rules(probes: &Probes, url: &Url) -> Result<Option<bool>, Missing> {
    let Some(path) = probes.site.edge.as_ref().and_then(|edge| edge.blocked.clone()) else { return Ok(None) };
    let refused =
        |answer: &Answer| answer.challenged() || (answer.trail().by_edge() && (400..500).contains(&answer.status));
    let front = probes.http.get(&path).fresh().send_raw().await.ok();
    let Some(door) = Door::of(url, Some(&probes.site.url)).await?.filter(|_| front.as_ref().is_some_and(refused))
    else {
        return Ok(None);
    };
    let there = probes.http.knock(&door, &path).send_raw().await.ok();
    // A failure says nothing of rules.
    Ok(there.filter(|a| refused(a) || (a.status < 500 && !a.trail().by_edge())).map(|a| refused(&a)))
}

/// What it means that nothing came back. Only a connection that was not made is a closed door.
fn no_answer(why: &ProbeError) -> End {
    let said = tame(&why.to_string(), 160);
    let ours = ["etwork is unreachable", "Too many open files", "Cannot assign"];
    match why {
        ProbeError::Unreachable { why, .. } if !ours.iter().any(|sign| why.contains(sign)) => End::Silent(said),
        _ => End::Slow(said),
    }
}

/// What an answer past the edge is, beside the one through it. Some platforms stand behind an edge of the same make: under
/// the name that one of them gave (`platforms`) it is the platform's, and no rule of the owner's is in force there.
fn end(answer: &Answer, through_edge: &Answer, site: &Url, platforms: bool) -> End {
    let (trail, edges) = (answer.trail(), through_edge.trail());
    let location = |trail: &Trail| trail.location.clone();
    match answer.status {
        _ if !platforms && trail.carrier().is_some() && trail.carrier() == edges.carrier() => End::Edge,
        // The platform's edge itself knows no such app any more.
        status @ 400..500 if platforms && trail.by_edge() => End::Absent(status),
        200..300 if edges.status == answer.status && alike(&answer.text(), &through_edge.text()) => End::Page,
        300..400 if edges.status == answer.status && location(&trail) == location(&edges) => {
            let leads_home =
                location(&trail).and_then(|to| site.join(&to).ok()).is_some_and(|to| to.scheme() == site.scheme());
            if leads_home { End::Page } else { End::Sent(answer.status) }
        }
        // From http to https: whoever stands behind the other port was not asked.
        status @ 300..400
            if answer.url.scheme() == "http"
                && location(&trail)
                    .and_then(|to| answer.url.join(&to).ok())
                    .is_some_and(|to| to.scheme() == "https") =>
        {
            End::Unclear(status)
        }
        status @ 300..400 => End::Sent(status),
        status @ (404 | 410) => End::Absent(status),
        // A limit that was reached is no closed door.
        status @ (408 | 429) => End::Unclear(status),
        status @ 400..500 => End::Refused(status),
        status => End::Unclear(status),
    }
}

/// Where the app may stand: what the owner named, and platforms' names in the settings.
pub(super) async fn addresses(probes: &Probes) -> Vec<(Url, Option<String>)> {
    let site = &probes.site;
    let named = site.origin.iter().chain(site.edge.iter().flat_map(|edge| &edge.origins)).cloned();
    let mut found: BTreeMap<String, (Url, Option<String>)> = BTreeMap::new();
    let read = source::ask(probes, platform_names).await.unwrap_or_default().into_iter();
    let guessed = read.filter_map(|(name, place)| Some((Url::parse(&format!("https://{name}/")).ok()?, Some(place))));
    for (url, read_from) in named.map(|url| (url, None)).chain(guessed) {
        if url.origin() != site.url.origin() && url.host() != site.url.host().filter(|_| read_from.is_some()) {
            found.entry(authority(&url)).or_insert((url, read_from));
        }
    }
    let mut all: Vec<_> = found.into_values().collect();
    all.sort_by_key(|(_, read_from)| read_from.is_some());
    let named = all.iter().filter(|(_, read_from)| read_from.is_none()).count();
    all.truncate(named.max(ADDRESSES));
    all
}

/// Names that a platform gave to an app, in the settings that list the site's own names, and where; not bare wildcards
/// like ".up.railway.app". Elsewhere stand other people's.
fn platform_names(repository: &Repository) -> BTreeMap<String, String> {
    let endings: Vec<String> = PLATFORMS.iter().map(|ending| regex::escape(ending)).collect();
    let Ok(name) = Regex::new(&format!(r"(?i)[a-z0-9][a-z0-9.-]{{0,80}}(?:{})\b", endings.join("|"))) else {
        return BTreeMap::new();
    };
    let mut names = BTreeMap::new();
    for settings in repository.running() {
        for way in ["ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS"].iter().flat_map(|list| settings.at(&[list])) {
            let place = way.place().unwrap_or_else(|| settings.file.clone());
            for text in way.texts() {
                for found in name.find_iter(&text) {
                    names.entry(found.as_str().to_ascii_lowercase()).or_insert_with(|| place.clone());
                }
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::source::tests::of_settings;
    use crate::probes::http::tests::{answer, server};

    #[tokio::test]
    async fn an_answer_past_the_edge_is_held_beside_the_one_through_it() {
        const PAGE: &str = "<title>Shop</title>\n<h1>Menu</h1>\n<p>Soup</p>\n<p>Salad</p>\n";
        let site: Url = "https://shop.test/".parse().unwrap();
        let edge = "cf-ray: 1\r\n";
        let to = |place: &str| format!("Location: {place}\r\n");
        let plain = || (PAGE.to_owned(), "200 OK", edge.to_owned());
        let login = || (String::new(), "302 Found", format!("{edge}{}", to("/login/")));
        for (wanted, through, (body, status, headers)) in [
            (End::Page, plain(), (PAGE, "200 OK", String::new())),
            (End::Page, login(), ("", "302 Found", to("/login/"))),
            (End::Edge, plain(), (PAGE, "200 OK", edge.to_owned())),
            (End::Refused(403), plain(), (PAGE, "403 Forbidden", String::new())),
            (End::Refused(400), plain(), ("no certificate", "400 Bad Request", String::new())),
            (End::Absent(404), plain(), ("Application not found", "404 Not Found", String::new())),
            (End::Sent(302), plain(), ("", "302 Found", to("http://shop.test/"))),
            // What stands behind the port for https was not asked.
            (End::Unclear(301), plain(), ("", "301 Moved", to("https://shop.test/"))),
            (End::Unclear(429), plain(), ("", "429 Too Many Requests", String::new())),
            // A server's welcome page, an app that is down.
            (End::Unclear(200), plain(), ("<title>Welcome to nginx</title>", "200 OK", String::new())),
            (End::Unclear(502), plain(), ("", "502 Bad Gateway", String::new())),
        ] {
            let answers = [answer(through.1, &through.2, &through.0), answer(status, &headers, body)];
            let (http, _) = server(&answers).await;
            let (through, past) = (http.get("/").send_raw().await.unwrap(), http.get("/").send_raw().await.unwrap());
            assert_eq!(end(&past, &through, &site, false), wanted, "{status} {headers}");
        }
    }

    #[tokio::test]
    async fn a_platforms_edge_of_the_same_make_is_not_the_owners() {
        const PAGE: &str = "<title>Shop</title>\n<h1>Menu</h1>\n<p>Soup</p>\n<p>Salad</p>\n";
        let site: Url = "https://shop.test/".parse().unwrap();
        let passed_on = "cf-ray: 1\r\ncf-cache-status: DYNAMIC\r\n";
        for (wanted, status, headers, body) in [
            (End::Page, "200 OK", passed_on, PAGE),
            (End::Refused(403), "403 Forbidden", passed_on, "Ask the edge."),
            (End::Refused(400), "400 Bad Request", passed_on, ""),
            // The name was given back: the platform's edge says so itself.
            (End::Absent(404), "404 Not Found", passed_on, "Not Found"),
            (End::Absent(403), "403 Forbidden", "cf-ray: 1\r\n", "error code: 1000"),
            (End::Unclear(502), "502 Bad Gateway", passed_on, ""),
        ] {
            let (http, _) = server(&[answer("200 OK", passed_on, PAGE), answer(status, headers, body)]).await;
            let (through, past) = (http.get("/").send_raw().await.unwrap(), http.get("/").send_raw().await.unwrap());
            assert_eq!(end(&past, &through, &site, true), wanted, "{status} {headers}");
            assert_eq!(end(&past, &through, &site, false), End::Edge, "{status} {headers}");
        }
    }

    #[test]
    fn platforms_names_are_found_in_settings() {
        let names = |text: &str| of_settings(text, platform_names).into_iter().collect::<Vec<_>>();
        let at = |line: u32, name: &str| (name.to_owned(), format!("shop/settings.py:{line}"));
        let text = "ALLOWED_HOSTS = ['shop.test', 'Shop-prod.up.railway.app', '.up.railway.app']\n# old.up.railway.app\n\
                    CSRF_TRUSTED_ORIGINS = [\n  'https://a.b.herokuapp.com',\n  'https://shop-prod.up.railway.app'\n]\n\
                    PAYMENTS_URL = 'https://somebody-else.herokuapp.com'\n";
        assert_eq!(names(text), [at(6, "a.b.herokuapp.com"), at(4, "shop-prod.up.railway.app")]);
        // What a variable adds, its default, and one list made of the other.
        let text = "ALLOWED_HOSTS = os.environ.get('HOSTS', 'a.up.railway.app,b.up.railway.app').split(',')\n\
                    HOST = 'c.up.railway.app'\nALLOWED_HOSTS += [HOST]\n";
        let names: Vec<String> = names(text).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a.up.railway.app", "b.up.railway.app", "c.up.railway.app"]);
    }
}
