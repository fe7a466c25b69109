//! The keys in force: the table, and what a person put in its place in a file of their own. No IO.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde::Deserialize;

use super::keys::{Action, Binding, Chord, TABLE, Where};

/// Where letters are text or an answer: keys there stay as they are.
const DIALOGS: Where = Where::ASK.or(Where::COMMANDS).or(Where::FORM);

/// The keys in force.
#[derive(Debug, Clone)]
pub struct Keymap(Vec<Binding>);

impl Default for Keymap {
    fn default() -> Self {
        Self(TABLE.to_vec())
    }
}

/// One key or several; none leaves the action to the palette.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Keys {
    One(String),
    Several(Vec<String>),
}

impl Keymap {
    /// The table with the lines of a file in its place: `verify = "ctrl-r"`, `run = ["X", "f5"]`, `theme = []`.
    ///
    /// # Errors
    /// What is wrong with the file: no TOML, an action or a key that there is not, two meanings of one key on one screen.
    pub fn rebound(text: &str) -> Result<Self, String> {
        let wishes: BTreeMap<Action, Keys> = toml::from_str(text).map_err(|why| why.to_string())?;
        let mut bindings = TABLE.to_vec();
        for (action, keys) in wishes {
            let texts = match keys {
                Keys::One(text) => vec![text],
                Keys::Several(texts) => texts,
            };
            let chords = texts.iter().map(|text| chord(text)).collect::<Result<Vec<_>, _>>()?;
            let lines = bindings.iter_mut().filter(|b| b.action == action && !b.at.meets(DIALOGS));
            let mut changed = false;
            for binding in lines {
                binding.chords = Cow::Owned(chords.clone());
                changed = true;
            }
            if !changed {
                return Err(format!("{} belongs to questions and cannot be changed", name(action)));
            }
        }
        relabel(&mut bindings);
        clash(&bindings).map_or(Ok(Self(bindings)), Err)
    }

    /// Its lines, in the order in which the footer and the help show them.
    #[must_use]
    pub fn bindings(&self) -> &[Binding] {
        &self.0
    }

    /// The keys as a table for people, with the names by which a file changes them.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::from("| screen | key | does | name |\n|---|---|---|---|\n");
        for b in self.0.iter().filter(|b| !b.long.is_empty()) {
            // One line stands for those that share its label.
            let pair = self.0.iter().filter(|other| other.label == b.label && other.at == b.at);
            let named = pair.filter(|b| !matches!(b.action, Action::Step(_) | Action::Interrupt));
            let names: Vec<String> = named.map(|b| format!("`{}`", name(b.action))).collect();
            text += &format!("| {} | `{}` | {} | {} |\n", b.at.words(), b.label, b.long, names.join(" "));
        }
        text
    }

    /// The line that a key press means here.
    #[must_use]
    pub fn find(&self, key: KeyEvent, at: Where) -> Option<&Binding> {
        // A capital arrives with or without SHIFT, depending on the terminal; the letter says it already.
        let pressed = (key.code, key.modifiers - KeyModifiers::SHIFT);
        self.0.iter().find(|b| b.at.meets(at) && b.chords.contains(&pressed))
    }
}

/// An action as the file names it.
fn name(action: Action) -> String {
    serde_json::to_value(action).ok().and_then(|value| Some(value.as_str()?.to_owned())).unwrap_or_default()
}

/// A key as the file writes it.
fn chord(text: &str) -> Result<Chord, String> {
    let mut letters = text.chars();
    if let (Some(letter), None) = (letters.next(), letters.next())
        && !letter.is_control()
    {
        return Ok((KeyCode::Char(letter), KeyModifiers::NONE));
    }
    let wrong =
        || format!("{text:?} is no key; write it like \"r\", \"R\", \"ctrl-r\", \"f5\", \"space\" or \"pagedown\"");
    let combination = crokey::parse(text).map_err(|_| wrong())?;
    let crokey::OneToThree::One(code) = combination.codes else { return Err(wrong()) };
    let chord = (code, combination.modifiers - KeyModifiers::SHIFT);
    match chord {
        (KeyCode::Char('a' | 'b' | 's' | 'q'), KeyModifiers::CONTROL) => {
            Err(format!("{text:?} belongs to terminals and multiplexers"))
        }
        (KeyCode::Char('c'), KeyModifiers::CONTROL) => Err(format!("{text:?} always leaves and cannot be changed")),
        _ => Ok(chord),
    }
}

/// How a key is written.
fn label((code, modifiers): Chord) -> String {
    match code {
        KeyCode::Up => "↑".to_owned(),
        KeyCode::Down => "↓".to_owned(),
        KeyCode::Left => "←".to_owned(),
        KeyCode::Right => "→".to_owned(),
        KeyCode::Char(letter) if modifiers.is_empty() && letter != ' ' => letter.to_string(),
        _ => crokey::KeyCombination::new(code, modifiers).to_string().to_lowercase(),
    }
}

