//! Whether flows can be played: paths, templates, bodies, expectations, weights. Says what is wrong; the words are the
//! domain's.

use std::collections::BTreeSet;

use crate::domain::flow::{Extract, Flow, FlowStep, Json};

use super::faults::Faults;
use super::rules::{header_fault, headers, path_fault};
use super::slots::{Known, template};

/// Checks all flows.
pub(super) fn check(flows: &[Flow], known: &Known, faults: &mut Faults<'_>) {
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
            template(&login.username, known, faults, &at("username"));
            for feeder in known.shared_in(&login.username) {
                let what = format!(
                    "a login needs a row of its own for each user; write deal = \"per-user\" in the feeder {feeder:?}"
                );
                faults.add(&at("username"), what);
            }
        }
        let mut known = known.clone();
        for (number, step) in flow.steps.iter().enumerate() {
            check_step(step, &["flow", &at, "step", &number.to_string()], &mut known, faults);
        }
    }
}

fn check_step(step: &FlowStep, path: &[&str; 4], known: &mut Known, faults: &mut Faults<'_>) {
    let at = |key| [path[0], path[1], path[2], path[3], key];
    let inner = |key, name| [path[0], path[1], path[2], path[3], key, name];
    let paths = [
        ("get", &step.get),
        ("post", &step.post),
        ("put", &step.put),
        ("patch", &step.patch),
        ("delete", &step.delete),
    ];
    let set: Vec<_> = paths.into_iter().filter_map(|(key, text)| Some((key, text.as_deref()?))).collect();
    for (key, text) in &set {
        if let Some(fault) = path_fault(text) {
            faults.add(&at(key), fault);
        }
        template(text, known, faults, &at(key));
    }
    match (set.as_slice(), &step.presigned) {
        ([], None) => faults.add(
            path,
            "the step does nothing; write get = \"/path\", or post, put, patch, delete, or presigned = \"TICKET\"",
        ),
        ([_], None) | ([], Some(_)) => {}
        ([(first, _), (second, _), ..], _) => {
            faults.add(&at(second), format!("the step has both {first} and {second}; make two steps of it"));
        }
        ([(key, _)], Some(_)) => {
            faults.add(&at(key), format!("the step has both {key} and presigned; the ticket says where it goes"));
        }
    }
    if let Some(ticket) = &step.presigned {
        if !known.extracts(ticket) {
            let what = format!(
                "no earlier step of the flow extracts {ticket:?}; write extract = {{ {ticket} = {{ json = \"\" }} }} there"
            );
            faults.add(&at("presigned"), what);
        }
        if step.upload.is_none() {
            faults.add(
                &at("presigned"),
                "a ticket is for a file; write upload = { field = \"file\", bytes = 100000, … }",
            );
        }
        if step.csrf || !step.query.is_empty() || step.json.is_some() {
            faults.add(&at("presigned"), "a bucket knows no csrf, query or json; remove them");
        }
    }
    if step.get.is_some() && (!step.form.is_empty() || step.json.is_some() || step.upload.is_some() || step.csrf) {
        faults.add(&at("get"), "a get sends no form, json, upload or csrf; write post instead, or remove them");
    }
    body(step, &at, known, faults);
    expectations(step, path, known, faults);
    if step.share.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
        faults.add(&at("share"), "share must be over 0 and at most 1: 0.3 makes this step in three passes out of ten");
    }
    if step.at_once && step.think.is_some() {
        faults.add(&at("think"), "the step is at_once and thinks first; remove one of them");
    }
    headers(&step.headers, &at("headers"), faults);
    for (key, texts) in [("headers", &step.headers), ("form", &step.form), ("query", &step.query)] {
        texts.iter().for_each(|(name, text)| template(text, known, faults, &inner(key, name)));
    }
    step.form.keys().for_each(|name| template(name, known, faults, &inner("form", name)));
    if let Some(name) = step.query.keys().find(|name| name.contains("{{")) {
        let what = "the name in a query is taken as it is; write it into the path: get = \"/search/?{{name}}=tea\"";
        faults.add(&inner("query", name), what);
    }
    for (name, what) in &step.extract {
        if let Some(fault) = extract_fault(name, what, known) {
            faults.add(&inner("extract", name), fault);
        }
        known.add(name);
    }
}

