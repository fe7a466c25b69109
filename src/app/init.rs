//! `rampup init`: writes a commented rampup.toml. Never overwrites without being told.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, anyhow};
use url::Url;

use crate::cli::Init;
use crate::config;
use crate::headless::exit;
use crate::store::atomic;

use super::session::Trouble;

/// Writes the file, asking for the address when there is a person to ask.
pub fn init(project: &Path, wish: &Init, out: &mut dyn Write) -> Result<u8, Trouble> {
    let file = project.join("rampup.toml");
    if file.exists() && !wish.force {
        return Err(Trouble::usage(anyhow!("{} is already there; --force replaces it", file.display())));
    }
    let url = match &wish.url {
        Some(url) => url.clone(),
        None => ask_for_url(out)?,
    };
    let folder = project.canonicalize().with_context(|| format!("{} is not a folder", project.display()));
    let folder = folder.map_err(Trouble::usage)?;
    let name = wish.name.clone().or_else(|| Some(folder.file_name()?.to_string_lossy().into_owned()));
    let url =
        Url::parse(url.trim()).with_context(|| format!("{url:?} is no address; write it like https://shop.example"));
    let text = config::template(&name.unwrap_or_else(|| "my-site".to_owned()), &url.map_err(Trouble::usage)?);
    atomic::write(&file, text.as_bytes()).map_err(|e| Trouble::Broken(e.into()))?;
    writeln!(out, "wrote {}", file.display())?;
    writeln!(out, "next: read it once, then `rampup`, or `rampup run` in scripts")?;
    Ok(exit::PROVEN)
}

fn ask_for_url(out: &mut dyn Write) -> Result<String, Trouble> {
    if !io::stdin().is_terminal() {
        return Err(Trouble::usage(anyhow!("say where users arrive: rampup init --url https://shop.example")));
    }
    write!(out, "Where do users arrive? (like https://shop.example) ")?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer)
}
