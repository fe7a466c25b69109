//! Who waits for tasks without a word: the broker's own list of clients, as far as its user may see it. Knows only what
//! each client's last command was, not on which key.

use crate::domain::text::tame;
use crate::probes::ProbeError;
use crate::probes::redis::Redis;

/// A connection to our database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Client {
    /// The server's number of it.
    pub id: String,
    /// Its last command, in small letters.
    pub command: String,
    /// Seconds since that.
    pub idle: u64,
}

/// The connections to the database that our address names.
///
/// # Errors
/// No right to ask, or no answer in time.
pub(super) async fn here(redis: &Redis) -> Result<Vec<Client>, ProbeError> {
    let list: String = redis.ask(redis::cmd("CLIENT").arg("LIST")).await?;
    Ok(read(&list, redis.database()))
}

fn read(list: &str, database: i64) -> Vec<Client> {
    let database = database.to_string();
    let client = |line: &str| {
        let field = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let ours = field("db") == Some(database.as_str());
        ours.then(|| Client {
            id: tame(field("id").unwrap_or_default(), 20),
            command: tame(field("cmd").unwrap_or_default(), 40),
            idle: field("idle").and_then(|idle| idle.parse().ok()).unwrap_or(u64::MAX),
        })
    };
    list.lines().filter_map(client).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clients_of_our_database_are_seen() {
        let list = "id=3 addr=127.0.0.1:5 name= age=9 idle=0 flags=b db=0 sub=0 cmd=brpop user=default\n\
                    id=4 addr=127.0.0.1:6 name= age=9 idle=0 flags=b db=1 sub=0 cmd=brpop user=default\n\
                    id=6 addr=127.0.0.1:8 name= age=99 idle=90 flags=N db=0 sub=0 cmd=rpop user=default";
        let seen = read(list, 0);
        let of = |client: &Client| (client.id.clone(), client.command.clone(), client.idle);
        let expected = [("3".to_owned(), "brpop".to_owned(), 0), ("6".to_owned(), "rpop".to_owned(), 90)];
        assert_eq!(seen.iter().map(of).collect::<Vec<_>>(), expected);
    }
}
