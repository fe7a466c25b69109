//! What is in an answer: values to keep, things that must be there, links to files.
//!
//! Parsing costs the generator processor time, so it is done once a body and only when somebody asks for it.

use rand::Rng;
use rand::rngs::SmallRng;
use reqwest::header::HeaderMap;
use scraper::{Html, Selector};
use serde_json::Value;
use url::Url;

use super::action::Pick;

/// Matches of a selector that the dice choose among.
const CHOICES: usize = 100;
/// Links of one page that are followed.
const LINKS: usize = 200;

/// An answer that somebody looks at.
pub(super) struct Page<'a> {
    headers: &'a HeaderMap,
    body: &'a [u8],
    html: Option<Html>,
    json: Option<Value>,
}

impl<'a> Page<'a> {
    /// Parses nothing yet.
    pub fn new(headers: &'a HeaderMap, body: &'a [u8]) -> Self {
        Self { headers, body, html: None, json: None }
    }

    /// A value, or none. `cookie` finds one in the user's jar.
    pub fn pick(
        &mut self,
        pick: &Pick,
        dice: &mut SmallRng,
        cookie: impl FnOnce(&str) -> Option<String>,
    ) -> Option<String> {
        match pick {
            Pick::Header(header) => self.headers.get(header).and_then(|v| v.to_str().ok()).map(str::to_owned),
            Pick::Json(pointer) => self.json().pointer(pointer).and_then(plain),
            Pick::Css(selector, attribute, _) => one_of(self.html(), selector, attribute.as_deref(), dice),
            Pick::Cookie(name) => cookie(name),
            Pick::Regex(expression) => {
                let groups = expression.captures(self.body)?;
                let found = groups.get(1).or_else(|| groups.get(0))?;
                Some(String::from_utf8_lossy(found.as_bytes()).into_owned())
            }
        }
    }

    /// True when the selector matches something.
    pub fn selects(&mut self, selector: &Selector) -> bool {
        self.html().select(selector).next().is_some()
    }

    /// What is at a JSON pointer.
    pub fn at(&mut self, pointer: &str) -> Option<&Value> {
        self.json().pointer(pointer)
    }

    /// Style sheets, scripts, images and icons that the page at this address links to, each once.
    pub fn links(&mut self, page: &Url) -> Vec<Url> {
        let html = self.html();
        let base = select(html, "base[href]").find_map(|base| page.join(base.attr("href")?).ok());
        let base = base.as_ref().unwrap_or(page);
        let mut links: Vec<Url> = Vec::new();
        for (elements, attribute) in [
            ("link[rel~='stylesheet'][href], link[rel~='icon'][href]", "href"),
            ("script[src]", "src"),
            ("img[src]", "src"),
        ] {
            for link in select(html, elements).filter_map(|element| element.attr(attribute)) {
                // An inlined picture is no link.
                let Some(mut url) = base.join(link.trim()).ok().filter(|url| url.has_host()) else { continue };
                url.set_fragment(None);
                if links.len() < LINKS && !links.contains(&url) {
                    links.push(url);
                }
            }
        }
        links
    }

    fn html(&mut self) -> &Html {
        self.html.get_or_insert_with(|| Html::parse_document(&String::from_utf8_lossy(self.body)))
    }

    fn json(&mut self) -> &Value {
        self.json.get_or_insert_with(|| serde_json::from_slice(self.body).unwrap_or(Value::Null))
    }
}

fn select<'h>(html: &'h Html, selector: &str) -> impl Iterator<Item = scraper::ElementRef<'h>> {
    let selector = Selector::parse(selector).ok();
    let found: Vec<_> = selector.iter().flat_map(|selector| html.select(selector)).collect();
    found.into_iter()
}

/// A JSON value as text; none for null.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// True for equal values, whichever way their numbers are written.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        _ => left == right,
    }
}

