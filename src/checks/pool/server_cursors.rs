//! `pool.server-cursors-off`: no cursor of Django's lives in a server connection that is lent to somebody else.

use serde::{Deserialize, Serialize};

use crate::checks::written::Written;
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::path;
use crate::probes::postgres::Postgres;

use super::counting::{Meter, around};
use super::settings::{self, CURSORS};
use super::{Check, Context, DJANGO, Way, address_says, source};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServerCursorsOff {
    /// How often each public page is asked for while the server's cursors are counted.
    rounds: u64,
}

impl Default for ServerCursorsOff {
    fn default() -> Self {
        Self { rounds: 2 }
    }
}

/// How to see what counts.
const SEE: &str = "see it: python manage.py shell -c \"from django.db import connection as c; \
                   print(c.settings_dict['DISABLE_SERVER_SIDE_CURSORS'])\"";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    way: Way,
    /// A server connection is lent for less than a session.
    shares: bool,
    /// The most that the settings say which may run, and the files that say it; none when there are none.
    written: Option<Written>,
    files: Vec<String>,
    /// Those that say less, and that may be the ones that run.
    beside: Vec<String>,
    /// The variables that decide what they say, and where.
    by: Vec<String>,
    /// Why it is not known what they say.
    open: Vec<String>,
    /// Server-side cursors that were declared while we looked; none when nobody could count them.
    declared: Option<u64>,
}

impl Facts {
    /// Before the server's cursors are counted.
    fn unasked(way: Way, shares: bool, said: settings::Cursors) -> Self {
        let settings::Cursors { written, files, beside, by, open } = said;
        Self { way, shares, written, files, beside, by, open, declared: None }
    }
}

