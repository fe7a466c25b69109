//! Misconfigurations that real stacks have, and variants that are healthy although they look otherwise: rows of
//! `assets/lab/faults/N.toml`, N being the step. Knows what is asked for, not how it is done.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use serde::Deserialize;

use super::assets;
use super::error::{LabError, Result, file};
use super::layout::Layout;
use super::service::Service;
use super::steps::{Effective, Words};

/// One thing that is wrong, or only different.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// A short name, unique over all steps.
    pub id: String,
    /// One sentence: what somebody did, and what comes of it.
    pub title: String,
    /// The step whose checks must see it; for a healthy variant, the step it is a variant of.
    #[serde(skip)]
    pub step: u8,
    /// True for a variant that must pass.
    #[serde(skip)]
    pub healthy: bool,
    /// Checks that must fail; `ramp` is the ramp itself. None for a healthy variant.
    #[serde(default)]
    pub expected: Vec<String>,
    /// Checks that it blinds and that must say so by `unknown`.
    #[serde(default)]
    pub unknown: Vec<String>,
    /// Checks of which a healthy variant may leave open what is so, without failing.
    #[serde(default)]
    pub may: Vec<String>,
    /// A variant that is healthy for its own step alone: another one's checks are right to refuse it.
    #[serde(default)]
    pub alone: bool,
    /// One of the checks looks at what a ramp saw.
    #[serde(default)]
    pub load: bool,
    /// The ramp on the fixed stack comes first: what is measured is compared with that.
    #[serde(default)]
    pub twice: bool,
    /// The shop's environment, over that of the fixed stack.
    #[serde(default)]
    env: Words,
    /// The same for the worker alone.
    #[serde(default)]
    worker_env: Words,
    /// Variables that are taken away.
    #[serde(default)]
    unset: Vec<String>,
    /// Values of nginx's template, PgBouncer's, and of command lines.
    #[serde(default)]
    edge: Words,
    #[serde(default)]
    pooler: Words,
    #[serde(default)]
    settings: Words,
    /// What is set up at Railway and Cloudflare. Where this is there, if empty, their stand-ins run and the practice
    /// project's settings name them, for as long as it is in force.
    clouds: Option<Words>,
    /// Services that do not run.
    #[serde(default)]
    stop: Vec<Service>,
    /// Edits of files of the practice stack.
    #[serde(default)]
    pub(super) patch: Vec<Patch>,
    /// `manage.py` commands after it is made, and after it is mended.
    #[serde(default)]
    pub(super) manage: Vec<Vec<String>>,
    #[serde(default)]
    pub(super) unmanage: Vec<Vec<String>>,
    /// Statements of the superuser, likewise.
    #[serde(default)]
    pub(super) sql: Vec<String>,
    #[serde(default)]
    pub(super) unsql: Vec<String>,
    /// `manage.py` commands once all of it runs: what users would have done meanwhile.
    #[serde(default)]
    pub(super) after: Vec<Vec<String>>,
    /// Commands to a Redis, its name (`cache` or `broker`) first, likewise.
    #[serde(default)]
    pub(super) redis: Vec<Vec<String>>,
    #[serde(default)]
    pub(super) unredis: Vec<Vec<String>>,
}

/// An edit of one file below `assets/lab`: a text that stands there once, and what stands there instead. Without a text
/// to find, a whole file of the shop that is there only while the fault is in force.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patch {
    pub file: String,
    #[serde(default)]
    find: String,
    put: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    fault: Vec<Fault>,
    #[serde(default)]
    healthy: Vec<Fault>,
}

