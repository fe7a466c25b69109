//! The way up in steps, to the hold and past it: who comes in when, how long each rung is held, and what was seen on it.
//!
//! Pure: instants of the ramp's clock and samples come in. Decides nothing; only the hold is judged.

use std::time::Duration;

use super::answer::Outcome;
use super::recorder::{Sample, micros};
use crate::domain::measurement::RungFigures;
use crate::domain::ramp::RampPlan;

/// Share of a rung's stop in which its new users find their pace; it is not counted.
const FINDING: f64 = 1.0 / 3.0;

/// A climb: legs in which users come in evenly, each followed by a stop on its rung; the hold needs none before it.
#[derive(Debug, Clone)]
pub(super) struct Climb(Vec<Leg>);

#[derive(Debug, Clone, Copy)]
struct Leg {
    /// After the climb began.
    from: Duration,
    took: Duration,
    /// Users in before it, and after it.
    users: (u32, u32),
    /// How long its rung is held.
    stop: Duration,
}

impl Leg {
    fn end(&self) -> Duration {
        self.from + self.took + self.stop
    }
}

impl Climb {
    /// The climb of a plan to its hold.
    pub fn of(plan: &RampPlan) -> Self {
        let rungs = plan.rungs.iter().copied().filter(|rung| (1..plan.users).contains(rung));
        let rungs = rungs.map(|users| (users, plan.rung_hold));
        Self::over(plan, 0, rungs.chain([(plan.users, Duration::ZERO)]))
    }

    /// The climb past its hold.
    pub fn beyond(plan: &RampPlan) -> Self {
        Self::over(plan, plan.users, plan.beyond.iter().map(|users| (*users, plan.rung_hold)))
    }

    /// Users come in as quickly on every leg.
    fn over(plan: &RampPlan, mut below: u32, rungs: impl Iterator<Item = (u32, Duration)>) -> Self {
        let mut legs: Vec<Leg> = Vec::new();
        for (users, stop) in rungs {
            let from = legs.last().map_or(Duration::ZERO, Leg::end);
            let took = plan.climb.mul_f64(f64::from(users.saturating_sub(below)) / f64::from(plan.users.max(1)));
            legs.push(Leg { from, took, users: (below, users), stop });
            below = users;
        }
        Self(legs)
    }

    /// Its whole time.
    pub fn took(&self) -> Duration {
        self.0.last().map_or(Duration::ZERO, Leg::end)
    }

    /// When a user comes in, after the climb began: evenly on each leg, user 0 at once.
    pub fn arrival(&self, user: u32) -> Duration {
        let leg = self.0.iter().find(|leg| user < leg.users.1);
        leg.map_or(self.took(), |leg| {
            let (below, users) = leg.users;
            leg.from + leg.took.mul_f64(f64::from(user.saturating_sub(below)) / f64::from(users - below))
        })
    }

    /// Users let in so far.
    pub fn let_in(&self, since: Duration) -> u32 {
        let Some(leg) = self.0.iter().rev().find(|leg| leg.from <= since) else { return 0 };
        let (below, users) = leg.users;
        let into = since.saturating_sub(leg.from);
        if into >= leg.took {
            return users;
        }
        let share = into.as_secs_f64() / leg.took.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and users")]
        let come = (share * f64::from(users - below)).floor() as u32 + 1;
        (below + come).min(users)
    }

    /// An empty record of each stop; the climb began at this instant of the ramp's clock.
    pub fn rungs(&self, began: Duration) -> Rungs {
        let stops = self.0.iter().filter(|leg| !leg.stop.is_zero()).map(|leg| {
            let finding = leg.stop.mul_f64(FINDING);
            let from = began + leg.from + leg.took + finding;
            let figures = RungFigures {
                users: leg.users.1,
                seconds: (leg.stop - finding).as_secs_f64(),
                ..RungFigures::default()
            };
            (from, began + leg.end(), figures)
        });
        Rungs(stops.collect())
    }
}

/// What was seen on each rung, with the instants between which a request must have been due to count.
#[derive(Debug)]
pub(super) struct Rungs(Vec<(Duration, Duration, RungFigures)>);

impl Rungs {
    /// Adds what ended.
    pub fn fold(&mut self, samples: &[Sample]) {
        for (from, until, rung) in &mut self.0 {
            for sample in samples.iter().filter(|s| (*from..*until).contains(&s.due)) {
                match sample.outcome {
                    Outcome::Success => rung.latency.record(micros(sample.latency)),
                    Outcome::Error(_) => rung.errors += 1,
                    Outcome::Blocked => {}
                    Outcome::Cut => continue,
                }
                rung.requests += 1;
            }
        }
    }

    /// More rungs, past the hold.
    pub fn extend(&mut self, more: Rungs) {
        self.0.extend(more.0);
    }

    /// The rungs whose stop was over by now; one that was broken off says nothing.
    pub fn over(&self, now: Duration) -> impl Iterator<Item = &RungFigures> {
        self.0.iter().filter(move |(_, until, _)| *until <= now).map(|(_, _, rung)| rung)
    }

