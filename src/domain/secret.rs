//! A value that must never reach a screen, a log, a report or a file.

use std::fmt;

/// A password, token or DSN. It has no `Display`, no `Serialize` and no `Clone`; `Debug` prints `[redacted]`.
pub struct Secret(String);

impl Secret {
    /// Wraps a value taken from the environment.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value, for the one call that needs it. Never pass it on to text that people see.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Text with the user name and password of every URL in it replaced by `…`: `postgres://…@host/db`.
///
/// For messages that quote what somebody wrote or what a driver said. Errs on the side of hiding: everything between
/// `://` and the last `@` before the next blank, quote or end goes.
#[must_use]
pub fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = rest.find("://") {
        let (before, after) = rest.split_at(found + 3);
        masked.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`')).unwrap_or(after.len());
        match after[..end].rfind('@') {
            Some(at) => {
                masked.push('…');
                rest = &after[at..];
            }
            None => rest = after,
        }
    }
    masked + rest
}

/// True for the name of a header, cookie, column or value that usually carries a key: nobody should see what it holds.
#[must_use]
pub fn sounds_secret(name: &str) -> bool {
    const WORDS: [&str; 14] = [
        "authorization",
        "cookie",
        "session",
        "csrf",
        "token",
        "secret",
        "passw",
        "pwd",
        "credential",
        "signature",
        "api-key",
        "api_key",
        "apikey",
        "jwt",
    ];
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word)) || name == "pin" || name == "otp"
}

/// True for a text that begins like the keys of well-known services, or is as long and as mixed as a key.
#[must_use]
pub fn looks_like_a_key(text: &str) -> bool {
    const PREFIXES: [&str; 10] =
        ["sntrys_", "sntryu_", "ghp_", "gho_", "github_pat_", "xoxb", "xoxp", "AKIA", "sk_", "eyJ"];
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let small = text.chars().any(|c| c.is_ascii_lowercase());
    PREFIXES.iter().any(|prefix| text.starts_with(prefix)) || (text.len() >= 20 && digits >= 4 && small)
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_that_carry_keys_are_known() {
        for name in ["Set-Cookie", "X-API-Key", "password", "csrfmiddlewaretoken", "X-Amz-Signature", "pin"] {
            assert!(super::sounds_secret(name), "{name}");
        }
        for name in ["email", "product", "location", "spinner", "key"] {
            assert!(!super::sounds_secret(name), "{name}");
        }
    }

    #[test]
    fn a_masked_text_keeps_everything_but_the_keys() {
        for (text, masked) in [
            ("postgres://u:p@h:5432/db is down", "postgres://…@h:5432/db is down"),
            ("\"redis://:p@a@h/0\" and https://plain.example/", "\"redis://…@h/0\" and https://plain.example/"),
            ("nothing here, me@home", "nothing here, me@home"),
        ] {
            assert_eq!(super::mask(text), masked);
        }
        let secret = super::Secret::new("hunter2".into());
        assert_eq!(format!("{secret:?}"), "[redacted]");
    }
}