impl Check for ServerCursorsOff {
    const ID: &'static str = "pool.server-cursors-off";
    const TITLE: &'static str = "Django declares no server-side cursors behind the pooler";
    const ABOUT: &'static str = "Behind a pooler in transaction mode, counts the cursors that Django declares at the server \
        (_django_curs_ in pg_stat_statements) around visits of the public pages, and follows the settings beside rampup.toml that run \
        to DISABLE_SERVER_SIDE_CURSORS inside DATABASES. Traps: session mode and Django's own pool do not need it (not applicable), \
        the setting at the top level, where nobody reads it, a settings file that has it and is not the one that runs. A variable that \
        says no as it runs is seen only where a page that we visit uses iterator().";
    const PHASE: Phase = Phase::Before;
    const ALONE: bool = true;
    const HOW: Rung = Rung::Counted;
    const DOCS: &'static [&'static str] =
        &["https://docs.djangoproject.com/en/5.2/ref/databases/#transaction-pooling-and-server-side-cursors", DJANGO];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        let way = Way::ask(probes).await?;
        let shares = way == Way::Pooled && path::sharing(probes.app_dsn()?).await?.shares();
        if !shares {
            return Ok(Facts::unasked(way, shares, settings::Cursors::default()));
        }
        let in_address = address_says(probes, &[CURSORS]);
        let read = source::ask(probes, move |repository| settings::cursors(repository, in_address)).await;
        let mut facts = Facts::unasked(way, shares, read.unwrap_or_default());
        // By the app's own address: a role sees the text of its own statements, of others' only with a grant.
        let server = Postgres::connect(probes.app_dsn()?, "the app's database").await?;
        // Without the extension the text is left, which is weak.
        if server.cursors().await.is_err() {
            return Ok(facts);
        }
        let send = async {
            for page in probes.site.public_pages.iter().flat_map(|page| (0..self.rounds).map(move |_| page)) {
                probes.http.get_origin(page).nonce(&probes.nonce()).send().await?;
            }
            Ok(())
        };
        let counted = around(&[Meter::Cursors(server)], self.rounds, send).await?.0[0];
        // Anybody's cursor is Django's: what other visitors make it declare counts as well.
        facts.declared = Some(counted.rise.max(u64::from(counted.idle > 0.0)));
        Ok(facts)
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        if let Some(outcome) = facts.way.without_pooler() {
            return outcome;
        }
        if !facts.shares {
            return CheckOutcome::NotApplicable(
                "the pooler lends connections for whole sessions, where cursors are safe; pool.transaction says more"
                    .to_owned(),
            );
        }
        let todo = "write \"DISABLE_SERVER_SIDE_CURSORS\": True inside DATABASES[\"default\"] and restart web and workers; without it \
                    .iterator() fails under load with: cursor \"_django_curs_...\" does not exist";
        let files = facts.files.join(", ");
        match (facts.declared, facts.written) {
            (Some(declared @ 1..), _) => CheckOutcome::fail(
                format!(
                    "Django declared {declared} cursors at the server while we looked: the next portion may be asked from another connection"
                ),
                todo,
            ),
            (_, Some(_)) if !facts.open.is_empty() => CheckOutcome::weak(
                format!("whether the settings switch server-side cursors off is not known: {}", facts.open.join("; ")),
                SEE,
            ),
            (_, Some(Written::Absent)) => CheckOutcome::fail(
                format!(
                    "no DATABASES in {files} has DISABLE_SERVER_SIDE_CURSORS, and the pooler lends connections by the transaction"
                ),
                todo,
            ),
            (_, Some(Written::Off)) => {
                CheckOutcome::fail(format!("DISABLE_SERVER_SIDE_CURSORS is False in {files}"), todo)
            }
            (_, Some(Written::On)) if !facts.beside.is_empty() => CheckOutcome::weak(
                format!(
                    "{files} switches server-side cursors off, {} does not, and nothing here says which of them runs",
                    facts.beside.join(", ")
                ),
                format!(
                    "write it into the DATABASES of each of them, or name the one that runs in wsgi.py (DJANGO_SETTINGS_MODULE); {SEE}"
                ),
            ),
            (Some(_), Some(Written::On)) => CheckOutcome::Pass,
            (None, Some(Written::On)) => CheckOutcome::weak(
                match facts.by.first() {
                    None => {
                        format!("{files} switches server-side cursors off; nobody could count whether any is declared")
                    }
                    Some(by) => format!(
                        "{files} may switch server-side cursors off ({by}); nobody could count whether any is declared"
                    ),
                },
                "as a superuser: CREATE EXTENSION pg_stat_statements in the app's database, with the library preloaded",
            ),
            (_, None) => CheckOutcome::Unknown(Missing::new(
                "there are no settings to read whether server-side cursors are off",
                source::KEEP,
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps() {
        let check = ServerCursorsOff::default();
        let facts = |written, declared| Facts {
            way: Way::Pooled,
            shares: true,
            written,
            files: vec!["shop/settings.py".to_owned()],
            beside: Vec::new(),
            by: Vec::new(),
            open: Vec::new(),
            declared,
        };
        let open = |facts| Facts { open: vec!["shop/settings.py:7: made".to_owned()], ..facts };
        for (word, facts) in [
            ("pass", facts(Some(Written::On), Some(0))),
            // Two settings disagree, and either may run.
            ("weak", Facts { beside: vec!["production.py".to_owned()], ..facts(Some(Written::On), Some(0)) }),
            // The text says so, the running app does otherwise.
            ("fail", facts(Some(Written::On), Some(3))),
            ("fail", facts(None, Some(1))),
            ("fail", facts(Some(Written::Absent), Some(0))),
            ("fail", facts(Some(Written::Off), None)),
            ("weak", facts(Some(Written::On), None)),
            // What is built in a way that is not followed may be anything.
            ("weak", open(facts(Some(Written::On), Some(0)))),
            ("weak", open(facts(Some(Written::Absent), Some(0)))),
            ("fail", open(facts(Some(Written::On), Some(1)))),
            ("unknown", facts(None, Some(0))),
            ("unknown", facts(None, None)),
            ("n/a", Facts { shares: false, ..facts(Some(Written::Absent), None) }),
            ("n/a", Facts { way: Way::Direct, shares: false, ..facts(Some(Written::Absent), None) }),
            ("n/a", Facts { way: Way::Own("s.py".to_owned()), shares: false, ..facts(Some(Written::Absent), None) }),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
