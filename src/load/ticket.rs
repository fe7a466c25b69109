//! A presigned-POST ticket: where a file goes and with which fields, as an app hands it out for its bucket.

use serde_json::Value;
use url::Url;

use super::extract::plain;

/// Reads a JSON object with `url` and `fields`, as boto3's `generate_presigned_post` makes it.
pub(super) fn read(ticket: &str) -> Result<(Url, Vec<(String, String)>), String> {
    let wrong = |what: &str| format!("the ticket {what}; it must be a JSON object with url and fields");
    let ticket: Value = serde_json::from_str(ticket).map_err(|_| wrong("is no JSON"))?;
    let url = ticket.get("url").and_then(Value::as_str).ok_or_else(|| wrong("has no url"))?;
    let url = Url::parse(url).map_err(|_| wrong("has a url that is none"))?;
    let fields = ticket.get("fields").and_then(Value::as_object).ok_or_else(|| wrong("has no fields"))?;
    let fields = fields.iter().filter_map(|(name, value)| Some((name.clone(), plain(value)?))).collect();
    Ok((url, fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_says_where_and_with_what() {
        let (url, fields) = read(r#"{"url": "https://b.example/", "fields": {"key": "a/b", "max": 5}}"#).unwrap();
        assert_eq!(url.as_str(), "https://b.example/");
        assert_eq!(fields, [("key".to_owned(), "a/b".to_owned()), ("max".to_owned(), "5".to_owned())]);
    }

    #[test]
    fn what_is_no_ticket_is_not_repeated() {
        for text in ["hunter2", r#"{"url": "hunter2"}"#, r#"{"fields": {"k": "hunter2"}}"#, r#"{"url": "https://b/"}"#]
        {
            let said = read(text).unwrap_err();
            assert!(said.contains("url and fields") && !said.contains("hunter2"), "{said}");
        }
    }
}
