//! Single settings, as a check asks for them: which modules may run, and what stands at the end of some keys in each way
//! that production may have it. What cannot be known says why, with its place. Judges nothing.

use std::path::Path;
use std::rc::Rc;

use super::DjangoError;
use super::condition::Condition;
use super::deploy::Deploy;
use super::eval::{Evaluator, Modules, Scope, UNSAID};
use super::production::{Production, home};
use super::requirements::Requirements;
use super::scan::{gap_of, on_deep_stack};
use super::tree::Tree;
use super::value::{Guarded, Kind, Outer, QUERY, REST, V, Value};
use super::words::{is_aside, is_live, shown};

/// Folders upwards in which the project's root is looked for, the own one included.
const UPWARDS: usize = 4;
/// Settings modules that are followed beside the named one, at most.
const MODULES: usize = 16;
/// Values within values that are looked through.
const NESTED: usize = 24;

/// A project's settings that may run, and the packages that it pins.
#[derive(Debug)]
pub struct Repository {
    /// What production runs, where something names it.
    pub named: Option<Settings>,
    /// What an environment may name in its place: those that build on it or, where nothing names one, those that no
    /// other one imports.
    pub others: Vec<Settings>,
    requirements: Requirements,
}

impl Repository {
    /// Reads the project that a folder belongs to, asks it, and forgets it. Nothing of it is run.
    ///
    /// # Errors
    /// When the folder cannot be read, or there are no settings.
    pub fn ask<T: Send>(folder: &Path, question: impl FnOnce(&Self) -> T + Send) -> Result<T, DjangoError> {
        let root = folder.ancestors().take(UPWARDS).find(|dir| dir.join("manage.py").is_file()).unwrap_or(folder);
        on_deep_stack(root, || Ok(question(&Self::look(root)?)))
    }

    fn look(root: &Path) -> Result<Self, DjangoError> {
        let tree = Tree::open(root)?;
        let nothing = || DjangoError::NoProject { path: root.to_owned() };
        let home = home(&tree).ok_or_else(nothing)?;
        let modules = Modules::new(&tree, &home);
        let deploy = Deploy::read(&tree);
        let production = Production::find(&tree, &modules, &deploy, &mut Evaluator::new(&tree, &modules));
        let named = said(&production, &modules);
        let named = named.map(|file| Settings::follow(&tree, &modules, &file, production.class.as_deref()));
        // Where the deployment itself names a module, no environment names another.
        let others = if production.deployed.is_some() && named.is_some() {
            Vec::new()
        } else {
            others(&tree, &modules, named.as_ref())
        };
        if named.is_none() && others.is_empty() {
            return Err(nothing());
        }
        Ok(Self { named, others, requirements: Requirements::read(&tree, &home) })
    }

    /// All settings that may run, the named ones first; never none.
    pub fn running(&self) -> impl Iterator<Item = &Settings> {
        self.named.iter().chain(&self.others)
    }

    /// The versions that files pin a package to, and these files; several may pin several.
    #[must_use]
    pub fn versions(&self, package: &str) -> Vec<(String, String)> {
        let versions = self.requirements.versions(package);
        versions.into_iter().map(|(version, file)| (shown(&version), shown(&file))).collect()
    }
}

/// The file of the module that production runs, where something says so: a deployment, an entry point, its own name.
fn said(production: &Production, modules: &Modules) -> Option<Rc<str>> {
    let settings = production.settings.as_ref()?;
    let file = modules.file_of(&settings.module)?;
    let name = settings.module.rsplit('.').next().unwrap_or_default();
    let guessed = settings.place.file == file && !is_live(name);
    (!guessed && !is_aside(name)).then_some(file)
}

/// The settings that may run in the place of the named ones.
fn others(tree: &Tree, modules: &Modules, named: Option<&Settings>) -> Vec<Settings> {
    let fits = |path: &&str| {
        let inner = path.strip_prefix(modules.home());
        inner.is_some_and(|inner| {
            let (folder, name) = inner.rsplit_once('/').unwrap_or(("", inner));
            let settings = name.starts_with("settings") || folder.rsplit('/').next() == Some("settings");
            settings && name.ends_with(".py") && !is_aside(inner) && !inner.contains("example")
        })
    };
    let known = |path: &&str| named.is_some_and(|named| named.file == **path);
    let files = tree.paths().filter(fits).filter(|path| !known(path)).take(MODULES);
    let mut all: Vec<Settings> = files.map(|file| Settings::follow(tree, modules, file, None)).collect();
    all.retain(|one| ["INSTALLED_APPS", "DATABASES"].iter().any(|name| one.scope.contains_key(*name)));
    // What another imports is a part of that one.
    let part = |one: &Settings| all.iter().chain(named).any(|other| other.file != one.file && other.builds_on(one));
    let runs = |one: &Settings| !part(one) && named.is_none_or(|named| one.builds_on(named));
    let mut running: Vec<bool> = all.iter().map(runs).collect();
    running.reverse();
    all.retain(|_| running.pop() == Some(true));
    all
}

