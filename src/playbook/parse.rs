//! One playbook's text to one [`Step`]: front matter between `+++` lines, then prose with four headings.

use pulldown_cmark::{Event, HeadingLevel, Parser, Tag};
use serde::Deserialize;
use toml::Spanned;

use crate::domain::fingerprint::digest;
use crate::domain::place::{Place, explain};
use crate::domain::step::{CheckLine, Gate, Level, Step};

use super::files::step_of;
use super::{Lint, Source};

/// The headings every playbook has, in this order: a reader always finds the same four answers.
pub const HEADINGS: [&str; 4] = ["Why", "Do", "Verify", "Undo"];

const FENCE: &str = "+++";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    title: String,
    short: String,
    checks: Vec<Spanned<toml::Table>>,
    gate: Gate,
}

/// Reads a playbook.
///
/// # Errors
/// Everything that is wrong with it, with lines.
pub fn parse(source: &Source) -> Result<Step, Vec<Lint>> {
    let at =
        |line: usize, what: String, todo: &str| Lint { file: source.file.clone(), line, what, todo: todo.to_owned() };
    let name = source.file.rsplit('/').next().unwrap_or_default();
    let Some(id) = step_of(name) else {
        return Err(vec![at(1, format!("{name} is not a playbook's name"), "call it NN-slug.md, as in 03-cache.md")]);
    };
    let Some((front, prose, prose_line)) = split(&source.text) else {
        let todo = "begin the file with a line +++, TOML (title, short, checks, gate) and another line +++";
        return Err(vec![at(1, "there is no front matter".to_owned(), todo)]);
    };
    let front_matter: FrontMatter = toml::from_str(front).map_err(|error| {
        let (place, what) = explain(&error, front);
        vec![at(place.below(1).line, what, "see a playbook that travels with rampup for the shape")]
    })?;
    let line_of = |key: &str| 1 + Place::of(front, offset(front, key)).line;
    let mut lints = Vec::new();
    let mut checks: Vec<CheckLine> = Vec::new();
    for line in front_matter.checks {
        let place = Place::of(front, line.span().start).below(1);
        match line.into_inner().try_into::<CheckLine>() {
            // An answer is known by its check's name: of two the later one would stand for both.
            Ok(check) if checks.iter().any(|earlier| earlier.check == check.check) => {
                lints.push(at(place.line, format!("{} is asked for twice", check.check), "keep one of the two lines"));
            }
            Ok(check) => checks.push(check),
            Err(error) => lints.push(at(place.line, error.message().to_owned(), CHECK_SHAPE)),
        }
    }
    if lints.is_empty() && checks.iter().all(|line| line.level == Level::Advised) {
        lints.push(at(
            line_of("checks"),
            "no check is required, so that load alone would prove the step".to_owned(),
            REQUIRE_ONE,
        ));
    }
    let gate_line = line_of("gate");
    lints.extend(gate_faults(&front_matter.gate).into_iter().map(|(what, todo)| at(gate_line, what, todo)));
    lints.extend(heading_faults(prose).map(|(line, what)| {
        at(
            prose_line + line,
            what,
            "write the four headings ## Why, ## Do, ## Verify and ## Undo, once each, in this order",
        )
    }));
    for (word, value) in [("title", &front_matter.title), ("short", &front_matter.short)] {
        if value.trim().is_empty() {
            lints.push(at(2, format!("{word} is empty"), "give the step a name that people will see"));
        }
    }
    if !lints.is_empty() {
        return Err(lints);
    }
    Ok(Step {
        id,
        title: front_matter.title,
        short: front_matter.short,
        guide: prose.trim().to_owned(),
        checks,
        gate: front_matter.gate,
        digest: digest(source.text.as_bytes()),
    })
}

const REQUIRE_ONE: &str =
    "require one that shows the step's remedy: checks = [{ check = \"name\" }], see `rampup playbook checks`";

const CHECK_SHAPE: &str =
    "write { check = \"name\", level = \"required\" or \"advised\", and the check's own parameters }";

/// Front matter, prose, and the number of lines above the prose.
fn split(text: &str) -> Option<(&str, &str, usize)> {
    let rest = text.strip_prefix(FENCE)?.strip_prefix('\n')?;
    let end = rest.find("\n+++\n")?;
    let prose = &rest[end + "\n+++\n".len()..];
    let lines = text[..text.len() - prose.len()].matches('\n').count();
    Some((&rest[..=end], prose, lines))
}

/// Where the value of a key begins.
fn offset(front: &str, key: &str) -> usize {
    toml::de::DeTable::parse(front).ok().and_then(|table| Some(table.get_ref().get(key)?.span().start)).unwrap_or(0)
}

fn gate_faults(gate: &Gate) -> Vec<(String, &'static str)> {
    let mut faults = Vec::new();
    if gate.users == 0 {
        faults.push(("the gate holds no users".to_owned(), "say how many: users = 100"));
    }
    if gate.hold.is_zero() {
        faults.push(("the gate holds for no time".to_owned(), "say how long: hold = \"60s\""));
    }
    let rungs: Vec<u32> = [0].into_iter().chain(gate.rungs.iter().copied()).chain([gate.users]).collect();
    if !gate.rungs.is_empty() && !rungs.is_sorted_by(|below, above| below < above) {
        faults.push((
            "the gate's rungs do not rise from one to less than its users".to_owned(),
            "put them in order, below users: rungs = [10, 25, 50]",
        ));
    }
    let beyond: Vec<u32> = [gate.users].into_iter().chain(gate.beyond.iter().copied()).collect();
    if !beyond.is_sorted_by(|below, above| below < above) {
        faults.push((
            "the gate's rungs beyond its users do not rise from more than its users".to_owned(),
            "put them in order, above users: beyond = [650, 800, 1000]",
        ));
    }
    faults
}

