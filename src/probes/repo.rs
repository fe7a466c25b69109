//! The app's source as text: settings files, simple assignments in them, versions in lock files.
//!
//! Reads lines, not Python: what stands behind an `if` or comes from the environment stays unknown. Values are read only
//! where they are one plain text in quotes.

use std::path::{Path, PathBuf};

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::{ProbeError, in_force};
use crate::domain::text::tame;

/// Files looked at, at most; more than any project's own.
const FILES: usize = 4000;
/// Folders upwards in which the project's root is looked for, the own one included.
const UPWARDS: usize = 4;
/// Folders below folders.
const DEPTH: usize = 6;
/// Bytes of a file that are read; settings and lock files are shorter.
const SIZE: u64 = 2 << 20;
/// Folders that hold other people's code, or none of the app's.
const SKIPPED: [&str; 8] =
    ["node_modules", "venv", "env", "site-packages", "__pycache__", "migrations", "static", "staticfiles"];

/// One line that assigns a name at the beginning of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// File below the project.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// The name.
    pub name: String,
    /// Its value, where that is one text in quotes.
    pub value: Option<String>,
    /// It is indented: something decides whether it holds.
    pub under_condition: bool,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Repo {
    /// Settings files, without those for tests and for developers' machines.
    pub settings: Vec<String>,
    /// The names asked for, wherever a settings file assigns them.
    pub assigned: Vec<Assigned>,
    /// Versions of the package asked for, with the file that pins each.
    pub versions: Vec<(String, String)>,
}

/// A file of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsFile {
    /// Below the project's root.
    pub path: String,
    /// What it holds.
    pub text: String,
}

/// The nearest folder with a `manage.py`, from this one upwards; this one when there is none.
fn root(folder: &Path) -> &Path {
    folder.ancestors().take(UPWARDS).find(|dir| dir.join("manage.py").is_file()).unwrap_or(folder)
}

/// The Django settings of the project that this folder belongs to: `settings*.py` and the files of packages called
/// `settings`, without those for tests and for developers' machines.
///
/// # Errors
/// When there are none.
pub fn settings_files(folder: &Path) -> Result<Vec<SettingsFile>, ProbeError> {
    let root = root(folder);
    let mut paths = Vec::new();
    walk(root, 0, &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_name()?.to_str()?;
        let inside = path.parent().and_then(Path::file_name).is_some_and(|folder| folder == "settings");
        let shown = tame(&path.strip_prefix(root).unwrap_or(&path).to_string_lossy(), 120);
        let fits = name.ends_with(".py") && (inside || name.starts_with("settings")) && !for_others(&shown);
        let small = fits && std::fs::metadata(&path).is_ok_and(|meta| meta.len() <= SIZE);
        let text = small.then(|| std::fs::read_to_string(&path).ok())??;
        Some(SettingsFile { path: shown, text })
    };
    let files: Vec<SettingsFile> = paths.into_iter().filter_map(read).collect();
    if files.is_empty() {
        return Err(ProbeError::NotGiven {
            what: "no Django settings (settings.py) were found beside rampup.toml".to_owned(),
            provide: "keep rampup.toml in the app's repository, beside manage.py or in a folder below it".to_owned(),
        });
    }
    Ok(files)
}

/// The settings that run, as far as the project says: each way is a file with all that it imports, its own first. One
/// way when `wsgi.py` or `asgi.py` (or, where they name none, `manage.py`) names a module that is read here, and then
/// those that build on it, which an environment may name instead; else all that nothing else imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The way that the project names.
    pub named: Option<Vec<SettingsFile>>,
    /// Those that the environment may name instead.
    pub others: Vec<Vec<SettingsFile>>,
}

