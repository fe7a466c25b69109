//! `pool.server-cursors-off`: no cursor of Django's lives in a server connection that is lent to somebody else.

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::path;
use crate::probes::postgres::Postgres;
use crate::probes::repo::{InForce, SettingsFile};

use super::counting::{Meter, around};
use super::text::{self, Written};
use super::{Check, Context, DJANGO, Way};

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

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    way: Way,
    /// A server connection is lent for less than a session.
    shares: bool,
    /// What the settings say, and the files that were read; none when there are none.
    written: Option<Written>,
    files: Vec<String>,
    /// Settings files that say less, and that may be the ones that run.
    #[serde(default)]
    beside: Vec<String>,
    /// Server-side cursors that were declared while we looked; none when nobody could count them.
    declared: Option<u64>,
}

impl Facts {
    /// What the settings that run say. One that builds on the named one may run in its place, by the environment.
    fn reads(&mut self, settings: &InForce) {
        let said = |way: &Vec<SettingsFile>| Some((text::cursors_of(way)?, way.first()?.path.clone()));
        let named = settings.named.iter().filter_map(said);
        let ways: Vec<(Written, String)> = named.chain(settings.others.iter().filter_map(said)).collect();
        self.written = ways.iter().map(|(written, _)| *written).max();
        let (most, less): (Vec<_>, Vec<_>) = ways.into_iter().partition(|(written, _)| Some(*written) == self.written);
        self.files = most.into_iter().map(|(_, file)| file).collect();
        self.beside = less.into_iter().map(|(_, file)| file).collect();
        self.files.dedup();
        // Settings that were read and name no DATABASES have no such line either.
        if self.written.is_none() {
            let all = settings.named.iter().chain(&settings.others);
            self.files = all.filter_map(|way| Some(way.first()?.path.clone())).collect();
            self.written = (!self.files.is_empty()).then_some(Written::Absent);
        }
    }
}

impl Check for ServerCursorsOff {
    const ID: &'static str = "pool.server-cursors-off";
    const TITLE: &'static str = "Django declares no server-side cursors behind the pooler";
    const ABOUT: &'static str = "Behind a pooler in transaction mode, counts the cursors that Django declares at the server \
        (_django_curs_ in pg_stat_statements) around visits of the public pages, and reads whether the settings beside rampup.toml \
        hold DISABLE_SERVER_SIDE_CURSORS inside DATABASES. Traps: session mode and Django's own pool do not need it (not applicable), \
        the setting at the top level, where nobody reads it, a settings file that has it and is not the one that runs. An expression that is false as it runs is seen only where a page that we \
        visit uses iterator().";
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
        let mut facts = Facts { way, shares, written: None, files: Vec::new(), declared: None, beside: Vec::new() };
        if !shares {
            return Ok(facts);
        }
        if let Ok(settings) = probes.settings_in_force() {
            facts.reads(&settings);
        }
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
                "write it into the DATABASES of each of them, or name the one that runs in wsgi.py (DJANGO_SETTINGS_MODULE); see it: \
                 python manage.py shell -c \"from django.db import connection as c; \
                 print(c.settings_dict['DISABLE_SERVER_SIDE_CURSORS'])\"",
            ),
            (Some(_), Some(Written::On)) => CheckOutcome::Pass,
            (None, Some(Written::On)) => CheckOutcome::weak(
                format!("{files} switches server-side cursors off; nobody could count whether any is declared"),
                "as a superuser: CREATE EXTENSION pg_stat_statements in the app's database, with the library preloaded",
            ),
            (_, None) => CheckOutcome::Unknown(Missing::new(
                "there are no settings to read whether server-side cursors are off",
                "keep rampup.toml in the app's repository, beside manage.py or in a folder below it",
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
            declared,
        };
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