    /// The same to keep, with each one's beginning as a second of the ramp, which began at `began`.
    pub fn finish(self, began: Duration, now: Duration) -> Vec<RungFigures> {
        let second = |from: Duration| u32::try_from(from.saturating_sub(began).as_secs()).unwrap_or(u32::MAX);
        let over = self.0.into_iter().filter(|(_, until, _)| *until <= now);
        over.map(|(from, _, rung)| RungFigures { from: second(from), ..rung }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::flow::Mix;
    use crate::domain::measurement::ErrorKind;
    use crate::domain::ramp::Model;
    use proptest::prelude::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn plan(users: u32, rungs: Vec<u32>) -> RampPlan {
        RampPlan {
            users,
            climb: secs(20),
            settle_limit: secs(60),
            hold: secs(60),
            think: Mix::THINK,
            timeout: secs(10),
            seed: 1,
            quick: false,
            extensions: 0,
            rungs,
            rung_hold: secs(15),
            beyond: Vec::new(),
            model: Model::Closed,
        }
    }

    #[test]
    fn without_rungs_users_come_in_evenly() {
        let climb = Climb::of(&plan(10, Vec::new()));
        assert_eq!((climb.took(), climb.arrival(0), climb.arrival(5)), (secs(20), Duration::ZERO, secs(10)));
        assert_eq!([0, 1, 2, 19, 20, 99].map(|s| climb.let_in(secs(s))), [1, 1, 2, 10, 10, 10]);
    }

    #[test]
    fn a_rung_is_held_before_the_next_users_come() {
        let climb = Climb::of(&plan(100, vec![25, 50]));
        assert_eq!(climb.took(), secs(20 + 30));
        assert_eq!([24, 25, 50].map(|user| climb.arrival(user)), [secs(5).mul_f64(0.96), secs(20), secs(40)]);
        assert_eq!([5, 19, 20, 25, 39, 50].map(|s| climb.let_in(secs(s))), [25, 25, 26, 50, 50, 100]);
    }

    #[test]
    fn past_the_hold_users_come_as_quickly_and_every_rung_is_held() {
        let climb = Climb::beyond(&RampPlan { beyond: vec![150, 200], ..plan(100, Vec::new()) });
        assert_eq!(climb.took(), 2 * secs(10 + 15));
        assert_eq!([100, 125, 150].map(|user| climb.arrival(user)), [secs(0), secs(5), secs(25)]);
        assert_eq!([0, 5, 10, 24, 25, 99].map(|s| climb.let_in(secs(s))), [101, 126, 150, 150, 151, 200]);
        let seen = climb.rungs(secs(300)).finish(secs(100), secs(300 + 50));
        assert_eq!(seen.iter().map(|r| (r.users, r.from)).collect::<Vec<_>>(), [(150, 215), (200, 240)]);
        assert_eq!(Climb::beyond(&plan(100, Vec::new())).let_in(secs(9)), 0);
    }

    #[test]
    fn what_was_due_on_a_rung_is_its_own() {
        let sample = |due, outcome| Sample {
            endpoint: 0,
            status: 200,
            due,
            latency: Duration::from_millis(80),
            first_byte: Duration::ZERO,
            outcome,
            bytes: 0,
            cache: super::super::answer::CacheWord::default(),
        };
        let mut rungs = Climb::of(&plan(100, vec![25, 50])).rungs(secs(100));
        // The first stop lasts from 105 to 120; its first 5 s are for finding one's pace.
        let samples = [
            sample(secs(109), Outcome::Success),
            sample(secs(110), Outcome::Success),
            sample(secs(119), Outcome::Error(ErrorKind::Timeout)),
            sample(secs(119), Outcome::Cut),
            sample(secs(120), Outcome::Success),
        ];
        rungs.fold(&samples);
        let seen = rungs.finish(secs(100), secs(130));
        assert_eq!(seen.len(), 1, "the second stop was broken off");
        assert_eq!((seen[0].users, seen[0].requests, seen[0].errors, seen[0].latency.count()), (25, 2, 1, 1));
        assert_eq!((seen[0].from, seen[0].seconds), (10, 10.0));
    }

    proptest! {
        #[test]
        fn arrivals_and_head_count_agree(users in 1_u32..400, rungs in prop::collection::btree_set(0_u32..500, 0..5), at in 0_u64..200_000) {
            let climb = Climb::of(&plan(users, rungs.into_iter().collect()));
            let since = Duration::from_millis(at);
            let come = (0..users).filter(|user| climb.arrival(*user) <= since).count();
            prop_assert!(climb.let_in(since).abs_diff(u32::try_from(come).unwrap()) <= 1);
            prop_assert!((1..users).all(|user| climb.arrival(user - 1) <= climb.arrival(user)));
            prop_assert!(climb.arrival(users - 1) <= climb.took());
        }
    }
}
