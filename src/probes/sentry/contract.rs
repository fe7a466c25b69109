//! The client and the practice sink, held against Sentry's own description (`tests/fixtures/sentry`).

use serde_json::{Value, json};

use super::*;
use crate::domain::ids::RunId;
use crate::domain::secret::Secret;
use crate::domain::site::{Access, Key, Sentry};
use crate::probes::http::tests::{answer, server, site};
use crate::probes::practice::StandIn;

const TRACE: &str = "0123456789abcdef0123456789abcdef";

fn contract() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/sentry/api-excerpt.json")).unwrap()
}

/// The operation whose path this is, with the template's words filled in.
fn operation<'a>(contract: &'a Value, path: &str) -> Option<&'a Value> {
    let fits = |template: &str| {
        let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        template.len() == path.len()
            && template.iter().zip(path).all(|(t, p)| t.starts_with('{') && !p.is_empty() || *t == p)
    };
    let (_, operations) = contract["paths"].as_object()?.iter().find(|(template, _)| fits(template))?;
    Some(&operations["get"])
}

fn example(end: &str) -> String {
    let contract = contract();
    let paths = contract["paths"].as_object().unwrap();
    let (_, operations) = paths.iter().find(|(path, _)| path.ends_with(end)).unwrap();
    answer("200 OK", "", &operations["get"]["example"].to_string())
}

fn probes(api: &url::Url) -> Probes {
    let mut site = site(api.as_str());
    site.sentry = Some(Sentry {
        api: api.clone(),
        organization: "practice".to_owned(),
        project: "shop".to_owned(),
        send_error: false,
        error_path: None,
    });
    let token = Key { variable: "SENTRY_TOKEN".to_owned(), secret: Secret::new("t0ken".to_owned()) };
    let access = Access { sentry_token: Some(token), ..Access::default() };
    Probes::new(site, access, RunId::from("run-1")).unwrap()
}

#[tokio::test]
async fn every_question_is_documented_and_every_published_answer_is_understood() {
    let ends = ["trace-meta/{trace_id}/", "trace/{trace_id}/", "events/", "keys/", "stats_v2/"];
    let (http, asked) = server(&ends.map(example)).await;
    let probes = probes(http.base());

    let trace = probes.sentry_trace(TRACE).await.unwrap();
    assert_eq!((trace.spans, trace.errors, trace.by_operation["http.server"]), (195, 0, 6));
    assert_eq!(trace.projects, ["javascript"]);
    // The published table is of other columns: three rows, of which nothing else is known.
    assert_eq!(probes.sentry_errors(TRACE).await.unwrap(), vec![Occurrence::default(); 3]);
    let keys = probes.sentry_keys().await.unwrap();
    assert_eq!(
        (keys[0].project.as_str(), keys[0].active, keys[0].limit),
        ("4505281256090153", true, Some((1000, 7200)))
    );
    let outcomes = probes.sentry_outcomes("4505281256090153").await.unwrap();
    assert_eq!((outcomes[0].outcome.as_str(), outcomes[0].quantity), ("invalid", 165_665));

    let (contract, asked) = (contract(), asked.lock().unwrap());
    assert_eq!(asked.len(), ends.len());
    for request in asked.iter() {
        let target = request.strip_prefix("GET ").and_then(|rest| rest.split(' ').next()).unwrap();
        assert!(request.contains("authorization: Bearer t0ken"), "{target}");
        let url = http.base().join(target).unwrap();
        let operation = operation(&contract, url.path()).unwrap_or_else(|| panic!("{target} is not documented"));
        let parameters = operation["parameters"].as_array().unwrap();
        for (name, value) in url.query_pairs() {
            let known = parameters.iter().find(|p| p["name"] == *name && p["in"] == "query");
            let known = known.unwrap_or_else(|| panic!("{target}: no parameter {name}"));
            let words = known["enum"].as_array();
            assert!(words.is_none_or(|words| words.contains(&json!(value))), "{target}: {name} is never {value}");
        }
        for required in parameters.iter().filter(|p| p["in"] == "query" && p["required"] == true) {
            let name = required["name"].as_str().unwrap();
            assert!(url.query_pairs().any(|(n, _)| n == name), "{target}: {name} is missing");
        }
    }
}

