//! A request filled in: where it goes, what is in it. Whoever may not be visited gets none.

use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, header};
use url::Url;

use super::{NotMade, Visitor};
use crate::domain::login_form::CSRF_FIELD;
use crate::load::action::{Action, Payload, To};
use crate::load::client::{may_upload, may_visit};
use crate::load::template::{Filling, Template, Unfilled};

/// Django's names for its token.
const CSRF_COOKIE: &str = "csrftoken";
const CSRF_HEADER: &str = "x-csrftoken";

impl Visitor<'_> {
    /// Where a request goes, and the fields that a ticket adds; or why it goes nowhere.
    #[expect(clippy::type_complexity, reason = "two ways to fail: not now, and not at all")]
    pub(super) fn address(&mut self, action: &Action) -> Result<Result<(Url, Vec<(String, String)>), String>, NotMade> {
        if let Some(trace) = &mut self.trace {
            (trace.method, trace.path) = (action.method.to_string(), String::new());
            trace.values.clear();
        }
        let (path, query) = match &action.to {
            To::Path(path, query) => (path, query),
            To::Ticket(name) => {
                let ticket = self.kept.get(name).ok_or_else(|| NotMade::Unknown(name.clone()))?;
                let address = crate::load::ticket::read(ticket).and_then(|(url, fields)| {
                    may_upload(self.target, &self.script.upload_hosts, &url).map(|()| (url, fields))
                });
                if let (Some(trace), Ok((url, _))) = (&mut self.trace, &address) {
                    trace.path = format!("{}{}", url.origin().ascii_serialization(), url.path());
                }
                return Ok(address);
            }
        };
        let dice = self.dice.clone();
        let path_text = self.fill(path)?;
        let pairs: Vec<_> =
            query.iter().map(|(name, text)| Ok((name, self.fill(text)?))).collect::<Result<_, NotMade>>()?;
        let url = self.target.join(&path_text).map_err(|e| format!("no URL: {e}")).map(|mut url| {
            if !pairs.is_empty() {
                url.query_pairs_mut().extend_pairs(pairs);
            }
            url
        });
        if self.trace.is_some() {
            self.show(path, query, dice);
        }
        Ok(url.and_then(|url| {
            if may_visit(self.target, &url) {
                return Ok((url, Vec::new()));
            }
            Err(format!("{} is not the target; users do not go there", url.host_str().unwrap_or("it")))
        }))
    }

    /// The request as it leaves; or why it cannot be built.
    pub(super) fn request(
        &mut self,
        action: &Action,
        url: &Url,
        mut fields: Vec<(String, String)>,
    ) -> Result<Result<RequestBuilder, String>, NotMade> {
        let mut request = self.wire.request(action.method.clone(), url.clone());
        // A stranger's store gets what its ticket says and nothing of ours.
        let ours = may_visit(self.target, url);
        for (name, text) in self.script.headers.iter().filter(|_| ours).chain(&action.headers) {
            request = request.header(name, self.fill(text)?);
        }
        let token = action.csrf.then(|| self.wire.cookie(url, CSRF_COOKIE)).flatten();
        if action.csrf {
            // Over HTTPS Django looks where a post comes from.
            request = request.header(header::REFERER, url.as_str());
        }
        if let Some(token) = &token {
            request = request.header(CSRF_HEADER, token);
        }
        if let Payload::Form(texts) | Payload::File { fields: texts, .. } = &action.payload {
            for (name, text) in texts {
                fields.push((self.fill(name)?, self.fill(text)?));
            }
        }
        if let Some(token) = token
            && !fields.iter().any(|(name, _)| name == CSRF_FIELD)
        {
            fields.push((CSRF_FIELD.to_owned(), token));
        }
        Ok(Ok(match &action.payload {
            Payload::Empty => request,
            Payload::Form(_) => request.form(&fields),
            Payload::Json(text) => request.header(header::CONTENT_TYPE, "application/json").body(self.fill(text)?),
            Payload::File { field, content, content_type, .. } => {
                let form = fields.into_iter().fold(Form::new(), |form, (name, text)| form.text(name, text));
                match Part::bytes(content.clone()).file_name("upload").mime_str(content_type) {
                    Ok(part) => request.multipart(form.part(field.clone(), part)),
                    Err(e) => return Ok(Err(format!("the upload's content type: {e}"))),
                }
            }
        }))
    }

    pub(super) fn fill(&mut self, text: &Template) -> Result<String, NotMade> {
        let feeds = &self.script.feeds;
        let filled = text.fill(&mut Filling {
            user: self.number,
            kept: &self.kept,
            dice: &mut self.dice,
            feeds,
            rows: Some(&mut self.rows),
            hide: None,
        });
        filled.map_err(|why| match why {
            Unfilled::Unknown(name) => NotMade::Unknown(name),
            Unfilled::Dry => NotMade::Dry(feeds.dry().unwrap_or("a feeder ran dry").to_owned()),
        })
    }

    /// A plain GET of a file that a page links to.
    pub(in crate::load) fn plain_get(&self, url: &Url) -> RequestBuilder {
        let headers = self.script.common_headers(self.number);
        self.wire.request(Method::GET, url.clone()).headers(headers)
    }
}
