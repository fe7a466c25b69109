//! Classes: of settings (django-configurations, pydantic) and of storages, whose ancestry tells what they are.

use std::rc::Rc;

use ruff_python_ast::{StmtClassDef, name::Name};

use super::calls::Given;
use super::{Effect, Evaluator, Frame, Scope};
use crate::django::value::{Class, Kind, Outer, Place, V, Value};

/// Why an attribute that is only declared has no value.
pub(super) const DECLARED: &str = "declared without a value";
/// Methods of a settings class that change settings while Django starts, in order.
const SETUPS: [&str; 3] = ["pre_setup", "setup", "post_setup"];
/// Bases of bases.
const GENERATIONS: usize = 12;

impl Evaluator<'_> {
    pub(super) fn class(&mut self, frame: &mut Frame, statement: &StmtClassDef) {
        let place = frame.place(statement);
        let bases = statement.arguments.iter().flat_map(|arguments| &arguments.args);
        let bases: Vec<V> = bases.map(|base| self.eval(frame, base)).collect();
        frame.scopes.push(Scope::new());
        self.block(frame, &statement.body);
        let scope = frame.scopes.pop().unwrap_or_default();
        let mut attributes: Vec<(Name, V)> =
            scope.into_iter().map(|(name, value)| (Name::new(&*name), value)).collect();
        let name: Rc<str> = format!("{}.{}", frame.module, statement.name).into();
        let mut class = Class { name, bases, attributes: Vec::new() };
        if self.ancestry(&class).iter().any(|base| base.ends_with("BaseSettings")) {
            from_environment(&mut attributes, &place);
        }
        class.attributes = attributes;
        frame.set(&statement.name, Value::new(Kind::Class(Rc::new(class)), &place));
    }

    pub(super) fn instance(&mut self, frame: &mut Frame, class: &Rc<Class>, given: Given, place: &Place) -> V {
        let ancestry = self.ancestry(class);
        // A subclass of a reader reads as its base does.
        let reader = |base: &&Rc<str>| base.ends_with("Value") || base.ends_with("Env") || base.ends_with("Config");
        if let Some(base) = ancestry.iter().find(reader) {
            return match self.read(base, &given, &[], place) {
                Some(value) => value,
                None => self.noted(frame, base, given, place),
            };
        }
        Value::new(Kind::Instance(class.clone()), place)
    }

    /// An attribute of a class or, else, of what it is built on.
    pub fn class_attribute(&mut self, class: &Rc<Class>, name: &str) -> Option<V> {
        if let Some((_, value)) = class.attributes.iter().find(|(known, _)| known == name) {
            return Some(value.clone());
        }
        class.bases.clone().iter().find_map(|base| match &self.resolved(base).kind {
            Kind::Class(base) if self.may_go_on() => {
                let base = base.clone();
                self.deeper(|it| it.class_attribute(&base, name))
            }
            _ => None,
        })
    }

    /// The dotted names of all that a class is built on, itself first, nearest first.
    pub fn ancestry(&mut self, class: &Class) -> Vec<Rc<str>> {
        let mut names = vec![class.name.clone()];
        let mut level: Vec<V> = class.bases.clone();
        for _ in 0..GENERATIONS {
            let mut next = Vec::new();
            for base in level {
                match &self.resolved(&base).kind {
                    Kind::Class(base) => {
                        names.push(base.name.clone());
                        next.extend(base.bases.iter().cloned());
                    }
                    Kind::Named(name) => names.push(name.clone()),
                    Kind::Call { callee, .. } => names.push(callee.clone()),
                    _ => {}
                }
            }
            level = next;
        }
        names
    }

    /// The same, of whatever a dotted name leads to.
    pub fn ancestry_of(&mut self, dotted: &str, place: &Place) -> Vec<Rc<str>> {
        match &self.named(dotted, place).kind {
            Kind::Class(class) => self.ancestry(&class.clone()),
            Kind::Named(name) => vec![name.clone()],
            _ => vec![dotted.into()],
        }
    }

    /// The settings that a class of django-configurations makes of a module.
    pub fn configured_by(&mut self, file: &str, class: &str) -> Option<Scope> {
        let (source, scope) = (self.source(file)?, self.module(file)?);
        let Kind::Class(class) = &scope.get(class)?.kind else { return None };
        let mut own = Scope::new();
        let mut lineage = vec![class.clone()];
        let mut at = 0;
        while let Some(class) = lineage.get(at).cloned().filter(|_| at < GENERATIONS) {
            for base in &class.bases {
                if let Kind::Class(base) = &self.resolved(base).kind {
                    lineage.push(base.clone());
                }
            }
            at += 1;
        }
        lineage.reverse();
        for class in &lineage {
            own.extend(class.attributes.iter().map(|(name, value)| (Rc::from(name.as_str()), value.clone())));
        }
        let mut frame = Frame::new(source, self.modules.name_of(file), vec![(*scope).clone()]);
        let itself = Value::new(Kind::Own, &scope.get(class.name.rsplit('.').next()?)?.place);
        frame.own = Some(own.clone());
        for (name, value) in &own {
            if let Kind::Function(function) = &value.kind
                && function.decorators.iter().any(|decorator| decorator.ends_with("property"))
            {
                let value = self.follow(&mut frame, function, Given::default(), Some(&itself), &value.place);
                frame.own.as_mut().and_then(|own| own.insert(name.clone(), value));
            }
        }
        for setup in SETUPS {
            for class in &lineage {
                let method = class.attributes.iter().find(|(name, _)| name == setup).map(|(_, value)| value);
                if let Some(Kind::Function(function)) = method.map(|method| &method.kind) {
                    self.follow(&mut frame, function, Given::default(), Some(&itself), &itself.place);
                }
            }
        }
        frame.own
    }

    /// What a file calls by this name on this line when it is imported, or when Django starts the application that it
    /// configures.
    pub fn effect_at(&mut self, place: &Place, name: &str) -> Option<Effect> {
        let (source, scope) = (self.source(&place.file)?, self.module(&place.file)?);
        let here = |effect: &&Effect| effect.call.place == *place && effect.callee.rsplit('.').next() == Some(name);
        let found = |it: &Self| it.effects.iter().find(here).cloned();
        if let Some(effect) = found(self) {
            return Some(effect);
        }
        for value in scope.values() {
            let Kind::Class(class) = &value.kind else { continue };
            let itself = Value::new(Kind::Instance(class.clone()), &value.place);
            if let Some((_, ready)) = class.attributes.iter().find(|(name, _)| name == "ready")
                && let Kind::Function(ready) = &ready.kind
            {
                let mut frame = Frame::new(source.clone(), self.modules.name_of(&place.file), vec![(*scope).clone()]);
                self.follow(&mut frame, ready, Given::default(), Some(&itself), place);
            }
        }
        found(self)
    }

    /// Names of a module's classes that django-configurations can run, in order.
    pub fn configurations(&mut self, file: &str) -> Vec<(Rc<str>, Place)> {
        let scope = self.module(file).unwrap_or_default();
        let mut found = Vec::new();
        for (name, value) in scope.iter() {
            if let Kind::Class(class) = &value.kind
                && self
                    .ancestry(class)
                    .iter()
                    .any(|base| base.starts_with("configurations.") && base.ends_with("Configuration"))
            {
                found.push((name.clone(), value.place.clone()));
            }
        }
        found
    }
}

