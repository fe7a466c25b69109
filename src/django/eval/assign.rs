//! Assignments: to names, through subscripts and attributes, and by `+=`, `|=` and `del`.

use std::rc::Rc;

use ruff_python_ast::{Expr, Operator, StmtAugAssign};

use super::expressions::spread;
use super::items::is_own_module;
use super::methods::is_namespace;
use super::statements::dotted;
use super::{Evaluator, Frame, Place};
use crate::django::condition::Condition;
use crate::django::joined::joined;
use crate::django::value::{Guarded, Kind, Outer, Pair, QUERY, REST, V, Value, choice};

impl Evaluator<'_> {
    pub(super) fn assign(&mut self, frame: &mut Frame, target: &Expr, value: &V) {
        match target {
            Expr::Name(name) => {
                let value = named_by_attribute(frame, &name.id, value);
                frame.set(&name.id, value);
            }
            Expr::Tuple(inner) => self.unpack(frame, &inner.elts, value),
            Expr::List(inner) => self.unpack(frame, &inner.elts, value),
            Expr::Starred(inner) => self.assign(frame, &inner.value, value),
            Expr::Subscript(inner) if is_namespace(&inner.value) => {
                let (key, place) = (self.eval(frame, &inner.slice), frame.place(inner));
                self.set_named(frame, &inner.value, &key, value, &place);
            }
            Expr::Subscript(inner) if inner.slice.is_slice_expr() => {
                let all = matches!(&*inner.slice, Expr::Slice(slice) if slice.lower.is_none() && slice.upper.is_none());
                // Wherever they are put, they are among the items.
                let more = |it: &mut Self, held: &V| it.operated(held, Operator::Add, value, &held.place);
                let whole = |_: &mut Self, _: &V| value.clone();
                if all { self.change(frame, &inner.value, &whole) } else { self.change(frame, &inner.value, &more) }
            }
            Expr::Subscript(inner) => {
                let key = self.eval(frame, &inner.slice);
                self.change(frame, &inner.value, &|it, held| it.with_entry(held, &key, value));
            }
            Expr::Call(inner) => {
                // What `all.setdefault(key, {})` gives is changed where it stands.
                if let (Expr::Attribute(method), Some(key)) = (&*inner.func, inner.arguments.args.first())
                    && matches!(method.attr.as_str(), "setdefault" | "get")
                {
                    let key = self.eval(frame, key);
                    self.change(frame, &method.value, &|it, held| it.with_entry(held, &key, value));
                }
            }
            Expr::Attribute(inner) => {
                let base = self.eval(frame, &inner.value);
                if let (Kind::Own, Some(own)) = (&base.kind, &mut frame.own) {
                    own.insert(inner.attr.as_str().into(), value.clone());
                } else if is_own_module(&base) {
                    frame.set_global(&inner.attr, value.clone());
                }
            }
            _ => {}
        }
    }

    /// `globals()["NAME"] = …`, and the same through `locals()`.
    pub(super) fn set_named(&mut self, frame: &mut Frame, names: &Expr, key: &V, value: &V, place: &Place) {
        match key.text() {
            Some(name) if dotted(names).as_deref() != Some("globals") => frame.set(name, value.clone()),
            _ => self.set_global(frame, key, value, place),
        }
    }

    /// Sets a name of the module, or any where it is not known which.
    pub(super) fn set_global(&mut self, frame: &mut Frame, key: &V, value: &V, place: &Place) {
        match key.text() {
            Some(name) => frame.set_global(name, value.clone()),
            None => self.lose(frame, format!("{place} sets settings whose names are not known")),
        }
    }

    fn unpack(&mut self, frame: &mut Frame, targets: &[Expr], value: &V) {
        let items = if let Kind::List(items) = &value.kind { items.clone() } else { Vec::new() };
        for (at, target) in targets.iter().enumerate() {
            let item = items.get(at).filter(|_| items.len() == targets.len()).map(|item| item.value.clone());
            let item = item.unwrap_or_else(|| Value::new(Kind::Made(vec![value.clone()]), &value.place));
            self.assign(frame, target, &item);
        }
    }

    /// Changes what an expression names, under all names that it has; each way that it may be is changed.
    pub(super) fn change(&mut self, frame: &mut Frame, target: &Expr, change: &dyn Fn(&mut Self, &V) -> V) {
        let (held, changed) = self.replace(frame, target, change);
        // Whoever else holds it holds the very same, which nobody copied.
        if Rc::strong_count(&held) > 1 && !Rc::ptr_eq(&held, &changed) {
            self.renew(frame, &held, &changed);
        }
    }

    /// Replaces what an expression names by what `change` makes of it, and gives both.
    fn replace(&mut self, frame: &mut Frame, target: &Expr, change: &dyn Fn(&mut Self, &V) -> V) -> (V, V) {
        let held = self.eval(frame, target);
        let changed = self.each_way(&held, change);
        match target {
            Expr::Name(name) if frame.is_global(&name.id) => frame.set_global(&name.id, changed.clone()),
            _ => self.assign(frame, target, &changed),
        }
        (held, changed)
    }

    pub(super) fn each_way(&mut self, value: &V, change: &dyn Fn(&mut Self, &V) -> V) -> V {
        let Kind::Choice(ways) = &value.kind else { return change(self, value) };
        let ways = ways.iter().map(|way| Guarded { when: way.when.clone(), value: change(self, &way.value) }).collect();
        choice(ways, &value.place).unwrap_or_else(|| value.clone())
    }

    fn with_entry(&mut self, held: &V, key: &V, value: &V) -> V {
        match &held.kind {
            Kind::Dict(pairs) => {
                let mut pairs = pairs.clone();
                put_keyed(&mut pairs, key, &Guarded::always(value.clone()));
                Value::new(Kind::Dict(pairs), &held.place)
            }
            Kind::List(items) => {
                let mut items = items.clone();
                let at = key_text(key).and_then(|at| at.parse::<usize>().ok());
                if let Some(item) = at.and_then(|at| items.get_mut(at)) {
                    item.value = value.clone();
                }
                Value::new(Kind::List(items), &held.place)
            }
            _ => held.clone(),
        }
    }

    pub(super) fn augment(&mut self, frame: &mut Frame, statement: &StmtAugAssign) {
        let more = self.eval(frame, &statement.value);
        let (operator, place) = (statement.op, frame.place(statement));
        let change = move |it: &mut Self, held: &V| it.operated(held, operator, &more, &place);
        self.replace(frame, &statement.target, &change);
    }

    pub(super) fn delete(&mut self, frame: &mut Frame, target: &Expr) {
        match target {
            Expr::Name(name) => {
                frame.scopes.last_mut().map(|scope| scope.remove(name.id.as_str()));
            }
            Expr::Subscript(inner) => {
                let key = self.eval(frame, &inner.slice);
                let Some(key) = key_text(&key) else { return };
                self.change(frame, &inner.value, &|_, held| without(held, &key));
            }
            _ => {}
        }
    }

    /// What an operator makes of two values.
    pub(super) fn operated(&mut self, left: &V, operator: Operator, right: &V, place: &Place) -> V {
        let made = |kind| Value::new(kind, place);
        match (&left.kind, operator, &right.kind) {
            (Kind::Choice(_), ..) => self.each_way(left, &|it, left| it.operated(left, operator, right, place)),
            (Kind::Int(a), Operator::Add, Kind::Int(b)) => made(Kind::Int(a.saturating_add(*b))),
            (Kind::Int(a), Operator::Sub, Kind::Int(b)) => made(Kind::Int(a.saturating_sub(*b))),
            (Kind::Int(a), Operator::Mult, Kind::Int(b)) => made(Kind::Int(a.saturating_mul(*b))),
            (Kind::List(a), Operator::Add | Operator::BitOr, Kind::List(b)) => {
                made(Kind::List(a.iter().chain(b).cloned().collect()))
            }
            (Kind::List(a), Operator::Add, _) => {
                // Something unknown follows: it is one item that says so, or the items of each way.
                let more = right.items();
                made(Kind::List(a.iter().cloned().chain(more).collect()))
            }
            (_, Operator::Add, Kind::List(b)) if !matches!(left.kind, Kind::Text(_)) => {
                made(Kind::List(left.items().into_iter().chain(b.iter().cloned()).collect()))
            }
            (Kind::Dict(_), Operator::BitOr, _) | (_, Operator::BitOr, Kind::Dict(_)) => {
                let mut pairs = Vec::new();
                [left, right].into_iter().for_each(|one| spread(&mut pairs, one));
                made(Kind::Dict(pairs))
            }
            (Kind::Text(a), Operator::Add, Kind::Text(b)) => made(Kind::Text(format!("{a}{b}").into())),
            _ => made(Kind::Made(vec![left.clone(), right.clone()])),
        }
    }
}

