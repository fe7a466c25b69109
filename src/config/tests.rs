//! Settings as people write them: what is read, what is refused, and in which words.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use url::Url;

use crate::domain::flow::Extract;
use crate::domain::ids::StepId;

use super::*;

const WHOLE: &str = r#"
schema = 1
env_file = ".env"

[site]
name = "Shop"
url = "http://127.0.0.1:8080"
origin = "http://127.0.0.1:8000/"
metrics = "/metrics"
public_pages = ["/", "/v/1/"]
private_pages = ["/orders/"]
rate_limited = "/api/search?q=x"
slow_endpoints = ["checkout"]
probe_headers = { x-lab-client-ip = "10.0.0.1" }

[site.account]
login = "/login/"
username = "ada"
password_env = "TEST_PASSWORD"

[site.presign]
path = "/api/uploads/presign"
max_bytes = 5000000
content_type = "image/jpeg"

[site.sentry]
api = "https://sentry.io"
organization = "o"
project = "p"
token_env = "SENTRY_TOKEN"

[site.railway]
token_env = "RAILWAY_TOKEN"
service = "web"

[site.cloudflare]
token_env = "CLOUDFLARE_TOKEN"
zone = "shop.example"
api = "http://127.0.0.1:9000"

[site.ownership]
nonce = "0123456789abcdef"

[services]
database_env = "DATABASE_URL"
cache_env = "REDIS_URL"

[slo]
p95_ms = 250

[load]
think = "5s-10s"
timeout = "10s"
headers = { x-lab-client-ip = "{{user.ip}}" }

[[flow]]
name = "browse"
weight = 3
[[flow.step]]
name = "home"
get = "/"
extract = { product = { css = { select = "a.product", attribute = "href" } } }
[[flow.step]]
get = "{{product}}"
share = 0.5

[[flow]]
name = "buy"
login = { path = "/login/", username = "user{{user}}", password_env = "TEST_PASSWORD" }
[[flow.step]]
name = "checkout"
post = "/checkout/"
csrf = true
form = { note = "{{random 1 9}}" }
expect = [302]

[steps.7]
users = 400
hold = "2m"
"#;

fn read(text: &str) -> Result<Settings, String> {
    parse(text, Path::new("/project")).map_err(|error| error.to_string())
}

#[test]
fn a_whole_file_is_read() {
    let settings = read(WHOLE).unwrap();
    assert_eq!(settings.site.health, "/healthz", "a default");
    assert_eq!(settings.site.queue, "celery", "a default");
    assert_eq!((settings.slo.p95_ms, settings.slo.error_percent), (250.0, 0.5));
    assert_eq!(settings.ownership.unwrap().path, "/.well-known/rampup.txt");
    assert_eq!(settings.pace.timeout, Duration::from_secs(10));
    assert_eq!(settings.variables.cache.as_deref(), Some("REDIS_URL"));
    assert_eq!(settings.overrides[&StepId::new(7).unwrap()].hold, Some(Duration::from_secs(120)));
    assert_eq!(settings.mix.flows.len(), 2);
    let (railway, cloudflare) = (settings.site.railway.unwrap(), settings.site.cloudflare.unwrap());
    assert_eq!((railway.api.as_str(), railway.environment.as_str()), ("https://backboard.railway.com/", "production"));
    assert_eq!((cloudflare.api.as_str(), cloudflare.zone.as_str()), ("http://127.0.0.1:9000/", "shop.example"));
    assert_eq!(settings.variables.railway_token.as_deref(), Some("RAILWAY_TOKEN"));
    assert!(matches!(settings.mix.flows[0].steps[0].extract["product"], Extract::Css { .. }));
}

