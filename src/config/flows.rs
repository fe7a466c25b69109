//! Whether flows can be played: paths, templates, forms, weights. Says what is wrong; the words are the domain's.

use std::collections::BTreeSet;

use crate::domain::flow::{Extract, Flow, FlowStep, Json};

use super::faults::Faults;
use super::rules::{header_fault, headers, path_fault};

/// Checks all flows.
pub(super) fn check(flows: &[Flow], faults: &mut Faults<'_>) {
    if flows.is_empty() {
        faults.add(
            &[],
            "there is no [[flow]]: without one no user does anything; write at least one with a [[flow.step]]",
        );
    }
    let mut names = BTreeSet::new();
    for (index, flow) in flows.iter().enumerate() {
        let at = index.to_string();
        let path = |key| ["flow", &at, key];
        if flow.name.trim().is_empty() {
            faults.add(&path("name"), "the flow has no name; give it one that reports can show");
        } else if !names.insert(&flow.name) {
            faults.add(&path("name"), format!("there are two flows named {:?}; rename one", flow.name));
        }
        if flow.weight == 0 {
            faults.add(
                &path("weight"),
                "weight = 0 means that nobody takes this flow; write 1 or more, or remove the flow",
            );
        }
        if flow.steps.is_empty() {
            faults
                .add(&path("step"), format!("the flow {:?} has no [[flow.step]]; write what its users do", flow.name));
        }
        if let Some(login) = &flow.login {
            let at = |key| ["flow", &at, "login", key];
            if let Some(fault) = path_fault(&login.path) {
                faults.add(&at("path"), fault);
            }
            if let Some(fault) = super::literal::not_a_name(&login.password_env) {
                faults.add(&at("password_env"), format!("password_env {fault}; {}", super::literal::TODO));
            }
            template(&login.username, &BTreeSet::new(), faults, &at("username"));
        }
        let mut known = BTreeSet::new();
        for (number, step) in flow.steps.iter().enumerate() {
            check_step(step, &["flow", &at, "step", &number.to_string()], &mut known, faults);
        }
    }
}

fn check_step(step: &FlowStep, path: &[&str; 4], known: &mut BTreeSet<String>, faults: &mut Faults<'_>) {
    let at = |key| [path[0], path[1], path[2], path[3], key];
    let inner = |key, name| [path[0], path[1], path[2], path[3], key, name];
    match (&step.get, &step.post) {
        (None, None) => faults.add(path, "the step does nothing; write get = \"/path\" or post = \"/path\""),
        (Some(_), Some(_)) => faults.add(&at("post"), "the step has both get and post; make two steps of it"),
        (Some(_), None) if !step.form.is_empty() || step.json.is_some() || step.upload.is_some() || step.csrf => {
            faults.add(&at("get"), "a get sends no form, json, upload or csrf; write post instead, or remove them");
        }
        _ => {}
    }
    let key = if step.get.is_some() { "get" } else { "post" };
    if (step.get.is_some() || step.post.is_some())
        && let Some(fault) = path_fault(step.path())
    {
        faults.add(&at(key), fault);
    }
    if step.json.is_some() && (!step.form.is_empty() || step.upload.is_some()) {
        faults.add(&at("json"), "a request has one body: either json, or form and upload; remove one");
    }
    if step.upload.as_ref().is_some_and(|upload| upload.field.is_empty() || upload.bytes == 0) {
        faults.add(
            &at("upload"),
            "an upload needs a form field and at least one byte: { field = \"photo\", bytes = 100000, …}",
        );
    }
    if let Some(status) = step.expect.iter().find(|status| !(100..600).contains(*status)) {
        faults.add(&at("expect"), format!("{status} is no HTTP status; write for example expect = [200, 302]"));
    }
    if step.expect_text.as_deref() == Some("") {
        faults.add(&at("expect_text"), "every body holds the empty text; write what only the right page holds");
    }
    if step.share.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
        faults.add(&at("share"), "share must be over 0 and at most 1: 0.3 makes this step in three passes out of ten");
    }
    headers(&step.headers, &at("headers"), faults);
    template(step.path(), known, faults, &at(key));
    if let Some(Json::Text(json)) = &step.json {
        template(json, known, faults, &at("json"));
    }
    step.headers.iter().for_each(|(name, text)| template(text, known, faults, &inner("headers", name)));
    step.form.iter().for_each(|(name, text)| template(text, known, faults, &inner("form", name)));
    for (name, what) in &step.extract {
        if let Some(fault) = extract_fault(name, what) {
            faults.add(&inner("extract", name), fault);
        }
        known.insert(name.clone());
    }
}

fn extract_fault(name: &str, what: &Extract) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.chars().all(plain) || matches!(name, "" | "user" | "random") {
        return Some(format!(
            "{name:?} cannot be extracted under this name; use letters, digits, _ and -, not user or random"
        ));
    }
    match what {
        Extract::Css { select, .. } => scraper::Selector::parse(select)
            .err()
            .map(|_| format!("{select:?} is no CSS selector; write for example \"a.product\"")),
        Extract::Json(pointer) if !pointer.starts_with('/') => {
            Some(format!("{pointer:?} is no JSON pointer; write for example \"/results/0/id\""))
        }
        Extract::Header(header) => header_fault(header, ""),
        Extract::Json(_) | Extract::Cookie(_) | Extract::Regex(_) => None,
    }
}

/// Checks the `{{…}}` of a text against what is known when it is used.
pub(super) fn template(text: &str, known: &BTreeSet<String>, faults: &mut Faults<'_>, path: &[&str]) {
    let mut rest = text;
    while let Some(begin) = rest.find("{{") {
        let Some(length) = rest[begin..].find("}}") else {
            faults.add(path, "a {{ is never closed; write }} after the name");
            return;
        };
        if let Some(fault) = slot_fault(rest[begin + 2..begin + length].trim(), known) {
            faults.add(path, fault);
        }
        rest = &rest[begin + length + 2..];
    }
}

fn slot_fault(slot: &str, known: &BTreeSet<String>) -> Option<String> {
    let mut words = slot.split_whitespace();
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("user" | "user.ip"), None, ..) => None,
        (Some("random"), Some(from), Some(to), None) => match (from.parse::<u64>(), to.parse::<u64>()) {
            (Ok(from), Ok(to)) if from <= to => None,
            _ => Some(format!("{{{{{slot}}}}} names no range; write {{{{random 1 500}}}}, the smaller number first")),
        },
        (Some(name), None, ..) if known.contains(name) => None,
        _ => Some(format!(
            "{{{{{slot}}}}} is not known here; there are {{{{user}}}}, {{{{user.ip}}}}, {{{{random 1 500}}}} and what an \
             earlier step of the same flow extracts{}",
            known.iter().map(|name| format!(", {{{{{name}}}}}")).collect::<String>()
        )),
    }
}
