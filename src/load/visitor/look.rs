//! What is looked at in an answer that came well: what must be there, what is to be kept, what is to be fetched.

use reqwest::header::HeaderMap;
use url::Url;

use super::Visitor;
use crate::domain::secret::{looks_like_a_key, sounds_secret};
use crate::load::action::{Action, Expected, Pick};
use crate::load::body::{self, Body};
use crate::load::client::may_visit;
use crate::load::extract::{self, Page};

impl Visitor<'_> {
    /// Checks what must be there, keeps what is to be kept, finds what is to be fetched.
    pub(super) fn look(
        &mut self,
        action: &Action,
        url: &Url,
        headers: &HeaderMap,
        body: &Body,
    ) -> Result<Vec<Url>, String> {
        if body.cut && action.reads_body() {
            return Err(format!("the body is too large to be looked at (over {} MiB)", body::KEPT >> 20));
        }
        let expect = &action.expect;
        let unfilled = |_| "what is expected could not be filled in".to_owned();
        for (name, text) in &expect.headers {
            let text = self.fill(text).map_err(unfilled)?.to_ascii_lowercase();
            let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).peekable();
            if values.peek().is_none() {
                return Err(format!("the answer has no header {name}"));
            }
            if !values.any(|value| value.to_ascii_lowercase().contains(&text)) {
                return Err(format!("the header {name} lacks {text:?}"));
            }
        }
        if let Some(text) = &expect.text {
            let text = self.fill(text).map_err(unfilled)?;
            if !extract::contains(&body.kept, &text) {
                return Err(format!("the body lacks {text:?}"));
            }
        }
        let mut page = Page::new(headers, &body.kept);
        if let Some((written, selector)) = &expect.select
            && !page.selects(selector)
        {
            return Err(format!("nothing in the body matches {written:?}"));
        }
        for (at, expected) in &expect.json {
            let Some(found) = page.at(at) else { return Err(format!("there is nothing at {at:?} in the answer")) };
            let (right, wanted) = match expected {
                Expected::Value(value) => (extract::same(found, value), value.to_string()),
                Expected::Text(text) => {
                    let text = self.fill(text).map_err(unfilled)?;
                    (extract::plain(found).as_deref() == Some(&text), format!("{text:?}"))
                }
            };
            if !right {
                return Err(format!("at {at:?} the answer does not have {wanted}"));
            }
        }
        for (name, pick) in &action.extract {
            let found = page.pick(pick, &mut self.dice, |name| self.wire.cookie(url, name));
            let value = found.ok_or_else(|| format!("{name:?} was not found in the answer"))?;
            self.keep(name, pick, value);
        }
        let mut links = if action.assets { page.links(url) } else { Vec::new() };
        links.retain(|link| may_visit(self.target, link) && self.has.insert(link.clone()));
        Ok(links)
    }

    fn keep(&mut self, name: &str, pick: &Pick, value: String) {
        if let Some(trace) = &mut self.trace {
            let secret = pick.is_secret() || sounds_secret(name) || looks_like_a_key(&value) || {
                // A ticket signs what it lets in.
                value.contains("signature") || value.contains("Signature")
            };
            if secret {
                trace.hidden.insert(name.to_owned());
            } else {
                trace.hidden.remove(name);
            }
            trace.values.push((name.to_owned(), (!secret).then(|| value.clone())));
        }
        self.kept.insert(name.to_owned(), value);
    }
}
