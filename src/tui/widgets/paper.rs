//! A buffer with a look: panes, lines that end in an ellipsis instead of running over, two ends of a line.
//!
//! Everything is clipped to its area, so that no size can make it panic.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub(crate) use crate::domain::text::wrap;
use crate::tui::mouse::Zone;
use crate::tui::theme::{Look, Role};

/// What views draw on.
pub(crate) struct Paper<'a> {
    pub(crate) buf: &'a mut Buffer,
    pub(crate) look: Look,
    /// Panes have borders all around; otherwise a rule above them.
    pub(crate) boxed: bool,
    /// What a click means where; the last one drawn counts.
    pub(crate) zones: Vec<(Rect, Zone)>,
}

/// Text in a role.
pub(crate) struct Ink {
    pub(crate) text: String,
    pub(crate) role: Role,
}

/// Shorthand for [`Ink`].
pub(crate) fn ink(text: impl Into<String>, role: Role) -> Ink {
    Ink { text: text.into(), role }
}

/// Plain text.
pub(crate) fn plain(text: impl Into<String>) -> Ink {
    ink(text, Role::Text)
}

/// Muted text.
pub(crate) fn muted(text: impl Into<String>) -> Ink {
    ink(text, Role::Muted)
}

/// Columns a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// A text cut to at most this many columns, with an ellipsis when something is lost.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        cut.push(c);
    }
    if columns > 0 {
        cut.push('…');
    }
    cut
}

/// A text padded (or cut) to exactly this many columns.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    let text = fit(text, columns);
    let missing = columns.saturating_sub(text.width());
    text + &" ".repeat(missing)
}

/// A text padded on the left (or cut) to exactly this many columns.
pub(crate) fn pad_left(text: &str, columns: usize) -> String {
    let text = fit(text, columns);
    " ".repeat(columns.saturating_sub(text.width())) + &text
}

/// The first rows of an area, and what is left.
pub(crate) fn cut(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    (Rect { height: rows, ..area }, Rect { y: area.y + rows, height: area.height - rows, ..area })
}

fn measure(inks: &[Ink]) -> usize {
    inks.iter().map(|i| i.text.width()).sum()
}

/// Cuts a run of inks to so many columns.
fn trim(inks: Vec<Ink>, columns: usize) -> Vec<Ink> {
    if measure(&inks) <= columns {
        return inks;
    }
    let mut left = columns;
    let mut out = Vec::new();
    for i in inks {
        if left == 0 {
            break;
        }
        let wide = i.text.width();
        // Keep a column for the ellipsis of whatever follows.
        let text = if wide < left { i.text } else { fit(&(i.text + "  "), left) };
        left = left.saturating_sub(text.width());
        out.push(Ink { text, role: i.role });
    }
    out
}

