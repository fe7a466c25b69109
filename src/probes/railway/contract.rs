//! The client's questions, held against Railway's published schema (`tests/fixtures/railway`), and what it makes of answers.

mod hostile;
mod schema;

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::domain::clouds::Railway as Site;
use crate::domain::ids::RunId;
use crate::domain::secret::Secret;
use crate::domain::site::{Access, Key};
use crate::probes::http::tests::{server, site};
use crate::probes::practice::StandIn;
use schema::Schema;

const TOKEN: &str = "5f3c0a1e-t0ken";

fn probes(api: &url::Url, project: Option<&str>) -> Probes {
    let mut site = site(api.as_str());
    site.railway = Some(Site {
        api: api.clone(),
        project: project.map(str::to_owned),
        environment: "production".to_owned(),
        service: "web".to_owned(),
    });
    let token = Key { variable: "RAILWAY_TOKEN".to_owned(), secret: Secret::new(TOKEN.to_owned()) };
    Probes::new(site, Access { railway_token: Some(token), ..Access::default() }, RunId::from("run-1")).unwrap()
}

fn answer(data: &Value) -> String {
    said("200 OK", &data.to_string())
}

fn said(status: &str, body: &str) -> String {
    crate::probes::http::tests::answer(status, "Content-Type: application/json; charset=utf-8\r\n", body)
}

fn standing() -> Value {
    json!({ "projectToken": {
        "project": { "id": "p1", "name": "shop" }, "environment": { "id": "e1", "name": "production" },
    } })
}

fn service(id: &str, name: &str, latest: Value) -> Value {
    let active: Vec<&Value> = Some(&latest).filter(|latest| !latest.is_null()).into_iter().collect();
    json!({ "node": {
        "serviceId": id, "serviceName": name, "numReplicas": 2, "sleepApplication": false, "cronSchedule": null,
        "source": { "image": null }, "startCommand": "gunicorn shop.wsgi --bind postgres://u:hunter2@db", 
        "healthcheckPath": "/healthz", "restartPolicyType": "ON_FAILURE", "restartPolicyMaxRetries": 10,
        "domains": {
            "customDomains": [{ "domain": "shop.example", "status": { "cdnProvider": "DETECTED_CDN_PROVIDER_CLOUDFLARE" } }],
            "serviceDomains": [{ "domain": "shop.up.railway.app" }],
        },
        "activeDeployments": active, "latestDeployment": latest,
    } })
}

fn page(services: &[Value], next: Option<&str>) -> Value {
    json!({ "environment": { "serviceInstances": {
        "edges": services, "pageInfo": { "hasNextPage": next.is_some(), "endCursor": next },
    } } })
}

fn deployment() -> Value {
    json!({ "id": "d1", "status": "SUCCESS", "createdAt": "2026-11-20T10:00:00.123Z", "instances": [
        { "id": "i1", "status": "RUNNING" }, { "id": "i2", "status": "RUNNING" }, { "id": "i3", "status": "CRASHED" },
    ] })
}

/// A request as it came: its headers, its question and the variables with it.
fn asked(request: &str) -> (String, String, Value) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /graphql/v2 HTTP/1.1"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    (head.to_owned(), body["query"].as_str().unwrap().to_owned(), body["variables"].clone())
}

