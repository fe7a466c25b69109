//! How kombu names its keys on this broker. It can be told to name them otherwise (`broker_transport_options`): under a
//! prefix (`global_keyprefix`), with another text before a priority (`sep`), with other priorities (`priority_steps`).
//! Lists that are not read are empty for ever, and an empty list looks like a queue that is served well: so what the
//! bindings say decides, and what cannot be read is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::probes::ProbeError;
use crate::probes::redis::Redis;

use super::Broker;

/// How the keys begin that hold which queues an exchange feeds.
const BINDINGS: &str = "_kombu.binding.";
/// Where workers answer questions; its queues live for a moment.
pub(super) const REPLIES: &str = "reply.celery.pidbox";
/// Between a queue's name and a priority unless `sep` says otherwise; between the parts of a binding, too.
const SEPARATOR: &str = "\u{6}\u{16}";
/// Priorities whose lists are read. Kombu has one for 3, 6 and 9 unless `priority_steps` says otherwise; 0 is the plain
/// list.
const PRIORITIES: RangeInclusive<u8> = 1..=9;
/// Lists of one queue.
pub(super) const LISTS: usize = 10;
/// Keys of one kind that are looked at, at most.
const KEYS: usize = 10_000;

/// The names in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::probes::jobs) struct Layout {
    /// What stands before every key and channel; nothing, mostly.
    prefix: String,
    separator: String,
}

impl Default for Layout {
    fn default() -> Self {
        Self { prefix: String::new(), separator: SEPARATOR.to_owned() }
    }
}

/// The bindings under one prefix.
struct Bound {
    layout: Layout,
    queues: BTreeSet<String>,
}

impl Layout {
    /// The names of this queue's keys, as the bindings on the broker tell them; kombu's own where there are none.
    ///
    /// # Errors
    /// No answer in time; several apps that name a queue alike; lists that would not be read.
    pub async fn read(redis: &Redis, queue: &str, variable: &str) -> Result<Self, ProbeError> {
        let mut all = Bound::all(redis, queue).await?;
        if all.iter().any(|bound| bound.queues.contains(queue)) {
            all.retain(|bound| bound.queues.contains(queue));
        }
        if all.len() > 1 {
            all = Bound::heard(all, redis, variable).await?;
        }
        let Bound { layout, queues } = match all.len() {
            0 | 1 => all.pop().unwrap_or_else(|| Bound { layout: Self::default(), queues: BTreeSet::new() }),
            _ => return Err(several(&all, queue)),
        };
        let beside = redis.lists(&format!("{}*", escaped(&layout.key(queue))), KEYS).await?;
        for key in &beside {
            let name = key.strip_prefix(&layout.prefix).unwrap_or(key);
            if layout.unread(name, queue) && !queues.contains(name) {
                let kind: String = redis.ask(redis::cmd("TYPE").arg(key)).await?;
                if kind == "list" {
                    return Err(unread(name, queue));
                }
            }
        }
        Ok(layout)
    }

    /// A key or channel as it is named on the broker.
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The same as a pattern that means itself, before a pattern.
    pub fn pattern(&self, pattern: &str) -> String {
        format!("{}{pattern}", escaped(&self.prefix))
    }

    /// Keys that hold which queues an exchange feeds.
    pub fn bindings(&self) -> String {
        self.pattern(&format!("{BINDINGS}*"))
    }

    /// The key that holds where answers to questions go.
    pub fn replies(&self) -> String {
        self.key(&format!("{BINDINGS}{REPLIES}"))
    }

    /// A member of it: a routing key, no pattern, a queue.
    pub fn bound(&self, routing_key: &str, queue: &str) -> String {
        let separator = &self.separator;
        format!("{routing_key}{separator}{separator}{queue}")
    }

    /// The lists of one queue: the plain one, and those of its priorities.
    pub fn lists(&self, queue: &str) -> impl Iterator<Item = String> + use<> {
        let (plain, separator) = (self.key(queue), self.separator.clone());
        let of = {
            let plain = plain.clone();
            move |priority: u8| format!("{plain}{separator}{priority}")
        };
        std::iter::once(plain).chain(PRIORITIES.map(of))
    }

