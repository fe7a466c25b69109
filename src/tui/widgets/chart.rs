//! Lines over time with a limit at its true place.
//!
//! A cell of a terminal has one colour, so crossing lines would recolour each other: here a cell belongs to the last
//! series drawn into it, the limit goes only into blank cells, and where many points share a column the largest counts.

use ratatui::layout::Rect;

use super::paper::{Paper, fit, ink, muted, pad_left, width};
use crate::tui::theme::Role;

/// One line: points with ascending x.
pub(crate) struct Series {
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) role: Role,
    /// Its mark in ASCII mode.
    pub(crate) mark: char,
}

/// What to draw. Series are drawn in order; the last lies on top.
pub(crate) struct Chart {
    pub(crate) series: Vec<Series>,
    /// The line that must not be crossed, and its label.
    pub(crate) limit: Option<(f64, String)>,
    /// First and last x.
    pub(crate) x: (f64, f64),
    /// Largest y; larger values lie on the top edge.
    pub(crate) top: f64,
    /// Decimals of the y labels.
    pub(crate) decimals: usize,
    /// Vertical lines: x and a word.
    pub(crate) marks: Vec<(f64, &'static str)>,
    /// Whether x is labelled below, as minutes and seconds.
    pub(crate) times: bool,
    /// Longest gap in x that is still bridged.
    pub(crate) gap: f64,
}

const GUTTER: u16 = 6;

impl Chart {
    /// A top that leaves room over the limit and over what is usual, but not for every outlier.
    pub(crate) fn top_for(values: impl Iterator<Item = f64>, limit: f64) -> f64 {
        let most = values.filter(|v| v.is_finite()).fold(0.0, f64::max);
        nice((most * 1.08).clamp(limit * 1.35, limit * 4.0))
    }

    /// Draws into an area.
    pub(crate) fn draw(&self, paper: &mut Paper<'_>, area: Rect) {
        let below = u16::from(self.times);
        if area.width < GUTTER + 4 || area.height < below + 2 {
            return;
        }
        let plot = Rect { x: area.x + GUTTER, y: area.y, width: area.width - GUTTER, height: area.height - below };
        self.scale(paper, area, plot);
        let mut cells = vec![None; usize::from(plot.width) * usize::from(plot.height)];
        for (i, series) in self.series.iter().enumerate() {
            let mut dots = Dots::new(plot, paper.look.ascii);
            self.trace(series, &mut dots);
            for (at, bits) in dots.cells.iter().enumerate() {
                if *bits != 0 {
                    cells[at] = Some((i, *bits));
                }
            }
        }
        self.backdrop(paper, plot, &cells);
        for (at, cell) in cells.iter().enumerate() {
            let Some((i, bits)) = *cell else { continue };
            let series = &self.series[i];
            let sign =
                if paper.look.ascii { series.mark } else { char::from_u32(0x2800 + u32::from(bits)).unwrap_or(' ') };
            let (x, y) = place(plot, at);
            let style = paper.style(series.role);
            if let Some(cell) = paper.buf.cell_mut((x, y)) {
                cell.set_char(sign).set_style(style);
            }
        }
        if self.times {
            self.time_axis(paper, Rect { y: plot.bottom(), height: 1, ..plot });
        }
    }

    /// Row of the plot that holds a value.
    fn row(&self, value: f64, plot: Rect) -> u16 {
        let dots = u32::from(plot.height) * 4;
        let dot = dot_of(value, self.top, dots);
        u16::try_from(dot / 4).unwrap_or(0)
    }

