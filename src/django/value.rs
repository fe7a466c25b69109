//! What a settings file says, without running it: values that are known, that come from outside, that depend, and that
//! cannot be known. Knows no syntax and no setting.

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use ruff_python_ast::{StmtFunctionDef, name::Name};

use super::condition::Condition;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Path below the project's root.
    pub file: Rc<str>,
    /// From 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A value, shared by all that mention it.
pub type V = Rc<Value>;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// What it is.
    pub kind: Kind,
    /// Where it was written.
    pub place: Place,
    /// How many values it is made of, itself among them; what is looked through takes as long.
    weight: u32,
}

/// A value, and when it is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Guarded {
    /// When.
    pub when: Condition,
    /// What.
    pub value: V,
}

/// The key under which a dictionary keeps what is spread into it and not followed: it may hold any key.
pub const REST: &str = "**";
/// Why what may be in it is not known.
const IN_REST: &str = "it may be in what is not followed";
/// The key under which one that is made of an address keeps it: after its question mark it may say more.
pub const QUERY: &str = "?";

/// One entry of a dictionary.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Its key as text, `REST` or `QUERY`.
    pub key: Rc<str>,
    /// The value, and when the entry is there.
    pub held: Guarded,
}

/// A value that the surroundings give.
#[derive(Debug, Clone, PartialEq)]
pub struct Outer {
    /// `env`, `secret`, `yaml`, `config`.
    pub store: &'static str,
    /// Its name there; empty until the class attribute that names it is known.
    pub name: Rc<str>,
    /// What it is when left out.
    pub default: Option<V>,
    /// It is read as yes or no.
    pub switch: bool,
}

/// A function of the project.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// Its file.
    pub file: Rc<str>,
    /// Its text.
    pub def: Rc<StmtFunctionDef>,
    /// Names that decorate it.
    pub decorators: Vec<String>,
}

/// A class of the project.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// Its dotted name.
    pub name: Rc<str>,
    /// What it is built on.
    pub bases: Vec<V>,
    /// Its attributes, in order.
    pub attributes: Vec<(Name, V)>,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `None`.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// Text.
    Text(Rc<str>),
    /// Yes or no, as the surroundings decide.
    Logic(Condition),
    /// A list, tuple or set.
    List(Vec<Guarded>),
    /// A dictionary.
    Dict(Vec<Pair>),
    /// Given from outside.
    Outer(Outer),
    /// Made of these.
    Made(Vec<V>),
    /// One of these.
    Choice(Vec<Guarded>),
    /// Something of another package, or of a module that was not read.
    Named(Rc<str>),
    /// What such a thing gives when it is called.
    Call {
        /// The thing's dotted name.
        callee: Rc<str>,
        /// Arguments by position.
        args: Vec<V>,
        /// Arguments by name.
        named: Vec<(Rc<str>, V)>,
    },
    /// A function of the project.
    Function(Rc<Function>),
    /// A class of the project.
    Class(Rc<Class>),
    /// An object of such a class.
    Instance(Rc<Class>),
    /// The class whose settings are being set up.
    Own,
    /// It cannot be known, and why.
    Unknown(Rc<str>),
}

/// Alternatives kept of one value; more are not told apart.
const ALTERNATIVES: usize = 24;
/// Values within values that are looked through.
const NESTED: usize = 24;

/// Bytes of one text; longer ones are not followed.
pub const TEXT: usize = 64 << 10;
/// Items of one list or dictionary.
const ITEMS: usize = 4096;
/// Bytes of one name.
const NAME: usize = 1024;
/// Values that one may be made of. What holds itself twice grows by doubling without taking memory, and still nobody
/// could look through it.
const WEIGHT: u32 = 1 << 17;

