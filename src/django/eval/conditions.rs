//! Truth and comparison: to a condition on the surroundings where the values come from there.

use ruff_python_ast::CmpOp;

use super::Evaluator;
use super::readers::store;
use crate::django::condition::Condition;
use crate::django::value::{Guarded, Kind, Outer, V};

use Condition::{Always, Never};

impl Evaluator<'_> {
    /// When a value counts as true.
    pub(super) fn truth(&self, value: &V) -> Condition {
        match &value.kind {
            Kind::Null => Never,
            Kind::Bool(yes) => fixed(*yes),
            Kind::Int(number) => fixed(*number != 0),
            Kind::Float(number) => fixed(*number != 0.0),
            Kind::Text(text) => fixed(!text.is_empty()),
            Kind::Logic(when) => when.clone(),
            Kind::List(items) => items.iter().fold(Never, |sum, item| sum.or(&item.when)),
            Kind::Dict(pairs) => pairs.iter().fold(Never, |sum, pair| sum.or(&pair.held.when)),
            Kind::Choice(ways) => any(ways, |way| self.truth(way)),
            Kind::Outer(outer) => Condition::test(&subject(outer), None, self.unset(outer)),
            Kind::Made(parts) => match parts.as_slice() {
                [only] => self.truth(only),
                _ => opaque(value),
            },
            Kind::Named(name) if is_constant(name) => opaque(value),
            Kind::Named(_) | Kind::Function(_) | Kind::Class(_) | Kind::Instance(_) | Kind::Own => Always,
            Kind::Call { .. } | Kind::Unknown(_) => opaque(value),
        }
    }

    /// What a variable counts as when nobody sets it.
    fn unset(&self, outer: &Outer) -> Option<bool> {
        let Some(default) = &outer.default else { return Some(false) };
        if outer.switch
            && let Some(text) = default.text()
        {
            return Some(!matches!(text.to_lowercase().as_str(), "" | "0" | "false" | "no" | "off"));
        }
        self.truth(default).by_default()
    }

    pub(super) fn compared(&mut self, left: &V, operator: CmpOp, right: &V) -> Condition {
        match operator {
            CmpOp::Eq => self.equal(left, right),
            CmpOp::NotEq => self.equal(left, right).not(),
            CmpOp::Is => self.same(left, right),
            CmpOp::IsNot => self.same(left, right).not(),
            CmpOp::In => self.contained(left, right),
            CmpOp::NotIn => self.contained(left, right).not(),
            CmpOp::Lt | CmpOp::LtE | CmpOp::Gt | CmpOp::GtE => match (&left.kind, &right.kind) {
                (Kind::Int(a), Kind::Int(b)) => fixed(match operator {
                    CmpOp::Lt => a < b,
                    CmpOp::LtE => a <= b,
                    CmpOp::Gt => a > b,
                    _ => a >= b,
                }),
                _ => opaque(left),
            },
        }
    }

    pub(super) fn same(&mut self, left: &V, right: &V) -> Condition {
        match (&left.kind, &right.kind) {
            (Kind::Outer(outer), Kind::Null) => {
                let unset = outer.default.as_ref().map(|default| !matches!(default.kind, Kind::Null));
                Condition::present(outer.store, &outer.name, unset.unwrap_or(false)).not()
            }
            (Kind::Choice(ways), _) => any(&ways.clone(), |way| self.same(way, right)),
            (Kind::Null, Kind::Null) => Always,
            (Kind::Unknown(_) | Kind::Logic(_) | Kind::Made(_), _) => self.equal(left, right),
            (_, Kind::Null) => Never,
            _ => self.equal(left, right),
        }
    }

    /// When two values are the same.
    pub(super) fn equal(&mut self, left: &V, right: &V) -> Condition {
        match (&left.kind, &right.kind) {
            (Kind::Choice(ways), _) => any(&ways.clone(), |way| self.equal(way, right)),
            (_, Kind::Choice(ways)) => any(&ways.clone(), |way| self.equal(left, way)),
            (Kind::Outer(outer), _) if literal(right).is_some() => {
                let default = outer.default.as_ref().map(|default| self.equal(default, right));
                let unset = default.map_or(Some(false), |default| default.by_default());
                Condition::test(&subject(outer), literal(right).as_deref(), unset)
            }
            (_, Kind::Outer(_)) if literal(left).is_some() => self.equal(right, left),
            (Kind::Logic(when), Kind::Bool(yes)) | (Kind::Bool(yes), Kind::Logic(when)) => {
                if *yes {
                    when.clone()
                } else {
                    when.not()
                }
            }
            _ => match (literal(left), literal(right)) {
                (Some(a), Some(b)) => fixed(a == b),
                _ if is_known(left) && is_known(right) => fixed(left.kind == right.kind),
                _ => opaque(left),
            },
        }
    }

    fn contained(&mut self, item: &V, whole: &V) -> Condition {
        match (&item.kind, &whole.kind) {
            (_, Kind::Choice(ways)) => any(&ways.clone(), |way| self.contained(item, way)),
            (Kind::Text(name), Kind::Named(dotted)) if store(dotted).is_some() => {
                Condition::present(store(dotted).unwrap_or_default(), name, false)
            }
            (Kind::Text(part), Kind::Text(text)) => fixed(text.contains(&**part)),
            (Kind::Text(key), Kind::Dict(_)) => whole.entry(key).map_or(Never, |held| held.when),
            (_, Kind::List(items)) => any(&items.clone(), |one| self.equal(item, one)),
            (Kind::Text(part), Kind::Outer(outer)) => Condition::test(&subject(outer), Some(part), None),
            _ => opaque(item),
        }
    }
}

fn any(ways: &[Guarded], mut each: impl FnMut(&V) -> Condition) -> Condition {
    ways.iter().fold(Never, |sum, way| sum.or(&way.when.and(&each(&way.value))))
}

fn fixed(yes: bool) -> Condition {
    if yes { Always } else { Never }
}

/// Is this the name of another package's constant, rather than of a module, class or function?
fn is_constant(dotted: &str) -> bool {
    let last = dotted.rsplit('.').next().unwrap_or(dotted);
    last.len() > 1 && !last.contains(char::is_lowercase)
}

/// A question that cannot be named, at its place.
fn opaque(value: &V) -> Condition {
    value.question(None)
}

fn subject(outer: &Outer) -> String {
    format!("{}:{}", outer.store, outer.name)
}

/// A simple value as text.
fn literal(value: &V) -> Option<String> {
    Some(match &value.kind {
        Kind::Text(text) => text.to_string(),
        Kind::Bool(yes) => yes.to_string(),
        Kind::Int(number) => number.to_string(),
        _ => return None,
    })
}

fn is_known(value: &V) -> bool {
    matches!(
        value.kind,
        Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) | Kind::List(_) | Kind::Dict(_)
    )
}