/// Fields of a pydantic settings class: each is a variable of the same name, with the field's value as default.
fn from_environment(attributes: &mut [(Name, V)], place: &Place) {
    let config = attributes.iter().find(|(name, _)| name == "model_config").map(|(_, value)| value.clone());
    let prefix = config.as_ref().and_then(|config| match &config.kind {
        Kind::Call { named, .. } => {
            named.iter().find(|(name, _)| &**name == "env_prefix").and_then(|(_, value)| value.text())
        }
        _ => None,
    });
    let prefix = prefix.unwrap_or_default().to_uppercase();
    for (name, value) in attributes.iter_mut() {
        let mut variable = format!("{prefix}{}", name.to_uppercase());
        let default = match &value.kind {
            Kind::Function(_) | Kind::Class(_) => continue,
            Kind::Unknown(why) if &**why == DECLARED => None,
            Kind::Call { callee, args, named } if callee.ends_with("Field") => {
                let get = |key: &str| named.iter().find(|(name, _)| &**name == key).map(|(_, value)| value.clone());
                let alias = get("alias").or_else(|| get("validation_alias")).or_else(|| get("env"));
                if let Some(alias) = alias.as_ref().and_then(|alias| alias.text()) {
                    variable = alias.to_uppercase();
                }
                get("default").or_else(|| args.first().cloned()).filter(|one| !matches!(one.kind, Kind::Unknown(_)))
            }
            _ => Some(value.clone()),
        };
        let switch = matches!(default.as_ref().map(|default| &default.kind), Some(Kind::Bool(_)));
        *value = Value::new(Kind::Outer(Outer { store: "env", name: variable.into(), default, switch }), place);
    }
}
