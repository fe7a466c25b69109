//! The interactive way through a session: the terminal interface on one side, the pump on the other.

use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::anyhow;
use tokio::sync::mpsc;

use crate::cli::{Cli, ColorWhen, Look, Theme};
use crate::config::Environment;
use crate::headless::exit;
use crate::tui;

use super::session::{Session, Trouble};
use super::signals::Signals;

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
    // Ctrl-c arrives as a key and signals reach the interface itself; goose must find SIGINT taken all the same.
    let _signals = Signals::take()?;
    show(cli, environment, Opening { project: &cli.project, quick: false, demo: None }).await
}

/// Opens the terminal interface on a project and stays until the person leaves. The caller has taken the signals.
pub async fn show(cli: &Cli, environment: &Environment, opening: Opening<'_>) -> Result<u8, Trouble> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Trouble::usage(anyhow!("this is no terminal; `rampup run` and `rampup status` work without one")));
    }
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
        today: now.to_zoned(jiff::tz::TimeZone::UTC).date(),
        zone: jiff::tz::TimeZone::system(),
        demo: opening.demo,
        quick: opening.quick,
        look: look(&cli.look, environment),
    };
    let (commands, asked) = mpsc::channel(8);
    let (feed, fed) = mpsc::channel(1024);
    let (pumped, left) = tokio::join!(session.pump(asked, feed), tui::run(start, fed, commands));
    pumped?;
    let code = match left? {
        tui::Leave::Quit => exit::PROVEN,
        tui::Leave::Signal(number) => 128 + u8::try_from(number).unwrap_or(0),
    };
    session.finish(code)?;
    Ok(code)
}

/// Colours and signs from flags first, then the environment.
fn look(flags: &Look, environment: &Environment) -> tui::Look {
    let theme = match (flags.theme, environment.theme()) {
        (Some(Theme::Light), _) | (None, Some("light")) => tui::Theme::Light,
        (None, Some("cvd" | "cvd-dark")) => tui::Theme::CvdDark,
        (None, Some("cvd-light")) => tui::Theme::CvdLight,
        _ => tui::Theme::Dark,
    };
    let plain = flags.color == ColorWhen::Never || (flags.color == ColorWhen::Auto && environment.no_color());
    let many = environment.true_color() || environment.term().is_some_and(|term| term.contains("256color"));
    let tier = match (plain, many || flags.color == ColorWhen::Always) {
        (true, _) => tui::Tier::Mono,
        (false, true) => tui::Tier::Indexed,
        (false, false) => tui::Tier::Sixteen,
    };
    tui::Look { theme, tier, ascii: flags.ascii }
}
