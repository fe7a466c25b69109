//! `pool.conn-setting-placed`: `CONN_MAX_AGE` stands where Django reads it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::{ProbeError, Probes};

use super::counting::{Meter, around};
use super::{Check, Context, DJANGO, Way, settings, source};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConnSettingPlaced {
    /// Requests of the health endpoint, after as many that open what is to be kept.
    requests: u64,
}

impl Default for ConnSettingPlaced {
    fn default() -> Self {
        Self { requests: 20 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    way: Way,
    /// Settings files that may run, and lines in them that Django ignores; none when there are no files.
    files: Option<Vec<String>>,
    ignored: Vec<String>,
    /// Why it is not known whether there are such lines.
    open: Vec<String>,
    /// Whether connections of the app outlive its requests; none when nobody could look.
    kept: Option<bool>,
}

impl ConnSettingPlaced {
    async fn send(&self, probes: &Probes) -> Result<(), ProbeError> {
        for _ in 0..self.requests {
            probes.http.get_origin(&probes.site.health).nonce(&probes.nonce()).fresh().send().await?;
        }
        Ok(())
    }

    /// Behind a pooler by the clients that stay there, else by the sessions that are not opened.
    async fn kept(&self, probes: &Probes, way: &Way) -> Result<bool, ProbeError> {
        if *way != Way::Pooled {
            let server = probes.database().await?;
            self.send(probes).await?;
            let opened = around(&[Meter::Sessions(server)], self.requests, self.send(probes)).await?.0[0];
            return Ok(opened.per_request() <= 0.3);
        }
        let console = probes.pooler().await?;
        self.send(probes).await?;
        let before: BTreeSet<String> = console.clients().await?.into_iter().collect();
        self.send(probes).await?;
        Ok(console.clients().await?.iter().any(|client| before.contains(client)))
    }
}

impl Check for ConnSettingPlaced {
    const ID: &'static str = "pool.conn-setting-placed";
    const TITLE: &'static str = "CONN_MAX_AGE stands where Django reads it";
    const ABOUT: &'static str = "Looks at the effect first: connections of the app that outlive its requests, at the pooler or at the server, \
        show that a setting counts. Where none stays, follows the settings beside rampup.toml that run to a CONN_MAX_AGE at the top \
        level that nothing hands on to DATABASES: Django ignores it in silence. Traps: a constant that DATABASES does use, settings \
        files that are not in force (the effect decides), CONN_MAX_AGE = 0 behind a pooler, which is healthy.";
    const PHASE: Phase = Phase::Before;
    const ALONE: bool = true;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &["https://docs.djangoproject.com/en/5.2/ref/settings/#conn-max-age", DJANGO];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        let way = Way::ask(probes).await?;
        let read = source::ask(probes, settings::ages).await.ok();
        let files = read.as_ref().map(|ages| ages.files.clone());
        let settings::Ages { ignored, open, .. } = read.unwrap_or_default();
        Ok(Facts {
            files,
            ignored,
            open,
            // A console that is not given leaves the text, which is weak.
            kept: self.kept(probes, &way).await.ok(),
            way,
        })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let ignored = facts.ignored.join(", ");
        let seen = || format!("CONN_MAX_AGE stands at the top level ({ignored}), where Django does not read it");
        let todo = "move it into DATABASES[\"default\"], beside ENGINE and HOST (dj_database_url: conn_max_age=60), with \
                    CONN_HEALTH_CHECKS; see it: python manage.py shell -c \"from django.db import connection as c; \
                    print(c.settings_dict['CONN_MAX_AGE'])\"";
        match (facts.kept, &facts.files) {
            (Some(true), _) => CheckOutcome::Pass,
            (Some(false), _) if !ignored.is_empty() => {
                CheckOutcome::fail(format!("{}, and no connection of the app outlives its request", seen()), todo)
            }
            (None, _) if !ignored.is_empty() => CheckOutcome::weak(seen(), todo),
            (Some(false), Some(_)) if !facts.open.is_empty() => CheckOutcome::Unknown(Missing::new(
                format!(
                    "no connection of the app outlives its request, and whether a CONN_MAX_AGE is ignored is not known: {}",
                    facts.open.join("; ")
                ),
                "see what counts: python manage.py shell -c \"from django.db import connection as c; \
                 print(c.settings_dict['CONN_MAX_AGE'])\"",
            )),
            (Some(false), _) if facts.way == Way::Pooled => CheckOutcome::NotApplicable(
                "the app closes its connection after each request, which is cheap behind a pooler; no setting is ignored".to_owned(),
            ),
            (Some(false), Some(_)) => CheckOutcome::NotApplicable(
                "no settings file holds a CONN_MAX_AGE that is ignored; whether connections are kept is pool.conn-reuse's matter".to_owned(),
            ),
            (Some(false), None) => CheckOutcome::Unknown(Missing::new(
                "no connection of the app outlives its request, and there are no settings to see why",
                source::KEEP,
            )),
            (None, _) => CheckOutcome::Unknown(Missing::new(
                "nobody can say whether connections of the app outlive its requests",
                super::CONSOLE,
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps() {
        let check = ConnSettingPlaced::default();
        let facts = |way, kept, ignored: bool, read: bool| Facts {
            way,
            files: read.then(|| vec!["shop/settings.py".to_owned()]),
            ignored: if ignored { vec!["shop/settings.py:7".to_owned()] } else { Vec::new() },
            open: Vec::new(),
            kept,
        };
        for (word, facts) in [
            ("pass", facts(Way::Pooled, Some(true), false, true)),
            // A leftover in a file that is not in force.
            ("pass", facts(Way::Pooled, Some(true), true, true)),
            // No repository: what has an effect stands at the right place.
            ("pass", facts(Way::Direct, Some(true), false, false)),
            ("fail", facts(Way::Pooled, Some(false), true, true)),
            ("fail", facts(Way::Direct, Some(false), true, true)),
            ("weak", facts(Way::Pooled, None, true, true)),
            // 0 behind PgBouncer.
            ("n/a", facts(Way::Pooled, Some(false), false, true)),
            ("n/a", facts(Way::Direct, Some(false), false, true)),
            ("unknown", facts(Way::Direct, Some(false), false, false)),
            ("unknown", facts(Way::Pooled, None, false, true)),
            // DATABASES is built in a way that is not followed: the effect still decides.
            ("unknown", Facts { open: vec!["made".to_owned()], ..facts(Way::Pooled, Some(false), false, true) }),
            ("unknown", Facts { open: vec!["made".to_owned()], ..facts(Way::Direct, Some(false), false, true) }),
            ("fail", Facts { open: vec!["made".to_owned()], ..facts(Way::Pooled, Some(false), true, true) }),
            ("pass", Facts { open: vec!["made".to_owned()], ..facts(Way::Pooled, Some(true), false, true) }),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
