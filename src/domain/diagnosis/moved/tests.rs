//! Made-up ramps: who leads, ties, missing sources, nothing moved, p95 never left, noise alone.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::*;
use crate::domain::ramp::ServerSample;

const TOP: u32 = 20;
const END: u32 = 100;

type Values = BTreeMap<String, f64>;

/// A Poisson number of this mean, by counting its arrivals.
fn count(random: &mut SmallRng, mean: f64) -> f64 {
    let (mut n, mut left) = (0.0, mean);
    loop {
        left += random.random_range(f64::MIN_POSITIVE..1.0_f64).ln();
        if left < 0.0 {
            return n;
        }
        n += 1.0;
    }
}

/// A ramp of 20 s to 200 users (26 requests a second), held to second 100; `change` bends it.
fn ramp(seed: u64, mut change: impl FnMut(u32, &mut Values)) -> FarSide {
    let mut random = SmallRng::seed_from_u64(seed);
    let samples = (0..END + 3)
        .map(|second| {
            let users = if second >= END { 0.0 } else { 10.0 * f64::from(second.min(TOP)) };
            let rps = (users * 0.13 + random.random_range(-1.5..1.5)).max(0.0).round();
            let mut values: Values = [
                (series::LOAD_USERS, users),
                (series::LOAD_RPS, rps),
                (series::PG_ACTIVE, count(&mut random, rps * 0.03)),
                (series::PG_LOCKS, 0.0),
                (series::PG_IO, count(&mut random, 0.05)),
                (series::PG_BACKENDS, 14.0),
                (series::PG_MOST, 100.0),
                (series::POOL_WAITING, count(&mut random, 0.1)),
                (series::CACHE_MISSES, count(&mut random, rps * 0.1)),
                (series::CACHE_EVICTED, 0.0),
                (series::QUEUE_DEPTH, count(&mut random, rps * 0.05)),
                (series::LOAD_P95, 80.0 + random.random_range(-20.0..20.0)),
                (series::GENERATOR_LAG, random.random_range(0.5..3.0)),
                (series::EDGE_BLOCKED_SHARE, 0.0),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
            // Two of three answers come from the edge's cache.
            let hits = (0..rps as u32).filter(|_| random.random_bool(0.67)).count() as f64;
            if rps > 0.0 {
                values.extend([
                    (series::EDGE_ANSWERS.to_owned(), rps),
                    (series::EDGE_HIT_SHARE.to_owned(), 100.0 * hits / rps),
                ]);
            }
            change(second, &mut values);
            ServerSample { second, values }
        })
        .collect();
    FarSide { samples, hold: Some((40, END)), ..FarSide::default() }
}

/// From these seconds on, these series have these values.
fn from(changes: &'static [(u32, &'static str, f64)]) -> impl FnMut(u32, &mut Values) {
    move |now, values| {
        for (_, name, value) in changes.iter().filter(|c| now >= c.0) {
            values.insert((*name).to_owned(), *value);
        }
    }
}

#[test]
fn the_one_that_leads_is_named_with_its_remedy() {
    for (name, value, step) in [
        (series::POOL_WAITING, 11.0, Some(5)),
        (series::PG_LOCKS, 6.0, Some(9)),
        (series::PG_ACTIVE, 40.0, Some(9)),
        (series::PG_BACKENDS, 97.0, Some(5)),
        (series::CACHE_MISSES, 60.0, Some(3)),
        (series::CACHE_EVICTED, 20.0, Some(3)),
        (series::QUEUE_DEPTH, 50.0, Some(6)),
        (series::EDGE_HIT_SHARE, 5.0, Some(2)),
        (series::EDGE_BLOCKED_SHARE, 40.0, Some(8)),
        (series::GENERATOR_LAG, 80.0, None),
    ] {
        let at = |second: u32| {
            moved(&ramp(1, |now, values| {
                if now >= second {
                    values.insert(name.to_owned(), value);
                }
                from(&[(55, series::LOAD_P95, 700.0)])(now, values);
            }))
            .unwrap()
        };
        let seen = at(50);
        let first: Vec<_> = seen.first.iter().map(|m| (m.series.as_str(), m.second, m.step)).collect();
        assert_eq!(first, [(name, 50, step)]);
        assert!(seen.sentences()[0].contains("5 s before p95"), "{:?}", seen.sentences());
        assert!(seen.sentences()[0].starts_with("moved first (correlation): "));
        assert!(seen.sentences().last().unwrap().contains("at second 55 (200 users), "), "{:?}", seen.sentences());
        // What moves after p95 is a consequence, if anything.
        let late = at(60);
        assert_eq!((late.p95.map(|p| p.second), late.first), (Some(55), vec![]), "{name}");
    }
}