/// Why a value that grew beyond any setting's size is not known; none when it did not.
fn beyond(kind: &Kind, weight: u32) -> Option<&'static str> {
    let (is, why) = match kind {
        Kind::Text(text) => (text.len() > TEXT, "a text longer than any that is followed"),
        Kind::Named(name) => (name.len() > NAME, "a name longer than any that is followed"),
        Kind::Call { callee, .. } => (callee.len() > NAME, "a name longer than any that is followed"),
        Kind::Outer(outer) => (outer.name.len() > NAME, "a name longer than any that is followed"),
        Kind::List(items) => (items.len() > ITEMS, "a list longer than any that is followed"),
        Kind::Dict(pairs) => (pairs.len() > ITEMS, "a dictionary longer than any that is followed"),
        _ => (false, ""),
    };
    let heavy = (weight > WEIGHT).then_some("it is made of more parts than are followed");
    is.then_some(why).or(heavy)
}

fn weight(kind: &Kind) -> u32 {
    let sum = |values: &mut dyn Iterator<Item = &V>| values.fold(1, |sum: u32, one| sum.saturating_add(one.weight));
    match kind {
        Kind::Outer(outer) => sum(&mut outer.default.iter()),
        Kind::Made(parts) => sum(&mut parts.iter()),
        Kind::Choice(ways) | Kind::List(ways) => sum(&mut ways.iter().map(|way| &way.value)),
        Kind::Dict(pairs) => sum(&mut pairs.iter().map(|pair| &pair.held.value)),
        Kind::Call { args, named, .. } => sum(&mut args.iter().chain(named.iter().map(|(_, value)| value))),
        _ => 1,
    }
}

impl Value {
    /// A value at a place; what is larger than a setting is ever is not known.
    pub fn new(kind: Kind, place: &Place) -> V {
        let weight = weight(&kind);
        match beyond(&kind, weight) {
            Some(why) => Self::unknown(why, place),
            None => Rc::new(Self { kind, place: place.clone(), weight }),
        }
    }

    /// Not known, for this reason.
    pub fn unknown(why: &str, place: &Place) -> V {
        Self::new(Kind::Unknown(why.into()), place)
    }