    fn scale(&self, paper: &mut Paper<'_>, area: Rect, plot: Rect) {
        let limit_row = self.limit.as_ref().map(|(v, _)| self.row(*v, plot));
        let mut labels: Vec<(u16, f64)> = Vec::new();
        let step = step(self.top, plot.height);
        let mut value = 0.0;
        while value <= self.top * 1.001 {
            let row = self.row(value, plot);
            let free = labels.iter().all(|(r, _)| r.abs_diff(row) > 0);
            if free && limit_row.is_none_or(|r| r.abs_diff(row) > 0) {
                labels.push((row, value));
            }
            value += step;
        }
        let gutter = Rect { width: GUTTER, height: plot.height, ..area };
        let decimals = self.decimals;
        for row in 0..plot.height {
            if limit_row == Some(row) {
                let value = self.limit.as_ref().map_or(0.0, |(v, _)| *v);
                let text = pad_left(&format!("{value:.decimals$}"), usize::from(GUTTER) - 2);
                paper.line(gutter, row, vec![ink(text, Role::Slo), muted(" ┼")]);
            } else if let Some((_, value)) = labels.iter().find(|(r, _)| *r == row) {
                let text = pad_left(&format!("{value:.decimals$}"), usize::from(GUTTER) - 2);
                paper.line(gutter, row, vec![muted(text), muted(" ┤")]);
            } else {
                paper.line(gutter, row, vec![muted("     │")]);
            }
        }
    }

    /// The limit and the vertical marks, into blank cells only.
    fn backdrop(&self, paper: &mut Paper<'_>, plot: Rect, cells: &[Option<(usize, u8)>]) {
        let free = |x: u16, y: u16| {
            let at = usize::from(y - plot.y) * usize::from(plot.width) + usize::from(x - plot.x);
            cells.get(at).is_some_and(Option::is_none)
        };
        for (x, word) in &self.marks {
            let Some(column) = self.column(*x, plot) else { continue };
            for y in plot.top()..plot.bottom() {
                if free(column, y) {
                    paper.line(Rect { x: column, y, width: 1, height: 1 }, 0, vec![muted("┊")]);
                }
            }
            let room = plot.right().saturating_sub(column + 2);
            let blank = (0..width(word)).all(|i| u16::try_from(i).is_ok_and(|i| free(column + 2 + i, plot.y)));
            if usize::from(room) >= width(word) && blank {
                paper.line(Rect { x: column + 2, y: plot.y, width: room, height: 1 }, 0, vec![muted(*word)]);
            }
        }
        let Some((limit, label)) = &self.limit else { return };
        let y = plot.y + self.row(*limit, plot);
        let label = if label.is_empty() { String::new() } else { format!(" {label} ") };
        let from = plot.right().saturating_sub(u16::try_from(width(&label)).unwrap_or(0) + 1);
        let labelled = !label.is_empty() && from > plot.x && (from..plot.right()).all(|x| free(x, y));
        for x in plot.left()..plot.right() {
            if free(x, y) {
                paper.line(Rect { x, y, width: 1, height: 1 }, 0, vec![ink("╌", Role::Slo)]);
            }
        }
        if labelled {
            let area = Rect { x: from, y, width: plot.right() - from, height: 1 };
            paper.line(area, 0, vec![ink(fit(&label, usize::from(area.width)), Role::Slo)]);
        }
    }

    fn column(&self, x: f64, plot: Rect) -> Option<u16> {
        let share = (x - self.x.0) / (self.x.1 - self.x.0).max(f64::MIN_POSITIVE);
        if !(0.0..=1.0).contains(&share) {
            return None;
        }
        let column = whole(share * f64::from(plot.width - 1));
        Some(plot.x + u16::try_from(column).unwrap_or(0).min(plot.width - 1))
    }

    fn time_axis(&self, paper: &mut Paper<'_>, area: Rect) {
        const STEPS: [f64; 10] = [5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0];
        let span = (self.x.1 - self.x.0).max(1.0);
        let most = f64::from((area.width / 10).max(1));
        let step = STEPS.into_iter().find(|s| span / s <= most).unwrap_or(span);
        let mut at = 0.0;
        while at <= span {
            let text = crate::tui::words::clock(u32::try_from(whole(self.x.0 + at)).unwrap_or(0));
            let wide = u16::try_from(width(&text)).unwrap_or(0);
            let centre = area.x + u16::try_from(whole(at / span * f64::from(area.width - 1))).unwrap_or(0);
            let x = centre.saturating_sub(wide / 2).clamp(area.x, area.right().saturating_sub(wide).max(area.x));
            paper.line(Rect { x, width: wide.min(area.right().saturating_sub(x)), ..area }, 0, vec![muted(text)]);
            at += step;
        }
    }

