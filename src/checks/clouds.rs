//! What checks share that ask a cloud's API beside looking at the effect: whether it is named, what it said, and the words
//! for the half that is missing.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::domain::check::{CheckOutcome, Missing};
use crate::probes::ProbeError;

/// What an API says, where the settings name it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Api<T> {
    /// The settings do not name it. So it is in facts from before anybody asked.
    #[default]
    NotNamed,
    /// Its answer.
    Said(T),
    /// Why there is none.
    Silent(Missing),
}

impl<T> Api<T> {
    /// Asks, where there is somebody to ask.
    pub async fn ask(named: bool, question: impl Future<Output = Result<T, ProbeError>>) -> Self {
        match named {
            false => Self::NotNamed,
            true => question.await.map_or_else(|error| Self::Silent(error.into()), Self::Said),
        }
    }

    /// Its answer; or what a check says that needs it. `effect` is what was seen without it: "the edge answers by HTTPS".
    pub fn said(&self, section: &str, effect: &str) -> Result<&T, CheckOutcome> {
        match self {
            Self::Said(said) => Ok(said),
            Self::NotNamed => Err(CheckOutcome::NotApplicable(format!(
                "rampup.toml names no [site.{section}] to ask; without it, {effect} is all that can be seen"
            ))),
            Self::Silent(Missing { what, provide }) => Err(CheckOutcome::Unknown(Missing::new(
                format!("one half is missing: {effect}, but {what}"),
                provide.clone(),
            ))),
        }
    }
}

/// True for an address of this machine: a practice, which is in no zone and needs no TLS.
pub(super) fn on_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_not_named_is_not_asked_and_who_is_silent_leaves_the_answer_open() {
        let never = async { unreachable!("nobody is named") };
        let nobody = Api::<u8>::ask(false, never).await;
        assert_eq!(nobody.said("railway", "one answer").unwrap_err().word(), "n/a");
        let late = async { Err::<u8, _>(ProbeError::busy("Railway's API", "too many questions")) };
        let silent = Api::ask(true, late).await.said("railway", "the page answers").unwrap_err();
        assert_eq!(silent.word(), "unknown");
        assert!(
            silent.seen().starts_with("one half is missing: the page answers, but Railway's API"),
            "{}",
            silent.seen()
        );
        let said = Api::ask(true, async { Ok(7) }).await;
        assert_eq!(said.said("railway", "").unwrap(), &7);
    }
}
