//! Which deployment at Railway a run is about, where the settings name the app's service there.

use std::time::Duration;

use tokio::time::timeout;

use crate::probes::{ProbeError, Probes};

/// Longest wait: whoever opens the climb wants to see it.
const LIMIT: Duration = Duration::from_secs(3);

/// Id of the newest deployment of the app's service, and a note when it should be known and is not.
pub async fn of(probes: &Probes) -> (Option<String>, Option<String>) {
    if probes.site.railway.is_none() || probes.access.railway_token.is_none() {
        // A token that is named and has no value is noted already.
        return (None, None);
    }
    let asked = async { probes.railway().await?.service().await };
    let late = Err(ProbeError::TimedOut { system: "Railway's API", limit: LIMIT });
    match timeout(LIMIT, asked).await.unwrap_or(late) {
        Ok(service) => (service.latest_deployment.map(|deployment| deployment.id), None),
        Err(why) => (None, Some(format!("the deployment that this run is about is not known: {why}"))),
    }
}
