//! What each action of the keymap does, and why it cannot just now. No IO, no clock.

use super::keys::Action;
use super::model::{Model, Over, Pane, Place, Question, Ramp};
use super::palette::{self, Palette};
use super::update::{Out, go, refuse, running, toast};
use super::waive::Form;
use super::{view, words};
use crate::domain::command::Command;
use crate::domain::ids::StepId;
use crate::domain::progress::StepState;
use crate::domain::spot::{self, Spot};

/// Seconds that an arrow goes back or on in a ramp.
const JUMP: u32 = 10;

/// Why a key cannot work now; none when it can. Footer and help dim what has a reason, a toast says it.
#[must_use]
pub(super) fn refusal(model: &Model, action: Action) -> Option<String> {
    let step = model.subject();
    let busy = running(model);
    let what = model.live().running.map_or_else(|| "something".to_owned(), |s| format!("step {s}"));
    match action {
        Action::Pause | Action::Forward | Action::Backward if model.replay.is_none() && model.climb.ramp.is_none() => {
            Some("no ramp has run in this session".to_owned())
        }
        Action::Verify | Action::Run | Action::Stop | Action::Waive | Action::History if model.replay.is_some() => {
            Some("this is a recording; esc leaves it".to_owned())
        }
        Action::History | Action::Against | Action::Open if model.ramps.is_empty() && wants_history(model, action) => {
            Some("no ramp has been measured yet; R runs a step".to_owned())
        }
        Action::Copy if view::in_sight(model).is_none() => Some(if model.pane == Pane::Playbook {
            "nothing to copy here: no code in sight".to_owned()
        } else {
            "nothing to copy here: this check says nothing to do; tab goes to the playbook's code".to_owned()
        }),
        Action::Edit if pointed(model).is_none() => {
            Some("no file is named here; the evidence of a check may name one".to_owned())
        }
        Action::Edit if busy => Some(format!("{what} is running, and an editor would hide it; s stops it")),
        Action::Tick | Action::Untick if model.pane != Pane::Playbook => {
            Some("ticks belong to the playbook; tab goes there".to_owned())
        }
        Action::Tick if view::task(model, false).is_none() => {
            Some("all from here on is ticked; X takes the last tick back".to_owned())
        }
        Action::Untick if view::task(model, true).is_none() => Some("nothing is ticked here".to_owned()),
        Action::Mark if !model.ramping() => Some("no ramp is running".to_owned()),
        Action::Mark if model.replay.is_some() => Some("this is a recording; esc leaves it".to_owned()),
        Action::Verify | Action::Run if busy => Some(format!("{what} is running; s stops it")),
        Action::Run if model.state(step) == StepState::Locked => {
            Some(format!("step {step} is locked. {}", words::locked(model, step)))
        }
        Action::Stop if !busy => Some("nothing is running".to_owned()),
        Action::Stop if model.live().stopping => Some("stopping already; ctrl-c leaves at once".to_owned()),
        Action::Verdict if !model.ramping() && !model.climb.has_verdict(step) => {
            Some(format!("step {step} has no verdict yet; R runs it"))
        }
        Action::Suspend if model.ramping() => {
            Some("a ramp is running and sleeping would spoil it; s stops it first".to_owned())
        }
        Action::Up | Action::Down
            if model.over.is_none() && matches!(model.place(), Place::Verdict(_)) && !view::verdict_scrolls(model) =>
        {
            Some("all of it is on the screen".to_owned())
        }
        Action::Back if model.places.len() < 2 && model.over.is_none() && model.replay.is_none() => {
            Some("this is the first screen; q leaves".to_owned())
        }
        _ => None,
    }
}

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Out> {
    if let Some(why) = refusal(model, action) {
        refuse(model, why);
        return Vec::new();
    }
    if action != Action::Redraw {
        model.toast = None;
    }
    match action {
        Action::Up => travel(model, -1),
        Action::Down => travel(model, 1),
        Action::PageUp => travel(model, -page(model)),
        Action::PageDown => travel(model, page(model)),
        Action::Top => travel(model, isize::MIN / 2),
        Action::Bottom => travel(model, isize::MAX / 2),
        Action::NextPane => turn(model, 1),
        Action::PreviousPane => turn(model, Pane::ALL.len() - 1),
        Action::Open => return open(model),
        Action::Back => return back(model),
        Action::Step(number) => {
            if let Ok(step) = StepId::new(number) {
                go(model, Place::Step(step));
            }
        }
        Action::Verify => {
            let step = model.subject();
            if model.place() == Place::Overview {
                go(model, Place::Step(step));
            }
            if let Place::Step(_) = model.place() {
                model.pane = Pane::Checks;
            }
            toast(model, format!("checking step {step} (r)"));
            return vec![Out::Command(Command::Verify(step))];
        }
        Action::Run => model.over = Some(Over::Ask(Question::Run(model.subject()))),
        Action::Stop => model.over = Some(Over::Ask(Question::Stop)),
        Action::Verdict if model.ramping() => go(model, Place::Ramp),
        Action::Verdict => go(model, Place::Verdict(model.subject())),
        Action::Evidence => {
            go(model, Place::Step(model.subject()));
            model.pane = Pane::Checks;
        }
        Action::Copy => return view::in_sight(model).map(Out::Copy).into_iter().collect(),
        Action::Edit => return pointed(model).map(Out::Edit).into_iter().collect(),
        Action::Tick | Action::Untick => return tick(model, action == Action::Untick),
        Action::Mark => {
            let at = words::clock(model.climb.ramp.as_ref().map_or(0, Ramp::second));
            return vec![Out::Command(Command::Note(format!("marked at {at}")))];
        }
        Action::Zoom => model.zoomed = !model.zoomed,
        Action::Mouse => {
            model.mouse = !model.mouse;
            let how = if model.mouse { "on; shift (option on a Mac) still selects text" } else { "off" };
            toast(model, format!("mouse {how} (M)"));
            return vec![Out::Mouse(model.mouse)];
        }
        Action::Palette => model.over = Some(Over::Commands(Palette::default())),
        Action::Waive => model.over = Some(Over::Waive(Form::new(model))),
        Action::History => go(model, Place::History),
        Action::Against => {
            let pinned = model.against != Some(model.at);
            model.against = Some(model.at).filter(|_| pinned);
            let said = if pinned {
                "the others are compared with this ramp, B; b on it lets it go"
            } else {
                "each ramp is compared with the last one of the same load again"
            };
            toast(model, said.to_owned());
        }
        Action::Pause if model.replay.is_some() => model.pause(),
        Action::Pause => {
            model.glance = if model.glance.is_some() { None } else { model.climb.ramp.as_ref().map(Ramp::second) }
        }
        Action::Faster => model.pace(1),
        Action::Slower => model.pace(-1),
        Action::Forward if model.replay.is_some() => model.seek(f64::from(JUMP)),
        Action::Backward if model.replay.is_some() => model.seek(-f64::from(JUMP)),
        Action::Forward => look_at(model, true),
        Action::Backward => look_at(model, false),
        Action::Theme => {
            model.look.theme = model.look.theme.next();
            toast(model, format!("theme: {} (T)", model.look.theme.word()));
        }
        Action::Help => {
            model.scroll.help = 0;
            model.over = if model.over == Some(Over::Help) { None } else { Some(Over::Help) };
        }
        Action::Redraw => return vec![Out::Redraw],
        Action::Suspend => return vec![Out::Suspend],
        Action::Interrupt if running(model) && !model.live().stopping => return stop(model),
        Action::Interrupt => return vec![Out::Quit],
        Action::Quit if model.over == Some(Over::Help) || model.places.len() > 1 || model.replay.is_some() => {
            return back(model);
        }
        Action::Quit => model.over = Some(Over::Ask(Question::Quit)),
        Action::Yes => return yes(model),
        Action::No => model.over = None,
    }
    Vec::new()
}