#[test]
fn playbooks_speak_of_the_projects_own_names() {
    let settings = read(
        "schema = 1\n[site]\nname = \"x\"\nurl = \"https://shop.example\"\n[services]\ncache_env = \"CACHE_ADDRESS\"\n\
         [[flow]]\nname = \"a\"\nweight = 1\n[[flow.step]]\nname = \"b\"\nget = \"/\"\n",
    )
    .unwrap();
    let usual = "`os.environ[\"REDIS_URL\"]`, MY_REDIS_URL, DATABASE_URL: curl https://your.site/healthz ä";
    let own = "`os.environ[\"CACHE_ADDRESS\"]`, MY_REDIS_URL, DATABASE_URL: curl https://shop.example/healthz ä";
    assert_eq!(settings.in_own_names(usual), own);
}

#[test]
fn the_file_that_init_writes_is_a_good_one() {
    for (name, url) in [("Shop", "http://127.0.0.1:8000"), ("Ada's \"shop\"", "https://shop.example.com/")] {
        let url = Url::parse(url).unwrap();
        let text = template(&Answers::usual(name, url.clone()), &nonce());
        let settings = read(&text).unwrap();
        assert_eq!((settings.site.name.as_str(), &settings.site.url), (name, &url));
        assert_ne!(nonce(), nonce(), "every nonce is fresh");
        // What the remarks offer must be right as well.
        let offered: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.starts_with('[') || rest.split(' ').nth(1) == Some("=") => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let whole = read(&offered).unwrap_or_else(|error| panic!("{error}\n{offered}"));
        assert!(whole.site.sentry.is_some() && whole.site.presign.is_some() && whole.mix.flows[1].login.is_some());
        assert_eq!(whole.mix.flows[0].steps.len(), 3);
    }
}

/// Replaces `from` by `to` in the whole file and expects a fault at the line of `to` that says `what`.
fn refuses(from: &str, to: &str, what: &str) {
    assert!(WHOLE.contains(from), "{from:?} is not in the file");
    let text = WHOLE.replacen(from, to, 1);
    let error = read(&text).expect_err(to);
    let begin = WHOLE.find(from).unwrap();
    let lines = text[..begin].matches('\n').count() + 1..=text[..begin + to.len()].matches('\n').count() + 1;
    let here = error.lines().any(|line| {
        let number = line.split(':').nth(1).and_then(|number| number.parse::<usize>().ok());
        line.starts_with("rampup.toml:") && line.contains(what) && number.is_some_and(|n| lines.contains(&n))
    });
    assert!(here, "{to:?} should be refused at {lines:?} with {what:?}, but: {error}");
}