    /// False for what only a program that runs can tell.
    pub fn is_followed(&self) -> bool {
        match &self.kind {
            Kind::List(items) => items.iter().all(|item| item.value.is_followed()),
            Kind::Choice(ways) => ways.iter().all(|way| way.value.is_followed()),
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) | Kind::Dict(_) => true,
            Kind::Outer(outer) => outer.default.as_ref().is_some_and(|default| default.is_followed()),
            _ => false,
        }
    }

    /// Is it what may be in something that was spread into a dictionary and is not followed?
    pub fn is_of_rest(&self) -> bool {
        matches!(&self.kind, Kind::Unknown(why) if &**why == IN_REST)
    }

    /// The text, when it is one.
    pub fn text(&self) -> Option<&str> {
        if let Kind::Text(text) = &self.kind { Some(text) } else { None }
    }

    /// What stands under a key, in each way that the value may be.
    pub fn entry(&self, key: &str) -> Option<Guarded> {
        match &self.kind {
            Kind::Dict(pairs) => {
                let find = |key: &str| pairs.iter().find(|pair| &*pair.key == key).map(|pair| &pair.held);
                let own = find(key).filter(|_| key != REST).cloned();
                if own.as_ref().is_some_and(|own| own.when == Condition::Always) {
                    return own;
                }
                match (own, find(REST).map(Guarded::rest)) {
                    (Some(own), Some(rest)) => {
                        let rest = rest.under(&own.when.not());
                        let when = own.when.or(&rest.when);
                        Some(Guarded { when, value: choice(vec![own, rest], &self.place)? })
                    }
                    (own, rest) => own.or(rest),
                }
            }
            Kind::Choice(ways) => {
                let held = ways.iter().filter_map(|way| {
                    let inner = way.value.entry(key)?;
                    Some(Guarded { when: way.when.and(&inner.when), value: inner.value })
                });
                let held: Vec<Guarded> = held.collect();
                let when = held.iter().fold(Condition::Never, |sum, one| sum.or(&one.when));
                Some(Guarded { when, value: choice(held, &self.place)? })
            }
            _ => None,
        }
    }

    /// Each thing that it may be in production, and when. A variable with a default may be that default.
    pub fn ways(self: &Rc<Self>) -> Vec<Guarded> {
        let mut found = Vec::new();
        collect(self, &Condition::Always, 0, &mut found);
        found.retain(|way: &Guarded| way.when.in_production() != Some(false));
        found
    }

    /// The items of a list that may be there in production.
    pub fn items(self: &Rc<Self>) -> Vec<Guarded> {
        let of = |way: Guarded| match &way.value.kind {
            Kind::List(items) => items
                .iter()
                .flat_map(|item| item.value.ways().into_iter().map(|inner| inner.under(&item.when)))
                .map(|item| item.under(&way.when))
                .collect(),
            _ => vec![way],
        };
        let mut items: Vec<Guarded> = self.ways().into_iter().flat_map(of).collect();
        items.retain(|item| item.when.in_production() != Some(false));
        items
    }

    /// Puts something new in the place of a list or dictionary, wherever it is that very one.
    pub fn renew(self: &mut Rc<Self>, old: &V, new: &V) {
        if holds(self, old, 0) {
            *self = renewed(self, old, new, 0);
        }
    }

    /// One that is the same and nobody else's: what a program gets by copying. `deep`: and so are its parts.
    pub fn copied(self: &Rc<Self>, deep: bool) -> V {
        copied(self, deep, 0)
    }

    /// The question what something gives that is not followed: by a variable that it is made of or, else, by its place.
    /// `unset` is the answer when nobody does anything about it.
    pub fn question(&self, unset: Option<bool>) -> Condition {
        let source = self.sources().into_iter().next();
        Condition::test(&source.unwrap_or_else(|| format!("what {} gives", self.place)), None, unset)
    }

    /// Names of the variables (and keys of stores) that it is made of.
    pub fn sources(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.add_sources(0, &mut names);
        names
    }

    fn add_sources(&self, depth: usize, names: &mut BTreeSet<String>) {
        if depth > NESTED {
            return;
        }
        let mut each = |values: &mut dyn Iterator<Item = &V>| values.for_each(|one| one.add_sources(depth + 1, names));
        match &self.kind {
            Kind::Outer(outer) => {
                each(&mut outer.default.iter());
                names.insert(format!("{}:{}", outer.store, outer.name));
            }
            Kind::Made(parts) => each(&mut parts.iter()),
            Kind::Choice(ways) | Kind::List(ways) => each(&mut ways.iter().map(|way| &way.value)),
            Kind::Dict(pairs) => each(&mut pairs.iter().map(|pair| &pair.held.value)),
            Kind::Call { args, named, .. } => each(&mut args.iter().chain(named.iter().map(|(_, value)| value))),
            _ => {}
        }
    }
}

impl Pair {
    /// True of what has a key of its own.
    pub fn is_named(&self) -> bool {
        !matches!(&*self.key, REST | QUERY)
    }

    /// Its key as a value.
    pub fn name(&self, place: &Place) -> V {
        match &*self.key {
            REST | QUERY => Value::unknown("a key of what is not followed", place),
            _ => Value::new(Kind::Text(self.key.clone()), place),
        }
    }
}

impl Guarded {
    /// There whatever happens.
    pub fn always(value: V) -> Self {
        Self { when: Condition::Always, value }
    }

    /// Of what is spread into a dictionary and not followed, an entry that may be in it.
    pub fn rest(&self) -> Self {
        let when = self.when.and(&self.value.question(Some(false)));
        Self { when, value: Value::unknown(IN_REST, &self.value.place) }
    }

    /// The same, where this holds too.
    #[must_use]
    pub fn under(self, when: &Condition) -> Self {
        Self { when: when.and(&self.when), value: self.value }
    }
}

