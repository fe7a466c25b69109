//! Items: what stands under a key, and what is made of each item of something.

use ruff_python_ast::{Comprehension, Expr, ExprSubscript};

use super::assign::key_text;
use super::statements::dotted;
use super::{Evaluator, Frame, readers};
use crate::django::condition::Condition;
use crate::django::value::{Guarded, Kind, Outer, Pair, Place, V, Value, choice};

/// Items that comprehensions make, at most.
const ITEMS: usize = 256;
/// Why `sys.modules[__name__]`, of which nothing is asked but to set names of the module, is not known.
const OWN_MODULE: &str = "the module itself";

impl Evaluator<'_> {
    pub(super) fn subscript(&mut self, frame: &mut Frame, subscript: &ExprSubscript, place: &Place) -> V {
        if dotted(&subscript.value).as_deref() == Some("sys.modules") {
            return Value::unknown(OWN_MODULE, place);
        }
        let base = self.eval(frame, &subscript.value);
        if subscript.slice.is_slice_expr() {
            return if matches!(base.kind, Kind::List(_)) {
                base.copied(false)
            } else {
                Value::new(Kind::Made(vec![base]), place)
            };
        }
        let key = self.eval(frame, &subscript.slice);
        self.item(&base, &key, None, place)
    }

    /// What stands under a key; `default` is what stands there otherwise, where the program says so.
    pub(super) fn item(&mut self, base: &V, key: &V, default: Option<&V>, place: &Place) -> V {
        if let Kind::Choice(_) = &base.kind {
            return self.each_way(base, &|it, way| it.item(way, key, default, place));
        }
        let known = key_text(key);
        let known = known.as_deref();
        match (&base.kind, known) {
            (Kind::Named(dotted), Some(name)) if readers::store(dotted).is_some() => {
                let store = readers::store(dotted).unwrap_or_default();
                let outer = Outer { store, name: name.into(), default: default.cloned(), switch: false };
                Value::new(Kind::Outer(outer), place)
            }
            (Kind::Outer(outer), Some(key)) => {
                let name = format!("{}.{key}", outer.name).into();
                let default = default.cloned();
                Value::new(Kind::Outer(Outer { store: outer.store, name, default, switch: false }), place)
            }
            (Kind::Dict(_), Some(name)) => match (base.entry(name), default) {
                (Some(held), None) => held.value,
                (Some(held), Some(default)) => {
                    let without = Guarded { when: held.when.not(), value: default.clone() };
                    choice(vec![held, without], place).unwrap_or_else(|| default.clone())
                }
                (None, Some(default)) => default.clone(),
                (None, None) => Value::unknown("a key that is not in the dictionary", place),
            },
            (Kind::List(items), Some(at)) => {
                let at = at.parse::<i64>().ok().map(|at| if at < 0 { at + items.len() as i64 } else { at });
                let item = at.and_then(|at| usize::try_from(at).ok()).and_then(|at| items.get(at));
                item.map_or_else(|| Value::unknown("an item that is not in the list", place), |item| item.value.clone())
            }
            (Kind::Dict(pairs), None) => {
                // The key comes from outside: it may be any of them.
                let ways = pairs.iter().map(|pair| {
                    let when = self.equal(key, &pair.name(place));
                    Guarded { when, value: pair.held.value.clone() }
                });
                let ways: Vec<Guarded> = ways.collect();
                choice(ways, place).unwrap_or_else(|| Value::unknown("the key is not known", place))
            }
            _ => Value::new(Kind::Made([base, key].into_iter().chain(default).cloned().collect()), place),
        }
    }

    pub(super) fn comprehension(
        &mut self,
        frame: &mut Frame,
        element: &Expr,
        over: &[Comprehension],
        place: &Place,
    ) -> V {
        let mut items = Vec::new();
        let made = self.rounds(frame, over, &Condition::Always, &mut |it, frame, when| {
            let value = it.eval(frame, element);
            items.push(Guarded { when: when.clone(), value });
        });
        if !made {
            let over = over.iter().map(|one| self.eval(frame, &one.iter)).collect();
            return Value::new(Kind::Made(over), place);
        }
        Value::new(Kind::List(items), place)
    }

    /// Calls `each` for every combination of items; false when some of them are not known.
    pub(super) fn rounds(
        &mut self,
        frame: &mut Frame,
        over: &[Comprehension],
        when: &Condition,
        each: &mut dyn FnMut(&mut Self, &mut Frame, &Condition),
    ) -> bool {
        let [first, rest @ ..] = over else {
            each(self, frame, when);
            return true;
        };
        let items = self.eval(frame, &first.iter);
        let Some(items) = self.iterated(&items).filter(|items| items.len() <= ITEMS) else { return false };
        for item in items {
            self.assign(frame, &first.target, &item.value);
            let mut when = when.and(&item.when);
            for test in &first.ifs {
                let test = self.eval(frame, test);
                when = when.and(&self.truth(&test));
            }
            if when != Condition::Never && !self.rounds(frame, rest, &when, each) {
                return false;
            }
        }
        true
    }

    /// The items that a loop would see; none when they are not known.
    pub(super) fn iterated(&self, over: &V) -> Option<Vec<Guarded>> {
        match &over.kind {
            Kind::List(items) => Some(items.clone()),
            Kind::Dict(pairs) => {
                let key = |pair: &Pair| Guarded { when: pair.held.when.clone(), value: pair.name(&over.place) };
                Some(pairs.iter().map(key).collect())
            }
            _ => None,
        }
    }
}

/// Is it `sys.modules[__name__]`?
pub(super) fn is_own_module(value: &V) -> bool {
    matches!(&value.kind, Kind::Unknown(why) if &**why == OWN_MODULE)
}
