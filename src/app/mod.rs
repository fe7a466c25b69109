//! Wiring: the only room that knows every other. It decides nothing; it opens what is needed, pumps events from the
//! machine to disk and then to a face, and turns the end of it all into an exit code.

mod again;
mod at_hand;
mod bench;
mod climb;
mod commit;
mod decide;
mod diff;
mod doctor;
mod drive;
mod editor;
mod evidence;
mod exchange;
mod flows;
mod found;
mod init;
mod logging;
mod outside;
mod plain;
mod practice;
mod scan;
mod session;
mod signals;
mod terminal;
mod webhook;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::checks;
use crate::cli::{BaselineVerb, Cli, FlowVerb, Format, Output, PlaybookVerb, ProgressVerb, Published, Report, Verb};
use crate::config::{self, Environment, Settings};
use crate::domain::command::{Command, Waiver};
use crate::domain::ids::{CheckId, StepId};
use crate::domain::plan;
use crate::domain::progress::{Outdated, Progress, StepState};
use crate::domain::step::Step;
use crate::headless::{self, status};
use crate::playbook;
use crate::report::story::Climb;
use crate::report::{github, html, junit, markdown, sarif};
use crate::store::{self, Store, atomic};

use session::{Trouble, configured};

/// Does what the command line says.
pub async fn run(cli: Cli, environment: Environment) -> ExitCode {
    logging::take();
    // Whoever reads along may leave, and the code stays that of what was asked for.
    let (mut out, mut notes) = (headless::stdout(), headless::stderr());
    let done = match &cli.command {
        None => terminal::open(&cli, &environment).await,
        Some(Verb::Init(wish)) => init::init(&cli, &environment, wish, &mut out).await,
        Some(Verb::Run(wish)) => drive::run(&cli.project, &environment, wish).await,
        Some(Verb::Verify(wish)) => drive::verify(&cli.project, &environment, wish).await,
        Some(Verb::Ramp(wish)) => drive::ramp(&cli.project, &environment, wish).await,
        Some(Verb::Status(wish)) => show_status(&cli.project, &environment, *wish, &mut out),
        Some(Verb::Doctor(wish)) => doctor::doctor(&cli.project, &environment, *wish, &mut out).await,
        Some(Verb::Replay(wish)) => terminal::replay(&cli, &environment, wish).await,
        Some(Verb::Explain(wish)) => evidence::explain(&cli.project, &environment, wish.what.as_deref(), &mut out),
        Some(Verb::VerifyEvidence(wish)) => evidence::verify(&cli.project, &environment, *wish, &mut out),
        Some(Verb::Diff(wish)) => diff::diff(&cli.project, &environment, wish, &mut out),
        Some(Verb::Scan(wish)) => scan::scan(&cli.project, wish, &mut out),
        Some(Verb::Progress(ProgressVerb::Merge { base, ours, theirs })) => {
            Store::merge(base, ours, theirs).map(|()| headless::exit::PROVEN).map_err(Trouble::usage)
        }
        Some(Verb::Schema(wish)) => show_schema(wish.of, &mut out),
        Some(Verb::Keys) => show_keys(&cli, &environment, &mut out),
        Some(Verb::Report(wish)) => show_report(&cli.project, &environment, wish, &mut out),
        Some(Verb::Waive(wish)) => {
            let waiver = Waiver {
                step: wish.step,
                check: wish.check.as_deref().map(CheckId::from),
                reason: wish.reason.clone(),
                owner: wish.owner.clone(),
                until: wish.until,
            };
            decide::decide(&cli.project, &environment, Command::Waive(waiver)).await
        }
        Some(Verb::Invalidate(wish)) => decide::invalidate(&cli.project, &environment, wish).await,
        Some(Verb::Baseline(BaselineVerb::Pin(wish))) => decide::pin(&cli.project, &environment, wish).await,
        Some(Verb::Baseline(BaselineVerb::Unpin(wish))) => decide::unpin(&cli.project, &environment, wish).await,
        Some(Verb::Demo(wish)) => practice::demo(&cli, &environment, wish).await,
        Some(Verb::Lab(verb)) => practice::lab(&environment, verb).await,
        Some(Verb::Flow(FlowVerb::Check(wish))) => flows::check(&cli.project, &environment, wish, &mut out).await,
        Some(Verb::Playbook(PlaybookVerb::Lint)) => lint(&cli.project, &mut out),
        Some(Verb::Playbook(PlaybookVerb::Checks)) => name_checks(&mut out),
        Some(Verb::Flow(FlowVerb::Import(wish))) => exchange::import(&cli.project, wish, &mut out, &mut notes),
        Some(Verb::Import(wish)) => exchange::results(wish, &mut out, &mut notes),
        Some(Verb::Flow(FlowVerb::Export(wish))) => exchange::export(&cli.project, wish, &mut out, &mut notes),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        // The screen and its plain lines end with their reader, and their code was never a verdict.
        Err(Trouble::Broken(why)) if cli.command.is_none() && is_broken_pipe(&why) => ExitCode::SUCCESS,
        Err(trouble) => {
            // The last word before leaving; when even that cannot be written, the code still says it.
            let _ = writeln!(notes, "rampup: {trouble:#}");
            ExitCode::from(trouble.exit())
        }
    }
}