fn body<'p>(step: &FlowStep, at: &impl Fn(&'static str) -> [&'p str; 5], known: &Known, faults: &mut Faults<'_>) {
    if step.json.is_some() && (!step.form.is_empty() || step.upload.is_some()) {
        faults.add(&at("json"), "a request has one body: either json, or form and upload; remove one");
    }
    if step.upload.as_ref().is_some_and(|upload| upload.field.is_empty() || upload.bytes == 0) {
        faults.add(
            &at("upload"),
            "an upload needs a form field and at least one byte: { field = \"photo\", bytes = 100000, …}",
        );
    }
    if step.upload.as_ref().is_some_and(|upload| upload.bytes > MOST_UPLOADED) {
        faults.add(&at("upload"), "an upload is held in memory for every user; write at most 50000000 bytes");
    }
    if step.upload.as_ref().is_some_and(|upload| !is_media_type(&upload.content_type)) {
        faults.add(&at("upload"), "content_type is none; write for example \"image/jpeg\"");
    }
    let text = match &step.json {
        Some(Json::Text(text)) => text.clone(),
        Some(Json::Value(value)) => value.to_string(),
        None => return,
    };
    template(&text, known, faults, &at("json"));
    if let Err(why) = serde_json::from_str::<serde::de::IgnoredAny>(&super::slots::filled(&text)) {
        faults.add(
            &at("json"),
            format!("json is no JSON ({why}); write '{{\"id\": {{{{id}}}}}}' or {{ id = \"{{{{id}}}}\" }}"),
        );
    }
    if text.contains("$__toml_private_datetime") {
        faults.add(&at("json"), "JSON knows no dates; write the date as text, between quotes");
    }
}

/// Largest made-up file.
const MOST_UPLOADED: usize = 50_000_000;

fn is_media_type(text: &str) -> bool {
    let token =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c));
    text.split(';').next().and_then(|kind| kind.trim().split_once('/')).is_some_and(|(a, b)| token(a) && token(b))
}

fn expectations(step: &FlowStep, path: &[&str; 4], known: &Known, faults: &mut Faults<'_>) {
    let at = |key| [path[0], path[1], path[2], path[3], key];
    let inner = |key, name| [path[0], path[1], path[2], path[3], key, name];
    if let Some(status) = step.expect.iter().find(|status| !(100..600).contains(*status)) {
        faults.add(&at("expect"), format!("{status} is no HTTP status; write for example expect = [200, 302]"));
    }
    if let Some(text) = &step.expect_text {
        if text.is_empty() {
            faults.add(&at("expect_text"), "every body holds the empty text; write what only the right page holds");
        }
        template(text, known, faults, &at("expect_text"));
    }
    for (name, text) in &step.expect_header {
        if let Some(fault) = header_fault(name, "") {
            faults.add(&inner("expect_header", name), fault);
        }
        template(text, known, faults, &inner("expect_header", name));
    }
    if let Some(fault) = step.expect_select.as_deref().and_then(selector_fault) {
        faults.add(&at("expect_select"), fault);
    }
    for (pointer, value) in &step.expect_json {
        if let Some(fault) = pointer_fault(pointer) {
            faults.add(&inner("expect_json", pointer), fault);
        }
        if let serde_json::Value::String(text) = value {
            template(text, known, faults, &inner("expect_json", pointer));
        }
    }
}

fn extract_fault(name: &str, what: &Extract, known: &Known) -> Option<String> {
    if let Some(fault) = name_fault(name) {
        return Some(format!("{name:?} cannot be extracted under this name; {fault}"));
    }
    if known.is_feeder(name) {
        return Some(format!("{name:?} is the name of a feeder; extract it under another name"));
    }
    match what {
        Extract::Css { select, .. } => selector_fault(select),
        Extract::Json(pointer) => pointer_fault(pointer),
        Extract::Header(header) => header_fault(header, ""),
        Extract::Cookie(cookie) if cookie.is_empty() => {
            Some("the cookie has no name; write for example \"sessionid\"".into())
        }
        Extract::Cookie(_) => None,
        Extract::Regex(text) => regex::bytes::Regex::new(text).err().map(|why| {
            let why = why.to_string().lines().last().unwrap_or_default().trim().to_owned();
            format!("{text:?} is no regular expression ({why}); write for example 'data-id=\"(\\d+)\"'")
        }),
    }
}

/// What is wrong with a name that texts are to use.
pub(super) fn name_fault(name: &str) -> Option<&'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (!name.chars().all(plain) || matches!(name, "" | "user" | "random"))
        .then_some("use letters, digits, _ and -, not user or random")
}

fn selector_fault(select: &str) -> Option<String> {
    let wrong = scraper::Selector::parse(select).is_err();
    wrong.then(|| format!("{select:?} is no CSS selector; write for example \"a.product\""))
}

fn pointer_fault(pointer: &str) -> Option<String> {
    (!pointer.is_empty() && !pointer.starts_with('/'))
        .then(|| format!("{pointer:?} is no JSON pointer; write for example \"/results/0/id\", or \"\" for all of it"))
}
