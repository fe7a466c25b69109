//! A rule's expression in Cloudflare's language as it may be shown: what it compares, and with which paths and hosts. What
//! a header, a cookie or a query must be may be a key, so all other values are left out. Knows no rule and no request.

/// Operators, after which values come.
const COMPARES: [&str; 12] =
    ["eq", "ne", "lt", "le", "gt", "ge", "contains", "matches", "wildcard", "strict", "in", "bitwise_and"];
/// Functions that compare their first argument with their second.
const BEGINNINGS: [&str; 2] = ["starts_with", "ends_with"];
/// What stands for a value that is left out.
const LEFT_OUT: &str = "…";

/// The expression with the values of paths and hosts, the names of headers, cookies and lists, and plain numbers. A string
/// without an end, as in an expression that was cut, is taken to reach to the end.
pub(super) fn shown(expression: &str) -> String {
    let mut reader = Reader::default();
    let mut rest = expression;
    while let Some((token, after)) = next(rest) {
        match token {
            Token::Text(text) => reader.text(text),
            Token::Word(word) => reader.word(word, after.trim_start().starts_with('(')),
            Token::Sign(sign) => reader.sign(sign, after),
        }
        rest = after;
    }
    reader.shown
}

/// What of a value may be shown, by the field that is compared with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    /// A path or a host: all of it.
    Path,
    /// An address with its query: what stands before the query.
    Address,
    /// Anything else: nothing.
    Other,
}

impl Field {
    fn of(name: &str) -> Self {
        match name.strip_prefix("raw.").unwrap_or(name) {
            "http.host" | "http.request.uri.path" | "http.request.uri.path.extension" => Self::Path,
            "http.request.uri" | "http.request.full_uri" => Self::Address,
            _ => Self::Other,
        }
    }
}

enum Token<'a> {
    /// A string, its quotes with it.
    Text(&'a str),
    /// A field, a function, an operator, or a value without quotes.
    Word(&'a str),
    /// Any other character.
    Sign(char),
}

/// What stands first, and the rest.
fn next(rest: &str) -> Option<(Token<'_>, &str)> {
    let first = rest.chars().next()?;
    if let Some(length) = string(rest) {
        let (text, rest) = rest.split_at(length);
        return Some((Token::Text(text), rest));
    }
    let of_words = |c: char| c.is_alphanumeric() || "_.:/-$".contains(c);
    let length = rest.find(|c: char| !of_words(c)).unwrap_or(rest.len());
    if length > 0 {
        let (word, rest) = rest.split_at(length);
        return Some((Token::Word(word), rest));
    }
    Some((Token::Sign(first), &rest[first.len_utf8()..]))
}

/// Bytes of the string that stands first, if one does: "…" with its escapes, or r"…" and r#"…"# without any.
fn string(rest: &str) -> Option<usize> {
    if let Some(inner) = rest.strip_prefix('"') {
        let mut escaped = false;
        let end = inner.find(|c: char| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        return Some(end.map_or(rest.len(), |end| end + 2));
    }
    let fenced = rest.strip_prefix('r')?;
    let inner = fenced.trim_start_matches('#');
    let end = format!("\"{}", "#".repeat(fenced.len() - inner.len()));
    let inner = inner.strip_prefix('"')?;
    let before = rest.len() - inner.len();
    Some(inner.find(end.as_str()).map_or(rest.len(), |at| before + at + end.len()))
}

/// Goes through an expression from left to right.
#[derive(Default)]
struct Reader {
    shown: String,
    /// The most telling field of this comparison: of several that are joined together, each may be in the value.
    field: Option<Field>,
    /// Values come next: one, or those of a set.
    compared: bool,
    set: bool,
    /// Round brackets that are open: true for those of a function of [`BEGINNINGS`].
    open: Vec<bool>,
    /// The same of the bracket that comes next.
    begins: bool,
    /// The sign that stands before, spaces left out; none after a word or a string.
    before: Option<char>,
}

impl Reader {
    fn text(&mut self, text: &str) {
        // The name of a header, a cookie or the like.
        let name = self.before.take() == Some('[') && self.field.is_some() && !self.compared;
        if name {
            self.shown.push_str(text);
            return;
        }
        let told = self.compared || self.open.last() == Some(&true);
        match self.field.filter(|_| told) {
            Some(Field::Path) => self.shown.push_str(text),
            Some(Field::Address) => self.shown.push_str(&before_query(text)),
            _ => self.shown.push_str(&format!("\"{LEFT_OUT}\"")),
        }
        self.value_ends();
    }

    fn word(&mut self, word: &str, called: bool) {
        self.before = None;
        let mut told = word;
        if matches!(word, "and" | "or" | "xor" | "not") {
            self.comparison_ends();
        } else if COMPARES.contains(&word) {
            self.compared = true;
        } else if self.compared {
            // Bytes may be written without quotes: 61:62:63.
            let plain = word.starts_with('$') || matches!(word, "true" | "false") || is_number(word);
            told = if plain { word } else { LEFT_OUT };
            self.value_ends();
        } else if called {
            self.begins = BEGINNINGS.contains(&word);
        } else if is_name(word) {
            self.field = self.field.max(Some(Field::of(word)));
        } else if !is_number(word) {
            told = LEFT_OUT;
        }
        self.shown.push_str(told);
    }

    fn sign(&mut self, sign: char, after: &str) {
        self.shown.push(sign);
        if sign.is_whitespace() {
            return;
        }
        self.before = Some(sign);
        match sign {
            '(' => {
                let begins = std::mem::take(&mut self.begins);
                self.open.push(begins);
            }
            ')' => {
                self.open.pop();
            }
            '{' => self.set = true,
            '}' => {
                self.set = false;
                self.comparison_ends();
            }
            '=' | '<' | '>' | '~' => self.compared = true,
            '!' if after.starts_with('=') => {}
            '!' | '&' | '|' | '^' => self.comparison_ends(),
            _ => {}
        }
    }

    /// All values of a set are compared with the same field, and what stands in a function's brackets is none yet.
    fn value_ends(&mut self) {
        if self.compared && !self.set {
            self.comparison_ends();
        }
    }

    fn comparison_ends(&mut self) {
        (self.field, self.compared) = (None, false);
    }
}

/// Digits alone: a status, a score, a port. A key would be a string.
fn is_number(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_digit())
}

/// The name of a field.
fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
}