/// The file and line that the check in question names.
fn pointed(model: &Model) -> Option<Spot> {
    let Place::Step(step) = model.place() else { return None };
    let line = model.step(step)?.checks.get(model.check).filter(|_| model.pane != Pane::Playbook)?;
    spot::of(model.climb.evidence.get(&(step, line.check.clone()))?)
}

fn tick(model: &mut Model, back: bool) -> Vec<Out> {
    let (Place::Step(step), Some(task)) = (model.place(), view::task(model, back)) else { return Vec::new() };
    let done = model.ticks.turn(step, &task);
    toast(
        model,
        if done { format!("ticked: {task} (x); only its checks prove it") } else { format!("open again: {task} (X)") },
    );
    vec![Out::Keep(model.ticks.clone())]
}

/// Moves the second that the live view stands at; at the last one it goes on with the ramp.
fn look_at(model: &mut Model, later: bool) {
    let Some(now) = model.climb.ramp.as_ref().map(Ramp::second) else { return };
    let at = model.glance.unwrap_or(now);
    let at = if later { at + JUMP } else { at.saturating_sub(JUMP).max(1) };
    model.glance = Some(at).filter(|at| *at < now);
}

fn stop(model: &mut Model) -> Vec<Out> {
    model.live_mut().stopping = true;
    toast(model, "stopping; what was seen is kept".to_owned());
    vec![Out::Command(Command::Stop)]
}

