//! Questions with answers already proposed, and beside them what they will make: nothing is done until the end.
//!
//! The form and its picture are pure; `ask` alone touches the terminal. What answers mean is the caller's affair.

use std::io;

use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures_util::StreamExt;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::run::{Asked, Signals, asleep};
use super::theme::{Look, Role};
use super::widgets::ascii;
use super::widgets::paper::{Ink, Paper, cut, ink, muted, pad, plain, wrap};
use super::widgets::typed::entered;
use super::{Leave, terminal, words};

/// Letters of one answer.
const LINE: usize = 300;
/// Columns of a question's name.
const NAME: usize = 12;

/// One question.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it means, and the flag that answers it, too.
    pub about: String,
    /// The answer, as proposed or as written.
    pub value: String,
}

/// The questions.
#[derive(Debug, Clone)]
pub struct Form {
    /// What it is for.
    pub title: String,
    /// In the order in which they are asked; at least one.
    pub fields: Vec<Field>,
    /// What was found that explains the proposals.
    pub found: Vec<String>,
    at: usize,
    /// First line of the preview in sight.
    scroll: usize,
    /// Why the answers were not taken.
    said: Option<String>,
}

/// What the answers make: the whole text, or the field that stands in the way and why.
pub type Made = Result<String, (usize, String)>;

/// What a key made of the form.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Stay,
    Done,
    Leave,
}

impl Form {
    /// A form with the first question in front.
    #[must_use]
    pub fn new(title: String, fields: Vec<Field>, found: Vec<String>) -> Self {
        Self { title, fields, found, at: 0, scroll: 0, said: None }
    }

    fn press(&mut self, key: KeyEvent, make: &dyn Fn(&[Field]) -> Made) -> Step {
        let last = self.fields.len().saturating_sub(1);
        let Some(field) = self.fields.get_mut(self.at) else { return Step::Leave };
        match (key.code, key.modifiers - KeyModifiers::SHIFT) {
            (KeyCode::Char('c'), KeyModifiers::CONTROL) | (KeyCode::Esc, _) => return Step::Leave,
            (KeyCode::Char('u'), KeyModifiers::CONTROL) => field.value.clear(),
            (KeyCode::Char(c), KeyModifiers::NONE) if !c.is_control() && field.value.chars().count() < LINE => {
                field.value.push(c);
            }
            (KeyCode::Backspace, _) => drop(field.value.pop()),
            (KeyCode::Tab | KeyCode::Down, _) => self.at = (self.at + 1).min(last),
            (KeyCode::BackTab | KeyCode::Up, _) => self.at = self.at.saturating_sub(1),
            (KeyCode::PageDown, _) => self.scroll = self.scroll.saturating_add(10),
            (KeyCode::PageUp, _) => self.scroll = self.scroll.saturating_sub(10),
            (KeyCode::Enter, _) => match make(&self.fields) {
                Ok(_) if self.at == last => return Step::Done,
                Err((at, why)) if at <= self.at || self.at == last => {
                    self.at = at.min(last);
                    self.said = Some(why);
                    return Step::Stay;
                }
                Ok(_) | Err(_) => self.at += 1,
            },
            _ => return Step::Stay,
        }
        self.said = None;
        Step::Stay
    }

    fn draw(&self, made: &Made, look: Look, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        if area.is_empty() {
            return;
        }
        let wide = area.width >= 100 && area.height >= 24;
        let mut paper = Paper::new(buf, look, wide);
        let (head, rest) = cut(area, 1);
        let (body, foot) = cut(rest, rest.height.saturating_sub(1));
        let title = vec![plain(" "), ink("rampup", Role::Strong), muted(" ▸ "), plain(self.title.clone())];
        paper.ends(head, 0, title, vec![muted("nothing is written until the end ")]);
        if wide {
            let (left, right) = (Rect { width: 60, ..body }, Rect { x: body.x + 60, width: body.width - 60, ..body });
            self.questions(&mut paper, left);
            self.preview(made, &mut paper, right);
        } else {
            let rows = u16::try_from(self.fields.len()).unwrap_or(u16::MAX).saturating_add(6);
            let (above, below) = cut(body, rows);
            self.questions(&mut paper, above);
            self.preview(made, &mut paper, below);
        }
        paper.line(foot, 0, self.keys());
        if look.ascii {
            ascii::flatten(paper.buf);
        }
    }

