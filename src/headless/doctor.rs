//! `rampup doctor` as one screen of plain lines, or as one JSON object.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::domain::check::Missing;
use crate::domain::doctor::{State, System, Visit};
use crate::domain::text::{tame, wrap};

/// Columns of a line, at most.
const WIDTH: usize = 80;
/// Columns before what is said of a system.
const MARGIN: usize = 29;
/// Longest text from outside.
const TEXT: usize = 400;

/// All that was found, most important first.
///
/// # Errors
/// When the output cannot be written.
pub fn lines(visit: &Visit, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}  {}", tame(&visit.site, 40), tame(&visit.url, 60))?;
    for system in &visit.systems {
        self::system(system, out)?;
    }
    if !visit.secrets.is_empty() {
        writeln!(out, "secrets, by the names of their variables")?;
    }
    for secret in &visit.secrets {
        let word = if secret.set { "set" } else { "not set" };
        writeln!(out, "  {word:<9} {:<32} {}", tame(&secret.name, 60), secret.setting)?;
    }
    let lacking: Vec<_> =
        visit.systems.iter().flat_map(|system| system.lacks.iter().map(move |l| (system, l))).collect();
    if !lacking.is_empty() {
        writeln!(out, "permissions that are missing, and what each would show")?;
    }
    for (system, lack) in lacking {
        writeln!(out, "  {}: {}", system.name, lack.right)?;
        paragraph(lack.shows, 4, out)?;
        paragraph(&format!("{}; {}", lack.because.what, lack.because.provide), 4, out)?;
    }
    match visit.systems.iter().find_map(|system| match &system.state {
        State::Unknown(missing) => Some((system, missing)),
        _ => None,
    }) {
        Some((system, missing)) => paragraph(&format!("next: {}: {}", system.name, missing.provide), 0, out),
        None => writeln!(out, "everything that is named answers"),
    }
}

fn system(system: &System, out: &mut dyn Write) -> io::Result<()> {
    let serves = system.serves.join(", ");
    let said = match &system.state {
        State::Answers(said) => said.clone(),
        State::Unknown(Missing { what, provide }) => format!("{what}; {provide}; it would serve {serves}"),
        State::NotNamed(_) => format!("write {} for {serves}", system.setting),
    };
    let mut said = wrap(&tame(&said, TEXT), WIDTH - MARGIN).into_iter();
    writeln!(out, "  {:<9} {:<16} {}", system.state.word(), system.name, said.next().unwrap_or_default())?;
    said.try_for_each(|line| writeln!(out, "{:MARGIN$}{line}", ""))
}

fn paragraph(text: &str, margin: usize, out: &mut dyn Write) -> io::Result<()> {
    wrap(&tame(text, TEXT), WIDTH - margin).iter().try_for_each(|line| writeln!(out, "{:margin$}{line}", ""))
}

/// The same for scripts.
#[must_use]
pub fn json(visit: &Visit) -> Value {
    json!({ "well": visit.is_well(), "visit": visit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::doctor::{Lack, Variable};

    fn visit() -> Visit {
        let system = |name, state, serves, lacks| System { name, state, setting: "[site.railway]", serves, lacks };
        let lack = Lack {
            right: "Zone > Analytics > Read".to_owned(),
            shows: "how much the edge's cache really answers (step 2)",
            because: Missing::new("Cloudflare's API refused: Authentication error (code 10000)", "add it"),
        };
        let down = Missing::new("the cache's Redis could not be reached: connection refused\u{1b}[2J", "start it");
        Visit {
            site: "shop".to_owned(),
            url: "https://shop.example/".to_owned(),
            systems: vec![
                system("site", State::Answers("status 200 in 31 ms".to_owned()), &[], vec![]),
                system("cache", State::Unknown(down), &["cache.page-stored", "cache.bounded"], vec![]),
                system("Cloudflare", State::Answers("zone shop.example, a user's token".to_owned()), &[], vec![lack]),
                system(
                    "Railway",
                    State::NotNamed(Missing::new("x", "y")),
                    &["memory and logs (steps 1 and 7)"],
                    vec![],
                ),
            ],
            secrets: vec![Variable { name: "REDIS_URL".to_owned(), setting: "[services] cache_env", set: true }],
        }
    }

    #[test]
    fn one_screen_says_it_all() {
        let mut out = Vec::new();
        lines(&visit(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH && line == line.trim_end()), "{text}");
        let expected = "\
shop  https://shop.example/
  answers   site             status 200 in 31 ms
  unknown   cache            the cache's Redis could not be reached: connection
                             refused[2J; start it; it would serve
                             cache.page-stored, cache.bounded
  answers   Cloudflare       zone shop.example, a user's token
  not named Railway          write [site.railway] for memory and logs (steps 1
                             and 7)
secrets, by the names of their variables
  set       REDIS_URL                        [services] cache_env
permissions that are missing, and what each would show
  Cloudflare: Zone > Analytics > Read
    how much the edge's cache really answers (step 2)
    Cloudflare's API refused: Authentication error (code 10000); add it
next: cache: start it
";
        assert_eq!(text, expected);
        assert!(text.is_ascii(), "--ascii changes nothing here");
    }

    #[test]
    fn scripts_see_the_same() {
        let json = json(&visit());
        assert_eq!(json["well"], false);
        assert_eq!(json["visit"]["systems"][0]["state"], "answers");
        assert_eq!(json["visit"]["systems"][1]["because"]["provide"], "start it");
        assert_eq!(json["visit"]["systems"][2]["lacks"][0]["right"], "Zone > Analytics > Read");
        assert_eq!(json["visit"]["secrets"][0]["set"], true);
    }
}
