//! The one table of keys, as it is unless a person rebinds some ([`super::keymap`]): it feeds the input, the footer, the
//! help and the palette, so that none of them can disagree.
//!
//! A capital is the wider scope of its small letter. `ctrl-a`, `ctrl-b`, `ctrl-s` and `ctrl-q` belong to terminals
//! and multiplexers and are never used.

use std::borrow::Cow;

use crossterm::event::{KeyCode, KeyModifiers};
use serde::{Deserialize, Serialize};

/// A key press.
pub type Chord = (KeyCode, KeyModifiers);

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the table below says what each does, in words a person reads")]
pub enum Action {
    Up,
    Down,
    PageUp,
    PageDown,
    Top,
    Bottom,
    NextPane,
    PreviousPane,
    Open,
    Back,
    Step(u8),
    Verify,
    Run,
    Stop,
    Verdict,
    Evidence,
    Copy,
    Edit,
    Tick,
    Untick,
    Waive,
    Palette,
    History,
    Against,
    Pause,
    Faster,
    Slower,
    Forward,
    Backward,
    Mark,
    Zoom,
    Mouse,
    Theme,
    Help,
    Redraw,
    Suspend,
    Interrupt,
    Quit,
    Yes,
    No,
}

/// Where a key works, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Where(u16);

impl Where {
    /// The rail and the capacity proven.
    pub const OVERVIEW: Where = Where(1);
    /// One step: playbook, checks, evidence.
    pub const STEP: Where = Where(2);
    /// A ramp as it runs.
    pub const RAMP: Where = Where(4);
    /// What a ramp means.
    pub const VERDICT: Where = Where(8);
    /// Help over any of them.
    pub const HELP: Where = Where(16);
    /// A question that waits for yes or no.
    pub const ASK: Where = Where(32);
    /// The measured ramps.
    pub const HISTORY: Where = Where(64);
    /// A recording, over any screen.
    pub const REPLAY: Where = Where(128);
    /// The palette: letters are what is looked for.
    pub const COMMANDS: Where = Where(256);
    /// A form: letters are what is written.
    pub const FORM: Where = Where(512);
    /// All screens of a climb.
    pub const SCREENS: Where = Where(15);
    /// These, and the history.
    pub const PLACES: Where = Where(15 | 64);
    /// Screens, help and questions.
    pub const ALL: Where = Where(1023);

    /// Either.
    #[must_use]
    pub const fn or(self, other: Where) -> Where {
        Where(self.0 | other.0)
    }

    /// The screens, in words.
    #[must_use]
    pub fn words(self) -> String {
        if self.0 & Where::PLACES.0 == Where::PLACES.0 {
            return "all".to_owned();
        }
        const NAMES: [(Where, &str); 7] = [
            (Where::OVERVIEW, "overview"),
            (Where::STEP, "step"),
            (Where::RAMP, "live ramp"),
            (Where::VERDICT, "verdict"),
            (Where::HISTORY, "history"),
            (Where::REPLAY, "replay"),
            (Where::HELP, "help"),
        ];
        let named = NAMES.iter().filter(|(place, _)| self.meets(*place));
        named.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
    }