#[test]
fn what_moves_past_the_hold_is_seen_too() {
    let mut far = ramp(1, from(&[(70, series::POOL_WAITING, 11.0), (72, series::LOAD_P95, 700.0)]));
    far.hold = Some((40, 65));
    let seen = moved(&far).unwrap();
    assert_eq!((seen.p95.map(|p| p.second), seen.first[0].second), (Some(72), 70));
}

#[test]
fn of_two_at_once_the_deeper_one_comes_first() {
    let changes = &[(50, series::POOL_WAITING, 9.0), (50, series::PG_LOCKS, 5.0), (51, series::LOAD_P95, 700.0)];
    let seen = moved(&ramp(2, from(changes))).unwrap();
    let names: Vec<&str> = seen.first.iter().map(|m| m.series.as_str()).collect();
    assert_eq!(names, [series::PG_LOCKS, series::POOL_WAITING]);
    assert!(seen.sentences()[0].contains("with p95") && seen.sentences()[1].starts_with("then: "));
}

#[test]
fn a_cache_that_keeps_nothing_more_explains_the_database() {
    let changes = &[(50, series::PG_ACTIVE, 40.0), (50, series::EDGE_HIT_SHARE, 0.0), (52, series::LOAD_P95, 700.0)];
    let seen = moved(&ramp(6, from(changes))).unwrap();
    let names: Vec<&str> = seen.first.iter().map(|m| m.series.as_str()).collect();
    assert_eq!(names, [series::EDGE_HIT_SHARE, series::PG_ACTIVE]);
    let said = &seen.sentences()[0];
    assert!(said.contains("edge cache hits, %") && said.contains("→ 0") && said.contains("step 2"), "{said}");
    // More hits are no reason for anything.
    let better = &[(50, series::EDGE_HIT_SHARE, 100.0), (52, series::LOAD_P95, 700.0)];
    assert_eq!(moved(&ramp(6, from(better))).unwrap().first, []);
}

#[test]
fn nothing_behind_the_app_points_to_its_workers_only_when_it_was_watched() {
    let breaks = &[(55, series::LOAD_P95, 700.0)];
    let seen = moved(&ramp(3, from(breaks))).unwrap();
    assert!(seen.sentences()[0].contains("step 7, workers and threads"), "{:?}", seen.sentences());
    let blind = moved(&ramp(3, |now, values| {
        values.retain(|name, _| name.starts_with("load."));
        from(breaks)(now, values);
    }));
    let said = blind.unwrap().sentences().join(" ");
    assert!(said.contains("not watched: PostgreSQL, PgBouncer, Redis, the job queue"), "{said}");
    assert!(!said.contains("step 7"), "{said}");
}

#[test]
fn a_calm_p95_names_nothing() {
    let seen = moved(&ramp(4, from(&[(50, series::POOL_WAITING, 11.0)]))).unwrap();
    assert_eq!((&seen.p95, seen.first.len(), seen.sentences().len()), (&None, 0, 0));
    assert_eq!(moved(&FarSide::default()), None);
}

#[test]
fn what_grows_with_the_users_has_not_moved() {
    // p95 breaks in the middle of the climb; database, cache and queue only carry more.
    let seen = moved(&ramp(5, from(&[(14, series::LOAD_P95, 700.0)]))).unwrap();
    assert_eq!((seen.p95.map(|p| p.second), seen.first), (Some(14), vec![]));
}

#[test]
fn noise_alone_is_rarely_named() {
    let named = (0..200)
        .filter(|seed| !moved(&ramp(1000 + seed, from(&[(90, series::LOAD_P95, 700.0)]))).unwrap().first.is_empty())
        .count();
    assert!(named <= 10, "{named} of 200 ramps");
    let left = (0..200).filter(|seed| moved(&ramp(5000 + seed, |_, _| ())).unwrap().p95.is_some()).count();
    assert!(left <= 2, "{left} of 200 ramps");
}
