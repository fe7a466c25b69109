//! Calls: of the project's own functions, which are followed; of what Python itself gives; and of other packages, which
//! are noted and never made.

use std::rc::Rc;

use ruff_python_ast::{Arguments, Expr, ExprCall, ParameterWithDefault};

use super::expressions::spread;
use super::items::is_own_module;
use super::methods::is_namespace;
use super::readers::fills_settings;
use super::statements::Flow;
use super::{Evaluator, Frame, Scope};
use crate::django::condition::Condition;
use crate::django::joined::joined;
use crate::django::value::{Function, Guarded, Kind, Outer, Pair, Place, REST, V, Value, choice};

/// What may be given all names of a module and only reads them.
const READERS: [&str; 13] = [
    "print",
    "len",
    "list",
    "tuple",
    "set",
    "sorted",
    "dict",
    "dir",
    "getattr",
    "hasattr",
    "isinstance",
    "str",
    "copy.copy",
];

/// What is handed to a call.
#[derive(Debug, Default, Clone)]
pub(super) struct Given {
    pub(super) args: Vec<V>,
    pub(super) named: Vec<(Rc<str>, V)>,
    /// All names of the module itself are among it, so that whoever is called may set any.
    namespace: bool,
}

impl Given {
    /// An argument by its name.
    pub(super) fn named(&self, name: &str) -> Option<&V> {
        self.named.iter().find(|(known, _)| &**known == name).map(|(_, value)| value)
    }

    /// An argument by its name or, else, its position.
    pub(super) fn get(&self, name: &str, at: usize) -> Option<&V> {
        self.named(name).or_else(|| self.args.get(at))
    }
}

