//! What do I do, and does it hold: a step's playbook, its checks, and what each check saw.

use ratatui::layout::Rect;

use crate::domain::check::{CheckOutcome, Evidence};
use crate::domain::ids::StepId;
use crate::domain::step::{CheckLine, Level};
use crate::tui::model::{Model, Pane, Place, Standing};
use crate::tui::mouse::Zone;
use crate::tui::theme::{Role, of_outcome};
use crate::tui::widgets::bar;
use crate::tui::widgets::markdown::{self, Sheet};
use crate::tui::widgets::paper::{Ink, Paper, cut, ink, muted, plain, width, wrap};
use crate::tui::words;

pub(super) fn draw(model: &Model, paper: &mut Paper<'_>, area: Rect, id: StepId) {
    if paper.boxed {
        let [book, checks, evidence] = rooms(model, area, id);
        for (room, pane) in [book, checks, evidence].into_iter().zip(Pane::ALL) {
            paper.zones.push((room, Zone::Pane(pane)));
        }
        playbook(model, paper, book, id);
        check_list(model, paper, checks, id);
        evidence_pane(model, paper, evidence, id);
        return;
    }
    let tabs = tabs(model, id);
    paper.zones.push((area, Zone::Pane(model.pane)));
    let mut x = area.x.saturating_add(2);
    for (tab, pane) in tabs.chunks(3).zip(Pane::ALL) {
        let columns = tab.iter().map(|ink| width(&ink.text)).sum::<usize>();
        let columns = u16::try_from(columns).unwrap_or(u16::MAX);
        paper.zone(Rect { x, width: columns, ..area }.intersection(area), 0, Zone::Pane(pane));
        x = x.saturating_add(columns);
    }
    let inner = paper.pane(area, tabs, Vec::new(), false);
    match model.pane {
        Pane::Playbook => book_text(model, paper, inner, id),
        Pane::Checks => {
            let list = u16::try_from(model.step(id).map_or(0, |s| s.checks.len())).unwrap_or(0) + 1;
            let (list, below) = cut(inner, list.min(inner.height / 2 + 1));
            checks(model, paper, list, id);
            let below = Rect { x: area.x, width: area.width, ..below };
            let title = current(model, id).map_or_else(Vec::new, |line| evidence_title(model, id, line));
            let inner = paper.pane(below, title, vec![muted("enter all")], false);
            evidence_text(model, paper, inner, id, 0);
        }
        Pane::Evidence => evidence_text(model, paper, inner, id, model.scroll.evidence),
    }
}

/// Playbook, checks, evidence on a wide screen.
fn rooms(model: &Model, area: Rect, id: StepId) -> [Rect; 3] {
    let book = area.width * 53 / 100;
    let left = Rect { width: book, ..area };
    let right = Rect { x: area.x + book, width: area.width - book, ..area };
    let list = u16::try_from(model.step(id).map_or(0, |s| s.checks.len())).unwrap_or(0);
    let (checks, evidence) = cut(right, (list + 4).min(right.height / 2));
    [left, checks, evidence]
}

/// Names of the parts, the one in front marked.
fn tabs(model: &Model, id: StepId) -> Vec<Ink> {
    let mut inks = Vec::new();
    let checks = format!("Checks {}/{}", words::answered(model, id), model.step(id).map_or(0, |s| s.checks.len()));
    for (pane, name) in Pane::ALL.into_iter().zip(["Playbook".to_owned(), checks, "Evidence".to_owned()]) {
        let here = pane == model.pane;
        inks.push(ink(if here { "▸" } else { " " }, Role::Focus));
        inks.push(if here { ink(name, Role::Strong) } else { muted(name) });
        inks.push(plain(" "));
    }
    inks.pop();
    inks
}

/// A pane's name, with the cursor's sign where keys go; colour alone would not say it.
fn named_pane(name: &'static str, front: bool) -> Vec<Ink> {
    let sign = front.then(|| ink("▸", Role::Focus));
    sign.into_iter().chain([plain(name)]).collect()
}

