//! Recognises secrets that somebody wrote where a variable's name belongs. Never repeats what it found.

use crate::domain::secret::looks_like_a_key;

/// What to do with a secret found in the settings.
pub(super) const TODO: &str = "put the value into the environment or into the env_file (never into git), write only the \
     variable's name here, and replace the secret if this file was ever shared";

/// What is wrong with a text that should be the name of an environment variable; none when it may be one.
pub(super) fn not_a_name(text: &str) -> Option<&'static str> {
    let mut letters = text.chars();
    let begins = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if text.is_empty() {
        Some("is empty; write the name of an environment variable")
    } else if text.contains("://") || looks_like_a_key(text) {
        Some("wants the name of an environment variable, and this looks like the secret itself")
    } else if !begins || !letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Some("wants the name of an environment variable (letters, digits and _), and this is none")
    } else {
        None
    }
}

/// True for a URL that carries a password (or a user name) before its host.
pub(super) fn is_url_with_keys(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.contains('@') && !authority.starts_with("{{")
    })
}

/// True for a header that usually carries a key.
pub(super) fn is_key_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let carries = ["authorization", "cookie", "api-key", "apikey", "token", "secret", "password"];
    !name.contains("csrf") && carries.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_pass_and_secrets_do_not() {
        for name in ["DATABASE_URL", "database_url", "_X1", "PGBOUNCER_CONSOLE_URL_FOR_RAMPUP_2026"] {
            assert_eq!(not_a_name(name), None, "{name}");
        }
        for secret in [
            "postgres://u:p@h/db",
            "sntrys_eyJpYXQiOjE3",
            "9f86d081884c7d659a2feaa0c55ad015",
            "a3f5c9d2e8b14f60a7c3",
            "hunter-2",
            "",
        ] {
            assert!(not_a_name(secret).is_some(), "{secret}");
        }
    }

    #[test]
    fn keys_in_urls_and_headers_are_seen() {
        assert!(is_url_with_keys("redis://:pw@h:6379/0"));
        assert!(is_url_with_keys("https://user@host/"));
        assert!(!is_url_with_keys("https://host/a@b"));
        assert!(!is_url_with_keys("mail me@home"));
        assert!(is_key_header("Authorization") && is_key_header("X-Api-Key") && !is_key_header("X-CSRFToken"));
    }
}
