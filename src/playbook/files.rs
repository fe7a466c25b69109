//! Where playbooks come from. Reads files; does not understand them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::domain::ids::StepId;

use super::{Lint, PlaybookError};

/// One playbook's text and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As a person names it: `playbooks/03-cache.md`.
    pub file: String,
    /// What it holds.
    pub text: String,
}

/// Folders of a project in which its own playbooks may lie.
const OWN: [&str; 2] = ["playbooks", ".rampup/playbooks"];

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../playbooks/", $name)))),*]
    };
}

/// The playbooks that travel with the program, in the order of their steps.
const SHIPPED: [(&str, &str); 10] = shipped![
    "01-baseline.md",
    "02-static-edge.md",
    "03-cache.md",
    "04-uploads.md",
    "05-pooling.md",
    "06-background.md",
    "07-load-tests.md",
    "08-harden-edge.md",
    "09-slow-queries.md",
    "10-thousand.md",
];

/// The ten playbooks that travel with the program.
#[must_use]
pub fn embedded() -> Vec<Source> {
    SHIPPED.iter().map(|(name, text)| Source { file: format!("playbooks/{name}"), text: (*text).to_owned() }).collect()
}

/// The ten playbooks a project climbs by: its own where it has some, else the embedded ones. In the order of the steps.
///
/// # Errors
/// When a folder or file cannot be read, or two files of the project claim the same step.
pub fn sources(project_dir: Option<&Path>) -> Result<Vec<Source>, PlaybookError> {
    let mut own: BTreeMap<StepId, Source> = BTreeMap::new();
    for folder in OWN {
        for name in names(project_dir.map(|dir| dir.join(folder)).as_deref())? {
            // Anything that is not named like a playbook is somebody else's business.
            let Some(step) = step_of(&name) else { continue };
            let file = format!("{folder}/{name}");
            if let Some(other) = own.get(&step) {
                return Err(PlaybookError::Wrong(vec![Lint {
                    what: format!("step {step} has another playbook already, {}", other.file),
                    todo: "keep one of the two".to_owned(),
                    file,
                    line: 1,
                }]));
            }
            let path = project_dir.unwrap_or(Path::new(".")).join(&file);
            let text = std::fs::read_to_string(&path).map_err(|source| PlaybookError::Read { file: path, source })?;
            own.insert(step, Source { file, text: text.replace("\r\n", "\n") });
        }
    }
    Ok(StepId::all().zip(embedded()).map(|(step, shipped)| own.remove(&step).unwrap_or(shipped)).collect())
}

/// The step that a file name `NN-slug.md` claims.
pub(super) fn step_of(name: &str) -> Option<StepId> {
    let (number, slug) = name.strip_suffix(".md")?.split_once('-')?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if number.len() != 2 || slug.is_empty() || !slug.chars().all(plain) {
        return None;
    }
    StepId::new(number.parse().ok()?).ok()
}

/// File names in a folder, sorted; none when it is not there.
fn names(folder: Option<&Path>) -> Result<Vec<String>, PlaybookError> {
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else { return Ok(Vec::new()) };
    let failed = |source| PlaybookError::Read { file: PathBuf::from(folder), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playbook_is_named_by_its_step() {
        assert_eq!(step_of("03-cache.md"), StepId::new(3).ok());
        for name in ["3-cache.md", "11-more.md", "00-none.md", "03-cache.txt", "03-.md", "README.md", "03-Cache.md"] {
            assert_eq!(step_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_project_may_bring_its_own_version_of_a_step_but_not_two() {
        let project = tempfile::tempdir().unwrap();
        let put = |folder: &str, name: &str| {
            std::fs::create_dir_all(project.path().join(folder)).unwrap();
            crate::store::atomic::write(&project.path().join(folder).join(name), b"mine").unwrap();
        };
        put("playbooks", "03-our-cache.md");
        put("playbooks", "README.md");
        let found = sources(Some(project.path())).unwrap();
        assert_eq!(found.len(), 10);
        assert_eq!(found[2], Source { file: "playbooks/03-our-cache.md".into(), text: "mine".into() });
        assert_eq!(found[3], embedded()[3]);
        put(".rampup/playbooks", "03-another.md");
        let error = sources(Some(project.path())).unwrap_err().to_string();
        assert!(error.contains("03-our-cache.md") && error.contains("keep one"), "{error}");
    }
}