fn yes(model: &mut Model) -> Vec<Out> {
    match model.over.take() {
        // Things may have changed while the question stood there.
        Some(Over::Ask(Question::Run(step))) => match refusal(model, Action::Run) {
            Some(why) => {
                refuse(model, why);
                Vec::new()
            }
            None => {
                go(model, Place::Step(step));
                model.pane = Pane::Checks;
                model.climb.whole = true;
                toast(model, format!("running step {step} (R)"));
                vec![Out::Command(Command::Run(step))]
            }
        },
        Some(Over::Ask(Question::Stop)) => stop(model),
        Some(Over::Ask(Question::Quit)) => vec![Out::Quit],
        Some(Over::Commands(palette)) => {
            let chosen = palette::entries(model, &palette.text).into_iter().nth(palette.at);
            chosen.map_or_else(Vec::new, |entry| act(model, entry.action))
        }
        Some(Over::Waive(form)) => match form.signed(model.today) {
            Ok(waiver) => {
                let what = waiver.check.as_ref().map_or_else(|| format!("step {}", waiver.step), |c| words::tame(&c.0));
                toast(model, format!("waiving {what} until {} (w)", waiver.until));
                vec![Out::Command(Command::Waive(waiver))]
            }
            Err((at, why)) => {
                model.over = Some(Over::Waive(Form { at, said: Some(why), ..form }));
                Vec::new()
            }
        },
        Some(Over::Help) | None => Vec::new(),
    }
}

fn back(model: &mut Model) -> Vec<Out> {
    if model.over.take().is_some() {
        return Vec::new();
    }
    match &model.replay {
        _ if model.places.len() > 1 => {
            model.places.pop();
        }
        Some(_) if model.only_replay => return vec![Out::Quit],
        Some(_) => model.leave_replay(),
        None => {}
    }
    Vec::new()
}

fn wants_history(model: &Model, action: Action) -> bool {
    action == Action::History || model.place() == Place::History
}

fn open(model: &mut Model) -> Vec<Out> {
    match model.place() {
        Place::History => {
            let chosen = model.ramps.get(model.at).map(|ramp| Out::Read(ramp.run.clone(), Some(ramp.step)));
            return chosen.into_iter().collect();
        }
        Place::Overview => go(model, Place::Step(model.cursor)),
        Place::Verdict(step) => go(model, Place::Step(step)),
        Place::Step(_) if model.pane == Pane::Checks => model.pane = Pane::Evidence,
        Place::Step(_) | Place::Ramp => {}
    }
    Vec::new()
}

fn turn(model: &mut Model, by: usize) {
    if let Some(Over::Waive(form)) = &mut model.over {
        // Backwards is forwards all the way round.
        form.turn(if by == 1 { 1 } else { Form::NAMES.len() - 1 });
        return;
    }
    let at = Pane::ALL.iter().position(|p| *p == model.pane).unwrap_or(0);
    model.pane = Pane::ALL[(at + by) % Pane::ALL.len()];
}

/// Half a screen.
fn page(model: &Model) -> isize {
    isize::try_from(model.size.1 / 2).unwrap_or(1).max(1)
}

/// Moves the cursor or the text in front; ends are firm.
pub(super) fn travel(model: &mut Model, by: isize) {
    let moved = |at: usize| at.saturating_add_signed(by);
    if model.over == Some(Over::Help) {
        model.scroll.help = moved(model.scroll.help);
        return;
    }
    if let Some(Over::Commands(palette)) = &model.over {
        let last = palette::entries(model, &palette.text).len().saturating_sub(1);
        let palette = Palette { at: moved(palette.at).min(last), ..palette.clone() };
        model.over = Some(Over::Commands(palette));
        return;
    }
    match (model.place(), model.pane) {
        (Place::Overview, _) => {
            let at = moved(model.cursor.index()).min(StepId::all().count() - 1);
            model.cursor = StepId::all().nth(at).unwrap_or(model.cursor);
        }
        (Place::Step(_), Pane::Playbook) => model.scroll.playbook = moved(model.scroll.playbook),
        (Place::Step(_), Pane::Checks) => {
            model.check = moved(model.check);
            model.scroll.evidence = 0;
        }
        (Place::Step(_), Pane::Evidence) => model.scroll.evidence = moved(model.scroll.evidence),
        (Place::Verdict(_), _) => model.scroll.verdict = moved(model.scroll.verdict),
        (Place::History, _) => model.at = moved(model.at),
        (Place::Ramp, _) => {}
    }
}
