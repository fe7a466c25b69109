//! What a key press or an event does to the screen, and what it asks of the rest. No IO, no clock.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseEvent};
use jiff::{SignedDuration, Timestamp};

use super::act::act;
use super::model::{Model, Over, Pane, Place, Question, Scroll, Toast};
use super::mouse;
use super::{Ticks, view, words};
use crate::domain::command::Command;
use crate::domain::event::{Event, EventKind, Feed};
use crate::domain::ids::{RunId, StepId};
use crate::domain::progress::StepState;
use crate::domain::spot::Spot;

/// Letters of one line that is written.
const LINE: usize = 300;
/// How long a toast stays.
const TOAST: SignedDuration = SignedDuration::from_secs(5);

/// Something that happened to the screen.
#[derive(Debug, Clone)]
pub enum Msg {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted: it is written where text is written, and is no row of keys.
    Paste(String),
    /// The mouse was pressed or its wheel turned.
    Mouse(MouseEvent),
    /// The terminal has another size: columns, rows.
    Resize(u16, u16),
    /// The time is now this; sent before anything that needs it, and once a second while something moves.
    Tick(Timestamp),
    /// The run went on.
    Event(Box<Event>),
    /// The states of the steps.
    States(Vec<(StepId, StepState)>),
    /// Whether something is running.
    Busy(bool),
    /// A command could not be handed on, and why.
    Refused(String),
    /// What became of something that was asked of the machine.
    Told(String),
    /// A run's events, or why its log could not be read.
    Recorded(RunId, Option<StepId>, Result<Vec<Event>, String>),
}

impl From<Feed> for Msg {
    fn from(feed: Feed) -> Self {
        match feed {
            Feed::Event(event) => Self::Event(event),
            Feed::States(states) => Self::States(states),
            Feed::Busy(busy) => Self::Busy(busy),
        }
    }
}

/// What the screen asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// A wish for the engine.
    Command(Command),
    /// Give the terminal back and return.
    Quit,
    /// Give the terminal back and sleep until continued.
    Suspend,
    /// Draw every cell again.
    Redraw,
    /// Put this into the clipboard.
    Copy(String),
    /// Open a file in the person's editor.
    Edit(Spot),
    /// Keep what was ticked.
    Keep(Ticks),
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Read a run's log, to play what it did for this step.
    Read(RunId, Option<StepId>),
}

/// Takes one message in.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Out> {
    let moved = matches!(msg, Msg::Key(_) | Msg::Mouse(_) | Msg::Resize(..));
    let outs = match msg {
        Msg::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
        Msg::Key(key) if typed(model, key) => Vec::new(),
        Msg::Key(key) => match model.keys.find(key, model.focus()).map(|binding| binding.action) {
            Some(action) => act(model, action),
            None => Vec::new(),
        },
        Msg::Paste(text) => {
            for letter in text.chars().take(LINE) {
                typed(model, KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE));
            }
            Vec::new()
        }
        Msg::Mouse(event) => mouse::pointed(model, event),
        Msg::Resize(columns, rows) => {
            model.size = (columns, rows);
            Vec::new()
        }
        Msg::Tick(now) => {
            if model.climb.running.is_some() && now.as_second() != model.now.as_second() {
                model.beat = model.beat.wrapping_add(1);
            }
            model.play_on(model.passed(now));
            model.now = now;
            if model.toast.as_ref().is_some_and(|t| t.until <= now) {
                model.toast = None;
            }
            Vec::new()
        }
        Msg::Event(event) => {
            learn(model, &event);
            if model.replay.is_some() {
                model.live_mut().fold(&event);
            } else {
                happened(model, &event);
            }
            Vec::new()
        }
        Msg::States(states) => {
            model.live_mut().states = states.into_iter().collect();
            if let Place::Overview = model.place()
                && model.replay.is_none()
                && !model.climb.busy
                && let Some(next) = model.next_step()
                && model.state(model.cursor) == StepState::Proven
            {
                model.cursor = next;
            }
            Vec::new()
        }
        Msg::Busy(busy) => {
            let live = model.live_mut();
            live.busy = busy;
            if !busy {
                live.at_rest();
            }
            Vec::new()
        }
        Msg::Refused(told) => {
            refuse(model, told);
            Vec::new()
        }
        Msg::Told(told) => {
            toast(model, told);
            Vec::new()
        }
        Msg::Recorded(run, step, Ok(events)) => {
            model.play(run, &events, step);
            Vec::new()
        }
        Msg::Recorded(_, _, Err(why)) => {
            refuse(model, words::tame(&why));
            Vec::new()
        }
    };
    settle(model);
    if moved {
        view::clamp(model);
    }
    outs
}

