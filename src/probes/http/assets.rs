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
    /// `<img src>`
    Image,
    /// `url(...)` in a style sheet
    InStyle,
}

/// Every file a page links to by http(s), in its own order, each once.
#[must_use]
pub fn on_page(html: &str, page: &Url) -> Vec<Asset> {
    let document = Html::parse_document(html);
    let mut found = Vec::new();
    for (selector, attribute, kind) in [
        ("script[src]", "src", Kind::Script),
        ("link[rel~=stylesheet][href]", "href", Kind::Style),
        ("link[rel~=icon][href]", "href", Kind::Icon),
        ("link[rel~=apple-touch-icon][href]", "href", Kind::Icon),
        ("img[src]", "src", Kind::Image),
    ] {
        // These selectors are constants; a wrong one finds nothing and its test says so.
        let Ok(selector) = Selector::parse(selector) else { continue };
        for element in document.select(&selector) {
            push(&mut found, page, element.attr(attribute).unwrap_or_default(), kind);
        }
    }
    found
}

/// Every `url(...)` of a style sheet, each once.
#[must_use]
pub fn in_style(css: &str, sheet: &Url) -> Vec<Asset> {
    let mut found = Vec::new();
    for rest in css.split("url(").skip(1) {
        let Some(link) = rest.split(')').next() else { continue };
        push(&mut found, sheet, link.trim().trim_matches(['"', '\'']), Kind::InStyle);
    }
    found
}

fn push(found: &mut Vec<Asset>, base: &Url, link: &str, kind: Kind) {
    let Ok(mut url) = base.join(link.trim()) else { return };
    url.set_fragment(None);
    if link.trim().is_empty() || !matches!(url.scheme(), "http" | "https") || found.iter().any(|a| a.url == url) {
        return;
    }
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
    let host = url.domain().unwrap_or_default();
    [".amazonaws.com", ".r2.cloudflarestorage.com", ".r2.dev", ".digitaloceanspaces.com", ".backblazeb2.com"]
        .iter()
        .any(|suffix| host.ends_with(suffix))
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
        let names: Vec<_> = found.iter().map(|a| a.url.as_str()).collect();
        assert_eq!(names, ["https://shop.test/static/i/b.svg", "https://shop.test/f.woff2"]);
    }

    #[test]
    fn owners_are_told_apart_by_name() {
        assert!(same_site(&url("https://www.shop.test"), &url("https://static.shop.test/x")));
        assert!(!same_site(&url("https://shop.co.uk"), &url("https://cdn.co.uk")));
        assert!(!same_site(&url("https://shop.test"), &url("https://fonts.googleapis.com")));
        assert!(same_site(&url("http://127.0.0.1:1"), &url("http://127.0.0.1:2")));
        assert!(bare_bucket(&url("https://b.s3.eu-west-1.amazonaws.com/x")));
    }
}
