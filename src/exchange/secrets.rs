//! What in a recording is nobody's business, by its name or by its looks.

/// The feeder that a user makes for what was taken out: texts hold `{{secrets.NAME}}`.
const FEEDER: &str = "secrets";

const WORDS: [&str; 13] = [
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "authorization",
    "credential",
    "signature",
    "sessionid",
    "privatekey",
    "accesskey",
    "cardnumber",
    "otp",
];

const WHOLE: [&str; 8] = ["auth", "jwt", "pin", "pwd", "cvc", "cvv", "sig", "key"];

/// True when a field, header or parameter of this name holds a secret.
pub(super) fn by_name(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let whole = |word: &str| WHOLE.contains(&word.to_ascii_lowercase().as_str());
    WORDS.iter().any(|word| plain.contains(word)) || name.split(|c: char| !c.is_ascii_alphanumeric()).any(whole)
}

/// True when a value looks like a key whatever its name: a JSON web token, a bearer header, well-known prefixes.
pub(super) fn by_looks(value: &str) -> bool {
    let jwt = value.starts_with("eyJ") && value.split('.').count() == 3;
    let known = ["Bearer ", "Basic ", "sk_live_", "sk_test_", "ghp_", "github_pat_", "xoxb-", "AKIA", "glpat-"];
    jwt || known.iter().any(|prefix| value.starts_with(prefix))
}

/// True when a part of a path is a key: long and mixed, or what follows words like `reset`. UUIDs are ids, not keys.
pub(super) fn in_path(before: &str, segment: &str) -> bool {
    let uuid = segment.len() == 36
        && segment
            .chars()
            .enumerate()
            .all(|(i, c)| if matches!(i, 8 | 13 | 18 | 23) { c == '-' } else { c.is_ascii_hexdigit() });
    let mixed = segment.chars().any(|c| c.is_ascii_digit()) && segment.chars().any(|c| c.is_ascii_alphabetic());
    let door = ["reset", "confirm", "activate", "verify", "token", "invite", "magic", "unsubscribe"];
    let least = if door.iter().any(|word| before.contains(word)) { 12 } else { 32 };
    by_looks(segment) || (!uuid && mixed && segment.len() >= least)
}

/// The text that stands for a secret, and the column that must be made for it.
pub(super) fn stand_in(name: &str) -> (String, String) {
    let column: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    (format!("{{{{{FEEDER}.{column}}}}}"), column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name_or_looks_and_ids_are_not() {
        for name in ["password", "new_password1", "api_key", "X-API-Key", "accessToken", "auth", "key", "Authorization"]
        {
            assert!(by_name(name), "{name}");
        }
        for name in ["product", "monkey", "author", "q", "quantity", "spinner"] {
            assert!(!by_name(name), "{name}");
        }
        assert!(by_looks("eyJhbGciOi.eyJzdWIi.c2ln") && by_looks("Bearer abc") && !by_looks("red tea"));
        assert!(in_path("reset", "bzy1k9-a8f3e0c97d44"));
        assert!(!in_path("p", "123456789") && !in_path("p", "0b1f0f6e-7a4e-4f43-9f3c-0d6a5e1d2c3b"));
    }
}
