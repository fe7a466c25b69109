//! `pool.fits-server`: the pools may never open more connections than the server has.

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::pooler::Size;

use super::{CONFIG, Check, Context, Way};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FitsServer {
    /// PgBouncer replicas: each opens pools of its own.
    poolers: u64,
    /// Connections left for migrations, exporters and consoles.
    spare: u64,
}

impl Default for FitsServer {
    fn default() -> Self {
        Self { poolers: 1, spare: 3 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    way: Way,
    sizes: Vec<Size>,
    /// `max_connections`, and those that are kept for superusers and reserved roles.
    most: u64,
    reserved: u64,
}

impl Check for FitsServer {
    const ID: &'static str = "pool.fits-server";
    const TITLE: &'static str = "all pools together fit under the server's max_connections";
    const ABOUT: &'static str = "Adds up what PgBouncer may open, from its console: (size + reserve) for every database and every user that \
        has a pool there, times its replicas, and compares it with max_connections less what the server keeps for superusers and \
        reserved roles. Traps: a second user doubles the pools, a reserve pool that opens only under load, replicas of the pooler, \
        max_db_connections that caps the sum (it counts in your favour).";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        CONFIG,
        "https://www.pgbouncer.org/usage.html#show-databases",
        "https://www.postgresql.org/docs/current/runtime-config-connection.html",
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        let way = Way::ask(probes).await?;
        if matches!(way, Way::Own(_) | Way::Open(_)) || (way == Way::Direct && probes.access.pooler_console.is_none()) {
            return Ok(Facts { way, sizes: Vec::new(), most: 0, reserved: 0 });
        }
        let sizes = probes.pooler().await?.sizes().await?;
        let capacity = probes.database().await?.capacity().await?;
        Ok(Facts { way, sizes, most: capacity.connections, reserved: capacity.reserved })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        if let (true, Some(outcome)) = (facts.sizes.is_empty(), facts.way.without_pooler()) {
            return outcome;
        }
        if facts.sizes.is_empty() || facts.most == 0 {
            return CheckOutcome::Unknown(Missing::new("the console lists no database of the app", super::CONSOLE));
        }
        let most: u64 = facts.sizes.iter().map(Size::most).sum::<u64>() * self.poolers;
        let room = facts.most.saturating_sub(facts.reserved);
        if most + self.spare <= room {
            return CheckOutcome::Pass;
        }
        let parts: Vec<String> = facts
            .sizes
            .iter()
            .map(|s| {
                format!("{} {} (size {} + reserve {}, users {})", s.database, s.most(), s.size, s.reserve, s.users)
            })
            .collect();
        let replicas = if self.poolers > 1 { format!(", times {} poolers", self.poolers) } else { String::new() };
        CheckOutcome::fail(
            format!(
                "the pools may open {most} server connections ({}{replicas}); max_connections {} less {} reserved leaves {room}",
                parts.join(", "),
                facts.most,
                facts.reserved
            ),
            format!(
                "lower default_pool_size (2 to 4 for each core of the database is plenty) until the sum is at most {}, so that migrations \
                 still get in; see it: SHOW DATABASES on the console, and SHOW max_connections in psql",
                room.saturating_sub(self.spare)
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(size: u64, reserve: u64, users: u64, limit: u64) -> Facts {
        let sizes = vec![Size { database: "shop".to_owned(), size, reserve, users, limit }];
        Facts { way: Way::Pooled, sizes, most: 40, reserved: 3 }
    }

    #[test]
    fn traps() {
        let check = FitsServer::default();
        for (word, facts) in [
            ("pass", facts(8, 0, 1, 0)),
            ("pass", facts(34, 0, 1, 0)),
            // Nothing would be left for a migration.
            ("fail", facts(35, 0, 1, 0)),
            ("fail", facts(60, 0, 1, 0)),
            // A second user, a reserve; and a cap that makes both harmless.
            ("fail", facts(20, 0, 2, 0)),
            ("fail", facts(20, 20, 1, 0)),
            ("pass", facts(20, 20, 2, 30)),
            // PostgreSQL 16 keeps some for reserved roles as well.
            ("fail", Facts { reserved: 10, ..facts(30, 0, 1, 0) }),
            ("unknown", Facts { sizes: Vec::new(), ..facts(1, 0, 1, 0) }),
            ("unknown", Facts { most: 0, ..facts(1, 0, 1, 0) }),
            ("n/a", Facts { way: Way::Direct, sizes: Vec::new(), ..facts(1, 0, 1, 0) }),
            ("n/a", Facts { way: Way::Own("s.py".to_owned()), sizes: Vec::new(), ..facts(1, 0, 1, 0) }),
            ("unknown", Facts { way: Way::Open("made".to_owned()), sizes: Vec::new(), ..facts(1, 0, 1, 0) }),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
        let three = FitsServer { poolers: 3, ..FitsServer::default() };
        assert_eq!(three.judge(&facts(15, 0, 1, 0)).word(), "fail");
    }
}
