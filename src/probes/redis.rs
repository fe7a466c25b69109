//! Redis and what speaks its protocol: counters by INFO, and a bounded look for keys. INFO is enough; CONFIG and
//! CLIENT are often denied.

mod address;

use std::collections::BTreeMap;
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, ErrorKind};

use crate::domain::site::Key;
use crate::domain::text::tame;

use super::ProbeError;
use super::error::within;

use address::Address;

/// Longest wait for a connection or an answer.
pub const LIMIT: Duration = Duration::from_secs(3);
/// Keys looked at before a search gives up, so that a large cache is not walked end to end.
const SCANNED: usize = 200_000;

/// A connection of our own.
#[derive(Clone)]
pub struct Redis {
    connection: MultiplexedConnection,
    address: Address,
    system: &'static str,
    variable: String,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("system", &self.system).finish_non_exhaustive()
    }
}

/// What INFO said, by field name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Info(BTreeMap<String, String>);

impl Info {
    /// Reads INFO's text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let fields = text.lines().filter_map(|line| line.trim().split_once(':'));
        Self(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// A field as text.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    /// A counter.
    #[must_use]
    pub fn count(&self, field: &str) -> Option<u64> {
        self.text(field)?.parse().ok()
    }
}

impl Redis {
    /// Connects.
    ///
    /// # Errors
    /// An address that is none, no connection, no permission.
    pub async fn connect(key: &Key, system: &'static str) -> Result<Self, ProbeError> {
        let address = Address::read(key)?;
        let limits = AsyncConnectionConfig::new().set_connection_timeout(Some(LIMIT)).set_response_timeout(Some(LIMIT));
        let failed = |e| failed(&e, system, &key.variable);
        let connection = within(system, LIMIT * 2, async {
            let Some(stream) = address.encrypted(system, &key.variable).await? else {
                let connecting = address.client.get_multiplexed_async_connection_with_config(&limits).await;
                return connecting.map_err(|e| garbled(&e, system, &key.variable).unwrap_or_else(|| failed(e)));
            };
            let opening = MultiplexedConnection::new_with_config(address.settings(), stream, limits).await;
            let (connection, driver) = opening.map_err(failed)?;
            // It ends with the last handle of the connection.
            tokio::spawn(driver);
            Ok(connection)
        })
        .await?;
        Ok(Self { connection, address, system, variable: key.variable.clone() })
    }

    /// What INFO says in its default sections.
    ///
    /// # Errors
    /// No answer in time or no right to ask.
    pub async fn info(&self) -> Result<Info, ProbeError> {
        let text: String = self.ask(&redis::cmd("INFO")).await?;
        Ok(Info::parse(&text))
    }

