//! The architecture, held by a test: reads every `use crate::` and names the arrow that points the wrong way.
#![expect(clippy::unwrap_used, reason = "a test, where a panic is the finding")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The program's own lines with their numbers: without comments and without tests, which may use what they need.
fn code(path: &Path, text: &str) -> Vec<(usize, String)> {
    if path.ends_with("tests.rs") {
        return Vec::new();
    }
    let program = text.lines().enumerate().take_while(|(_, line)| !line.contains("#[cfg(test)]"));
    program.filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(n, line)| (n + 1, line.to_owned())).collect()
}

/// Which rooms a room may use (ARCHITECTURE.md). `app`, `main`, `cli` and `lib` may use everything.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("stats", &[][..]),
        ("domain", &["stats"]),
        ("django", &[]),
        ("config", &["domain"]),
        ("playbook", &["domain"]),
        ("store", &["domain"]),
        ("probes", &["domain"]),
        ("checks", &["domain", "django", "probes"]),
        ("load", &["domain"]),
        ("exchange", &["domain"]),
        ("engine", &["domain", "checks", "probes", "load"]),
        ("tui", &["domain"]),
        ("headless", &["domain"]),
        ("report", &["domain"]),
        ("lab", &["domain"]),
    ])
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn all() -> Vec<(String, PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&src, &mut found);
    assert!(found.len() > 30, "only {} source files found", found.len());
    found
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&src).unwrap();
            let room = inside.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            (room, path, text)
        })
        .collect()
}

#[test]
fn arrows_point_down() {
    let allowed = allowed();
    let mut wrong = Vec::new();
    for (room, path, text) in all() {
        let Some(may_use) = allowed.get(room.as_str()) else { continue };
        for (number, line) in code(&path, &text) {
            for used in line.split("crate::").skip(1) {
                let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if used != room && !used.is_empty() && !may_use.contains(&used.as_str()) {
                    wrong.push(format!("{}:{}: {room} must not use {used}", path.display(), number));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_decides_never_waits() {
    let mut wrong = Vec::new();
    for (room, path, text) in all() {
        let pure = matches!(room.as_str(), "domain" | "stats") || path.ends_with("engine/machine.rs");
        let forbidden =
            ["tokio::", ".await", "Timestamp::now", "Instant::now", "SystemTime::now", "std::fs", "std::net"];
        if !pure {
            continue;
        }
        for (number, line) in code(&path, &text) {
            for word in forbidden.iter().filter(|w| line.contains(**w)) {
                wrong.push(format!("{}:{}: {word}", path.display(), number));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn goose_stays_in_its_own_file() {
    let wrong: Vec<_> = all()
        .into_iter()
        .filter(|(_, path, text)| text.contains("use goose") && !path.ends_with("load/goose.rs"))
        .map(|(_, path, _)| path)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn every_file_says_what_it_owns() {
    let silent: Vec<_> =
        all().into_iter().filter(|(_, _, text)| !text.starts_with("//!")).map(|(_, path, _)| path).collect();
    assert!(silent.is_empty(), "{silent:?}");
}
