//! How a ticket is asked for: plainly, and with a file's description where the view wants one.

use reqwest::Method;

use crate::probes::http::answer::Answer;
use crate::probes::http::session::Session;
use crate::probes::s3::Ticket;
use crate::probes::{ProbeError, Probes};

/// The file that a ticket is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Its length.
    pub bytes: usize,
    /// Its type.
    pub content_type: &'a str,
    /// It is no good file: describe it also to a view that does not ask, which may sign whatever it is told.
    pub insist: bool,
}

impl Wanted<'_> {
    /// As views call it.
    fn fields(self) -> Vec<(String, String)> {
        let size = self.bytes.to_string();
        [("filename", "probe.jpg"), ("content_type", self.content_type), ("size", &size)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    /// The same as JSON.
    fn json(self) -> Vec<u8> {
        let Self { bytes, content_type, .. } = self;
        serde_json::json!({ "filename": "probe.jpg", "content_type": content_type, "size": bytes })
            .to_string()
            .into_bytes()
    }

    /// The ticket in what was answered; none when there is none.
    pub(super) fn ticket(self, Asked { answer, .. }: &Asked) -> Option<Ticket> {
        let ticket = Ticket::read(&answer.body).ok().filter(|_| answer.status < 300)?;
        Some(ticket.meant_for(self.content_type, self.bytes as u64))
    }
}

/// What a view answered to somebody who wants a ticket.
#[derive(Debug)]
pub(super) struct Asked {
    pub answer: Answer,
    /// It takes POST only.
    pub by_post: bool,
}

/// Asks for a ticket: by GET; where GET is not allowed by POST with Django's token; where something was missed, or
/// the view may take what it is told, once more with the file's description.
pub(super) async fn ask(
    probes: &Probes,
    path: &str,
    session: Option<&Session>,
    wanted: Wanted<'_>,
) -> Result<Asked, ProbeError> {
    let answer = probes.http.get(path).session(session).send().await?;
    let by_post = answer.status == 405;
    let answer = match answer.status {
        405 => {
            let token = session.and_then(Session::csrf).unwrap_or_default().to_owned();
            let post = || {
                let ask = probes.http.ask(Method::POST, Ok(answer.url.clone())).session(session);
                ask.header("referer", answer.url.as_str()).header("x-csrftoken", token.clone())
            };
            let by_form = post().form(wanted.fields()).send().await?;
            match by_form.status {
                // A view that reads JSON only.
                400 | 415 | 422 => post().header("content-type", "application/json").body(wanted.json()).send().await?,
                _ => by_form,
            }
        }
        400 | 422 | 200..300 if wanted.insist || answer.status >= 400 => {
            let mut url = answer.url.clone();
            url.query_pairs_mut().extend_pairs(wanted.fields());
            probes.http.ask(Method::GET, Ok(url)).session(session).send().await?
        }
        _ => answer,
    };
    Ok(Asked { answer, by_post })
}
