//! Servers that are busy, broken, somebody else or out of their minds: each ends in words that say what to do.

use super::*;

/// What comes of asking what the token is for.
async fn told(answer: String) -> ProbeError {
    let (http, _) = server(&[answer]).await;
    probes(http.base(), None).railway().await.unwrap_err()
}

#[tokio::test]
async fn bad_answers_say_what_happened_and_never_show_a_secret() {
    let complaint = |message: &str| {
        json!({ "errors": [{ "message": message, "extensions": { "code": "X" } }], "data": standing() }).to_string()
    };
    let whole = json!({ "data": standing() }).to_string();
    let html = crate::probes::http::tests::answer("200 OK", "Content-Type: text/html\r\n", "<html>hunter2</html>");
    let later = crate::probes::http::tests::answer("429 Too Many Requests", "Retry-After: 30\r\n", "");
    let elsewhere = crate::probes::http::tests::answer("302 Found", "Location: https://evil.example/\r\n", "");
    for (answer, words) in [
        (said("200 OK", &complaint("Not Authorized")), ["Not Authorized", "RAILWAY_TOKEN"]),
        (said("200 OK", &complaint("Two Factor Authentication Required")), ["Two Factor", "two-factor"]),
        (said("200 OK", &complaint("Rate limit exceeded")), ["no questions", "verify again"]),
        (said("400 Bad Request", &complaint("Cannot query field \"project\"")), ["Cannot query", "newer rampup"]),
        (said("200 OK", &complaint("Project not found")), ["Project not found", "[site.railway]"]),
        (said("200 OK", &complaint("Problem processing request")), ["Problem processing", "in a few minutes"]),
        (said("401 Unauthorized", "{}"), ["status 401", "RAILWAY_TOKEN"]),
        (later, ["no questions", "in 30 s"]),
        (said("503 Service Unavailable", "hunter2"), ["trouble of its own", "503"]),
        (said("418 Teapot", "{}"), ["status 418", "answered unexpectedly"]),
        (elsewhere, ["redirect", "302"]),
        (html, ["text/html instead of JSON", "check that the address"]),
        (said("200 OK", &whole[..whole.len() - 3]), ["cut off", "answered unexpectedly"]),
        (said("200 OK", "\"hunter2\""), ["is not struct Envelope", "newer rampup"]),
        (said("200 OK", "{}"), ["neither data nor an error", "newer rampup"]),
        (said("200 OK", r#"{"data": {"projectToken": "hunter2"}}"#), ["is not struct Standing", "newer rampup"]),
        (said("200 OK", r#"{"data": {"tokenOfProject": {}}}"#), ["missing field `projectToken`", "newer rampup"]),
        (said("200 OK", &format!("{{\"data\": \"{}\"}}", "x".repeat(2 << 20))), ["more than 1 MiB", "address"]),
    ] {
        let head = answer.lines().next().unwrap_or_default().to_owned();
        let said = told(answer).await.to_string();
        assert!(words.iter().all(|word| said.contains(word)), "{head}: {said}");
        assert!(!said.contains("hunter2") && !said.contains(TOKEN), "{head}: {said}");
    }
}

#[tokio::test]
async fn a_variable_of_another_type_is_told_without_its_neighbours() {
    let variables = json!({ "data": { "variables": { "A": "hunter2", "B": ["hunter2"] } } });
    let (http, _) = server(&[answer(&json!({ "data": standing() })), answer(&variables)]).await;
    let probes = probes(http.base(), None);
    let railway = probes.railway().await.unwrap();
    let told = railway.variables("s1").await.unwrap_err().to_string();
    assert!(told.contains("is not the text of a variable") && !told.contains("hunter2"), "{told}");
    for id in ["", "a b", "x\" OR @path:/", "ä"] {
        for wanted in [Wanted::Id(id), Wanted::Path(id), Wanted::Method(id)] {
            assert!(railway.http_lines("d1", wanted).await.is_err(), "{wanted:?}");
        }
        let path = format!("/{id}");
        assert!(id.is_empty() || railway.http_lines("d1", Wanted::Path(&path)).await.is_err(), "{path}");
        assert!(railway.app_lines("d1", id).await.is_err(), "{id}");
    }
}

#[tokio::test]
async fn lists_without_an_end_and_names_that_are_not_there_are_told() {
    let endless = answer(&json!({ "data": page(&[service("s1", "other", Value::Null)], Some("c1")) }));
    let mut answers = vec![answer(&json!({ "data": standing() }))];
    answers.extend(vec![endless; PAGES]);
    answers.push(answer(&json!({ "data": page(&[service("s1", "app", Value::Null)], None) })));
    let (http, _) = server(&answers).await;
    let probes = probes(http.base(), None);
    let railway = probes.railway().await.unwrap();
    let told = railway.services().await.unwrap_err().to_string();
    assert!(told.contains("more than 10 services"), "{told}");
    let told = railway.service().await.unwrap_err().to_string();
    assert!(
        ["no service \"web\"", "\"app\"", "[site.railway] service"].iter().all(|word| told.contains(word)),
        "{told}"
    );
}

#[tokio::test]
async fn a_token_leaves_for_no_other_host_and_nobody_waits_for_ever() {
    let elsewhere = probes(&"https://backboard.railway.com.evil.example".parse().unwrap(), None);
    let told = elsewhere.railway().await.unwrap_err().to_string();
    assert!(told.contains("the token goes nowhere else"), "{told}");

    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("http://{}/", silent.local_addr().unwrap()).parse().unwrap();
    let silent = probes(&api, None);
    assert!(matches!(silent.railway().await, Err(ProbeError::TimedOut { system: SYSTEM, .. })));
}
