//! From a gate to a ramp: how long to hold so that the hold can prove what the promise says, and what it then can claim.

use std::time::Duration;

use super::flow::{Mix, Pauses, Think};
use super::ramp::{Claim, Model, RampPlan};
use super::slo::Slo;
use super::step::Gate;
use super::verdict::at_look;
use crate::stats::{order, proportion};

/// How thoroughly to measure, and the times that belong to the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// A practice measurement: the same machinery and the same floors, with fewer users at shortened think times.
    pub quick: bool,
    /// Time to bring all users in; chosen by their number when absent.
    pub climb: Option<Duration>,
    /// Longest wait for a steady state.
    pub settle_limit: Duration,
    /// A request that takes longer counts as a timeout error.
    pub timeout: Duration,
    /// Who decides when a flow begins.
    pub model: Model,
}

/// Most users of a practice measurement, unless an endpoint of its own needs more requests than they make. A full one
/// always holds the users its gate asks for.
const PRACTICE_USERS: u32 = 100;

/// Pauses of a practice measurement, as a share of the usual ones: users in a hurry, but no busy loop that a site at
/// an early step could never stand.
const PRACTICE_HURRY: f64 = 0.5;

/// Longest settling of a practice measurement.
const PRACTICE_SETTLE: Duration = Duration::from_secs(10);

/// Requests collected over the floor, as a factor: pauses are random, and a single failure must not spoil every hold.
const RESERVE: f64 = 1.25;

/// Requests wanted of a rung, so that its p95 is worth showing.
const RUNG_REQUESTS: f64 = 60.0;

/// Shortest practice hold: four bootstrap blocks, and two halves that can be compared.
const LEAST_HOLD: f64 = 20.0;

/// How often an undecided hold may be made longer by its own length.
const EXTENSIONS: u8 = 2;

/// The same for a practice measurement, which must stay short.
const PRACTICE_EXTENSIONS: u8 = 1;

/// The ramp for a gate and what a clean hold of it could show.
///
/// The pause is the gate's, else the mix's, else [`Mix::THINK`]. The hold lasts as long as the gate says or longer: until
/// the floors of p95 and error rate are passed with a reserve at the confidence of the first look, at as many requests a second as [`Mix::rate`] expects.
/// Endpoints that must meet the limit on their own need 59 requests themselves: the rarest decides.
#[must_use]
pub fn plan(gate: &Gate, slo: &Slo, mix: &Mix, pace: &Pace, seed: u64) -> (RampPlan, Claim) {
    let extensions = if pace.quick { PRACTICE_EXTENSIONS } else { EXTENSIONS };
    let slo = &at_look(slo, extensions, 1);
    let natural = gate.think.or(mix.think).unwrap_or(Mix::THINK);
    // A rare endpoint needs so many requests that only the gate's own users make them without overrunning the site.
    let practice = pace.quick && gate.endpoints.is_empty();
    let users = if practice { gate.users.min(PRACTICE_USERS) } else { gate.users }.max(1);
    let think = if practice { natural.times(PRACTICE_HURRY) } else { natural };
    let pauses = Pauses { usual: think, own: own(pace.quick) };
    let each = mix.rate(pauses, |_| true);
    let rate = f64::from(users) * each;
    let needed = needed(gate, slo, mix, pauses);
    let least = if pace.quick { LEAST_HOLD } else { gate.hold.as_secs_f64().max(LEAST_HOLD) };
    // Whole fives: the bootstrap draws blocks of five seconds.
    let hold = Duration::from_secs_f64((least.max(in_time(needed, rate)) / 5.0).ceil() * 5.0);
    let climb = if pace.quick { 3.0 } else { (f64::from(users) / 50.0).clamp(5.0, 30.0) };
    // Rungs are numbers of users; in the open model nobody counts users.
    let closed = pace.model == Model::Closed;
    let rungs: Vec<u32> = gate.rungs.iter().copied().filter(|rung| closed && *rung < users).collect();
    // A practice climb stays short: its lowest and its highest rung.
    let rungs = match rungs[..] {
        [low, .., high] if pace.quick => vec![low, high],
        _ => rungs,
    };
    // A practice climb stays below what a site at an early step could not stand.
    let beyond: Vec<u32> = gate.beyond.iter().copied().filter(|rung| closed && !pace.quick && *rung > users).collect();
    let lowest = rungs.first().or(beyond.first());
    let rung_hold = lowest.map_or(Duration::ZERO, |lowest| rung_hold(f64::from(*lowest) * each));
    let plan = RampPlan {
        users,
        climb: pace.climb.filter(|_| !pace.quick).unwrap_or(Duration::from_secs_f64(climb)),
        settle_limit: if pace.quick { pace.settle_limit.min(PRACTICE_SETTLE) } else { pace.settle_limit },
        hold,
        think,
        timeout: pace.timeout,
        seed,
        quick: pace.quick,
        extensions,
        rungs,
        rung_hold,
        beyond,
        model: pace.model,
    };
    let claim = claim(&plan, slo, rate);
    (plan, claim)
}

