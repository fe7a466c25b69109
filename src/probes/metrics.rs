//! Prometheus text: what a family of samples adds up to.

/// Sum of all samples of one name, whatever their labels; none when the text has none of them.
#[must_use]
pub fn sum(text: &str, family: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.trim().strip_prefix(family)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => after_labels(labelled)?,
            None => rest.strip_prefix([' ', '\t'])?,
        };
        value.split_whitespace().next()?.parse::<f64>().ok().filter(|v| v.is_finite())
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

/// What follows the closing brace; braces and escaped quotes inside label values do not count.
fn after_labels(labelled: &str) -> Option<&str> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in labelled.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return Some(&labelled[at + 1..]),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_name_add_up_over_their_labels() {
        let text = "# HELP requests_total Count.\n# TYPE requests_total counter\n\
            requests_total{method=\"GET\",path=\"/a}\\\"b\"} 12.0 1700000000\nrequests_total{method=\"POST\"} 3\n\
            requests_total_created 99\nup 1\nnan NaN\n";
        assert_eq!(sum(text, "requests_total"), Some(15.0));
        assert_eq!(sum(text, "up"), Some(1.0));
        assert_eq!(sum(text, "requests"), None);
        assert_eq!(sum(text, "nan"), None);
    }
}