    /// A series as dots: the largest value of each column, joined to the column before.
    fn trace(&self, series: &Series, dots: &mut Dots) {
        let span = (self.x.1 - self.x.0).max(f64::MIN_POSITIVE);
        let place = |x: f64| whole((x - self.x.0) / span * f64::from(dots.columns.saturating_sub(1)));
        let mut columns: Vec<(u32, f64, f64)> = Vec::new();
        for (x, y) in series.points.iter().filter(|(x, y)| *x >= self.x.0 && *x <= self.x.1 && y.is_finite()) {
            let column = u32::try_from(place(*x)).unwrap_or(0);
            match columns.last_mut() {
                Some(last) if last.0 == column => {
                    last.1 = last.1.max(*y);
                    last.2 = *x;
                }
                _ => columns.push((column, *y, *x)),
            }
        }
        let mut before: Option<(u32, u32, f64)> = None;
        for (column, y, x) in columns {
            let row = dot_of(y, self.top, dots.rows);
            match before {
                Some((from, at, when)) if x - when <= self.gap => dots.join((from, at), (column, row)),
                _ => dots.set(column, row),
            }
            before = Some((column, row, x));
        }
    }
}

/// Dot row from the top that holds a value.
fn dot_of(value: f64, top: f64, rows: u32) -> u32 {
    let share = (value / top.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
    let last = rows.saturating_sub(1);
    last - u32::try_from(whole(share * f64::from(last))).unwrap_or(last).min(last)
}

#[expect(clippy::cast_possible_truncation, reason = "screen columns and seconds")]
fn whole(value: f64) -> i64 {
    value.round() as i64
}

fn place(plot: Rect, at: usize) -> (u16, u16) {
    let columns = usize::from(plot.width).max(1);
    let offset = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    (plot.x.saturating_add(offset(at % columns)), plot.y.saturating_add(offset(at / columns)))
}

/// The next 1, 1.5, 2, 2.5, 3, 4, 5, 6 or 8 times a power of ten.
fn nice(value: f64) -> f64 {
    if !(value.is_finite() && value > 0.0) {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0]
        .into_iter()
        .map(|n| n * power)
        .find(|n| *n >= value * 0.999)
        .unwrap_or(10.0 * power)
}

/// Distance of y labels: at least two rows apart.
fn step(top: f64, rows: u16) -> f64 {
    let most = f64::from((rows / 2).max(1));
    let power = 10f64.powf((top / most).max(f64::MIN_POSITIVE).log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|n| n * power).find(|n| top / n <= most).unwrap_or(top.max(1.0))
}

/// Dots of a cell, one above the other.
const DOWN: u32 = 4;

/// A grid of dots: 2 by 4 to a cell in braille, 1 by 4 in ASCII, where any of them makes the mark.
struct Dots {
    cells: Vec<u8>,
    across: u32,
    columns: u32,
    rows: u32,
}

impl Dots {
    fn new(plot: Rect, ascii: bool) -> Self {
        // Rows are as fine in ASCII, so that a series and the limit fall into the same row there too.
        let across = if ascii { 1 } else { 2 };
        Self {
            cells: vec![0; usize::from(plot.width) * usize::from(plot.height)],
            across,
            columns: u32::from(plot.width) * across,
            rows: u32::from(plot.height) * DOWN,
        }
    }

    fn set(&mut self, x: u32, y: u32) {
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        if x >= self.columns || y >= self.rows {
            return;
        }
        let at = (y / DOWN) * (self.columns / self.across) + x / self.across;
        let bit = BITS[(y % DOWN) as usize][(x % self.across) as usize];
        if let Some(cell) = self.cells.get_mut(at as usize) {
            *cell |= bit;
        }
    }

    /// A straight line between two dots, both included.
    fn join(&mut self, from: (u32, u32), to: (u32, u32)) {
        let (dx, dy) = (f64::from(to.0) - f64::from(from.0), f64::from(to.1) - f64::from(from.1));
        let steps = dx.abs().max(dy.abs()).max(1.0);
        for i in 0..=whole(steps) {
            #[expect(clippy::cast_precision_loss, reason = "dots of a screen")]
            let share = i as f64 / steps;
            let x = u32::try_from(whole(f64::from(from.0) + dx * share)).unwrap_or(0);
            let y = u32::try_from(whole(f64::from(from.1) + dy * share)).unwrap_or(0);
            self.set(x, y);
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;

    use super::*;
    use crate::tui::theme::Look;

    fn draw(chart: &Chart, area: Rect, ascii: bool) -> Vec<String> {
        let mut buf = Buffer::empty(area);
        chart.draw(&mut Paper::new(&mut buf, Look { ascii, ..Look::default() }, true), area);
        (0..area.height).map(|y| (0..area.width).map(|x| buf[(x, y)].symbol().to_owned()).collect::<String>()).collect()
    }

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        Chart {
            series: vec![Series { points, role: Role::Focus, mark: '*' }],
            limit: Some((300.0, "SLO".to_owned())),
            x: (0.0, 100.0),
            top: 400.0,
            decimals: 0,
            marks: Vec::new(),
            times: false,
            gap: 5.0,
        }
    }

    #[test]
    fn the_limit_stands_at_its_true_place() {
        let rows = draw(&chart(Vec::new()), Rect::new(0, 0, 40, 16), false);
        let limit = rows.iter().position(|r| r.contains("╌")).unwrap();
        assert!(rows[limit].starts_with(" 300 ┼"), "{}", rows[limit]);
        assert!(rows[limit].contains("SLO"));
        assert_eq!(limit, 4, "300 of 400 leaves a quarter of 16 rows above");
        // A series that lies on the limit is drawn in the limit's row, whatever the height and the signs.
        for ascii in [false, true] {
            for height in 4..40 {
                let area = Rect::new(0, 0, 40, height);
                let flat = (0..100).map(|s| (f64::from(s), 300.0)).collect();
                let marks = |c: char| c == '*' || ('\u{2801}'..='\u{28ff}').contains(&c);
                let rows = draw(&chart(flat), area, ascii);
                assert!(rows.iter().all(|r| r.contains("300") == r.contains(marks)), "{rows:#?}");
            }
        }
    }

    #[test]
    fn a_peak_of_one_second_survives_any_width() {
        let mut points: Vec<(f64, f64)> = (0..100).map(|s| (f64::from(s), 50.0)).collect();
        points[60].1 = 390.0;
        let rows = draw(&chart(points), Rect::new(0, 0, 16, 16), false);
        let braille = |c: char| ('\u{2801}'..='\u{28ff}').contains(&c);
        assert!(rows[0].chars().chain(rows[1].chars()).any(braille), "{rows:#?}");
    }

    #[test]
    fn a_gap_in_the_data_is_a_gap_in_the_line() {
        let points = vec![(0.0, 100.0), (10.0, 100.0), (90.0, 100.0), (92.0, 100.0)];
        let rows = draw(&chart(points), Rect::new(0, 0, 56, 8), false);
        let drawn = rows.iter().flat_map(|r| r.chars()).filter(|c| ('\u{2801}'..='\u{28ff}').contains(c)).count();
        assert!(drawn < 10, "80 missing seconds were bridged: {rows:#?}");
    }

    #[test]
    fn tops_are_round_and_outliers_do_not_flatten_the_rest() {
        assert_eq!(Chart::top_for([100.0].into_iter(), 300.0), 500.0);
        assert_eq!(Chart::top_for([90_000.0].into_iter(), 300.0), 1500.0);
    }
}
