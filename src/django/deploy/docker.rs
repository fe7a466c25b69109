//! Dockerfiles: what an image runs, sets and is asked for its health by. A stage that is named after development counts
//! for developers; what one `RUN` sets is gone with it.

use super::Deploy;
use super::lines::logical;
use crate::django::tree::Tree;
use crate::django::value::Place;
use crate::django::words::is_aside;

pub(super) fn read(deploy: &mut Deploy, tree: &Tree, path: &str, text: &str, aside: bool) {
    let mut stage = false;
    for (line, text) in logical(text) {
        let place = Place { file: path.into(), line };
        let (word, rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
        match word.to_uppercase().as_str() {
            "FROM" => {
                let name = rest.to_lowercase().split_once(" as ").map(|(_, name)| name.trim().to_owned());
                stage = name.is_some_and(|name| is_aside(&name));
            }
            "ENV" => {
                // `ENV NAME value` is the old way to write `ENV NAME=value`.
                let text = if rest.contains('=') { rest.to_owned() } else { rest.replacen(' ', "=", 1) };
                deploy.chooses(&text, &place, aside || stage);
            }
            "RUN" => deploy.chooses(rest, &place, true),
            "CMD" | "ENTRYPOINT" => deploy.starts(&unlisted(rest), place, aside || stage, 1),
            "HEALTHCHECK" => {
                deploy.asks(rest, &place);
                // A script of the project may ask in its place.
                let word = rest.split_whitespace().find(|word| word.ends_with(".py") || word.ends_with(".sh"));
                let name = word.map(|word| word.rsplit('/').next().unwrap_or(word).trim_matches(['"', ']']));
                let script = name.and_then(|name| tree.paths().find(|path| path.rsplit('/').next() == Some(name)));
                script.and_then(|script| tree.text(script)).iter().for_each(|text| deploy.asks(text, &place));
            }
            _ => {}
        }
    }
}

/// `["a", "b"]` as `a b`.
pub(super) fn unlisted(text: &str) -> String {
    let text = text.trim();
    if !text.starts_with('[') {
        return text.trim_matches(['"', '\'']).to_owned();
    }
    text.trim_matches(['[', ']'])
        .split(',')
        .map(|part| part.trim().trim_matches(['"', '\'']))
        .collect::<Vec<_>>()
        .join(" ")
}
