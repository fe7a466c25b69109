//! Is the key in the app's DSN one of the project's, and is it switched on?

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::sentry::{ClientKey, Dsn};

use super::{Arrival, WAIT, list};

/// `sentry.key-active`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct KeyActive {
    /// Longest wait for a trace to show which project the app sends to, seconds.
    wait_seconds: u64,
}

impl Default for KeyActive {
    fn default() -> Self {
        Self { wait_seconds: WAIT }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    project: String,
    keys: Vec<Listed>,
    /// The app's own DSN, where the settings name its variable.
    dsn: Option<Own>,
    /// A request of ours; not sent where the keys alone decide.
    arrival: Option<Arrival>,
}

/// A key of the project.
#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    label: String,
    /// The first letters of its public half.
    begins: String,
    active: bool,
    /// The app's DSN holds this one.
    ours: bool,
}

/// What the variable with the app's DSN holds.
#[derive(Debug, Serialize, Deserialize)]
struct Own {
    variable: String,
    /// False for a text that is no DSN.
    readable: bool,
    /// The first letters of its public key.
    begins: String,
}

fn beginning(key: &str) -> String {
    key.chars().take(6).collect()
}

impl Facts {
    fn of(project: &str, keys: &[ClientKey], dsn: Option<(&str, Option<Dsn>)>) -> Self {
        let own = dsn.as_ref().and_then(|(_, dsn)| dsn.as_ref());
        let listed = |key: &ClientKey| Listed {
            label: key.label.clone(),
            begins: beginning(&key.public),
            active: key.active,
            ours: own.is_some_and(|own| own.public == key.public && own.project == key.project),
        };
        Self {
            project: project.to_owned(),
            keys: keys.iter().map(listed).collect(),
            dsn: dsn.as_ref().map(|(variable, dsn)| Own {
                variable: (*variable).to_owned(),
                readable: dsn.is_some(),
                begins: dsn.as_ref().map(|dsn| beginning(&dsn.public)).unwrap_or_default(),
            }),
            arrival: None,
        }
    }

    /// What is wrong with the keys by themselves: what was seen, and what to do.
    fn fault(&self) -> Option<(String, String)> {
        let project = &self.project;
        if !self.keys.iter().any(|key| key.active) {
            return Some((
                format!("project {project:?} has no key that is switched on"),
                format!(
                    "open Settings > Projects > {project} > Client Keys in Sentry and enable one, or make a new one"
                ),
            ));
        }
        let own = self.dsn.as_ref()?;
        let copy = format!(
            "copy the DSN from Settings > Projects > {project} > Client Keys in Sentry into {} where the app runs, and deploy",
            own.variable
        );
        if !own.readable {
            return Some((format!("{} holds no DSN", own.variable), copy));
        }
        match self.keys.iter().find(|key| key.ours) {
            None => Some((format!("the key {}… in {} is none of project {project:?}", own.begins, own.variable), copy)),
            Some(key) if !key.active => {
                let seen = format!("the key {:?} ({}…) in {} is switched off", key.label, key.begins, own.variable);
                Some((seen, format!("{copy}; or enable that key")))
            }
            Some(_) => None,
        }
    }
}

