//! Methods of texts, lists, dictionaries and of variables that are still names; those that change what they are called
//! on change it where it stands.

use ruff_python_ast::Expr;

use super::assign::{key_text, put, without};
use super::calls::Given;
use super::expressions::{concatenated, logic, spread};
use super::readers::store;
use super::statements::dotted;
use super::{Evaluator, Frame};
use crate::django::condition::Condition;
use crate::django::value::{Guarded, Kind, Pair, Place, V, Value};

impl Evaluator<'_> {
    /// None when this is no method that is known here.
    pub(super) fn method(
        &mut self,
        frame: &mut Frame,
        target: &Expr,
        base: &V,
        name: &str,
        given: &Given,
        place: &Place,
    ) -> Option<V> {
        if let Kind::Named(dotted) = &base.kind {
            store(dotted)?;
            let null = Value::new(Kind::Null, place);
            return match (name, given.args.first()) {
                ("get" | "setdefault" | "pop", Some(key)) => {
                    Some(self.item(base, key, Some(given.get("default", 1).unwrap_or(&null)), place))
                }
                ("copy", _) => Some(base.clone()),
                ("populate_obj", Some(_)) if &**dotted != "os.environ" => {
                    self.filled(frame, place);
                    Some(null)
                }
                _ => None,
            };
        }
        let holds = |is: fn(&Kind) -> bool| match &base.kind {
            Kind::Choice(ways) => ways.iter().any(|way| is(&way.value.kind)),
            kind => is(kind),
        };
        if holds(|kind| matches!(kind, Kind::List(_))) {
            self.list_method(frame, target, base, name, given, place)
        } else if holds(|kind| matches!(kind, Kind::Dict(_))) {
            self.dict_method(frame, target, base, name, given, place)
        } else if holds(|kind| matches!(kind, Kind::Text(_) | Kind::Outer(_) | Kind::Made(_))) {
            self.text_method(base, name, given, place)
        } else {
            None
        }
    }

    fn list_method(
        &mut self,
        frame: &mut Frame,
        target: &Expr,
        base: &V,
        name: &str,
        given: &Given,
        place: &Place,
    ) -> Option<V> {
        let one = given.args.first();
        let null = Value::new(Kind::Null, place);
        match (name, one) {
            ("append" | "add", Some(one)) => {
                self.alter(frame, target, items, |items| items.push(Guarded::always(one.clone())));
            }
            ("extend" | "update", Some(more)) => self.alter(frame, target, items, |items| items.extend(more.items())),
            ("insert", Some(at)) => {
                let item = given.args.get(1)?.clone();
                let wanted = if let Kind::Int(at) = at.kind { usize::try_from(at).unwrap_or(0) } else { usize::MAX };
                self.alter(frame, target, items, |items| {
                    items.insert(wanted.min(items.len()), Guarded::always(item.clone()));
                });
            }
            ("remove" | "discard", Some(gone)) => {
                self.alter(frame, target, items, |items| items.retain(|item| item.value.kind != gone.kind));
            }
            ("index", Some(one)) => {
                let Kind::List(items) = &base.kind else { return None };
                let at = items.iter().position(|item| item.value.kind == one.kind)?;
                return Some(Value::new(Kind::Int(i64::try_from(at).ok()?), place));
            }
            ("clear", None) => self.alter(frame, target, items, Vec::clear),
            ("pop", at) => {
                let at = at.map_or(Some(-1), |at| if let Kind::Int(at) = at.kind { Some(at) } else { None })?;
                self.alter(frame, target, items, |items| {
                    let at = if at < 0 { at + items.len() as i64 } else { at };
                    if let Some(at) = usize::try_from(at).ok().filter(|at| *at < items.len()) {
                        items.remove(at);
                    }
                });
                return Some(self.item(base, &Value::new(Kind::Int(at), place), None, place));
            }
            ("copy", None) => return Some(base.copied(false)),
            ("sort" | "reverse", None) => {}
            _ => return None,
        }
        Some(null)
    }

    /// Changes the items of a list or the entries of a dictionary where it stands.
    fn alter<T>(
        &mut self,
        frame: &mut Frame,
        target: &Expr,
        parts: fn(&mut Kind) -> Option<&mut Vec<T>>,
        change: impl Fn(&mut Vec<T>),
    ) {
        self.change(frame, target, &|_, held| {
            let mut kind = held.kind.clone();
            parts(&mut kind).into_iter().for_each(&change);
            Value::new(kind, &held.place)
        });
    }

    fn dict_method(
        &mut self,
        frame: &mut Frame,
        target: &Expr,
        base: &V,
        name: &str,
        given: &Given,
        place: &Place,
    ) -> Option<V> {
        let null = Value::new(Kind::Null, place);
        let key = given.args.first();
        let default = given.args.get(1).unwrap_or(&null);
        let pairs = || if let Kind::Dict(pairs) = &base.kind { pairs.clone() } else { Vec::new() };
        let listed = |items: Vec<Guarded>| Some(Value::new(Kind::List(items), place));
        match (name, key) {
            ("get", Some(key)) => return Some(self.item(base, key, Some(default), place)),
            ("setdefault", Some(key)) => {
                let value = self.item(base, key, Some(default), place);
                let key = key_text(key)?;
                self.alter(frame, target, entries, |pairs| put(pairs, &key, Guarded::always(value.clone())));
                return Some(value);
            }
            ("clear", None) => self.alter(frame, target, entries, Vec::clear),
            ("pop", Some(key)) => {
                let value = self.item(base, key, Some(default), place);
                let key = key_text(key)?;
                self.change(frame, target, &|_, held| without(held, &key));
                return Some(value);
            }
            ("update", _) if is_namespace(target) => {
                let mut pairs = Vec::new();
                given.args.iter().for_each(|more| spread(&mut pairs, more));
                given.named.iter().for_each(|(key, value)| put(&mut pairs, key, Guarded::always(value.clone())));
                for pair in pairs {
                    self.set_named(frame, target, &pair.name(place), &pair.held.value, place);
                }
            }
            ("update", _) => self.alter(frame, target, entries, |pairs| {
                given.args.iter().for_each(|more| spread(pairs, more));
                given.named.iter().for_each(|(key, value)| put(pairs, key, Guarded::always(value.clone())));
            }),
            ("copy", None) => return Some(base.copied(false)),
            ("values", None) => return listed(pairs().into_iter().map(|pair| pair.held).collect()),
            ("keys", None) => {
                let key = |pair: Pair| Guarded { value: pair.name(place), when: pair.held.when };
                return listed(pairs().into_iter().map(key).collect());
            }
            ("items", None) => {
                let item = |pair: Pair| {
                    let both = vec![Guarded::always(pair.name(place)), Guarded::always(pair.held.value)];
                    Guarded { when: pair.held.when, value: Value::new(Kind::List(both), place) }
                };
                return listed(pairs().into_iter().map(item).collect());
            }
            _ => return None,
        }
        Some(null)
    }

    fn text_method(&mut self, base: &V, name: &str, given: &Given, place: &Place) -> Option<V> {
        if let Kind::Choice(_) = &base.kind {
            return Some(
                self.each_way(base, &|it, way| it.text_method(way, name, given, place).unwrap_or_else(|| way.clone())),
            );
        }
        let value = |kind| Some(Value::new(kind, place));
        let part = given.args.first().and_then(|part| part.text());
        match (&base.kind, name) {
            (Kind::Text(text), "lower" | "casefold") => value(Kind::Text(text.to_lowercase().into())),
            (Kind::Text(text), "upper") => value(Kind::Text(text.to_uppercase().into())),
            (Kind::Text(text), "strip" | "rstrip" | "lstrip") if part.is_none() => {
                value(Kind::Text(text.trim().into()))
            }
            (Kind::Text(text), "startswith") => value(Kind::Bool(text.starts_with(part?))),
            (Kind::Text(text), "endswith") => value(Kind::Bool(text.ends_with(part?))),
            (Kind::Text(text), "split") => {
                let piece = |piece: &str| Guarded::always(Value::new(Kind::Text(piece.into()), place));
                let pieces = match part {
                    Some(part) if !part.is_empty() => text.split(part).map(piece).collect(),
                    _ => text.split_whitespace().map(piece).collect(),
                };
                value(Kind::List(pieces))
            }
            (Kind::Text(text), "format") => Some(filled(text, given, place)),
            (Kind::Text(_), "join") => {
                Some(concatenated(given.args.first()?.items().into_iter().map(|item| item.value).collect(), place))
            }
            (Kind::Outer(_), "lower" | "upper" | "strip" | "casefold" | "split" | "rstrip" | "lstrip" | "title") => {
                let Kind::Outer(outer) = &base.kind else { return None };
                let default = outer.default.clone();
                let default = default.map(|default| self.text_method(&default, name, given, place).unwrap_or(default));
                Some(default.map_or_else(|| base.clone(), |default| self.with_default(base, default)))
            }
            (Kind::Outer(_), "startswith" | "endswith") => {
                let source = base.sources().into_iter().next()?;
                value(logic(Condition::test(&source, part, None)))
            }
            _ => value(Kind::Made(std::iter::once(base.clone()).chain(given.args.iter().cloned()).collect())),
        }
    }
}

