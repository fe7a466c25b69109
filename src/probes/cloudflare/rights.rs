//! The permissions that a token for reading may have, and whether ours has them. `status: active` says nothing of them:
//! each is tried with the smallest question that needs it.

use futures_util::future::join_all;

use super::{Cloudflare, Phase};
use crate::probes::ProbeError;

/// A permission of a token, always to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// The zone itself.
    Zone,
    /// SSL mode, cache level, tiered cache.
    ZoneSettings,
    /// Cache rules.
    CacheRules,
    /// Rate limits and firewall rules.
    ZoneWaf,
    /// Page rules, the older kind.
    PageRules,
    /// Which addresses a Worker answers.
    WorkersRoutes,
    /// Figures about traffic.
    Analytics,
    /// Which rules a request would meet.
    RequestTracer,
}

impl Right {
    /// All of them but [`Right::Zone`], without which nothing can be asked.
    pub const REST: [Self; 7] = [
        Self::ZoneSettings,
        Self::CacheRules,
        Self::ZoneWaf,
        Self::PageRules,
        Self::WorkersRoutes,
        Self::Analytics,
        Self::RequestTracer,
    ];

    /// As the form that makes a token words it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Zone => "Zone > Zone > Read",
            Self::ZoneSettings => "Zone > Zone Settings > Read",
            Self::CacheRules => "Zone > Cache Rules > Read",
            Self::ZoneWaf => "Zone > Zone WAF > Read",
            Self::PageRules => "Zone > Page Rules > Read",
            Self::WorkersRoutes => "Zone > Workers Routes > Read",
            Self::Analytics => "Zone > Analytics > Read",
            Self::RequestTracer => "Account > Request Tracer > Read",
        }
    }
}

impl Cloudflare<'_> {
    /// Tries every permission but that for the zone, all at once.
    pub async fn rights(&self) -> Vec<(Right, Result<(), ProbeError>)> {
        join_all(Right::REST.map(async |right| (right, self.has(right).await))).await
    }

    async fn has(&self, right: Right) -> Result<(), ProbeError> {
        match right {
            Right::Zone => Ok(()),
            Right::ZoneSettings => self.ssl_mode().await.map(drop),
            Right::CacheRules => self.rules(Phase::Cache).await.map(drop),
            Right::ZoneWaf => self.rules(Phase::RateLimit).await.map(drop),
            Right::PageRules => self.page_rules().await.map(drop),
            Right::WorkersRoutes => self.workers_routes().await.map(drop),
            // The plan may have none of it, whatever the token may ask.
            Right::Analytics => self.traffic_limits().await?.granted().map(drop),
            Right::RequestTracer => self.trace("/").await.map(drop),
        }
    }
}
