//! The systems that are asked with a token: what they say, and what the token may not ask.

use std::time::Duration;

use crate::domain::doctor::Lack;
use crate::probes::cloudflare::{Owner, Right};
use crate::probes::railway::{TokenKind, Wanted};
use crate::probes::{ProbeError, Probes};

use super::systems::Said;

/// A trace that nobody sends: Sentry knows nothing of it, and says so only to whoever may ask.
const NO_TRACE: &str = "00000000000000000000000000000000";
/// A word that nobody writes, likewise.
const NO_WORD: &str = "rampup-doctor";

pub(super) async fn sentry(probes: &Probes) -> Result<Said, ProbeError> {
    let project = probes.sentry_site()?.project.clone();
    let (keys, trace) = tokio::join!(probes.sentry_keys(), probes.sentry_trace(NO_TRACE));
    if let (Err(refused @ ProbeError::Refused { .. }), Err(ProbeError::Refused { .. })) = (&keys, &trace) {
        // A token that may ask nothing is none.
        return Err(refused.clone());
    }
    let text = match &keys {
        Ok(keys) => format!("project {project}, {} keys", keys.len()),
        Err(_) => format!("project {project}"),
    };
    let lacks = [
        lack("project:read", "whether the app's key is in use (sentry.key-active)", keys)?,
        lack("org:read", "whether traces and errors arrive (sentry.trace-roundtrip)", trace)?,
    ];
    Ok(Said { text, lacks: lacks.into_iter().flatten().collect() })
}

pub(super) async fn cloudflare(probes: &Probes) -> Result<Said, ProbeError> {
    let cloudflare = probes.cloudflare().await?;
    let owner = match cloudflare.owner {
        Some(Owner::User) => "a user's token",
        Some(Owner::Account) => "an account's token",
        None => "a token of an unknown owner",
    };
    let until = cloudflare.expires_on.as_deref().and_then(|at| at.get(..10)).map(|day| format!(" until {day}"));
    let text = format!("zone {}, {owner}{}", cloudflare.zone.name, until.unwrap_or_default());
    let mut lacks = Vec::new();
    for (right, has) in cloudflare.rights().await {
        // One odd answer says nothing of the other permissions.
        let (name, shows) = (right.name(), shows(right));
        let odd =
            |error: ProbeError| Lack { right: format!("{name} (could not be tried)"), shows, because: error.into() };
        lacks.extend(lack(name, shows, has).unwrap_or_else(|error| Some(odd(error))));
    }
    Ok(Said { text, lacks })
}

/// What a permission would let rampup see, and at which step that counts.
fn shows(right: Right) -> &'static str {
    match right {
        Right::Zone => "the zone itself",
        Right::ZoneSettings => "SSL mode and tiered cache (step 2), the cache level (step 8)",
        Right::CacheRules => "the rule by which the edge keeps a private page (step 8)",
        Right::ZoneWaf => "rate limits and firewall rules (step 8)",
        Right::PageRules => "older rules that set caching, too (step 8)",
        Right::WorkersRoutes => "which pages a Worker answers in the app's place (steps 2 and 8)",
        Right::Analytics => "how much the edge's cache really answers (step 2)",
        Right::RequestTracer => "which rules a request meets (step 8)",
    }
}

pub(super) async fn railway(probes: &Probes) -> Result<Said, ProbeError> {
    let railway = probes.railway().await?;
    let service = railway.service().await?;
    let token = match railway.kind {
        TokenKind::Project => "a project's token",
        TokenKind::Account => "an account's token",
    };
    let latest = service.latest_deployment.as_ref();
    let runs = latest.map_or_else(
        || "never deployed".to_owned(),
        |it| format!("{} of {} instances run ({})", it.running(), it.instances.len(), it.status.to_ascii_lowercase()),
    );
    let text = format!("{}, {}, {}: {runs}, {token}", railway.project.name, railway.environment.name, service.name);
    let lines = async {
        match latest {
            Some(deployment) => {
                let asked = tokio::join!(
                    railway.http_lines(&deployment.id, Wanted::Id(NO_WORD)),
                    railway.app_lines(&deployment.id, NO_WORD)
                );
                asked.0.and(asked.1.map(drop))
            }
            None => Ok(()),
        }
    };
    let minutes = Duration::from_secs(10 * 60);
    let (variables, usage, lines) =
        tokio::join!(railway.variables(&service.id), railway.usage(&service.id, minutes), lines);
    let lacks = [
        lack("variables", "which service goes past the pooler (step 5)", variables)?,
        lack("metrics", "memory and CPU of each instance (step 7)", usage)?,
        lack("logs", "the app's own lines, monitors and uploads (steps 1 and 4)", lines)?,
    ];
    Ok(Said { text, lacks: lacks.into_iter().flatten().collect() })
}

/// A permission that was refused; anything else that went wrong is the system's own trouble.
fn lack<T>(right: &str, shows: &'static str, asked: Result<T, ProbeError>) -> Result<Option<Lack>, ProbeError> {
    match asked {
        Ok(_) => Ok(None),
        Err(error @ ProbeError::Refused { .. }) => {
            Ok(Some(Lack { right: right.to_owned(), shows, because: error.into() }))
        }
        Err(error) => Err(error),
    }
}
