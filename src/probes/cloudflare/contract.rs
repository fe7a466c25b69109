//! The client's questions, held against Cloudflare's published description (`tests/fixtures/cloudflare`), and what it
//! makes of answers.

mod hostile;
mod schema;

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::domain::clouds::Cloudflare as Site;
use crate::domain::ids::RunId;
use crate::domain::secret::Secret;
use crate::domain::site::{Access, Key};
use crate::probes::http::tests::{server, site};
use crate::probes::practice::StandIn;
use schema::Api;

const TOKEN: &str = "v1_t0ken";
const ID: &str = "023e105f4ecef8ad9ca31a8372d0c353";
const AT: &str = "2026-11-20T10:00:00Z";

fn probes(api: &Url) -> Probes {
    let mut site = site(api.as_str());
    site.cloudflare = Some(Site { api: api.clone(), zone: "shop.example".to_owned() });
    let token = Key { variable: "CLOUDFLARE_TOKEN".to_owned(), secret: Secret::new(TOKEN.to_owned()) };
    Probes::new(site, Access { cloudflare_token: Some(token), ..Access::default() }, RunId::from("run-1")).unwrap()
}

fn said(status: u16, body: &str) -> String {
    crate::probes::http::tests::answer(&format!("{status} Said"), "Content-Type: application/json\r\n", body)
}

fn fine(result: Value) -> (u16, Value) {
    (200, json!({ "success": true, "errors": [], "messages": [], "result": result }))
}

fn refused(status: u16, code: u32, message: &str) -> (u16, Value) {
    let errors = [json!({ "code": code, "message": message })];
    (status, json!({ "success": false, "errors": errors, "messages": [], "result": null }))
}

fn token() -> (u16, Value) {
    fine(json!({ "id": ID, "status": "active", "expires_on": "2027-01-01T00:00:00Z" }))
}

fn zones() -> (u16, Value) {
    let (status, mut answer) = fine(json!([{
        "id": ID, "name": "shop.example", "status": "active", "paused": false, "development_mode": 0, "meta": {},
        "account": { "id": ID, "name": "Ada" }, "owner": {}, "name_servers": ["a.ns.example"], "activated_on": AT,
        "original_name_servers": null, "original_registrar": null, "original_dnshost": null, "created_on": AT,
        "modified_on": AT,
    }]));
    answer["result_info"] = json!({ "page": 1, "per_page": 5, "total_pages": 1, "count": 1, "total_count": 1 });
    (status, answer)
}

fn setting(id: &str, value: Value) -> (u16, Value) {
    fine(json!({ "id": id, "value": value, "modified_on": AT, "editable": true }))
}

fn cache_rules() -> (u16, Value) {
    let rule = json!({
        "id": ID, "ref": "r", "version": "1", "last_updated": AT, "enabled": true, "action": "set_cache_settings",
        "expression": "starts_with(http.request.uri.path, \"/static/\")", "description": "static\u{1b}[2J",
        "action_parameters": { "cache": true, "edge_ttl": { "mode": "override_origin", "default": 86400, "status_code_ttl": [] } },
    });
    fine(json!({
        "id": ID, "name": "default", "kind": "zone", "version": "1", "last_updated": AT,
        "phase": "http_request_cache_settings", "rules": [rule],
    }))
}

fn figures(zone: Value) -> (u16, Value) {
    (200, json!({ "data": { "viewer": { "zones": [zone] } }, "errors": null }))
}

/// A request as it came: method, address and body.
fn asked(base: &Url, request: &str) -> (String, Url, Option<Value>) {
    assert!(request.contains(&format!("authorization: Bearer {TOKEN}")), "{request}");
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap().to_lowercase(), words.next().unwrap());
    (method, base.join(target).unwrap(), (!body.is_empty()).then(|| serde_json::from_str(body).unwrap()))
}