/// Sets an entry. One that is there only sometimes leaves what was there for the other times, and so does what is not
/// followed: it may replace any.
pub(super) fn put(pairs: &mut Vec<Pair>, key: &str, held: Guarded) {
    if key == REST {
        doubt(pairs, &held.rest());
    }
    // What an address says more may replace what was there before it.
    if key == QUERY
        && let Some(at) = pairs.iter().position(|pair| &*pair.key == QUERY)
    {
        pairs[at..].rotate_left(1);
    }
    match pairs.iter_mut().find(|pair| &*pair.key == key) {
        Some(pair) if held.when == Condition::Always => pair.held = held,
        Some(pair) => {
            pair.held.value = joined(&held.when, &held.value, &pair.held.value);
            pair.held.when = held.when.or(&pair.held.when);
        }
        None => pairs.push(Pair { key: key.into(), held }),
    }
}

fn doubt(pairs: &mut [Pair], rest: &Guarded) {
    let doubted = |value: &V| match &value.kind {
        Kind::Choice(ways) => ways.iter().any(|way| matches!(way.value.kind, Kind::Unknown(_))),
        kind => matches!(kind, Kind::Unknown(_)),
    };
    for pair in pairs.iter_mut().filter(|pair| pair.is_named() && !doubted(&pair.held.value)) {
        pair.held.value = joined(&rest.when, &rest.value, &pair.held.value);
    }
}