#[tokio::test]
async fn refusals_say_what_to_provide_and_odd_answers_are_no_facts() {
    let refused =
        [answer("403 Forbidden", "", "{}"), answer("404 Not Found", "", "{}"), answer("429 Too Many", "", "{}")];
    let (http, _) = server(&refused).await;
    let probes = probes(http.base());
    for words in [["SENTRY_TOKEN", "project:read"], ["practice", "shop"], ["wait", "verify again"]] {
        let said = probes.sentry_keys().await.unwrap_err().to_string();
        assert!(words.iter().all(|word| said.contains(word)) && !said.contains("t0ken"), "{said}");
    }
    for odd in [json!({}), json!([{ "label": "x" }]), json!("keys")] {
        assert!(read::keys(&odd).is_err(), "{odd}");
    }
    assert!(read::outcomes(&json!({ "detail": "x" })).is_err());
    // Counts may come as floats, and older servers wrote snake_case.
    assert_eq!(read::meta(&json!({ "spansCount": 3.0, "errorsCount": 1 })).spans, 3);
    assert_eq!(read::meta(&json!({ "span_count": 2, "span_count_map": { "db": 2 } })).by_operation["db"], 2);
}

#[test]
fn a_dsn_is_read_and_nothing_else_is() {
    for (text, public, project) in [
        ("https://abc@o1.ingest.us.sentry.io/42", "abc", "42"),
        ("http://abc@127.0.0.1:9000/1", "abc", "1"),
        ("https://abc:old-secret@sentry.shop.test/below/7", "abc", "7"),
    ] {
        assert_eq!(Dsn::parse(text), Some(Dsn { public: public.to_owned(), project: project.to_owned() }));
    }
    for text in ["", "true", "https://sentry.io/42", "https://abc@sentry.io/", "abc@sentry.io/1"] {
        assert_eq!(Dsn::parse(text), None, "{text}");
    }
}

/// The practice stack's sink, in a process of its own.
struct Sink(StandIn);

impl Sink {
    fn start() -> Self {
        let arguments = ["--http", "0", "--smtp", "0", "--statsd", "0", "--token", "t0ken"];
        Self(StandIn::start("sink.py", &arguments, &[], "http "))
    }

    /// Sends an envelope as an SDK does.
    async fn send(&self, key: &str, project: u32, items: &[(&str, Value)]) -> u16 {
        let mut envelope = "{}\n".to_owned();
        for (kind, payload) in items {
            let payload = payload.to_string();
            envelope += &format!("{}\n{payload}\n", json!({ "type": kind, "length": payload.len() }));
        }
        let sent = reqwest::Client::builder().no_proxy().build().unwrap();
        let sent = sent
            .post(self.0.url.join(&format!("api/{project}/envelope/")).unwrap())
            .header("x-sentry-auth", format!("Sentry sentry_key={key}, sentry_version=7, sentry_client=test/1"))
            .body(envelope);
        sent.send().await.unwrap().status().as_u16()
    }
}

/// What is wrong with a value, by as much of JSON Schema as the excerpt uses.
fn faults(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if value.is_null() && schema["nullable"] == true {
        return;
    }
    let right = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        _ => true,
    };
    if !right || schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        found.push(format!("{at} is {value}"));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            found.push(format!("{at}.{name} is missing"));
        }
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        let known = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
        faults(known, inner, &format!("{at}.{name}"), found);
    }
    for inner in value.as_array().into_iter().flatten() {
        faults(&schema["items"], inner, &format!("{at}[]"), found);
    }
}

