//! Follows a settings module statement by statement, without running it: imports within the project are followed,
//! both sides of a branch are kept, and what comes from outside stays a name. Bounded in work and depth. Knows no fact.

mod assign;
mod builtins;
mod calls;
mod classes;
mod conditions;
mod expressions;
mod imports;
mod items;
mod methods;
mod modules;
mod readers;
mod statements;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use ruff_text_size::Ranged;

pub use modules::Modules;
pub use readers::{BY_SCHEME, UNSAID};

use super::condition::Condition;
use super::joined::joined;
use super::parse::Source;
use super::tree::Tree;
use super::value::{Guarded, Kind, Place, V, Value};

/// Steps that one project may cost. A large one takes a few ten thousand.
const FUEL: u32 = 300_000;
/// Expressions, calls and imports within each other.
const DEPTH: u32 = 180;

/// Names that are copied for one step.
const COPIED: usize = 8;
/// Names that are looked at for one.
const LOOKED: usize = 64;

/// Names and what they stand for.
pub type Scope = BTreeMap<Rc<str>, V>;

/// Something of another package that was called.
#[derive(Debug, Clone)]
pub struct Effect {
    /// Its dotted name.
    pub callee: Rc<str>,
    /// The call.
    pub call: V,
    /// When it happens.
    pub when: Condition,
}

/// What runs through a project's modules.
#[derive(Debug)]
pub struct Evaluator<'t> {
    tree: &'t Tree,
    modules: &'t Modules,
    done: HashMap<Rc<str>, Rc<Scope>>,
    sources: HashMap<Rc<str>, Option<Rc<Source>>>,
    settings: Option<Rc<Scope>>,
    only: Option<&'static str>,
    /// What was called, in order.
    pub effects: Vec<Effect>,
    /// Files that were followed, in order.
    pub followed: Vec<Rc<str>>,
    /// Modules of the project that are asked for and not there.
    pub missing: Vec<(String, Place)>,
    /// The first place where settings may come from that cannot be followed, in words.
    pub lost: Option<String>,
    fuel: u32,
    depth: u32,
    /// Bodies of `try` that are being followed, within each other.
    tried: u32,
    /// Branches were left out because they stand too deep within each other.
    cut: bool,
}

/// One module, or one call of a function, on its way.
#[derive(Debug)]
struct Frame {
    source: Rc<Source>,
    module: Rc<str>,
    scopes: Vec<Scope>,
    /// What must hold for the present line to be reached.
    path: Condition,
    returned: Vec<Guarded>,
    /// The settings class that is being set up.
    own: Option<Scope>,
    /// An import found nothing, and nothing caught that yet.
    import_failed: bool,
    /// It is a call, whose first names are its module's.
    called: bool,
    /// Names of the module that it sets or changes.
    globals: BTreeSet<Rc<str>>,
    /// Lists and dictionaries that it changed, as they were and as they are.
    renewed: Vec<(V, V)>,
}

impl<'t> Evaluator<'t> {
    /// For the modules of a tree.
    pub fn new(tree: &'t Tree, modules: &'t Modules) -> Self {
        Self {
            tree,
            modules,
            done: HashMap::new(),
            sources: HashMap::new(),
            settings: None,
            only: None,
            effects: Vec::new(),
            followed: Vec::new(),
            missing: Vec::new(),
            lost: None,
            tried: 0,
            fuel: FUEL,
            depth: 0,
            cut: false,
        }
    }

    /// Answers `django.conf.settings` from these, and follows only modules whose names hold this word.
    pub fn with_settings(mut self, settings: Rc<Scope>, only: &'static str) -> Self {
        self.settings = Some(settings);
        self.only = Some(only);
        self
    }

    /// What a file's names stand for at its end; none when it cannot be read.
    pub fn module(&mut self, file: &str) -> Option<Rc<Scope>> {
        if let Some(known) = self.done.get(file) {
            return Some(known.clone());
        }
        let source = self.source(file)?;
        // Whoever imports it while it runs sees it empty, as Python shows what is there so far.
        self.done.insert(file.into(), Rc::default());
        self.followed.push(source.file.clone());
        let mut frame = Frame::new(source.clone(), self.modules.name_of(file), vec![Scope::new()]);
        self.deeper(|it| it.block(&mut frame, &source.body));
        let scope = Rc::new(frame.scopes.swap_remove(0));
        self.done.insert(file.into(), scope.clone());
        Some(scope)
    }

    /// The settings that a file has at its end or, where classes make settings, those of this class.
    pub fn settings_of(&mut self, file: &str, class: Option<&str>) -> Rc<Scope> {
        let module = self.module(file);
        let configured = class.and_then(|class| self.configured_by(file, class)).map(Rc::new);
        self.settled(&configured.or(module).unwrap_or_default())
    }

    /// What a module's names stand for at its end, by its dotted name.
    pub fn module_named(&mut self, dotted: &str) -> Option<Rc<Scope>> {
        let file = self.modules.file_of(dotted)?;
        self.module(&file)
    }

    /// Does a dotted name lead into a module of the project?
    pub fn is_ours(&self, dotted: &str) -> bool {
        self.modules.split(dotted).is_some()
    }

