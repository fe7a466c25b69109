//! The process environment, read once at the door and handed down. Nothing else in the program asks for a variable.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::domain::secret::Secret;

/// A copy of the environment. Its `Debug` shows no values: some of them are keys.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Reads this process's environment; variables that are not UTF-8 are left out.
    #[must_use]
    pub fn read() -> Self {
        std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
    }

    /// A variable's value, if it is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A variable's value as a secret.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.get(name).map(|value| Secret::new(value.to_owned()))
    }

    /// True when colours are unwelcome: `NO_COLOR` (no-color.org) is set to anything.
    #[must_use]
    pub fn no_color(&self) -> bool {
        self.get("NO_COLOR").is_some()
    }

    /// True on a build server.
    #[must_use]
    pub fn ci(&self) -> bool {
        self.get("CI").is_some_and(|value| !matches!(value, "0" | "false"))
    }

    /// True when a person asked for plain, append-only text (`ACCESSIBLE`, as charm's tools read it).
    #[must_use]
    pub fn accessible(&self) -> bool {
        self.get("ACCESSIBLE").is_some_and(|value| !matches!(value, "0" | "false"))
    }

    /// The terminal's kind.
    #[must_use]
    pub fn term(&self) -> Option<&str> {
        self.get("TERM")
    }

    /// True when the terminal shows 24-bit colours.
    #[must_use]
    pub fn true_color(&self) -> bool {
        self.get("COLORTERM").is_some_and(|value| matches!(value, "truecolor" | "24bit"))
    }

    /// The theme a person chose with `RAMPUP_THEME`.
    #[must_use]
    pub fn theme(&self) -> Option<&str> {
        self.get("RAMPUP_THEME")
    }

    /// True inside tmux.
    #[must_use]
    pub fn tmux(&self) -> bool {
        self.get("TMUX").is_some()
    }

    /// True on another machine's terminal.
    #[must_use]
    pub fn ssh(&self) -> bool {
        self.get("SSH_CONNECTION").is_some() || self.get("SSH_TTY").is_some()
    }

    /// Who sits here: the name that Git signs with, else the account's.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.get("GIT_AUTHOR_NAME").or_else(|| self.get("USER")).or_else(|| self.get("LOGNAME"))
    }

    /// The commit that a platform says it runs: Railway, GitHub, and builders that set `SOURCE_COMMIT`.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        ["RAILWAY_GIT_COMMIT_SHA", "GITHUB_SHA", "SOURCE_COMMIT"].into_iter().find_map(|name| self.get(name))
    }

    /// The person's editor: `VISUAL`, else `EDITOR`.
    #[must_use]
    pub fn editor(&self) -> Option<&str> {
        self.get("VISUAL").or_else(|| self.get("EDITOR"))
    }

    /// Where this program keeps what belongs to no project: `$XDG_DATA_HOME/rampup`, else `~/.local/share/rampup`.
    ///
    /// None without a home folder. A relative `XDG_DATA_HOME` is ignored, as its specification asks.
    #[must_use]
    pub fn data_home(&self) -> Option<PathBuf> {
        self.home_of("XDG_DATA_HOME", ".local/share")
    }

    fn home_of(&self, variable: &str, usual: &str) -> Option<PathBuf> {
        let set = self.get(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        set.or_else(|| Some(PathBuf::from(self.get("HOME")?).join(usual))).map(|path| path.join("rampup"))
    }

    /// Where a person keeps settings of this program that belong to no project: `$XDG_CONFIG_HOME/rampup`, else
    /// `~/.config/rampup`.
    #[must_use]
    pub fn config_home(&self) -> Option<PathBuf> {
        self.home_of("XDG_CONFIG_HOME", ".config")
    }

    /// The folders in which programs are looked for.
    #[must_use]
    pub fn path(&self) -> Vec<PathBuf> {
        self.get("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_an_unset_one() {
        let environment: Environment = [("NO_COLOR", ""), ("CI", "false"), ("EDITOR", "vi")].into_iter().collect();
        assert!(!environment.no_color());
        assert!(!environment.ci());
        assert_eq!(environment.editor(), Some("vi"));
    }

    #[test]
    fn data_lives_where_the_desktop_standard_says() {
        let home: Environment = [("HOME", "/home/ada"), ("XDG_DATA_HOME", "relative")].into_iter().collect();
        assert_eq!(home.data_home(), Some(PathBuf::from("/home/ada/.local/share/rampup")));
        let set: Environment = [("XDG_DATA_HOME", "/data")].into_iter().collect();
        assert_eq!(set.data_home(), Some(PathBuf::from("/data/rampup")));
        assert_eq!(Environment::default().data_home(), None);
    }

    #[test]
    fn values_are_not_printed() {
        let environment: Environment = [("DATABASE_URL", "postgres://u:hunter2@h/db")].into_iter().collect();
        assert_eq!(format!("{environment:?}"), "{\"DATABASE_URL\"}");
    }
}
