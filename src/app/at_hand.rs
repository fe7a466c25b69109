//! What Railway and Cloudflare say of the site before anything is configured, where the environment holds a token for them:
//! its address, its health page, and what they call it. Only proposals; the token's value goes nowhere else.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;
use url::Url;

use crate::cli::Init;
use crate::config::{self, Answers, AtCloud, Environment};
use crate::domain::clouds;
use crate::domain::ids::RunId;
use crate::domain::secret::Secret;
use crate::domain::site::{Access, Key, Site};
use crate::probes::railway::Service;
use crate::probes::{ProbeError, Probes};

/// Holds a token for one environment of a project, as Railway's own program reads it.
pub(super) const RAILWAY_TOKEN: &str = "RAILWAY_TOKEN";
/// Holds a token, as Cloudflare's own program reads it.
pub(super) const CLOUDFLARE_TOKEN: &str = "CLOUDFLARE_API_TOKEN";
/// Longest wait for each: a person waits for the first question.
const LIMIT: Duration = Duration::from_secs(8);

/// What they propose.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AtHand {
    /// Where users arrive.
    pub url: Option<String>,
    /// The page that Railway asks before it hands a new version over.
    pub health: Option<String>,
    /// The app's service at Railway.
    pub service: Option<String>,
    /// The site's zone at Cloudflare.
    pub zone: Option<String>,
    /// What was seen or not, in words.
    pub told: Vec<String>,
}

/// Asks whoever the environment has a token for, but for what the flags say already.
pub(super) async fn look(environment: &Environment, wish: &Init) -> AtHand {
    let vendor = |host| Url::parse(&format!("https://{host}")).ok();
    let (railway, cloudflare) = (vendor(clouds::RAILWAY), vendor(clouds::CLOUDFLARE));
    let mut found = AtHand::default();
    if let (Some(key), Some(api), None) = (key(environment, RAILWAY_TOKEN), railway, &wish.railway_service) {
        let asked = timeout(LIMIT, ask_railway(key, api)).await;
        match asked.unwrap_or(Err(ProbeError::TimedOut { system: "Railway's API", limit: LIMIT })) {
            Ok(said) => found = said,
            Err(why) => found.told.push(format!("{RAILWAY_TOKEN} is set, but {why}")),
        }
    }
    let host = wish.url.as_deref().or(found.url.as_deref()).and_then(|url| Url::parse(url).ok());
    let host = host.and_then(|url| url.domain().map(str::to_owned)).filter(|_| wish.cloudflare_zone.is_none());
    if let (Some(key), Some(api), Some(host)) = (key(environment, CLOUDFLARE_TOKEN), cloudflare, host) {
        let asked = timeout(LIMIT, ask_cloudflare(&key, &api, &host)).await;
        match asked.unwrap_or(Err(ProbeError::TimedOut { system: "Cloudflare's API", limit: LIMIT })) {
            Ok(zone) => {
                found.told.push(format!("Cloudflare: zone {zone}"));
                found.zone = Some(zone);
            }
            Err(why) => found.told.push(format!("{CLOUDFLARE_TOKEN} is set, but {why}")),
        }
    }
    found
}

fn key(environment: &Environment, variable: &str) -> Option<Key> {
    Some(Key { variable: variable.to_owned(), secret: environment.secret(variable)? })
}

async fn ask_railway(key: Key, api: Url) -> Result<AtHand, ProbeError> {
    let named = AtCloud { name: "any".to_owned(), token_env: key.variable.clone() };
    let mut site = site(&api, |answers| answers.railway = Some(named))?;
    if let Some(railway) = &mut site.railway {
        railway.api = api;
    }
    let access = Access { railway_token: Some(key), ..Access::default() };
    let probes = Probes::new(site, access, RunId::new(Timestamp::now()))?;
    let railway = probes.railway().await?;
    let services = railway.services().await?;
    let place = format!("Railway: project {}, {}", railway.project.name, railway.environment.name);
    let Some(service) = web(&services) else {
        let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
        let told = vec![format!("{place}; which service runs the app is for you to say: {}", names.join(", "))];
        return Ok(AtHand { told, ..AtHand::default() });
    };
    let url = address(service);
    let told = vec![format!("{place}, service {} at {}", service.name, url.as_deref().unwrap_or("no address"))];
    Ok(AtHand { url, health: service.health_path.clone(), service: Some(service.name.clone()), zone: None, told })
}

/// The one that visitors reach: the only one with a domain; else with one of its owner's; else with a health page, too.
fn web(services: &[Service]) -> Option<&Service> {
    let one = |of: &[&'static str]| {
        let fits = |service: &&Service| {
            of.iter().all(|wanted| match *wanted {
                "domain" => address(service).is_some(),
                "own domain" => !service.domains.custom_domains.is_empty(),
                _ => service.health_path.is_some(),
            })
        };
        let mut fitting = services.iter().filter(fits);
        fitting.next().filter(|_| fitting.next().is_none())
    };
    one(&["domain"]).or_else(|| one(&["own domain"])).or_else(|| one(&["own domain", "health page"]))
}

fn address(service: &Service) -> Option<String> {
    let own = service.domains.custom_domains.first().map(|custom| &custom.domain);
    let domain = own.or_else(|| service.domains.service_domains.first().map(|given| &given.domain))?;
    Some(format!("https://{domain}"))
}

