//! `rampup init`: writes a commented rampup.toml from answers: flags first, then what the project's files and the clouds
//! propose, and a form for a person at a terminal. Never overwrites without being told.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, anyhow};
use url::Url;

use crate::cli::{Cli, Init};
use crate::config::{self, Answers, AtCloud, Environment};
use crate::headless::exit;
use crate::store::atomic;
use crate::tui::wizard::{self, Field, Form};

use super::at_hand::{self, AtHand, CLOUDFLARE_TOKEN, RAILWAY_TOKEN};
use super::found::{self, Found};
use super::session::Trouble;
use super::signals::Signals;
use super::terminal;

/// Writes the file, asking when there is a person to ask.
pub async fn init(cli: &Cli, environment: &Environment, wish: &Init, out: &mut dyn Write) -> Result<u8, Trouble> {
    let file = cli.project.join("rampup.toml");
    if file.exists() && !wish.force {
        return Err(Trouble::usage(anyhow!("{} is already there; --force replaces it", file.display())));
    }
    let folder = cli.project.canonicalize().with_context(|| format!("{} is not a folder", cli.project.display()));
    let folder = folder.map_err(Trouble::usage)?;
    let mut found = found::look(&folder);
    let at_hand = at_hand::look(environment, wish).await;
    found.told.extend(at_hand.told.iter().cloned());
    let mut fields = fields(wish, &found, &at_hand, &folder);
    let nonce = config::nonce();
    let make = |fields: &[Field]| answers(fields).map(|answers| config::template(&answers, &nonce));
    let person = io::stdin().is_terminal() && io::stdout().is_terminal();
    let plain = cli.look.plain || environment.accessible() || environment.term() == Some("dumb");
    if person && !plain && !wish.yes && wish.url.is_none() {
        let _signals = Signals::take()?;
        let form = Form::new("init".to_owned(), fields, found.told);
        fields = match wizard::ask(form, terminal::look(&cli.look, environment), make).await? {
            Ok(Some(fields)) => fields,
            Ok(None) => {
                writeln!(out, "nothing was written")?;
                return Ok(exit::PROVEN);
            }
            Err(left) => return Ok(terminal::left(left)),
        };
    } else if fields[0].value.is_empty() {
        if !person || wish.yes {
            return Err(Trouble::usage(anyhow!("say where users arrive: rampup init --url https://shop.example")));
        }
        fields[0].value = ask_for_url(out)?;
    }
    let text = make(&fields).map_err(|(at, why)| Trouble::usage(anyhow!("{}: {why}", fields[at].name)))?;
    atomic::write(&file, text.as_bytes()).map_err(|e| Trouble::Broken(e.into()))?;
    writeln!(out, "wrote {}", file.display())?;
    writeln!(out, "next: read it once, then `rampup`, or `rampup run` in scripts")?;
    Ok(exit::PROVEN)
}

