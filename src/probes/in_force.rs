//! Which settings files run: the module that `wsgi.py`, `asgi.py` or `manage.py` names, and what it imports. Reads text:
//! an environment that names another module is not seen here, and knows no setting.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use super::repo::SettingsFile;
use crate::domain::text::tame;

/// Files followed, at most.
const FOLLOWED: usize = 16;
/// Bytes of a file that are read.
const SIZE: u64 = 2 << 20;

#[expect(clippy::expect_used, reason = "a constant pattern")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

static MODULE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(?m)^[^#\n]*["']DJANGO_SETTINGS_MODULE["']\s*\]?\s*[,=]\s*["']([\w.]+)["']"#));
static IMPORT: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^\s*from\s+(\.*[\w.]*)\s+import\s+(\(?[\w*, ]+)"));

/// The one module that these files name as the settings; none when they name several or none.
pub(super) fn module(entries: &[String]) -> Option<String> {
    let found = entries.iter().flat_map(|text| MODULE.captures_iter(text).map(|found| found[1].to_owned()));
    let mut names: BTreeSet<String> = found.collect();
    let first = names.pop_first()?;
    names.is_empty().then_some(first)
}

/// The files of a module below the root and of what it imports, the module's own first.
pub(super) fn chain(root: &Path, module: &str) -> Vec<SettingsFile> {
    file(&root.join(module.replace('.', "/"))).map(|path| follow(root, &path)).unwrap_or_default()
}

/// This file and those that it imports from, itself first.
pub(super) fn follow(root: &Path, first: &Path) -> Vec<SettingsFile> {
    let (mut waiting, mut seen, mut files) = (vec![first.to_owned()], BTreeSet::new(), Vec::new());
    while let Some(path) = waiting.pop() {
        let small = std::fs::metadata(&path).is_ok_and(|meta| meta.len() <= SIZE);
        if files.len() >= FOLLOWED || !small || !seen.insert(path.clone()) {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        // What is imported last stands over what came before.
        for found in IMPORT.captures_iter(&text) {
            waiting.extend(imported(root, &path, &found[1], &found[2]));
        }
        files.push(SettingsFile { path: tame(&path.strip_prefix(root).unwrap_or(&path).to_string_lossy(), 120), text });
    }
    files
}

/// The files that `from NAME import WHAT` reads; none for packages from elsewhere.
fn imported(root: &Path, from: &Path, name: &str, what: &str) -> Vec<PathBuf> {
    let dots = name.len() - name.trim_start_matches('.').len();
    let base = match dots {
        0 => Some(root),
        _ => from.ancestors().nth(dots),
    };
    let Some(base) = base.filter(|base| base.starts_with(root)) else { return Vec::new() };
    let rest = name[dots..].replace('.', "/");
    if rest.is_empty() {
        return what.split([',', '(', ' ']).filter_map(|part| file(&base.join(part.trim()))).collect();
    }
    file(&base.join(rest)).into_iter().collect()
}

/// The file of a module, or its package's.
fn file(module: &Path) -> Option<PathBuf> {
    module.file_name()?;
    [module.with_extension("py"), module.join("__init__.py")].into_iter().find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test's own folder")]
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn one_module_is_named_or_none() {
        let named = |texts: &[&str]| module(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let default = |name: &str| format!("os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"{name}\")");
        assert_eq!(named(&[&default("a.settings")]).as_deref(), Some("a.settings"));
        assert_eq!(named(&["os.environ['DJANGO_SETTINGS_MODULE'] = 'a.b'"]).as_deref(), Some("a.b"));
        assert_eq!(named(&[&default("a"), &default("b")]), None);
        assert_eq!(named(&[&format!("# {}", default("a"))]), None);
    }

    #[test]
    fn imports_are_followed_within_the_project() {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("shop/settings/production.py", "from .base import *\nfrom os import path\nDEBUG = False\n"),
            ("shop/settings/base.py", "from shop.settings.parts import *  # parts\nfrom .production import X\n"),
            ("shop/settings/parts.py", "A = 1\n"),
            ("shop/settings/__init__.py", ""),
            ("shop/settings/other.py", "B = 1\n"),
        ] {
            write(root.path(), path, text);
        }
        let names = |module: &str| chain(root.path(), module).into_iter().map(|file| file.path).collect::<Vec<_>>();
        assert_eq!(
            names("shop.settings.production"),
            ["shop/settings/production.py", "shop/settings/base.py", "shop/settings/parts.py"]
        );
        assert_eq!(names("shop.settings"), ["shop/settings/__init__.py"]);
        assert!(names("elsewhere.settings").is_empty());
    }

    #[test]
    fn a_settings_file_that_nothing_names_or_imports_does_not_run() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| write(root.path(), path, text);
        let databases = "DATABASES = {'default': {}}\n";
        write("manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n");
        write("shop/settings.py", databases);
        write("shop/settings_other.py", databases);
        let way = || {
            let found = crate::probes::repo::in_force(root.path()).unwrap();
            let first = |way: &Vec<SettingsFile>| way[0].path.clone();
            (found.named.as_ref().map(first), found.others.iter().map(first).collect::<Vec<_>>())
        };
        let named = Some("shop/settings.py".to_owned());
        assert_eq!(way(), (named.clone(), vec![]));
        // One that builds on the named one may run in its place.
        write("shop/settings_production.py", "from .settings import *\n");
        assert_eq!(way(), (named, vec!["shop/settings_production.py".to_owned()]));
        // Nobody names one: any of them may run.
        write("manage.py", "import os\n");
        assert_eq!(way(), (None, vec!["shop/settings_other.py".to_owned(), "shop/settings_production.py".to_owned()]));
    }
}
