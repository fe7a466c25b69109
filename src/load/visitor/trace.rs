//! What a request did, for eyes: the same as on the wire, without the secrets in it.

use std::collections::HashSet;

use rand::rngs::SmallRng;

use super::Visitor;
use crate::domain::secret::{looks_like_a_key, sounds_secret};
use crate::load::template::{Filling, Template, VEIL};

/// What one request did, for eyes; kept only of a user that is watched. Holds no secret.
#[derive(Debug, Default)]
pub(in crate::load) struct Trace {
    /// GET, POST and so on.
    pub method: String,
    /// Path and query as sent; the whole address when it went elsewhere.
    pub path: String,
    /// Extracted values by name; none for one that nobody should see.
    pub values: Vec<(String, Option<String>)>,
    /// Extracted names whose values nobody should see.
    pub(super) hidden: HashSet<String>,
}

impl Visitor<'_> {
    /// Keeps for eyes what was sent: the same text by the same dice, without the secrets in it.
    pub(super) fn show(&mut self, path: &Template, query: &[(String, Template)], mut dice: SmallRng) {
        let Some(trace) = &mut self.trace else { return };
        let mut filling = Filling {
            user: self.number,
            kept: &self.kept,
            dice: &mut dice,
            feeds: &self.script.feeds,
            rows: Some(&mut self.rows),
            hide: Some(&trace.hidden),
        };
        // What was just filled for the wire can be filled again.
        let mut shown = path.fill(&mut filling).unwrap_or_default();
        for (name, text) in query {
            let value = text.fill(&mut filling).unwrap_or_default();
            shown.push(if shown.contains('?') { '&' } else { '?' });
            shown.push_str(&format!("{name}={value}"));
        }
        trace.path = veiled(&shown);
    }
}

/// A path without the values of parameters that sound secret.
fn veiled(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if sounds_secret(name) || looks_like_a_key(value) => format!("{name}={VEIL}"),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}