/// As [`InForce`] says.
///
/// # Errors
/// When there are no settings.
pub fn in_force(folder: &Path) -> Result<InForce, ProbeError> {
    let (files, root) = (settings_files(folder)?, root(folder));
    let mut paths = Vec::new();
    walk(root, 0, &mut paths);
    let texts = |names: &[&str]| -> Vec<String> {
        let entries = paths.iter().filter(|path| path.file_name().is_some_and(|name| names.iter().any(|n| name == *n)));
        let small = entries.filter(|path| std::fs::metadata(path).is_ok_and(|meta| meta.len() <= SIZE));
        small.filter_map(|path| std::fs::read_to_string(path).ok()).collect()
    };
    let module = in_force::module(&texts(&["wsgi.py", "asgi.py"])).or_else(|| in_force::module(&texts(&["manage.py"])));
    let named = module.map(|module| in_force::chain(root, &module));
    let named = named.filter(|chain| chain.first().is_some_and(|file| !for_others(&file.path)));
    let ways: Vec<Vec<SettingsFile>> =
        files.iter().map(|file| in_force::follow(root, &root.join(&file.path))).filter(|way| !way.is_empty()).collect();
    // What another imports is a part of that one.
    let part = |first: &SettingsFile| ways.iter().any(|way| way[1..].iter().any(|file| file.path == first.path));
    let builds_on = |way: &[SettingsFile]| {
        named.as_ref().is_none_or(|chain| way[1..].iter().any(|file| file.path == chain[0].path))
    };
    let others = ways.iter().filter(|way| !part(&way[0]) && builds_on(way)).cloned().collect();
    Ok(InForce { named, others })
}

/// Reads the settings below a folder: who assigns these names, and which version of a package is pinned.
///
/// # Errors
/// When the folder cannot be read.
pub async fn read(folder: &Path, names: &'static [&'static str], package: &'static str) -> Result<Repo, ProbeError> {
    let folder = root(folder).to_owned();
    let read = tokio::task::spawn_blocking(move || look(&folder, names, package));
    read.await.map_err(|why| ProbeError::unreachable("the project's folder", why))
}

fn look(folder: &Path, names: &[&str], package: &str) -> Repo {
    let mut files = Vec::new();
    walk(folder, 0, &mut files);
    files.sort();
    let mut repo = Repo::default();
    for path in files {
        let shown = tame(&path.strip_prefix(folder).unwrap_or(&path).to_string_lossy(), 120);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let small = std::fs::metadata(&path).is_ok_and(|meta| meta.len() <= SIZE);
        let python = name.ends_with(".py");
        let pins =
            pins(name) || (path.parent().is_some_and(|dir| dir.ends_with("requirements")) && name.ends_with(".txt"));
        if !small || !(python || pins) {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if pins {
            repo.versions.extend(version(&text, package).map(|version| (version, shown)));
        } else if (text.contains("INSTALLED_APPS") || shown.contains("settings"))
            && text.contains(" = ")
            && !for_others(&shown)
        {
            repo.assigned.extend(assignments(&text, names, &shown));
            repo.settings.push(shown);
        }
    }
    repo
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth < DEPTH && !name.starts_with('.') && !SKIPPED.contains(&&*name) {
            walk(&entry.path(), depth + 1, files);
        } else if kind.is_file() && files.len() < FILES {
            files.push(entry.path());
        }
    }
}

/// True for files that pin packages.
fn pins(name: &str) -> bool {
    matches!(name, "uv.lock" | "poetry.lock" | "pdm.lock" | "Pipfile.lock" | "pylock.toml")
        || (name.starts_with("requirements") && name.ends_with(".txt"))
}

/// True for settings that the running site does not use.
fn for_others(path: &str) -> bool {
    let parts = path.split(['/', '.', '_', '-']);
    parts
        .into_iter()
        .any(|part| matches!(part, "test" | "tests" | "testing" | "dev" | "development" | "local" | "ci" | "example"))
}