    /// Settings at their end: each that only names one of another module is what it names.
    pub fn settled(&mut self, scope: &Scope) -> Rc<Scope> {
        let setting =
            |name: &str| name.starts_with(|c: char| c.is_ascii_uppercase()) && !name.contains(char::is_lowercase);
        let settled = scope.iter().filter(|(name, _)| setting(name));
        Rc::new(settled.map(|(name, value)| (name.clone(), self.resolved(value))).collect())
    }

    /// What a dotted name stands for; itself where it leads out of the project.
    pub fn named(&mut self, dotted: &str, place: &Place) -> V {
        self.resolved(&Value::new(Kind::Named(dotted.into()), place))
    }

    /// What a name stands for at the end of a file.
    pub fn named_in(&mut self, file: &str, name: &str, place: &Place) -> Option<V> {
        let (first, rest) = name.split_once('.').unwrap_or((name, ""));
        let found = self.module(file)?.get(first).cloned()?;
        let dotted = match &found.kind {
            Kind::Named(base) if !rest.is_empty() => Value::new(Kind::Named(format!("{base}.{rest}").into()), place),
            _ => found,
        };
        Some(self.resolved(&dotted))
    }

    /// The file's syntax, parsed once.
    pub fn source(&mut self, file: &str) -> Option<Rc<Source>> {
        if !self.sources.contains_key(file) {
            self.sources.insert(file.into(), Source::read(self.tree, file));
        }
        self.sources.get(file).cloned().flatten()
    }

    /// True while there is work left to spend.
    fn may_go_on(&mut self) -> bool {
        self.fuel = self.fuel.saturating_sub(1);
        self.fuel > 0 && self.depth < DEPTH
    }

    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }

    /// Notes that settings may come from what is not followed, unless production surely does not come here.
    fn lose(&mut self, frame: &Frame, words: String) {
        if self.lost.is_none() && frame.path.in_production() != Some(false) {
            self.lost = Some(words);
        }
    }

    /// Pays for a copy of all names, as a branch and a call make; what copies much may not do it often.
    fn copies(&mut self, scopes: &[Scope]) {
        self.pays(scopes, COPIED);
    }

    fn pays(&mut self, scopes: &[Scope], names_a_step: usize) {
        // Lists and dictionaries are compared item by item where the branch ends.
        let held = |value: &V| match &value.kind {
            Kind::List(items) => 1 + items.len(),
            Kind::Dict(pairs) => 1 + pairs.len(),
            _ => 1,
        };
        let names: usize = scopes.iter().flat_map(Scope::values).map(held).sum();
        self.fuel = self.fuel.saturating_sub(u32::try_from(names / names_a_step).unwrap_or(u32::MAX));
    }

    /// Puts what a list or dictionary became wherever it is held.
    fn renew(&mut self, frame: &mut Frame, old: &V, new: &V) {
        self.pays(&frame.scopes, LOOKED);
        frame.scopes.iter_mut().flat_map(Scope::values_mut).for_each(|value| value.renew(old, new));
        if frame.called {
            frame.renewed.push((old.clone(), new.clone()));
        }
    }

    /// True when the limit of work was reached, so that answers may be incomplete.
    pub fn is_spent(&self) -> bool {
        self.fuel == 0 || self.cut
    }
}

impl Frame {
    fn new(source: Rc<Source>, module: Rc<str>, scopes: Vec<Scope>) -> Self {
        let (path, returned) = (Condition::Always, Vec::new());
        let (own, globals) = (None, BTreeSet::new());
        let renewed = Vec::new();
        Self { source, module, scopes, path, returned, own, import_failed: false, called: false, globals, renewed }
    }

    fn place(&self, node: &impl Ranged) -> Place {
        self.source.place(node)
    }

    fn get(&self, name: &str) -> Option<&V> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    fn set(&mut self, name: &str, value: V) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.into(), value);
        }
    }

    /// In a call, is it a name of the module that the call has none of its own for?
    fn is_global(&self, name: &str) -> bool {
        self.called
            && self.scopes.first().is_some_and(|scope| scope.contains_key(name))
            && !self.scopes[1..].iter().any(|scope| scope.contains_key(name))
    }

    fn set_global(&mut self, name: &str, value: V) {
        self.globals.insert(name.into());
        if let Some(scope) = self.scopes.first_mut() {
            scope.insert(name.into(), value);
        }
    }

    /// Takes over what a call that just ended made of names of the module.
    fn take_globals(&mut self, call: &mut Self) {
        let reached = calls::relative(&call.path, &self.path);
        for name in std::mem::take(&mut call.globals) {
            let Some(value) = call.get(&name).cloned() else { continue };
            let value = match self.scopes.first().and_then(|scope| scope.get(&name)) {
                _ if reached == Condition::Always => value,
                Some(before) => joined(&reached, &value, before),
                None => Value::new(
                    Kind::Choice(vec![Guarded { when: reached.clone(), value: value.clone() }]),
                    &value.place,
                ),
            };
            self.set_global(&name, value);
        }
    }

    fn unknown(&self, why: &str, node: &impl Ranged) -> V {
        Value::unknown(why, &self.place(node))
    }
}