/// Writes the labels of changed lines anew. Lines that share a label (`↑↓`) go on sharing one.
fn relabel(bindings: &mut [Binding]) {
    let same = |a: &Binding, b: &Binding| a.label == b.label && a.at == b.at;
    let written: Vec<Option<String>> = TABLE
        .iter()
        .map(|line| {
            let pair = || TABLE.iter().zip(&*bindings).filter(|(other, _)| same(other, line));
            let changed = pair().any(|(before, now)| before.chords != now.chords);
            let firsts: Vec<String> = pair().filter_map(|(_, now)| Some(label(*now.chords.first()?))).collect();
            changed.then(|| firsts.join(" "))
        })
        .collect();
    for (binding, written) in bindings.iter_mut().zip(written) {
        if let Some(text) = written {
            binding.label = Cow::Owned(text);
            // Other keys of the table's are gone, too.
            binding.long = binding.long.split(" (also").next().unwrap_or_default();
        }
    }
}

/// A key that means two things on one screen, in words.
fn clash(bindings: &[Binding]) -> Option<String> {
    // A recording lies over any of the screens.
    let at = |b: &Binding| if b.at.meets(Where::REPLAY) { b.at.or(Where::PLACES) } else { b.at };
    bindings.iter().enumerate().find_map(|(i, a)| {
        bindings[i + 1..].iter().filter(|b| at(b).meets(at(a)) && b.action != a.action).find_map(|b| {
            let shared = a.chords.iter().find(|chord| b.chords.contains(chord))?;
            let (key, one, two) = (label(*shared), name(a.action), name(b.action));
            Some(format!("{key:?} would mean both {one} and {two} on one screen; give one of them another key"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(code: KeyCode, modifiers: KeyModifiers) -> KeyEvent {
        KeyEvent::new(code, modifiers)
    }

    fn meaning(keys: &Keymap, code: char, at: Where) -> Option<Action> {
        keys.find(press(KeyCode::Char(code), KeyModifiers::NONE), at).map(|b| b.action)
    }

    #[test]
    fn every_place_can_be_left_and_explains_itself() {
        let keys = Keymap::default();
        for at in [Where::OVERVIEW, Where::STEP, Where::RAMP, Where::VERDICT, Where::HISTORY, Where::HELP] {
            for code in ['?', 'q'] {
                assert!(meaning(&keys, code, at).is_some(), "{code} in {at:?}");
            }
            assert!(keys.find(press(KeyCode::Esc, KeyModifiers::NONE), at).is_some());
        }
        assert!(keys.find(press(KeyCode::Char('R'), KeyModifiers::SHIFT), Where::OVERVIEW).is_some());
    }

    #[test]
    fn a_file_puts_keys_in_place_of_the_tables() {
        let keys = Keymap::rebound("verify = \"c\"\nrun = [\"A\", \"f5\"]\ndown = \"n\"\ntheme = []\n").unwrap();
        assert_eq!(meaning(&keys, 'c', Where::STEP), Some(Action::Verify));
        assert_eq!(meaning(&keys, 'r', Where::STEP), None);
        assert_eq!(meaning(&keys, 'A', Where::OVERVIEW), Some(Action::Run));
        assert_eq!(keys.find(press(KeyCode::F(5), KeyModifiers::NONE), Where::RAMP).unwrap().action, Action::Run);
        assert_eq!(meaning(&keys, 'T', Where::STEP), None);
        assert_eq!(meaning(&keys, 'n', Where::ASK), Some(Action::No), "questions keep their keys");
        let shown = |action| keys.bindings().iter().find(|b| b.action == action && b.at.meets(Where::STEP)).unwrap();
        assert_eq!(shown(Action::Run).label, "A");
        assert_eq!(shown(Action::Up).label, "↑ n");
    }

    #[test]
    fn a_wrong_file_is_refused_in_words() {
        let refused = |text: &str| Keymap::rebound(text).unwrap_err();
        assert!(
            refused("verify = \"w\"").contains("would mean both verify and waive"),
            "{}",
            refused("verify = \"w\"")
        );
        assert!(refused("faster = \"w\"").contains("both waive and faster"), "{}", refused("faster = \"w\""));
        assert!(refused("fly = \"f\"").contains("unknown variant `fly`"), "{}", refused("fly = \"f\""));
        assert!(refused("verify = \"hyper-r\"").contains("is no key"));
        assert!(refused("verify = \"ctrl-a\"").contains("multiplexers"));
        assert!(refused("yes = \"j\"").contains("questions"));
        assert!(refused("verify = ").contains("line 1"), "{}", refused("verify = "));
    }
}
