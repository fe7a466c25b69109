//! From `rampup.toml` and the environment to [`Settings`] and [`Access`]: the only reader of environment variables.
//!
//! Settings hold the *names* of variables; the keys themselves travel apart, as [`crate::domain::secret::Secret`]s.
//! Knows the domain; touches no network and writes nothing.

mod access;
mod clouds;
mod dotenv;
mod environment;
mod error;
mod faults;
mod feeders;
mod flows;
mod literal;
mod places;
mod raw;
mod rules;
mod schema;
mod settings;
mod slots;
mod template;
#[cfg(test)]
mod tests;
mod understand;

pub use access::Passwords;
pub use environment::Environment;
pub use error::{ConfigError, Problem};
pub use places::{FlowPlaces, places};
pub use schema::schema;
pub use settings::{GateOverride, Ownership, Pace, Settings, Variables};
pub use template::{Answers, AtCloud, nonce, template};

use std::path::{Path, PathBuf};

use crate::domain::doctor::Variable;
use crate::domain::site::Access;

/// The name of the settings file.
pub const FILE: &str = "rampup.toml";

/// Everything that is configured.
#[derive(Debug)]
pub struct Config {
    /// What may be shown and stored.
    pub settings: Settings,
    /// The keys to the systems.
    pub access: Access,
    /// The flows' test users' passwords.
    pub passwords: Passwords,
    /// Every secret that the settings name, and whether it has a value.
    pub secrets: Vec<Variable>,
}

/// The folder with the `rampup.toml` that is in force at `start`: there, or the nearest above.
///
/// # Errors
/// [`ConfigError::Absent`] when there is none.
pub fn find(start: &Path) -> Result<PathBuf, ConfigError> {
    let found = start.ancestors().find(|folder| folder.join(FILE).is_file());
    found.map(Path::to_owned).ok_or_else(|| ConfigError::Absent { folder: start.to_owned() })
}

/// Settings and keys of the project in this folder.
///
/// # Errors
/// When a file cannot be read or something in it is wrong. Keys that are missing are told in [`Settings::notes`].
pub fn load(project_dir: &Path, environment: &Environment) -> Result<Config, ConfigError> {
    let text = read(&project_dir.join(FILE))?;
    let (mut settings, env_file) = understand::understand(&text, project_dir)?;
    let mut from_file = Environment::default();
    if let Some(name) = env_file {
        let path = project_dir.join(&name);
        match std::fs::read_to_string(&path) {
            Ok(text) => from_file = dotenv::parse(&text, &path)?,
            // Usual on a build server, where the variables come from elsewhere.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                settings.notes.push(format!("env_file {name} is not there; only the environment itself is read"));
            }
            Err(source) => return Err(ConfigError::Read { file: path, source }),
        }
    }
    let (access, passwords) = access::fetch(&settings, environment, &from_file);
    let set = |name: &str| environment.get(name).is_some() || from_file.get(name).is_some();
    let named = access::named(&settings).into_iter();
    let secrets: Vec<_> =
        named.map(|(setting, name)| Variable { name: name.to_owned(), setting, set: set(name) }).collect();
    let unset = secrets.iter().filter(|secret| !secret.set);
    let note = |Variable { name, setting, .. }: &Variable| {
        format!("{name} is not set ({setting}); what needs it will be unknown")
    };
    settings.notes.extend(unset.map(note));
    Ok(Config { settings, access, passwords, secrets })
}

/// Settings alone, from their text; for whoever has no use for keys.
///
/// # Errors
/// Everything that is wrong in the text, with places.
pub fn parse(text: &str, project_dir: &Path) -> Result<Settings, ConfigError> {
    understand::understand(text, project_dir).map(|(settings, _)| settings)
}

fn read(file: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(file).map_err(|source| ConfigError::Read { file: file.to_owned(), source })
}
