//! What `rampup doctor` finds: which systems answer, which secrets are set, and what a token still may not ask.
//!
//! Names of variables only, never what they hold.

use serde::Serialize;

use super::check::Missing;

/// One look at everything that the settings name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Visit {
    /// What the site is called.
    pub site: String,
    /// Where its users arrive.
    pub url: String,
    /// Every system, in the order of the steps that need it.
    pub systems: Vec<System>,
    /// Every secret that the settings name.
    pub secrets: Vec<Variable>,
}

impl Visit {
    /// True when everything that is configured answers. A permission that a token lacks is its owner's choice.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.systems.iter().all(|system| !matches!(system.state, State::Unknown(_)))
    }
}

/// A system that proofs need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct System {
    /// In the user's words: "the cache's Redis".
    pub name: &'static str,
    /// Whether it answers.
    #[serde(flatten)]
    pub state: State,
    /// What names it in `rampup.toml`: "[services] cache_env", or a whole section.
    pub setting: &'static str,
    /// Checks that ask it, as the catalogue names them; `queries.*` stands for a whole group.
    pub serves: &'static [&'static str],
    /// Permissions that the token in use does not have.
    pub lacks: Vec<Lack>,
}

/// Whether a system answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "because", rename_all = "snake_case")]
pub enum State {
    /// It does, and says what it is.
    Answers(String),
    /// It is configured and could not be asked.
    Unknown(Missing),
    /// The settings do not name it.
    NotNamed(Missing),
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Answers(_) => "answers",
            Self::Unknown(_) => "unknown",
            Self::NotNamed(_) => "not named",
        }
    }
}

/// A permission that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lack {
    /// As its form words it: "Zone > Analytics > Read".
    pub right: String,
    /// What it would let rampup see.
    pub shows: &'static str,
    /// What was answered instead, and what to do.
    pub because: Missing,
}

/// A secret by the name of its variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// The variable.
    pub name: String,
    /// What names it: `[services] cache_env`.
    pub setting: &'static str,
    /// It has a value.
    pub set: bool,
}