    /// The queue in a member of a binding; none for those that workers talk over.
    pub fn declared<'a>(&self, member: &'a str) -> Option<&'a str> {
        let (_, queue) = member.rsplit_once(self.separator.as_str()).filter(|(_, queue)| !queue.is_empty())?;
        (!queue.ends_with(".pidbox") && !queue.starts_with("celeryev")).then_some(queue)
    }

    /// True for the name of a priority's list that is not read: the queue's, something that is no letter, a number.
    fn unread(&self, name: &str, queue: &str) -> bool {
        let Some(rest) = name.strip_prefix(queue) else { return false };
        let separator = rest.trim_end_matches(|c: char| c.is_ascii_digit());
        let numbered = separator.len() < rest.len() && !separator.is_empty();
        let read = self.lists(queue).any(|list| list == self.key(name));
        numbered && !read && !separator.contains(|c: char| c.is_alphanumeric() || c == '_')
    }
}

/// True when a worker listens, under whichever prefix.
///
/// # Errors
/// No answer in time; bindings that cannot be read.
pub(in crate::probes::jobs) async fn listens(redis: &Redis, queue: &str, variable: &str) -> Result<bool, ProbeError> {
    let mut layouts: Vec<Layout> = Bound::all(redis, queue).await?.into_iter().map(|bound| bound.layout).collect();
    if layouts.is_empty() {
        layouts.push(Layout::default());
    }
    for layout in layouts {
        if Broker::new(redis.clone(), layout, queue, variable).ask("ping", Duration::ZERO).await?.asked > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Bound {
    /// What is bound on this broker, by prefix.
    async fn all(redis: &Redis, queue: &str) -> Result<Vec<Self>, ProbeError> {
        let mut keys = redis.keys(&format!("*{BINDINGS}*"), KEYS).await?;
        keys.retain(|key| !key.ends_with(REPLIES));
        let mut pipe = redis::pipe();
        for key in &keys {
            pipe.smembers(key);
        }
        let members: Vec<Vec<String>> = if keys.is_empty() { vec![] } else { redis.ask_all(&pipe).await? };
        let mut by_prefix = BTreeMap::<&str, Vec<String>>::new();
        for (key, members) in keys.iter().zip(members) {
            let prefix = key.split_once(BINDINGS).map_or("", |(prefix, _)| prefix);
            by_prefix.entry(prefix).or_default().extend(members);
        }
        by_prefix.into_iter().map(|(prefix, members)| Self::of(prefix, &members, queue)).collect()
    }

    fn of(prefix: &str, members: &[String], queue: &str) -> Result<Self, ProbeError> {
        // Those of the queue itself know best: others may have been left by an earlier setting.
        let (own, others): (Vec<&String>, Vec<&String>) = members.iter().partition(|member| member.ends_with(queue));
        let said = |members: &[&'_ String]| -> BTreeSet<String> {
            members.iter().filter_map(|member| separator(member, queue)).map(str::to_owned).collect()
        };
        let separators = if said(&own).is_empty() { said(&others) } else { said(&own) };
        if separators.len() > 1 && !own.is_empty() {
            return Err(mixed(&separators));
        }
        let separator = separators.into_iter().next().unwrap_or_else(|| SEPARATOR.to_owned());
        let layout = Layout { prefix: prefix.to_owned(), separator };
        let queues = members.iter().filter_map(|member| layout.declared(member)).map(str::to_owned).collect();
        Ok(Self { layout, queues })
    }

    /// Those whose workers listen: keys outlive the app that wrote them. All, where that tells nothing.
    async fn heard(all: Vec<Self>, redis: &Redis, variable: &str) -> Result<Vec<Self>, ProbeError> {
        let mut heard = Vec::new();
        for bound in &all {
            let broker = Broker::new(redis.clone(), bound.layout.clone(), "", variable);
            heard.push(broker.ask("ping", Duration::ZERO).await?.asked > 0);
        }
        let any = heard.contains(&true);
        Ok(all.into_iter().zip(heard).filter(|(_, heard)| *heard || !any).map(|(bound, _)| bound).collect())
    }
}

/// What the parts of a binding's member (routing key, pattern, queue) are put together with, where the member tells:
/// without a pattern it stands there twice, before the queue's name; or first of all, where workers are asked.
fn separator<'a>(member: &'a str, queue: &str) -> Option<&'a str> {
    if member.contains(SEPARATOR) {
        return Some(SEPARATOR);
    }
    let letter = |c: char| c.is_alphanumeric() || c == '_';
    let run = if member.ends_with(".pidbox") {
        &member[..member.find(letter)?]
    } else {
        let before = member.strip_suffix(queue)?;
        &before[before.trim_end_matches(|c: char| !letter(c)).len()..]
    };
    let twice = |half: &&str| run.strip_suffix(*half).is_some_and(|rest| rest.ends_with(*half));
    (1..=run.len() / 2).rev().filter_map(|length| run.get(run.len() - length..)).find(twice)
}