pub(super) fn without(held: &V, key: &str) -> V {
    match &held.kind {
        Kind::Dict(pairs) => {
            let rest = pairs.iter().filter(|pair| &*pair.key != key).cloned().collect();
            Value::new(Kind::Dict(rest), &held.place)
        }
        _ => held.clone(),
    }
}

/// A key as text, when it is known.
pub(super) fn key_text(key: &V) -> Option<Rc<str>> {
    match &key.kind {
        Kind::Text(text) => Some(text.clone()),
        Kind::Int(number) => Some(number.to_string().into()),
        Kind::Named(name) => Some(name.clone()),
        _ => None,
    }
}

/// Sets an entry whose key may be one of several, or not be known.
pub(super) fn put_keyed(pairs: &mut Vec<Pair>, key: &V, held: &Guarded) {
    match &key.kind {
        Kind::Choice(ways) => {
            ways.iter().for_each(|way| put_keyed(pairs, &way.value, &held.clone().under(&way.when)));
        }
        _ => put(pairs, &kept(key), held.clone()),
    }
}

/// Where a dictionary keeps what is set under a key: a variable's default, a text with `{}` for its unknown end, or `REST`.
fn kept(key: &V) -> Rc<str> {
    let kept = match &key.kind {
        Kind::Outer(Outer { default: Some(default), .. }) => key_text(default),
        Kind::Made(parts) => {
            let start = parts.first().and_then(|part| part.text()).filter(|start| !start.is_empty());
            start.map(|start| format!("{start}{{}}").into())
        }
        _ => key_text(key),
    };
    kept.unwrap_or_else(|| REST.into())
}

/// A value that takes its variable's name from the class attribute it is assigned to.
fn named_by_attribute(frame: &Frame, name: &str, value: &V) -> V {
    match &value.kind {
        Kind::Outer(outer) if outer.name.is_empty() && frame.scopes.len() > 1 => {
            let outer = Outer { name: format!("DJANGO_{name}").into(), ..outer.clone() };
            Value::new(Kind::Outer(outer), &value.place)
        }
        _ => value.clone(),
    }
}
