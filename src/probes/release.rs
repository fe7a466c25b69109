//! Which release of the app is running, in its own words.

use crate::domain::site::StandsIn;
use crate::domain::text::tame;

use super::{ProbeError, Probes};

/// A commit's id takes 40 characters, a deployment's 36.
const LONGEST: usize = 80;

impl Probes {
    /// Asks the app itself where its own address is known.
    ///
    /// # Errors
    /// No place in the settings, no answer, or an answer without it.
    pub async fn release(&self) -> Result<String, ProbeError> {
        let Some(release) = &self.site.release else {
            return Err(ProbeError::NotGiven {
                what: "where the app says which release of it is running is not known".to_owned(),
                provide: "let the app say its commit or deployment, and name the place in rampup.toml: [site.release] \
                          path = \"/healthz\", header = \"X-Release\""
                    .to_owned(),
            });
        };
        let path = &release.path;
        let answer = self.http.get_origin(path).nonce(&self.nonce()).fresh().send().await?;
        let (found, place) = match &release.stands_in {
            StandsIn::Header(name) => (answer.header(name), format!("the header {name}")),
            StandsIn::Json(pointer) => {
                let json: Option<serde_json::Value> = serde_json::from_str(&answer.text()).ok();
                let value = json.as_ref().and_then(|json| json.pointer(pointer));
                (value.and_then(plain), format!("{pointer} in its JSON"))
            }
        };
        let found = found.map(|text| tame(text.trim(), LONGEST)).filter(|text| !text.is_empty());
        found.ok_or_else(|| ProbeError::odd("the app", format!("{path} answers {} without {place}", answer.status)))
    }
}

fn plain(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
