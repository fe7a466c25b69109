//! What is known of an app at Railway. Each is read straight from an answer; text is tamed on the way in.

use jiff::Timestamp;
use serde::Deserialize;

use crate::probes::api::{masked, tamed, tamed_option};

/// A thing of Railway's, by its id and its name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Named {
    /// Its id.
    #[serde(deserialize_with = "tamed")]
    pub id: String,
    /// What its owner calls it.
    #[serde(deserialize_with = "tamed")]
    pub name: String,
}

/// A service as it runs in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its id.
    #[serde(rename = "serviceId", deserialize_with = "tamed")]
    pub id: String,
    /// What its owner calls it.
    #[serde(rename = "serviceName", deserialize_with = "tamed")]
    pub name: String,
    /// Replicas in its settings; where it runs in several regions, [`Deployment::running`] knows better.
    #[serde(rename = "numReplicas")]
    pub replicas: Option<u32>,
    /// How it is started, when its settings say so. Keys in addresses are masked.
    #[serde(deserialize_with = "masked")]
    pub start_command: Option<String>,
    /// What it is made of.
    pub source: Option<Source>,
    /// Path that must answer before a deployment gets traffic.
    #[serde(rename = "healthcheckPath", deserialize_with = "tamed_option")]
    pub health_path: Option<String>,
    /// `ALWAYS`, `NEVER`, `ON_FAILURE`.
    #[serde(rename = "restartPolicyType", deserialize_with = "tamed")]
    pub restarts: String,
    /// How often at most.
    #[serde(rename = "restartPolicyMaxRetries")]
    pub most_restarts: u32,
    /// It sleeps when nobody asks for anything.
    #[serde(rename = "sleepApplication")]
    pub sleeps: Option<bool>,
    /// When it runs, where it runs by the clock.
    #[serde(deserialize_with = "tamed_option")]
    pub cron_schedule: Option<String>,
    /// Where it is reached.
    pub domains: Domains,
    /// Its newest deployment, running or not.
    pub latest_deployment: Option<Deployment>,
    /// Those that run: more than one while a new one takes over.
    #[serde(rename = "activeDeployments")]
    pub active: Vec<Deployment>,
}

impl Service {
    /// The deployment that visitors reach: the newest of those that run.
    #[must_use]
    pub fn runs(&self) -> Option<&Deployment> {
        let running = self.active.iter().filter(|it| matches!(it.status.as_str(), "SUCCESS" | "SLEEPING"));
        running.max_by_key(|it| it.created)
    }
}

/// What a service is made of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Source {
    /// Somebody's image, like `redis:8`; none where it is built from code.
    #[serde(deserialize_with = "tamed_option")]
    pub image: Option<String>,
}

/// Names under which a service is reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Domains {
    /// Its owner's.
    pub custom_domains: Vec<CustomDomain>,
    /// Railway's own, under `up.railway.app`.
    pub service_domains: Vec<ServiceDomain>,
}

/// A domain of the owner's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CustomDomain {
    /// Its name.
    #[serde(deserialize_with = "tamed")]
    pub domain: String,
    /// What Railway sees of it.
    pub status: DomainStatus,
}

/// What Railway sees of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DomainStatus {
    /// `DETECTED_CDN_PROVIDER_CLOUDFLARE` where Cloudflare stands in front.
    #[serde(deserialize_with = "tamed_option")]
    pub cdn_provider: Option<String>,
}

/// A domain of Railway's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServiceDomain {
    /// Its name.
    #[serde(deserialize_with = "tamed")]
    pub domain: String,
}

/// One deployment of a service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// Its id.
    #[serde(deserialize_with = "tamed")]
    pub id: String,
    /// `SUCCESS` when it runs, `SLEEPING` when it waits for visitors, `BUILDING`, `FAILED`, `CRASHED`, …
    #[serde(deserialize_with = "tamed")]
    pub status: String,
    /// When it was made.
    #[serde(rename = "createdAt")]
    pub created: Timestamp,
    /// Its instances, over all regions.
    pub instances: Vec<Instance>,
}

impl Deployment {
    /// Instances that run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.instances.iter().filter(|instance| instance.status == "RUNNING").count()
    }
}

/// One running copy of a service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Instance {
    /// Its id.
    #[serde(deserialize_with = "tamed")]
    pub id: String,
    /// `RUNNING`, `CRASHED`, …
    #[serde(deserialize_with = "tamed")]
    pub status: String,
}

/// The most that one instance used in a window; none where nothing was measured.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Usage {
    /// Which one.
    pub instance: String,
    /// vCPUs.
    pub cpu: Option<f64>,
    /// vCPUs that it may use.
    pub cpu_limit: Option<f64>,
    /// GB of memory.
    pub memory_gb: Option<f64>,
    /// GB that it may use.
    pub memory_limit_gb: Option<f64>,
}

/// What Railway's router noted of a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpLine {
    /// `x-railway-request-id` of the answer.
    #[serde(rename = "requestId", deserialize_with = "tamed")]
    pub request: String,
    /// When, in RFC 3339.
    #[serde(rename = "timestamp", deserialize_with = "tamed")]
    pub at: String,
    /// The method.
    #[serde(deserialize_with = "tamed")]
    pub method: String,
    /// The path.
    #[serde(deserialize_with = "tamed")]
    pub path: String,
    /// The status.
    #[serde(rename = "httpStatus")]
    pub status: u16,
    /// Milliseconds from the first byte in to the last byte out.
    #[serde(rename = "totalDuration")]
    pub total_ms: u64,
    /// Bytes that the visitor sent.
    #[serde(rename = "rxBytes")]
    pub received: u64,
    /// The visitor's program.
    #[serde(rename = "clientUa", deserialize_with = "tamed")]
    pub agent: String,
    /// The instance that answered.
    #[serde(rename = "deploymentInstanceId", deserialize_with = "tamed")]
    pub instance: String,
}

/// A line that the app wrote.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AppLine {
    /// When, in RFC 3339.
    #[serde(rename = "timestamp", deserialize_with = "tamed")]
    pub at: String,
    /// `info`, `error`, …
    #[serde(deserialize_with = "tamed_option")]
    pub severity: Option<String>,
    /// Its beginning.
    #[serde(deserialize_with = "tamed")]
    pub message: String,
}
