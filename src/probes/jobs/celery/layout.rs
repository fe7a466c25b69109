//! Are the broker's keys named as rampup reads them? Kombu can be told to name them otherwise (`broker_transport_options`):
//! then the lists that are read are empty for ever, and an empty list looks like a queue that is served well.

use crate::probes::ProbeError;
use crate::probes::jobs::MOST;
use crate::probes::redis::Redis;

use super::{SEPARATOR, lists};

/// Keys that begin with the queue's name and are looked at: results of tasks may lie beside its lists.
const BESIDE: usize = 10_000;

/// Says no when this queue's tasks are in lists that are not read.
///
/// # Errors
/// No answer in time; keys under other names.
pub(in crate::probes::jobs) async fn read(redis: &Redis, queue: &str) -> Result<(), ProbeError> {
    let bindings = redis.keys("*_kombu.binding.*", MOST).await?;
    if let Some(prefix) = prefix(&bindings, queue) {
        return Err(unread(
            format!("the broker's keys begin with {prefix:?} (global_keyprefix), which rampup does not read yet"),
            queue,
        ));
    }
    let beside = redis.lists(&format!("{}*", escaped(queue)), BESIDE).await?;
    for list in beside.iter().filter(|key| priority(key, queue)) {
        let kind: String = redis.ask(redis::cmd("TYPE").arg(list)).await?;
        let mut own = false;
        for binding in &bindings {
            let member = format!("{list}{SEPARATOR}{SEPARATOR}{list}");
            own = own || redis.ask::<bool>(redis::cmd("SISMEMBER").arg(binding).arg(member)).await?;
        }
        if kind == "list" && !own {
            return Err(unread(
                format!("tasks wait in {list:?}, a priority's list of other priority_steps or sep than rampup reads"),
                queue,
            ));
        }
    }
    Ok(())
}

fn unread(what: String, queue: &str) -> ProbeError {
    ProbeError::NotGiven {
        what,
        provide: format!(
            "leave broker_transport_options' global_keyprefix, sep and priority_steps alone, or see it yourself and waive the check: \
             celery -A yourproject inspect active_queues, and twice: redis-cli LLEN of each list of {queue}"
        ),
    }
}

/// What stands before kombu's own names for this queue. Names without it may be left over from before it was set.
fn prefix(bindings: &[String], queue: &str) -> Option<String> {
    let of_queue = format!("_kombu.binding.{queue}");
    let prefixed = bindings.iter().find_map(|key| key.strip_suffix(&of_queue).filter(|prefix| !prefix.is_empty()));
    prefixed.map(str::to_owned)
}

/// True for a priority's list that is not read: the queue's name, something that is no letter, a number.
fn priority(key: &str, queue: &str) -> bool {
    let Some(rest) = key.strip_prefix(queue) else { return false };
    let separator = rest.trim_end_matches(|c: char| c.is_ascii_digit());
    let numbered = separator.len() < rest.len() && !separator.is_empty();
    let read = lists(queue).any(|list| list == key);
    numbered && !read && !separator.contains(|c: char| c.is_alphanumeric() || c == '_')
}

/// A name as a pattern that means itself.
fn escaped(name: &str) -> String {
    name.chars().fold(String::new(), |mut pattern, c| {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
        pattern
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::probes::jobs::wire;

    #[test]
    fn a_list_beside_the_queue_is_a_priority_or_another_queue() {
        for (key, expected) in [
            ("celery", false),
            ("celery\u{6}\u{16}3", false),
            ("celery\u{6}\u{16}5", true),
            ("celery:3", true),
            ("celery--9", true),
            ("celery-mail", false),
            ("celery2", false),
            ("celery_2", false),
            ("celery-task-meta-7", false),
        ] {
            assert_eq!(priority(key, "celery"), expected, "{key:?}");
        }
    }

    #[tokio::test]
    async fn lists_that_are_not_read_are_no_empty_queue() {
        let plain: &[&str] = &["_kombu.binding.celery"];
        for (bindings, beside, bound, word) in [
            (plain, &["celery", "celery\u{6}\u{16}3"][..], false, None),
            (&["shop:_kombu.binding.celery"], &[], false, Some("global_keyprefix")),
            // Those without were left over.
            (&["_kombu.binding.celery", "shop:_kombu.binding.celery"], &["celery"], false, Some("global_keyprefix")),
            // Another app's, of another queue.
            (&["_kombu.binding.celery", "blog:_kombu.binding.mail"], &["celery"], false, None),
            (plain, &["celery:3"], false, Some("priority_steps")),
            // A queue of its own, which its binding names.
            (plain, &["celery-2"], true, None),
            (&[], &[], false, None),
        ] {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
            let (bindings, beside) = (owned(bindings), owned(beside));
            let answer = move |words: &[String]| match words[0].as_str() {
                "SCAN" => {
                    let keys = if words[3].contains("binding") { &bindings } else { &beside };
                    wire::list([wire::text("0"), wire::list(keys.iter().map(|key| wire::text(key)))])
                }
                "TYPE" => "+list\r\n".to_owned(),
                "SISMEMBER" => wire::number(u64::from(bound)),
                _ => wire::ok(),
            };
            let server = wire::serve(Duration::ZERO, answer).await;
            let said = read(&server.redis().await, "celery").await.err().map(|why| why.to_string());
            match word {
                None => assert_eq!(said, None),
                Some(word) => assert!(said.as_ref().is_some_and(|said| said.contains(word)), "{word}: {said:?}"),
            }
        }
    }
}
