//! `railway.toml` or `railway.json` beside the project: what stands there goes before what a service's settings say, and
//! Railway's API does not tell it.

use std::path::Path;

use serde::Deserialize;

use crate::domain::text::tame;

/// Largest file that is read, bytes.
const SIZE: u64 = 1 << 20;

/// What such a file says of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Written {
    /// Path that must answer before a deployment gets traffic.
    pub healthcheck_path: Option<String>,
    /// How the service is started.
    pub start_command: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    deploy: Written,
}

/// What the project's file says; nothing where there is none, or none that can be read.
#[must_use]
pub fn written(project: &Path) -> Written {
    let text = |name: &str| {
        let file = project.join(name);
        let fits = std::fs::metadata(&file).is_ok_and(|it| it.is_file() && it.len() <= SIZE);
        fits.then(|| std::fs::read_to_string(file).ok()).flatten()
    };
    let toml = || toml::from_str::<File>(&text("railway.toml")?).ok();
    let json = || serde_json::from_str::<File>(&text("railway.json")?).ok();
    let Written { healthcheck_path, start_command } = toml().or_else(json).unwrap_or_default().deploy;
    let tamed = |said: Option<String>| said.map(|said| tame(&said, 300)).filter(|said| !said.is_empty());
    Written { healthcheck_path: tamed(healthcheck_path), start_command: tamed(start_command) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_file_is_read_and_a_broken_one_says_nothing() {
        for (name, text, path) in [
            ("railway.toml", "[build]\nbuilder = \"RAILPACK\"\n[deploy]\nhealthcheckPath = \"/up\"\n", Some("/up")),
            ("railway.json", r#"{ "deploy": { "healthcheckPath": "/up", "numReplicas": 2 } }"#, Some("/up")),
            ("railway.json", r#"{ "build": {} }"#, None),
            ("railway.toml", "[deploy\n", None),
            ("other.toml", "", None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            crate::store::atomic::write(&folder.path().join(name), text.as_bytes()).unwrap();
            assert_eq!(written(folder.path()).healthcheck_path.as_deref(), path, "{text}");
        }
    }
}
