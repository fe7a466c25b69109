//! What is written in a settings file, as text: remarks left out, patterns for the rest. It says what is written, not what
//! runs.

use regex::Regex;

/// Something written in settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Written {
    /// Nothing of it.
    Absent,
    /// Switched off in so many words.
    Off,
    /// On, or an expression that may be.
    On,
}

impl Written {
    /// The most that any of these values may mean, each as it stands in the code.
    pub(super) fn most<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let of = |value: &str| match value.trim_end_matches(['}', ')', ' ']) {
            "False" | "0" | "None" => Self::Off,
            _ => Self::On,
        };
        values.map(of).max().unwrap_or(Self::Absent)
    }
}

/// A constant pattern; the tests of whoever has one try it.
#[expect(clippy::expect_used, reason = "a constant pattern")]
pub(super) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

/// The text without its remarks.
pub(super) fn code(text: &str) -> String {
    static COMMENT: std::sync::LazyLock<Regex> = std::sync::LazyLock::new(|| pattern(r"(?m)^\s*#.*$|\s#[^\n'\x22]*$"));
    COMMENT.replace_all(text, "").into_owned()
}