#[test]
fn what_is_wrong_is_refused_at_its_place() {
    for (from, to, what) in [
        ("metrics =", "metrisc =", "did you mean `metrics`?"),
        ("weight = 3", "wieght = 3", "did you mean `weight`?"),
        ("weight = 3", "weight = 0", "nobody takes this flow"),
        ("schema = 1", "schema = 2", "this rampup understands 1"),
        ("http://127.0.0.1:8080", "ftp://127.0.0.1", "http:// or https://"),
        ("http://127.0.0.1:8080", "http://127.0.0.1/shop/", "holds a path"),
        ("http://127.0.0.1:8080", "127.0.0.1", "relative URL"),
        ("\"/v/1/\"", "\"v/1/\"", "does not begin with /"),
        ("\"/v/1/\"", "\"//evil.example/\"", "another host"),
        ("name = \"buy\"", "name = \"browse\"", "two flows named"),
        ("get = \"/\"", "post = \"/\"\nget = \"/\"", "both get and post"),
        ("[[flow.step]]\nname = \"home\"\nget = \"/\"", "[[flow.step]]\nname = \"home\"", "does nothing"),
        ("get = \"/\"", "get = \"/\"\ncsrf = true", "a get sends no form"),
        ("share = 0.5", "share = 1.5", "share must be over 0"),
        ("{{product}}", "{{produkt}}", "{{produkt}} is not known here"),
        ("{{product}}", "{{product", "never closed"),
        ("{{random 1 9}}", "{{random 9 1}}", "names no range"),
        ("a.product", "a[", "no CSS selector"),
        ("{{user.ip}}", "{{product}}", "is not known here"),
        ("expect = [302]", "expect = [3020]", "no HTTP status"),
        ("post = \"/checkout/\"", "put = \"/a\"\npatch = \"/b\"", "both put and patch"),
        (
            "post = \"/checkout/\"",
            "post = \"/checkout/\"\npresigned = \"ticket\"",
            "no earlier step of the flow extracts",
        ),
        ("post = \"/checkout/\"", "delete = \"checkout\"", "does not begin with /"),
        ("form = {", "query = { q = \"{{nowhere}}\" }\nform = {", "{{nowhere}} is not known here"),
        ("form = { note", "form = { \"{{nowhere}}\" = \"1\", note", "{{nowhere}} is not known here"),
        ("form = {", "query = { \"{{user}}\" = \"1\" }\nform = {", "write it into the path"),
        ("form = { note = \"{{random 1 9}}\" }", "json = '{\"a\": }'", "json is no JSON"),
        ("form = { note = \"{{random 1 9}}\" }", "json = { a = \"{{nowhere}}\" }", "{{nowhere}} is not known here"),
        ("form = { note = \"{{random 1 9}}\" }", "json = { day = 2026-01-01 }", "JSON knows no dates"),
        ("expect = [302]", "expect_select = \"a[\"", "no CSS selector"),
        ("expect = [302]", "expect_json = { id = 1 }", "no JSON pointer"),
        ("expect = [302]", "expect_header = { \"a b\" = \"\" }", "no header name"),
        ("expect = [302]", "expect_text = \"{{nowhere}}\"", "{{nowhere}} is not known here"),
        ("expect = [302]", "extract = { a = { regex = \"(\" } }", "no regular expression"),
        ("expect = [302]", "extract = { a = { cookie = \"\" } }", "the cookie has no name"),
        ("expect = [302]", "at_once = true\nthink = \"1s\"", "at_once and thinks"),
        ("timeout = \"10s\"", "upload_hosts = [\"https://b.example\"]", "is no host"),
        ("timeout = \"10s\"", "upload_hosts = [\"*.example\"]", "is no host"),
        ("schema = 1\n", "schema = 1\nfeeder = [{ name = \"f\", range = [9, 1] }]\n", "runs backwards"),
        ("schema = 1\n", "schema = 1\nfeeder = [{ name = \"user\", range = [1, 9] }]\n", "no name for a feeder"),
        ("schema = 1\n", "schema = 1\nfeeder = [{ name = \"f\" }]\n", "exactly one of"),
        ("schema = 1\n", "schema = 1\nfeeder = [{ name = \"f\", csv = \"gone.csv\" }]\n", "cannot be read"),
        ("slow_endpoints = [\"checkout\"]", "slow_endpoints = [\"chekout\"]", "did you mean \"checkout\"?"),
        ("p95_ms = 250", "p95_ms = 0", "p95_ms must be over 0"),
        ("p95_ms = 250", "p95_ms = nan", "p95_ms must be over 0"),
        ("p95_ms = 250", "confidence = 1.0", "0.8 to 0.999"),
        ("p95_ms = 250", "error_percent = 0", "error_percent must be over 0"),
        ("0123456789abcdef", "short", "16 or more"),
        ("timeout = \"10s\"", "timeout = \"10\"", "not a duration"),
        ("timeout = \"10s\"", "timeout = \"10m\"", "1s to 2m"),
        ("5s-10s", "10s-5s", "runs backwards"),
        ("[steps.7]", "[steps.11]", "no step 11"),
        ("users = 400", "users = 0", "1 to 100000"),
        ("users = 400", "beyond = [800, 650]", "beyond must rise"),
        ("[site.ownership]", "[site.web]\nworkers = 0\n[site.ownership]", "workers must be 1"),
        ("hold = \"2m\"", "endpoints = [\"chckout\"]", "did you mean \"checkout\"?"),
        ("max_bytes = 5000000", "max_bytes = 0", "allows no upload"),
        ("[site.ownership]", "[site.throttle]\npath = \"/x\"\nrequests = 41\n[site.ownership]", "1 to 40"),
        ("[site.ownership]", "[site.release]\npath = \"/x\"\n[site.ownership]", "either header"),
        ("[site.ownership]", "[site.release]\npath = \"/x\"\njson = \"a.b\"\n[site.ownership]", "begins with a slash"),
        (
            "[site.ownership]",
            "[site.release]\npath = \"x\"\nheader = \"X-A\"\n[site.ownership]",
            "does not begin with /",
        ),
        ("[site.ownership]", "[site.edge]\nblocked = \"x.php\"\n[site.ownership]", "does not begin with /"),
        ("[site.ownership]", "[site.edge]\norigins = [\"https://a.test/x\"]\n[site.ownership]", "holds a path"),
        ("[site.ownership]", "[site.edge]\nsecret_header = \"X Y\"\n[site.ownership]", "no header name"),
        ("service = \"web\"", "service = \" \"", "service is empty"),
        (
            "service = \"web\"",
            "service = \"web\"\napi = \"http://backboard.railway.com\"",
            "the token goes nowhere else",
        ),
        ("api = \"http://127.0.0.1:9000\"", "api = \"https://api.cloudflare.com.evil.example\"", "nowhere else"),
        ("api = \"http://127.0.0.1:9000\"", "api = \"http://localhost:9000\"", "an address of this machine"),
        ("zone = \"shop.example\"", "zone = \"https://shop.example/\"", "without scheme"),
        ("[site.ownership]", "[site.edge]\nsecret_env = \"KEY\"\n[site.ownership]", "header's name is missing"),
    ] {
        refuses(from, to, what);
    }
}

