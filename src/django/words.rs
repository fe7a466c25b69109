//! Words in names of files, services and modules that tell production from the rest, and text made fit to be shown.

/// Words for what does not serve people.
const ASIDE: [&str; 22] = [
    "dev",
    "develop",
    "development",
    "devel",
    "local",
    "localdev",
    "test",
    "tests",
    "testing",
    "ci",
    "e2e",
    "docs",
    "debug",
    "devcontainer",
    "demo",
    "unittests",
    "unittest",
    "mocks",
    "testdata",
    "benchmarks",
    "storybook",
    "lint",
];
/// Words for what does.
const LIVE: [&str; 6] = ["production", "prod", "prd", "live", "deploy", "deployment"];

fn words(name: &str) -> impl Iterator<Item = String> {
    name.split(['/', '.', '_', '-', ' ']).map(str::to_lowercase)
}

/// Does a path or name say that it is for developers, tests or readers?
pub fn is_aside(name: &str) -> bool {
    words(name).any(|word| ASIDE.contains(&word.as_str()))
}

/// Does it say that it is for production?
pub fn is_live(name: &str) -> bool {
    words(name).any(|word| LIVE.contains(&word.as_str()))
}

/// Text from a project, without control characters and not longer than a line.
pub fn shown(text: &str) -> String {
    let hidden = |c: &char| c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| !hidden(c)).take(200).collect()
}
