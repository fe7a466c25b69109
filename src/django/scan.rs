//! One look at a project: what it is asked and what it answers, as it is told to others.

use std::path::Path;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::DjangoError;
use super::deploy::Deploy;
use super::eval::{Evaluator, Modules, Scope};
use super::facts::{Fact, Project, WORDS};
use super::hints::Hints;
use super::mentions::mentions;
use super::production::{Production, home};
use super::requirements::Requirements;
use super::tree::Tree;
use super::urls::routes;
use super::words::shown;

/// Stack for following a project; a thread's usual two megabytes are for shallow work.
const STACK: usize = 64 << 20;

/// Why not all paths are known.
const ELSEWHERE: &str = "ROOT_URLCONF leads to what is not here";
const MORE: &str = "these paths are built in a way that is not followed";

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Scan {
    /// The settings module that production runs; none when nothing here names one.
    pub settings_module: Option<String>,
    /// The answers, in order.
    #[serde(serialize_with = "as_map")]
    pub facts: Vec<(&'static str, Fact)>,
    /// What a settings file may be filled with.
    pub hints: Hints,
    /// What was in the way, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

fn as_map<S: Serializer>(facts: &[(&'static str, Fact)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(facts.len()))?;
    for (name, fact) in facts {
        map.serialize_entry(name, fact)?;
    }
    map.end()
}

impl Scan {
    /// The answer of this name.
    #[must_use]
    pub fn fact(&self, name: &str) -> Option<&Fact> {
        self.facts.iter().find(|(known, _)| *known == name).map(|(_, fact)| fact)
    }

    /// Reads the project in a folder. Nothing of it is run.
    ///
    /// # Errors
    /// When the folder cannot be read, or holds no Django project.
    pub fn read(root: &Path) -> Result<Self, DjangoError> {
        on_deep_stack(root, || Self::look(root))
    }

    fn look(root: &Path) -> Result<Self, DjangoError> {
        let tree = Tree::open(root)?;
        let home = home(&tree).ok_or_else(|| DjangoError::NoProject { path: root.to_owned() })?;
        let modules = Modules::new(&tree, &home);
        let deploy = Deploy::read(&tree);
        let mut evaluator = Evaluator::new(&tree, &modules);
        let production = Production::find(&tree, &modules, &deploy, &mut evaluator);

        // What production runs is followed alone, so that no other module's calls count.
        let mut evaluator = Evaluator::new(&tree, &modules);
        let file = production.settings.as_ref().and_then(|settings| modules.file_of(&settings.module));
        let settings = file.as_ref().map(|file| evaluator.settings_of(file, production.class.as_deref()));
        let settings = settings.unwrap_or_default();
        let gap = gap(&evaluator, &settings, file.as_deref(), &tree);

        let mut paths = Evaluator::new(&tree, &modules).with_settings(settings.clone(), "url");
        let root = settings.get("ROOT_URLCONF");
        let named = root.and_then(|root| root.ways().iter().find_map(|way| way.value.text().map(str::to_owned)));
        let here = named.filter(|named| modules.file_of(named).is_some()).zip(root);
        let found = here.as_ref().map(|(name, root)| routes(&mut paths, name, &root.place)).unwrap_or_default();
        let elsewhere = root.filter(|_| here.is_none()).map(|root| (ELSEWHERE, root.place.clone()));
        let unrouted = found.more.map(|place| (MORE, place)).or(elsewhere);
        let gap = gap.or_else(|| paths.is_spent().then(|| "there are too many paths to be followed".to_owned()));
        let remarks = remarks(&tree, &mut evaluator);
        let mut project = Project {
            requirements: Requirements::read(&tree, &home),
            mentions: mentions(&tree, &WORDS),
            effects: std::mem::take(&mut evaluator.effects),
            code: Evaluator::new(&tree, &modules).with_settings(settings.clone(), ""),
            deploy,
            production,
            settings,
            gap,
            lost: evaluator.lost.take(),
            unrouted,
            routes: found.known,
        };
        let settings_module = project.production.settings.as_ref().map(|settings| shown(&settings.module));
        let hints = Hints::of(&mut project);
        Ok(Self { settings_module, facts: project.facts(), hints, remarks })
    }
}

/// Does work on a stack that is as deep as a project may be nested.
///
/// # Errors
/// As the work says; when there is no such stack, and when it ended in a panic.
pub(super) fn on_deep_stack<T: Send>(
    root: &Path,
    work: impl FnOnce() -> Result<T, DjangoError> + Send,
) -> Result<T, DjangoError> {
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let worker = worker.map_err(|source| DjangoError::Folder { path: root.to_owned(), source })?;
        worker.join().unwrap_or(Err(DjangoError::Confused))
    })
}

/// Why absence proves nothing, when it does not.
fn gap(evaluator: &Evaluator<'_>, settings: &Scope, file: Option<&str>, tree: &Tree) -> Option<String> {
    let Some(file) = file else { return Some("the settings that production runs are not in this repository".into()) };
    // Any application may bring what is asked for.
    let apps = settings.get("INSTALLED_APPS").map(|apps| apps.items()).unwrap_or_default();
    let app = apps.iter().find(|app| app.value.text().is_none());
    let unknown = app.map(|app| format!("not all of INSTALLED_APPS is known: {}", app.value.place));
    unknown.or_else(|| gap_of(evaluator, settings, file, tree))
}

/// The same of what the settings themselves say, whatever applications bring.
pub(super) fn gap_of(evaluator: &Evaluator<'_>, settings: &Scope, file: &str, tree: &Tree) -> Option<String> {
    if tree.text(file).is_none() {
        let why = if tree.is_too_large(file) { "is too large to be read" } else { "cannot be read as text" };
        return Some(format!("{file} {why}"));
    }
    if let Some(lost) = &evaluator.lost {
        return Some(lost.clone());
    }
    if !settings.contains_key("INSTALLED_APPS") {
        return Some(format!("{file} builds its settings in a way that is not followed here"));
    }
    evaluator.is_spent().then(|| "the settings are too long to be followed to their end".to_owned())
}

fn remarks(tree: &Tree, evaluator: &mut Evaluator<'_>) -> Vec<String> {
    let mut remarks = Vec::new();
    if !tree.is_whole() {
        remarks.push("this folder holds more files than are looked at".to_owned());
    }
    for (module, place) in evaluator.missing.clone() {
        remarks.push(format!("{place} imports {module}, which is not here and may change any setting"));
    }
    for file in evaluator.followed.clone() {
        if evaluator.source(&file).is_some_and(|source| source.broken) {
            remarks.push(format!("{file} is not the Python of today; what could be read of it was"));
        }
    }
    remarks.iter().map(|remark| shown(remark)).collect()
}
