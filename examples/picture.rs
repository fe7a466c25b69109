//! Draws a screen of a recorded run as SVG, for documents.
//!
//! `cargo run --example picture -- PROJECT RUN [--at SECOND] [--size 120x36] [--light]` plays the run of that name in the
//! project's `.rampup/runs` up to that second (to its end when absent) and writes what the screen shows to standard output.
#![expect(clippy::print_stderr, reason = "an example speaks to whoever started it")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use rampup::domain::event::EventKind;
use rampup::domain::ids::{RunId, StepId};
use rampup::domain::slo::Slo;
use rampup::store::Store;
use rampup::tui::model::Model;
use rampup::tui::theme::{Look, Theme};
use rampup::tui::update::{Msg, update};
use rampup::tui::{Start, view};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

/// Size of a cell, in the picture's own units.
const CELL: (u32, u32) = (8, 17);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match drawn(&arguments) {
        Ok(svg) => {
            let done = io::Write::write_all(&mut io::stdout(), svg.as_bytes());
            if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

fn drawn(arguments: &[String]) -> Result<String, String> {
    let value = |flag: &str| arguments.iter().skip_while(|a| *a != flag).nth(1);
    let [project, run, ..] = arguments else { return Err("name a project and a run".to_owned()) };
    let size = value("--size").map_or("120x36", String::as_str).split_once('x').ok_or("a size is like 120x36")?;
    let number = |text: &str| text.parse::<u16>().map_err(|why| format!("{text}: {why}"));
    let size = (number(size.0)?, number(size.1)?);
    let at = value("--at").map(|second| second.parse::<u32>()).transpose().map_err(|why| why.to_string())?;
    let theme = if arguments.iter().any(|a| a == "--light") { Theme::Light } else { Theme::Dark };
    let model = played(Path::new(project), run, size, at, theme)?;
    let area = Rect::new(0, 0, size.0, size.1);
    let mut buffer = Buffer::empty(area);
    view::draw(&model, area, &mut buffer);
    Ok(svg(&buffer, theme))
}

/// The screen at that second of the run.
fn played(project: &Path, run: &str, size: (u16, u16), at: Option<u32>, theme: Theme) -> Result<Model, String> {
    let run = RunId::from(run);
    let events = Store::read_run(project, &run).map_err(|why| why.to_string())?;
    let (progress, _) = Store::read(project).map_err(|why| why.to_string())?;
    let first = events.first().ok_or("the run is empty")?.at;
    let (mut site, mut target, mut quick) = (String::new(), String::new(), false);
    if let Some(EventKind::RunStarted { site: name, target: to, quick: short, .. }) = events.first().map(|e| &e.kind) {
        (site, target, quick) = (name.clone(), to.clone(), *short);
    }
    let steps = rampup::playbook::load(None).map_err(|why| why.to_string())?;
    let today = first.to_zoned(jiff::tz::TimeZone::UTC).date();
    // As it was judged: nothing is stale in a picture.
    let judged = |id: StepId| progress.steps.get(&id).or(progress.steps.values().next()).map(|r| r.contract.clone());
    let states = match progress.steps.is_empty() {
        true => Vec::new(),
        false => StepId::all()
            .filter_map(|id| judged(id).map(|contract| (id, progress.state(id, &|_| contract.clone(), today))))
            .collect(),
    };
    let start = Start {
        steps,
        site,
        target,
        slo: Slo::default(),
        states,
        progress,
        plans: BTreeMap::new(),
        past: Vec::new(),
        ramps: Vec::new(),
        outdated: BTreeMap::new(),
        replay: Some((run, events)),
        owner: String::new(),
        today,
        zone: jiff::tz::TimeZone::UTC,
        demo: None,
        quick,
        look: Look { theme, ..Look::default() },
        keys: rampup::tui::keymap::Keymap::default(),
        ticks: rampup::tui::Ticks::default(),
    };
    let mut model = Model::new(start, size, first);
    let mut press = |code| update(&mut model, Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    press(KeyCode::Char(' '));
    // Ten seconds a key; an hour is longer than any tape.
    for _ in 0..at.map_or(360, |second| second.div_ceil(10)) {
        press(KeyCode::Right);
    }
    Ok(model)
}

fn svg(buffer: &Buffer, theme: Theme) -> String {
    let area = buffer.area;
    let (width, height) = (u32::from(area.width) * CELL.0 + 16, u32::from(area.height) * CELL.1 + 16);
    let (ground, text) = if theme == Theme::Light { ("#ffffff", "#24292f") } else { ("#0d1117", "#d0d7de") };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"ui-monospace, \
         SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"13.29\" fill=\"{text}\">\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{ground}\"/>\n"
    );
    for y in 0..area.height {
        let line = 8 + u32::from(y) * CELL.1 + 13;
        let mut x = 0;
        while x < area.width {
            let cell = &buffer[(x, y)];
            // One piece for neighbours of one look; `textLength` holds it to its columns whatever the font.
            let same = |other: &Cell| (other.fg, other.modifier) == (cell.fg, cell.modifier);
            let end = (x..area.width).find(|at| !same(&buffer[(*at, y)])).unwrap_or(area.width);
            let words: String = (x..end).map(|at| buffer[(at, y)].symbol()).collect();
            if !words.trim().is_empty() {
                let bold = if cell.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
                let fill = colour(cell.fg).map_or_else(String::new, |c| format!(" fill=\"{c}\""));
                let escaped = words.replace('&', "&amp;").replace('<', "&lt;");
                // Writing to a String cannot fail.
                let _ = writeln!(
                    svg,
                    "<text x=\"{}\" y=\"{line}\" textLength=\"{}\" xml:space=\"preserve\"{fill}{bold}>{escaped}</text>",
                    8 + u32::from(x) * CELL.0,
                    u32::from(end - x) * CELL.0,
                );
            }
            x = end;
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// The xterm palette from 16 up: a 6x6x6 cube and 24 greys. None for the terminal's own.
fn colour(colour: Color) -> Option<String> {
    let Color::Indexed(index @ 16..) = colour else { return None };
    let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
    let (r, g, b) = match index {
        232.. => (8 + 10 * (index - 232), 8 + 10 * (index - 232), 8 + 10 * (index - 232)),
        _ => (level((index - 16) / 36), level((index - 16) / 6 % 6), level((index - 16) % 6)),
    };
    Some(format!("#{r:02x}{g:02x}{b:02x}"))
}
