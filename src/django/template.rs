//! Files that are templates of files: what they say when they are rendered with their default answers. Lines stay where
//! they are. Knows no Python; a question that it cannot answer leaves both branches in.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

use super::tree::Tree;

#[expect(clippy::expect_used, reason = "a constant pattern")]
static TAG: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\{%[-+]?\s*(\w+)\s*(.*?)\s*[-+]?%\}").expect("a pattern"));
#[expect(clippy::expect_used, reason = "a constant pattern")]
static HOLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{\{[-\s]*(?:\w+\.)?(\w+)[^{}\n]*?\}\}").expect("a pattern"));
#[expect(clippy::expect_used, reason = "a constant pattern")]
static ASKED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"^\(?(?:cookiecutter\.)?(\w+)\s*(==|!=|in|not in)\s*(.+?)\)?$"#).expect("a pattern"));

/// The text as rendered. Files without a template's tags come back as they are; `{{ name }}` becomes `name`.
pub fn rendered<'a>(tree: &Tree, file: &str, text: &'a str) -> Cow<'a, str> {
    let in_template = file.contains("{{") || file.contains("project_name/");
    if !(in_template || text.contains("{%")) || !(text.contains("{%") || text.contains("{{")) {
        return Cow::Borrowed(text);
    }
    let text = decided(tree, text);
    Cow::Owned(if in_template { filled(&text).into_owned() } else { text.into_owned() })
}

/// The text with its branches decided and its `{{ name }}` as they are.
pub fn decided<'a>(tree: &Tree, text: &'a str) -> Cow<'a, str> {
    if !text.contains("{%") {
        return Cow::Borrowed(text);
    }
    let answers = tree.text("cookiecutter.json").and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
    Cow::Owned(branches(text, &answers))
}

/// Each `{{ name }}` as the bare name.
pub fn filled(text: &str) -> Cow<'_, str> {
    HOLE.replace_all(text, "$1")
}

/// An `{% if %}` that is open: whether its present branch is kept, and whether an earlier one was surely taken.
struct Open {
    kept: bool,
    decided: bool,
}

fn branches(text: &str, answers: &Value) -> String {
    let mut open: Vec<Open> = Vec::new();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let keep = |open: &[Open], piece: &str, out: &mut String| {
        let kept = open.iter().all(|one| one.kept);
        out.extend(piece.chars().filter(|c| kept || *c == '\n'));
    };
    for tag in TAG.captures_iter(text) {
        let Some(whole) = tag.get(0) else { continue };
        keep(&open, &text[at..whole.start()], &mut out);
        at = whole.end();
        let verdict = answer(&tag, answers);
        match (&tag[1], open.last_mut()) {
            ("if", _) => open.push(Open { kept: verdict != Some(false), decided: verdict == Some(true) }),
            ("elif" | "else", Some(last)) => {
                let verdict = if &tag[1] == "else" { Some(true) } else { verdict };
                last.kept = !last.decided && verdict != Some(false);
                last.decided |= verdict == Some(true);
            }
            ("endif", _) => drop(open.pop()),
            _ => {}
        }
    }
    keep(&open, &text[at..], &mut out);
    out
}

fn answer(tag: &Captures<'_>, answers: &Value) -> Option<bool> {
    let either = |text: &str| -> Option<bool> {
        let parts: Vec<_> = text.split(" and ").map(|part| asked(part.trim(), answers)).collect();
        if parts.contains(&Some(false)) {
            return Some(false);
        }
        parts.iter().all(Option::is_some).then_some(true)
    };
    let parts: Vec<_> = tag[2].split(" or ").map(either).collect();
    if parts.contains(&Some(true)) {
        return Some(true);
    }
    parts.iter().all(Option::is_some).then_some(false)
}

/// One comparison with a default answer; of several choices the first is the default.
fn asked(question: &str, answers: &Value) -> Option<bool> {
    let parts = ASKED.captures(question)?;
    let default = match answers.get(&parts[1])? {
        Value::Array(choices) => choices.first()?.as_str()?,
        other => other.as_str()?,
    };
    let wanted = |text: &str| text.trim().trim_matches(['"', '\'']) == default;
    match &parts[2] {
        "==" => Some(wanted(&parts[3])),
        "!=" => Some(!wanted(&parts[3])),
        word => Some(parts[3].trim_matches(['[', ']', '(', ')']).split(',').any(wanted) == (word == "in")),
    }
}