/// How far playbook and evidence can be scrolled.
pub(super) fn extent(model: &Model, area: Rect, boxed: bool, id: StepId) -> (usize, usize) {
    let inside = |rect: Rect| {
        if boxed {
            (usize::from(rect.width.saturating_sub(4)), usize::from(rect.height.saturating_sub(2)))
        } else {
            (usize::from(rect.width.saturating_sub(2)), usize::from(rect.height.saturating_sub(1)))
        }
    };
    let (book, evidence) = if boxed {
        let [book, _, evidence] = rooms(model, area, id);
        (inside(book), inside(evidence))
    } else {
        (inside(area), inside(area))
    };
    let text = sheet(model, id, book.0).lines.len();
    let seen = evidence_lines(model, id, evidence.0).len();
    (text.saturating_sub(book.1), seen.saturating_sub(evidence.1))
}

/// The first code that ends in sight or below, or the remedies of the check that is pointed at.
pub(super) fn in_sight(model: &Model, area: Rect, boxed: bool, id: StepId) -> Option<String> {
    model.step(id)?;
    if model.pane != Pane::Playbook {
        return match &model.climb.evidence.get(&(id, current(model, id)?.check.clone()))?.outcome {
            CheckOutcome::Fail(findings) | CheckOutcome::Weak(findings) => {
                Some(findings.iter().map(|finding| finding.todo.as_str()).collect::<Vec<_>>().join("\n"))
            }
            CheckOutcome::Unknown(missing) => Some(missing.provide.clone()),
            CheckOutcome::Pass | CheckOutcome::NotApplicable(_) => None,
        };
    }
    let [book, ..] = if boxed { rooms(model, area, id) } else { [area; 3] };
    let code = sheet(model, id, columns_of(book, boxed)).code;
    let below = code.iter().find(|(end, _)| *end > model.scroll.playbook);
    below.or(code.last()).map(|(_, code)| code.clone())
}

/// A step's playbook, set in so many columns, with what is ticked in it.
pub(super) fn sheet(model: &Model, id: StepId, columns: usize) -> Sheet {
    let guide = model.step(id).map_or("", |step| &step.guide);
    markdown::sheet(guide, columns, &|task| model.ticks.has(id, task))
}

/// Columns of text inside a pane.
fn columns_of(pane: Rect, boxed: bool) -> usize {
    usize::from(pane.width.saturating_sub(if boxed { 4 } else { 2 }))
}

/// The first open thing to do from the top of the pane on; backwards, the last one that is ticked.
pub(super) fn task(model: &Model, area: Rect, boxed: bool, id: StepId, ticked: bool) -> Option<String> {
    let [book, ..] = if boxed { rooms(model, area, id) } else { [area; 3] };
    let mut tasks = sheet(model, id, columns_of(book, boxed)).tasks.into_iter();
    let found = if ticked {
        tasks.rfind(|(_, task)| model.ticks.has(id, task))
    } else {
        tasks.find(|(line, task)| *line >= model.scroll.playbook && !model.ticks.has(id, task))
    };
    found.map(|(_, task)| task)
}

fn playbook(model: &Model, paper: &mut Paper<'_>, area: Rect, id: StepId) {
    let columns = usize::from(area.width.saturating_sub(4));
    let rows = usize::from(area.height.saturating_sub(2));
    let all = sheet(model, id, columns).lines.len();
    let right = if all > rows {
        let seen = (model.scroll.playbook + rows).min(all) * 100 / all;
        vec![muted(if seen < 100 { format!("{seen} % ↓") } else { "end ↑".to_owned() })]
    } else {
        Vec::new()
    };
    let front = model.pane == Pane::Playbook;
    let inner = paper.pane(area, named_pane("Playbook", front), right, front);
    book_text(model, paper, inner, id);
}

fn book_text(model: &Model, paper: &mut Paper<'_>, inner: Rect, id: StepId) {
    if model.step(id).is_none() {
        paper.line(inner, 0, vec![muted("this step has no playbook")]);
        return;
    }
    let lines = sheet(model, id, usize::from(inner.width)).lines;
    paper.lines(inner, 0, lines.into_iter().skip(model.scroll.playbook).collect());
}

pub(super) fn check_list(model: &Model, paper: &mut Paper<'_>, area: Rect, id: StepId) {
    let count = model.step(id).map_or(0, |s| s.checks.len());
    let right = vec![muted(format!("{} of {count} answered", words::answered(model, id)))];
    let front = matches!(model.place(), Place::Step(_));
    let front = front && model.pane == Pane::Checks;
    let inner = paper.pane(area, named_pane("Checks", front), right, front);
    checks(model, paper, inner, id);
}

