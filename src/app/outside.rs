//! What a run is about outside the repository, where the settings name a token for it: the deployment at Railway, the rules
//! at Cloudflare.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;

use crate::probes::cloudflare::Phase;
use crate::probes::{ProbeError, Probes};

/// Longest wait: whoever opens the climb wants to see it.
const LIMIT: Duration = Duration::from_secs(3);

/// Id of the newest deployment of the app's service, and a note when it should be known and is not.
pub async fn deployment(probes: &Probes) -> (Option<String>, Option<String>) {
    if probes.site.railway.is_none() || probes.access.railway_token.is_none() {
        // A token that is named and has no value is noted already.
        return (None, None);
    }
    let asked = async { probes.railway().await?.service().await };
    match in_time("Railway's API", asked).await {
        Ok(service) => (service.latest_deployment.map(|deployment| deployment.id), None),
        Err(why) => (None, Some(format!("the deployment that this run is about is not known: {why}"))),
    }
}

/// Versions of the zone's rules by their phase, 0 where nobody made one; a phase that the token may not read is left out, and
/// a note says when nothing of them is known and should be.
pub async fn rules(probes: &Probes) -> (BTreeMap<String, String>, Option<String>) {
    if probes.site.cloudflare.is_none() || probes.access.cloudflare_token.is_none() {
        return (BTreeMap::new(), None);
    }
    let asked = async {
        let cloudflare = probes.cloudflare().await?;
        let [cache, limit, firewall] = Phase::ALL.map(|phase| cloudflare.rules(phase));
        let (cache, limit, firewall) = tokio::join!(cache, limit, firewall);
        let phases = Phase::ALL.iter().zip([cache, limit, firewall]);
        Ok(phases.filter_map(|(phase, set)| Some((phase.path().to_owned(), set.ok()?.version))).collect())
    };
    match in_time("Cloudflare's API", asked).await {
        Ok(versions) => (versions, None),
        Err(why) => (BTreeMap::new(), Some(format!("the edge's rules during this run are not known: {why}"))),
    }
}

async fn in_time<T>(system: &'static str, asked: impl Future<Output = Result<T, ProbeError>>) -> Result<T, ProbeError> {
    timeout(LIMIT, asked).await.unwrap_or(Err(ProbeError::TimedOut { system, limit: LIMIT }))
}