    fn keys(&self) -> Vec<Ink> {
        let enter = if self.at + 1 == self.fields.len() { "write the file" } else { "next" };
        let keys =
            [("enter", enter), ("tab", "next"), ("shift-tab", "back"), ("PgDn", "more of the file"), ("esc", "leave")];
        let mut inks = vec![plain(" ")];
        for (key, does) in keys {
            inks.extend([ink(key, Role::Focus), muted(format!(" {does}  "))]);
        }
        inks
    }

    fn questions(&self, paper: &mut Paper<'_>, area: Rect) {
        let right = vec![muted(format!("{} of {}", self.at + 1, self.fields.len()))];
        let inner = paper.pane(area, vec![ink("Questions", Role::Strong)], right, true);
        let columns = usize::from(inner.width);
        let mut lines: Vec<Vec<Ink>> = Vec::new();
        for (index, field) in self.fields.iter().enumerate() {
            let here = index == self.at;
            let mut line = vec![
                ink(if here { "▸ " } else { "  " }, Role::Focus),
                ink(pad(field.name, NAME), if here { Role::Focus } else { Role::Muted }),
            ];
            line.extend(entered(&field.value, here, columns.saturating_sub(NAME + 2)));
            lines.push(line);
        }
        lines.push(Vec::new());
        let about = self.fields.get(self.at).map_or("", |field| &field.about);
        let (said, role) = self.said.as_deref().map_or((about, Role::Text), |said| (said, Role::Warn));
        lines.extend(wrap(said, columns).into_iter().map(|line| vec![ink(line, role)]));
        if paper.boxed && !self.found.is_empty() {
            lines.extend([Vec::new(), vec![ink("Found in this folder", Role::Strong)]]);
            for found in &self.found {
                lines.extend(wrap(&words::tame(found), columns).into_iter().map(|line| vec![muted(line)]));
            }
        }
        paper.lines(inner, 0, lines);
    }

    fn preview(&self, made: &Made, paper: &mut Paper<'_>, area: Rect) {
        let left_out = vec![muted("without its remarks")];
        let inner = paper.pane(area, vec![plain("rampup.toml, as it will be written")], left_out, false);
        let text = match made {
            Ok(text) => text,
            Err((at, why)) => {
                let field = self.fields.get(*at);
                let name = field.map_or("", |field| field.name);
                // Nobody was wrong who has not answered yet.
                let (said, role) = match field {
                    Some(field) if field.value.is_empty() => {
                        (format!("it is shown once {name} is answered"), Role::Muted)
                    }
                    _ => (format!("{name}: {why}"), Role::Warn),
                };
                let lines = wrap(&said, usize::from(inner.width));
                paper.lines(inner, 0, lines.into_iter().map(|line| vec![ink(line, role)]).collect());
                return;
            }
        };
        let mut lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        lines.dedup_by(|a, b| a.is_empty() && b.is_empty());
        let lines: Vec<String> =
            lines.iter().map(|line| words::tame(bare(line))).skip_while(String::is_empty).collect();
        let from = self.scroll.min(lines.len().saturating_sub(usize::from(inner.height)));
        paper.lines(inner, 0, lines.into_iter().skip(from).map(|line| vec![plain(line)]).collect());
    }
}

/// A line of TOML without the remark behind it.
fn bare(line: &str) -> &str {
    let mut quoted = false;
    let remark = line.find(|c: char| {
        quoted ^= c == '"';
        c == '#' && !quoted
    });
    line[..remark.unwrap_or(line.len())].trim_end()
}