/// The questions, with the answers of flags and files.
fn fields(wish: &Init, found: &Found, at_hand: &AtHand, folder: &Path) -> Vec<Field> {
    let name = folder.file_name().map_or_else(|| "my-site".to_owned(), |name| name.to_string_lossy().into_owned());
    let given = |flag: &Option<String>, proposed: &Option<String>| {
        flag.clone().or_else(|| proposed.clone()).unwrap_or_default()
    };
    let number = |flag: Option<f64>, usual: f64| flag.unwrap_or(usual).to_string();
    let field = |name, about: &str, value| Field { name, about: about.to_owned(), value };
    vec![
        field(
            "address",
            "Where users arrive, like https://staging.shop.example: through Cloudflare, if it is there already. Load goes \
             there only once it has shown that it is yours. (--url)",
            given(&wish.url, &at_hand.url),
        ),
        field("name", "A short name for the site. (--name)", wish.name.clone().unwrap_or(name)),
        field(
            "health",
            "A page that asks the database and the cache whether they live; step 1 makes one. (--health)",
            given(&wish.health, &at_hand.health.clone().or(found.health.clone()).or(Some("/healthz".to_owned()))),
        ),
        field("p95, ms", "95 of 100 requests shall be faster than so many ms. (--p95)", number(wish.p95, 300.0)),
        field("errors, %", "Fewer than so many percent of requests may fail. (--errors)", number(wish.errors, 0.5)),
        field(
            "database",
            "NAME of the environment variable that holds PostgreSQL's address; its value is never written. (--database-env)",
            given(&wish.database_env, &found.database.clone().or(Some("DATABASE_URL".to_owned()))),
        ),
        field(
            "cache",
            "NAME of the variable for the cache; empty when there is none yet. (--cache-env)",
            given(&wish.cache_env, &found.cache),
        ),
        field(
            "queue",
            "NAME of the variable for the task queue's broker; empty when there is none yet. (--broker-env)",
            given(&wish.broker_env, &found.broker),
        ),
        field(
            "pages",
            "Public pages that users look at, with spaces between; the load visits them. Flows of your own come later. (--page)",
            if wish.page.is_empty() { found.pages.join(" ") } else { wish.page.join(" ") },
        ),
        field(
            "railway",
            "The service that runs the app, as Railway calls it; its token stands in RAILWAY_TOKEN. Empty when it runs elsewhere, or \
             is not to be asked. (--railway-service)",
            given(&wish.railway_service, &at_hand.service),
        ),
        field(
            "cloudflare",
            "The domain, as Cloudflare lists it; a token that may read stands in CLOUDFLARE_API_TOKEN. Empty when it is not to be \
             asked. (--cloudflare-zone)",
            given(&wish.cloudflare_zone, &at_hand.zone),
        ),
    ]
}

/// The answers as they will be written, or the field that stands in the way and why.
fn answers(fields: &[Field]) -> Result<Answers, (usize, String)> {
    let text = |at: usize| fields.get(at).map_or("", |field| field.value.trim());
    let url = Url::parse(text(0)).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or_else(|| (0, format!("{:?} is no address; write it like https://shop.example", text(0))))?;
    if text(1).is_empty() {
        return Err((1, "write a name for the site".to_owned()));
    }
    if !text(2).starts_with('/') {
        return Err((2, format!("{:?} is no path; it begins with /", text(2))));
    }
    let number = |at: usize, most: f64| {
        let value = text(at).parse::<f64>().ok().filter(|value| *value > 0.0 && *value < most);
        value.ok_or_else(|| (at, format!("{:?} is no number over 0 and under {most}", text(at))))
    };
    let name = |at: usize| {
        let text = text(at);
        let fits = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !text.starts_with(|c: char| c.is_ascii_digit());
        if fits {
            Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
        } else {
            Err((at, "write the variable's NAME, like DATABASE_URL, not its value".to_owned()))
        }
    };
    Ok(Answers {
        name: text(1).to_owned(),
        health: text(2).to_owned(),
        p95_ms: number(3, 60_000.0)?,
        error_percent: number(4, 100.0)?,
        database_env: name(5)?
            .ok_or_else(|| (5, "write the variable's name; DATABASE_URL is the usual one".to_owned()))?,
        cache_env: name(6)?,
        broker_env: name(7)?,
        pages: pages(text(8)).map_err(|why| (8, why))?,
        railway: at_cloud(text(9), RAILWAY_TOKEN),
        cloudflare: zone(text(10)).map_err(|why| (10, why))?,
        url,
    })
}

fn at_cloud(name: &str, token_env: &str) -> Option<AtCloud> {
    (!name.is_empty()).then(|| AtCloud { name: name.to_owned(), token_env: token_env.to_owned() })
}

fn zone(text: &str) -> Result<Option<AtCloud>, String> {
    match text.contains('/') || !text.is_empty() && !text.contains('.') {
        true => Err(format!("{text:?} is no domain; write it like shop.example")),
        false => Ok(at_cloud(text, CLOUDFLARE_TOKEN)),
    }
}