/// What one module of settings says at its end.
#[derive(Debug)]
pub struct Settings {
    /// Its file, below the project's root.
    pub file: String,
    scope: Rc<Scope>,
    /// Why absence proves nothing, when it does not.
    gap: Option<Rc<str>>,
    followed: Vec<Rc<str>>,
}

impl Settings {
    fn follow(tree: &Tree, modules: &Modules, file: &str, class: Option<&str>) -> Self {
        let mut evaluator = Evaluator::new(tree, modules);
        let scope = evaluator.settings_of(file, class);
        let followed = evaluator.followed.clone();
        let broken = followed.iter().find(|file| evaluator.source(file).is_some_and(|source| source.broken));
        let broken = broken.map(|file| format!("{file} is not the Python of today, so not all of it was read"));
        let gap = gap_of(&evaluator, &scope, file, tree).or(broken);
        Self { file: shown(file), scope, gap: gap.map(|why| shown(&why).into()), followed }
    }

    fn builds_on(&self, other: &Self) -> bool {
        self.followed.iter().any(|file| **file == *other.file)
    }

    /// The names of all settings.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.scope.keys().map(|name| &**name)
    }

    /// Each way that production may have what stands at the end of a path, `["DATABASES", "default", "CONN_MAX_AGE"]`.
    /// Exactly one where it is certain; never none.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Vec<Way> {
        let Some((name, keys)) = path.split_first() else { return Vec::new() };
        let mut ways = Vec::new();
        match self.scope.get(*name) {
            Some(value) => expand(value, &Condition::Always, 0, &mut ways),
            None => ways.push(Way { what: What::Absent, when: Condition::Always }),
        }
        if let Some(gap) = &self.gap {
            let open = |way: &Way| Way { what: What::Lost(gap.clone()), when: way.when.clone() };
            ways = ways.iter().map(|way| if way.is() == Is::Absent { open(way) } else { way.clone() }).collect();
        }
        told(descend(ways, keys))
    }
}

/// One way that a setting may be in production.
#[derive(Debug, Clone)]
pub struct Way {
    what: What,
    when: Condition,
}

#[derive(Debug, Clone)]
enum What {
    Absent,
    Value(V),
    /// Something in this may say it; true where that is an address.
    Within(V, bool),
    Lost(Rc<str>),
}

/// What a setting is in one way.
#[derive(Debug, Clone, PartialEq)]
pub enum Is {
    /// Nothing is written there.
    Absent,
    /// `None`.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Number(f64),
    /// Text, which may be somebody's secret.
    Text(String),
    /// Something of another module, by its dotted name.
    Named(String),
    /// A list with so many items.
    List(usize),
    /// A dictionary with so many entries.
    Dict(usize),
    /// What this variable of the environment (or key of another store) holds.
    Variable(String),
    /// What may stand in the address that its dictionary is made of, in words.
    InAddress(String),
    /// It cannot be known, and why.
    Unknown(String),
}

impl Way {
    /// What it is.
    #[must_use]
    pub fn is(&self) -> Is {
        match &self.what {
            What::Absent => Is::Absent,
            What::Lost(why) => Is::Unknown(why.to_string()),
            What::Within(value, true) => Is::InAddress(within(value)),
            What::Within(value, false) => Is::Unknown(within(value)),
            What::Value(value) => is(value),
        }
    }

    /// Does it count as true? None where that is not known.
    #[must_use]
    pub fn truth(&self) -> Option<bool> {
        match self.is() {
            Is::Absent | Is::Null => Some(false),
            Is::Bool(yes) => Some(yes),
            Is::Number(number) => Some(number != 0.0),
            Is::Text(text) => Some(!text.is_empty()),
            Is::List(held) | Is::Dict(held) => Some(held > 0),
            Is::Named(_) | Is::Variable(_) | Is::InAddress(_) | Is::Unknown(_) => None,
        }
    }