#[tokio::test]
async fn the_practice_sink_speaks_as_sentry_does_and_of_what_it_was_sent() {
    let sink = Sink::start();
    let probes = probes(&sink.0.url);
    let context = json!({ "trace": { "trace_id": TRACE, "span_id": "a", "op": "http.server" } });
    let transaction = json!({ "event_id": "e1", "transaction": "/", "contexts": context, "spans": [{ "op": "db" }, { "op": "db" }],
        "start_timestamp": "2026-01-01T00:00:00.5Z", "timestamp": "2026-01-01T00:00:01Z", "sdk": { "name": "sentry.python.django" } });
    let error =
        json!({ "event_id": "e2", "contexts": context, "exception": { "values": [{ "type": "E", "value": "x" }] } });
    let report = json!({ "discarded_events": [{ "reason": "sample_rate", "category": "transaction", "quantity": 9 }] });

    assert_eq!(probes.sentry_trace(TRACE).await.unwrap(), Trace::default());
    let all = [("transaction", transaction.clone()), ("event", error.clone()), ("client_report", report)];
    assert_eq!(sink.send("practice", 1, &all).await, 200);
    for (key, project) in [("practice", 2), ("retired", 1), ("nobody", 1)] {
        assert_eq!(sink.send(key, project, &all).await, 403, "{key} {project}");
    }
    let many = vec![("transaction", transaction); 5];
    assert_eq!(sink.send("trickle", 1, &many).await, 429);
    assert_eq!(sink.send("staging", 2, &[("event", error)]).await, 200);

    let trace = probes.sentry_trace(TRACE).await.unwrap();
    assert_eq!((trace.spans, trace.errors, trace.by_operation["db"]), (12, 2, 8));
    assert_eq!(trace.projects, ["shop"]);
    let found = probes.sentry_errors(TRACE).await.unwrap();
    let found: Vec<_> = found.iter().map(|error| (error.title.as_str(), error.project.as_str())).collect();
    assert_eq!(found, [("E: x", "staging"), ("E: x", "shop")]);
    let keys = probes.sentry_keys().await.unwrap();
    let keys: Vec<_> = keys.iter().map(|key| (key.public.as_str(), key.active, key.limit)).collect();
    assert_eq!(keys, [("practice", true, None), ("retired", false, None), ("trickle", true, Some((3, 60)))]);
    let mut outcomes = probes.sentry_outcomes("1").await.unwrap();
    outcomes.sort_by(|a, b| (&a.category, &a.outcome).cmp(&(&b.category, &b.outcome)));
    let outcomes: Vec<String> =
        outcomes.iter().map(|o| format!("{} {} {} {}", o.category, o.outcome, o.reason, o.quantity)).collect();
    assert_eq!(
        outcomes,
        [
            "error accepted  1",
            "span accepted  12",
            "span rate_limited key_quota 6",
            "transaction accepted  4",
            "transaction client_discard sample_rate 9",
            "transaction rate_limited key_quota 2"
        ]
    );

    let contract = contract();
    let organization = "api/0/organizations/practice";
    for path in [
        format!("{organization}/trace-meta/{TRACE}/"),
        format!("{organization}/trace/{TRACE}/"),
        format!("{organization}/events/?dataset=errors&field=title&field=project"),
        format!("{organization}/stats_v2/?groupBy=outcome&field=sum(quantity)"),
        "api/0/projects/practice/shop/keys/".to_owned(),
    ] {
        let url = sink.0.url.join(&path).unwrap();
        let ask = probes.http.ask(Method::GET, Ok(url.clone())).header("authorization", "Bearer t0ken");
        let said: Value = serde_json::from_slice(&ask.send().await.unwrap().body).unwrap();
        let mut found = Vec::new();
        faults(&operation(&contract, url.path()).unwrap()["schema"], &said, "answer", &mut found);
        assert_eq!(found, Vec::<String>::new(), "{path}");
    }
}