fn pages(text: &str) -> Result<Vec<String>, String> {
    let pages: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    match pages.iter().find(|page| !page.starts_with('/')) {
        Some(page) => Err(format!("{page:?} is no path; it begins with /")),
        None => Ok(pages),
    }
}

fn ask_for_url(out: &mut dyn Write) -> Result<String, Trouble> {
    write!(out, "Where do users arrive? (like https://shop.example) ")?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(edits: &[(usize, &str)]) -> Result<String, (usize, String)> {
        let wish = Init { url: Some("https://shop.example/".to_owned()), yes: true, ..Init::default() };
        let found = Found { cache: Some("REDIS_URL".to_owned()), ..Found::default() };
        let mut fields = fields(&wish, &found, &AtHand::default(), Path::new("/srv/shop"));
        for (at, value) in edits {
            fields[*at].value = (*value).to_owned();
        }
        answers(&fields).map(|answers| config::template(&answers, &config::nonce()))
    }

    #[test]
    fn answers_become_settings_and_wrong_ones_are_told() {
        let text = written(&[(3, "250"), (7, "CELERY_BROKER_URL")]).unwrap();
        for line in ["name = \"shop\"", "url = \"https://shop.example\"", "p95_ms = 250", "error_percent = 0.5"] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let table: toml::Table = text.parse().unwrap();
        let services = &table["services"];
        assert_eq!(services["database_env"].as_str(), Some("DATABASE_URL"));
        assert_eq!(services["cache_env"].as_str(), Some("REDIS_URL"));
        assert_eq!(services["broker_env"].as_str(), Some("CELERY_BROKER_URL"));
        for (at, value) in
            [(0, "shop"), (0, "ftp://a"), (1, " "), (2, "healthz"), (3, "0"), (3, "x"), (4, "100"), (5, "")]
        {
            assert_eq!(written(&[(at, value)]).unwrap_err().0, at, "{value}");
        }
        // Pages that are known are visited, and a purchase that the site may not have is a remark.
        let text = written(&[(8, "/ /menu/pizza/")]).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let flows = table["flow"].as_array().unwrap();
        let steps = flows[0]["step"].as_array().unwrap();
        let paths: Vec<&str> = steps.iter().map(|step| step["get"].as_str().unwrap()).collect();
        assert_eq!((flows.len(), paths), (1, vec!["/", "/menu/pizza/"]));
        assert_eq!(steps[1]["name"].as_str(), Some("menu-pizza"));
        let folder = tempfile::tempdir().unwrap();
        let settings = config::parse(&text, folder.path()).unwrap();
        assert_eq!(settings.site.public_pages, ["/", "/menu/pizza/"], "checks look at them, too");
        assert!(
            table["steps"]["6"]["endpoints"].as_array().unwrap().is_empty(),
            "what it does not have is not measured"
        );
        assert!(text.contains("# post = \"/checkout/\"") && text.contains("# slow_endpoints = ["), "{text}");
        assert_eq!(written(&[(8, "menu")]).unwrap_err().0, 8);
        // What the clouds call it.
        let text = written(&[(9, "web"), (10, "shop.example")]).unwrap();
        let settings = config::parse(&text, folder.path()).unwrap();
        assert_eq!(settings.site.railway.unwrap().service, "web");
        assert_eq!(settings.site.cloudflare.unwrap().zone, "shop.example");
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["site"]["railway"]["token_env"].as_str(), Some("RAILWAY_TOKEN"));
        assert_eq!(table["site"]["cloudflare"]["token_env"].as_str(), Some("CLOUDFLARE_API_TOKEN"));
        assert_eq!(written(&[(10, "https://shop.example/")]).unwrap_err().0, 10);
        let (at, why) = written(&[(6, "redis://:secret@cache/0")]).unwrap_err();
        assert!(at == 6 && !why.contains("secret"), "{why}");
    }
}
