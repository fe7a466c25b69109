//! `pool.prepared-safe`: statements that are prepared by name survive the pooler.

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::path;

use super::{CONFIG, Check, Context, DJANGO, Way, address_says, settings, source};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PreparedSafe {}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    way: Way,
    /// A server connection is lent for less than a session.
    shares: bool,
    /// PgBouncer's words about itself: "PgBouncer 1.18.0".
    version: String,
    /// `max_prepared_statements`; none before 1.21.
    kept: Option<u64>,
    /// Whether the settings make psycopg prepare by name; none when that is not known.
    prepares: Option<bool>,
    /// Why it is not.
    open: Vec<String>,
}

impl Check for PreparedSafe {
    const ID: &'static str = "pool.prepared-safe";
    const TITLE: &'static str = "statements prepared by name survive the pooler";
    const ABOUT: &'static str = "Asks PgBouncer for its version and for max_prepared_statements: since 1.21, with a number above 0, it prepares \
        anew on whatever server connection it lends. Where it does not, follows whether the settings make psycopg prepare by name \
        (server_side_binding, prepare_threshold): Django alone never does. Traps: it works as long as one client has one server \
        connection and breaks under load; session mode does not need it.";
    const PHASE: Phase = Phase::Before;
    const ALONE: bool = true;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] =
        &["https://www.pgbouncer.org/config.html#max_prepared_statements", CONFIG, DJANGO];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        let way = Way::ask(probes).await?;
        let shares = way == Way::Pooled && path::sharing(probes.app_dsn()?).await?.shares();
        let mut facts = Facts { way, shares, version: String::new(), kept: None, prepares: None, open: Vec::new() };
        if !shares {
            return Ok(facts);
        }
        let console = probes.pooler().await?;
        facts.version = console.version().await?;
        facts.kept = console.setting("max_prepared_statements").await?.and_then(|kept| kept.parse().ok());
        let in_address = address_says(probes, &settings::PREPARES);
        let read = source::ask(probes, move |repository| settings::prepares(repository, in_address)).await;
        match read.unwrap_or_else(|missing| Err(missing.what)) {
            Ok(prepares) => facts.prepares = Some(prepares),
            Err(why) => facts.open.push(why),
        }
        Ok(facts)
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        if let Some(outcome) = facts.way.without_pooler() {
            return outcome;
        }
        if !facts.shares {
            return CheckOutcome::NotApplicable(
                "the pooler lends connections for whole sessions, where prepared statements are safe".to_owned(),
            );
        }
        if facts.kept.is_some_and(|kept| kept > 0) {
            return CheckOutcome::Pass;
        }
        let version = &facts.version;
        let why = match facts.kept {
            Some(_) => format!("{version} runs with max_prepared_statements = 0"),
            None => format!("{version} does not know max_prepared_statements (it came with 1.21)"),
        };
        let todo = "upgrade PgBouncer to 1.21 or newer and set max_prepared_statements = 200, or let nothing prepare by name: no \
                    server_side_binding, prepare_threshold None. See it: SHOW VERSION and SHOW CONFIG on the console";
        match facts.prepares {
            Some(true) => CheckOutcome::fail(
                format!(
                    "{why}, and the settings make psycopg prepare by name: under load statements do not exist, or exist twice"
                ),
                todo,
            ),
            Some(false) => CheckOutcome::weak(format!("{why}; the settings do not make psycopg prepare by name"), todo),
            None => CheckOutcome::Unknown(Missing::new(
                format!("{why}, and whether the app needs it is not known: {}", facts.open.join("; ")),
                format!("upgrade PgBouncer to 1.21 or newer, or write it down in DATABASES; {}", source::KEEP),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps() {
        let facts = |kept, prepares| Facts {
            way: Way::Pooled,
            shares: true,
            version: "PgBouncer 1.22.0".to_owned(),
            kept,
            prepares,
            open: Vec::new(),
        };
        for (word, facts) in [
            ("pass", facts(Some(200), Some(true))),
            ("pass", facts(Some(200), None)),
            ("fail", facts(Some(0), Some(true))),
            ("fail", facts(None, Some(true))),
            // Old, and nobody needs it.
            ("weak", facts(None, Some(false))),
            ("unknown", facts(Some(0), None)),
            ("n/a", Facts { shares: false, ..facts(None, Some(true)) }),
            ("n/a", Facts { way: Way::Direct, shares: false, ..facts(None, None) }),
        ] {
            assert_eq!(PreparedSafe {}.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
