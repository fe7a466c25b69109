//! Recordings in, flows out; flows in, scripts out.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::domain::flow::{Json, Mix, Think};
use crate::domain::slo::Slo;

#[derive(Deserialize)]
struct Document {
    flow: Vec<Flow>,
}

fn entry(second: f64, method: &str, url: &str, kind: &str, status: u16) -> Value {
    let millis = (second * 1000.0).round();
    json!({
        "startedDateTime": format!("2026-01-01T10:00:{:06.3}Z", millis / 1000.0),
        "time": 100, "_resourceType": kind,
        "request": { "method": method, "url": url, "headers": [], "bodySize": -1 },
        "response": { "status": status, "content": { "mimeType": "text/html" } }
    })
}

fn sending(mut entry: Value, mime: &str, text: &str) -> Value {
    entry["request"]["postData"] = json!({ "mimeType": mime, "text": text });
    entry
}

fn har(entries: &[Value]) -> String {
    json!({ "log": { "version": "1.2", "unknown": true, "entries": entries } }).to_string()
}

const FORM: &str = "application/x-www-form-urlencoded";
const S: &str = "https://shop.example";

fn recorded() -> Imported {
    let mut api = entry(5.3, "POST", &format!("{S}/api/like?api_key=k3y&page=2"), "fetch", 200);
    api["request"]["headers"] = json!([
        { "name": "X-CSRFToken", "value": "tok-1" }, { "name": "Authorization", "value": "Bearer hush" },
        { "name": "Cookie", "value": "sessionid=hush" }, { "name": "X-Requested-With", "value": "XMLHttpRequest" },
    ]);
    let entries = [
        entry(0.0, "GET", &format!("{S}/login/"), "document", 200),
        entry(0.2, "GET", &format!("{S}/static/a.css"), "stylesheet", 200),
        entry(0.2, "GET", "https://fonts.example/x.woff2", "font", 200),
        sending(
            entry(2.0, "POST", &format!("{S}/login/"), "document", 302),
            FORM,
            "csrfmiddlewaretoken=tok-2&username=ann&password=hush",
        ),
        entry(2.1, "GET", &format!("{S}/"), "document", 200),
        entry(5.0, "GET", &format!("{S}/p/17/"), "document", 200),
        sending(api, "application/json", r#"{"id": 17, "otp": "hush", "none": null}"#),
        sending(
            entry(9.0, "POST", &format!("{S}/cart/"), "document", 302),
            FORM,
            "csrfmiddlewaretoken=tok-3&product=17",
        ),
    ];
    import(&har(&entries), "recorded", None, Some("SHOP_PASSWORD")).unwrap()
}

#[test]
fn a_recording_becomes_a_flow_of_the_sites_own_requests() {
    let Imported { flow, notes } = recorded();
    let login = flow.login.as_ref().unwrap();
    assert_eq!((login.path.as_str(), login.username.as_str()), ("/login/", "ann"));
    assert_eq!(login.password_env, "SHOP_PASSWORD", "the one of the settings");
    let paths: Vec<_> = flow.steps.iter().map(|step| step.path()).collect();
    assert_eq!(paths, ["/", "/p/17/", "/api/like", "/cart/"]);
    assert!(flow.steps[0].at_once, "the redirect behind the login");
    assert_eq!(flow.steps[1].think, Think::try_from("2.8s".to_owned()).ok());
    assert_eq!(flow.steps[1].endpoint(), "/p/ID/");
    let like = &flow.steps[2];
    assert!(like.at_once && like.csrf);
    assert_eq!(like.query["page"], "2");
    assert!(matches!(&like.json, Some(Json::Text(_))), "TOML has no null");
    let cart = &flow.steps[3];
    assert!(cart.csrf && cart.expect == [302] && cart.form.len() == 1 && cart.form["product"] == "17");
    assert!(notes[0].contains("1 static files") && notes[0].contains("1 requests to fonts.example"), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("api_key, authorization, otp")), "{notes:?}");
}

#[test]
fn no_secret_of_a_recording_is_printed() {
    let Imported { flow, notes } = recorded();
    let all = to_toml(&flow).unwrap() + &notes.join("\n");
    for secret in ["hush", "k3y", "tok-1", "tok-2", "tok-3"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

#[test]
fn multipart_becomes_an_upload() {
    let text = "--B\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nred\r\n--B\r\nContent-Disposition: form-data; \
                name=\"photo\"; filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n\r\n--B--\r\n";
    let sent = sending(entry(0.0, "POST", &format!("{S}/up"), "fetch", 201), "multipart/form-data; boundary=B", text);
    let flow = import(&har(&[sent]), "up", None, None).unwrap().flow;
    let upload = flow.steps[0].upload.as_ref().unwrap();
    assert_eq!((upload.field.as_str(), upload.content_type.as_str()), ("photo", "image/jpeg"));
    assert_eq!(flow.steps[0].form["title"], "red");
}

#[test]
fn what_is_no_recording_of_the_site_says_so() {
    for (text, host, says) in [
        ("{".to_owned(), None, "no HAR"),
        ("{\"log\":{}}".to_owned(), None, "entries"),
        (har(&[]), None, "--host"),
        (har(&[entry(0.0, "GET", &format!("{S}/"), "document", 200)]), Some("else.example"), "only to shop.example"),
    ] {
        let error = import(&text, "x", host, None).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

proptest! {
    #[test]
    fn whatever_was_recorded_is_read_back_the_same(
        segment in "\\PC{0,12}", key in "\\PC{1,8}", value in ".{0,20}", field in ".{0,20}", number in any::<u64>(),
        gap in 0.0..40.0_f64, method in "GET|POST|PUT|PATCH|DELETE",
    ) {
        let mut url = url::Url::parse(S).unwrap();
        url.path_segments_mut().unwrap().push(&segment);
        url.query_pairs_mut().append_pair(&key, &value);
        let body = json!({ "a": field, key: [value, number, null] }).to_string();
        let form = url::form_urlencoded::Serializer::new(String::new()).append_pair(&field, &value).finish();
        let entries = [
            entry(0.0, "GET", S, "document", 200),
            sending(entry(gap, &method, url.as_str(), "fetch", 200), "application/json", &body),
            sending(entry(gap + 1.0, &method, url.as_str(), "fetch", 200), FORM, &form),
        ];
        let flow = import(&har(&entries), "n", Some("shop.example"), None).unwrap().flow;
        let text = to_toml(&flow).unwrap();
        let back: Document = toml::from_str(&text).unwrap();
        prop_assert_eq!(&back.flow[..], &[flow][..]);
    }
}

#[test]
fn scripts_name_variables_instead_of_passwords_and_say_what_they_lack() {
    let mut flow = recorded().flow;
    flow.steps[0].assets = true;
    let mix = Mix { flows: vec![flow], ..Mix::default() };
    let target = url::Url::parse(S).unwrap();
    let job = Job { target: &target, mix: &mix, slo: &Slo::default(), users: 25 };
    for exported in [k6(&job), locust(&job)] {
        assert!(exported.script.contains("SHOP_PASSWORD"));
        assert!(exported.notes.iter().any(|note| exported.script.contains(note.as_str()) && note.contains("assets")));
    }
    assert!(k6(&job).script.contains("__ENV.USERS || 25"));
}
