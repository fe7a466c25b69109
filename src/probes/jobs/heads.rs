//! The next task of every list: whether it is still there a moment later tells whether somebody takes from that list,
//! however many come in meanwhile. Knows no library.

use std::collections::BTreeSet;

use crate::probes::ProbeError;
use crate::probes::redis::Redis;

/// How many tasks from the end of a list the one that was next is looked for: a task that is tried again may be put
/// before it.
const NEAR: usize = 1000;

/// Where the next task of a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// A list that is taken from on its left.
    Left,
    /// A list that is taken from on its right.
    Right,
    /// A sorted set that is taken from at its lowest score.
    Lowest,
}

/// What was next when it was looked at. Never shown: tasks hold what users wrote.
#[derive(Default)]
pub struct Heads(Vec<Head>);

struct Head {
    queue: String,
    key: String,
    end: End,
    task: Vec<u8>,
}

impl std::fmt::Debug for Heads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Heads({})", self.0.len())
    }
}

/// Looks at the next task of each key; keys without tasks have none.
pub(super) async fn look(redis: &Redis, keys: Vec<(String, String, End)>) -> Result<Heads, ProbeError> {
    if keys.is_empty() {
        return Ok(Heads::default());
    }
    let mut pipe = redis::pipe();
    for (_, key, end) in &keys {
        match end {
            End::Left => pipe.cmd("LRANGE").arg(key).arg(0).arg(0),
            End::Right => pipe.cmd("LRANGE").arg(key).arg(-1).arg(-1),
            End::Lowest => pipe.cmd("ZRANGE").arg(key).arg(0).arg(0),
        };
    }
    let found: Vec<Vec<Vec<u8>>> = redis.ask_all(&pipe).await?;
    let head = |((queue, key, end), tasks): ((String, String, End), Vec<Vec<u8>>)| {
        tasks.into_iter().next().map(|task| Head { queue, key, end, task })
    };
    Ok(Heads(keys.into_iter().zip(found).filter_map(head).collect()))
}

impl Heads {
    /// Queues whose next task is gone.
    pub(super) async fn gone(&self, redis: &Redis) -> Result<BTreeSet<String>, ProbeError> {
        if self.0.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut pipe = redis::pipe();
        for Head { key, end, task, .. } in &self.0 {
            let rank = if *end == End::Left { 1 } else { -1 };
            match end {
                End::Lowest => pipe.cmd("ZSCORE").arg(key).arg(task),
                _ => pipe.cmd("LPOS").arg(key).arg(task).arg("RANK").arg(rank).arg("MAXLEN").arg(NEAR),
            };
        }
        let places: Vec<redis::Value> = redis.ask_all(&pipe).await?;
        let gone =
            |(head, place): (&Head, redis::Value)| matches!(place, redis::Value::Nil).then(|| head.queue.clone());
        Ok(self.0.iter().zip(places).filter_map(gone).collect())
    }
}
