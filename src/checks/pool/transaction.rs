//! `pool.transaction`: the pooler lends connections for a transaction, not for a session.

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::path;

use super::{CONFIG, Check, Context, DJANGO, POOLS, Way};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Transaction {}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    way: Way,
    /// Connections open at once, the server processes behind them, and whether one of them moved to another process.
    connections: usize,
    backends: usize,
    moved: bool,
    /// The console's word, when there is one.
    console: Option<Modes>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Modes {
    /// The database's name in the app's address.
    database: String,
    /// Its mode in SHOW POOLS; none when it has no pool there.
    own: Option<String>,
    /// SHOW CONFIG's default.
    default: Option<String>,
}

impl Check for Transaction {
    const ID: &'static str = "pool.transaction";
    const TITLE: &'static str = "the pooler lends a server connection for one transaction";
    const ABOUT: &'static str = "Opens eight connections by the app's address and asks each, twice, which server process serves it: in \
        transaction mode they share some or move between them, in session mode each keeps its own. PgBouncer's console then says the \
        mode of this very database. Traps: SHOW CONFIG's default that the database's own line overrides, the console's own pool (it \
        says statement), a pooler that goes round its servers, statement mode, which refuses every atomic() of Django.";
    const PHASE: Phase = Phase::Before;
    // A crowd of its own must not stand in another check's way.
    const ALONE: bool = true;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &["https://www.pgbouncer.org/features.html", CONFIG, POOLS, DJANGO];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        let way = Way::ask(probes).await?;
        if way != Way::Pooled {
            return Ok(Facts { way, connections: 0, backends: 0, moved: false, console: None });
        }
        let key = probes.app_dsn()?;
        let sharing = path::sharing(key).await?;
        let console = match probes.pooler().await {
            Ok(console) => {
                let database = path::database_of(key)?;
                let own = console.modes().await?.remove(&database);
                Some(Modes { own, default: console.setting("pool_mode").await?, database })
            }
            // Eight connections say it without a console too.
            Err(_) => None,
        };
        let path::Sharing { connections, backends, moved } = sharing;
        Ok(Facts { way, connections, backends, moved, console })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        match &facts.way {
            Way::Own(_) | Way::Open(_) => return facts.way.without_pooler().unwrap_or(CheckOutcome::Pass),
            Way::Direct => {
                return CheckOutcome::fail(
                    "nothing lends connections: the app's address leads straight to PostgreSQL",
                    "put a pooler in transaction mode between the two; pool.in-path says how",
                );
            }
            Way::Pooled => {}
        }
        if facts.connections < 2 || facts.backends == 0 {
            return CheckOutcome::Unknown(Missing::new("no connections were compared", "verify again"));
        }
        let own = facts.console.as_ref().and_then(|modes| modes.own.as_deref());
        if own == Some("statement") {
            return CheckOutcome::fail(
                "pool_mode is statement: every atomic() of Django, the admin's saves and the test of a login's session, is refused",
                "set pool_mode = transaction in pgbouncer.ini and RELOAD",
            );
        }
        let shares = facts.backends < facts.connections || facts.moved;
        if shares && own != Some("session") {
            return CheckOutcome::Pass;
        }
        let seen = format!(
            "{} connections keep {} server processes: a connection is lent for a whole session{}",
            facts.connections,
            facts.backends,
            facts.console.as_ref().map_or_else(String::new, Modes::words)
        );
        CheckOutcome::fail(
            seen,
            "set pool_mode = transaction in pgbouncer.ini, also in this database's own line under [databases], and RELOAD; the upstream \
             default is session. See it: SHOW POOLS on the console, column pool_mode",
        )
    }
}

impl Modes {
    /// ", because …" when the console says why.
    fn words(&self) -> String {
        let Some(own) = &self.own else { return String::new() };
        match &self.default {
            Some(default) if default != own => format!(
                " (the line of {:?} under [databases] says pool_mode={own}, over SHOW CONFIG's {default})",
                self.database
            ),
            _ => format!(" (pool_mode of {:?} is {own})", self.database),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(backends: usize, moved: bool, own: Option<&str>) -> Facts {
        let console = own.map(|own| Modes {
            database: "shop".to_owned(),
            own: Some(own.to_owned()),
            default: Some("transaction".to_owned()),
        });
        Facts { way: Way::Pooled, connections: 8, backends, moved, console }
    }

    #[test]
    fn traps() {
        let check = Transaction {};
        for (word, facts) in [
            ("pass", facts(1, false, Some("transaction"))),
            // No console: the effect says enough, also of another pooler.
            ("pass", facts(1, false, None)),
            // A busy pool gives several servers; one that goes round gives all of them, and moves.
            ("pass", facts(5, false, Some("transaction"))),
            ("pass", facts(8, true, Some("transaction"))),
            (
                "pass",
                Facts {
                    console: Some(Modes { database: "x".into(), own: None, default: None }),
                    ..facts(1, false, None)
                },
            ),
            ("fail", facts(8, false, Some("session"))),
            ("fail", facts(8, false, None)),
            ("fail", facts(1, false, Some("session"))),
            ("fail", facts(1, true, Some("statement"))),
            ("fail", Facts { way: Way::Direct, ..facts(8, false, None) }),
            ("n/a", Facts { way: Way::Own("s.py".to_owned()), ..facts(8, false, None) }),
            ("unknown", Facts { way: Way::Open("made".to_owned()), ..facts(8, false, None) }),
            ("unknown", facts(0, false, Some("transaction"))),
            ("unknown", Facts { connections: 1, ..facts(1, false, None) }),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
        let said = check.judge(&facts(8, false, Some("session"))).seen();
        assert!(said.contains("over SHOW CONFIG's transaction"), "{said}");
    }
}
