//! What every answer in GraphQL is wrapped in, whoever gives it: errors come first, also with status 200 and beside data.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::domain::text::tame;
use crate::probes::ProbeError;
use crate::probes::http::answer::Answer;

/// The server's own words about a question that it did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::probes) struct Complaint {
    /// A sentence, tamed.
    pub message: String,
    /// A word for machines; empty when there is none.
    pub code: String,
}

impl Complaint {
    /// True when the sentence holds one of these words, in small letters.
    pub fn says(&self, words: &[&str]) -> bool {
        let message = self.message.to_ascii_lowercase();
        words.iter().any(|word| message.contains(word))
    }
}

#[derive(Debug, Deserialize)]
struct Envelope<T> {
    errors: Option<Vec<Wrapped>>,
    data: Option<T>,
}

#[derive(Debug, Deserialize)]
struct Wrapped {
    message: String,
    extensions: Option<Extensions>,
}

#[derive(Debug, Deserialize)]
struct Extensions {
    code: Option<String>,
}

/// The answer's data, or what the server complains about. Half an answer is none.
pub(in crate::probes) fn read<T: DeserializeOwned>(
    system: &'static str,
    answer: &Answer,
) -> Result<Result<T, Complaint>, ProbeError> {
    // What stands beside an error may be of any form.
    let errors = super::read::<Envelope<IgnoredAny>>(system, answer)?.errors.unwrap_or_default();
    if let Some(first) = errors.into_iter().next() {
        let code = first.extensions.and_then(|extensions| extensions.code).unwrap_or_default();
        return Ok(Err(Complaint { message: tame(&first.message, 160), code: tame(&code, 60) }));
    }
    if answer.status != 200 {
        return Err(ProbeError::odd(system, format!("status {}", answer.status)));
    }
    let data = super::read::<Envelope<T>>(system, answer)?.data;
    data.map(Ok).ok_or_else(|| ProbeError::Changed { system, saw: "neither data nor an error".to_owned() })
}