    /// The line where it is written, `shop/settings.py:12`; none where nothing is.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        match &self.what {
            What::Value(value) | What::Within(value, _) => Some(shown(&value.place.to_string())),
            What::Absent | What::Lost(_) => None,
        }
    }

    /// Why it is not known, with its place; none where it is.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        let why = match self.is() {
            Is::Variable(name) => format!("the variable {name} decides"),
            Is::InAddress(why) | Is::Unknown(why) => why,
            Is::Named(name) => format!("{name} is of a package that is not read"),
            _ => return None,
        };
        Some(self.place().map_or_else(|| why.clone(), |place| format!("{place}: {why}")))
    }

    /// What stands at the end of keys in it. Conditions are those within it.
    #[must_use]
    pub fn at(&self, keys: &[&str]) -> Vec<Self> {
        told(descend(vec![Self { what: self.what.clone(), when: Condition::Always }], keys))
    }

    /// The keys of a dictionary.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let What::Value(value) = &self.what else { return Vec::new() };
        let Kind::Dict(pairs) = &value.kind else { return Vec::new() };
        let own = pairs.iter().filter(|pair| pair.is_named());
        own.map(|pair| shown(&pair.key)).collect()
    }

    /// True for a dictionary that is made of an address, which may say more after its question mark.
    #[must_use]
    pub fn is_of_address(&self) -> bool {
        let What::Value(value) = &self.what else { return false };
        matches!(&value.kind, Kind::Dict(pairs) if pairs.iter().any(|pair| &*pair.key == QUERY))
    }

    /// Every text that it is made of, defaults of variables among them.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let What::Value(value) = &self.what {
            texts(value, 0, &mut found);
        }
        found
    }

    /// Of the ways of a neighbour, those that there can be where this one holds.
    #[must_use]
    pub fn beside(&self, ways: &[Self]) -> Vec<Self> {
        let together = |way: &Self| {
            let always = !self.when.and(&way.when.not()).is_possible();
            let when = if always { Condition::Always } else { way.when.clone() };
            self.when.and(&way.when).is_possible().then(|| Self { what: way.what.clone(), when })
        };
        ways.iter().filter_map(together).collect()
    }
}

/// Why these ways of one setting are not one that is known; none where they are.
#[must_use]
pub fn doubt(ways: &[Way]) -> Option<String> {
    if let Some(why) = ways.iter().find_map(Way::why) {
        return Some(why);
    }
    let written = ways.iter().find(|way| way.place().is_some()).filter(|_| ways.len() > 1)?;
    let when = shown(&written.when.to_string()).replace("env:", "");
    Some(format!("{}: it depends on {when}", written.place()?))
}

/// What an unknown value holds at some key, in words.
fn within(value: &V) -> String {
    match sources(value) {
        Some(names) => format!("the variable {names} decides"),
        None => match &value.kind {
            Kind::Unknown(why) => shown(why),
            _ => "it is built in a way that is not followed".to_owned(),
        },
    }
}

fn is(value: &V) -> Is {
    let unknown = || match sources(value) {
        Some(names) => Is::Variable(names),
        None => Is::Unknown("it is made in a way that is not followed".to_owned()),
    };
    match &value.kind {
        Kind::Null => Is::Null,
        Kind::Bool(yes) => Is::Bool(*yes),
        Kind::Int(number) => Is::Number(*number as f64),
        Kind::Float(number) => Is::Number(*number),
        Kind::Text(text) => Is::Text(text.to_string()),
        Kind::List(items) => Is::List(items.len()),
        Kind::Dict(pairs) => Is::Dict(pairs.len()),
        Kind::Named(name) => Is::Named(shown(name)),
        // What dj-database-url sets where it is told nothing.
        Kind::Call { callee, .. } if &**callee == UNSAID => Is::Number(0.0),
        Kind::Class(class) => Is::Named(shown(&class.name)),
        Kind::Unknown(why) => Is::Unknown(shown(why)),
        Kind::Logic(_)
        | Kind::Outer(_)
        | Kind::Made(_)
        | Kind::Choice(_)
        | Kind::Call { .. }
        | Kind::Function(_)
        | Kind::Instance(_)
        | Kind::Own => unknown(),
    }
}

/// The names of the variables that a value is made of.
fn sources(value: &V) -> Option<String> {
    let names: Vec<String> = value.sources().iter().map(|name| shown(name.trim_start_matches("env:"))).collect();
    (!names.is_empty()).then(|| names.join(" and "))
}

/// May what is kept under one key stand under another? An address may say any; of some keys only the start is known.
fn may_be(kept: &str, key: &str) -> bool {
    kept == QUERY || kept != key && kept.strip_suffix("{}").is_some_and(|start| key.starts_with(start))
}

fn possible(mut ways: Vec<Way>) -> Vec<Way> {
    ways.retain(|way| way.when.is_possible());
    ways
}