fn several(all: &[Bound], queue: &str) -> ProbeError {
    let prefixes: Vec<String> = all.iter().map(|bound| format!("{:?}", bound.layout.prefix)).collect();
    ProbeError::NotGiven {
        what: format!(
            "queue {queue:?} is on the broker under several prefixes (global_keyprefix): {}; which is this site's cannot be told",
            prefixes.join(" and ")
        ),
        provide:
            "give each app a Redis database of its own, or a queue of its own (task_default_queue; [site] queue in \
                  rampup.toml), and delete the _kombu.binding.* keys that an earlier setting left"
                .to_owned(),
    }
}

fn mixed(separators: &BTreeSet<String>) -> ProbeError {
    let all: Vec<String> = separators.iter().map(|one| format!("{one:?}")).collect();
    ProbeError::NotGiven {
        what: format!("the queues on the broker are bound with several texts between their parts (sep): {}", all.join(", ")),
        provide: "give all processes the same broker_transport_options, delete the _kombu.binding.* keys while none runs (they are \
                  written anew), and verify again"
            .to_owned(),
    }
}

fn unread(list: &str, queue: &str) -> ProbeError {
    ProbeError::NotGiven {
        what: format!("tasks wait in {list:?}, a priority's list of other priority_steps than rampup reads (0 to 9)"),
        provide: format!(
            "leave broker_transport_options' priority_steps within 0 to 9, or see it yourself and waive the check: \
             celery -A yourproject inspect active_queues, and twice: redis-cli LLEN of each list of {queue}"
        ),
    }
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
    use super::*;
    use crate::probes::jobs::wire;

    #[test]
    fn a_binding_tells_what_its_parts_are_put_together_with() {
        for (member, expected) in [
            ("celery\u{6}\u{16}\u{6}\u{16}celery", Some(SEPARATOR)),
            ("worker.#\u{6}\u{16}^worker\\..*?$\u{6}\u{16}celeryev.0f2a", Some(SEPARATOR)),
            ("celery::celery", Some(":")),
            ("default.#::celery", Some(":")),
            ("::celery", Some(":")),
            ("celery----celery", Some("--")),
            ("celery|:||:|celery", Some("|:|")),
            ("::celery@web-1.celery.pidbox", Some(":")),
            // With a pattern, or of another queue: nothing to be sure of.
            ("default.#:^default\\..*?$:celery", None),
            ("mail::mail", None),
            ("celery", None),
            ("", None),
        ] {
            assert_eq!(separator(member, "celery"), expected, "{member:?}");
        }
    }

    #[test]
    fn a_list_beside_the_queue_is_a_priority_or_another_queue() {
        let own = |separator: &str| Layout { separator: separator.to_owned(), prefix: "shop:".to_owned() };
        for (layout, name, expected) in [
            (Layout::default(), "celery", false),
            (Layout::default(), "celery\u{6}\u{16}3", false),
            (Layout::default(), "celery\u{6}\u{16}5", false),
            (Layout::default(), "celery\u{6}\u{16}255", true),
            (Layout::default(), "celery:3", true),
            (Layout::default(), "celery--9", true),
            (Layout::default(), "celery-mail", false),
            (Layout::default(), "celery2", false),
            (Layout::default(), "celery_2", false),
            (Layout::default(), "celery-task-meta-7", false),
            (own(":"), "celery:3", false),
            (own(":"), "celery\u{6}\u{16}3", true),
        ] {
            assert_eq!(layout.unread(name, "celery"), expected, "{layout:?} {name:?}");
        }
    }

    #[test]
    fn keys_are_named_as_kombu_names_them() {
        let layout = Layout { prefix: "a*:".to_owned(), separator: ":".to_owned() };
        let lists: Vec<String> = layout.lists("mail").collect();
        assert_eq!((lists.len(), lists[0].as_str(), lists[9].as_str()), (LISTS, "a*:mail", "a*:mail:9"));
        assert_eq!(layout.bindings(), "a\\*:_kombu.binding.*");
        assert_eq!(layout.replies(), "a*:_kombu.binding.reply.celery.pidbox");
        assert_eq!(layout.bound("id", "answers"), "id::answers");
        let plain = Layout::default();
        assert_eq!(plain.declared("mail\u{6}\u{16}\u{6}\u{16}mail"), Some("mail"));
        assert_eq!(plain.declared("\u{6}\u{16}\u{6}\u{16}celery@vm.celery.pidbox"), None);
        assert_eq!(plain.declared("mail::mail"), None);
        assert_eq!(plain.declared("worker.#\u{6}\u{16}\u{6}\u{16}celeryev.0f2a"), None);
    }

    #[tokio::test]
    async fn what_is_bound_decides_and_lists_that_are_not_read_are_no_empty_queue() {
        const PLAIN: &str = "_kombu.binding.celery";
        const SHOP: &str = "shop:_kombu.binding.celery";
        let default = "celery\u{6}\u{16}\u{6}\u{16}celery";
        // Bindings with a member each, lists, the prefix under which a worker listens; then prefix and separator, or a word.
        for (bindings, beside, listens, expected) in [
            (&[][..], &[][..], None, Ok(("", SEPARATOR))),
            (&[(PLAIN, default)], &["celery", "celery\u{6}\u{16}3"], None, Ok(("", SEPARATOR))),
            (&[(PLAIN, "default.#::celery")], &["celery:4"], None, Ok(("", ":"))),
            (&[(SHOP, "celery::celery")], &["shop:celery:4"], None, Ok(("shop:", ":"))),
            (&[(SHOP, default)], &[], None, Ok(("shop:", SEPARATOR))),
            // An exchange of another name feeds the queue.
            (&[("shop:_kombu.binding.all", default)], &[], None, Ok(("shop:", SEPARATOR))),
            // Another app's, of another queue.
            (
                &[(PLAIN, default), ("blog:_kombu.binding.mail", "mail\u{6}\u{16}\u{6}\u{16}mail")],
                &[],
                None,
                Ok(("", SEPARATOR)),
            ),
            // Those without a prefix were left over, or another app's.
            (&[(PLAIN, default), (SHOP, default)], &[], Some("shop:"), Ok(("shop:", SEPARATOR))),
            (&[(PLAIN, default), (SHOP, default)], &[], Some(""), Ok(("", SEPARATOR))),
            (&[(PLAIN, default), (SHOP, default)], &[], None, Err("\"\" and \"shop:\"")),
            (&[(PLAIN, default), ("_kombu.binding.other", "celery::celery")], &[], None, Err("(sep)")),
            // Left by an earlier setting, of other queues.
            (
                &[(PLAIN, "celery::celery"), ("_kombu.binding.old", "old\u{6}\u{16}\u{6}\u{16}old")],
                &[],
                None,
                Ok(("", ":")),
            ),
            (&[(PLAIN, default)], &["celery:3"], None, Err("priority_steps")),
            (&[(PLAIN, default)], &["celery\u{6}\u{16}100"], None, Err("priority_steps")),
            // A queue of its own, which its binding names.
            (
                &[(PLAIN, default), ("_kombu.binding.b", "b\u{6}\u{16}\u{6}\u{16}celery-2")],
                &["celery-2"],
                None,
                Ok(("", SEPARATOR)),
            ),
        ] {
            let bindings: Vec<(String, String)> =
                bindings.iter().map(|(key, member)| ((*key).to_owned(), (*member).to_owned())).collect();
            let beside: Vec<String> = beside.iter().map(|key| (*key).to_owned()).collect();
            let listens = listens.map(|prefix: &str| format!("{prefix}/0.celery.pidbox"));
            let shown = format!("{bindings:?} {beside:?}");
            let answer = move |words: &[String]| match words[0].as_str() {
                "SCAN" => {
                    let keys: Vec<&String> = if words[3].contains("binding") {
                        bindings.iter().map(|(key, _)| key).collect()
                    } else {
                        beside.iter().collect()
                    };
                    wire::list([wire::text("0"), wire::list(keys.into_iter().map(|key| wire::text(key)))])
                }
                "SMEMBERS" => {
                    let of = bindings.iter().filter(|(key, _)| *key == words[1]);
                    wire::list(of.map(|(_, member)| wire::text(member)))
                }
                "PUBLISH" => wire::number(u64::from(listens.as_ref() == Some(&words[1]))),
                "TYPE" => "+list\r\n".to_owned(),
                "SADD" | "SREM" | "DEL" => wire::number(1),
                _ => wire::ok(),
            };
            let server = wire::serve(Duration::ZERO, answer).await;
            let read = Layout::read(&server.redis().await, "celery", "BROKER_URL").await;
            match (expected, read) {
                (Ok((prefix, separator)), Ok(read)) => {
                    assert_eq!((read.prefix.as_str(), read.separator.as_str()), (prefix, separator), "{shown}");
                }
                (Err(word), Err(why)) => assert!(why.to_string().contains(word), "{shown}: {why}"),
                (expected, read) => panic!("{shown}: {expected:?}, and it is {read:?}"),
            }
        }
    }
}
