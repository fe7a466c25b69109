//! Everything that can be said about playbooks before a run. What a check is, the caller knows.

use crate::domain::place::nearest;
use crate::domain::step::CheckLine;

use super::{Lint, Source, parse};

/// What is wrong with these playbooks, by file and line.
///
/// `known` holds the names of all checks there are; `build` tries a line's parameters and says what does not fit.
#[must_use]
pub fn lint(sources: &[Source], known: &[&str], build: &dyn Fn(&CheckLine) -> Result<(), String>) -> Vec<Lint> {
    let mut lints = Vec::new();
    for source in sources {
        match parse(source) {
            Err(found) => lints.extend(found),
            Ok(step) => lints.extend(check_faults(source, &step.checks, known, build)),
        }
    }
    lints.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    lints
}

fn check_faults(
    source: &Source,
    checks: &[CheckLine],
    known: &[&str],
    build: &dyn Fn(&CheckLine) -> Result<(), String>,
) -> Vec<Lint> {
    let mut lints = Vec::new();
    let mut say = |line: &CheckLine, what: String, todo: String| {
        lints.push(Lint { file: source.file.clone(), line: line_of(&source.text, &line.check.0), what, todo });
    };
    for line in checks {
        let name = line.check.0.as_str();
        if !known.contains(&name) {
            let todo = match nearest(name, known.iter().copied()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => "see `rampup checks` for the names there are".to_owned(),
            };
            say(line, format!("there is no check named {name:?}"), todo);
        } else if let Err(why) = build(line) {
            say(line, format!("{name}: {why}"), "mend the line's parameters".to_owned());
        }
    }
    lints
}

/// The line, from 1, of the check's last mention in the front matter.
fn line_of(text: &str, name: &str) -> usize {
    let quoted = format!("\"{name}\"");
    text.lines()
        .enumerate()
        .skip(1)
        .take_while(|(_, line)| *line != "+++")
        .filter(|(_, line)| line.contains(&quoted))
        .last()
        .map_or(1, |(index, _)| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(checks: &str) -> Vec<Lint> {
        let text = format!(
            "+++\ntitle = \"t\"\nshort = \"s\"\nchecks = [\n{checks}]\ngate = {{ users = 1, hold = \"1s\" }}\n+++\n\
             ## Why\n## Do\n## Verify\n## Undo\n"
        );
        let source = Source { file: "playbooks/01-x.md".into(), text };
        let build = |line: &CheckLine| match line.parameters.keys().next() {
            Some(key) => Err(format!("unknown field `{key}`")),
            None => Ok(()),
        };
        lint(&[source], &["pool.in-path", "edge.static-hit"], &build)
    }

    #[test]
    fn a_sound_playbook_has_no_lints() {
        assert_eq!(faults("{ check = \"pool.in-path\" },\n"), []);
    }

    #[test]
    fn unknown_doubled_and_ill_built_checks_are_named_with_their_lines() {
        let lints = faults("{ check = \"pool.in-path\" },\n{ check = \"pool.inpath\" },\n");
        assert_eq!((lints[0].line, lints[0].todo.as_str()), (6, "did you mean pool.in-path?"));
        let lints = faults("{ check = \"pool.in-path\" },\n{ check = \"pool.in-path\" },\n");
        assert_eq!((lints[0].line, lints[0].what.as_str()), (6, "pool.in-path is asked for twice"));
        let lints = faults("{ check = \"edge.static-hit\", mni = 3 },\n");
        assert_eq!((lints[0].line, lints[0].what.as_str()), (5, "edge.static-hit: unknown field `mni`"));
    }
}