fn show_keys(cli: &Cli, environment: &Environment, out: &mut dyn Write) -> Result<u8, Trouble> {
    out.write_all(terminal::keys(&cli.look, environment)?.markdown().as_bytes())?;
    Ok(headless::exit::PROVEN)
}

fn show_schema(of: Published, out: &mut dyn Write) -> Result<u8, Trouble> {
    let schema = match of {
        Published::Settings => config::schema(),
        Published::Events => headless::schema(),
        Published::Progress => store::schema(),
    };
    out.write_all(schema.as_bytes())?;
    Ok(headless::exit::PROVEN)
}

fn is_broken_pipe(why: &anyhow::Error) -> bool {
    why.downcast_ref::<io::Error>().is_some_and(|why| why.kind() == io::ErrorKind::BrokenPipe)
}

/// The steps of the project in this folder, as its settings and playbooks say.
fn steps_of(settings: &Settings) -> Result<Vec<Step>, Trouble> {
    let steps = playbook::load(Some(&settings.project_dir)).map_err(Trouble::usage)?;
    settings.climb(steps).map_err(Trouble::usage)
}

/// Where the climb stands, for whoever only looks: without the lock, also while another process runs.
struct Standing {
    folder: PathBuf,
    site: String,
    steps: Vec<Step>,
    states: Vec<(StepId, StepState)>,
    progress: Progress,
    outdated: BTreeMap<StepId, Outdated>,
    notes: Vec<String>,
}

fn standing(project: &Path, environment: &Environment) -> Result<Standing, Trouble> {
    let settings = configured(project, environment)?.settings;
    let steps = steps_of(&settings)?;
    let (progress, notes) = Store::read(&settings.project_dir).map_err(Trouble::usage)?;
    let quick = all_quick(&progress);
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let contract = |id: StepId| settings.contract(&steps[id.index()], quick);
    let states = StepId::all().map(|id| (id, progress.state(id, &contract, today))).collect();
    let pace = session::pace(&settings, quick);
    let takes = |id: StepId| {
        let step = &steps[id.index()];
        plan::plan(&step.gate, &settings.slo_of(step), &settings.mix, &pace, 0).1.takes
    };
    let outdated = progress.outdated(&contract, &takes, today);
    let site = settings.site.name.clone();
    Ok(Standing { folder: settings.project_dir.clone(), site, steps: steps.clone(), states, progress, outdated, notes })
}

fn show_status(project: &Path, environment: &Environment, wish: Output, out: &mut dyn Write) -> Result<u8, Trouble> {
    let Standing { site, steps, states, progress, outdated, notes, .. } = standing(project, environment)?;
    if wish.json {
        writeln!(out, "{}", status::json(&site, &states, &progress, &outdated))?;
        return Ok(headless::exit::PROVEN);
    }
    status::lines(&site, &steps, &states, &progress, &outdated, out)?;
    for note in notes {
        writeln!(out, "NOTE {note}")?;
    }
    Ok(headless::exit::PROVEN)
}

fn show_report(project: &Path, environment: &Environment, wish: &Report, out: &mut dyn Write) -> Result<u8, Trouble> {
    let Standing { folder, site, steps, states, progress, outdated, .. } = standing(project, environment)?;
    let events = Store::read_past(&folder, &progress).map_err(Trouble::usage)?;
    let climb = Climb {
        site: &site,
        steps: &steps,
        states: &states,
        progress: &progress,
        outdated: &outdated,
        today: jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date(),
        events: &events,
    };
    let text = match wish.format {
        Format::Markdown => markdown::climb(&climb),
        Format::Html => html::page(&climb, jiff::Timestamp::now()),
        Format::Junit => junit::file(&climb).map_err(|why| Trouble::Broken(anyhow::anyhow!(why)))?,
        Format::Sarif => format!("{:#}\n", sarif::file(&climb, env!("CARGO_PKG_VERSION"))),
        Format::Github => github::annotations(&climb),
    };
    match &wish.out {
        Some(file) => atomic::write(file, text.as_bytes()).map_err(|e| Trouble::Broken(e.into()))?,
        None => write!(out, "{text}")?,
    }
    Ok(headless::exit::PROVEN)
}

/// True when everything measured so far was a practice measurement, so that a practice climb is shown as one.
fn all_quick(progress: &Progress) -> bool {
    !progress.steps.is_empty() && progress.steps.values().all(|record| record.contract.quick)
}

fn lint(project: &Path, out: &mut dyn Write) -> Result<u8, Trouble> {
    let sources = playbook::sources(Some(project)).map_err(Trouble::usage)?;
    let known: Vec<&str> = checks::catalogue().map(|entry| entry.id).collect();
    let lints = playbook::lint(&sources, &known, &|line| match checks::find(&line.check.0) {
        Some(entry) => (entry.build)(&line.parameters).map(drop),
        None => Ok(()),
    });
    for lint in &lints {
        writeln!(out, "{lint}")?;
    }
    if lints.is_empty() {
        writeln!(out, "the playbooks are sound")?;
    }
    Ok(if lints.is_empty() { headless::exit::PROVEN } else { headless::exit::USAGE })
}

fn name_checks(out: &mut dyn Write) -> Result<u8, Trouble> {
    for entry in checks::catalogue() {
        writeln!(out, "{}\n    {}\n    {}", entry.id, entry.title, entry.about)?;
        for link in entry.docs {
            writeln!(out, "    {link}")?;
        }
    }
    Ok(headless::exit::PROVEN)
}