impl Paper<'_> {
    pub(crate) fn new(buf: &mut Buffer, look: Look, boxed: bool) -> Paper<'_> {
        Paper { buf, look, boxed, zones: Vec::new() }
    }

    /// Says what a click on a row of an area means.
    pub(crate) fn zone(&mut self, area: Rect, row: u16, zone: Zone) {
        self.zones.push((Rect { y: area.y.saturating_add(row), height: 1, ..area }, zone));
    }

    pub(crate) fn style(&self, role: Role) -> Style {
        self.look.style(role)
    }

    /// A line of inks at row `row` of an area.
    pub(crate) fn line(&mut self, area: Rect, row: u16, inks: Vec<Ink>) {
        if row >= area.height || area.width == 0 {
            return;
        }
        let inks = trim(inks, usize::from(area.width));
        let spans: Vec<Span<'_>> = inks.into_iter().map(|i| Span::styled(i.text, self.look.style(i.role))).collect();
        self.buf.set_line(area.x, area.y + row, &Line::from(spans), area.width);
    }

    /// Two ends of a line; the left one is cut when both do not fit.
    pub(crate) fn ends(&mut self, area: Rect, row: u16, left: Vec<Ink>, right: Vec<Ink>) {
        let columns = usize::from(area.width);
        let right = trim(right, columns);
        let taken = measure(&right);
        let room = columns.saturating_sub(taken + usize::from(taken > 0));
        let mut inks = trim(left, room);
        let gap = columns.saturating_sub(taken + measure(&inks));
        inks.push(plain(" ".repeat(gap)));
        inks.extend(right);
        self.line(area, row, inks);
    }

    /// Lines from the top, as many as fit. Returns the row after the last.
    pub(crate) fn lines(&mut self, area: Rect, from: u16, lines: Vec<Vec<Ink>>) -> u16 {
        let mut row = from;
        for line in lines {
            self.line(area, row, line);
            row = row.saturating_add(1);
        }
        row.min(area.height)
    }

    /// A horizontal rule with a title and something at its right end.
    pub(crate) fn rule(&mut self, area: Rect, title: Vec<Ink>, right: Vec<Ink>, role: Role) {
        self.edge(area, ("", ""), title, right, role);
    }

    /// The corners, and between them title, dashes and what stands at the right; a rule has no corners.
    fn edge(&mut self, area: Rect, corners: (&str, &str), title: Vec<Ink>, right: Vec<Ink>, role: Role) {
        let columns = usize::from(area.width);
        if columns < 2 || area.height == 0 {
            return;
        }
        let mut inks = vec![ink(corners.0, role)];
        let title = trim(title, columns.saturating_sub(6));
        if !title.is_empty() {
            inks.push(ink("─ ", role));
            inks.extend(title);
            inks.push(plain(" "));
        }
        let used = measure(&inks) + width(corners.1);
        let mut tail = vec![plain(" ")];
        tail.extend(right);
        tail.extend([plain(" "), ink("─", role)]);
        if tail.len() < 4 || used + measure(&tail) >= columns {
            tail.clear();
        }
        inks.push(ink("─".repeat(columns.saturating_sub(used + measure(&tail))), role));
        inks.extend(tail);
        inks.push(ink(corners.1, role));
        self.line(area, 0, inks);
    }

    /// A pane with a title; returns the room inside.
    pub(crate) fn pane(&mut self, area: Rect, title: Vec<Ink>, right: Vec<Ink>, focus: bool) -> Rect {
        let role = if focus { Role::Focus } else { Role::Muted };
        if !self.boxed {
            self.rule(area, title, right, role);
            return Rect {
                x: area.x.saturating_add(1),
                y: area.y.saturating_add(1),
                width: area.width.saturating_sub(2),
                height: area.height.saturating_sub(1),
            };
        }
        self.edge(area, ("╭", "╮"), title, right, role);
        let style = self.style(role);
        for row in 1..area.height.saturating_sub(1) {
            for x in [area.x, area.right().saturating_sub(1)] {
                self.buf.set_stringn(x, area.y + row, "│", 1, style);
            }
        }
        if area.height > 1 && area.width > 1 {
            let bottom = format!("╰{}╯", "─".repeat(usize::from(area.width - 2)));
            self.buf.set_stringn(area.x, area.bottom() - 1, bottom, usize::from(area.width), style);
        }
        Rect {
            x: area.x.saturating_add(2),
            y: area.y.saturating_add(1),
            width: area.width.saturating_sub(4),
            height: area.height.saturating_sub(2),
        }
    }

    /// Blanks an area, for what lies over a screen.
    pub(crate) fn blank(&mut self, area: Rect) {
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                if let Some(cell) = self.buf.cell_mut((x, y)) {
                    cell.reset();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_and_wrapped_by_columns() {
        assert_eq!([fit("abcdef", 4), fit("abc", 3), fit("abc", 0)], ["abc…", "abc", ""]);
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
        assert_eq!(pad_left("7", 3), "  7");
    }
}