/// Requests a hold needs: the largest floor and a reserve. A limit that no sample can prove adds nothing.
fn needed(gate: &Gate, slo: &Slo, mix: &Mix, pauses: Pauses) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "floors are far below 2^52")]
    let float = |floor: Option<u64>| floor.unwrap_or(0) as f64;
    let p95 = float(order::floor(0.95, slo.confidence));
    let errors = float(proportion::floor(slo.error_percent / 100.0, slo.confidence));
    let shares = gate.endpoints.iter().map(|name| mix.share_of(name, pauses));
    let rarest = shares.filter(|share| *share > 0.0).fold(1.0, f64::min);
    (p95 / rarest).max(errors) * RESERVE
}

/// Seconds until so many requests are made; none for flows that make no request, which no ramp plays.
fn in_time(requests: f64, rate: f64) -> f64 {
    if rate > 0.0 { requests / rate } else { 0.0 }
}

/// Factor on the pauses that steps have of their own.
const fn own(quick: bool) -> f64 {
    if quick { PRACTICE_HURRY } else { 1.0 }
}

impl RampPlan {
    /// A step's own pause as this ramp plays it: shorter in a practice measurement, like all the others.
    #[must_use]
    pub fn in_its_pace(&self, think: Think) -> Think {
        think.times(own(self.quick))
    }

    /// The pauses of its users.
    #[must_use]
    pub fn pauses(&self) -> Pauses {
        Pauses { usual: self.think, own: own(self.quick) }
    }
}

/// A short hold on each rung, long enough for the lowest to make a few dozen requests.
fn rung_hold(rate: f64) -> Duration {
    Duration::from_secs_f64(in_time(RUNG_REQUESTS, rate).ceil().clamp(10.0, 30.0))
}

