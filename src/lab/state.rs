//! What a lab remembers between two commands: applied steps, ports, secrets, what is prepared. One file, owner-readable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::{LabError, Result, file};
use super::files;

/// The format of the file; a newer one is refused, never rewritten.
const SCHEMA: u32 = 1;

/// Names of the secrets every lab makes for itself.
const SECRETS: [&str; 9] =
    ["db", "django", "s3_access", "s3_secret", "sentry_token", "metrics", "proof", "edge", "clouds"];

/// The content of `state.toml`. No `Debug`: it holds secrets.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    schema: u32,
    /// Steps whose remedies are in force.
    pub applied: BTreeSet<u8>,
    /// Faults in force, by id.
    #[serde(default)]
    pub faults: BTreeSet<String>,
    /// The library behind the queue, when it is not Celery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Stand-ins for Railway's and Cloudflare's APIs run, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clouds: bool,
    /// What has been prepared once: name → digest of what it was prepared from.
    #[serde(default)]
    pub prepared: BTreeMap<String, String>,
    /// Ports by name; empty until they are picked.
    #[serde(default)]
    pub ports: BTreeMap<String, u16>,
    /// Random values by name, hexadecimal; they guard nothing but this machine's practice data.
    pub secrets: BTreeMap<String, String>,
}

impl State {
    /// Reads the file, or begins a new state when there is none.
    pub fn open(path: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::new()),
            Err(e) => return Err(file("read", path)(e)),
        };
        let remedy = "stop the practice stack and remove its folder to begin anew";
        let mut state: Self = toml::from_str(&text).map_err(|e| LabError::Damaged {
            path: path.to_owned(),
            // Not the full message: it quotes the line, which may hold a secret.
            why: e.message().lines().next().unwrap_or_default().to_owned(),
            remedy,
        })?;
        if state.schema != SCHEMA {
            let why = format!("it has format {}, this rampup knows {SCHEMA}", state.schema);
            return Err(LabError::Damaged { path: path.to_owned(), why, remedy: "use the rampup that wrote it" });
        }
        state.fill_secrets();
        Ok(state)
    }

    fn new() -> Self {
        let mut state = Self {
            schema: SCHEMA,
            applied: BTreeSet::new(),
            faults: BTreeSet::new(),
            queue: None,
            clouds: false,
            prepared: BTreeMap::new(),
            ports: BTreeMap::new(),
            secrets: BTreeMap::new(),
        };
        state.fill_secrets();
        state
    }

    fn fill_secrets(&mut self) {
        for name in SECRETS {
            self.secrets.entry(name.to_owned()).or_insert_with(|| format!("{:032x}", rand::random::<u128>()));
        }
    }

    /// Writes the file whole or not at all.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(self).map_err(|e| LabError::Damaged {
            path: path.to_owned(),
            why: e.to_string(),
            remedy: "please report this fault of rampup",
        })?;
        files::write(path, text.as_bytes(), 0o600, None)
    }

    /// The text with every secret of this lab blanked, for messages and screens.
    pub fn redact(&self, text: &str) -> String {
        self.secrets.values().fold(text.to_owned(), |text, secret| text.replace(secret, "[redacted]"))
    }

    /// True when this was prepared from exactly this.
    pub fn is_prepared(&self, what: &str, digest: &str) -> bool {
        self.prepared.get(what).is_some_and(|known| known == digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_saved_is_read_back_and_only_the_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.toml");
        let mut state = State::open(&path).unwrap();
        state.applied.extend([1, 3]);
        state.ports.insert("web".into(), 20001);
        state.save(&path).unwrap();
        let again = State::open(&path).unwrap();
        assert_eq!(again.applied, BTreeSet::from([1, 3]));
        assert_eq!(again.ports["web"], 20001);
        assert_eq!(again.secrets, state.secrets);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn two_labs_share_no_secret_and_messages_show_none() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (State::open(&dir.path().join("a")).unwrap(), State::open(&dir.path().join("b")).unwrap());
        for (name, secret) in &one.secrets {
            assert_eq!(secret.len(), 32);
            assert_ne!(secret, &two.secrets[name]);
            assert_eq!(one.redact(&format!("password={secret};")), "password=[redacted];");
        }
    }

    #[test]
    fn a_damaged_or_newer_file_is_refused_without_quoting_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.toml");
        for text in ["secrets = { db = \"hunter2\"", "schema = 2\napplied = []\nsecrets = {}\n"] {
            std::fs::File::create(&path).and_then(|mut f| std::io::Write::write_all(&mut f, text.as_bytes())).unwrap();
            let Err(error) = State::open(&path) else { panic!("accepted: {text}") };
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