/// A project with a file of rows.
fn fed(feeder: &str, flow: &str, file: &str, rows: &str) -> Result<Settings, String> {
    let project = tempfile::tempdir().unwrap();
    crate::store::atomic::write(&project.path().join(file), rows.as_bytes()).unwrap();
    let text = format!(
        "schema = 1\n[site]\nname = \"s\"\nurl = \"http://127.0.0.1\"\n[[feeder]]\n{feeder}\n[[flow]]\nname = \"f\"\n{flow}"
    );
    parse(&text, project.path()).map_err(|error| error.to_string())
}

#[test]
fn feeders_bring_their_rows_and_flows_use_their_columns() {
    let users = "name = \"users\"\ncsv = \"users.csv\"\ndeal = \"per-user\"";
    let flow = "login = { path = \"/in\", username = \"{{users.email}}\", password_env = \"P\" }\nstep = [{ get = \"/{{users.id}}\" }]";
    let settings = fed(users, flow, "users.csv", "email,id\na@b,1\nc@d,2\n").unwrap();
    assert_eq!(settings.mix.feeders[0].rows.values, [["a@b", "1"], ["c@d", "2"]]);
    let other = fed(users, flow, "users.csv", "email,id\na@b,1\n").unwrap();
    assert_ne!(
        serde_json::to_string(&settings.mix).unwrap(),
        serde_json::to_string(&other.mix).unwrap(),
        "other rows are another load"
    );
    for (feeder, flow, file, rows, what) in [
        (
            "name = \"f\"\nrange = [1, 9]",
            "[[flow.step]]\nget = \"/\"\n[load]\nheaders = { x-number = \"{{f}}\" }",
            "unused.csv",
            "",
            "also go where no flow is",
        ),
        (users, "step = [{ get = \"/{{users.nmae}}\" }]", "users.csv", "email,id\na,1\n", "has no column \"nmae\""),
        (users, "step = [{ get = \"/{{users}}\" }]", "users.csv", "email,id\na,1\n", "write one of {{users.email}}"),
        (users, "step = [{ get = \"/\" }]", "users.csv", "email,id\na\n", "users.csv:2:1: this row has 1 values"),
        (users, "step = [{ get = \"/\" }]", "users.csv", "email,id\n", "there are no rows"),
        (&users.replace("per-user", "shared"), flow, "users.csv", "email,id\na,1\n", "a row of its own"),
        (
            &users.replace("users.csv", "../users.csv"),
            "step = [{ get = \"/\" }]",
            "users.csv",
            "email\na\n",
            "rampup.toml:7:7",
        ),
        (
            &users.replace("users.csv", "/etc/hostname"),
            "step = [{ get = \"/\" }]",
            "users.csv",
            "email\na\n",
            "rampup.toml:7:7",
        ),
        ("name = \"n\"\nrange = [1, 2]", "step = [{ get = \"/{{n.x}}\" }]", "u", "", "is a range"),
        (
            "name = \"n\"\nrange = [1, 2]",
            "step = [{ get = \"/\", extract = { n = { json = \"/a\" } } }]",
            "u",
            "",
            "name of a feeder",
        ),
    ] {
        let error = fed(feeder, flow, file, rows).expect_err(what);
        assert!(error.contains(what), "{what}: {error}");
    }
    assert!(fed("name = \"n\"\nrange = [1, 2]", "step = [{ get = \"/{{n}}\" }]", "u", "").is_ok());
}