    /// The first key that matches a pattern, of the first 200,000 keys looked at.
    ///
    /// # Errors
    /// No answer in time or no right to ask.
    pub async fn find(&self, pattern: &str) -> Result<Option<String>, ProbeError> {
        const PER_CALL: usize = 1000;
        let mut cursor = 0_u64;
        for _ in 0..SCANNED / PER_CALL {
            let (next, keys): (u64, Vec<String>) =
                self.ask(redis::cmd("SCAN").arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(PER_CALL)).await?;
            if let Some(key) = keys.into_iter().next() {
                return Ok(Some(key));
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        Ok(None)
    }

    /// The database number that the address names.
    #[must_use]
    pub fn database(&self) -> i64 {
        self.address.settings().db()
    }

    /// Keys that match a pattern, at most `most` of them.
    ///
    /// # Errors
    /// No answer in time or no right to ask; more than 200,000 keys in all, of which not all were looked at.
    pub async fn keys(&self, pattern: &str, most: usize) -> Result<Vec<String>, ProbeError> {
        self.scan(pattern, most, &[]).await
    }

    async fn scan(&self, pattern: &str, most: usize, kind: &[&str]) -> Result<Vec<String>, ProbeError> {
        const PER_CALL: usize = 1000;
        let (mut cursor, mut found) = (0_u64, Vec::new());
        for _ in 0..SCANNED / PER_CALL {
            let (next, keys): (u64, Vec<String>) = self
                .ask(redis::cmd("SCAN").arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(PER_CALL).arg(kind))
                .await?;
            found.extend(keys);
            cursor = next;
            if cursor == 0 || found.len() >= most {
                break;
            }
        }
        if cursor != 0 && found.len() < most {
            return Err(ProbeError::NotGiven {
                what: format!("{} holds more than {SCANNED} keys, so not all that match {pattern:?} can be found", self.system),
                provide: "put what is not the queue's elsewhere: results (CELERY_RESULT_BACKEND) and the cache into another database, \
                          then verify again; see it: redis-cli INFO keyspace"
                    .to_owned(),
            });
        }
        found.sort_unstable();
        found.dedup();
        found.truncate(most);
        Ok(found)
    }

    /// Lists whose key matches a pattern, as [`Redis::keys`] finds them; a server before Redis 6 tells keys of every kind.
    ///
    /// # Errors
    /// As [`Redis::keys`].
    pub async fn lists(&self, pattern: &str, most: usize) -> Result<Vec<String>, ProbeError> {
        match self.scan(pattern, most, &["TYPE", "list"]).await {
            Err(ProbeError::Refused { .. }) => self.keys(pattern, most).await,
            found => found,
        }
    }

    /// Seconds until a key is forgotten; -1 when it never is, none when it is not there.
    ///
    /// # Errors
    /// No answer in time or no right to ask.
    pub async fn lives(&self, key: &str) -> Result<Option<i64>, ProbeError> {
        let seconds: i64 = self.ask(redis::cmd("TTL").arg(key)).await?;
        Ok(Some(seconds).filter(|seconds| *seconds != -2))
    }

    pub(in crate::probes) async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, ProbeError> {
        let mut connection = self.connection.clone();
        within(self.system, LIMIT, async {
            command.query_async(&mut connection).await.map_err(|e| failed(&e, self.system, &self.variable))
        })
        .await
    }

    /// Several questions in one round trip: over a network, the way takes longer than the answer.
    pub(in crate::probes) async fn ask_all<T: redis::FromRedisValue>(
        &self,
        questions: &redis::Pipeline,
    ) -> Result<T, ProbeError> {
        let mut connection = self.connection.clone();
        within(self.system, LIMIT, async {
            questions.query_async(&mut connection).await.map_err(|e| failed(&e, self.system, &self.variable))
        })
        .await
    }

    /// A connection of its own that listens.
    pub(in crate::probes) async fn listener(&self) -> Result<PubSub, ProbeError> {
        let opening = async {
            let opened = match self.address.encrypted(self.system, &self.variable).await? {
                Some(stream) => PubSub::new(self.address.settings(), stream).await,
                None => self.address.client.get_async_pubsub().await,
            };
            opened.map_err(|e| failed(&e, self.system, &self.variable))
        };
        within(self.system, LIMIT, opening).await
    }
}

/// A first answer that is none, or no answer at all: so speaks a server that waits for TLS.
fn garbled(error: &redis::RedisError, system: &'static str, variable: &str) -> Option<ProbeError> {
    let ended = error.is_connection_dropped() && !error.is_connection_refusal();
    (ended || error.kind() == ErrorKind::Parse).then(|| ProbeError::Refused {
        system,
        why: "it ended the connection without an answer that Redis gives".to_owned(),
        provide: format!("check host and port in {variable}, and write rediss:// there if it wants TLS"),
    })
}

pub(in crate::probes) fn failed(error: &redis::RedisError, system: &'static str, variable: &str) -> ProbeError {
    if error.is_timeout() {
        return ProbeError::TimedOut { system, limit: LIMIT };
    }
    match error.code() {
        Some(code) => ProbeError::Refused {
            system,
            why: tame(&format!("{code} {}", error.detail().unwrap_or_default()), 200),
            provide: format!("check user, password and rights in {variable}"),
        },
        None => ProbeError::unreachable(system, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_read_by_name() {
        let info = Info::parse(
            "# Server\r\nrun_id:3d7c548c\r\ntcp_port:56379\r\n\r\n# Stats\r\nkeyspace_hits:12\r\nexecutable:\r\n",
        );
        assert_eq!(info.text("run_id"), Some("3d7c548c"));
        assert_eq!(info.count("keyspace_hits"), Some(12));
        assert_eq!(info.count("evicted_keys"), None);
    }
}