fn checks(model: &Model, paper: &mut Paper<'_>, inner: Rect, id: StepId) {
    let Some(step) = model.step(id) else { return };
    let inner = Rect { x: inner.x.saturating_sub(1), width: inner.width + 1, ..inner };
    let rows = usize::from(inner.height.saturating_sub(1)).max(1);
    let from = (model.check + 1).saturating_sub(rows);
    let marked = matches!(model.place(), Place::Step(_));
    for (row, (i, line)) in (0..).zip(step.checks.iter().enumerate().skip(from).take(rows)) {
        let (mut left, right) = check_row(model, id, line);
        let cursor = if marked && i == model.check { "▸" } else { " " };
        left.insert(0, ink(cursor, Role::Focus));
        paper.ends(inner, row, left, right);
        if marked {
            paper.zone(inner, row, Zone::Check(i));
        }
    }
    if inner.height > 1 && !step.checks.is_empty() {
        let share = ratio(words::answered(model, id), step.checks.len());
        let (done, left) = bar::thin(share, usize::from(inner.width.saturating_sub(1)));
        paper.line(inner, inner.height - 1, vec![plain(" "), ink(done, Role::Focus), muted(left)]);
    }
    if step.checks.is_empty() {
        paper.line(inner, 0, vec![muted(" none; only its ramp decides")]);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a handful of checks")]
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// One check: sign and title on the left, the word on the right.
pub(super) fn check_row(model: &Model, step: StepId, line: &CheckLine) -> (Vec<Ink>, Vec<Ink>) {
    let (sign, role, word) = stands(model, step, line);
    let title = title(model, step, line);
    let advised = if line.level == Level::Advised { " (advised)" } else { "" };
    (
        vec![ink(sign, role), plain(" "), plain(title), muted(advised)],
        vec![ink(word, if role == Role::Pass { Role::Muted } else { role })],
    )
}

fn title(model: &Model, step: StepId, line: &CheckLine) -> String {
    let title = model.climb.evidence.get(&(step, line.check.clone())).map(|e| words::tame(&e.title));
    title.filter(|t| !t.is_empty()).unwrap_or_else(|| words::tame(&line.check.0))
}

/// Sign, role and word of where a check stands.
fn stands(model: &Model, step: StepId, line: &CheckLine) -> (&'static str, Role, &'static str) {
    match model.standing(step, &line.check) {
        Standing::Looking => {
            let (sign, role) = super::frame::turning(model);
            (sign, role, "running")
        }
        Standing::Queued => ("○", Role::Muted, "queued"),
        Standing::Answered(evidence) => {
            if !evidence.outcome.opens() && model.climb.progress.check_excused(step, &line.check, model.today) {
                return ("~", Role::Warn, "waived");
            }
            let (sign, role) = of_outcome(&evidence.outcome);
            (sign, role, evidence.outcome.word())
        }
        Standing::Never => match recorded(model, step, line) {
            Some(_) => ("✗", Role::Fail, "held it"),
            None => ("○", Role::Muted, "not run"),
        },
    }
}

/// What the last judgement said about this check when it held the step.
fn recorded(model: &Model, step: StepId, line: &CheckLine) -> Option<String> {
    let record = model.climb.progress.steps.get(&step)?;
    let found = record.held_by.iter().find_map(|h| h.strip_prefix(&format!("{}:", line.check)))?;
    Some(words::tame(found.trim()))
}

/// The check the list points at.
fn current(model: &Model, id: StepId) -> Option<&CheckLine> {
    model.step(id)?.checks.get(model.check)
}

fn evidence_title(model: &Model, id: StepId, line: &CheckLine) -> Vec<Ink> {
    let (sign, role, _) = stands(model, id, line);
    vec![ink(sign, role), plain(" "), plain(words::tame(&line.check.0))]
}

fn evidence_pane(model: &Model, paper: &mut Paper<'_>, area: Rect, id: StepId) {
    let front = model.pane == Pane::Evidence;
    let mut title = named_pane("Evidence", front);
    title.push(plain(" "));
    if let Some(line) = current(model, id) {
        title.extend(evidence_title(model, id, line));
    }
    let inner = paper.pane(area, title, Vec::new(), front);
    evidence_text(model, paper, inner, id, model.scroll.evidence);
}

fn evidence_text(model: &Model, paper: &mut Paper<'_>, inner: Rect, id: StepId, scroll: usize) {
    let lines = evidence_lines(model, id, usize::from(inner.width));
    let rows = usize::from(inner.height);
    let more = lines.len().saturating_sub(scroll + rows);
    paper.lines(inner, 0, lines.into_iter().skip(scroll).collect());
    if more > 0 && inner.height > 2 {
        let area = Rect { y: inner.bottom() - 1, height: 1, ..inner };
        paper.blank(area);
        paper.ends(area, 0, Vec::new(), vec![muted(format!("{} more lines ↓", more + 1))]);
    }
}

/// Everything known about the check in question.
fn evidence_lines(model: &Model, id: StepId, columns: usize) -> Vec<Vec<Ink>> {
    let Some(line) = current(model, id) else {
        return vec![vec![muted("no check to show")]];
    };
    let (sign, role, word) = stands(model, id, line);
    let level = if line.level == Level::Advised { "advised, never blocking" } else { "required" };
    let mut lines = vec![vec![ink(format!("{sign} {word}"), role), muted(format!("  {level}"))]];
    let Some(evidence) = model.climb.evidence.get(&(id, line.check.clone())) else {
        lines.push(Vec::new());
        if let Some(seen) = recorded(model, id, line) {
            named(&mut lines, "seen", &seen, columns, Role::Text);
            lines.push(Vec::new());
        }
        paragraph(&mut lines, "It has not looked in this session. r runs the checks.", columns, Role::Muted);
        return lines;
    };
    paragraph(&mut lines, &words::tame(&evidence.title), columns, Role::Strong);
    lines.push(Vec::new());
    answer(&mut lines, &evidence.outcome, columns);
    named(&mut lines, "how", evidence.how.words(), columns, Role::Text);
    named(&mut lines, "when", &taken(model, evidence), columns, Role::Text);
    facts(&mut lines, &evidence.facts, columns);
    lines
}

fn taken(model: &Model, evidence: &Evidence) -> String {
    let took = evidence.took_ms;
    let took = if took < 1000 { format!("{took} ms") } else { format!("{}.{} s", took / 1000, took % 1000 / 100) };
    format!("{}, took {took}", words::day(model, evidence.at))
}

fn answer(lines: &mut Vec<Vec<Ink>>, outcome: &CheckOutcome, columns: usize) {
    match outcome {
        CheckOutcome::Pass => {}
        CheckOutcome::Fail(findings) | CheckOutcome::Weak(findings) => {
            for finding in findings {
                named(lines, "seen", &words::tame(&finding.seen), columns, Role::Text);
                named(lines, "do", &words::tame(&finding.todo), columns, Role::Strong);
                lines.push(Vec::new());
            }
        }
        CheckOutcome::Unknown(missing) => {
            named(lines, "missing", &words::tame(&missing.what), columns, Role::Text);
            named(lines, "provide", &words::tame(&missing.provide), columns, Role::Strong);
            lines.push(Vec::new());
        }
        CheckOutcome::NotApplicable(why) => {
            named(lines, "because", &words::tame(why), columns, Role::Text);
            lines.push(Vec::new());
        }
    }
}

/// Facts as pretty JSON, without the quotes and braces that say nothing.
fn facts(lines: &mut Vec<Vec<Ink>>, facts: &serde_json::Value, columns: usize) {
    if facts.is_null() {
        return;
    }
    lines.push(Vec::new());
    lines.push(vec![ink("Facts", Role::Strong)]);
    let pretty = serde_json::to_string_pretty(facts).unwrap_or_default();
    for raw in pretty.lines() {
        let indent = raw.len() - raw.trim_start().len();
        let text = words::tame(raw.trim_start());
        for (i, part) in wrap(&text, columns.saturating_sub(indent + 2).max(8)).into_iter().enumerate() {
            let hang = if i > 0 { 2 } else { 0 };
            lines.push(vec![plain(" ".repeat(indent + hang)), ink(part, Role::Muted)]);
        }
    }
}

/// A name and its text, wrapped beside it.
pub(super) fn named(lines: &mut Vec<Vec<Ink>>, name: &str, text: &str, columns: usize, role: Role) {
    const NAME: usize = 10;
    for (i, part) in wrap(text, columns.saturating_sub(NAME)).into_iter().enumerate() {
        let name = if i == 0 { name } else { "" };
        lines.push(vec![muted(format!("{name:<NAME$}")), ink(part, role)]);
    }
}

fn paragraph(lines: &mut Vec<Vec<Ink>>, text: &str, columns: usize, role: Role) {
    lines.extend(wrap(text, columns).into_iter().map(|part| vec![ink(part, role)]));
}
