//! Which packages a project asks for, and which Django: requirements files, pyproject, Pipfile, setup.cfg, lock files.
//! Knows what a version is and not what depends on it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use toml::Value as Toml;

use super::template::decided;
use super::tree::Tree;
use super::value::Place;
use super::words::is_aside;

/// A package that is asked for.
#[derive(Debug, Clone)]
pub struct Requirement {
    /// Its name, lower case, with `-` for `_` and `.`.
    pub name: String,
    /// Which versions, as written, without spaces; empty for any.
    pub wanted: String,
    /// Where.
    pub place: Place,
    /// How much this file says of production; less is more.
    rank: usize,
}

/// The one version of a package that a lock file lets in.
#[derive(Debug)]
struct Locked {
    name: String,
    version: String,
    file: String,
    /// The file is in or above the project's own folder.
    near: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Requirements {
    all: Vec<Requirement>,
    locked: Vec<Locked>,
}

#[expect(clippy::expect_used, reason = "a constant pattern")]
static LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^\s*["']?([A-Za-z][\w.-]*)\s*(?:\[[^\]]*\])?\s*((?:[=<>!~^]=?=?\s*[\w.*+!-]+\s*,?\s*)*)"#)
        .expect("a pattern")
});
#[expect(clippy::expect_used, reason = "a constant pattern")]
static LOCKED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"name = "([\w.-]+)"\s+version = "(\d+(?:\.\d+)*)|"([\w.-]+)":\s*\{[^{}]*"version":\s*"===?(\d+(?:\.\d+)*)"#,
    )
    .expect("a pattern")
});
#[expect(clippy::expect_used, reason = "a constant pattern")]
static BOUND: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(===|==|>=|~=|\^|<=|<|>)(\d+)(?:\.(\d+))?").expect("a pattern"));

impl Requirements {
    /// Reads all files that ask for packages; those in or above the project's own folder count most.
    pub fn read(tree: &Tree, home: &str) -> Self {
        let mut found = Self::default();
        for path in tree.paths() {
            let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
            let Some(kind) = rank(folder, name) else { continue };
            let Some(text) = tree.text(path) else { continue };
            let text = decided(tree, &text);
            let near = home.starts_with(folder) || folder.is_empty() || folder.starts_with(home.trim_end_matches('/'));
            let rank = kind + usize::from(!near) * 20 + usize::from(is_aside(path)) * 10;
            match name {
                _ if name.ends_with(".lock") || name == "pylock.toml" => found.lock(path, &text, near),
                "pyproject.toml" | "Pipfile" => found.tables(path, &text, rank),
                _ => found.lines(path, &text, rank),
            }
        }
        found.all.sort_by_key(|one| one.rank);
        found
    }

    /// The requirement that says most of production.
    pub fn of(&self, name: &str) -> Option<&Requirement> {
        let named = || self.all.iter().filter(|one| one.name == name);
        named().find(|one| !one.wanted.is_empty()).or_else(|| named().next())
    }

    /// The versions that files pin a package to, and these files; several may pin several.
    pub fn versions(&self, name: &str) -> Vec<(String, String)> {
        let locked = self.locked.iter().filter(|one| one.name == name);
        let locked = locked.map(|one| (one.version.clone(), one.file.clone()));
        let exact = |one: &Requirement| {
            let version = one.wanted.strip_prefix("==")?.trim_start_matches('=');
            let alone = version.starts_with(|c: char| c.is_ascii_digit()) && !version.contains(',');
            alone.then(|| (version.to_owned(), one.place.file.to_string()))
        };
        let exact = self.all.iter().filter(|one| one.name == name).filter_map(exact);
        locked.chain(exact).filter(|(_, file)| !is_aside(file)).collect()
    }

    /// Django's version in the lock file nearest to the project.
    fn locked_django(&self) -> Option<(u32, u32)> {
        let named = || self.locked.iter().filter(|one| one.name == "django");
        let nearest = named().rfind(|one| one.near).or_else(|| named().next())?;
        let mut numbers = nearest.version.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    }

    /// Django's version as two numbers: the locked one, or the least that is asked for.
    pub fn django(&self) -> Option<(u32, u32)> {
        let wanted = self.of("django").map(|one| one.wanted.as_str()).unwrap_or_default();
        let bounds: Vec<_> = BOUND.captures_iter(wanted).collect();
        let number = |text: Option<regex::Match<'_>>| text.and_then(|text| text.as_str().parse::<u32>().ok());
        let of = |bound: &regex::Captures<'_>| Some((number(bound.get(2))?, number(bound.get(3)).unwrap_or(0)));
        let exact = bounds.iter().find(|bound| matches!(&bound[1], "==" | "===")).and_then(of);
        let least = bounds.iter().find(|bound| !matches!(&bound[1], "<" | "<=")).and_then(of);
        let most = bounds.iter().find(|bound| &bound[1] == "<").and_then(of);
        let below =
            most.map(|(major, minor)| if minor == 0 { (major.saturating_sub(1), 2) } else { (major, minor - 1) });
        exact.or_else(|| self.locked_django()).or(least).or(below)
    }