#[test]
fn every_example_of_the_page_on_flows_is_right() {
    let project = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &[u8]| crate::store::atomic::write(&project.path().join(name), text).unwrap();
    put("users.csv", b"email\na@shop.example\n");
    put("products.jsonl", b"{\"slug\": \"tea\"}\n");
    let page = include_str!("../../docs/flows.md");
    let examples: Vec<_> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 9);
    for example in examples {
        let text = format!("schema = 1\n[site]\nname = \"s\"\nurl = \"http://127.0.0.1\"\n{example}");
        parse(&text, project.path()).unwrap_or_else(|error| panic!("{error}\n{example}"));
    }
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_repeated() {
    for (from, to) in [
        ("\"DATABASE_URL\"", "\"postgres://shop:hunter2@db/shop\""),
        ("\"SENTRY_TOKEN\"", "\"sntrys_hunter2eyJpYXQiOjE3\""),
        ("\"RAILWAY_TOKEN\"", "\"5f3c0a1e-6a1b-4c2d-9e8f-hunter200000\""),
        ("\"CLOUDFLARE_TOKEN\"", "\"v1hunter2_Abc-0123456789abcdefghijklmnopq\""),
        ("password_env = \"TEST_PASSWORD\"", "password_env = \"hunter2!\""),
        ("http://127.0.0.1:8080", "http://ada:hunter2@127.0.0.1:8080"),
        ("x-lab-client-ip = \"10.0.0.1\"", "authorization = \"Bearer hunter2\""),
        ("{{random 1 9}}", "redis://:hunter2@cache/0"),
        ("cache_env = \"REDIS_URL\"", "cache = \"redis://:hunter2@cache/0\""),
        ("p95_ms = 250", "p95_ms = \"postgres://u:hunter2@db/x\""),
    ] {
        refuses(from, to, "");
        let error = read(&WHOLE.replacen(from, to, 1)).unwrap_err();
        assert!(!error.contains("hunter2"), "{to}: {error}");
    }
}

#[test]
fn every_fault_is_told_at_once_in_the_order_of_the_file() {
    let text = WHOLE.replacen("share = 0.5", "share = 7", 1).replacen("p95_ms = 250", "p95_ms = -1", 1);
    let error = read(&text).unwrap_err();
    let (first, second) = error.split_once('\n').unwrap();
    assert!(first.contains("p95_ms") && second.contains("share"), "{error}");
}