fn descend(ways: Vec<Way>, keys: &[&str]) -> Vec<Way> {
    let down = |level: Vec<Way>, key: &&str| possible(level.iter().flat_map(|way| way.entry(key)).collect());
    keys.iter().fold(possible(ways), down)
}

/// Ways that say the same are one.
fn told(ways: Vec<Way>) -> Vec<Way> {
    let mut all: Vec<Way> = Vec::new();
    for way in ways {
        let is = way.is();
        let plain = !matches!(is, Is::List(_) | Is::Dict(_) | Is::Variable(_) | Is::InAddress(_) | Is::Unknown(_));
        match all.iter_mut().find(|known| plain && known.is() == is) {
            Some(known) => known.when = known.when.or(&way.when),
            None => all.push(way),
        }
    }
    all
}

/// The ways that a value may be: a variable is itself or its default, a switch is yes or no, and what is chosen from may
/// lack a choice.
fn expand(value: &V, when: &Condition, depth: usize, found: &mut Vec<Way>) {
    let mut add = |what: What, when: Condition| found.push(Way { what, when });
    match &value.kind {
        Kind::Choice(ways) if depth < NESTED => {
            let none = ways.iter().fold(Condition::Never, |sum, way| sum.or(&way.when)).not();
            add(What::Absent, when.and(&none));
            ways.iter().for_each(|way| expand(&way.value, &when.and(&way.when), depth + 1, found));
        }
        Kind::Logic(holds) => {
            for (yes, holds) in [(true, holds.clone()), (false, holds.not())] {
                add(What::Value(Value::new(Kind::Bool(yes), &value.place)), when.and(&holds));
            }
        }
        Kind::Outer(Outer { store, name, default: Some(default), .. }) if depth < NESTED => {
            let left = Condition::left_out(store, name);
            add(What::Value(value.clone()), when.and(&left.not()));
            expand(default, &when.and(&left), depth + 1, found);
        }
        _ => add(What::Value(value.clone()), when.clone()),
    }
}

fn texts(value: &V, depth: usize, found: &mut Vec<String>) {
    let mut each = |values: &mut dyn Iterator<Item = &V>| values.for_each(|one| texts(one, depth + 1, found));
    match &value.kind {
        _ if depth > NESTED => {}
        Kind::Text(text) => found.push(text.to_string()),
        Kind::Made(parts) => each(&mut parts.iter()),
        Kind::Outer(outer) => each(&mut outer.default.iter()),
        Kind::Choice(ways) | Kind::List(ways) => each(&mut ways.iter().map(|way| &way.value)),
        Kind::Dict(pairs) => each(&mut pairs.iter().map(|pair| &pair.held.value)),
        Kind::Call { args, named, .. } => each(&mut args.iter().chain(named.iter().map(|(_, value)| value))),
        _ => {}
    }
}

impl Way {
    /// What stands under a key: what may be it and comes after it may say otherwise, what comes before it only where it
    /// is not there itself. What was spread in and is not followed has put itself into what it may have replaced; that it
    /// replaced one entry says nothing of another.
    fn entry(&self, key: &str) -> Vec<Self> {
        let What::Value(value) = &self.what else { return vec![self.clone()] };
        let way = |what: What, when: &Condition| Self { what, when: self.when.and(when) };
        let pairs = match &value.kind {
            Kind::Dict(pairs) => pairs,
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) | Kind::List(_) => {
                return vec![way(What::Absent, &Condition::Always)];
            }
            _ => return vec![way(What::Within(value.clone(), false), &Condition::Always)],
        };
        let at = pairs.iter().position(|pair| &*pair.key == key);
        let held = at.map(|at| &pairs[at].held);
        let left = held.map_or(Condition::Always, |held| held.when.not());
        let mut found = Vec::new();
        if let Some(Guarded { when, value }) = held {
            expand(value, &self.when.and(when), 0, &mut found);
            if found.iter().any(|way| matches!(&way.what, What::Value(value) if value.is_of_rest())) {
                found = possible(found).into_iter().map(|held| way(held.what, when)).collect();
            }
        }
        found.insert(0, way(What::Absent, &left));
        if let Some(Guarded { when, value }) = pairs.iter().find(|pair| &*pair.key == REST).map(|pair| &pair.held) {
            found.push(way(What::Within(value.clone(), false), &left.and(when)));
        }
        for (n, pair) in pairs.iter().enumerate().filter(|(_, pair)| may_be(&pair.key, key)) {
            let may = if at.is_some_and(|at| n < at) { left.and(&pair.held.when) } else { pair.held.when.clone() };
            found.push(way(What::Within(pair.held.value.clone(), &*pair.key == QUERY), &may));
        }
        found
    }
}
