//! How asking a system fails: what happened, and what to provide or change so that it can be asked.

use std::time::Duration;

use crate::domain::check::Missing;
use crate::domain::text::tame;
use crate::domain::units::show_duration;

/// A system could not be asked, or its answer could not be understood. Says nothing about the app's quality.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The settings or the environment lack something.
    #[error("{what}; {provide}")]
    NotGiven {
        /// What is not known.
        what: String,
        /// Where to write it.
        provide: String,
    },
    /// No connection.
    #[error("{system} could not be reached: {why}; check its address and that this machine may connect to it")]
    Unreachable {
        /// Which system, in the user's words.
        system: &'static str,
        /// The client's own words, tamed.
        why: String,
    },
    /// No answer in time.
    #[error("{system} did not answer within {}; check that it is up and not overloaded", show_duration(*limit))]
    TimedOut {
        /// Which system.
        system: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// It answered, and said no.
    #[error("{system} refused: {why}; {provide}")]
    Refused {
        /// Which system.
        system: &'static str,
        /// Its words, tamed.
        why: String,
        /// The right or key to provide.
        provide: String,
    },
    /// It asks us to come back later.
    #[error("{system} answers no questions for now: {why}; verify again {when}")]
    Busy {
        /// Which system.
        system: &'static str,
        /// Too many questions, or trouble of its own.
        why: String,
        /// From when on, in words.
        when: String,
    },
    /// It answered in a form that this program does not know.
    #[error("{system} answers in a form that rampup {version} does not know: {saw}; {UPDATE}", version = env!("CARGO_PKG_VERSION"))]
    Changed {
        /// Which system.
        system: &'static str,
        /// What is not as expected; never a value of the answer.
        saw: String,
    },
    /// A bot challenge stood in the way.
    #[error("{CHALLENGED}; {ALLOW}")]
    Challenged,
    /// An answer of a shape nobody expected.
    #[error("{system} answered unexpectedly: {saw}; check that the address belongs to it")]
    Odd {
        /// Which system.
        system: &'static str,
        /// What came instead, tamed.
        saw: String,
    },
}

const CHALLENGED: &str = "the edge answered with a challenge (cf-mitigated) instead of the page";
const UPDATE: &str = "take a newer rampup, or say to its makers what this line says";
const ALLOW: &str = "allow this machine's address or the User-Agent rampup/ in a WAF skip rule";

impl ProbeError {
    /// A connection that failed, in the client's words.
    pub fn unreachable(system: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Unreachable { system, why: tame(&why.to_string(), 200) }
    }

    /// The same failure under the name of the system that was really asked: the HTTP client only knows "the site".
    #[must_use]
    pub fn at(self, system: &'static str) -> Self {
        match self {
            Self::Unreachable { why, .. } => Self::Unreachable { system, why },
            Self::TimedOut { limit, .. } => Self::TimedOut { system, limit },
            other => other,
        }
    }

    /// A system that cannot answer now and says not until when.
    pub fn busy(system: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Busy {
            system,
            why: tame(&why.to_string(), 200),
            when: "in a few minutes; its status page says more".to_owned(),
        }
    }

    /// An answer that was not understood.
    pub fn odd(system: &'static str, saw: impl std::fmt::Display) -> Self {
        Self::Odd { system, saw: tame(&saw.to_string(), 200) }
    }
}

impl From<ProbeError> for Missing {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::NotGiven { what, provide } => Missing::new(what, provide),
            ProbeError::Unreachable { system, why } => Missing::new(
                format!("{system} could not be reached: {why}"),
                "check its address and that this machine may connect to it (a private database needs its public proxy, or run rampup inside the project)",
            ),
            ProbeError::TimedOut { system, limit } => Missing::new(
                format!("{system} did not answer within {}", show_duration(limit)),
                "check that it is up and not overloaded, then verify again",
            ),
            ProbeError::Refused { system, why, provide } => Missing::new(format!("{system} refused: {why}"), provide),
            ProbeError::Busy { system, why, when } => {
                Missing::new(format!("{system} answers no questions for now: {why}"), format!("verify again {when}"))
            }
            ProbeError::Changed { system, saw } => {
                Missing::new(format!("{system} answers in a form that is not known here: {saw}"), UPDATE)
            }
            ProbeError::Challenged => Missing::new(CHALLENGED, ALLOW),
            ProbeError::Odd { system, saw } => Missing::new(
                format!("{system} answered unexpectedly: {saw}"),
                "check that the address belongs to it and that nothing answers in its place",
            ),
        }
    }
}

/// Runs one question under a limit.
pub(crate) async fn within<T>(
    system: &'static str,
    limit: Duration,
    question: impl Future<Output = Result<T, ProbeError>>,
) -> Result<T, ProbeError> {
    tokio::time::timeout(limit, question).await.unwrap_or(Err(ProbeError::TimedOut { system, limit }))
}