fn collect(value: &V, when: &Condition, depth: usize, found: &mut Vec<Guarded>) {
    match &value.kind {
        Kind::Choice(ways) if depth < NESTED => {
            ways.iter().for_each(|way| collect(&way.value, &when.and(&way.when), depth + 1, found));
        }
        Kind::Outer(Outer { store, name, default: Some(default), .. }) if depth < NESTED => {
            // Left out, it is its default; whoever sets it may say anything.
            let overridable = Condition::left_out(store, name);
            collect(default, &when.and(&overridable), depth + 1, found);
        }
        _ => found.push(Guarded { when: when.clone(), value: value.clone() }),
    }
}

/// Values within values in which a changed one is looked for.
const HELD: usize = 4;

fn holds(value: &V, old: &V, depth: usize) -> bool {
    let within = |value: &V| depth < HELD && holds(value, old, depth + 1);
    Rc::ptr_eq(value, old)
        || match &value.kind {
            Kind::Dict(pairs) => pairs.iter().any(|pair| within(&pair.held.value)),
            Kind::Choice(ways) => ways.iter().any(|way| within(&way.value)),
            _ => false,
        }
}

/// The value with the new one in the place of the old, which it holds.
fn renewed(value: &V, old: &V, new: &V, depth: usize) -> V {
    if Rc::ptr_eq(value, old) {
        return new.clone();
    }
    if !holds(value, old, depth) {
        return value.clone();
    }
    let held = |held: &Guarded| Guarded { when: held.when.clone(), value: renewed(&held.value, old, new, depth + 1) };
    let kind = match &value.kind {
        Kind::Dict(pairs) => {
            Kind::Dict(pairs.iter().map(|pair| Pair { key: pair.key.clone(), held: held(&pair.held) }).collect())
        }
        Kind::Choice(ways) => Kind::Choice(ways.iter().map(held).collect()),
        kind => kind.clone(),
    };
    Value::new(kind, &value.place)
}

fn copied(value: &V, deep: bool, depth: usize) -> V {
    let part = |one: &V| if deep && depth < HELD { copied(one, deep, depth + 1) } else { one.clone() };
    let guarded = |one: &Guarded| Guarded { when: one.when.clone(), value: part(&one.value) };
    let kind = match &value.kind {
        Kind::List(items) => Kind::List(items.iter().map(guarded).collect()),
        Kind::Dict(pairs) => {
            Kind::Dict(pairs.iter().map(|pair| Pair { key: pair.key.clone(), held: guarded(&pair.held) }).collect())
        }
        Kind::Choice(ways) if depth < HELD => {
            let way = |way: &Guarded| Guarded { when: way.when.clone(), value: copied(&way.value, deep, depth + 1) };
            Kind::Choice(ways.iter().map(way).collect())
        }
        _ => return value.clone(),
    };
    Value::new(kind, &value.place)
}

/// One of several values; none when there is none at all.
pub fn choice(ways: Vec<Guarded>, place: &Place) -> Option<V> {
    let mut flat: Vec<Guarded> = Vec::new();
    for way in ways.into_iter().filter(|way| way.when != Condition::Never) {
        let inner = if let Kind::Choice(inner) = &way.value.kind {
            inner.clone()
        } else {
            vec![Guarded::always(way.value.clone())]
        };
        for one in inner.into_iter().map(|one| one.under(&way.when)).filter(|one| one.when != Condition::Never) {
            match flat.iter_mut().find(|known| known.value == one.value) {
                Some(known) => known.when = known.when.or(&one.when),
                None => flat.push(one),
            }
        }
    }
    if flat.len() > ALTERNATIVES {
        return Some(Value::unknown("it may be too many things", place));
    }
    match flat.as_slice() {
        [] => None,
        [only] if only.when == Condition::Always => Some(only.value.clone()),
        _ => Some(Value::new(Kind::Choice(flat), place)),
    }
}
