//! Celery's words, and a broker that says what a real one said.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::*;
use crate::probes::jobs::wire;

#[test]
fn an_answer_to_a_ping_is_read() {
    let reply = r#"{"body": "eyJjZWxlcnlAdm0iOiB7Im9rIjogInBvbmcifX0=", "properties": {"body_encoding": "base64"}}"#;
    assert_eq!(body(reply).unwrap()["celery@vm"]["ok"], "pong");
    assert_eq!(body("not json"), None);
}

/// A broker whose workers listen as `asked` says, and answer `late`.
async fn broker(asked: u64, answer_of: Option<&'static str>, late: Duration, clients: &'static str) -> Broker {
    let (began, told) = (std::time::Instant::now(), AtomicBool::new(false));
    let answer = move |words: &[String]| match words[0].as_str() {
        "PUBLISH" => wire::number(asked),
        "RPOP" => match answer_of.filter(|_| began.elapsed() > late && !told.swap(true, Relaxed)) {
            Some(said) => wire::text(&serde_json::json!({ "body": said }).to_string()),
            None => wire::none(),
        },
        "CLIENT" if words[1] == "LIST" => wire::text(clients),
        "PSUBSCRIBE" => wire::list([wire::text("psubscribe"), wire::text(&words[1]), wire::number(1)]),
        "SADD" | "SREM" | "DEL" => wire::number(1),
        _ => wire::ok(),
    };
    let server = wire::serve(Duration::ZERO, answer).await;
    Broker::new(server.redis().await, Layout::default(), "celery", "BROKER_URL")
}

#[tokio::test]
async fn a_late_answer_is_waited_for_and_a_silent_worker_is_not_nobody() {
    let served = r#"{"celery@vm": [{"name": "celery"}]}"#;
    let (soon, late) = (Duration::ZERO, Duration::from_millis(400));
    let waits = "id=3 idle=0 db=0 cmd=brpop\n";
    for (broker, serves, silent) in [
        (broker(1, Some(served), soon, "").await, true, 0),
        (broker(1, Some(served), late, "").await, true, 0),
        // At a task that holds it up; one that is there and one that is not.
        (broker(1, None, soon, "").await, false, 1),
        (broker(2, Some(served), soon, "").await, true, 1),
        // Remote control and heartbeats switched off: somebody waits for tasks all the same.
        (broker(0, None, soon, waits).await, false, 1),
        (broker(0, None, soon, "id=3 idle=0 db=1 cmd=brpop\n").await, false, 0),
    ] {
        let workers = broker.workers(Duration::from_millis(900)).await.unwrap();
        assert_eq!((workers.serve("celery"), workers.silent), (serves, silent), "{workers:?}");
    }
}
