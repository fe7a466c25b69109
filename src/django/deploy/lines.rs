//! Process files that are read line by line: Procfile, shell scripts, ini files of uWSGI, supervisor and systemd, and
//! the few keys of platform files that name a command.

use std::sync::LazyLock;

use regex::Regex;

use super::Deploy;
use crate::django::value::Place;
use crate::django::words::is_aside;

/// Bytes of a script that are read.
const SCRIPT: usize = 64 << 10;

#[expect(clippy::expect_used, reason = "a constant pattern")]
static KEY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"["']?\b([\w-]+)["']?\s*[=:]\s*\[?\s*"((?:[^"\\]|\\.)*)""#).expect("a pattern"));

/// Lines with their numbers, without those that are remarks.
pub(super) fn numbered(text: &str) -> impl Iterator<Item = (u32, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with(['#', ';']))
}

/// Lines joined where one ends with a backslash, each with the number of its first.
pub(super) fn logical(text: &str) -> Vec<(u32, String)> {
    let mut lines: Vec<(u32, String)> = Vec::new();
    let mut open = false;
    for (number, line) in numbered(text) {
        let piece = line.trim_end().trim_end_matches('\\');
        match lines.last_mut() {
            Some((_, last)) if open => {
                last.push(' ');
                last.push_str(piece.trim());
            }
            _ => lines.push((number, piece.to_owned())),
        }
        open = line.trim_end().ends_with('\\');
    }
    lines
}

pub(super) fn procfile(deploy: &mut Deploy, path: &str, text: &str, aside: bool) {
    for (line, text) in numbered(text) {
        let Some((process, command)) = text.split_once(':') else { continue };
        let place = Place { file: path.into(), line };
        let once = matches!(process.trim(), "release" | "postdeploy");
        deploy.starts(command, place, aside || once, 0);
    }
}

/// A shell script: each of its lines may start something.
pub(super) fn script(deploy: &mut Deploy, path: &str, text: &str, aside: bool) {
    let shell = text.starts_with("#!") && text.lines().next().is_some_and(|first| first.contains("sh"));
    if text.len() > SCRIPT || !(shell || path.ends_with("sh")) {
        return;
    }
    let mut branch = false;
    for (line, text) in logical(text) {
        // A branch of `case` that is named after development is developers' own.
        let word = text.trim();
        if word.ends_with(')') && !word.contains(' ') {
            branch = is_aside(word.trim_matches(['\'', '"', ')', '(']));
        }
        let place = Place { file: path.into(), line };
        deploy.starts(&text, place, aside || branch, 4);
    }
}

pub(super) fn ini(deploy: &mut Deploy, path: &str, text: &str, aside: bool) {
    let uwsgi = numbered(text).any(|(_, line)| line.trim() == "[uwsgi]");
    for (line, text) in logical(text) {
        let Some((key, value)) = text.split_once('=') else { continue };
        let place = Place { file: path.into(), line };
        match key.trim() {
            "command" | "ExecStart" => deploy.starts(value, place, aside, 3),
            "module" | "wsgi-file" if uwsgi => {
                deploy.starts(&format!("uwsgi {}={}", key.trim(), value.trim()), place, aside, 3)
            }
            "attach-daemon" | "attach-daemon2" | "smart-attach-daemon" if uwsgi => {
                deploy.starts(value, place, aside, 3)
            }
            "env" | "environment" | "Environment" => deploy.chooses(value, &place, aside),
            _ => {}
        }
    }
}

/// The keys of JSON and TOML files of platforms that name a command or a health path.
pub(super) fn keys(deploy: &mut Deploy, path: &str, text: &str, aside: bool) {
    let mut section = String::new();
    for (line, text) in numbered(text) {
        let place = Place { file: path.into(), line };
        if text.trim_start().starts_with('[') {
            section = text.trim().trim_matches(['[', ']']).to_owned();
        }
        deploy.chooses(text, &place, aside);
        for found in KEY.captures_iter(text) {
            let (value, place) = (found[2].replace("\\\"", "\""), place.clone());
            match &found[1] {
                "startCommand" | "cmd" => deploy.starts(&value, place, aside, 0),
                "healthcheckPath" | "path" if value.starts_with('/') => deploy.health.push((value, place)),
                _ if section == "processes" => deploy.starts(&value, place, aside, 0),
                _ => {}
            }
        }
    }
}
