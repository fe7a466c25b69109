//! The interactive way through a session: the terminal interface on one side, the pump on the other.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::anyhow;
use terminal_colorsaurus::{QueryOptions, background_color};
use tokio::sync::mpsc;

use crate::cli::{Cli, ColorWhen, Look, Replay, Theme};
use crate::config::Environment;
use crate::domain::event::{Event, EventKind};
use crate::domain::ids::RunId;
use crate::domain::spot::Spot;
use crate::headless::exit;
use crate::store::{self, Store};
use crate::tui::{self, keymap::Keymap};

use super::session::{Session, Trouble, configured};
use super::signals::Signals;
use super::{editor, plain};

/// What was copied last, in the folder that is rampup's own.
const CLIPBOARD: &str = "clipboard.txt";

/// What was ticked off in the playbooks.
const TICKS: &str = "ticks.json";

/// Longest wait for the terminal's word on its ground.
const GROUND: Duration = Duration::from_millis(200);

/// Which project to open, and how it is marked.
pub struct Opening<'a> {
    /// Its folder.
    pub project: &'a Path,
    /// Practice measurements.
    pub quick: bool,
    /// On the practice stack: the command that applies a step's remedy, up to the step's number.
    pub demo: Option<String>,
}

/// `rampup` without a command.
pub async fn open(cli: &Cli, environment: &Environment) -> Result<u8, Trouble> {
    if cli.look.plain || environment.accessible() || environment.term() == Some("dumb") {
        return plain::open(cli, environment).await;
    }
    // Ctrl-c arrives as a key and signals reach the interface itself; goose must find SIGINT taken all the same.
    let _signals = Signals::take()?;
    show(cli, environment, Opening { project: &cli.project, quick: false, demo: None }).await
}

/// Opens the terminal interface on a project and stays until the person leaves. The caller has taken the signals.
pub async fn show(cli: &Cli, environment: &Environment, opening: Opening<'_>) -> Result<u8, Trouble> {
    on_a_terminal()?;
    let mut session = Session::open(opening.project, environment, opening.quick)?;
    let now = jiff::Timestamp::now();
    let start = tui::Start {
        steps: session.steps.clone(),
        site: session.settings.site.name.clone(),
        target: session.settings.site.url.to_string(),
        slo: session.settings.slo.clone(),
        states: session.states(),
        progress: session.progress().clone(),
        plans: session.plans(),
        past: session.past()?,
        ramps: session.ramps(),
        outdated: session.outdated(),
        replay: None,
        ticks: ticks(&session.settings.project_dir),
        owner: environment.user().unwrap_or_default().to_owned(),
        today: now.to_zoned(jiff::tz::TimeZone::UTC).date(),
        zone: jiff::tz::TimeZone::system(),
        demo: opening.demo,
        quick: opening.quick,
        look: look(&cli.look, environment),
        keys: keys(&cli.look, environment)?,
    };
    let (commands, asked) = mpsc::channel(8);
    let (feed, fed) = mpsc::channel(1024);
    let (pumped, left) = {
        let desk = Folder::new(&session.settings.project_dir, environment);
        tokio::join!(session.pump(asked, feed), tui::run(start, fed, commands, desk))
    };
    pumped?;
    let code = self::left(left?);
    session.finish(code)?;
    Ok(code)
}

fn on_a_terminal() -> Result<(), Trouble> {
    if io::stdout().is_terminal() && io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Trouble::usage(anyhow!(
        "this is no terminal; `rampup run`, `rampup status` and `rampup --plain` work without one"
    )))
}

/// The exit code of how the screen was left.
pub fn left(leave: tui::Leave) -> u8 {
    match leave {
        tui::Leave::Quit => exit::PROVEN,
        tui::Leave::Signal(number) => 128 + u8::try_from(number).unwrap_or(0),
    }
}

/// `rampup replay`: a recorded run through the same screens. Takes no lock and reaches no system.
pub async fn replay(cli: &Cli, environment: &Environment, wish: &Replay) -> Result<u8, Trouble> {
    on_a_terminal()?;
    let settings = configured(&cli.project, environment)?.settings;
    let folder = settings.project_dir.clone();
    let run = chosen(Store::runs(&folder)?, wish.run.as_deref())?;
    let events = Store::read_run(&folder, &run)?;
    let quick = events.iter().any(|event| matches!(event.kind, EventKind::RunStarted { quick: true, .. }));
    let standing = super::standing(&cli.project, environment)?;
    let start = tui::Start {
        steps: standing.steps,
        site: settings.site.name.clone(),
        target: settings.site.url.to_string(),
        slo: settings.slo.clone(),
        states: standing.states,
        progress: standing.progress,
        plans: BTreeMap::new(),
        past: Vec::new(),
        ramps: Vec::new(),
        outdated: standing.outdated,
        replay: Some((run, events)),
        ticks: ticks(&folder),
        owner: String::new(),
        today: jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date(),
        zone: jiff::tz::TimeZone::system(),
        demo: None,
        quick,
        look: look(&cli.look, environment),
        keys: keys(&cli.look, environment)?,
    };
    // Nothing happens beside a recording, and nothing can be asked for.
    let (commands, _asked) = mpsc::channel(1);
    let (_feed, fed) = mpsc::channel(1);
    Ok(left(tui::run(start, fed, commands, Folder::new(&folder, environment)).await?))
}

