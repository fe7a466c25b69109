//! What a recorded request sent: form, JSON or multipart, in the words of a flow step.

use std::collections::BTreeMap;

use serde_json::Value;
use url::form_urlencoded;

use super::har::{Param, PostData};
use super::secrets;
use crate::domain::flow::{Json, Upload};

/// The hidden field of Django's forms.
pub(super) const CSRF_FIELD: &str = "csrfmiddlewaretoken";

/// The size of an uploaded file that the recording does not tell, bytes.
const UNTOLD: usize = 100_000;

/// A body in the words of a flow.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub form: BTreeMap<String, String>,
    pub json: Option<Json>,
    pub upload: Option<Upload>,
    pub csrf: bool,
    /// Columns that stand for secrets now.
    pub secrets: Vec<String>,
    /// What was changed or lost.
    pub notes: Vec<String>,
}

/// Reads a body; `size` is what the recording says of its length in bytes, negative when unknown.
pub(super) fn read(data: &PostData, size: i64) -> Body {
    let mut body = Body::default();
    let mime = data.mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if mime == "application/x-www-form-urlencoded" {
        let pairs: Vec<(String, String)> = if data.text.is_empty() {
            data.params.iter().map(|p| (p.name.clone(), p.value.clone())).collect()
        } else {
            form_urlencoded::parse(data.text.as_bytes()).into_owned().collect()
        };
        pairs.into_iter().for_each(|(name, value)| body.field(name, value));
    } else if mime == "multipart/form-data" {
        let parts = if data.text.is_empty() { data.params.clone() } else { multipart(&data.mime_type, &data.text) };
        let text: usize = data.text.len();
        parts.into_iter().for_each(|part| body.part(part, usize::try_from(size).unwrap_or(0).saturating_sub(text)));
    } else if mime == "application/json" || mime.ends_with("+json") {
        body.json(&data.text);
    } else if !data.text.is_empty() || !data.params.is_empty() {
        body.notes.push(format!("a body of type {mime:?} was left out; flows send forms, JSON and files"));
    }
    body
}

impl Body {
    fn field(&mut self, name: String, value: String) {
        if name == CSRF_FIELD {
            self.csrf = true;
        } else if self.form.contains_key(&name) {
            self.notes.push(format!("the field {name:?} was sent more than once; only its first value was kept"));
        } else if let Some(value) = self.safe(&name, value) {
            self.form.insert(name, value);
        }
    }

    fn part(&mut self, part: Param, untold: usize) {
        if part.file_name.is_none() {
            return self.field(part.name, part.value);
        }
        if self.upload.is_some() {
            return self.notes.push(format!("the file {:?} was left out; a step uploads one", part.name));
        }
        let bytes = [part.value.len(), untold].into_iter().find(|n| *n > 0).unwrap_or(UNTOLD);
        self.notes.push(format!("the file {:?} became one of {bytes} made-up bytes", part.name));
        let content_type = part.content_type.unwrap_or_else(|| "application/octet-stream".into());
        self.upload = Some(Upload { field: part.name, bytes, content_type });
    }

    fn json(&mut self, text: &str) {
        let Ok(mut value) = serde_json::from_str::<Value>(text) else {
            return self.notes.push("a JSON body that is not JSON was left out".into());
        };
        self.clean("", &mut value);
        self.json = Some(if value.is_object() && fits_toml(&value) {
            Json::Value(value)
        } else {
            Json::Text(value.to_string())
        });
    }

    /// Takes secrets out of a JSON value, and texts that would be read as holes.
    fn clean(&mut self, name: &str, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                if fields.keys().any(|name| name.contains("{{")) {
                    self.notes.push("a JSON object was emptied: {{ in its keys would be read as a hole".into());
                    fields.clear();
                }
                fields.iter_mut().for_each(|(name, value)| self.clean(name, value));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.clean(name, item)),
            Value::String(text) => *text = self.safe(name, std::mem::take(text)).unwrap_or_default(),
            Value::Number(number) if secrets::by_name(name) => {
                *value = Value::String(self.safe(name, number.to_string()).unwrap_or_default());
            }
            Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    /// The value as a flow may hold it; none when it cannot be held.
    fn safe(&mut self, name: &str, value: String) -> Option<String> {
        if !value.is_empty() && (secrets::by_name(name) || secrets::by_looks(&value)) {
            let (text, column) = secrets::stand_in(name);
            self.secrets.push(column);
            return Some(text);
        }
        if value.contains("{{") {
            self.notes.push(format!("the value of {name:?} was left out: its {{{{ would be read as a hole"));
            return None;
        }
        Some(value)
    }
}

/// TOML has no null, and its whole numbers end at 2^63.
fn fits_toml(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Number(number) => !number.is_u64() || number.is_i64(),
        Value::Array(items) => items.iter().all(fits_toml),
        Value::Object(fields) => fields.values().all(fits_toml),
        Value::Bool(_) | Value::String(_) => true,
    }
}

/// The parts of a multipart body as Chromium records it: the text as sent, file contents missing.
fn multipart(mime: &str, text: &str) -> Vec<Param> {
    let Some((_, boundary)) = mime.split_once("boundary=") else { return Vec::new() };
    let boundary = format!("--{}", boundary.split(';').next().unwrap_or_default().trim().trim_matches('"'));
    let parts = text.split(&boundary).skip(1).filter_map(|part| part.split_once("\r\n\r\n"));
    parts.filter_map(|(head, value)| part(head, value)).collect()
}

fn part(head: &str, value: &str) -> Option<Param> {
    let quoted = |key: &str| {
        let rest = head.split_once(&format!("; {key}=\""))?.1;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let kind = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
    });
    let value = value.strip_suffix("\r\n").unwrap_or(value).to_owned();
    Some(Param { name: quoted("name")?, value, file_name: quoted("filename"), content_type: kind })
}