#[tokio::test]
async fn every_question_is_documented_and_every_fitting_answer_is_understood() {
    let group = |status: &str, count: u64, interval: f64| json!({ "count": count, "avg": { "sampleInterval": interval }, "dimensions": { "cacheStatus": status } });
    let limits = json!({ "enabled": true, "maxDuration": 86400, "notOlderThan": 2678400 });
    let answers = [
        token(),
        zones(),
        cache_rules(),
        refused(404, 10003, "could not find entrypoint ruleset in the \"http_ratelimit\" phase"),
        fine(json!([{
            "id": ID, "priority": 1, "status": "active", "created_on": AT, "modified_on": AT,
            "targets": [{ "target": "url", "constraint": { "operator": "matches", "value": "*shop.example/static/*" } }],
            "actions": [{ "id": "cache_level", "value": "cache_everything" }],
        }])),
        setting("tiered_caching", json!("on")),
        setting("tiered_cache_smart_topology_enable", json!("off")),
        setting("ssl", json!("full")),
        setting("cache_level", json!("aggressive")),
        fine(json!([{ "id": ID, "pattern": "shop.example/api/*", "script": "edge" }])),
        fine(json!({ "status_code": 200, "trace": [
            { "step_name": "http_request_firewall_custom", "type": "ruleset", "matched": true, "trace": [
                { "step_name": "r1", "type": "rule", "action": "skip", "matched": true },
                { "step_name": "r2", "type": "rule", "action": "block", "matched": false },
            ] },
        ] })),
        figures(json!({ "settings": { "httpRequestsAdaptiveGroups": limits } })),
        figures(json!({ "httpRequestsAdaptiveGroups": [group("hit", 900, 1.0), group("miss", 100, 10.0)] })),
    ];
    let (http, kept) = server(&answers.each_ref().map(|(status, body)| said(*status, &body.to_string()))).await;
    let probes = probes(http.base());

    let cloudflare = probes.cloudflare().await.unwrap();
    assert_eq!((cloudflare.owner, cloudflare.zone.account.id.as_str()), (Some(Owner::User), ID));
    assert_eq!(cloudflare.expires_on.as_deref(), Some("2027-01-01T00:00:00Z"));
    let mut rules = cloudflare.rules(Phase::Cache).await.unwrap();
    assert_eq!(rules.version, "1");
    let rule = rules.rules.remove(0);
    let ttl = rule.cache.edge_ttl.unwrap();
    assert_eq!((rule.enabled, rule.description.as_deref()), (true, Some("static[2J")));
    assert_eq!((ttl.mode.as_str(), ttl.default), ("override_origin", Some(86_400)));
    assert_eq!(cloudflare.rules(Phase::RateLimit).await.unwrap(), Ruleset::default());
    let page_rule = cloudflare.page_rules().await.unwrap().remove(0);
    assert_eq!(page_rule.targets[0].constraint.value, "*shop.example/static/*");
    assert_eq!(cloudflare.tiered_cache().await.unwrap(), TieredCache { on: true, smart: false });
    assert_eq!(cloudflare.ssl_mode().await.unwrap(), "full");
    assert_eq!(cloudflare.cache_level().await.unwrap(), "aggressive");
    assert_eq!(cloudflare.workers_routes().await.unwrap()[0].script.as_deref(), Some("edge"));
    assert_eq!(cloudflare.trace("/").await.unwrap().effects(), ["skip"]);
    let traffic = cloudflare.traffic("shop.example", Duration::from_secs(86_400)).await.unwrap();
    assert_eq!((traffic.cached(), traffic.cacheable(), traffic.sample_interval), (900, 1000, 10.0));

    let (api, kept) = (Api::published(), kept.lock().unwrap());
    assert_eq!(kept.len(), answers.len());
    for (request, (status, answer)) in kept.iter().zip(&answers) {
        let (method, url, body) = asked(http.base(), request);
        if url.path() == "/client/v4/graphql" {
            graphql_parser::parse_query::<&str>(body.unwrap()["query"].as_str().unwrap()).unwrap();
            continue;
        }
        let operation = api.operation(&method, &url).unwrap_or_else(|| panic!("{method} {url} is not documented"));
        assert_eq!(operation.faults_of_request(&url, body.as_ref()), Vec::<String>::new(), "{url}");
        assert_eq!(operation.faults_of_answer(*status, answer), Vec::<String>::new(), "{url}");
    }
}

#[tokio::test]
async fn an_accounts_token_is_asked_about_where_it_is_known() {
    let answers = [refused(401, 1000, "Invalid API Token"), zones(), token()];
    let (http, kept) = server(&answers.each_ref().map(|(status, body)| said(*status, &body.to_string()))).await;
    let probes = probes(http.base());
    assert_eq!(probes.cloudflare().await.unwrap().owner, Some(Owner::Account));
    let (method, url, _) = asked(http.base(), &kept.lock().unwrap()[2]);
    assert_eq!(url.path(), format!("/client/v4/accounts/{ID}/tokens/verify"));
    let operation = |api: &Api| api.operation(&method, &url).unwrap().faults_of_answer(200, &answers[2].1);
    assert_eq!(operation(&Api::published()), Vec::<String>::new());
}