/// Takes a letter where letters are written; true when it was one.
fn typed(model: &mut Model, key: KeyEvent) -> bool {
    let text = match &mut model.over {
        Some(Over::Commands(palette)) => {
            palette.at = if matches!(key.code, KeyCode::Char(_) | KeyCode::Backspace) { 0 } else { palette.at };
            &mut palette.text
        }
        Some(Over::Waive(form)) => &mut form.fields[form.at],
        Some(Over::Help | Over::Ask(_)) | None => return false,
    };
    match key.code {
        KeyCode::Char(c) if (key.modifiers - KeyModifiers::SHIFT).is_empty() && !c.is_control() => {
            if text.chars().count() < LINE {
                text.push(c);
            }
        }
        KeyCode::Char('u') if key.modifiers == KeyModifiers::CONTROL => text.clear(),
        KeyCode::Backspace => drop(text.pop()),
        _ => return false,
    }
    true
}

/// Keeps the places a person can be in valid after anything happened.
fn settle(model: &mut Model) {
    if model.places.is_empty() {
        model.places.push(Place::Overview);
    }
    model.at = model.at.min(model.ramps.len().saturating_sub(1));
    if model.place() != Place::Ramp {
        model.glance = None;
    }
    let checks = model.step(model.subject()).map_or(0, |s| s.checks.len());
    model.check = model.check.min(checks.saturating_sub(1));
    // A question about something that has ended answers itself.
    if model.over == Some(Over::Ask(Question::Stop)) && !running(model) {
        model.over = None;
    }
}

pub(super) fn running(model: &Model) -> bool {
    let now = model.live();
    now.busy || now.running.is_some()
}

/// A ramp that was just measured is the newest of the history.
fn learn(model: &mut Model, event: &Event) {
    if let Some(record) = model.gathered.see(event) {
        model.ramps.insert(0, record);
        // Whoever compares two goes on comparing these two.
        model.against = model.against.map(|at| at + 1);
        if model.place() == Place::History {
            model.at += 1;
        }
    }
}

pub(super) fn happened(model: &mut Model, event: &Event) {
    let (asked_whole, running) = (model.climb.whole, model.climb.running);
    model.climb.fold(event);
    match &event.kind {
        // The live screen opens by itself, over whatever was being read.
        EventKind::RampStarted { .. } => {
            model.glance = None;
            go(model, Place::Ramp);
        }
        EventKind::RampFailed { step, why, .. } => {
            leave_ramp(model);
            toast(model, format!("no ramp for step {step}: {}", words::tame(why)));
        }
        EventKind::StepJudged { step, state, .. } => {
            let watched = match model.place() {
                Place::Ramp => running.is_none_or(|running| running == *step),
                Place::Step(id) => id == *step && asked_whole,
                Place::Overview | Place::Verdict(_) | Place::History => false,
            };
            if watched {
                leave_ramp(model);
                go(model, Place::Verdict(*step));
            } else {
                toast(model, format!("step {step} is {}", state.word()));
            }
        }
        EventKind::Note { text } => toast(model, words::tame(text)),
        _ => {}
    }
}

fn leave_ramp(model: &mut Model) {
    model.places.retain(|p| *p != Place::Ramp);
    if model.places.is_empty() {
        model.places.push(Place::Overview);
    }
}

/// Shows a screen; one that is already open somewhere below is not opened twice.
pub(super) fn go(model: &mut Model, place: Place) {
    match place {
        Place::Overview => model.places.clear(),
        Place::Step(id) => {
            let before = model.places.contains(&Place::Step(id)) || model.places.contains(&Place::Verdict(id));
            model.places.retain(|p| !matches!(p, Place::Step(_) | Place::Verdict(_)));
            if !before {
                model.scroll = Scroll::default();
                model.check = 0;
            }
            model.pane = Pane::Playbook;
            model.cursor = id;
        }
        Place::Verdict(id) => {
            model.places.retain(|p| !matches!(p, Place::Verdict(_)));
            model.scroll.verdict = 0;
            model.cursor = id;
        }
        Place::Ramp | Place::History => model.places.retain(|p| *p != place),
    }
    model.places.push(place);
}

/// Says what was done.
pub(super) fn toast(model: &mut Model, text: String) {
    say(model, text, false);
}

/// Says why something is not done.
pub(super) fn refuse(model: &mut Model, text: String) {
    say(model, text, true);
}

fn say(model: &mut Model, text: String, refused: bool) {
    let until = model.now.saturating_add(TOAST).unwrap_or(model.now);
    model.toast = Some(Toast { text, refused, until });
}