/// The string up to where a query may begin; nothing of one that does not begin like an address. A pattern may write the
/// question mark in many ways, so what is no part of a path ends it.
fn before_query(text: &str) -> String {
    let inner = text.split_once('"').map_or("", |(_, inner)| inner);
    let of_paths = |c: char| c.is_alphanumeric() || "/-_.:*~".contains(c);
    let (path, rest) = inner.split_at(inner.find(|c: char| !of_paths(c)).unwrap_or(inner.len()));
    if !path.starts_with('/') && !path.starts_with("http") {
        return format!("\"{LEFT_OUT}\"");
    }
    if rest.trim_end_matches('#') == "\"" { text.to_owned() } else { format!("\"{path}{LEFT_OUT}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_paths_and_hosts_are_kept() {
        for expression in [
            r#"(http.request.uri.path eq "/search")"#,
            r#"http.host eq "shop.example" and starts_with(http.request.uri.path, "/api/")"#,
            r#"ends_with(lower(http.request.uri.path), ".js")"#,
            r##"http.request.uri.path matches r"^/(cart|account)/" or raw.http.request.uri.path ~ r#"a"b"#"##,
            r#"http.request.uri.path in {"/account/" "/cart/"} && http.host != "static.shop.example""#,
            r#"lower(http.request.uri.path) contains "/a\"b\\" or http.host strict wildcard "*.example""#,
            r#"concat(http.host, http.request.uri.path) == "shop.example/x""#,
            r#"http.request.uri wildcard "/search*" or http.request.full_uri eq "https://shop.example/a""#,
            // What no key can be: names, numbers, lists.
            r#"len(http.request.headers["authorization"]) > 0"#,
            r#"http.response.code in {403 429} and cf.bot_management.score lt 30 and cf.client.bot eq true"#,
            r#"not ip.src in $office and any(http.request.headers["x-load-key"][*] in $keys)"#,
            "true",
            "",
        ] {
            assert_eq!(shown(expression), expression);
        }
    }

    #[test]
    fn other_values_are_left_out() {
        for (expression, wanted) in [
            (
                r#"any(http.request.headers["x-load-key"][*] eq "s3cr3t")"#,
                r#"any(http.request.headers["x-load-key"][*] eq "…")"#,
            ),
            (r#"http.cookie contains "sessionid=s3cr3t""#, r#"http.cookie contains "…""#),
            (r#"http.request.uri.args["key"][0] == "s3cr3t""#, r#"http.request.uri.args["key"][0] == "…""#),
            (r#"http.request.uri.query contains "/s3cr3t""#, r#"http.request.uri.query contains "…""#),
            // Neither an escape nor a quote in a raw string ends the value.
            (
                r#"http.user_agent eq "a\"s3cr3t\\" and http.host eq "b""#,
                r#"http.user_agent eq "…" and http.host eq "b""#,
            ),
            (r##"http.user_agent matches r#"a"s3cr3t\"#"##, r#"http.user_agent matches "…""#),
            (r#"http.user_agent eq r"s3cr3t\" or http.host eq "b""#, r#"http.user_agent eq "…" or http.host eq "b""#),
            // Each value of a set is of the field before it, and what comes after is not.
            (
                r#"http.request.cookies["k"][0] in {"s3cr3t" r"s3cr3t"} or http.request.uri.path in {"/a" "/b"}"#,
                r#"http.request.cookies["k"][0] in {"…" "…"} or http.request.uri.path in {"/a" "/b"}"#,
            ),
            (
                r#"http.request.uri.path in {"/a"} and http.referer in {"s3cr3t"}"#,
                r#"http.request.uri.path in {"/a"} and http.referer in {"…"}"#,
            ),
            // A field that comes before says nothing of a function's key, nor of the next comparison.
            (
                r#"http.host eq "a" and is_timed_hmac_valid_v0("s3cr3t", http.request.uri, 100, http.request.timestamp.sec, 8)"#,
                r#"http.host eq "a" and is_timed_hmac_valid_v0("…", http.request.uri, 100, http.request.timestamp.sec, 8)"#,
            ),
            (
                r#"starts_with(http.request.headers["x-key"][0], "s3cr3t")"#,
                r#"starts_with(http.request.headers["x-key"][0], "…")"#,
            ),
            (
                r#"concat(http.host, http.request.headers["x-key"][0]) eq "s3cr3t""#,
                r#"concat(http.host, http.request.headers["x-key"][0]) eq "…""#,
            ),
            (
                r#"(http.request.uri.path eq "/a" or (http.x_forwarded_for eq "s3cr3t"))"#,
                r#"(http.request.uri.path eq "/a" or (http.x_forwarded_for eq "…"))"#,
            ),
            // A query behind a path, however it is written.
            (r#"http.request.uri eq "/a?key=s3cr3t""#, r#"http.request.uri eq "/a…""#),
            (r#"http.request.uri contains "key=s3cr3t""#, r#"http.request.uri contains "…""#),
            (
                r#"http.request.full_uri matches r"^https://shop.example/a[?]s3cr3t""#,
                r#"http.request.full_uri matches "…""#,
            ),
            (
                r#"http.request.full_uri wildcard r"https://*.example/a\x3fs3cr3t""#,
                r#"http.request.full_uri wildcard "https://*.example/a…""#,
            ),
            // Bytes and addresses without quotes.
            ("http.cookie contains 73:33:63", "http.cookie contains …"),
            ("ip.src in {192.0.2.1 2001:db8::/32}", "ip.src in {… …}"),
            // Cut in the middle.
            (r#"http.cookie contains "s3cr"#, r#"http.cookie contains "…""#),
            (r##"http.cookie contains r#"s3cr"t"##, r#"http.cookie contains "…""#),
            (r#"http.request.uri.path eq "/sea"#, r#"http.request.uri.path eq "/sea"#),
            // Not this language.
            (r#"["s3cr3t"] eq "s3cr3t" "s3cr3t""#, r#"["…"] eq "…" "…""#),
        ] {
            assert_eq!(shown(expression), wanted);
        }
    }
}