#[test]
fn keys_come_from_the_environment_first_and_from_the_env_file_else() {
    let project = tempfile::tempdir().unwrap();
    let put =
        |name: &str, text: &str| crate::store::atomic::write(&project.path().join(name), text.as_bytes()).unwrap();
    put("rampup.toml", WHOLE);
    put(".env", "REDIS_URL=redis://file\nDATABASE_URL=postgres://file\n");
    let environment: Environment =
        [("DATABASE_URL", "postgres://process"), ("TEST_PASSWORD", "")].into_iter().collect();
    let config = load(project.path(), &environment).unwrap();
    assert_eq!(config.access.database.unwrap().secret.expose(), "postgres://process");
    let cache = config.access.cache.unwrap();
    assert_eq!((cache.variable.as_str(), cache.secret.expose()), ("REDIS_URL", "redis://file"));
    assert!(config.access.account_password.is_none() && config.passwords.is_empty());
    assert!(config.settings.notes.iter().any(|note| note.starts_with("TEST_PASSWORD is not set")));
    assert_eq!(find(&project.path().join("a/b")).unwrap(), project.path());
}

#[test]
fn a_changed_rung_makes_a_proof_stale() {
    let settings = read(WHOLE).unwrap();
    let steps = settings.climb(crate::playbook::load(None).unwrap()).unwrap();
    let plain = read(&WHOLE.replace("users = 400\n", "")).unwrap();
    let same = plain.climb(crate::playbook::load(None).unwrap()).unwrap();
    assert_eq!(steps[6].gate.users, 400);
    assert_eq!(same[6].gate.users, 500);
    let changes = |index: usize| settings.contract(&steps[index], false).changes(&plain.contract(&same[index], false));
    assert_eq!(changes(6), ["the playbook"]);
    assert_eq!(changes(5), [""; 0]);
    let slower = read(&WHOLE.replace("timeout = \"10s\"", "timeout = \"60s\"")).unwrap();
    assert_eq!(settings.contract(&steps[0], false).changes(&slower.contract(&steps[0], false)), ["the flows"]);
}

#[test]
fn a_gate_on_an_endpoint_that_nobody_calls_is_refused() {
    let climb = |text: &str| read(text).unwrap().climb(crate::playbook::load(None).unwrap());
    let text =
        WHOLE.replace("name = \"checkout\"\n", "name = \"pay\"\n").replace("slow_endpoints = [\"checkout\"]\n", "");
    let error = climb(&text).unwrap_err().to_string();
    assert!(error.contains("step 6") && error.contains("slow_endpoints"), "{error}");
    let gate = format!("{text}[steps.6]\nendpoints = [\"pay\"]\n");
    assert_eq!(climb(&gate).unwrap()[5].gate.endpoints, ["pay"]);
    assert!(climb(&format!("{text}[steps.6]\nendpoints = []\n")).unwrap()[5].gate.endpoints.is_empty());
    // What the site calls slow is what the gate measures; naming others makes an older proof stale.
    let named = WHOLE.replace("name = \"checkout\"\n", "name = \"pay\"\n").replace("[\"checkout\"]", "[\"pay\"]");
    let (named, whole) = (climb(&named).unwrap(), climb(WHOLE).unwrap());
    assert_eq!(named[5].gate.endpoints, ["pay"]);
    assert_ne!(named[5].digest, whole[5].digest);
    assert_eq!(named[4].digest, whole[4].digest);
}

proptest! {
    /// Whatever somebody types, the answer is settings or a sentence with a place, never a crash.
    #[test]
    fn no_text_makes_it_fall_over(at in 0..WHOLE.len(), cut in 0..20_usize, put in "[ -~\nä]{0,12}") {
        let mut text = WHOLE.to_owned();
        text.replace_range(at..(at + cut).min(WHOLE.len()), &put);
        if let Err(error) = read(&text) {
            prop_assert!(error.lines().all(|line| line.starts_with("rampup.toml:")), "{}", error);
        }
    }
}