    /// True when they share a place.
    #[must_use]
    pub const fn meets(self, other: Where) -> bool {
        self.0 & other.0 != 0
    }
}

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Binding {
    /// Key presses that mean it.
    pub chords: Cow<'static, [Chord]>,
    /// What it asks for.
    pub action: Action,
    /// Where.
    pub at: Where,
    /// How the key is written.
    pub label: Cow<'static, str>,
    /// A word for the footer; empty when it is only in the help.
    pub short: &'static str,
    /// Words for the help; empty when another line says it.
    pub long: &'static str,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;

const fn key(c: char) -> Chord {
    (KeyCode::Char(c), NONE)
}

const fn ctrl(c: char) -> Chord {
    (KeyCode::Char(c), CTRL)
}

const fn named(code: KeyCode) -> Chord {
    (code, NONE)
}

const fn bind(
    chords: &'static [Chord],
    action: Action,
    at: Where,
    label: &'static str,
    short: &'static str,
    long: &'static str,
) -> Binding {
    Binding { chords: Cow::Borrowed(chords), action, at, label: Cow::Borrowed(label), short, long }
}

const UP: &[Chord] = &[named(KeyCode::Up), key('k')];
const DOWN: &[Chord] = &[named(KeyCode::Down), key('j')];
const READ: Where = Where::STEP.or(Where::VERDICT).or(Where::HELP);
const LISTS: Where = READ.or(Where::OVERVIEW).or(Where::HISTORY);

/// The table, in the order in which the footer and the help show it.
pub const TABLE: &[Binding] = &[
    bind(&[key('y'), named(KeyCode::Enter)], Action::Yes, Where::ASK, "y", "yes", ""),
    bind(&[key('n'), named(KeyCode::Esc), key('q')], Action::No, Where::ASK, "n", "no", ""),
    bind(&[named(KeyCode::Enter)], Action::Yes, Where::COMMANDS, "enter", "do it", ""),
    bind(&[named(KeyCode::Up)], Action::Up, Where::COMMANDS, "↑↓", "choose", ""),
    bind(&[named(KeyCode::Down)], Action::Down, Where::COMMANDS, "↑↓", "", ""),
    bind(&[named(KeyCode::Enter)], Action::Yes, Where::FORM, "enter", "sign", ""),
    bind(&[named(KeyCode::Tab), named(KeyCode::Down)], Action::NextPane, Where::FORM, "tab", "next field", ""),
    bind(&[named(KeyCode::BackTab), named(KeyCode::Up)], Action::PreviousPane, Where::FORM, "shift-tab", "", ""),
    bind(&[named(KeyCode::Esc)], Action::No, Where::COMMANDS.or(Where::FORM), "esc", "leave it", ""),
    bind(UP, Action::Up, Where::OVERVIEW, "↑↓", "step", "choose a step (also j k)"),
    bind(DOWN, Action::Down, Where::OVERVIEW, "↑↓", "", ""),
    bind(&[named(KeyCode::Tab)], Action::NextPane, Where::STEP, "tab", "pane", "next pane: playbook, checks, evidence"),
    bind(&[named(KeyCode::BackTab)], Action::PreviousPane, Where::STEP, "shift-tab", "", ""),
    bind(UP, Action::Up, READ, "↑↓", "move", "move or scroll (also j k)"),
    bind(DOWN, Action::Down, READ, "↑↓", "", ""),
    bind(&[named(KeyCode::Enter)], Action::Open, Where::OVERVIEW, "enter", "open", "open the step"),
    bind(&[named(KeyCode::Enter)], Action::Open, Where::STEP, "enter", "", "show a check's evidence"),
    bind(&[named(KeyCode::Enter)], Action::Open, Where::VERDICT, "enter", "step", "open the step"),
    bind(&[key('s')], Action::Stop, Where::SCREENS, "s", "stop", "stop what is running, keep what was seen (asks)"),
    bind(&[key('r')], Action::Verify, Where::SCREENS, "r", "check", "run the step's checks, no load"),
    bind(&[key('R')], Action::Run, Where::SCREENS, "R", "run", "run the step whole: checks, ramp, verdict (asks)"),
    bind(
        &[key('v')],
        Action::Verdict,
        Where::OVERVIEW.or(Where::STEP),
        "v",
        "verdict",
        "the live ramp, or the verdict",
    ),
    bind(&[key('e')], Action::Evidence, Where::SCREENS, "e", "evidence", "the step's checks and what they saw"),
    bind(&[key('y')], Action::Copy, Where::STEP, "y", "copy", "copy the code in sight, or what a check says to do"),
    bind(
        &[key('o')],
        Action::Edit,
        Where::STEP,
        "o",
        "editor",
        "open the file and line that a check names in your editor",
    ),
    bind(&[key('x')], Action::Tick, Where::STEP, "x", "tick", "tick what is done in the playbook: your note, no proof"),
    bind(&[key('X')], Action::Untick, Where::STEP, "X", "untick", "take the last tick back"),
    bind(
        &[key('w')],
        Action::Waive,
        Where::OVERVIEW.or(Where::STEP).or(Where::VERDICT),
        "w",
        "",
        "waive the step or the check, with a reason and a last day",
    ),
    bind(&[key('H')], Action::History, Where::SCREENS, "H", "history", "measured ramps: compare two, play one again"),
    bind(UP, Action::Up, Where::HISTORY, "↑↓", "ramp", "choose a ramp (also j k)"),
    bind(DOWN, Action::Down, Where::HISTORY, "↑↓", "", ""),
    bind(&[named(KeyCode::Enter)], Action::Open, Where::HISTORY, "enter", "play", "play the ramp again"),
    bind(&[key('b')], Action::Against, Where::HISTORY, "b", "compare with", "compare the others with this ramp"),
    bind(
        &[key(' ')],
        Action::Pause,
        Where::REPLAY.or(Where::RAMP),
        "space",
        "pause",
        "let the view stand still, or go on; a ramp goes on all the same",
    ),
    bind(
        &[named(KeyCode::Right), key('l')],
        Action::Forward,
        Where::REPLAY.or(Where::RAMP),
        "← →",
        "10 s",
        "ten seconds back, on (also h l)",
    ),
    bind(&[named(KeyCode::Left), key('h')], Action::Backward, Where::REPLAY.or(Where::RAMP), "← →", "", ""),
    bind(&[key('m')], Action::Mark, Where::RAMP, "m", "mark", "mark this moment in the log"),
    bind(&[key('+'), key('=')], Action::Faster, Where::REPLAY, "+ -", "", "faster, slower"),
    bind(&[key('-')], Action::Slower, Where::REPLAY, "+ -", "", ""),
    bind(&[key('1')], Action::Step(1), Where::PLACES, "1-9, 0", "", "go to step 1 to 10"),
    bind(&[key('2')], Action::Step(2), Where::PLACES, "", "", ""),
    bind(&[key('3')], Action::Step(3), Where::PLACES, "", "", ""),
    bind(&[key('4')], Action::Step(4), Where::PLACES, "", "", ""),
    bind(&[key('5')], Action::Step(5), Where::PLACES, "", "", ""),
    bind(&[key('6')], Action::Step(6), Where::PLACES, "", "", ""),
    bind(&[key('7')], Action::Step(7), Where::PLACES, "", "", ""),
    bind(&[key('8')], Action::Step(8), Where::PLACES, "", "", ""),
    bind(&[key('9')], Action::Step(9), Where::PLACES, "", "", ""),
    bind(&[key('0')], Action::Step(10), Where::PLACES, "", "", ""),
    bind(&[key('g'), named(KeyCode::Home)], Action::Top, LISTS, "g G", "", "top, bottom"),
    bind(&[key('G'), named(KeyCode::End)], Action::Bottom, LISTS, "", "", ""),
    bind(
        &[ctrl('d'), named(KeyCode::PageDown)],
        Action::PageDown,
        LISTS,
        "ctrl-d u",
        "",
        "half a page (also PgDn PgUp)",
    ),
    bind(&[ctrl('u'), named(KeyCode::PageUp)], Action::PageUp, LISTS, "", "", ""),
    bind(&[key('z')], Action::Zoom, Where::PLACES, "z", "", "one pane without borders, to select text; again: all"),
    bind(&[key('M')], Action::Mouse, Where::PLACES, "M", "", "mouse on or off; off, the terminal selects text"),
    bind(&[key('T')], Action::Theme, Where::PLACES, "T", "", "theme: dark, light, blue and orange"),
    bind(
        &[named(KeyCode::Esc)],
        Action::Back,
        Where::STEP.or(Where::RAMP).or(Where::VERDICT).or(Where::HISTORY).or(Where::HELP),
        "esc",
        "back",
        "back",
    ),
    bind(&[named(KeyCode::Esc)], Action::Back, Where::OVERVIEW, "esc", "", ""),
    bind(&[key(':'), ctrl('p')], Action::Palette, Where::PLACES, ":", "commands", "commands, by name"),
    bind(&[key('?'), named(KeyCode::F(1))], Action::Help, Where::PLACES.or(Where::HELP), "?", "help", "this help"),
    bind(&[ctrl('l')], Action::Redraw, Where::ALL, "ctrl-l", "", "draw again"),
    bind(&[ctrl('z')], Action::Suspend, Where::ALL, "ctrl-z", "", "to the shell, fg to return"),
    bind(&[ctrl('c')], Action::Interrupt, Where::ALL, "ctrl-c", "", "stop the ramp, or leave; twice: leave now"),
    bind(&[key('q')], Action::Quit, Where::OVERVIEW, "q", "quit", "leave (asks)"),
    bind(&[key('q')], Action::Quit, READ.or(Where::RAMP).or(Where::HISTORY), "q", "", "back, then leave"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_place() {
        for (i, a) in TABLE.iter().enumerate() {
            for b in &TABLE[i + 1..] {
                let shared = a.chords.iter().find(|c| b.chords.contains(c));
                assert!(!(shared.is_some() && a.at.meets(b.at)), "{shared:?} is {:?} and {:?}", a.action, b.action);
            }
        }
    }

    #[test]
    fn keys_of_terminals_and_multiplexers_are_left_alone() {
        for binding in TABLE {
            for (code, modifiers) in &*binding.chords {
                let taken = ['a', 'b', 's', 'q'].iter().any(|c| *code == KeyCode::Char(*c) && *modifiers == CTRL);
                assert!(!taken, "{binding:?}");
            }
        }
    }
}