impl Evaluator<'_> {
    pub(super) fn call(&mut self, frame: &mut Frame, call: &ExprCall, place: &Place) -> V {
        let Expr::Attribute(function) = &*call.func else {
            let target = self.eval(frame, &call.func);
            let given = self.given(frame, &call.arguments);
            return self.apply(frame, &target, given, None, place);
        };
        let base = self.eval(frame, &function.value);
        let given = self.given(frame, &call.arguments);
        if let Some(value) = self.method(frame, &function.value, &base, &function.attr, &given, place) {
            return value;
        }
        if let Kind::Call { callee, named, .. } = &base.kind {
            let read = self.read(&format!("{callee}.{}", function.attr), &given, named, place);
            if let Some(value) = read {
                return value;
            }
        }
        let target = self.attribute(frame, &base, &function.attr, place);
        self.apply(frame, &target, given, Some(&base), place)
    }

    fn given(&mut self, frame: &mut Frame, arguments: &Arguments) -> Given {
        let all = arguments.args.iter().chain(arguments.keywords.iter().map(|one| &one.value));
        let namespace = all.into_iter().any(is_namespace);
        let mut given = Given { namespace, ..Given::default() };
        for argument in &arguments.args {
            let value = self.eval(frame, argument);
            if argument.is_starred_expr() {
                given.args.extend(value.items().into_iter().map(|item| item.value));
            } else {
                given.args.push(value);
            }
        }
        for keyword in &arguments.keywords {
            let value = self.eval(frame, &keyword.value);
            match &keyword.arg {
                Some(name) => given.named.push((name.as_str().into(), value)),
                None => {
                    let mut pairs = Vec::new();
                    spread(&mut pairs, &value);
                    given.named.extend(pairs.into_iter().map(|pair| (pair.key, pair.held.value)));
                }
            }
        }
        given
    }

    fn apply(&mut self, frame: &mut Frame, target: &V, given: Given, bound: Option<&V>, place: &Place) -> V {
        self.handed_over(frame, target, &given, place);
        match &target.kind {
            Kind::Named(name) => self.external(frame, name, given, place),
            Kind::Call { callee, named, .. } => {
                let read = self.read(&format!("{callee}.__call__"), &given, named, place);
                read.unwrap_or_else(|| self.noted(frame, callee, given, place))
            }
            Kind::Function(function) => self.follow(frame, &function.clone(), given, bound, place),
            Kind::Class(class) => self.instance(frame, &class.clone(), given, place),
            Kind::Choice(ways) => {
                let ways = ways.iter().map(|way| {
                    let value = self.apply(frame, &way.value, given.clone(), bound, place);
                    Guarded { when: way.when.clone(), value }
                });
                let ways = ways.collect();
                choice(ways, place).unwrap_or_else(|| Value::unknown("a call of nothing", place))
            }
            _ => Value::new(Kind::Made(std::iter::once(target.clone()).chain(given.args).collect()), place),
        }
    }

    /// Notes where the names of the module are given away, or set by text that is run: what comes of it is not seen here.
    fn handed_over(&mut self, frame: &mut Frame, target: &V, given: &Given, place: &Place) {
        let name = if let Kind::Named(name) = &target.kind { &**name } else { "" };
        let reads = READERS.contains(&name) || name.starts_with("split_settings.");
        let itself = given.args.iter().chain(given.named.iter().map(|(_, value)| value)).any(is_own_module);
        if let ("setattr", true, [_, key, value]) = (name, itself, given.args.as_slice()) {
            self.set_global(frame, key, value, place);
        } else if name == "exec" || (given.namespace || itself) && !reads {
            self.lose(frame, format!("{place} lets something that is not followed set any setting"));
        }
    }

    /// Notes that settings are filled from elsewhere, unless production surely does not come here.
    pub(super) fn filled(&mut self, frame: &Frame, place: &Place) {
        self.lose(
            frame,
            format!("dynaconf reads settings from files and variables of its own, which may be any: {place}"),
        );
    }

    fn external(&mut self, frame: &mut Frame, name: &Rc<str>, given: Given, place: &Place) -> V {
        if fills_settings(name) {
            self.filled(frame, place);
        }
        if let Some(value) = self.builtin(frame, name, &given, place) {
            return value;
        }
        if let Some(value) = self.read(name, &given, &[], place) {
            return value;
        }
        if name.starts_with("split_settings.") && name.ends_with(".include") {
            self.include(frame, &given);
        }
        self.noted(frame, name, given, place)
    }

    pub(super) fn noted(&mut self, frame: &Frame, name: &Rc<str>, given: Given, place: &Place) -> V {
        let call = Kind::Call { callee: name.clone(), args: given.args, named: given.named };
        let call = Value::new(call, place);
        self.note(frame, name, &call);
        call
    }

    /// Follows a function of the project with these arguments.
    pub(super) fn follow(
        &mut self,
        frame: &mut Frame,
        function: &Rc<Function>,
        given: Given,
        bound: Option<&V>,
        place: &Place,
    ) -> V {
        let source = self.source(&function.file).filter(|_| self.may_go_on());
        let (Some(source), false) = (source, function.def.is_async) else {
            return Value::unknown("a function that is not followed", place);
        };
        let globals = if function.file == frame.source.file {
            self.copies(&frame.scopes);
            frame.scopes.first().cloned().unwrap_or_default()
        } else {
            let scope = self.module(&function.file).unwrap_or_default();
            self.copies(std::slice::from_ref(&*scope));
            (*scope).clone()
        };
        let mut inner = Frame::new(source.clone(), frame.module.clone(), vec![globals]);
        inner.path = frame.path.clone();
        inner.called = true;
        let is_method = bound.is_some_and(|bound| matches!(bound.kind, Kind::Own | Kind::Instance(_) | Kind::Class(_)));
        let is_static = function.decorators.iter().any(|name| name == "staticmethod");
        let own = bound.filter(|_| is_method && !is_static).cloned();
        let locals = self.bind(&mut inner, function, given, own);
        inner.scopes.push(locals);
        inner.own = frame.own.take();
        let flow = self.deeper(|it| it.block(&mut inner, &function.def.body));
        frame.own = inner.own.take();
        if function.file == frame.source.file {
            frame.take_globals(&mut inner);
        }
        // What it changed of what it was given, it changed for whoever gave it.
        let reached = relative(&inner.path, &frame.path);
        for (old, new) in std::mem::take(&mut inner.renewed) {
            let new = if reached == Condition::Always { new } else { joined(&reached, &new, &old) };
            self.renew(frame, &old, &new);
        }
        if flow == Flow::Next {
            inner.returned.push(Guarded { when: inner.path.clone(), value: Value::new(Kind::Null, place) });
        }
        // What held at the call holds for all that comes back.
        let relative = |way: Guarded| Guarded { when: relative(&way.when, &frame.path), value: way.value };
        let ways = inner.returned.into_iter().map(relative).collect();
        choice(ways, place).unwrap_or_else(|| Value::unknown("a function that gives nothing back", place))
    }

    fn bind(&mut self, frame: &mut Frame, function: &Function, given: Given, own: Option<V>) -> Scope {
        let parameters = &function.def.parameters;
        let place = frame.place(&*function.def);
        let mut positional = own.into_iter().chain(given.args);
        let mut named = given.named;
        let open = named.iter().any(|(name, _)| &**name == REST);
        let mut scope = Scope::new();
        let mut bind = |it: &mut Self, frame: &mut Frame, one: &ParameterWithDefault, value: Option<V>| {
            let name: Rc<str> = one.parameter.name.as_str().into();
            let by_name = named.iter().position(|(known, _)| *known == name).map(|at| named.swap_remove(at).1);
            let default = || one.default().map(|default| it.eval(frame, default)).filter(|_| !open);
            let value = value.or(by_name).or_else(default);
            scope.insert(name, value.unwrap_or_else(|| Value::unknown("an argument that is not given", &place)));
        };
        for one in parameters.posonlyargs.iter().chain(&parameters.args) {
            let value = positional.next();
            bind(self, frame, one, value);
        }
        for one in &parameters.kwonlyargs {
            bind(self, frame, one, None);
        }
        if let Some(rest) = &parameters.vararg {
            let items = positional.map(Guarded::always).collect();
            scope.insert(rest.name.as_str().into(), Value::new(Kind::List(items), &place));
        }
        if let Some(rest) = &parameters.kwarg {
            let pairs = named.into_iter().map(|(key, value)| Pair { key, held: Guarded::always(value) }).collect();
            scope.insert(rest.name.as_str().into(), Value::new(Kind::Dict(pairs), &place));
        }
        scope
    }

    pub(super) fn with_default(&self, outer: &V, default: V) -> V {
        let Kind::Outer(inner) = &outer.kind else { return outer.clone() };
        Value::new(Kind::Outer(Outer { default: Some(default), ..inner.clone() }), &outer.place)
    }
}

/// A condition without the part that is known to hold already.
pub(super) fn relative(when: &Condition, known: &Condition) -> Condition {
    match when {
        _ if when == known => Condition::Always,
        Condition::All(parts) => {
            let known: &[Condition] =
                if let Condition::All(known) = known { known } else { std::slice::from_ref(known) };
            let rest = parts.iter().filter(|part| !known.contains(part));
            rest.fold(Condition::Always, |sum, one| sum.and(one))
        }
        _ => when.clone(),
    }
}
