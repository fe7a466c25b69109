//! Values out of answers: by CSS selector, JSON pointer or header.
//!
//! Parsing HTML costs the generator processor time, so it is done only when somebody asks for it.

use rand::Rng;
use rand::rngs::SmallRng;
use reqwest::header::HeaderMap;
use scraper::{Html, Selector};
use serde_json::Value;

use super::script::Pick;

/// Matches of a selector that the dice choose among.
const CHOICES: usize = 100;

/// Everything asked for, or what is missing.
pub(super) fn all(
    picks: &[(String, Pick)],
    headers: &HeaderMap,
    body: &[u8],
    dice: &mut SmallRng,
) -> Result<Vec<(String, String)>, String> {
    let mut html = None;
    let mut json = None;
    let mut found = Vec::with_capacity(picks.len());
    for (name, pick) in picks {
        let value = match pick {
            Pick::Header(header) => headers.get(header).and_then(|v| v.to_str().ok()).map(str::to_owned),
            Pick::Json(pointer) => json
                .get_or_insert_with(|| serde_json::from_slice(body).unwrap_or(Value::Null))
                .pointer(pointer)
                .and_then(plain),
            Pick::Css(selector, attribute) => {
                let html = html.get_or_insert_with(|| Html::parse_document(&String::from_utf8_lossy(body)));
                one_of(html, selector, attribute.as_deref(), dice)
            }
        };
        found.push((name.clone(), value.ok_or_else(|| format!("{name:?} was not found in the answer"))?));
    }
    Ok(found)
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
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

/// The value of a form's hidden field.
pub(super) fn hidden_field(body: &[u8], name: &str) -> Option<String> {
    let selector = Selector::parse(&format!("input[name='{name}']")).ok()?;
    let html = Html::parse_document(&String::from_utf8_lossy(body));
    html.select(&selector).next()?.attr("value").map(str::to_owned)
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

    fn one(pick: Pick, body: &str) -> Result<String, String> {
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static("/next"))]);
        let dice = &mut SmallRng::seed_from_u64(1);
        all(&[("it".into(), pick)], &headers, body.as_bytes(), dice).map(|mut found| found.remove(0).1)
    }

    fn css(select: &str, attribute: Option<&str>) -> Pick {
        Pick::Css(Selector::parse(select).unwrap(), attribute.map(str::to_owned))
    }

    #[test]
    fn values_are_found_where_they_are() {
        let page = "<a class=p href='/p/1'> Tea </a><input type=hidden name=csrfmiddlewaretoken value='x&amp;y'>";
        assert_eq!(one(css("a.p", Some("href")), page).as_deref(), Ok("/p/1"));
        assert_eq!(one(css("a.p", None), page).as_deref(), Ok("Tea"));
        assert_eq!(one(Pick::Json("/a/0/id".into()), r#"{"a":[{"id":7}]}"#).as_deref(), Ok("7"));
        assert_eq!(one(Pick::Json("/a".into()), r#"{"a":"b"}"#).as_deref(), Ok("b"));
        assert_eq!(one(Pick::Header(LOCATION), "").as_deref(), Ok("/next"));
        assert_eq!(hidden_field(page.as_bytes(), "csrfmiddlewaretoken").as_deref(), Some("x&y"));
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (pick, body) in [
            (css("a.none", None), "<p>"),
            (css("p", Some("href")), "<p>"),
            (Pick::Json("/a".into()), r#"{"a":null}"#),
            (Pick::Json("/a".into()), "<html>"),
            (Pick::Header(reqwest::header::ETAG), ""),
        ] {
            assert_eq!(one(pick, body), Err("\"it\" was not found in the answer".into()));
        }
        assert!(contains(b"abc", "bc") && !contains(b"abc", "bd") && contains(b"", ""));
    }
}