fn items(kind: &mut Kind) -> Option<&mut Vec<Guarded>> {
    if let Kind::List(items) = kind { Some(items) } else { None }
}

fn entries(kind: &mut Kind) -> Option<&mut Vec<Pair>> {
    if let Kind::Dict(pairs) = kind { Some(pairs) } else { None }
}

/// `globals()` and its like.
pub(super) fn is_namespace(target: &Expr) -> bool {
    let named = |name: String| matches!(&*name, "globals" | "locals" | "vars");
    target.as_call_expr().is_some_and(|call| call.arguments.is_empty() && dotted(&call.func).is_some_and(named))
}

/// `"a{}b{name}".format(…)`, piece by piece.
fn filled(text: &str, given: &Given, place: &Place) -> V {
    let mut args = given.args.iter();
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, hole, after)) = rest.split_once('{').and_then(|(before, more)| {
        let (hole, after) = more.split_once('}')?;
        Some((before, hole, after))
    }) {
        let named = hole.split([':', '!', '.']).next().unwrap_or_default();
        let value = if named.is_empty() { args.next() } else { given.named(named) };
        parts.push(Value::new(Kind::Text(before.into()), place));
        parts.push(value.cloned().unwrap_or_else(|| Value::unknown("a part of a text that is not known", place)));
        rest = after;
    }
    parts.push(Value::new(Kind::Text(rest.into()), place));
    concatenated(parts, place)
}
