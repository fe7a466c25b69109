//! The commented `rampup.toml` that `rampup init` writes.

use rand::Rng;
use url::Url;

use super::FILE;

const TEMPLATE: &str = include_str!("../../assets/rampup.toml");

/// What a settings file begins with.
#[derive(Debug, Clone)]
pub struct Answers {
    /// A short name of the site.
    pub name: String,
    /// Where users arrive.
    pub url: Url,
    /// Path of the health page.
    pub health: String,
    /// p95 limit, in ms.
    pub p95_ms: f64,
    /// Limit of the error rate, in percent.
    pub error_percent: f64,
    /// Variable that holds the database's address.
    pub database_env: String,
    /// The cache's, if there is one.
    pub cache_env: Option<String>,
    /// The task queue's, if there is one.
    pub broker_env: Option<String>,
    /// Public pages that users look at; when they are known, the example of a purchase is left as a remark.
    pub pages: Vec<String>,
    /// The app's service at Railway.
    pub railway: Option<AtCloud>,
    /// The site's zone at Cloudflare.
    pub cloudflare: Option<AtCloud>,
}

/// What a cloud calls the site, and the variable that holds a token to ask it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtCloud {
    /// A service's name, a zone's domain.
    pub name: String,
    /// The variable.
    pub token_env: String,
}

impl Answers {
    /// The usual answers for a site of this name at this address.
    #[must_use]
    pub fn usual(name: &str, url: Url) -> Self {
        Self {
            name: name.to_owned(),
            url,
            health: "/healthz".to_owned(),
            p95_ms: 300.0,
            error_percent: 0.5,
            database_env: "DATABASE_URL".to_owned(),
            cache_env: None,
            broker_env: None,
            pages: Vec::new(),
            railway: None,
            cloudflare: None,
        }
    }
}

/// A nonce that nobody else knows, for the proof of ownership.
#[must_use]
pub fn nonce() -> String {
    format!("rampup-{:032x}", rand::rng().random::<u128>())
}

/// A settings file to begin with.
#[must_use]
pub fn template(answers: &Answers, nonce: &str) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    debug_assert!(TEMPLATE.starts_with("# rampup.toml"), "{FILE} opens with its own name");
    let filled = TEMPLATE
        .replace("\"@name@\"", &quoted(&answers.name))
        .replace("\"@url@\"", &quoted(answers.url.as_str().trim_end_matches('/')))
        .replace("\"@health@\"", &quoted(&answers.health))
        .replace("\"@database@\"", &quoted(&answers.database_env))
        .replace("\"@p95@\"", &answers.p95_ms.to_string())
        .replace("\"@errors@\"", &answers.error_percent.to_string())
        .replace("@nonce@", nonce);
    let named = |text: String, key: &str, name: &Option<String>| match name {
        Some(name) => switched_on(&text, key, &quoted(name)),
        None => text,
    };
    let filled = named(filled, "cache_env", &answers.cache_env);
    let filled = named(filled, "broker_env", &answers.broker_env);
    let cloud = |text: String, header: &str, key: &str, named: &Option<AtCloud>| match named {
        Some(AtCloud { name, token_env }) => {
            section(&text, header, &[("token_env", quoted(token_env)), (key, quoted(name))])
        }
        None => text,
    };
    let filled = cloud(filled, "site.railway", "service", &answers.railway);
    let filled = cloud(filled, "site.cloudflare", "zone", &answers.cloudflare);
    if answers.pages.is_empty() { filled } else { visiting(&answers.pages, &filled) }
}

/// Pages that checks look at, at most: each is asked several times.
const PUBLIC: usize = 3;
/// What step 6 measures on its own, as long as no flow step does slow work.
const NOTHING_SLOW: &str = "
# No flow above does slow work yet. Once a step of one does (a form whose mail or picture a worker takes over), name that
# step in [site] slow_endpoints and take these lines away: step 6 measures it on its own.
[steps.6]
endpoints = []
";

/// The text with a flow of these pages; what the site may not have is a remark.
fn visiting(pages: &[String], text: &str) -> String {
    const HOME: &str = "[[flow.step]]\nname = \"home\"\nget = \"/\"\n";
    const BUY: &str = "[[flow]]\nname = \"buy\"\n";
    const LADDER: &str = "\n\n# ---";
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let name = |path: &str| match path.trim_matches('/') {
        "" => "home".to_owned(),
        path => path.replace('/', "-"),
    };
    let step = |path: &String| format!("[[flow.step]]\nname = {}\nget = {}\n", quoted(&name(path)), quoted(path));
    let text = text.replace(HOME, &pages.iter().map(step).collect::<Vec<_>>().join("\n"));
    let public: Vec<String> = pages.iter().take(PUBLIC).map(|page| quoted(page)).collect();
    let text = changed(&text, "public_pages", &format!("[{}]", public.join(", ")));
    let text = text.replacen("slow_endpoints =", "# slow_endpoints =", 1);
    let (before, from) = text.split_once(BUY).unwrap_or((&text, ""));
    let (buy, after) = from.split_once(LADDER).unwrap_or((from, ""));
    let remark = |line: &str| match line {
        "" => "\n".to_owned(),
        line if line.starts_with('#') => format!("{line}\n"),
        line => format!("# {line}\n"),
    };
    let buy: String = format!("{BUY}{buy}").lines().map(remark).collect();
    format!("{before}{buy}{LADDER}{after}{NOTHING_SLOW}")
}

/// The text with the remark `# [name]` made a section with these keys in it; its other lines stay remarks.
fn section(text: &str, name: &str, keys: &[(&str, String)]) -> String {
    let Some((before, from)) = text.split_once(&format!("# [{name}]\n")) else { return text.to_owned() };
    let (inside, after) = from.split_once("\n\n").unwrap_or((from, ""));
    let inside = keys.iter().fold(inside.to_owned(), |inside, (key, value)| switched_on(&inside, key, value));
    format!("{before}[{name}]\n{inside}\n{after}")
}

/// The text with the remark `# key = …` made a line, with this value and the remark behind it.
fn switched_on(text: &str, key: &str, value: &str) -> String {
    with(text, &format!("# {key} = "), key, value)
}

/// The text with another value of a key.
fn changed(text: &str, key: &str, value: &str) -> String {
    with(text, &format!("{key} = "), key, value)
}

fn with(text: &str, opening: &str, key: &str, value: &str) -> String {
    let line = |line: &str| match line.strip_prefix(opening) {
        Some(rest) => {
            let remark = rest.find('#').map_or("", |at| &rest[at..]);
            format!("{:<48} {remark}\n", format!("{key} = {value}"))
        }
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}
