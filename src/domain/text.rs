//! Text from outside is made harmless before anyone shows it, and fitted to the columns there are.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

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

/// Words broken into lines of at most this many columns; a longer word is broken hard.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word = word.to_owned();
        if !line.is_empty() && line.width() + 1 + word.width() > columns {
            lines.push(std::mem::take(&mut line));
        }
        while word.width() > columns {
            let mut used = 0;
            let cut = word.char_indices().find(|(_, c)| {
                used += c.width().unwrap_or(0);
                used > columns
            });
            // A single character wider than the column cannot be broken.
            let at = cut.map_or(word.len(), |(i, c)| if i == 0 { c.len_utf8() } else { i });
            let rest = word.split_off(at);
            lines.push(std::mem::replace(&mut word, rest));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    #[test]
    fn escape_sequences_lose_their_teeth() {
        assert_eq!(super::tame("\x1b[31mred\x07\nline", 40), "[31mred line");
        assert_eq!(super::tame("abcdef", 3), "abc…");
    }
}