/// All faults that are known, by their steps.
pub(crate) fn catalogue(own: &Path) -> Result<Vec<Fault>> {
    let mut pages: Vec<(String, String)> =
        assets::folder("faults")?.map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    // Whoever tries a fault of their own puts it there.
    for entry in std::fs::read_dir(own).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        pages.push((name, std::fs::read_to_string(&path).map_err(file("read", &path))?));
    }
    let mut found: Vec<Fault> = Vec::new();
    for (name, text) in pages {
        found.extend(page(&name, &text)?);
    }
    found.sort_by_key(|fault| fault.step);
    let mut seen = BTreeSet::new();
    match found.iter().find(|fault| !seen.insert(&fault.id)) {
        Some(twice) => Err(LabError::Fault(format!("{} is there twice; give one another id", twice.id))),
        None => Ok(found),
    }
}

/// One file's rows; its name is the step's number.
fn page(name: &str, text: &str) -> Result<Vec<Fault>> {
    let wrong = |why: &dyn std::fmt::Display| LabError::Fault(format!("faults/{name}: {why}"));
    let step: u8 = name.strip_suffix(".toml").and_then(|n| n.parse().ok()).unwrap_or_default();
    if !(1..=crate::domain::ids::STEPS).contains(&step) {
        return Err(wrong(&"call it 1.toml to 10.toml, by the step whose checks must see the fault"));
    }
    let page: Page = toml::from_str(text).map_err(|e| wrong(&e))?;
    let faults = page.fault.into_iter().map(|fault| Fault { step, ..fault });
    let healthy = page.healthy.into_iter().map(|fault| Fault { step, healthy: true, ..fault });
    let rows: Vec<Fault> = faults.chain(healthy).collect();
    for row in &rows {
        if row.healthy != (row.expected.is_empty() && row.unknown.is_empty()) {
            let rule = "a fault has `expected` or `unknown`, a healthy variant has neither";
            return Err(wrong(&format!("{}: {rule}", row.id)));
        }
        if row.twice && !row.load {
            return Err(wrong(&format!("{}: `twice` compares ramps, so it wants `load = true`", row.id)));
        }
        for patch in &row.patch {
            let fits =
                if patch.adds() { patch.fits_new() } else { patch.applied(assets::text(&patch.file)?).map(|_| ()) };
            fits.map_err(|why| wrong(&format!("{}: {why}", row.id)))?;
        }
    }
    Ok(rows)
}

impl Patch {
    /// It is a whole new file.
    pub(super) fn adds(&self) -> bool {
        self.find.is_empty()
    }

    /// A new file takes no other's place and lies in the shop's own folder.
    fn fits_new(&self) -> std::result::Result<(), String> {
        let plain = Path::new(&self.file).components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || !self.file.starts_with("shop/") {
            return Err(format!("a new file lies below shop/, and {} does not", self.file));
        }
        match assets::text(&self.file) {
            Ok(_) => Err(format!("{} is there already; say in `find` what is to be replaced", self.file)),
            Err(_) => Ok(()),
        }
    }

    fn applied(&self, text: &str) -> std::result::Result<String, String> {
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.put, 1)),
            times => Err(format!("{:?} stands {times} times in {}; it must be there once", self.find, self.file)),
        }
    }
}

/// The whole file that one of these faults adds under this name.
pub(super) fn added<'f>(name: &str, faults: &'f [Fault]) -> Option<&'f str> {
    let mut patches = faults.iter().flat_map(|fault| &fault.patch);
    patches.find(|patch| patch.adds() && patch.file == name).map(|patch| patch.put.as_str())
}

/// A file's text with these faults in it.
pub(super) fn edited(name: &str, text: &str, faults: &[Fault]) -> Result<String> {
    let patches = faults.iter().flat_map(|fault| &fault.patch).filter(|patch| patch.file == name);
    patches.into_iter().try_fold(text.to_owned(), |text, patch| patch.applied(&text).map_err(LabError::Fault))
}

