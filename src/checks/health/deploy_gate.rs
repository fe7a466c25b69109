//! Does the platform wait for the health endpoint before it sends visitors to a new version?

use serde::{Deserialize, Serialize};

use crate::checks::clouds::Api;
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::railway::{Written, written};
use crate::probes::{ProbeError, Probes};

/// Deployments on their way: nothing can be said of them yet.
const ON_THE_WAY: [&str; 6] = ["QUEUED", "WAITING", "INITIALIZING", "BUILDING", "DEPLOYING", "NEEDS_APPROVAL"];

/// `health.deploy-gate`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DeployGate {}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    /// The health endpoint, and how it answers now.
    path: String,
    status: u16,
    /// The project's folder could be looked into for a file of Railway's.
    files: bool,
    api: Api<Gate>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Gate {
    service: String,
    /// The path that must answer before a new version gets visitors.
    path: Option<String>,
    /// `SUCCESS`, `FAILED`, … of the newest deployment.
    deployment: String,
}

async fn gate(probes: &Probes) -> Result<Gate, ProbeError> {
    let service = probes.railway().await?.service().await?;
    let deployment = service.latest_deployment.map_or_else(|| "none".to_owned(), |deployment| deployment.status);
    // What stands in a file goes before the settings.
    let Written { healthcheck_path, .. } = probes.project.as_deref().map(written).unwrap_or_default();
    Ok(Gate { service: service.name, path: healthcheck_path.or(service.health_path), deployment })
}

impl Check for DeployGate {
    const ID: &'static str = "health.deploy-gate";
    const TITLE: &'static str = "a new version gets no visitors before its health endpoint answers";
    const ABOUT: &'static str = "Compares the path that Railway asks before it hands a new version over (in its settings, or in railway.toml or \
        railway.json, which go before them) with the health endpoint that rampup verifies, and looks whether the newest deployment \
        got through. A setting alone is weak, and no more can be seen without a deploy. Traps: no path at all (every version gets \
        visitors at once), another page than the one that asks the stores, a check that always fails because ALLOWED_HOSTS lacks \
        healthcheck.railway.app. Railway asks only while it deploys: a monitor is another thing. Needs [site.railway].";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Api;
    const DOCS: &'static [&'static str] = &["https://docs.railway.com/reference/healthchecks"];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        let path = probes.site.health.clone();
        let status = probes.http.get_origin(&path).nonce(&probes.nonce()).send().await?.status;
        let api = Api::ask(probes.site.railway.is_some(), gate(probes)).await;
        Ok(Facts { path, status, files: probes.project.is_some(), api })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let Facts { path, status, .. } = facts;
        let gate = match facts.api.said("railway", &format!("{path} answers {status}")) {
            Ok(gate) => gate,
            Err(other) => return other,
        };
        let Gate { service, path: asked, deployment } = gate;
        let write = format!("write {path} into Railway: service {service}, Settings, Deploy, Healthcheck Path");
        match asked.as_deref() {
            None | Some("") if !facts.files => CheckOutcome::Unknown(Missing::new(
                format!(
                    "Railway's settings of {service} name no path to ask, and a railway.toml could not be looked for"
                ),
                "run rampup in the project's folder, or write the path into Railway's settings",
            )),
            None | Some("") => CheckOutcome::fail(
                format!("Railway sends visitors to a new version of {service} without asking whether it is well"),
                format!("{write}; or healthcheckPath into [deploy] of railway.toml"),
            ),
            Some(other) if other.trim_end_matches('/') != path.trim_end_matches('/') => CheckOutcome::fail(
                format!(
                    "before a new version of {service} gets visitors, Railway asks {other}; rampup verifies {path}"
                ),
                format!("{write}; or name the other one in rampup.toml: [site] health"),
            ),
            Some(_) if ON_THE_WAY.contains(&deployment.as_str()) => CheckOutcome::Unknown(Missing::new(
                format!("a deployment of {service} is on its way ({deployment})"),
                "verify again when it is done",
            )),
            Some(_) if matches!(deployment.as_str(), "FAILED" | "CRASHED") => CheckOutcome::fail(
                format!(
                    "the newest deployment of {service} stands at {deployment}, so what answers now is an older one"
                ),
                "look into its deploy log: a health check that fails there often wants healthcheck.railway.app in ALLOWED_HOSTS, or \
                 SECURE_REDIRECT_EXEMPT for its path",
            ),
            Some(_) if *status != 200 => CheckOutcome::fail(
                format!("Railway asks {path} when it deploys, and now it answers {status}"),
                "see what health.answers says of it",
            ),
            Some(_) => CheckOutcome::weak(
                format!(
                    "Railway's settings of {service} name {path}, and only the next deploy shows that it waits for it"
                ),
                "nothing: this is advice; to see it, watch the deploy log say \"Healthcheck succeeded\"",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gate_traps() {
        let gate = |path: Option<&str>, deployment: &str| {
            Api::Said(Gate {
                service: "web".to_owned(),
                path: path.map(str::to_owned),
                deployment: deployment.to_owned(),
            })
        };
        for (word, status, files, api) in [
            // The API alone never passes.
            ("weak", 200, true, gate(Some("/healthz"), "SUCCESS")),
            ("weak", 200, true, gate(Some("/healthz/"), "SLEEPING")),
            ("weak", 200, false, gate(Some("/healthz"), "SKIPPED")),
            ("fail", 200, true, gate(None, "SUCCESS")),
            // A file that nobody could look into may say it.
            ("unknown", 200, false, gate(None, "SUCCESS")),
            ("fail", 200, true, gate(Some("/"), "SUCCESS")),
            ("fail", 200, true, gate(Some("/healthz"), "FAILED")),
            ("unknown", 200, true, gate(Some("/healthz"), "BUILDING")),
            ("fail", 503, true, gate(Some("/healthz"), "SUCCESS")),
            ("unknown", 200, true, Api::Silent(Missing::new("no answer", "a token"))),
            ("n/a", 200, true, Api::NotNamed),
        ] {
            let facts = Facts { path: "/healthz".to_owned(), status, files, api };
            assert_eq!(DeployGate {}.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
