//! What names are after a branch: the two sides of values, joined so that a file with thirty branches stays as long as
//! it is. Knows no syntax.

use std::collections::HashMap;
use std::rc::Rc;

use super::condition::Condition;
use super::value::{Guarded, Kind, Pair, V, Value, choice};

/// What a name is after a branch: one value where `when` holds, the other where it does not. Lists and dictionaries are
/// joined item by item, so that a file with thirty branches stays as long as it is.
pub fn joined(when: &Condition, one: &V, other: &V) -> V {
    if Rc::ptr_eq(one, other) || one == other {
        return one.clone();
    }
    let without = when.not();
    match (&one.kind, &other.kind) {
        (Kind::Choice(ways), Kind::Choice(others)) if alike(ways, others) => {
            let pairs = ways.iter().zip(others);
            let ways = pairs.map(|(a, b)| Guarded { when: a.when.clone(), value: joined(when, &a.value, &b.value) });
            Value::new(Kind::Choice(ways.collect()), &one.place)
        }
        (Kind::List(long), Kind::List(short)) if part_of(short, long) => {
            Value::new(Kind::List(marked(long, short, when)), &one.place)
        }
        (Kind::List(short), Kind::List(long)) if part_of(short, long) => {
            Value::new(Kind::List(marked(long, short, &without)), &other.place)
        }
        (Kind::List(items), Kind::List(others)) => Value::new(Kind::List(spliced(items, others, when)), &one.place),
        (Kind::Dict(pairs), Kind::Dict(others)) => {
            let mut all: Vec<Pair> = Vec::new();
            // By key, or a branch for each of thousands of entries would look through all of them each time.
            let (own, theirs) = (by_key(pairs), by_key(others));
            for Pair { key, held } in pairs {
                let held = match theirs.get(&**key) {
                    None => held.clone().under(when),
                    Some(Pair { held: other, .. }) => Guarded {
                        when: either(when, &held.when, &other.when),
                        value: joined(when, &held.value, &other.value),
                    },
                };
                all.push(Pair { key: key.clone(), held });
            }
            let only = others.iter().filter(|other| !own.contains_key(&*other.key));
            all.extend(only.map(|pair| Pair { key: pair.key.clone(), held: pair.held.clone().under(&without) }));
            Value::new(Kind::Dict(all), &one.place)
        }
        _ => {
            let ways = vec![
                Guarded { when: when.clone(), value: one.clone() },
                Guarded { when: without, value: other.clone() },
            ];
            choice(ways, &one.place).unwrap_or_else(|| one.clone())
        }
    }
}

fn by_key(pairs: &[Pair]) -> HashMap<&str, &Pair> {
    pairs.iter().map(|pair| (&*pair.key, pair)).collect()
}

/// Do two values depend on the same in the same order?
fn alike(ways: &[Guarded], others: &[Guarded]) -> bool {
    ways.len() == others.len() && ways.iter().zip(others).all(|(one, other)| one.when == other.when)
}

fn either(when: &Condition, one: &Condition, other: &Condition) -> Condition {
    if one == other { one.clone() } else { when.and(one).or(&when.not().and(other)) }
}

/// Are the items of one list in another, in order?
fn part_of(short: &[Guarded], long: &[Guarded]) -> bool {
    let mut rest = long.iter();
    short.len() <= long.len() && short.iter().all(|item| rest.any(|other| other == item))
}

/// The long list, where what the short one lacks is there only when this holds.
fn marked(long: &[Guarded], short: &[Guarded], when: &Condition) -> Vec<Guarded> {
    let mut rest = short.iter().peekable();
    long.iter()
        .map(
            |item| if rest.next_if(|other| *other == item).is_some() { item.clone() } else { item.clone().under(when) },
        )
        .collect()
}

/// What two lists begin and end with alike, and between that each one's own items where it holds.
fn spliced(one: &[Guarded], other: &[Guarded], when: &Condition) -> Vec<Guarded> {
    let start = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (own, others) = (&one[start..], &other[start..]);
    let end = own.iter().rev().zip(others.iter().rev()).take_while(|(a, b)| a == b).count();
    let mine = own[..own.len() - end].iter().cloned().map(|item| item.under(when));
    let without = when.not();
    let theirs = others[..others.len() - end].iter().cloned().map(|item| item.under(&without));
    one[..start].iter().cloned().chain(mine).chain(theirs).chain(own[own.len() - end..].iter().cloned()).collect()
}
