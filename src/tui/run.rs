//! The loop: leave first, then input, then what happened; draws only when something changed, ten times a second at most.

use std::future::pending;
use std::io;
use std::time::Duration;

use crossterm::event::{Event as Input, EventStream};
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::model::Model;
use super::terminal::{self, Guard, Screen};
use super::update::{Msg, Out, update};
use super::{Leave, Start, Ticks, view};
use crate::domain::command::Command;
use crate::domain::event::{Event, Feed};
use crate::domain::ids::RunId;
use crate::domain::spot::Spot;

/// Least time between two frames when only data changed.
const PACE: Duration = Duration::from_millis(100);
/// Least time between two frames when a person typed.
const TYPING: Duration = Duration::from_millis(8);
/// Messages taken at once.
const BATCH: usize = 256;
/// The turning sign and a toast's end.
const BEAT: Duration = Duration::from_secs(1);

/// What the screen needs of the machine around it.
pub trait Desk {
    /// The events of an earlier run.
    ///
    /// # Errors
    /// Why they cannot be read, in words for a person.
    fn read(&self, run: &RunId) -> Result<Vec<Event>, String>;

    /// Opens a line of a file of the project in the person's editor, and waits until it is closed.
    ///
    /// # Errors
    /// Why it could not be opened, in words for a person.
    fn edit(&self, spot: &Spot) -> impl Future<Output = Result<(), String>>;

    /// Keeps what was ticked off in the playbooks.
    ///
    /// # Errors
    /// Why it could not be kept, in words for a person.
    fn tick(&self, ticks: &Ticks) -> Result<(), String>;

    /// Keeps what was copied where it can be found although no terminal took it. Says where, in words for a person.
    fn keep(&self, text: &str) -> String;
}

/// Shows the climb until a person or a signal ends it. The terminal is given back on every way out. `desk` is
/// what a screen needs of the machine.
///
/// # Errors
/// When the terminal cannot be taken, read or written, or when another part of the program panicked.
pub async fn run(
    start: Start,
    mut events: mpsc::Receiver<Feed>,
    commands: mpsc::Sender<Command>,
    desk: impl Desk,
) -> io::Result<Leave> {
    let mut signals = Signals::new()?;
    terminal::enter()?;
    let _guard = Guard;
    let mut screen = terminal::screen()?;
    let size = screen.size()?;
    let mut model = Model::new(start, (size.width, size.height), Timestamp::now());
    let mut input = EventStream::new();
    let mut feed = Vec::with_capacity(BATCH);
    let mut fed = true;
    let mut last = Instant::now();
    let mut due = Some(last);
    let mut beat = last + BEAT;

    loop {
        if due.is_some_and(|at| at <= Instant::now()) {
            draw(&mut screen, &model)?;
            last = Instant::now();
            due = None;
        }
        let wake = match (due, model.is_alive()) {
            (Some(due), true) => Some(due.min(beat)),
            (Some(due), false) => Some(due),
            (None, true) => Some(beat),
            (None, false) => None,
        };
        let mut outs = Vec::new();
        tokio::select! {
            biased;
            () = terminal::torn() => {
                return Err(io::Error::other("a part of the program panicked; its message is above"));
            }
            number = signals.next() => match number {
                Asked::Leave(number) => return Ok(Leave::Signal(number)),
                Asked::Sleep => {
                    sleep(&mut screen, &mut model)?;
                    due = Some(Instant::now());
                }
                Asked::Woke => {
                    repaint(&mut screen, &mut model)?;
                    due = Some(Instant::now());
                }
            },
            Some(event) = input.next() => {
                update(&mut model, Msg::Tick(Timestamp::now()));
                match event? {
                    Input::Key(key) => outs = update(&mut model, Msg::Key(key)),
                    Input::Paste(text) => outs = update(&mut model, Msg::Paste(text)),
                    Input::Mouse(mouse) => outs = update(&mut model, Msg::Mouse(mouse)),
                    Input::Resize(columns, rows) => outs = update(&mut model, Msg::Resize(columns, rows)),
                    _ => {}
                }
                due = sooner(due, last + TYPING);
            }
            taken = events.recv_many(&mut feed, BATCH), if fed => {
                fed = taken > 0;
                update(&mut model, Msg::Tick(Timestamp::now()));
                for one in feed.drain(..) {
                    outs.extend(update(&mut model, one.into()));
                }
                due = sooner(due, last + PACE);
            }
            () = until(wake) => {
                if beat <= Instant::now() {
                    beat = Instant::now() + if model.is_playing() { PACE } else { BEAT };
                    update(&mut model, Msg::Tick(Timestamp::now()));
                    due = sooner(due, last + PACE);
                }
            }
        }
        for out in outs {
            match out {
                Out::Command(command) => {
                    if let Err(refused) = commands.try_send(command) {
                        let why = match refused {
                            mpsc::error::TrySendError::Full(_) => "still busy with what was asked before; try again",
                            mpsc::error::TrySendError::Closed(_) => "nothing runs commands any more; q leaves",
                        };
                        update(&mut model, Msg::Refused(why.to_owned()));
                    }
                }
                Out::Quit => {
                    // Whoever reads commands may be gone already; leaving is what counts.
                    let _ = commands.try_send(Command::Quit);
                    return Ok(Leave::Quit);
                }
                Out::Suspend => {
                    sleep(&mut screen, &mut model)?;
                    due = Some(Instant::now());
                }
                Out::Read(run, step) => {
                    let read = desk.read(&run);
                    update(&mut model, Msg::Recorded(run, step, read));
                    beat = Instant::now();
                }
                Out::Edit(spot) => {
                    // No key is waited for just now, so the editor gets every one.
                    terminal::leave();
                    let edited = tokio::select! {
                        biased;
                        number = signals.fatal() => return Ok(Leave::Signal(number)),
                        edited = desk.edit(&spot) => edited,
                    };
                    terminal::enter()?;
                    terminal::mouse(model.mouse)?;
                    signals = Signals::new()?;
                    update(&mut model, Msg::Tick(Timestamp::now()));
                    let back = format!("back from {}; r runs the checks", spot.file);
                    update(&mut model, Msg::Told(edited.map_or_else(|why| why, |()| back)));
                    repaint(&mut screen, &mut model)?;
                    due = Some(Instant::now());
                }
                Out::Keep(ticks) => {
                    if let Err(why) = desk.tick(&ticks) {
                        update(&mut model, Msg::Told(why));
                    }
                }
                Out::Mouse(on) => terminal::mouse(on)?,
                Out::Copy(text) => {
                    terminal::copy(&text)?;
                    let lines = text.trim_end().lines().count();
                    let plural = if lines == 1 { "" } else { "s" };
                    let told =
                        format!("{lines} line{plural} sent to the terminal's clipboard (y); {}", desk.keep(&text));
                    update(&mut model, Msg::Told(told));
                    due = sooner(due, last + TYPING);
                }
                Out::Redraw => {
                    repaint(&mut screen, &mut model)?;
                    due = Some(Instant::now());
                }
            }
        }
    }
}

