//! Text from outside is made harmless before anyone shows it.

/// Removes control characters (escape sequences start with one) and cuts at `limit` characters.
#[must_use]
pub fn tame(text: &str, limit: usize) -> String {
    let mut tame: String = text
        .chars()
        .map(|c| if c == '\n' || c == '\t' { ' ' } else { c })
        .filter(|c| {
            !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        })
        .take(limit)
        .collect();
    if text.chars().count() > limit {
        tame.push('…');
    }
    tame
}

#[cfg(test)]
mod tests {
    #[test]
    fn escape_sequences_lose_their_teeth() {
        assert_eq!(super::tame("\x1b[31mred\x07\nline", 40), "[31mred line");
        assert_eq!(super::tame("abcdef", 3), "abc…");
    }
}
