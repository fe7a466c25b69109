//! The chain through a run's log: each line carries a digest of itself and of the line before, so that a line that was
//! edited, taken out or put in afterwards is found. Whoever rewrites the whole log can forge it; the digest of each
//! judgement stands in `progress.toml`, which is in git, so that this shows, too.

use crate::domain::fingerprint::digest;

const OPENING: &str = "{\"chain\":\"";
const CLOSING: &str = "\",";
/// Digits of a digest.
const DIGITS: usize = 64;

/// The link of an event's JSON behind the link before it; the first line has none before it.
pub fn link(before: Option<&str>, json: &[u8]) -> String {
    digest(&[before.unwrap_or_default().as_bytes(), json].concat())
}

/// An event's JSON, an object with at least one field, with its link as the first one.
pub fn with_link(link: &str, json: &[u8]) -> Vec<u8> {
    let rest = json.get(1..).unwrap_or_default();
    [OPENING.as_bytes(), link.as_bytes(), CLOSING.as_bytes(), rest].concat()
}

/// A line's link and its event's JSON as it was when the link was made; none of a line without one.
pub fn parts(line: &[u8]) -> Option<(&str, Vec<u8>)> {
    let rest = line.strip_prefix(OPENING.as_bytes())?;
    let (link, rest) = rest.split_at_checked(DIGITS)?;
    let rest = rest.strip_prefix(CLOSING.as_bytes())?;
    Some((std::str::from_utf8(link).ok()?, [b"{", rest].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_back_what_it_was_made_of() {
        let json = br#"{"v":1,"text":"chain"}"#;
        let first = link(None, json);
        let line = with_link(&first, json);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&line).unwrap()["chain"], first);
        assert_eq!(parts(&line), Some((&*first, json.to_vec())));
        assert_ne!(link(Some(&first), json), first);
        for none in [&b""[..], b"{}", b"{\"chain\":\"ab\",\"v\":1}", json] {
            assert_eq!(parts(none), None);
        }
    }
}
