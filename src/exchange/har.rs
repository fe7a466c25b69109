//! The part of HAR 1.2 that a flow needs. Browsers add fields of their own; what is not known here is ignored.

use jiff::Timestamp;
use serde::Deserialize;

use super::ExchangeError;

/// The largest recording that is read, bytes. A long session with response bodies has some tens of MB.
pub const MOST_BYTES: u64 = 256 << 20;

#[derive(Deserialize)]
struct File {
    log: Log,
}

/// The recording.
#[derive(Debug, Deserialize)]
pub(super) struct Log {
    pub entries: Vec<Entry>,
}

/// One request and its answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    pub started_date_time: Timestamp,
    /// Milliseconds from start to last byte; -1 when unknown.
    #[serde(default)]
    pub time: f64,
    pub request: Request,
    #[serde(default)]
    pub response: Response,
    /// What the browser wanted it for; Chromium and WebKit say it.
    #[serde(default, rename = "_resourceType")]
    pub resource_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    pub method: String,
    pub url: String,
    #[serde(default)]
    pub headers: Vec<Pair>,
    #[serde(default)]
    pub post_data: Option<PostData>,
    /// Bytes of the body; -1 when unknown.
    #[serde(default)]
    pub body_size: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Pair {
    pub name: String,
    #[serde(default)]
    pub value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PostData {
    #[serde(default)]
    pub mime_type: String,
    #[serde(default)]
    pub params: Vec<Param>,
    #[serde(default)]
    pub text: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Param {
    pub name: String,
    #[serde(default)]
    pub value: String,
    #[serde(default)]
    pub file_name: Option<String>,
    #[serde(default)]
    pub content_type: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Response {
    pub status: i64,
    pub content: Content,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Content {
    pub mime_type: String,
}

/// Reads a recording; entries in the order of their start.
pub(super) fn read(text: &str) -> Result<Log, ExchangeError> {
    let text = text.trim_start_matches('\u{feff}');
    let file: File = serde_json::from_str(text).map_err(|e| ExchangeError::NotHar(e.to_string()))?;
    let mut log = file.log;
    log.entries.sort_by_key(|entry| entry.started_date_time);
    Ok(log)
}
