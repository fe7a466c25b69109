//! Fills in templates: `{{name}}` becomes a value, and a name nobody knows is an error. No conditions, no loops.

use super::error::{LabError, Result};

/// Replaces every placeholder of a template; `file` is its name for messages.
pub(crate) fn render(file: &str, template: &str, value: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find("{{") {
        let (before, after) = rest.split_at(open);
        filled.push_str(before);
        let Some(close) = after.find("}}") else {
            return Err(LabError::Placeholder { file: file.to_owned(), name: first_line(&after[2..]) });
        };
        let name = after[2..close].trim();
        let value =
            value(name).ok_or_else(|| LabError::Placeholder { file: file.to_owned(), name: first_line(name) })?;
        filled.push_str(&value);
        rest = &after[close + 2..];
    }
    filled.push_str(rest);
    Ok(filled)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Option<String> {
        match name {
            "port.web" => Some("8000".into()),
            "secret.db" => Some("{{port.web}}".into()),
            _ => None,
        }
    }

    #[test]
    fn fills_in_every_name_once() {
        let filled = render("t", "a {{port.web}} { {{ port.web }}} {{secret.db}}", &known).unwrap();
        assert_eq!(filled, "a 8000 { 8000} {{port.web}}", "a value is never a template itself");
    }

    #[test]
    fn an_unknown_or_unclosed_name_is_an_error() {
        for template in ["{{port.nothing}}", "x {{port.web", "{{}}"] {
            assert!(matches!(render("t", template, &known), Err(LabError::Placeholder { .. })), "{template}");
        }
    }
}