/// Asks until all is answered; none when the person left. `make` says what the answers come to. The terminal is given
/// back on every way out.
///
/// # Errors
/// When the terminal cannot be taken, read or written.
pub async fn ask(
    mut form: Form,
    look: Look,
    make: impl Fn(&[Field]) -> Made,
) -> io::Result<Result<Option<Vec<Field>>, Leave>> {
    let mut signals = Signals::new()?;
    terminal::enter()?;
    let _guard = terminal::Guard;
    let mut screen = terminal::screen()?;
    let mut input = EventStream::new();
    loop {
        let made = make(&form.fields);
        screen.draw(|frame| form.draw(&made, look, frame.area(), frame.buffer_mut()))?;
        tokio::select! {
            biased;
            asked = signals.next() => match asked {
                Asked::Leave(number) => return Ok(Err(Leave::Signal(number))),
                Asked::Sleep => {
                    asleep()?;
                    let size = screen.size()?;
                    screen.resize(size.into())?;
                }
                Asked::Woke => {}
            },
            Some(event) = input.next() => match event? {
                Event::Key(key) if key.kind != KeyEventKind::Release => match form.press(key, &make) {
                    Step::Stay => {}
                    Step::Done => return Ok(Ok(Some(form.fields))),
                    Step::Leave => return Ok(Ok(None)),
                },
                Event::Paste(text) => {
                    for letter in text.chars().take(LINE) {
                        form.press(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE), &make);
                    }
                }
                _ => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        let field = |name, value: &str| Field { name, about: format!("about {name}"), value: value.to_owned() };
        Form::new("init".to_owned(), vec![field("address", ""), field("p95", "300")], vec!["Django 5.2".to_owned()])
    }

    fn make(fields: &[Field]) -> Made {
        match &fields {
            [address, _] if address.value.is_empty() => Err((0, "write where users arrive".to_owned())),
            [_, p95] if p95.value.parse::<u32>().is_err() => Err((1, "is no number".to_owned())),
            fields => Ok(format!("url = {:?}\n# a remark\n", fields[0].value)),
        }
    }

    fn press(form: &mut Form, keys: &str) -> Step {
        let mut step = Step::Stay;
        for key in keys.chars() {
            let code = match key {
                '\n' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                '<' => KeyCode::Backspace,
                '\x1b' => KeyCode::Esc,
                letter => KeyCode::Char(letter),
            };
            step = form.press(KeyEvent::new(code, KeyModifiers::NONE), &make);
        }
        step
    }

    fn shown(form: &Form, columns: u16, rows: u16) -> String {
        let area = Rect::new(0, 0, columns, rows);
        let mut buf = Buffer::empty(area);
        form.draw(&make(&form.fields), Look::default(), area, &mut buf);
        buf.content().iter().map(ratatui::buffer::Cell::symbol).collect()
    }

    #[test]
    fn nothing_is_done_before_every_answer_is_right() {
        let mut form = form();
        assert_eq!(press(&mut form, "\n"), Step::Stay);
        assert!(shown(&form, 120, 36).contains("write where users arrive"));
        assert_eq!(press(&mut form, "http://a\n<x\n"), Step::Stay);
        assert!(shown(&form, 120, 36).contains("is no number"));
        assert_eq!(press(&mut form, "<<<50\n"), Step::Done);
        assert_eq!([&*form.fields[0].value, &*form.fields[1].value], ["http://a", "50"]);
        assert_eq!(press(&mut form, "\x1b"), Step::Leave);
    }

    #[test]
    fn every_size_shows_the_question_in_front() {
        for (columns, rows) in [(120, 36), (80, 24), (40, 10)] {
            assert!(shown(&form(), columns, rows).contains("address"), "{columns}x{rows}");
        }
        shown(&form(), 1, 1);
    }
}