impl Fault {
    /// What is in force with it. Values may hold placeholders; `fill` knows them.
    pub(super) fn bend(&self, sum: &mut Effective, fill: &dyn Fn(&str) -> Result<String>) -> Result<()> {
        let none = Words::new();
        if self.clouds.is_some() {
            sum.services.insert(Service::Clouds);
        }
        for (target, words) in [
            (&mut sum.env, &self.env),
            (&mut sum.worker_env, &self.worker_env),
            (&mut sum.edge, &self.edge),
            (&mut sum.pooler, &self.pooler),
            (&mut sum.clouds, self.clouds.as_ref().unwrap_or(&none)),
            (&mut sum.settings, &self.settings),
        ] {
            for (name, value) in words {
                target.insert(name.clone(), fill(value)?);
            }
        }
        sum.env.retain(|name, _| !self.unset.contains(name));
        sum.services.retain(|service| !self.stop.contains(service));
        Ok(())
    }
}

/// The faults of these ids.
pub(super) fn named(layout: &Layout, ids: &BTreeSet<String>) -> Result<Vec<Fault>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let all = catalogue(&layout.faults())?;
    let find = |id: &String| all.iter().find(|fault| &fault.id == id).cloned();
    ids.iter().map(|id| find(id).ok_or_else(|| LabError::NoFault(id.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_faults_fit_the_files_they_edit() {
        let found = catalogue(Path::new("/nowhere")).unwrap();
        assert!(found.iter().all(|fault| !fault.title.is_empty()));
        assert!(found.iter().any(|fault| fault.healthy) && found.iter().any(|fault| !fault.healthy));
    }

    #[test]
    fn a_row_that_cannot_be_applied_is_refused_with_its_place() {
        let row = |rest: &str| format!("[[fault]]\nid = 'x'\ntitle = 'X'\nexpected = ['a.b']\n{rest}");
        for (name, text, why) in [
            ("11.toml", row(""), "call it 1.toml"),
            ("1.toml", row("envv = {}"), "unknown field"),
            ("1.toml", row("patch = [{ file = 'nginx.conf', find = 'no such text', put = '' }]"), "stands 0 times"),
            ("1.toml", row("patch = [{ file = 'nginx.con', find = 'x', put = '' }]"), "nginx.con"),
            ("1.toml", row("patch = [{ file = 'shop/manage.py', put = 'x' }]"), "is there already"),
            ("1.toml", row("patch = [{ file = 'shop/../new.py', put = 'x' }]"), "below shop/"),
            ("1.toml", row("patch = [{ file = 'new.conf', put = 'x' }]"), "below shop/"),
            ("1.toml", "[[fault]]\nid = 'x'\ntitle = 'X'".to_owned(), "a fault has `expected`"),
            ("1.toml", row("twice = true"), "wants `load = true`"),
            ("1.toml", row("").replace("[[fault]]", "[[healthy]]"), "a healthy variant has neither"),
        ] {
            let error = page(name, &text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert_eq!(page("3.toml", &row("env = { A = '' }")).unwrap()[0].step, 3);
    }

    #[test]
    fn a_new_file_is_there_only_while_its_fault_is() {
        let text = "[[healthy]]\nid='x'\ntitle='X'\npatch = [{ file = 'shop/config/new.py', put = 'A = 1' }]";
        let rows = page("5.toml", text).unwrap();
        assert_eq!(added("shop/config/new.py", &rows), Some("A = 1"));
        assert_eq!(added("shop/config/new.py", &[]), None);
        assert_eq!(added("shop/manage.py", &rows), None);
    }

    #[test]
    fn edits_of_several_faults_add_up() {
        let patch = |find: &str, put: &str| Patch { file: "f".into(), find: find.into(), put: put.into() };
        let fault =
            |patch| Fault { patch: vec![patch], ..page("1.toml", "[[healthy]]\nid='x'\ntitle='X'").unwrap().remove(0) };
        let both = [fault(patch("one", "1")), fault(patch("two", "2"))];
        assert_eq!(edited("f", "one two", &both).unwrap(), "1 2");
        assert_eq!(edited("g", "one two", &both).unwrap(), "one two");
    }
}