#[tokio::test]
async fn every_question_fits_the_schema_and_every_fitting_answer_is_understood() {
    let metric = |measurement: &str, instance: &str, values: &[f64]| {
        let values: Vec<_> = values.iter().map(|value| json!({ "value": value })).collect();
        json!({ "measurement": measurement, "tags": { "deploymentInstanceId": instance }, "values": values })
    };
    let answers = [
        standing(),
        page(&[service("s0", "worker", Value::Null)], Some("c1")),
        page(&[service("s1", "web", deployment())], None),
        json!({ "variables": { "DATABASE_URL": "${{Postgres.DATABASE_URL}}", "SECRET_KEY": "hunter2" } }),
        json!({ "metrics": [
            metric("MEMORY_USAGE_GB", "i1", &[0.25, 0.5]),
            metric("MEMORY_LIMIT_GB", "i1", &[8.0]),
            metric("CPU_USAGE", "i2", &[]),
        ] }),
        json!({ "httpLogs": [{
            "requestId": "Ab-1_c", "timestamp": "2026-11-20T10:00:01Z", "method": "GET", "path": "/\u{1b}[2J",
            "httpStatus": 200, "totalDuration": 12, "rxBytes": 300, "clientUa": "rampup", "deploymentInstanceId": "i1",
        }] }),
        json!({ "deploymentLogs": [{ "timestamp": "2026-11-20T10:00:01Z", "severity": null, "message": "here n0nce" }] }),
    ];
    let (http, kept) = server(&answers.each_ref().map(|data| answer(&json!({ "data": data })))).await;
    let probes = probes(http.base(), None);

    let railway = probes.railway().await.unwrap();
    assert_eq!((railway.kind, railway.environment.name.as_str()), (TokenKind::Project, "production"));
    let service = railway.service().await.unwrap();
    assert_eq!((service.id.as_str(), service.replicas, service.restarts.as_str()), ("s1", Some(2), "ON_FAILURE"));
    assert_eq!(service.start_command.as_deref(), Some("gunicorn shop.wsgi --bind postgres://…@db"));
    let latest = service.runs().unwrap();
    assert_eq!((latest.id.as_str(), latest.running()), ("d1", 2));
    let variables = railway.variables("s1").await.unwrap();
    assert_eq!((variables["DATABASE_URL"].0.len(), variables["SECRET_KEY"].0.len()), (1, 0));
    let usage = railway.usage("s1", Duration::from_secs(600)).await.unwrap();
    let memory = Usage { memory_gb: Some(0.5), memory_limit_gb: Some(8.0), ..Usage::default() };
    assert_eq!(usage[0], Usage { instance: "i1".to_owned(), ..memory });
    assert_eq!(usage[1], Usage { instance: "i2".to_owned(), ..Usage::default() });
    let line = &railway.http_lines("d1", Wanted::Id("Ab-1_c")).await.unwrap()[0];
    assert_eq!((line.status, line.total_ms, line.path.as_str()), (200, 12, "/[2J"));
    assert_eq!(railway.app_lines("d1", "n0nce").await.unwrap()[0].message, "here n0nce");

    let (schema, kept) = (Schema::published(), kept.lock().unwrap());
    assert_eq!(kept.len(), answers.len());
    for (request, data) in kept.iter().zip(&answers) {
        let (head, question, variables) = asked(request);
        assert!(head.contains(&format!("project-access-token: {TOKEN}")) && !head.contains("authorization"), "{head}");
        assert_eq!(schema.faults_of_question(&question, &variables), Vec::<String>::new(), "{question}");
        assert_eq!(schema.faults_of_answer(&question, data), Vec::<String>::new(), "{question}");
    }
    assert_eq!(asked(&kept[2]).2["after"], "c1");
    assert_eq!(asked(&kept[5]).2["filter"], "@requestId:Ab-1_c");
}

#[tokio::test]
async fn an_accounts_token_is_for_the_project_and_environment_in_the_settings() {
    let not_allowed = answer(&json!({ "errors": [{ "message": "Not Authorized" }], "data": null }));
    let project = json!({ "project": { "id": "p1", "name": "shop", "environments": { "edges": [
        { "node": { "id": "e0", "name": "staging" } }, { "node": { "id": "e1", "name": "production" } },
    ] } } });
    let (http, kept) = server(&[not_allowed.clone(), answer(&json!({ "data": project })), not_allowed]).await;
    let account = probes(http.base(), Some("p1"));
    let railway = account.railway().await.unwrap();
    assert_eq!((railway.kind, railway.environment.id.as_str()), (TokenKind::Account, "e1"));
    {
        let kept = kept.lock().unwrap();
        let (head, question, variables) = asked(&kept[1]);
        assert!(head.contains(&format!("authorization: Bearer {TOKEN}")) && !head.contains("access-token"), "{head}");
        assert_eq!(Schema::published().faults_of_question(&question, &variables), Vec::<String>::new());
        assert_eq!(Schema::published().faults_of_answer(&question, &project), Vec::<String>::new());
    }
    // Nothing tells an account's token from a wrong one as long as no project is named.
    let nameless = probes(http.base(), None).railway().await.unwrap_err().to_string();
    assert!(["Not Authorized", "RAILWAY_TOKEN", "[site.railway] project"].iter().all(|word| nameless.contains(word)));
}