/// What is wrong with the headings, each with a line of the prose (from 0).
fn heading_faults(prose: &str) -> impl Iterator<Item = (usize, String)> {
    let found = headings(prose);
    let mut faults = Vec::new();
    for heading in HEADINGS {
        if !found.iter().any(|(_, name)| name == heading) {
            faults.push((0, format!("the heading ## {heading} is missing")));
        }
    }
    let mut next = 0;
    for (line, name) in found {
        match HEADINGS.iter().position(|heading| *heading == name) {
            None => faults.push((line, format!("## {name} is not one of the four headings"))),
            Some(position) if position < next => {
                faults.push((line, format!("## {name} is twice here or out of order")))
            }
            Some(position) => next = position + 1,
        }
    }
    faults.into_iter()
}

/// Second-level headings with their lines (from 0). A `##` inside a code block is none.
fn headings(prose: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for (event, range) in Parser::new(prose).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level: HeadingLevel::H2, .. }) => {
                inside = true;
                found.push((prose[..range.start].matches('\n').count() + 1, String::new()));
            }
            Event::End(_) => inside = false,
            Event::Text(text) | Event::Code(text) if inside => {
                if let Some((_, name)) = found.last_mut() {
                    name.push_str(&text);
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"+++
title = "Share a cache"
short = "cache"
checks = [
  { check = "cache.page-served", min = 0.5 },
  { check = "cache.shared-backend", level = "advised" },
]
gate = { users = 50, hold = "60s", think = "3s-6s" }
+++
## Why
So.
## Do
```python
## Not a heading
```
## Verify
Thus.
## Undo
Back.
"#;

    fn read(text: &str) -> Result<Step, Vec<Lint>> {
        parse(&Source { file: "playbooks/03-cache.md".into(), text: text.into() })
    }

    #[test]
    fn a_whole_playbook_becomes_a_step() {
        let step = read(GOOD).unwrap();
        assert_eq!((step.id.number(), step.short.as_str(), step.gate.users), (3, "cache", 50));
        assert_eq!(step.checks[0].parameters["min"].as_float(), Some(0.5));
        assert!(!step.checks[0].parameters.contains_key("check"), "the name is not a parameter");
        assert_eq!(step.checks[1].level, crate::domain::step::Level::Advised);
        assert!(step.guide.starts_with("## Why"));
        assert_ne!(step.digest, read(&GOOD.replace("So.", "Because.")).unwrap().digest);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (from, to, line, what) in [
            ("title", "titel", 2, "titel"),
            ("users = 50", "usres = 50", 8, "did you mean `users`"),
            ("level = \"advised\"", "level = \"adviced\"", 6, "adviced"),
            ("cache.shared-backend", "cache.page-served", 6, "cache.page-served is asked for twice"),
            (
                "cache.shared-backend\", level = \"advised",
                "cache.page-served\", level = \"required",
                6,
                "asked for twice",
            ),
            ("min = 0.5 }", "min = 0.5, level = \"advised\" }", 4, "no check is required"),
            ("\"60s\"", "\"60\"", 8, "60"),
            ("users = 50", "users = 0", 8, "no users"),
            ("users = 50", "users = 50, rungs = [10, 50]", 8, "rungs do not rise"),
            ("users = 50", "users = 50, rungs = [25, 10]", 8, "rungs do not rise"),
            ("users = 50", "users = 50, beyond = [50, 60]", 8, "beyond its users do not rise"),
            ("users = 50", "users = 50, beyond = [70, 60]", 8, "beyond its users do not rise"),
            ("## Verify", "## Check", 16, "not one of the four"),
            ("## Undo\nBack.\n", "", 9, "## Undo is missing"),
            ("## Why\nSo.\n## Do", "## Do\nSo.\n## Why", 12, "out of order"),
            ("+++\ntitle", "title", 1, "front matter"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let lints = read(&GOOD.replacen(from, to, 1)).unwrap_err();
            let found = lints.iter().any(|lint| lint.line == line && lint.to_string().contains(what));
            assert!(found, "{to}: {lints:?}");
        }
    }

    #[test]
    fn load_alone_proves_no_step() {
        let (from, to) = (GOOD.find("checks = [").unwrap(), GOOD.find("gate = ").unwrap());
        let with = |checks: &str| read(&format!("{}checks = {checks}\n{}", &GOOD[..from], &GOOD[to..]));
        for none in ["[]", "[{ check = \"a.b\", level = \"advised\" }]"] {
            let lints = with(none).unwrap_err();
            assert_eq!((lints.len(), lints[0].line), (1, 4), "{lints:?}");
            let said = lints[0].to_string();
            assert!(said.starts_with("playbooks/03-cache.md:4: no check is required"), "{said}");
            assert!(said.contains("rampup playbook checks"), "{said}");
        }
        assert_eq!(with("[{ check = \"a.b\" }]").unwrap().checks.len(), 1);
    }

    #[test]
    fn a_file_must_be_named_after_its_step() {
        let source = Source { file: "playbooks/cache.md".into(), text: GOOD.into() };
        assert!(parse(&source).unwrap_err()[0].todo.contains("NN-slug.md"));
    }
}
