//! Where in `rampup.toml` each flow, its login and its steps are written, for whoever has something to say of them.

use std::path::Path;

use toml::de::DeTable;

use crate::domain::place::{Place, explain};

use super::faults::Faults;
use super::{ConfigError, FILE, Problem, raw};

/// Places of one flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowPlaces {
    /// Of the flow itself.
    pub flow: Place,
    /// Of its login, if it has one.
    pub login: Option<Place>,
    /// Of its steps, in order.
    pub steps: Vec<Place>,
}

/// Places of all flows of the project in this folder, in the order of the file.
///
/// # Errors
/// When the file cannot be read any more or is no settings.
pub fn places(project: &Path) -> Result<Vec<FlowPlaces>, ConfigError> {
    in_text(&super::read(&project.join(FILE))?)
}

fn in_text(text: &str) -> Result<Vec<FlowPlaces>, ConfigError> {
    let unreadable = |error: toml::de::Error| {
        let (place, what) = explain(&error, text);
        ConfigError::Wrong(vec![Problem { file: FILE.to_owned(), place, what }])
    };
    let tree = DeTable::parse(text).map_err(unreadable)?.into_inner();
    let file = toml::from_str::<raw::File>(text).map_err(unreadable)?;
    let faults = Faults::new(FILE, text, tree);
    let flows = file.flows.iter().enumerate().map(|(index, flow)| {
        let at = index.to_string();
        let step = |number: usize| faults.place(&["flow", &at, "step", &number.to_string()]);
        FlowPlaces {
            flow: faults.place(&["flow", &at]),
            login: flow.login.as_ref().map(|_| faults.place(&["flow", &at, "login"])),
            steps: (0..flow.steps.len()).map(step).collect(),
        }
    });
    Ok(flows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_found_however_they_are_written() {
        let text = "schema = 1\n[site]\nname = 's'\nurl = 'http://127.0.0.1'\n[[flow]]\nname = 'a'\nlogin = { path = '/', username = 'u', password_env = 'P' }\n[[flow.step]]\nget = '/'\n\n[[flow.step]]\nget = '/b'\n[[flow]]\nname = 'b'\nstep = [\n  { get = '/' },\n  { get = '/c' },\n]\n";
        let found = in_text(text).unwrap();
        let lines = |flow: &FlowPlaces| flow.steps.iter().map(|place| place.line).collect::<Vec<_>>();
        assert_eq!((found[0].flow.line, found[0].login.map(|p| p.line), lines(&found[0])), (5, Some(7), vec![8, 11]));
        assert_eq!((found[1].flow.line, found[1].login, lines(&found[1])), (13, None, vec![16, 17]));
    }
}
