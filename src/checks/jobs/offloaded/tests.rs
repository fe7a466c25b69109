//! What looks like work that left the request and is none, and the other way round.

use super::*;

#[test]
fn offload_traps() {
    let check = SlowWorkOffloaded::default();
    let facts = |requests, p95_ms, processed, queued| OffloadFacts {
        promised_ms: 300.0,
        kind: QueueKind::Celery,
        failed: None,
        later: 0.0,
        retried: 0.0,
        idle: Some(Came { tasks: 0.0, seconds: 60.0 }),
        endpoints: vec![Slow { name: "checkout".to_owned(), requests, p95_ms }],
        hold_seconds: 60,
        covered: 60,
        processed,
        queued,
    };
    let idle =
        |tasks: Option<f64>, facts| OffloadFacts { idle: tasks.map(|tasks| Came { tasks, seconds: 60.0 }), ..facts };
    // Whatever can still pass is watched; what cannot is not waited for.
    let unwatched = |processed| idle(None, facts(5, Some(42.0), processed, 0.0));
    assert_eq!([5.0, 0.0].map(|processed| check.open(&unwatched(processed))), [true, false]);
    for (word, facts) in [
        ("pass", facts(20, Some(42.0), 20.0, 0.0)),
        ("pass", facts(20, Some(42.0), 15.0, 2.0)),
        // Inline, and eager: nothing reaches a worker, fast or not.
        ("fail", facts(20, Some(431.0), 0.0, 0.0)),
        ("fail", facts(20, Some(431.0), 20.0, 0.0)),
        ("fail", facts(20, Some(42.0), 0.0, 0.0)),
        ("fail", facts(20, Some(42.0), 5.0, 0.0)),
        // Queued for nobody.
        ("fail", facts(20, Some(42.0), 0.0, 20.0)),
        ("unknown", facts(0, None, 20.0, 0.0)),
        ("unknown", facts(4, Some(42.0), 4.0, 0.0)),
        ("unknown", OffloadFacts { covered: 10, ..facts(20, Some(42.0), 20.0, 0.0) }),
        ("unknown", OffloadFacts { endpoints: vec![], ..facts(20, Some(42.0), 20.0, 0.0) }),
        ("fail", OffloadFacts { covered: 0, ..facts(20, Some(431.0), 0.0, 0.0) }),
        // Somebody else's tasks, as many without us as with us.
        ("fail", idle(Some(60.0), facts(60, Some(42.0), 61.0, 0.0))),
        ("unknown", idle(Some(20.0), facts(20, Some(42.0), 21.0, 0.0))),
        ("pass", idle(Some(20.0), facts(60, Some(42.0), 80.0, 0.0))),
        ("pass", idle(Some(2.0), facts(20, Some(42.0), 22.0, 0.0))),
        // None seen in a minute may be three in the next one.
        ("unknown", facts(5, Some(42.0), 4.0, 0.0)),
        // So many that ours drown in them, and a count that is hidden.
        ("unknown", idle(Some(900.0), facts(20, Some(42.0), 920.0, 0.0))),
        ("unknown", idle(None, facts(20, Some(42.0), 20.0, 0.0))),
        // Every task raises; a few are tried again and done.
        ("fail", OffloadFacts { failed: Some(20.0), ..facts(20, Some(42.0), 20.0, 0.0) }),
        ("fail", OffloadFacts { failed: Some(120.0), ..facts(20, Some(42.0), 120.0, 0.0) }),
        ("pass", OffloadFacts { failed: Some(6.0), ..facts(20, Some(42.0), 26.0, 0.0) }),
        // Each was begun, raised, and waits to be tried again; or was tried six times meanwhile. A few fail, and most do not.
        ("unknown", OffloadFacts { retried: 100.0, ..facts(20, Some(42.0), 120.0, 0.0) }),
        ("unknown", OffloadFacts { later: 20.0, retried: 20.0, ..facts(20, Some(42.0), 20.0, 20.0) }),
        ("pass", OffloadFacts { later: 2.0, retried: 2.0, ..facts(20, Some(42.0), 20.0, 2.0) }),
        // What is begun twice is one task: two fifths of the work left the request.
        ("fail", OffloadFacts { later: 8.0, retried: 8.0, ..facts(20, Some(42.0), 8.0, 8.0) }),
        // Drained meanwhile: what was done in the hold was sent before it.
        ("fail", facts(20, Some(42.0), 20.0, -18.0)),
        // To be done in a quarter of an hour: a worker holds them until then.
        ("pass", OffloadFacts { later: 20.0, ..facts(20, Some(42.0), 0.0, 20.0) }),
    ] {
        assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
    }
}