fn sooner(due: Option<Instant>, at: Instant) -> Option<Instant> {
    Some(due.map_or(at, |due| due.min(at)))
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

fn draw(screen: &mut Screen, model: &Model) -> io::Result<()> {
    screen.draw(|frame| {
        let area = frame.area();
        view::draw(model, area, frame.buffer_mut());
    })?;
    Ok(())
}

/// Forgets what is on the screen, so that the next frame writes every cell. (`Terminal::clear` would ask the terminal
/// for its cursor and steal input.)
fn repaint(screen: &mut Screen, model: &mut Model) -> io::Result<()> {
    let size = screen.size()?;
    update(model, Msg::Resize(size.width, size.height));
    screen.resize(size.into())
}

/// Gives the terminal back, stops the whole job as a shell expects of ctrl-z, and takes it again when continued.
///
/// The stream of input stays: its reader is stopped with the rest and takes no key from the shell. A new stream would
/// wait for a lock that the old reader holds, and a dropped one's wake-up can swallow the first key after the sleep.
fn sleep(screen: &mut Screen, model: &mut Model) -> io::Result<()> {
    asleep()?;
    terminal::mouse(model.mouse)?;
    update(model, Msg::Tick(Timestamp::now()));
    repaint(screen, model)
}

/// Gives the terminal back, stops, and takes it again once continued.
pub(super) fn asleep() -> io::Result<()> {
    terminal::leave();
    // The whole group, since the shell waits for whoever it started, which may be a wrapper around this program.
    rustix::process::kill_current_process_group(rustix::process::Signal::STOP)?;
    terminal::enter()
}

/// What a signal asks for.
pub(super) enum Asked {
    Leave(i32),
    Sleep,
    Woke,
}

pub(super) struct Signals {
    terminate: Signal,
    hang_up: Signal,
    interrupt: Signal,
    stop: Signal,
    go_on: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        let raw = |signal: rustix::process::Signal| SignalKind::from_raw(signal.as_raw());
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            stop: signal(raw(rustix::process::Signal::TSTP))?,
            go_on: signal(raw(rustix::process::Signal::CONT))?,
        })
    }

    /// Waits for what ends it also while an editor has the terminal. Ctrl-c is the editor's own; at ctrl-z the editor puts
    /// the whole job to sleep, and this program must sleep with it, or the shell never gets its terminal back.
    async fn fatal(&mut self) -> i32 {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return SignalKind::terminate().as_raw_value(),
                _ = self.hang_up.recv() => return SignalKind::hangup().as_raw_value(),
                _ = self.stop.recv() => {
                    // Without it the shell waits on; there is nobody to tell.
                    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
                }
            }
        }
    }

    pub(super) async fn next(&mut self) -> Asked {
        let number = |kind: SignalKind| Asked::Leave(kind.as_raw_value());
        tokio::select! {
            _ = self.terminate.recv() => number(SignalKind::terminate()),
            _ = self.hang_up.recv() => number(SignalKind::hangup()),
            _ = self.interrupt.recv() => number(SignalKind::interrupt()),
            _ = self.stop.recv() => Asked::Sleep,
            _ = self.go_on.recv() => Asked::Woke,
        }
    }
}
