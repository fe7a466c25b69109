//! What a page links to: scripts, styles, icons, images, and what its styles link to in turn. Pure over text.

use scraper::{Html, Selector};
use url::Url;

/// A file that a page needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asset {
    /// Its address, without fragment.
    pub url: Url,
    /// What the page says it is.
    pub kind: Kind,
}

/// What a page says a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `<script src>`
    Script,
    /// `<link rel=stylesheet>`
    Style,
    /// `<link rel=icon>` and its relatives
    Icon,
    /// `<img src>`, `srcset`, `<source srcset>`, and `url(...)` in a `style` attribute
    Image,
    /// `url(...)` in a style sheet or in `<style>`
    InStyle,
    /// A font: by its name, or preloaded as one
    Font,
}

/// Every file a page links to by http(s), each once: kind after kind, within a kind in the page's order.
#[must_use]
pub fn on_page(html: &str, page: &Url) -> Vec<Asset> {
    let document = Html::parse_document(html);
    let mut found = Vec::new();
    for (selector, attribute, kind) in [
        ("script[src]", "src", Kind::Script),
        ("link[rel~=stylesheet][href]", "href", Kind::Style),
        ("link[rel~=icon][href]", "href", Kind::Icon),
        ("link[rel~=apple-touch-icon][href]", "href", Kind::Icon),
        ("link[rel~=modulepreload][href]", "href", Kind::Script),
        ("link[rel~=preload][as=font][href]", "href", Kind::Font),
        ("img[src]", "src", Kind::Image),
    ] {
        // These selectors are constants; a wrong one finds nothing and its test says so.
        let Ok(selector) = Selector::parse(selector) else { continue };
        for element in document.select(&selector) {
            push(&mut found, page, element.attr(attribute).unwrap_or_default(), kind);
        }
    }
    for element in selected(&document, "img[srcset], source[srcset]") {
        for candidate in element.attr("srcset").unwrap_or_default().split(", ") {
            push(&mut found, page, candidate.split_whitespace().next().unwrap_or_default(), Kind::Image);
        }
    }
    for element in selected(&document, "style, [style]") {
        let css = element.attr("style").map_or_else(|| element.text().collect(), str::to_owned);
        // What a page writes into one element's style is often a photo; what it writes for all is not.
        let one = element.attr("style").is_some();
        for asset in in_style(&css, page) {
            let kind = if one && asset.kind == Kind::InStyle { Kind::Image } else { asset.kind };
            push(&mut found, page, asset.url.as_str(), kind);
        }
    }
    found
}

fn selected<'a>(document: &'a Html, selector: &str) -> Vec<scraper::ElementRef<'a>> {
    Selector::parse(selector).map(|selector| document.select(&selector).collect()).unwrap_or_default()
}

/// Every file that a style sheet needs, each once: `url(...)`, and sheets that it imports. Remarks are not looked at.
#[must_use]
pub fn in_style(css: &str, sheet: &Url) -> Vec<Asset> {
    let mut found = Vec::new();
    let mut text = String::with_capacity(css.len());
    for (n, part) in css.split("/*").enumerate() {
        text.push_str(if n == 0 { part } else { part.split_once("*/").map_or("", |(_, rest)| rest) });
    }
    for rule in text.split("@import").skip(1) {
        let rule = rule.split(';').next().unwrap_or_default().trim();
        let link = rule.strip_prefix("url(").and_then(|r| r.split(')').next()).unwrap_or(rule);
        push(&mut found, sheet, quoted(link), Kind::Style);
    }
    for rest in text.split("url(").skip(1) {
        let Some(link) = rest.split(')').next() else { continue };
        push(&mut found, sheet, link.trim().trim_matches(['"', '\'']), Kind::InStyle);
    }
    found
}

/// What stands between the first pair of quotes, or the first word.
fn quoted(text: &str) -> &str {
    let text = text.trim();
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => text[1..].split(quote).next().unwrap_or_default(),
        _ => text.split_whitespace().next().unwrap_or_default(),
    }
}

/// True when a path ends like a font's name.
fn is_font(path: &str) -> bool {
    [".woff2", ".woff", ".ttf", ".otf", ".eot"].iter().any(|end| path.to_ascii_lowercase().ends_with(end))
}

fn push(found: &mut Vec<Asset>, base: &Url, link: &str, kind: Kind) {
    let Ok(mut url) = base.join(link.trim()) else { return };
    url.set_fragment(None);
    if link.trim().is_empty() || !matches!(url.scheme(), "http" | "https") || found.iter().any(|a| a.url == url) {
        return;
    }
    let kind = if is_font(url.path()) { Kind::Font } else { kind };
    found.push(Asset { url, kind });
}

/// True when two addresses belong to one owner as far as names can say: the same host, or the same last two labels
/// (three under a short second level like `co.uk`).
#[must_use]
pub fn same_site(a: &Url, b: &Url) -> bool {
    match (a.domain(), b.domain()) {
        (Some(a), Some(b)) => registrable(a) == registrable(b),
        _ => a.host() == b.host(),
    }
}