/// The practice stack's stand-in gives each answer in the published form, and refuses what it does not know.
#[tokio::test]
async fn the_practice_stand_in_speaks_as_railway_does() {
    let clouds = StandIn::start("clouds.py", &["--port", "0"], &[("CLOUDS_TOKEN", TOKEN)], "port ");
    let probes = probes(&clouds.url, None);
    let railway = probes.railway().await.unwrap();
    let service = railway.service().await.unwrap();
    let latest = service.latest_deployment.unwrap();
    assert_eq!((railway.project.name.as_str(), latest.running()), ("practice", 1));
    let variables = railway.variables(&service.id).await.unwrap();
    assert_eq!(variables["DATABASE_URL"].0[0].service.as_deref(), Some("Postgres"));
    assert_eq!(railway.usage(&service.id, Duration::from_secs(60)).await.unwrap().len(), 1);
    assert_eq!(railway.http_lines(&latest.id, Wanted::Id("x")).await.unwrap(), []);
    assert_eq!(railway.app_lines(&latest.id, "x").await.unwrap(), []);

    let ids = json!({ "environment": "environment-practice", "service": "s", "project": "p", "deployment": "d",
        "filter": "f", "limit": 20, "start": "2026-11-20T10:00:00Z", "end": "2026-11-20T10:00:00Z" });
    for question in [
        include_str!("token.graphql"),
        include_str!("project.graphql"),
        include_str!("services.graphql"),
        include_str!("variables.graphql"),
        include_str!("usage.graphql"),
        include_str!("http_lines.graphql"),
        include_str!("app_lines.graphql"),
    ] {
        let data: Value = railway.ask(question, ids.clone()).await.unwrap();
        assert_eq!(Schema::published().faults_of_answer(question, &data), Vec::<String>::new(), "{question}");
    }
    for (question, told) in [
        ("query { projectToken { secret } }", "Cannot query field"),
        ("query { projectToken { ", "Syntax Error"),
        ("query { environment(id: $environment) { id } }", "Environment not found"),
    ] {
        let asked: Result<Value, _> = railway.ask(question, json!({ "environment": "another" })).await;
        let said = asked.unwrap_err().to_string();
        assert!(said.contains(told) || said.contains("not found"), "{question}: {said}");
    }
}

#[test]
fn the_schema_refuses_what_railway_would() {
    let schema = Schema::published();
    for (question, variables, fault) in [
        ("query { projectToken { secret } }", json!({}), "ProjectToken has no field secret"),
        ("query { project { id } }", json!({}), "Query.project lacks \"id\""),
        ("query ($p: Int!) { project(id: $p) { id } }", json!({ "p": 1 }), "id is not of String!"),
        ("query ($p: String!) { project(id: $p) { id } }", json!({}), "$p is String! and was not sent"),
        ("query { projectToken { project } }", json!({}), "ProjectToken.project is of Project"),
        ("query ($p: String!) { project(id: $p, x: 1) { id } }", json!({ "p": "" }), "Query.project has no argument x"),
    ] {
        assert_eq!(schema.faults_of_question(question, &variables), [fault], "{question}");
    }
    let question = "query { projectToken { project { id } } }";
    for (data, fault) in [
        (json!({ "projectToken": null }), "data.projectToken is null"),
        (json!({ "projectToken": { "project": { "id": 1 } } }), "data.projectToken.project.id is 1, not ID"),
        (json!({ "projectToken": { "project": {} } }), "data.projectToken.project.id is missing"),
    ] {
        assert_eq!(schema.faults_of_answer(question, &data), [fault], "{data}");
    }
}