#[tokio::test]
async fn a_missing_permission_is_named_and_the_others_are_not_held_against_it() {
    let denied = |(status, body): (u16, Value)| said(status, &body.to_string());
    let graphql =
        json!({ "data": null, "errors": [{ "message": "not authorized", "extensions": { "code": "authz" } }] });
    let (http, _) = server(&[denied(token()), denied(zones())]).await;
    let probes = probes(http.base());
    let cloudflare = probes.cloudflare().await.unwrap();
    // Whoever refuses everything is a server of its own: the rights are tried all at once.
    let (deaf, _) = server(&vec![denied(refused(403, 10000, "Authentication error")); 8]).await;
    let elsewhere = self::probes(deaf.base());
    let line = Line { http: &elsewhere.http, site: elsewhere.cloudflare_site().unwrap(), ..cloudflare.line };
    let deaf = Cloudflare { line, owner: None, expires_on: None, zone: cloudflare.zone.clone() };
    let rights = deaf.rights().await;
    assert_eq!(rights.len(), Right::REST.len());
    for (right, has) in rights.iter().filter(|(right, _)| *right != Right::Analytics) {
        let told = has.as_ref().unwrap_err().to_string();
        assert!(told.contains(right.name()) && told.contains("CLOUDFLARE_TOKEN") && told.contains("10000"), "{told}");
    }
    let (http, _) = server(&[said(200, &graphql.to_string())]).await;
    let elsewhere = self::probes(http.base());
    let line = Line { http: &elsewhere.http, site: elsewhere.cloudflare_site().unwrap(), ..cloudflare.line };
    let figures = Cloudflare { line, owner: None, expires_on: None, zone: cloudflare.zone.clone() };
    let told = figures.traffic_limits().await.unwrap_err().to_string();
    assert!(told.contains("Zone > Analytics > Read"), "{told}");
}

/// The practice stack's stand-in gives each answer in the published form; its token lacks one permission.
#[tokio::test]
async fn the_practice_stand_in_speaks_as_cloudflare_does() {
    let clouds = StandIn::start("clouds.py", &["--port", "0"], &[("CLOUDS_TOKEN", TOKEN)], "port ");
    let probes = probes(&clouds.url);
    let cloudflare = probes.cloudflare().await.unwrap();
    assert_eq!((cloudflare.owner, cloudflare.zone.name.as_str()), (Some(Owner::User), "shop.example"));
    let lacking = |(right, has): (Right, Result<(), ProbeError>)| has.is_err().then_some(right);
    let lacks: Vec<_> = cloudflare.rights().await.into_iter().filter_map(lacking).collect();
    assert_eq!(lacks, [Right::RequestTracer]);
    assert_eq!(cloudflare.tiered_cache().await.unwrap(), TieredCache { on: false, smart: false });
    let traffic = cloudflare.traffic("shop.example", Duration::from_secs(3600)).await.unwrap();
    assert_eq!((traffic.cached(), traffic.cacheable()), (9_000, 10_000));

    let (api, zone) = (Api::published(), &cloudflare.zone.id);
    let paths = [
        "user/tokens/verify".to_owned(),
        "zones?name=shop.example".to_owned(),
        format!("zones/{zone}/rulesets/phases/http_ratelimit/entrypoint"),
        format!("zones/{zone}/pagerules?status=active"),
        format!("zones/{zone}/workers/routes"),
        format!("zones/{zone}/argo/tiered_caching"),
        format!("zones/{zone}/cache/tiered_cache_smart_topology_enable"),
        format!("zones/{zone}/settings/ssl"),
        format!("zones/{zone}/settings/cache_level"),
        format!("zones/{zone}/settings/nothing"),
    ];
    for path in paths {
        let url = clouds.url.join(&format!("client/v4/{path}")).unwrap();
        let ask =
            probes.http.ask(reqwest::Method::GET, Ok(url.clone())).header("authorization", format!("Bearer {TOKEN}"));
        let answer = ask.send().await.unwrap();
        let said: Value = serde_json::from_slice(&answer.body).unwrap();
        let operation = api.operation("get", &url).unwrap();
        assert_eq!(operation.faults_of_answer(answer.status, &said), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn the_description_refuses_what_cloudflare_would() {
    let api = Api::published();
    let url = |path: &str| Url::parse(&format!("https://api.cloudflare.com/client/v4/{path}")).unwrap();
    assert!(api.operation("get", &url("zones/x/nothing")).is_none());
    assert!(api.operation("post", &url("zones")).is_none());
    for path in [
        "zones?nome=x",
        "zones?per_page=5000",
        "zones/023e/rulesets/phases/http_ratelimit/entrypoint",
        &format!("zones/{ID}/rulesets/phases/http_rate/entrypoint"),
        &format!("zones/{ID}/pagerules?status=on"),
    ] {
        let (operation, url) = (api.operation("get", &url(path)).unwrap(), url(path));
        assert_eq!(operation.faults_of_request(&url, None).len(), 1, "{path}");
    }
    let ssl = url(&format!("zones/{ID}/settings/ssl"));
    let ssl = api.operation("get", &ssl).unwrap();
    for (status, answer) in [setting("ssl", json!("fully")), fine(json!({ "id": "ssl" })), (200, json!({}))] {
        assert!(!ssl.faults_of_answer(status, &answer).is_empty(), "{answer}");
    }
}