/// True when an address is a bucket's own, without a proxy before it.
#[must_use]
pub fn bare_bucket(url: &Url) -> bool {
    const BUCKETS: [&str; 11] = [
        ".amazonaws.com",
        ".r2.cloudflarestorage.com",
        ".r2.dev",
        ".digitaloceanspaces.com",
        ".backblazeb2.com",
        ".wasabisys.com",
        ".storage.googleapis.com",
        ".blob.core.windows.net",
        ".storage.dev",
        ".storageapi.dev",
        ".storage.railway.app",
    ];
    // The leading dot is the bucket's name in front, or nothing: some addresses have the bucket in the path.
    let host = format!(".{}", url.domain().unwrap_or_default());
    BUCKETS.iter().any(|suffix| host.ends_with(suffix))
}

/// True when an address is a CDN's own name for some customer's files: whose, it does not say.
#[must_use]
pub fn cdn_alias(url: &Url) -> bool {
    let host = url.domain().unwrap_or_default();
    [".cloudfront.net", ".b-cdn.net", ".fastly.net", ".azureedge.net", ".azurefd.net"].iter().any(|s| host.ends_with(s))
}

/// True when an address is a registered name itself, without a label in front ("shop.co.uk").
#[must_use]
pub fn is_apex(url: &Url) -> bool {
    url.domain().is_some_and(|host| host.contains('.') && registrable(host) == host)
}

fn registrable(host: &str) -> String {
    let labels: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    let second = labels.len().checked_sub(2).map_or("", |i| labels[i]);
    let keep = if second.len() <= 3 && labels.last().is_some_and(|l| l.len() == 2) { 3 } else { 2 };
    labels[labels.len().saturating_sub(keep)..].join(".").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_page_gives_its_files_once() {
        let html = r##"<link rel="stylesheet" href="/static/a.css"><script src="https://cdn.test/x.js"></script>
            <link rel="shortcut icon" href="/f.ico"><img src="/m/1.jpg#x"><img src="/m/1.jpg"><img src="data:image/png,0">
            <link rel="canonical" href="/page"><img src="">"##;
        let found = on_page(html, &url("https://shop.test/p/"));
        let names: Vec<_> = found.iter().map(|a| a.url.as_str()).collect();
        assert_eq!(
            names,
            [
                "https://cdn.test/x.js",
                "https://shop.test/static/a.css",
                "https://shop.test/f.ico",
                "https://shop.test/m/1.jpg"
            ]
        );
    }

    #[test]
    fn styles_give_their_images_and_fonts() {
        let css =
            "a{background:url('../i/b.svg')} @font-face{src:url( \"/f.woff2\" )} b{background:url(data:image/png;0)}";
        let found = in_style(css, &url("https://shop.test/static/css/a.css"));
        let names: Vec<_> = found.iter().map(|a| (a.url.as_str(), a.kind)).collect();
        let wanted = [("https://shop.test/static/i/b.svg", Kind::InStyle), ("https://shop.test/f.woff2", Kind::Font)];
        assert_eq!(names, wanted);
    }

    #[test]
    fn what_is_hidden_in_styles_is_found_and_remarks_are_not() {
        let sheet = url("https://shop.test/static/css/a.css");
        let css = "@import 'b.css' screen; @import url(\"c.css\"); /* url(gone.png) */ a{background:url(d.png)}";
        let found = in_style(css, &sheet);
        let names: Vec<_> = found.iter().map(|a| (a.url.path(), a.kind)).collect();
        let folder = "/static/css";
        let wanted = [("b.css", Kind::Style), ("c.css", Kind::Style), ("d.png", Kind::InStyle)];
        assert_eq!(
            names,
            wanted.map(|(name, kind)| (format!("{folder}/{name}"), kind)).each_ref().map(|(n, k)| (n.as_str(), *k))
        );
        let html = r#"<style>a{background:url(/s/e.png)}</style><p style="background:url('/s/f.png')"></p>
            <link rel="preload" as="font" href="/s/g"><link rel="modulepreload" href="/s/h.js">
            <picture><source srcset="/s/i.webp 1x, /s/j.webp 2x"><img src="/s/k.png"></picture>"#;
        let page = url("https://shop.test/");
        let found: Vec<_> = on_page(html, &page).into_iter().map(|a| (a.url.path().to_owned(), a.kind)).collect();
        for (path, kind) in [
            ("/s/e.png", Kind::InStyle),
            ("/s/f.png", Kind::Image),
            ("/s/g", Kind::Font),
            ("/s/h.js", Kind::Script),
            ("/s/i.webp", Kind::Image),
            ("/s/j.webp", Kind::Image),
            ("/s/k.png", Kind::Image),
        ] {
            assert!(found.contains(&(path.to_owned(), kind)), "{path}: {found:?}");
        }
    }

    #[test]
    fn owners_are_told_apart_by_name() {
        assert!(same_site(&url("https://www.shop.test"), &url("https://static.shop.test/x")));
        assert!(!same_site(&url("https://shop.co.uk"), &url("https://cdn.co.uk")));
        assert!(!same_site(&url("https://shop.test"), &url("https://fonts.googleapis.com")));
        assert!(same_site(&url("http://127.0.0.1:1"), &url("http://127.0.0.1:2")));
        assert!(bare_bucket(&url("https://b.s3.eu-west-1.amazonaws.com/x")));
        assert!(
            bare_bucket(&url("https://storage.railway.app/b/x")) && !bare_bucket(&url("https://static.shop.test/x"))
        );
        assert!(
            cdn_alias(&url("https://d1.cloudfront.net/x")) && !cdn_alias(&url("https://cloudfront.net.shop.test/"))
        );
    }
}
