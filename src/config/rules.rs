//! Small rules that several parts of the settings share, each with its sentence.

use std::collections::BTreeMap;

use url::Url;

use super::faults::Faults;
use super::literal;

/// What is wrong with a path on the target; it may begin with an extracted value.
///
/// A path that a browser would take for another host (`//host`, `/\host`) is refused: no load may leave the target.
pub(super) fn path_fault(path: &str) -> Option<String> {
    if path.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') && !path.contains("{{") {
        Some(format!("{path:?} holds a character that no path may hold; write it percent-encoded"))
    } else if path.starts_with("//") || path.contains('\\') {
        Some(format!("{path:?} leads to another host; write a path with one / in front"))
    } else if path.starts_with('/') || path.starts_with("{{") {
        None
    } else {
        Some(format!("{path:?} does not begin with /; write the path alone, without scheme and host"))
    }
}

/// What is wrong with the address of a web server.
pub(super) fn server_fault(url: &Url) -> Option<&'static str> {
    if !matches!(url.scheme(), "http" | "https") {
        Some("must begin with http:// or https://")
    } else if !url.username().is_empty() || url.password().is_some() {
        Some("holds a user name or password; remove it, and put what the site needs into the environment")
    } else if url.host_str().is_none_or(str::is_empty) {
        Some("names no host; write for example https://shop.example.com")
    } else if url.query().is_some() || url.fragment().is_some() {
        Some("holds a query or fragment; write scheme and host alone")
    } else {
        None
    }
}

/// What is wrong with a header.
pub(super) fn header_fault(name: &str, value: &str) -> Option<String> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        Some(format!("{name:?} is no header name; write for example \"x-client-ip\""))
    } else if value.chars().any(char::is_control) {
        Some(format!("the header {name} holds a control character; remove it"))
    } else if literal::is_key_header(name) && !value.is_empty() && !value.contains("{{") {
        Some(format!(
            "the header {name} looks like a key, and settings hold no keys; let the flow log in (login = …) or take it \
             from an earlier answer (extract = …)"
        ))
    } else {
        None
    }
}

/// Checks a table of headers.
pub(super) fn headers(headers: &BTreeMap<String, String>, path: &[&str], faults: &mut Faults<'_>) {
    for (name, value) in headers {
        if let Some(fault) = header_fault(name, value) {
            let mut path = path.to_vec();
            path.push(name);
            faults.add(&path, fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_on_its_host() {
        for path in ["/", "/a?b=c%20d", "{{link}}", "/p/{{random 1 9}}/"] {
            assert_eq!(path_fault(path), None, "{path}");
        }
        for path in ["", "a", "//evil.example/", "/\\evil.example", "http://evil.example/", "/a b", "/{{x}}\\y"] {
            assert!(path_fault(path).is_some(), "{path}");
        }
    }

    #[test]
    fn a_server_is_scheme_and_host() {
        for (url, fine) in [
            ("https://shop.example", true),
            ("http://127.0.0.1:8000/", true),
            ("ftp://shop.example", false),
            ("https://u:p@shop.example", false),
            ("https://shop.example/?a", false),
        ] {
            assert_eq!(server_fault(&Url::parse(url).unwrap()).is_none(), fine, "{url}");
        }
    }
}
