//! What a bucket does with objects as they grow old, in its owner's own rules.

use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::ProbeError;
use super::http::Http;
use super::object::{Keys, Object};
use crate::domain::text::tame;

/// Rules looked at, at most; S3 allows a thousand.
const RULES: usize = 100;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// It is in force.
    pub enabled: bool,
    /// Keys that it is about begin so; all keys when empty.
    pub prefix: String,
    /// It is about objects with certain tags or sizes only.
    pub narrowed: bool,
    /// Objects move to another storage class.
    pub moves: bool,
    /// Objects are deleted.
    pub deletes: bool,
}

impl Rule {
    /// True when it is in force and does something with this object, sooner or later.
    #[must_use]
    pub fn covers(&self, key: &str) -> bool {
        self.enabled && !self.narrowed && (self.moves || self.deletes) && key.starts_with(&self.prefix)
    }
}

/// What the bucket answered to its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifecycle {
    /// Its rules; none when it has none.
    Rules(Vec<Rule>),
    /// It did not say: the status and its word for it, "AccessDenied".
    Refused(u16, String),
}

impl Object {
    /// The rules of the bucket that this object lies in.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn lifecycle(&self, http: &Http, keys: &Keys) -> Result<Lifecycle, ProbeError> {
        let answer = http.ask(reqwest::Method::GET, Ok(self.question(keys, "lifecycle"))).bare().send_raw().await?;
        Ok(read(answer.status, &answer.text()))
    }
}

fn read(status: u16, text: &str) -> Lifecycle {
    let word = between(text, "Code").unwrap_or("no word for it");
    match status {
        200 if text.contains("<LifecycleConfiguration") => Lifecycle::Rules(rules(text)),
        404 if word == "NoSuchLifecycleConfiguration" => Lifecycle::Rules(Vec::new()),
        _ => Lifecycle::Refused(status, tame(word, 80)),
    }
}

fn rules(text: &str) -> Vec<Rule> {
    #[expect(clippy::expect_used, reason = "a constant pattern")]
    static RULE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?s)<Rule>(.*?)</Rule>").expect("a pattern"));
    let rule = |text: &str| Rule {
        enabled: between(text, "Status") == Some("Enabled"),
        prefix: tame(between(text, "Prefix").unwrap_or_default(), 200),
        narrowed: ["<Tag>", "<ObjectSizeGreaterThan>", "<ObjectSizeLessThan>"].iter().any(|tag| text.contains(tag)),
        // What becomes of old versions and unfinished uploads says nothing about objects.
        moves: text.contains("<Transition>"),
        deletes: text.contains("<Expiration>") && !text.contains("<ExpiredObjectDeleteMarker>"),
    };
    RULE.captures_iter(text).take(RULES).filter_map(|found| Some(rule(found.get(1)?.as_str()))).collect()
}

fn between<'a>(text: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{tag}>"))?;
    Some(rest.split_once(&format!("</{tag}>"))?.0.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_s3_writes_them() {
        // The examples of GetBucketLifecycleConfiguration's reference, shortened.
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
            <LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <Rule><ID>old photos</ID><Filter><Prefix>uploads/</Prefix></Filter><Status>Enabled</Status>
              <Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass></Transition></Rule>
            <Rule><ID>all</ID><Filter><Prefix></Prefix></Filter><Status>Disabled</Status><Expiration><Days>365</Days></Expiration></Rule>
            <Rule><ID>tagged</ID><Filter><And><Prefix>uploads/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>
              <Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>
            <Rule><Status>Enabled</Status><Filter/><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>
              </AbortIncompleteMultipartUpload></Rule>
            </LifecycleConfiguration>"#;
        let Lifecycle::Rules(rules) = read(200, text) else { panic!("no rules") };
        let covering: Vec<bool> = rules.iter().map(|rule| rule.covers("uploads/7/a.jpg")).collect();
        assert_eq!(covering, [true, false, false, false]);
        assert!(!rules[0].covers("photos/1.svg"));
        let none = "<Error><Code>NoSuchLifecycleConfiguration</Code></Error>";
        assert_eq!(read(404, none), Lifecycle::Rules(Vec::new()));
        for (status, text) in [
            (403, "<Error><Code>AccessDenied</Code></Error>"),
            (404, "<Error><Code>NoSuchBucket</Code></Error>"),
            (200, "<html>"),
        ] {
            assert!(matches!(read(status, text), Lifecycle::Refused(code, _) if code == status), "{text}");
        }
    }
}
