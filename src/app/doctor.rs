//! `rampup doctor`: asks every system that the settings name, all at once, and says what is missing before a step does.

mod clouds;
mod serves;
mod systems;

use std::io::Write;
use std::path::Path;

use jiff::Timestamp;

use crate::cli::Output;
use crate::config::{Config, Environment};
use crate::domain::doctor::Visit;
use crate::domain::ids::RunId;
use crate::headless::{doctor as face, exit};
use crate::probes::Probes;

use super::session::{Trouble, configured};

/// Looks, and says what was found: 0 when everything that is named answers, else 3.
pub(super) async fn doctor(
    project: &Path,
    environment: &Environment,
    wish: Output,
    out: &mut dyn Write,
) -> Result<u8, Trouble> {
    let Config { settings, access, secrets, .. } = configured(project, environment)?;
    let run = RunId::new(Timestamp::now());
    let probes = Probes::new(settings.site, access, run).map_err(|e| Trouble::Broken(e.into()))?;
    let systems = systems::ask(&probes, &secrets).await;
    let visit = Visit { site: probes.site.name.clone(), url: probes.site.url.to_string(), systems, secrets };
    if wish.json {
        writeln!(out, "{}", face::json(&visit))?;
    } else {
        face::lines(&visit, out)?;
    }
    Ok(if visit.is_well() { exit::PROVEN } else { exit::INCONCLUSIVE })
}
