//! `pool.in-path`: the app's own address leads to a pooler.

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::path;

use super::{CONFIG, Check, Context, DJANGO, Way};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct InPath {}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    /// The variable that holds the app's database address.
    variable: String,
    /// PgBouncer's own wording for databases that do not exist.
    pgbouncer: bool,
    /// The handshake named another process than the one that answers.
    renamed: bool,
    /// Two open connections had one server process.
    shared: bool,
    way: Way,
}

impl Check for InPath {
    const ID: &'static str = "pool.in-path";
    const TITLE: &'static str = "the app's database address leads to a pooler";
    const ABOUT: &'static str = "Connects by the app's own address and looks for signs that only a pooler gives: PgBouncer's words for \
        databases that do not exist, a handshake that names another process than the one that answers, two open connections with one \
        server process. Trap: a pooler that runs beside an app which still connects directly (we ask the app's address, not the \
        pooler's). Other poolers give the last two signs; Django's own pool is a different way to the same end and is not held \
        against the app.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &["https://www.pgbouncer.org/features.html", CONFIG, DJANGO];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let key = ctx.probes.app_dsn()?;
        let behind = path::behind(key).await?;
        Ok(Facts {
            variable: key.variable.clone(),
            pgbouncer: behind.pgbouncer,
            renamed: behind.renamed,
            shared: behind.shared,
            way: if behind.pooled() { Way::Pooled } else { Way::straight(ctx.probes).await },
        })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let variable = &facts.variable;
        match &facts.way {
            Way::Pooled => CheckOutcome::Pass,
            Way::Own(_) | Way::Open(_) => facts.way.without_pooler().unwrap_or(CheckOutcome::Pass),
            Way::Direct => CheckOutcome::fail(
                format!(
                    "{variable} leads straight to PostgreSQL: each connection has the very server process that its handshake named"
                ),
                format!(
                    "start PgBouncer with pool_mode = transaction and let {variable} of the app and its workers lead to it; \
                     see it yourself: psql \"${variable}\" -c 'select pg_backend_pid()' in two windows, behind a pooler the numbers may be equal"
                ),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps() {
        let facts = |pgbouncer, renamed, shared, way| Facts {
            variable: "DATABASE_URL".to_owned(),
            pgbouncer,
            renamed,
            shared,
            way,
        };
        for (word, facts) in [
            ("pass", facts(true, true, true, Way::Pooled)),
            // Another pooler has other words; one in session mode shares nothing, which is another check's matter.
            ("pass", facts(false, true, false, Way::Pooled)),
            ("pass", facts(false, false, true, Way::Pooled)),
            // It runs beside.
            ("fail", facts(false, false, false, Way::Direct)),
            ("n/a", facts(false, false, false, Way::Own("shop/settings.py".to_owned()))),
            // A variable may give it a pool.
            ("unknown", facts(false, false, false, Way::Open("the variable POOL decides".to_owned()))),
        ] {
            assert_eq!(InPath {}.judge(&facts).word(), word, "{facts:?}");
        }
        let said = InPath {}.judge(&facts(false, false, false, Way::Direct)).seen();
        assert!(said.contains("DATABASE_URL"), "{said}");
    }
}
