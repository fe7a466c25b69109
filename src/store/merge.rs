//! Two branches' progress become one: for each step the later judgement, what one side took back stays taken back. Pure.

use std::collections::BTreeSet;

use crate::domain::command::Waiver;
use crate::domain::ids::{CheckId, StepId};
use crate::domain::progress::{Progress, StepRecord};

/// Merges two histories that part at `base`.
pub fn merge(base: &Progress, ours: &Progress, theirs: &Progress) -> Progress {
    let mut merged = Progress::default();
    for step in StepId::all() {
        let of = |progress: &Progress| progress.steps.get(&step).cloned();
        let later = |one: StepRecord, other: StepRecord| if other.at > one.at { other } else { one };
        if let Some(record) = pick(of(base), of(ours), of(theirs), later) {
            merged.steps.insert(step, record);
        }
    }
    let mut named: Vec<(StepId, Option<CheckId>)> =
        [ours, theirs].iter().flat_map(|p| &p.waivers).map(|w| (w.step, w.check.clone())).collect();
    named.sort();
    named.dedup();
    for name in named {
        let of =
            |progress: &Progress| progress.waivers.iter().find(|w| (w.step, &w.check) == (name.0, &name.1)).cloned();
        // Of two signatures the shorter one: nobody's debt is made longer by a merge.
        let sooner = |one: Waiver, other: Waiver| if other.until < one.until { other } else { one };
        merged.waivers.extend(pick(of(base), of(ours), of(theirs), sooner));
    }
    for run in
        [ours, theirs].into_iter().flat_map(|p| &p.invalidated).map(|ruling| &ruling.run).collect::<BTreeSet<_>>()
    {
        let of = |progress: &Progress| progress.invalidated(run).cloned();
        merged.invalidated.extend(pick(of(base), of(ours), of(theirs), |one, _| one));
    }
    let of = |progress: &Progress| progress.baseline.clone();
    merged.baseline = pick(of(base), of(ours), of(theirs), |one, _| one);
    merged
}

/// The side that changed; when both did, what `both` says, and a change before a deletion.
fn pick<T: PartialEq>(base: Option<T>, ours: Option<T>, theirs: Option<T>, both: impl Fn(T, T) -> T) -> Option<T> {
    if theirs == base {
        return ours;
    }
    if ours == base {
        return theirs;
    }
    match (ours, theirs) {
        (Some(one), Some(other)) => Some(both(one, other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(base: Option<u8>, ours: Option<u8>, theirs: Option<u8>) -> Option<u8> {
        pick(base, ours, theirs, u8::max)
    }

    #[test]
    fn the_side_that_changed_is_kept() {
        assert_eq!(chosen(Some(1), Some(1), Some(2)), Some(2));
        assert_eq!(chosen(Some(1), Some(3), Some(1)), Some(3));
        assert_eq!(chosen(Some(1), Some(3), Some(2)), Some(3), "both changed");
        assert_eq!(chosen(None, Some(3), Some(2)), Some(3), "both are new");
        assert_eq!(chosen(Some(1), None, Some(1)), None, "one side took it back");
        assert_eq!(chosen(Some(1), None, Some(2)), Some(2), "taken back here, proven anew there");
        assert_eq!(chosen(None, None, None), None);
    }
}
