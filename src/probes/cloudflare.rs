//! Cloudflare's API: the zone, its rules and settings, and what its cache did.
//!
//! Only reads. Each question names the permission that it needs, so that a refusal says what to add to the token.

mod ask;
mod facts;
mod rights;
mod traffic;

pub use facts::{
    Account, Action, CacheSettings, Constraint, PageRule, RateLimit, Rule, Ruleset, Target, Token, Trace, Tried, Ttl,
    WorkersRoute, Zone,
};
pub use rights::Right;
pub use traffic::{Limits, Traffic};

use serde::Deserialize;
use serde_json::json;

use super::{ProbeError, Probes, api};
use ask::{Fault, Line};

const SYSTEM: &str = "Cloudflare's API";

/// Whose token it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A person's.
    User,
    /// An account's.
    Account,
}

/// When rules of a kind are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Cache rules.
    Cache,
    /// Rate limits.
    RateLimit,
    /// Firewall rules of the zone's owner.
    Firewall,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cache, Self::RateLimit, Self::Firewall];

    /// As Cloudflare calls it.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Cache => "http_request_cache_settings",
            Self::RateLimit => "http_ratelimit",
            Self::Firewall => "http_request_firewall_custom",
        }
    }

    fn right(self) -> Right {
        match self {
            Self::Cache => Right::CacheRules,
            Self::RateLimit | Self::Firewall => Right::ZoneWaf,
        }
    }
}

/// Which upper tier a miss asks before it asks the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TieredCache {
    /// A miss asks another data centre first.
    pub on: bool,
    /// Cloudflare chooses it by the origin's place, which it cannot where the origin is everywhere (anycast).
    pub smart: bool,
}

/// Cloudflare, asked with a token that was accepted.
#[derive(Debug)]
pub struct Cloudflare<'a> {
    line: Line<'a>,
    /// Whose token it is; none when Cloudflare says so of neither, and yet takes it.
    pub owner: Option<Owner>,
    /// When the token ends, in RFC 3339, if that is known.
    pub expires_on: Option<String>,
    /// The zone.
    pub zone: Zone,
}

/// A setting of a zone.
#[derive(Deserialize)]
struct Setting {
    value: String,
}

impl Probes {
    /// The zone as the settings name it.
    ///
    /// # Errors
    /// When they name none.
    pub fn cloudflare_site(&self) -> Result<&crate::domain::clouds::Cloudflare, ProbeError> {
        self.site.cloudflare.as_ref().ok_or_else(|| ProbeError::NotGiven {
            what: "the site's zone at Cloudflare is not known".to_owned(),
            provide: "name it in rampup.toml: [site.cloudflare] token_env and zone".to_owned(),
        })
    }

    /// Asks whether the token is accepted, and for the zone.
    ///
    /// # Errors
    /// No Cloudflare in the settings, no token, no answer; a token that is not active or does not see the zone.
    pub async fn cloudflare(&self) -> Result<Cloudflare<'_>, ProbeError> {
        let site = self.cloudflare_site()?;
        let token = api::token(self.access.cloudflare_token.as_ref(), "Cloudflare", "cloudflare")?;
        let line = Line { http: &self.http, site, token };
        let users = verified(&line, "user/tokens/verify").await?;
        let zones: Result<Vec<Zone>, Fault> = line.get("zones", &[("name", &site.zone), ("per_page", "5")]).await;
        let mut zones = zones.map_err(|fault| line.told(fault, Right::Zone))?;
        let zone = match zones.len() {
            1 => zones.remove(0),
            0 => {
                return Err(ProbeError::Refused {
                    system: SYSTEM,
                    why: format!("the token in {} sees no zone {:?}", token.variable, site.zone),
                    provide: format!(
                        "give it the permission {} for this zone, or correct rampup.toml: [site.cloudflare] zone",
                        Right::Zone.name()
                    ),
                });
            }
            many => return Err(ProbeError::odd(SYSTEM, format!("{many} zones of one name"))),
        };
        let (owner, token) = match users {
            Some(token) => (Some(Owner::User), Some(token)),
            // An account's token is unknown where users' are asked about.
            None => {
                let token = verified(&line, &format!("accounts/{}/tokens/verify", zone.account.id)).await?;
                (token.as_ref().map(|_| Owner::Account), token)
            }
        };
        Ok(Cloudflare { line, owner, expires_on: token.and_then(|token| token.expires_on), zone })
    }
}