/// The zone that a host is in: the host itself, or what is left of it without its first names.
async fn ask_cloudflare(key: &Key, api: &Url, host: &str) -> Result<String, ProbeError> {
    let mut first = None;
    let mut zone = host;
    while zone.contains('.') {
        let named = AtCloud { name: zone.to_owned(), token_env: key.variable.clone() };
        let mut site = site(api, |answers| answers.cloudflare = Some(named))?;
        if let Some(cloudflare) = &mut site.cloudflare {
            cloudflare.api = api.clone();
        }
        let access = Access { cloudflare_token: Some(copy(key)), ..Access::default() };
        let probes = Probes::new(site, access, RunId::new(Timestamp::now()))?;
        match probes.cloudflare().await {
            Ok(_) => return Ok(zone.to_owned()),
            // Not a zone of this token's; perhaps the domain above it is.
            Err(refused @ ProbeError::Refused { .. }) => {
                first.get_or_insert(refused);
            }
            Err(other) => return Err(other),
        }
        zone = zone.split_once('.').map_or("", |(_, rest)| rest);
    }
    Err(first.unwrap_or_else(|| ProbeError::odd("Cloudflare's API", format!("{host} is in no zone"))))
}

/// Keys are not copied by the way; here each zone is asked by itself.
fn copy(key: &Key) -> Key {
    Key { variable: key.variable.clone(), secret: Secret::new(key.secret.expose().to_owned()) }
}

/// A site of which only the clouds are asked; its address is never.
fn site(address: &Url, say: impl FnOnce(&mut Answers)) -> Result<Site, ProbeError> {
    let mut answers = Answers::usual("init", address.clone());
    say(&mut answers);
    let text = config::template(&answers, &config::nonce());
    let settings = config::parse(&text, std::path::Path::new(""));
    settings.map(|settings| settings.site).map_err(|why| ProbeError::odd("the settings to begin with", why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::http::tests::{answer, server};
    use serde_json::{Value, json};

    fn token() -> Key {
        Key { variable: RAILWAY_TOKEN.to_owned(), secret: Secret::new("t0ken".to_owned()) }
    }

    fn said(data: &Value) -> String {
        answer("200 OK", "Content-Type: application/json\r\n", &data.to_string())
    }

    fn service(name: &str, own: &[&str], given: &[&str], health: Option<&str>) -> Value {
        let domains = |names: &[&str]| names.iter().map(|name| json!({ "domain": name })).collect::<Vec<_>>();
        let own: Vec<Value> =
            own.iter().map(|name| json!({ "domain": name, "status": { "cdnProvider": null } })).collect();
        json!({ "node": {
            "serviceId": name, "serviceName": name, "numReplicas": 1, "sleepApplication": false, "cronSchedule": null,
            "startCommand": null, "source": null, "healthcheckPath": health, "restartPolicyType": "ALWAYS", "restartPolicyMaxRetries": 1,
            "domains": { "customDomains": own, "serviceDomains": domains(given) }, "latestDeployment": null, "activeDeployments": [],
        } })
    }

    async fn asked(services: &[Value]) -> AtHand {
        let standing = json!({ "data": { "projectToken": {
            "project": { "id": "p", "name": "shop" }, "environment": { "id": "e", "name": "production" },
        } } });
        let services = json!({ "data": { "environment": { "serviceInstances": {
            "edges": services, "pageInfo": { "hasNextPage": false, "endCursor": null },
        } } } });
        let (http, _) = server(&[said(&standing), said(&services)]).await;
        ask_railway(token(), http.base().clone()).await.unwrap()
    }

    #[tokio::test]
    async fn railway_proposes_the_service_that_visitors_reach() {
        let database = || service("Postgres", &[], &[], None);
        let web = asked(&[database(), service("web", &["shop.example"], &["shop.up.railway.app"], Some("/up/"))]).await;
        assert_eq!(web.url.as_deref(), Some("https://shop.example"));
        assert_eq!((web.health.as_deref(), web.service.as_deref()), (Some("/up/"), Some("web")));
        assert_eq!(web.told, ["Railway: project shop, production, service web at https://shop.example"]);
        // Several are reached: the one with a domain of its owner's.
        let admin = service("admin", &[], &["admin.up.railway.app"], None);
        let both = asked(&[admin.clone(), service("web", &["shop.example"], &[], None)]).await;
        assert_eq!(both.service.as_deref(), Some("web"));
        let open = asked(&[admin, service("web", &[], &["web.up.railway.app"], None)]).await;
        assert_eq!((open.service, open.url), (None, None));
        assert!(open.told[0].contains("for you to say: admin, web"), "{:?}", open.told);
    }

    #[tokio::test]
    async fn cloudflare_is_asked_for_the_domain_above_as_well() {
        let wrapped = |result: Value| said(&json!({ "success": true, "errors": [], "messages": [], "result": result }));
        let verified = || wrapped(json!({ "id": "t", "status": "active" }));
        let zone = json!([{ "id": "z", "name": "shop.example", "status": "active", "paused": false, "account": { "id": "a" } }]);
        let answers = [verified(), wrapped(json!([])), verified(), wrapped(zone)];
        let (http, kept) = server(&answers).await;
        let found = ask_cloudflare(&token(), http.base(), "www.shop.example").await.unwrap();
        assert_eq!((found.as_str(), kept.lock().unwrap().len()), ("shop.example", 4));
    }

    #[tokio::test]
    async fn without_a_token_nobody_is_asked() {
        let wish = Init { url: Some("https://shop.example".to_owned()), ..Init::default() };
        assert_eq!(look(&Environment::default(), &wish).await, AtHand::default());
    }
}
