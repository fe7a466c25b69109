//! Queues with a worker that keeps up, and with one that does not.

use std::collections::BTreeMap;

use super::*;
use crate::domain::ramp::ServerSample;
use rand::{Rng, SeedableRng, rngs::SmallRng};

/// A ramp whose users are all there from second 20 on, held from second 30.
fn ramp(depth: impl Fn(u32) -> f64, active: impl Fn(u32) -> Option<f64>, to: u32) -> FarSide {
    let sample = |second: u32| {
        let mut values = BTreeMap::from([
            (series::LOAD_USERS.to_owned(), f64::from((second * 15).min(300))),
            (series::QUEUE_DEPTH.to_owned(), depth(second)),
        ]);
        values.extend(active(second).map(|count| (series::QUEUE_ACTIVE.to_owned(), count)));
        ServerSample { second, values }
    };
    FarSide { samples: (0..to).map(sample).collect(), hold: Some((30, to)), ..FarSide::default() }
}

#[test]
fn waves_that_drain_are_told_from_a_level_that_rises() {
    let none = |_| None;
    for (name, pace, rate, far_side) in [
        ("quiet", Pace::Kept, 2.0, ramp(|s| f64::from(s % 3), none, 90)),
        // A hundred tasks at every full minute, done within 25 s: a sawtooth, whatever its phase.
        ("batch", Pace::Kept, 3.0, ramp(|s| f64::from(100_u32.saturating_sub(4 * (s % 60))), none, 90)),
        ("batch late", Pace::Kept, 3.0, ramp(|s| f64::from(100_u32.saturating_sub(4 * ((s + 15) % 60))), none, 90)),
        // Still at it when the hold ends, and half way through.
        ("batch ends", Pace::Kept, 3.0, ramp(|s| if s < 65 { 1.0 } else { f64::from(100 - 3 * (s - 65)) }, none, 90)),
        // Nine of ten are done, at 2 a second and at 0.6.
        ("nine of ten", Pace::Behind, 2.0, ramp(|s| (0.2 * f64::from(s)).floor(), none, 90)),
        ("slowly", Pace::Behind, 0.6, ramp(|s| (0.06 * f64::from(s)).floor(), none, 150)),
        ("long", Pace::Kept, 2.0, ramp(|s| 80.0 - f64::from(s) / 40.0, none, 90)),
        ("long and wavy", Pace::Kept, 2.0, ramp(|s| 80.0 + f64::from(s % 7), none, 90)),
        // Twenty long tasks at a time, all of them being done.
        ("at work", Pace::Kept, 2.0, ramp(|s| f64::from(15 + s / 8), |s| Some(f64::from(15 + s / 8)), 90)),
        ("too short", Pace::Open, 2.0, ramp(f64::from, none, 36)),
    ] {
        let backlog = Backlog::of(&far_side, 300).unwrap();
        let pace_of = backlog.pace(rate, 0.03);
        // A hold of six seconds has too few increments only where the users came with it.
        if name == "too short" {
            assert_ne!(pace_of, Pace::Kept, "{name}: {backlog:?}");
        } else {
            assert_eq!(pace_of, pace, "{name}: {backlog:?}");
        }
    }
    assert_eq!(Backlog::of(&FarSide::default(), 300), None);
}

/// Of two hundred holds of two minutes: how many are kept up with and how many fall behind, by workers that could do
/// `capacity` times of what comes in (five tasks a second, by chance) and by one second's worth at a time.
fn outcomes(capacity: f64) -> (usize, usize) {
    let mut random = SmallRng::seed_from_u64(7);
    let mut counts = (0, 0);
    for _ in 0..200 {
        let (mut level, mut levels) = (0.0_f64, Vec::new());
        for second in 0..150_u32 {
            let came = (0..50).filter(|_| random.random::<f64>() < 0.1 * f64::from(second.min(20)) / 20.0).count();
            level = (level + came as f64 - 5.0 * capacity).max(0.0);
            levels.push(level.floor());
        }
        let far_side = ramp(|second| levels[second as usize], |_| None, 150);
        match Backlog::of(&far_side, 300).unwrap().pace(5.0, 0.03) {
            Pace::Kept => counts.0 += 1,
            Pace::Behind => counts.1 += 1,
            Pace::Open => {}
        }
    }
    counts
}

#[test]
fn workers_with_room_pass_and_those_that_do_nine_of_ten_do_not() {
    let (kept, behind) = outcomes(1.25);
    assert!(kept >= 198 && behind == 0, "{kept} kept, {behind} behind");
    let (kept, behind) = outcomes(0.9);
    assert!(kept <= 6 && behind >= 150, "{kept} kept, {behind} behind");
    let (kept, _) = outcomes(0.8);
    assert_eq!(kept, 0);
}