impl Check for KeyActive {
    const ID: &'static str = "sentry.key-active";
    const TITLE: &'static str = "the app's DSN is a key of this project, and it is switched on";
    const ABOUT: &'static str = "Lists the project's keys by Sentry's API and compares the public half of the app's own DSN with them, \
        where the settings name its variable; then lets one traced request show which project really receives. Traps: a DSN copied \
        from another project (the app looks fine, the errors are elsewhere), a key that was switched off, a variable here that is \
        not the one the app runs with (so the keys alone are weak, and the request must arrive).";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &[
        "https://docs.sentry.io/api/projects/list-a-projects-client-keys/",
        "https://docs.sentry.io/concepts/key-terms/dsn-explainer/",
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        let keys = probes.sentry_keys().await?;
        let own = probes.access.sentry_dsn.as_ref();
        let own = own.map(|key| (key.variable.as_str(), Dsn::parse(key.secret.expose())));
        let mut facts = Facts::of(&probes.sentry_site()?.project, &keys, own);
        if facts.fault().is_none() {
            facts.arrival = Some(Arrival::of(probes, Duration::from_secs(self.wait_seconds)).await?);
        }
        Ok(facts)
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        if let Some((seen, todo)) = facts.fault() {
            return CheckOutcome::fail(seen, todo);
        }
        let project = &facts.project;
        let arrived = facts.arrival.as_ref().filter(|arrival| !arrival.from_cache && arrival.spans > 0);
        match arrived {
            Some(arrival) if arrival.projects.contains(project) => CheckOutcome::Pass,
            Some(arrival) => CheckOutcome::fail(
                format!("a request of ours was reported to project {} instead of {project:?}", list(&arrival.projects)),
                format!(
                    "copy the DSN from the keys of project {project:?} into the app's SENTRY_DSN, or correct [site.sentry] project"
                ),
            ),
            None if facts.dsn.is_some() => CheckOutcome::weak(
                format!(
                    "the key is one of project {project:?} and switched on, but nothing that the app sent with it arrived"
                ),
                "see sentry.trace-roundtrip: the app must run with this DSN and reach Sentry",
            ),
            None => CheckOutcome::Unknown(Missing::new(
                "it is not known which key the app uses: nothing of a request of ours arrived",
                "put the app's DSN into an environment variable and name that variable in rampup.toml: [site.sentry] dsn_env = \"SENTRY_DSN\"",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn key(public: &str, project: &str, active: bool) -> ClientKey {
        let (label, limit) = ("Default".to_owned(), None);
        ClientKey { label, public: public.to_owned(), project: project.to_owned(), active, limit }
    }

    fn arrival(spans: u64, project: &str) -> Arrival {
        Arrival {
            page: "/".to_owned(),
            status: 200,
            from_cache: false,
            spans,
            by_operation: BTreeMap::from([("http.server".to_owned(), spans)]),
            projects: vec![project.to_owned()],
            waited_seconds: 1.0,
        }
    }

    #[test]
    fn key_traps() {
        let check = KeyActive::default();
        let keys = [key("aaa", "1", true), key("old", "1", false)];
        let (ours, staging) = (Some(arrival(4, "shop")), Some(arrival(4, "staging")));
        let nothing = || Some(arrival(0, "shop"));
        for (case, word, keys, dsn, arrival) in [
            (
                "key, project and arrival agree",
                "pass",
                &keys[..],
                Some("https://aaa@o1.ingest.sentry.io/1"),
                ours.clone(),
            ),
            ("self-hosted below a path", "pass", &keys, Some("https://aaa@sentry.shop.test/sub/1"), ours.clone()),
            ("the DSN is not known, the arrival is", "pass", &keys, None, ours.clone()),
            ("a key of another project", "fail", &keys, Some("https://zzz@o1.ingest.sentry.io/2"), None),
            ("the right key, another project's number", "fail", &keys, Some("https://aaa@o1.ingest.sentry.io/2"), None),
            ("a key that was switched off", "fail", &keys, Some("https://old@o1.ingest.sentry.io/1"), None),
            ("no DSN at all", "fail", &keys, Some("true"), None),
            ("every key is switched off", "fail", &keys[1..], None, None),
            (
                "the variable is right, the app runs with another",
                "fail",
                &keys,
                Some("https://aaa@x.test/1"),
                staging.clone(),
            ),
            ("not known, and the app reports to staging", "fail", &keys, None, staging),
            ("the key is good, nothing arrives", "weak", &keys, Some("https://aaa@x.test/1"), nothing()),
            ("nothing is known and nothing arrives", "unknown", &keys, None, nothing()),
        ] {
            let mut facts = Facts::of("shop", keys, dsn.map(|text| ("SENTRY_DSN", Dsn::parse(text))));
            facts.arrival = arrival;
            assert_eq!(check.judge(&facts).word(), word, "{case}");
        }
    }

    #[test]
    fn facts_hold_no_whole_key() {
        let keys = [key("a785682ddda742d7", "1", true)];
        let facts = Facts::of("shop", &keys, Some(("SENTRY_DSN", Dsn::parse("https://b885682ddda742d7@x.test/1"))));
        let text = serde_json::to_string(&facts).unwrap();
        assert!(!text.contains("682ddda742d7") && text.contains("a78568") && text.contains("b88568"), "{text}");
    }
}