fn claim(plan: &RampPlan, slo: &Slo, rate: f64) -> Claim {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive count")]
    let requests = (rate * plan.hold.as_secs_f64()).round() as u64;
    let percentile = |rank: u64| {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let share = rank as f64 / requests.max(1) as f64;
        share * 100.0
    };
    let likely = plan.climbing() + plan.settle_limit + plan.hold + plan.exploring();
    let ranks = order::ranks(requests, 0.95, slo.confidence);
    Claim {
        requests,
        error_percent: proportion::bounds(0, requests, slo.confidence)
            .map(|(_, high)| high * 100.0)
            .filter(|_| slo.error_percent > 0.0),
        p95_ranks: ranks.low.zip(ranks.high).map(|(low, high)| (percentile(low), percentile(high))),
        takes: likely,
        longest: likely + plan.hold * u32::from(plan.extensions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::flow::{Flow, FlowStep};
    use proptest::{prop_assert, proptest};

    const FULL: Pace = Pace {
        quick: false,
        climb: None,
        settle_limit: Duration::from_secs(60),
        timeout: Duration::from_secs(10),
        model: Model::Closed,
    };
    const QUICK: Pace = Pace { quick: true, ..FULL };

    fn think(text: &str) -> Option<Think> {
        (!text.is_empty()).then(|| Think::try_from(text.to_owned()).unwrap())
    }

    fn gate(users: u32, pause: &str) -> Gate {
        Gate {
            users,
            hold: Duration::from_secs(60),
            think: think(pause),
            slo: None,
            endpoints: Vec::new(),
            rungs: Vec::new(),
            beyond: Vec::new(),
        }
    }

    /// One step, over and over.
    fn mix() -> Mix {
        let steps = vec![FlowStep { get: Some("/".into()), ..FlowStep::default() }];
        Mix { flows: vec![Flow { name: "f".into(), weight: 1, login: None, steps }], ..Mix::default() }
    }

    fn planned(gate: &Gate, pace: &Pace) -> (RampPlan, Claim) {
        plan(gate, &Slo::default(), &mix(), pace, 1)
    }

    #[test]
    fn ten_users_are_held_until_the_floor_is_passed() {
        let (plan, claim) = planned(&gate(10, "1s-3s"), &FULL);
        assert_eq!(plan.hold, Duration::from_secs(170));
        assert!((800..820).contains(&claim.requests), "{}", claim.requests);
        assert!(claim.error_percent.unwrap() < 0.41);
        let (low, high) = claim.p95_ranks.unwrap();
        assert!((92.5..94.0).contains(&low) && (96.0..97.5).contains(&high), "{low} {high}");
        assert_eq!(claim.takes, Duration::from_secs(5 + 60 + 170));
        assert_eq!((plan.extensions, claim.longest), (2, claim.takes + Duration::from_secs(2 * 170)));
    }

    #[test]
    fn a_thousand_users_need_no_longer_than_the_gate_says() {
        let (plan, claim) = planned(&gate(1000, ""), &FULL);
        assert_eq!((plan.hold, plan.climb), (Duration::from_secs(60), Duration::from_secs(20)));
        assert_eq!(plan.think, Mix::THINK);
        assert!((7500..8500).contains(&claim.requests));
    }

    #[test]
    fn an_endpoint_of_its_own_makes_the_hold_as_long_as_its_floor_needs() {
        let step =
            |name: &str, share| FlowStep { name: name.into(), get: Some("/".into()), share, ..FlowStep::default() };
        let steps = vec![step("page", None), step("checkout", Some(0.02))];
        let mix = Mix { flows: vec![Flow { name: "f".into(), weight: 1, login: None, steps }], ..Mix::default() };
        let gate = Gate { endpoints: vec!["checkout".into()], ..gate(300, "") };
        for pace in [FULL, QUICK] {
            let (plan, claim) = plan(&gate, &Slo::default(), &mix, &pace, 1);
            let checkouts = mix.share_of("checkout", plan.pauses()) * f64::from(u32::try_from(claim.requests).unwrap());
            assert!(checkouts > 59.0 * 1.2, "{checkouts}");
        }
    }

    #[test]
    fn practice_is_short_and_still_passes_the_floor() {
        for (users, pause) in [(10, "1s-3s"), (50, "3s-6s"), (1000, "5s-10s")] {
            let (plan, claim) = planned(&gate(users, pause), &QUICK);
            assert!(plan.quick && plan.users == users.min(100));
            assert!(claim.requests >= 740, "{users}: {}", claim.requests);
            assert!(claim.takes <= Duration::from_secs(3 + 10 + 90), "{users}: {:?}", claim.takes);
        }
    }

    #[test]
    fn rungs_are_held_shortly_and_practice_stops_on_two_of_them() {
        let gate = Gate { rungs: vec![10, 25, 50, 200], ..gate(500, "5s-10s") };
        let (full, claim) = planned(&gate, &FULL);
        assert_eq!((full.rungs.as_slice(), full.rung_hold), (&[10, 25, 50, 200][..], Duration::from_secs(30)));
        assert_eq!(claim.takes, full.climb + 4 * full.rung_hold + full.settle_limit + full.hold);
        // Of a practice measurement's hundred users.
        assert_eq!(planned(&gate, &QUICK).0.rungs, [10, 50]);
        assert_eq!(planned(&super::tests::gate(500, ""), &FULL).0.rung_hold, Duration::ZERO);
    }

    #[test]
    fn rungs_past_the_hold_take_their_time_and_practice_has_none() {
        let gate = Gate { beyond: vec![400, 600], ..gate(200, "5s-10s") };
        let (full, claim) = planned(&gate, &FULL);
        assert_eq!((full.beyond.as_slice(), full.most_users()), (&[400, 600][..], 600));
        // Two hundred users came in 5 s, so four hundred more take 10 s.
        assert_eq!(full.exploring(), Duration::from_secs(10) + 2 * full.rung_hold);
        assert_eq!(claim.takes, full.climb + full.settle_limit + full.hold + full.exploring());
        assert_eq!((planned(&gate, &QUICK).0.beyond, planned(&gate, &QUICK).0.most_users()), (Vec::new(), 100));
        let open = Pace { model: Model::Open, ..FULL };
        assert_eq!(planned(&gate, &open).0.beyond, Vec::<u32>::new());
    }

    #[test]
    fn the_mix_pauses_when_the_gate_does_not_say() {
        let mix = Mix { think: think("2s"), ..mix() };
        assert_eq!(Some(plan(&gate(10, ""), &Slo::default(), &mix, &FULL, 1).0.think), mix.think);
        assert_eq!(Some(plan(&gate(10, "1s"), &Slo::default(), &mix, &FULL, 1).0.think), think("1s"));
    }

    #[test]
    fn pauses_of_a_steps_own_and_none_at_all_count_when_the_gate_pauses_otherwise() {
        let mut mix = mix();
        let first = mix.flows[0].steps[0].clone();
        mix.flows[0].steps.push(FlowStep { at_once: true, ..first.clone() });
        mix.flows[0].steps.push(FlowStep { think: think("30s"), ..first });
        // 2 s of the gate's, none, 30 s of the step's own, and 0.1 s a request; in practice half of the pauses.
        for (pace, pass) in [(FULL, 32.3), (QUICK, 16.3)] {
            let (plan, claim) = plan(&gate(50, "2s"), &Slo::default(), &mix, &pace, 1);
            let expected = 50.0 * 3.0 / pass * plan.hold.as_secs_f64();
            assert_eq!(claim.requests, expected.round() as u64);
            assert!(claim.error_percent.unwrap() < 0.5, "long pauses make the hold longer");
        }
        assert_eq!(plan(&gate(50, ""), &Slo::default(), &Mix::default(), &FULL, 1).1.requests, 0);
    }

    proptest! {
        #[test]
        fn every_plan_can_prove_its_promise(users in 0_u32..2000, think in 0_u64..20_000, error in 0.05_f64..5.0, quick: bool) {
            let slo = Slo { error_percent: error, ..Slo::default() };
            let pace = if quick { QUICK } else { FULL };
            let (plan, claim) = plan(&gate(users, &format!("{think}ms")), &slo, &mix(), &pace, 1);
            prop_assert!(claim.error_percent.unwrap() < error);
            prop_assert!(claim.p95_ranks.is_some());
            prop_assert!(plan.users >= 1 && plan.hold >= Duration::from_secs(20));
        }
    }
}
