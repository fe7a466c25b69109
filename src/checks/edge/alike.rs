//! What bodies say: are two the same page, although a token in them differs, and is somebody's name there? Knows no
//! request and no verdict.

use std::collections::HashSet;

/// True when most of one page stands in the other too, and the other way round.
pub(super) fn alike(one: &str, other: &str) -> bool {
    share(one, other) >= 0.6 && share(other, one) >= 0.6
}

/// The share of one text's parts that the other has.
fn share<'a>(of: &'a str, within: &'a str) -> f64 {
    // Minified pages and JSON are one line.
    let parts = |text: &'a str| text.split(['\n', '>', ',']).map(str::trim).filter(|part| !part.is_empty());
    let known: HashSet<&str> = parts(within).collect();
    let (all, found) =
        parts(of).fold((0_u32, 0_u32), |(all, found), line| (all + 1, found + u32::from(known.contains(line))));
    if all == 0 { 0.0 } else { f64::from(found) / f64::from(all) }
}

/// The name as a word of its own: "ann" is not in "planning".
pub(in crate::checks) fn shows(text: &str, name: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    !name.is_empty()
        && text
            .match_indices(name)
            .any(|(at, _)| !inside(text[..at].chars().next_back()) && !inside(text[at + name.len()..].chars().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_more_or_less_is_the_same_page_and_a_refusal_is_not() {
        let page = "<title>Shop</title>\n<h1>Menu</h1>\n<p>Soup</p>\n<input value=1>\n";
        assert!(alike(page, &page.replace("value=1", "value=2")));
        assert!(!alike(page, "<title>Forbidden</title>\n<h1>403</h1>\n<p>No</p>\n<p>Soup</p>"));
        let minified = page.replace('\n', "");
        assert!(alike(&minified, &minified.replace("value=1", "value=2")));
        // A page that merely holds another, and nothing at all.
        assert!(!alike("<p>Soup</p>", page) && !alike("", ""));
    }

    #[test]
    fn a_name_is_a_word_of_its_own() {
        assert!(shows("Hello, ann!", "ann") && !shows("planning", "ann") && !shows("x", ""));
    }
}