/// The pinned version: `Django==5.2.1`, or the lines of a lock file.
fn version(text: &str, package: &str) -> Option<String> {
    let package = regex::escape(package);
    let number = r"(\d+(?:\.\d+)*)";
    [
        format!(r"(?im)^\s*{package}(?:\[[^\]]*\])?\s*===?\s*{number}"),
        format!(r#"(?im)^name = "{package}"\s*\r?\nversion = "{number}""#),
        format!(r#"(?i)"{package}":\s*\{{[^}}]*"version":\s*"==?{number}""#),
    ]
    .iter()
    .filter_map(|pattern| Regex::new(pattern).ok())
    .find_map(|pattern| Some(pattern.captures(text)?.get(1)?.as_str().to_owned()))
}

fn assignments(text: &str, names: &[&str], file: &str) -> Vec<Assigned> {
    let mut found = Vec::new();
    for (line, statement) in (1..).zip(text.lines()) {
        let trimmed = statement.trim_start();
        let word = trimmed.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
        let rest = trimmed[word.len()..].trim_start();
        // `NAME = …`, `NAME: str = …`, `NAME["key"] = …`; not `NAME == …`, and not the name in a call.
        let assigns = rest.starts_with(['=', ':', '[', '|']) && rest.contains('=') && !rest.starts_with("==");
        if names.contains(&word) && assigns {
            let value = rest.split_once('=').map_or("", |(_, value)| value.trim());
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
            let value = quote.and_then(|quote| value[1..].split_once(quote)).map(|(value, _)| tame(value, 120));
            let under_condition = trimmed.len() < statement.len();
            found.push(Assigned { file: file.to_owned(), line, name: word.to_owned(), value, under_condition });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read_and_remarks_are_not() {
        let text = "# A = 'no'\nA = 'x.Y'  # yes\nif c:\n    A = other\nB[\"k\"] = {}\nC: str = \"z\"\nprint(A)\nif A == 'q':\n";
        let found = assignments(text, &["A", "B", "C"], "s.py");
        let seen: Vec<_> = found.iter().map(|a| (a.line, &*a.name, a.value.as_deref(), a.under_condition)).collect();
        let wanted =
            [(2, "A", Some("x.Y"), false), (4, "A", None, true), (5, "B", None, false), (6, "C", Some("z"), false)];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn versions_are_read_from_every_kind_of_lock() {
        for text in [
            "celery==5.4\nDjango==5.2.1 \\\n  --hash=sha256:0",
            "django[argon2]==5.2.1",
            "[[package]]\nname = \"django\"\nversion = \"5.2.1\"\n",
            "{\"default\": {\"django\": {\"hashes\": [], \"version\": \"==5.2.1\"}}}",
        ] {
            assert_eq!(version(text, "django").as_deref(), Some("5.2.1"), "{text}");
        }
        assert_eq!(version("django-storages==1.14\n# django==1\ndjango>=4", "django"), None);
    }

    #[test]
    fn settings_are_found_from_a_folder_below() {
        let root = tempfile::tempdir().unwrap();
        for path in
            ["manage.py", "shop/settings/base.py", "shop/settings_test.py", "venv/lib/settings.py", "shop/views.py"]
        {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::File::create(path).unwrap();
        }
        std::fs::create_dir(root.path().join("ops")).unwrap();
        for from in [root.path().to_owned(), root.path().join("ops")] {
            let files = settings_files(&from).unwrap();
            let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
            assert_eq!(paths, ["shop/settings/base.py"], "{}", from.display());
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(settings_files(empty.path()).unwrap_err().to_string().contains("manage.py"));
    }

    #[tokio::test]
    async fn a_project_is_read_without_other_peoples_code() {
        let project = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("config/settings.py", "INSTALLED_APPS = []\nA = 'mine'\n"),
            ("config/settings_test.py", "A = 'tests'\n"),
            ("venv/lib/settings.py", "A = 'theirs'\n"),
            ("requirements.txt", "Django==5.1\n"),
            ("requirements/base.txt", "Django==5.2\n"),
            ("notes/base.txt", "Django==1.0\n"),
        ] {
            let path = project.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            #[expect(clippy::disallowed_methods, reason = "a test's own folder")]
            std::fs::write(path, text).unwrap();
        }
        let repo = read(project.path(), &["A"], "django").await.unwrap();
        assert_eq!(repo.settings, ["config/settings.py"]);
        assert_eq!(repo.assigned.iter().map(|a| a.value.as_deref()).collect::<Vec<_>>(), [Some("mine")]);
        let versions: Vec<_> = repo.versions.iter().map(|(version, file)| (version.as_str(), file.as_str())).collect();
        assert_eq!(versions, [("5.2", "requirements/base.txt"), ("5.1", "requirements.txt")]);
    }
}
