//! YAML of compose, Render, Heroku, Kubernetes and Helm, line by line: what is needed is a handful of keys with the lines
//! they stand on, and charts are templates that no YAML parser reads.

use super::Deploy;
use super::docker::unlisted;
use super::lines::numbered;
use crate::django::value::Place;
use crate::django::words::{is_aside, is_live};

/// A key, where it stands, and the keys it stands under.
#[derive(Debug)]
struct Entry {
    line: u32,
    indent: usize,
    key: String,
    value: String,
    above: Vec<String>,
    items: Vec<String>,
}

/// Keys that name what is started.
const COMMANDS: [&str; 7] = ["command", "startCommand", "dockerCommand", "entrypoint", "args", "run", "web"];

pub(super) fn read(deploy: &mut Deploy, path: &str, text: &str, aside: bool) {
    let entries = entries(text);
    let services = entries.iter().any(|entry| entry.above.is_empty() && entry.key == "services");
    let compose = path.contains("compose") && services;
    let aside = aside || compose && !is_live(path) && for_developers(text);
    let pipeline = entries
        .iter()
        .any(|entry| entry.above.is_empty() && matches!(&*entry.key, "jobs" | "steps" | "stages" | "repos"));
    if pipeline {
        return;
    }
    let mut name = String::new();
    for entry in &entries {
        let place = Place { file: path.into(), line: entry.line };
        let above = |word: &str| entry.above.iter().any(|key| key == word);
        let service = compose && entry.above.get(1).is_some_and(|service| is_aside(service));
        let aside = aside || service;
        match entry.key.as_str() {
            key if COMMANDS.contains(&key) && !above("healthcheck") && !above("release") => {
                let text = std::iter::once(unlisted(&entry.value)).chain(entry.items.iter().cloned());
                let rank = if path.contains("render") || path.contains("heroku") { 0 } else { 2 };
                deploy.starts(&text.collect::<Vec<_>>().join(" "), place, aside, rank);
            }
            "name" | "key" => name = entry.value.clone(),
            "value" => deploy.chooses(&format!("{name}={}", entry.value), &place, aside),
            "healthCheckPath" => deploy.health.push((entry.value.clone(), place)),
            "path" if entry.above.iter().any(|key| key.ends_with("Probe") || key == "probes") => {
                deploy.health.push((entry.value.clone(), place));
            }
            "test" if above("healthcheck") => {
                deploy.asks(&format!("{} {}", entry.value, entry.items.join(" ")), &place)
            }
            key => deploy.chooses(&format!("{key}={}", entry.value), &place, aside),
        }
        for item in entry.items.iter().filter(|_| entry.key == "environment") {
            deploy.chooses(item, &Place { file: path.into(), line: entry.line }, aside);
        }
    }
}

/// A compose file that mounts the source or runs the development server is a developer's.
fn for_developers(text: &str) -> bool {
    numbered(text).any(|(_, line)| {
        let line = line.trim().trim_start_matches("- ").trim_matches(['"', '\'']);
        let mounts = ["./:/", ".:/", "../:/", "../../:/", "${PWD}:/", "./src:/", "./backend:/", "./app:/"];
        mounts.iter().any(|mount| line.starts_with(mount))
            || ["runserver", "watchmedo", "--reload", "web-dev", "DEBUG=1", "DEBUG=True", "DEBUG: True", "DEBUG: 1"]
                .iter()
                .any(|word| line.contains(word))
            || (line.contains("env_file") || line.contains(".env")) && is_aside(line)
    })
}

fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut folded: Option<usize> = None;
    for (line, text) in numbered(text) {
        let bare = text.trim_start();
        let mut indent = text.len() - bare.len();
        if bare.is_empty() || bare.starts_with("{{") && bare.trim_end().ends_with("}}") || bare.starts_with("---") {
            continue;
        }
        // Lines of a block text belong to the key that opened it.
        if let Some(of) = folded {
            if indent > of {
                if let Some(last) = entries.last_mut() {
                    last.items.push(bare.trim_end().to_owned());
                }
                continue;
            }
            folded = None;
        }
        let item = bare.strip_prefix("- ");
        let rest = item.map_or(bare, str::trim_start);
        indent += item.map_or(0, |_| 2);
        let key =
            rest.split_once(':').filter(|(key, value)| is_key(key) && (value.is_empty() || value.starts_with(' ')));
        let Some((key, value)) = key else {
            let text = unlisted(rest.split(" #").next().unwrap_or(rest));
            if let Some(last) = entries.iter_mut().rev().find(|entry| entry.indent < indent).filter(|_| item.is_some())
            {
                last.items.push(text);
            } else if let Some(last) = entries.last_mut() {
                last.value.push(' ');
                last.value.push_str(rest.trim());
            }
            continue;
        };
        open.retain(|(depth, _)| *depth < indent);
        let above = open.iter().map(|(_, key)| key.clone()).collect();
        let key = key.trim().trim_matches(['"', '\'']).to_owned();
        let value = value.split(" #").next().unwrap_or(value).trim();
        if matches!(value, "|" | ">" | "|-" | ">-" | ">+" | "|+") {
            folded = Some(text.len() - bare.len());
        }
        let value = value.trim_matches(['|', '>', '-']).trim().trim_matches(['"', '\'']).to_owned();
        open.push((indent, key.clone()));
        entries.push(Entry { line, indent, key, value, above, items: Vec::new() });
    }
    entries
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.len() < 80 && !text.contains([' ', '{', '/', '=', '$'])
}
