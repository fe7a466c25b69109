//! `queries.statements-ready`: can what the database's statements cost be read at all?

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};

use super::{Check, Context, PGSS};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StatementsReady {}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    created: bool,
    /// The library answered.
    loaded: bool,
    /// The server's words when it did not.
    refusal: Option<String>,
    /// It refused because we lack a right; facts from before that was told apart do not say.
    #[serde(default)]
    denied: bool,
    /// The schema that holds the view.
    #[serde(default)]
    schema: String,
    counted: u64,
    hidden: u64,
    role: String,
}

impl Check for StatementsReady {
    const ID: &'static str = "queries.statements-ready";
    const TITLE: &'static str = "the database counts its statements, and they may be read";
    const ABOUT: &'static str = "Reads pg_stat_statements through the direct address: the extension must exist in the app's own database, its \
        library be loaded, and the texts of other users' statements be readable. Traps: CREATE EXTENSION succeeds without the library, \
        an extension in another database, a user who sees <insufficient privilege> and counts zero.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[PGSS, "https://www.postgresql.org/docs/current/predefined-roles.html"];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let seen = ctx.probes.database().await?.readiness().await?;
        let mut facts = Facts {
            created: seen.created,
            loaded: false,
            refusal: None,
            denied: false,
            schema: seen.schema,
            counted: 0,
            hidden: seen.hidden,
            role: seen.role,
        };
        match seen.loaded {
            Some(Ok(counted)) => (facts.loaded, facts.counted) = (true, counted),
            Some(Err(refusal)) => (facts.refusal, facts.denied) = (Some(refusal.why), refusal.denied),
            None => {}
        }
        Ok(facts)
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        if !facts.created {
            return CheckOutcome::fail(
                "the extension pg_stat_statements does not exist in the app's database, so nobody knows which query is slow",
                "as a superuser, in the app's own database: CREATE EXTENSION pg_stat_statements (its library must be in \
                 shared_preload_libraries, which takes a restart); see it yourself: \\dx in psql",
            );
        }
        if let Some(why) = facts.refusal.as_ref().filter(|_| facts.denied) {
            let Facts { role, schema, .. } = facts;
            // A restart would not help, and whether the library is loaded was not seen.
            return CheckOutcome::Unknown(Missing::new(
                format!("{role} may not read the view {schema}.pg_stat_statements: {why}"),
                format!(
                    "as a superuser, in the app's own database: GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON \
                     {schema}.pg_stat_statements TO {role}; GRANT pg_monitor TO {role}"
                ),
            ));
        }
        if let Some(why) = &facts.refusal {
            return CheckOutcome::fail(
                format!("the extension pg_stat_statements exists but cannot be read: {why}"),
                "as a superuser: ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements' (with those that are there \
                 already), then restart PostgreSQL; see it yourself: SHOW shared_preload_libraries",
            );
        }
        if !facts.loaded || facts.counted == 0 {
            return CheckOutcome::Unknown(Missing::new(
                "pg_stat_statements has not counted one statement of this database",
                "open a page of the app and verify again; if nothing comes, check pg_stat_statements.track and that [services] \
                 database_direct_env leads to the app's own database",
            ));
        }
        if facts.hidden > 0 {
            return CheckOutcome::fail(
                format!(
                    "{} of {} statements are hidden from {}: their text is <insufficient privilege>",
                    facts.hidden, facts.counted, facts.role
                ),
                format!(
                    "as a superuser: GRANT pg_monitor TO {} (pg_read_all_stats is enough for this check)",
                    facts.role
                ),
            );
        }
        CheckOutcome::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_traps() {
        let good = || Facts {
            created: true,
            loaded: true,
            refusal: None,
            denied: false,
            schema: "extensions".to_owned(),
            counted: 40,
            hidden: 0,
            role: "watcher".to_owned(),
        };
        let refused = Some("pg_stat_statements must be loaded via shared_preload_libraries".to_owned());
        let denied = || Facts {
            loaded: false,
            counted: 0,
            refusal: Some("keine Berechtigung für Schema extensions".to_owned()),
            denied: true,
            ..good()
        };
        for (word, facts) in [
            ("pass", good()),
            ("fail", Facts { created: false, loaded: false, counted: 0, ..good() }),
            // Created, not loaded.
            ("fail", Facts { loaded: false, counted: 0, refusal: refused, ..good() }),
            // A right is missing: neither the extension nor a restart.
            ("unknown", denied()),
            ("fail", Facts { hidden: 12, ..good() }),
            ("unknown", Facts { counted: 0, ..good() }),
            ("unknown", Facts { loaded: false, ..good() }),
        ] {
            assert_eq!(StatementsReady {}.judge(&facts).word(), word, "{facts:?}");
        }
        let CheckOutcome::Unknown(told) = StatementsReady {}.judge(&denied()) else { panic!() };
        for part in ["GRANT USAGE ON SCHEMA extensions TO watcher", "GRANT pg_monitor TO watcher"] {
            assert!(told.provide.contains(part) && !told.provide.contains("restart"), "{part}: {told:?}");
        }
    }
}
