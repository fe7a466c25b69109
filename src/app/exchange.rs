//! `rampup flow import` and `flow export`: files and settings in, text to stdout, notes to stderr.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, anyhow};

use crate::cli::{FlowExport, FlowImport, ResultsImport, ScriptEngine};
use crate::config::{self, ConfigError, Settings};
use crate::domain::text::tame;
use crate::exchange::{self, Job};
use crate::headless::exit;

use super::session::Trouble;
use super::steps_of;

/// Prints the flow of a recording as TOML.
pub fn import(project: &Path, wish: &FlowImport, out: &mut dyn Write, notes: &mut dyn Write) -> Result<u8, Trouble> {
    // With a host of its own a recording needs no settings, and no faultless ones.
    let (host, settings) = match &wish.host {
        Some(host) => (Some(authority(host)), settings(project).ok().flatten()),
        None => {
            let settings = settings(project)?;
            (settings.as_ref().map(|settings| authority(settings.site.url.as_str())), settings)
        }
    };
    let password_env = settings.and_then(|settings| settings.variables.account_password);
    let text = recording(&wish.file).map_err(Trouble::usage)?;
    let imported =
        exchange::import(&text, &wish.name, host.as_deref(), password_env.as_deref()).map_err(Trouble::usage)?;
    let toml = exchange::to_toml(&imported.flow).map_err(Trouble::usage)?;
    for note in &imported.notes {
        writeln!(notes, "NOTE {}", tame(note, 1000))?;
    }
    write!(out, "{toml}")?;
    Ok(exit::PROVEN)
}

/// Prints what another load engine measured. Nothing is recorded: it proves no step.
pub fn results(wish: &ResultsImport, out: &mut dyn Write, notes: &mut dyn Write) -> Result<u8, Trouble> {
    let results = exchange::results::read(&recording(&wish.file).map_err(Trouble::usage)?).map_err(Trouble::usage)?;
    for note in &results.notes {
        writeln!(notes, "NOTE {}", tame(note, 1000))?;
    }
    write!(out, "{}", results.show())?;
    Ok(exit::PROVEN)
}

/// Prints the flows as a script.
pub fn export(project: &Path, wish: &FlowExport, out: &mut dyn Write, notes: &mut dyn Write) -> Result<u8, Trouble> {
    let start = std::path::absolute(project)?;
    let settings = match settings(project)? {
        Some(settings) => settings,
        None => return Err(Trouble::usage(ConfigError::Absent { folder: start })),
    };
    let users = match wish.users {
        Some(users) => users,
        None => steps_of(&settings)?.iter().map(|step| step.gate.users).max().unwrap_or(1),
    };
    let job = Job { target: &settings.site.url, mix: &settings.mix, slo: &settings.slo, users };
    let exported = match wish.engine {
        ScriptEngine::K6 => exchange::k6(&job),
        ScriptEngine::Locust => exchange::locust(&job),
    };
    for note in &exported.notes {
        writeln!(notes, "NOTE {}", tame(note, 1000))?;
    }
    write!(out, "{}", exported.script)?;
    Ok(exit::PROVEN)
}

/// The settings in force here, without their keys; none when there is no rampup.toml.
fn settings(project: &Path) -> Result<Option<Settings>, Trouble> {
    let folder = match config::find(&std::path::absolute(project)?) {
        Ok(folder) => folder,
        Err(ConfigError::Absent { .. }) => return Ok(None),
        Err(why) => return Err(Trouble::usage(why)),
    };
    let file = folder.join(config::FILE);
    let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()));
    config::parse(&text.map_err(Trouble::usage)?, &folder).map(Some).map_err(Trouble::usage)
}

/// `https://shop.example:8000/` and `shop.example:8000` name the same host.
fn authority(host: &str) -> String {
    let (scheme, rest) = host.split_once("://").unwrap_or(("", host));
    let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let usual = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    place.strip_suffix(usual).unwrap_or(place).to_ascii_lowercase()
}

fn recording(file: &Path) -> anyhow::Result<String> {
    let name = file.display();
    let open = File::open(file).with_context(|| format!("{name} cannot be opened"))?;
    let mut bytes = Vec::new();
    open.take(exchange::MOST_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("{name} cannot be read"))?;
    if bytes.len() as u64 > exchange::MOST_BYTES {
        return Err(anyhow!("{name} is larger than {} MiB; record again, with less in it", exchange::MOST_BYTES >> 20));
    }
    String::from_utf8(bytes).map_err(|_| anyhow!("{name} is not UTF-8 text"))
}
