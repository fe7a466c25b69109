//! Base64 as queues and upload policies use it. Decoding only; knows nothing of what is inside.

/// The bytes behind standard base64 text; padding may be missing. None when a character does not belong.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0);
    for c in text.trim_end_matches('=').bytes().filter(|c| !c.is_ascii_whitespace()) {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            // Only the newest whole byte is kept.
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn known_pairs_decode() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmE", "fooba")] {
            assert_eq!(super::decode(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(super::decode("eyJvayI6ICJwb25nIn0=").unwrap(), br#"{"ok": "pong"}"#);
        assert_eq!(super::decode("a-b_"), None);
    }
}