fn one_of(html: &Html, selector: &Selector, attribute: Option<&str>, dice: &mut SmallRng) -> Option<String> {
    let matches: Vec<String> = html
        .select(selector)
        .filter_map(|element| match attribute {
            Some(name) => element.attr(name).map(str::to_owned),
            None => Some(element.text().collect::<String>().trim().to_owned()),
        })
        .take(CHOICES)
        .collect();
    (!matches.is_empty()).then(|| matches[dice.random_range(0..matches.len())].clone())
}

/// True when the body holds the text.
pub(super) fn contains(body: &[u8], text: &str) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use reqwest::header::{HeaderValue, LOCATION};

    use super::*;
    use crate::domain::flow::Extract;

    fn one(extract: &Extract, body: &str) -> Option<String> {
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static("/next"))]);
        let dice = &mut SmallRng::seed_from_u64(1);
        let cookie = |name: &str| (name == "sessionid").then(|| "s".to_owned());
        Page::new(&headers, body.as_bytes()).pick(&Pick::new(extract).unwrap(), dice, cookie)
    }

    fn css(select: &str, attribute: Option<&str>) -> Extract {
        Extract::Css { select: select.into(), attribute: attribute.map(str::to_owned) }
    }

    fn regex(text: &str) -> Extract {
        Extract::Regex(text.into())
    }

    #[test]
    fn values_are_found_where_they_are() {
        let page = "<a class=p href='/p/1'> Tea </a><input type=hidden name=csrfmiddlewaretoken value='x&amp;y'>";
        for (extract, body, value) in [
            (css("a.p", Some("href")), page, "/p/1"),
            (css("a.p", None), page, "Tea"),
            (Extract::Json("/a/0/id".into()), r#"{"a":[{"id":7}]}"#, "7"),
            (Extract::Json("/a".into()), r#"{"a":"b"}"#, "b"),
            (Extract::Json(String::new()), r#"{"a":1}"#, r#"{"a":1}"#),
            (Extract::Header("location".into()), "", "/next"),
            (Extract::Cookie("sessionid".into()), "", "s"),
            (regex(r"/p/(\d+)"), page, "1"),
            (regex(r"/p/\d+"), page, "/p/1"),
        ] {
            assert_eq!(one(&extract, body).as_deref(), Some(value), "{extract:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for (extract, body) in [
            (css("a.none", None), "<p>"),
            (css("p", Some("href")), "<p>"),
            (Extract::Json("/a".into()), r#"{"a":null}"#),
            (Extract::Json("/a".into()), "<html>"),
            (Extract::Header("etag".into()), ""),
            (Extract::Cookie("csrftoken".into()), ""),
            (regex("id=(x)"), "id=y"),
        ] {
            assert_eq!(one(&extract, body), None, "{extract:?}");
        }
        assert!(contains(b"abc", "bc") && !contains(b"abc", "bd") && contains(b"", ""));
    }

    #[test]
    fn links_are_what_a_browser_would_fetch() {
        let page = "<head><base href='/static/'><link rel='shortcut icon' href='fav.ico'><link rel=canonical href='/x'>
            <link rel=stylesheet href='a.css'></head><script src='//cdn.example/b.js'></script><script>1</script>
            <img src='data:image/png;base64,AA'><img src='/m/c.jpg#x'><img src='/m/c.jpg'>";
        let headers = HeaderMap::new();
        let links = Page::new(&headers, page.as_bytes()).links(&Url::parse("http://shop.example/p/1").unwrap());
        let links: Vec<_> = links.iter().map(Url::as_str).collect();
        assert_eq!(
            links,
            [
                "http://shop.example/static/fav.ico",
                "http://shop.example/static/a.css",
                "http://cdn.example/b.js",
                "http://shop.example/m/c.jpg",
            ]
        );
    }

    #[test]
    fn numbers_are_equal_however_they_are_written() {
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert!(same(&json("1"), &json("1.0")) && same(&json("[1]"), &json("[1]")));
        assert!(!same(&json("1"), &json("\"1\"")) && !same(&json("1"), &json("2")));
    }
}
