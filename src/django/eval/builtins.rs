//! What Python itself gives to whoever calls it, as far as settings use it.

use std::rc::Rc;

use super::assign::put;
use super::calls::Given;
use super::expressions::{concatenated, logic, spread};
use super::{Evaluator, Frame};
use crate::django::condition::Condition;
use crate::django::value::{Guarded, Kind, Outer, Pair, Place, V, Value};

impl Evaluator<'_> {
    /// None when the name is none of Python's own, or what it gives cannot be told.
    pub(super) fn builtin(&mut self, frame: &mut Frame, name: &str, given: &Given, place: &Place) -> Option<V> {
        let value = |kind| Some(Value::new(kind, place));
        match (name, given.args.first()) {
            ("list" | "tuple" | "set" | "frozenset", None) => value(Kind::List(Vec::new())),
            (
                "str"
                | "float"
                | "tuple"
                | "list"
                | "set"
                | "frozenset"
                | "sorted"
                | "copy.copy"
                | "copy.deepcopy"
                | "django.utils.translation.gettext_lazy",
                Some(one),
            ) => Some(one.copied(name == "copy.deepcopy")),
            ("int", Some(one)) => Some(self.whole(one, place)),
            ("distutils.util.strtobool" | "strtobool", Some(one)) => match &one.kind {
                Kind::Outer(outer) => value(Kind::Outer(Outer { switch: true, ..outer.clone() })),
                _ => value(logic(self.truth(one))),
            },
            ("bool", Some(one)) => value(logic(self.truth(one))),
            ("any", Some(one)) => {
                let items = self.iterated(one).unwrap_or_else(|| one.items());
                let truths = items.into_iter().map(|item| item.when.and(&self.truth(&item.value)));
                value(logic(truths.fold(Condition::Never, |sum, truth| sum.or(&truth))))
            }
            ("all", Some(one)) => {
                let items = self.iterated(one).unwrap_or_else(|| one.items());
                let truths = items.into_iter().map(|item| item.when.not().or(&self.truth(&item.value)));
                value(logic(truths.fold(Condition::Always, |sum, truth| sum.and(&truth))))
            }
            ("len", Some(one)) => match &one.kind {
                Kind::List(items) if items.iter().all(|item| item.when == Condition::Always) => {
                    value(Kind::Int(i64::try_from(items.len()).ok()?))
                }
                _ => value(Kind::Made(vec![one.clone()])),
            },
            ("dict" | "collections.OrderedDict", _) => {
                let mut pairs = Vec::new();
                given.args.iter().for_each(|one| spread(&mut pairs, one));
                given.named.iter().for_each(|(key, value)| put(&mut pairs, key, Guarded::always(value.clone())));
                value(Kind::Dict(pairs))
            }
            ("getattr", Some(one)) => {
                let found = self.attribute(frame, one, given.args.get(1)?.text()?, place);
                Some(match (&found.kind, given.args.get(2)) {
                    (Kind::Unknown(_), Some(default)) => default.clone(),
                    (Kind::Outer(_), Some(default)) => self.with_default(&found, default.clone()),
                    _ => found,
                })
            }
            ("globals" | "locals" | "vars", None) => {
                let names = if name == "globals" { frame.scopes.first() } else { frame.scopes.last() };
                let pair =
                    |(key, value): (&Rc<str>, &V)| Pair { key: key.clone(), held: Guarded::always(value.clone()) };
                value(Kind::Dict(names?.iter().map(pair).collect()))
            }
            ("os.path.join" | "os.path.abspath" | "os.path.dirname" | "pathlib.Path", _) => {
                Some(concatenated(given.args.clone(), place))
            }
            _ => None,
        }
    }

    /// `int(…)`: of a variable, a variable whose default is a number.
    fn whole(&self, value: &V, place: &Place) -> V {
        let number = |text: &str| text.trim().parse().ok().map(Kind::Int);
        match &value.kind {
            Kind::Text(text) => number(text).map_or_else(|| value.clone(), |number| Value::new(number, place)),
            Kind::Bool(yes) => Value::new(Kind::Int(i64::from(*yes)), place),
            Kind::Outer(Outer { default: Some(default), .. }) => {
                let number = default.text().and_then(number).map(|number| Value::new(number, &default.place));
                number.map_or_else(|| value.clone(), |number| self.with_default(value, number))
            }
            _ => value.clone(),
        }
    }
}