    fn lock(&mut self, path: &str, text: &str, near: bool) {
        let mut known = BTreeSet::new();
        for found in LOCKED.captures_iter(text) {
            let both = found.get(1).zip(found.get(2)).or_else(|| found.get(3).zip(found.get(4)));
            let Some((name, version)) = both.map(|(name, version)| (normal(name.as_str()), version.as_str())) else {
                continue;
            };
            if known.insert(name.clone()) {
                self.locked.push(Locked { name, version: version.to_owned(), file: path.to_owned(), near });
            }
        }
    }

    fn add(&mut self, text: &str, place: Place, rank: usize) {
        let Some(found) = LINE.captures(text) else { return };
        let wanted: String = found[2].chars().filter(|c| !c.is_whitespace()).collect();
        let wanted = wanted.trim_end_matches(',').to_owned();
        self.all.push(Requirement { name: normal(&found[1]), wanted, place, rank });
    }

    fn lines(&mut self, path: &str, text: &str, rank: usize) {
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.split(" #").next().unwrap_or(text);
            let place = Place { file: path.into(), line };
            if !text.trim_start().starts_with(['#', '-', '[']) && !text.contains("://") {
                self.add(text, place, rank);
            }
        }
    }

    fn tables(&mut self, path: &str, text: &str, rank: usize) {
        let Ok(table) = toml::from_str::<toml::Table>(text) else { return };
        let get = |keys: &[&str]| keys.iter().skip(1).fold(table.get(keys[0]), |at, key| at?.get(key));
        let place = |written: &str, name: &str| {
            let starts = |line: &str| {
                line.trim_start().trim_start_matches(['"', '\'']).to_lowercase().starts_with(&name.to_lowercase())
            };
            let holds = text.lines().position(|line| starts(line) && line.contains(written));
            let line = holds.or_else(|| text.lines().position(|line| line.contains(written)));
            Place { file: path.into(), line: line.and_then(|line| u32::try_from(line + 1).ok()).unwrap_or(1) }
        };
        let lists = [get(&["project", "dependencies"])].into_iter().flatten();
        let groups = [get(&["project", "optional-dependencies"]), get(&["dependency-groups"])];
        let groups = groups
            .into_iter()
            .flatten()
            .filter_map(Toml::as_table)
            .flatten()
            .map(|(name, list)| (is_aside(name), list));
        for (aside, list) in lists.map(|list| (false, list)).chain(groups) {
            for one in list.as_array().into_iter().flatten().filter_map(Toml::as_str) {
                let name = LINE.captures(one).map(|found| found[1].to_owned()).unwrap_or_default();
                self.add(one, place(one, &name), rank + usize::from(aside) * 10);
            }
        }
        for keys in [&["tool", "poetry", "dependencies"][..], &["packages"]] {
            for (name, wanted) in get(keys).and_then(Toml::as_table).into_iter().flatten() {
                let wanted =
                    wanted.as_str().or_else(|| wanted.get("version").and_then(Toml::as_str)).unwrap_or_default();
                let bare = wanted.starts_with(|c: char| c.is_ascii_digit());
                let wanted = if bare { format!("=={wanted}") } else { wanted.replace(' ', "") };
                let wanted = wanted.trim_start_matches('*').to_owned();
                let place = place(name, name);
                self.all.push(Requirement { name: normal(name), wanted, place, rank });
            }
        }
    }
}

fn normal(name: &str) -> String {
    name.to_lowercase().replace(['_', '.'], "-")
}

/// How much a file says of production; none for files that ask for nothing.
fn rank(folder: &str, name: &str) -> Option<usize> {
    let folder = folder.rsplit('/').next().unwrap_or(folder);
    let stem = name.strip_suffix(".txt").or_else(|| name.strip_suffix(".in"));
    Some(match (name, stem) {
        ("pyproject.toml" | "Pipfile", _) => 0,
        ("setup.cfg", _) => 4,
        (_, Some("requirements")) => 1,
        (_, Some("prod" | "production")) if folder.starts_with("req") => 2,
        (_, Some("base" | "common" | "main" | "default" | "core")) if folder.starts_with("req") => 2,
        (_, Some(stem)) if folder.starts_with("req") || stem.starts_with("requirements") => 3,
        _ if name.ends_with(".lock") || name == "pylock.toml" => 5,
        _ => return None,
    })
}
