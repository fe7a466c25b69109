//! Servers that are busy, broken, somebody else or out of their minds: each ends in words that say what to do.

use super::*;

/// What comes of asking for the token and the zone.
async fn told(answers: &[String]) -> String {
    let (http, _) = server(answers).await;
    probes(http.base()).cloudflare().await.unwrap_err().to_string()
}

#[tokio::test]
async fn bad_answers_say_what_happened_and_never_show_a_secret() {
    let plain = crate::probes::http::tests::answer;
    let written = |(status, body): (u16, Value)| said(status, &body.to_string());
    let whole = zones().1.to_string();
    let paged = {
        let mut paged = zones();
        paged.1["result_info"]["total_pages"] = json!(3);
        paged
    };
    let nameless = fine(json!([{ "id": ID, "name": 7, "account": { "id": "hunter2" } }]));
    for (answer, words) in [
        (written(refused(403, 9109, "Unauthorized to access requested resource")), ["9109", "Zone > Zone > Read"]),
        (written(refused(400, 6003, "Invalid request headers")), ["6003", "CLOUDFLARE_TOKEN"]),
        (written(refused(200, 7003, "Could not route to /zones")), ["code 7003", "in a few minutes"]),
        (written(fine(json!([]))), ["sees no zone \"shop.example\"", "[site.cloudflare] zone"]),
        (written(paged), ["only page 1 of 3", "answered unexpectedly"]),
        (written(nameless), ["a field is not a string", "newer rampup"]),
        (written(fine(Value::Null)), ["success without a result", "newer rampup"]),
        (said(200, "{}"), ["missing field `success`", "newer rampup"]),
        (said(200, r#"{"success": false}"#), ["neither success nor an error", "answered unexpectedly"]),
        (said(200, &whole[..whole.len() / 2]), ["cut off", "answered unexpectedly"]),
        (said(200, "[\"hunter2\"]"), ["a field is not a boolean", "newer rampup"]),
        (plain("429 Too Many Requests", "Retry-After: 30\r\n", ""), ["no questions", "in 30 s"]),
        (plain("502 Bad Gateway", "Content-Type: text/html\r\n", "hunter2"), ["trouble of its own", "502"]),
        (plain("200 OK", "Content-Type: text/html\r\n", "<html>hunter2"), ["text/html instead of JSON", "address"]),
        (plain("403 Forbidden", "cf-mitigated: challenge\r\n", "hunter2"), ["instead of JSON", "403"]),
    ] {
        let head = answer.lines().next().unwrap_or_default().to_owned();
        let said = told(&[written(token()), answer]).await;
        assert!(words.iter().all(|word| said.contains(word)), "{head}: {said}");
        assert!(!said.contains("hunter2") && !said.contains(TOKEN), "{head}: {said}");
    }
    let ended = fine(json!({ "id": ID, "status": "expired" }));
    let said = told(&[written(ended)]).await;
    assert!(said.contains("CLOUDFLARE_TOKEN is expired") && said.contains("make a new one"), "{said}");
}

#[tokio::test]
async fn figures_that_the_plan_does_not_have_or_the_zone_does_not_show_are_told() {
    let off = json!({ "settings": { "httpRequestsAdaptiveGroups": { "enabled": false, "maxDuration": 0, "notOlderThan": 0 } } });
    let none = (200, json!({ "data": { "viewer": { "zones": [] } } }));
    let complaint = |message: &str| (200, json!({ "data": null, "errors": [{ "message": message }] }));
    for (answer, words) in [
        (figures(off), "plan has no figures"),
        (none, "Zone > Analytics > Read"),
        (complaint("rate limiter budget depleted, please try again"), "in five minutes"),
        (complaint("unknown field \"cacheStatus\""), "newer rampup"),
        (complaint("internal server error"), "in a few minutes"),
    ] {
        let answers = [token(), zones(), answer].map(|(status, body)| said(status, &body.to_string()));
        let (http, _) = server(&answers).await;
        let probes = probes(http.base());
        let cloudflare = probes.cloudflare().await.unwrap();
        let said = cloudflare.traffic("shop.example", Duration::from_secs(60)).await.unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn a_token_leaves_for_no_other_host_and_nobody_waits_for_ever() {
    let elsewhere = probes(&"http://api.cloudflare.com".parse().unwrap());
    let told = elsewhere.cloudflare().await.unwrap_err().to_string();
    assert!(told.contains("the token goes nowhere else"), "{told}");

    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("http://{}/", silent.local_addr().unwrap()).parse().unwrap();
    assert!(matches!(probes(&api).cloudflare().await, Err(ProbeError::TimedOut { system: SYSTEM, .. })));
}
