//! Which library does the background work: its keys on the broker tell, or its listeners. Knows none of them well.

use std::time::Duration;

use crate::domain::site::QueueKind;
use crate::probes::ProbeError;
use crate::probes::redis::Redis;

use super::{UNNAMED, celery, huey};

/// Which library left its keys, or listens.
pub(super) async fn detect(redis: &Redis, variable: &str) -> Result<Option<QueueKind>, ProbeError> {
    let mut pipe = redis::pipe();
    pipe.exists(&["rq:workers", "rq:queues"]).exists(&["_kombu.binding.celery.pidbox", "_kombu.binding.celery"]);
    let (rq, kombu): (u64, u64) = redis.ask_all(&pipe).await?;
    let other = if rq > 0 { Some(QueueKind::Rq) } else { redis.find("huey.*").await?.map(|_| QueueKind::Huey) };
    // Keys outlive a library that was given up. Celery's workers can be called: whether one listens, decides.
    let kombu = kombu > 0 || redis.find("*_kombu.binding.*").await?.is_some();
    if other.is_some() && !(kombu && celery::listens(redis, UNNAMED, variable).await?) {
        return Ok(other);
    }
    if kombu {
        return Ok(Some(QueueKind::Celery));
    }
    // An idle Huey leaves no key at all; whoever waits for a task here and is none of the others is its consumer.
    let idle = huey::Broker::new(redis.clone(), UNNAMED).workers(Duration::ZERO).await;
    Ok(idle.is_ok_and(|workers| !workers.heard.is_empty()).then_some(QueueKind::Huey))
}

/// A broker that is spoken to in another protocol.
pub(super) fn other_transport(address: &str, variable: &str) -> Option<ProbeError> {
    let scheme = address.split("://").next().unwrap_or_default().to_ascii_lowercase();
    let (name, look) = match scheme.as_str() {
        "amqp" | "amqps" | "pyamqp" => (
            "RabbitMQ",
            "celery -A yourproject inspect ping && celery -A yourproject inspect active_queues, and on its server: \
             rabbitmqctl list_queues name messages messages_unacknowledged consumers",
        ),
        "sqs" => (
            "Amazon SQS, where workers cannot be asked",
            "aws sqs get-queue-attributes --queue-url URL --attribute-names ApproximateNumberOfMessages \
             ApproximateNumberOfMessagesNotVisible, twice: it must not grow",
        ),
        _ => return None,
    };
    Some(ProbeError::NotGiven {
        what: format!("{variable} leads to {name}; rampup asks brokers on Redis only"),
        provide: format!("see it yourself: {look}; then waive this check with what you saw"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::wire;
    use super::*;

    #[test]
    fn another_broker_is_named_with_the_command_that_tells_and_without_its_password() {
        for (address, word) in
            [("amqp://u:geheim@h/v", "RabbitMQ"), ("amqps://u:geheim@h", "rabbitmqctl"), ("sqs://a:geheim@", "aws sqs")]
        {
            let said = other_transport(address, "BROKER_URL").unwrap().to_string();
            assert!(said.contains(word) && said.contains("BROKER_URL") && !said.contains("geheim"), "{said}");
        }
        for address in ["redis://h:6379/0", "rediss://h:6380/0?ssl_cert_reqs=CERT_NONE"] {
            assert!(other_transport(address, "BROKER_URL").is_none());
        }
    }

    #[tokio::test]
    async fn keys_that_were_left_behind_do_not_hide_the_workers_that_listen() {
        for (rq, kombu, listens, expected) in [
            (1, 1, 1, Some(QueueKind::Celery)),
            (1, 1, 0, Some(QueueKind::Rq)),
            (1, 0, 0, Some(QueueKind::Rq)),
            (0, 1, 0, Some(QueueKind::Celery)),
            (0, 0, 0, None),
        ] {
            let answer = move |words: &[String]| match (words[0].as_str(), words.get(1).map(String::as_str)) {
                ("EXISTS", Some("rq:workers")) => wire::number(rq),
                ("EXISTS", _) => wire::number(kombu),
                ("PUBLISH", _) => wire::number(listens),
                ("SCAN", _) => wire::list([wire::text("0"), wire::list([])]),
                ("CLIENT", Some("LIST")) => wire::text(""),
                ("SADD" | "SREM" | "DEL", _) => wire::number(1),
                _ => wire::ok(),
            };
            let server = wire::serve(Duration::ZERO, answer).await;
            let kind = detect(&server.redis().await, "BROKER_URL").await.unwrap();
            assert_eq!(kind, expected, "rq {rq} kombu {kombu} listens {listens}");
        }
    }
}
