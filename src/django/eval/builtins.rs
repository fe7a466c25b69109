//! What Python itself gives to whoever calls it, as far as settings use it.

use std::rc::Rc;

use super::calls::Given;
use super::expressions::{concatenated, logic, spread};
use super::{Evaluator, Frame};
use crate::django::condition::Condition;
use crate::django::value::{Guarded, Kind, Outer, Pair, Place, V, Value};

impl Evaluator<'_> {
    /// What Python itself gives, as far as settings use it.
    pub(super) fn builtin(&mut self, frame: &mut Frame, name: &str, given: &Given, place: &Place) -> Option<V> {
        let first = given.args.first();
        let value = |kind| Some(Value::new(kind, place));
        Some(match (name, first) {
            (
                "str" | "Path" | "pathlib.Path" | "int" | "float" | "bool" | "list" | "tuple" | "set" | "frozenset",
                None,
            ) => match name {
                "list" | "tuple" | "set" | "frozenset" => return value(Kind::List(Vec::new())),
                _ => return None,
            },
            ("str" | "tuple" | "list" | "set" | "frozenset" | "sorted" | "copy.deepcopy" | "copy.copy", Some(one)) => {
                one.clone()
            }
            ("float" | "django.utils.translation.gettext_lazy", Some(one)) => one.clone(),
            ("int", Some(one)) => match &one.kind {
                Kind::Text(text) => {
                    text.trim().parse().map_or_else(|_| one.clone(), |number| Value::new(Kind::Int(number), place))
                }
                Kind::Bool(yes) => return value(Kind::Int(i64::from(*yes))),
                Kind::Outer(Outer { default: Some(default), .. }) if default.text().is_some() => {
                    let number = default.text().and_then(|text| text.trim().parse().ok());
                    let number = number.map_or(default.kind.clone(), Kind::Int);
                    self.with_default(one, Value::new(number, &default.place))
                }
                _ => one.clone(),
            },
            ("bool" | "distutils.util.strtobool" | "strtobool", Some(one)) => match &one.kind {
                Kind::Outer(outer) => return value(Kind::Outer(Outer { switch: name != "bool", ..outer.clone() })),
                _ => return value(logic(self.truth(one))),
            },
            ("any" | "all", Some(one)) => {
                let truths = one.items().iter().map(|item| item.when.and(&self.truth(&item.value))).collect::<Vec<_>>();
                return value(logic(match name {
                    "any" => truths.iter().fold(Condition::Never, |sum, one| sum.or(one)),
                    _ => truths.iter().fold(Condition::Always, |sum, one| sum.and(one)),
                }));
            }
            ("len", Some(one)) => match &one.kind {
                Kind::List(items) => return value(Kind::Int(i64::try_from(items.len()).unwrap_or(i64::MAX))),
                _ => return value(Kind::Made(vec![one.clone()])),
            },
            ("dict" | "collections.OrderedDict", _) => {
                let mut pairs = Vec::new();
                given.args.iter().for_each(|one| spread(&mut pairs, one));
                let named = given.named.iter().cloned();
                pairs.extend(named.map(|(key, value)| Pair { key, held: Guarded::always(value) }));
                return value(Kind::Dict(pairs));
            }
            ("getattr", Some(one)) => {
                let attribute = given.args.get(1)?.text()?.to_owned();
                let found = self.attribute(frame, one, &attribute, place);
                match (&found.kind, given.args.get(2)) {
                    (Kind::Unknown(_), Some(default)) => default.clone(),
                    (Kind::Outer(_), Some(default)) => self.with_default(&found, default.clone()),
                    _ => found,
                }
            }
            ("globals" | "locals" | "vars", None) => {
                let pairs = frame.scopes.last()?.iter();
                let pair =
                    |(key, value): (&Rc<str>, &V)| Pair { key: key.clone(), held: Guarded::always(value.clone()) };
                return value(Kind::Dict(pairs.map(pair).collect()));
            }
            ("super", _) => return None,
            ("os.path.join" | "pathlib.Path" | "Path" | "os.path.abspath" | "os.path.dirname", _) => {
                concatenated(given.args.clone(), place)
            }
            _ => return None,
        })
    }
}
