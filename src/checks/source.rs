//! The app's settings, asked beside the runtime, which waits for no disk and no parser. What cannot be read is missing.

use crate::django::{DjangoError, Repository};
use crate::domain::check::Missing;
use crate::domain::text::tame;
use crate::probes::Probes;

/// What the reader of a missing repository does.
pub(super) const KEEP: &str = "keep rampup.toml in the app's repository, beside manage.py or in a folder below it";

/// What a question to the app's repository gives.
///
/// # Errors
/// There is no repository, or no settings of Django are in it.
pub(super) async fn ask<T: Send + 'static>(
    probes: &Probes,
    question: impl FnOnce(&Repository) -> T + Send + 'static,
) -> Result<T, Missing> {
    let none = || Missing::new("no Django settings (settings.py) were found beside rampup.toml", KEEP);
    let folder = probes.project.clone().ok_or_else(none)?;
    match tokio::task::spawn_blocking(move || Repository::ask(&folder, question)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(DjangoError::NoProject { .. })) => Err(none()),
        Ok(Err(why)) => Err(Missing::new(tame(&why.to_string(), 300), KEEP)),
        Err(why) => Err(Missing::new(tame(&why.to_string(), 300), "verify again")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    /// What a question gives of a small project.
    pub(in crate::checks) fn of_files<T: Send>(
        files: &[(&str, &str)],
        question: impl FnOnce(&Repository) -> T + Send,
    ) -> T {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            #[expect(clippy::disallowed_methods, reason = "a test's own folder")]
            std::fs::write(path, text).unwrap();
        }
        Repository::ask(root.path(), question).unwrap()
    }

    /// The same of the practice shop with this row of a step's faults; an empty one leaves it well.
    pub(in crate::checks) fn of_shop<T: Send>(
        step: u8,
        row: &str,
        question: impl FnOnce(&Repository) -> T + Send,
    ) -> T {
        let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/lab");
        let text = |path: &str| std::fs::read_to_string(lab.join(path)).unwrap();
        let mut files = BTreeMap::from([("shop/requirements.txt".to_owned(), text("requirements.txt"))]);
        for name in ["manage.py", "config/__init__.py", "config/env.py", "config/settings.py", "config/wsgi.py"] {
            files.insert(format!("shop/{name}"), text(&format!("shop/{name}")));
        }
        let faults: toml::Table = text(&format!("faults/{step}.toml")).parse().unwrap();
        let rows = faults.values().filter_map(toml::Value::as_array).flatten();
        let wanted = rows.filter(|one| one.get("id").and_then(toml::Value::as_str) == Some(row));
        let patches: Vec<_> = wanted.filter_map(|one| one.get("patch")?.as_array()).flatten().collect();
        assert_eq!(patches.is_empty(), row.is_empty(), "no row {row} that changes files");
        for patch in patches {
            let get = |key: &str| patch.get(key).and_then(toml::Value::as_str).unwrap_or_default();
            let file = files
                .entry(get("file").to_owned())
                .or_insert_with(|| if get("find").is_empty() { String::new() } else { text(get("file")) });
            assert!(file.contains(get("find")), "{row}: {}", get("find"));
            *file = if file.is_empty() { get("put").to_owned() } else { file.replacen(get("find"), get("put"), 1) };
        }
        let files: Vec<_> =
            files.iter().filter_map(|(path, text)| Some((path.strip_prefix("shop/")?, text.as_str()))).collect();
        of_files(&files, question)
    }

    /// The same of one whose settings hold this.
    pub(in crate::checks) fn of_settings<T: Send>(text: &str, question: impl FnOnce(&Repository) -> T + Send) -> T {
        let settings = format!("import os\nDEBUG = False\nINSTALLED_APPS = []\n{text}\n");
        let door = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n";
        of_files(&[("shop/wsgi.py", door), ("shop/settings.py", &settings)], question)
    }
}