/// What is said of the token there; none when it is not known there.
async fn verified(line: &Line<'_>, path: &str) -> Result<Option<Token>, ProbeError> {
    match line.get::<Token>(path, &[]).await {
        Ok(token) if token.status == "active" => Ok(Some(token)),
        Ok(token) => Err(ProbeError::Refused {
            system: SYSTEM,
            why: format!("the token in {} is {}", line.token.variable, token.status),
            provide: "make a new one, or prolong it where it was made".to_owned(),
        }),
        Err(Fault::NotAllowed(_) | Fault::Absent) => Ok(None),
        Err(Fault::Else(error)) => Err(error),
    }
}

impl Cloudflare<'_> {
    /// The rules of a phase. None were ever made is an answer, too: an empty set.
    ///
    /// # Errors
    /// No answer, no right.
    pub async fn rules(&self, phase: Phase) -> Result<Ruleset, ProbeError> {
        let path = self.in_zone(&format!("rulesets/phases/{}/entrypoint", phase.path()));
        match self.line.get(&path, &[]).await {
            Err(Fault::Absent) => Ok(Ruleset::default()),
            asked => asked.map_err(|fault| self.line.told(fault, phase.right())),
        }
    }

    /// Page rules that are switched on. They set caching, too.
    ///
    /// # Errors
    /// No answer, no right.
    pub async fn page_rules(&self) -> Result<Vec<PageRule>, ProbeError> {
        // Without the status, the disabled ones come.
        self.get("pagerules", &[("status", "active")], Right::PageRules).await
    }

    /// Whether misses ask another data centre before the origin.
    ///
    /// # Errors
    /// No answer, no right.
    pub async fn tiered_cache(&self) -> Result<TieredCache, ProbeError> {
        let on = async |path| {
            let setting: Setting = self.get(path, &[], Right::ZoneSettings).await?;
            Ok(setting.value == "on")
        };
        Ok(TieredCache {
            on: on("argo/tiered_caching").await?,
            smart: on("cache/tiered_cache_smart_topology_enable").await?,
        })
    }

    /// How Cloudflare talks to the origin: `off`, `flexible`, `full`, `strict`.
    ///
    /// # Errors
    /// No answer, no right.
    pub async fn ssl_mode(&self) -> Result<String, ProbeError> {
        self.word("ssl").await
    }

    /// What is cached by default: `basic`, `simplified`, `aggressive`.
    ///
    /// # Errors
    /// No answer, no right.
    pub async fn cache_level(&self) -> Result<String, ProbeError> {
        self.word("cache_level").await
    }

    /// Addresses that a Worker answers.
    ///
    /// # Errors
    /// No answer, no right.
    pub async fn workers_routes(&self) -> Result<Vec<WorkersRoute>, ProbeError> {
        self.get("workers/routes", &[], Right::WorkersRoutes).await
    }

    /// Which rules a stranger's GET of a path would meet. The origin is not asked.
    ///
    /// # Errors
    /// No answer, no right.
    pub async fn trace(&self, path: &str) -> Result<Trace, ProbeError> {
        let body = json!({
            "url": format!("https://{}{path}", self.zone.name), "method": "GET", "protocol": "HTTP/1.1",
            "skip_response": true,
        });
        let asked = self.line.post(&format!("accounts/{}/request-tracer/trace", self.zone.account.id), &body).await;
        asked.map_err(|fault| self.line.told(fault, Right::RequestTracer))
    }

    async fn word(&self, setting: &str) -> Result<String, ProbeError> {
        let setting: Setting = self.get(&format!("settings/{setting}"), &[], Right::ZoneSettings).await?;
        Ok(crate::domain::text::tame(&setting.value, 60))
    }

    async fn get<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        right: Right,
    ) -> Result<T, ProbeError> {
        self.line.get(&self.in_zone(path), query).await.map_err(|fault| self.line.told(fault, right))
    }

    fn in_zone(&self, path: &str) -> String {
        format!("zones/{}/{path}", self.zone.id)
    }
}

#[cfg(test)]
mod contract;