/// The run whose name begins so; the last one when none is named.
pub fn chosen(runs: Vec<RunId>, wanted: Option<&str>) -> Result<RunId, Trouble> {
    let wanted_or_any = wanted.unwrap_or_default();
    let mut fitting: Vec<RunId> = runs.into_iter().filter(|run| run.as_str().starts_with(wanted_or_any)).collect();
    match (fitting.len(), wanted) {
        (0, None) => Err(Trouble::usage(anyhow!("no run is recorded here yet; rampup run makes one"))),
        (0, Some(wanted)) => {
            Err(Trouble::usage(anyhow!("no run here begins with {wanted:?}; .rampup/runs has those there are")))
        }
        (2.., Some(wanted)) => {
            Err(Trouble::usage(anyhow!("{} runs begin with {wanted:?}; write more of it", fitting.len())))
        }
        _ => Ok(fitting.remove(fitting.len() - 1)),
    }
}

/// A project's folder on this machine.
struct Folder {
    project: PathBuf,
    /// tmux keeps a terminal's clipboard to itself unless it is asked.
    tmux: bool,
    /// The person's editor, with its flags.
    editor: Option<String>,
}

impl Folder {
    fn new(project: &Path, environment: &Environment) -> Self {
        Self { project: project.to_owned(), tmux: environment.tmux(), editor: environment.editor().map(str::to_owned) }
    }
}

impl tui::Desk for Folder {
    fn read(&self, run: &RunId) -> Result<Vec<Event>, String> {
        Store::read_run(&self.project, run).map_err(|why| why.to_string())
    }

    async fn edit(&self, spot: &Spot) -> Result<(), String> {
        editor::open(self.editor.as_deref(), &self.project, spot).await
    }

    fn tick(&self, ticks: &tui::Ticks) -> Result<(), String> {
        let text = serde_json::to_string_pretty(ticks).map_err(|why| why.to_string())?;
        store::atomic::write(&self.project.join(store::FOLDER).join(TICKS), text.as_bytes())
            .map_err(|why| why.to_string())
    }

    fn keep(&self, text: &str) -> String {
        let name = format!("{}/{CLIPBOARD}", store::FOLDER);
        let kept = match store::atomic::write(&self.project.join(&name), text.as_bytes()) {
            Ok(()) => format!("also in {name}"),
            Err(why) => why.to_string(),
        };
        if self.tmux && to_tmux(text).is_ok() { format!("and to tmux; {kept}") } else { kept }
    }
}

/// Into tmux's buffer, and from there into the clipboard of the terminal around it.
fn to_tmux(text: &str) -> io::Result<()> {
    let mut tmux = std::process::Command::new("tmux")
        .args(["load-buffer", "-w", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut input) = tmux.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    let done = tmux.wait()?;
    if done.success() { Ok(()) } else { Err(io::Error::other("tmux did not take it")) }
}

/// What was ticked off here. It proves nothing, so that a file nobody can read is an empty one.
fn ticks(project: &Path) -> tui::Ticks {
    let text = std::fs::read_to_string(project.join(store::FOLDER).join(TICKS)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// The keys in force: the table, and what the person's own file puts in its place.
pub fn keys(flags: &Look, environment: &Environment) -> Result<Keymap, Trouble> {
    let usual = environment.config_home().map(|home| home.join("keys.toml"));
    let Some(file) = flags.keys.clone().or_else(|| usual.filter(|file| file.exists())) else {
        return Ok(Keymap::default());
    };
    let text = std::fs::read_to_string(&file).map_err(|why| Trouble::usage(anyhow!("{}: {why}", file.display())))?;
    Keymap::rebound(&text).map_err(|why| Trouble::usage(anyhow!("{}: {why}", file.display())))
}

/// Colours and signs from flags first, then the environment.
pub fn look(flags: &Look, environment: &Environment) -> tui::Look {
    let named = environment.theme().and_then(|name| match name {
        "dark" => Some(Theme::Dark),
        "light" => Some(Theme::Light),
        "cvd" | "cvd-dark" => Some(Theme::Cvd),
        "cvd-light" => Some(Theme::CvdLight),
        _ => None,
    });
    let plain = flags.color == ColorWhen::Never || (flags.color == ColorWhen::Auto && environment.no_color());
    let many = environment.true_color() || environment.term().is_some_and(|term| term.contains("256color"));
    let tier = match (plain, many || flags.color == ColorWhen::Always) {
        (true, _) => tui::Tier::Mono,
        (false, true) => tui::Tier::Indexed,
        (false, false) => tui::Tier::Sixteen,
    };
    let theme = match flags.theme.or(named) {
        Some(Theme::Dark) => tui::Theme::Dark,
        Some(Theme::Light) => tui::Theme::Light,
        Some(Theme::Cvd) => tui::Theme::CvdDark,
        Some(Theme::CvdLight) => tui::Theme::CvdLight,
        None if tier != tui::Tier::Mono && light_ground(environment) => tui::Theme::Light,
        None => tui::Theme::Dark,
    };
    tui::Look { theme, tier, ascii: flags.ascii }
}

/// Asks the terminal for its ground, before any key is read: an answer that came later would be taken for typing.
fn light_ground(environment: &Environment) -> bool {
    // tmux over a slow line answers late, and its answer would end up among the keys.
    if environment.tmux() && environment.ssh() {
        return false;
    }
    let mut options = QueryOptions::default();
    options.timeout = GROUND;
    background_color(options).is_ok_and(|ground| ground.perceived_lightness() > 0.5)
}
