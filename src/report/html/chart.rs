//! Charts as SVG: lines over time or users, with a limit at its true place. Colours come from the page's style.

use maud::{Markup, html};

/// A chart.
#[derive(Debug, Default)]
pub struct Chart<'a> {
    /// What it shows, read aloud by those who cannot see it.
    pub title: &'a str,
    /// Points of the main line: x, y.
    pub line: Vec<(f64, f64)>,
    /// Bounds of its points: x, low, high.
    pub bounds: Vec<(f64, f64, f64)>,
    /// A second line, on a scale of its own.
    pub behind: Vec<(f64, f64)>,
    /// A limit.
    pub limit: Option<(f64, String)>,
    /// A part of the x axis that counts.
    pub part: Option<(f64, f64)>,
    /// Points are drawn, not only the line between them.
    pub dots: bool,
    /// How x is written.
    pub x: Axis,
    /// Unit of y.
    pub unit: &'a str,
    /// One of several beside each other.
    pub small: bool,
}

/// How x is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Axis {
    /// Seconds, as minutes and seconds.
    #[default]
    Time,
    /// Users.
    Users,
}

const LEFT: f64 = 44.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 24.0;

impl Chart<'_> {
    /// The picture; nothing without two points.
    #[must_use]
    pub fn draw(&self) -> Markup {
        if self.line.len() < 2 {
            return html! {};
        }
        let (width, height) = if self.small { (320.0, 130.0) } else { (720.0, 260.0) };
        let (from, to) = span(self.line.iter().map(|p| p.0));
        let limit = self.limit.as_ref().map(|(limit, _)| *limit);
        let highest =
            self.line.iter().map(|p| p.1).chain(self.bounds.iter().map(|b| b.2)).chain(limit).fold(0.0, f64::max);
        let top = step_of(highest) * (highest / step_of(highest)).ceil();
        let x = |value: f64| LEFT + (value - from) / (to - from).max(1e-9) * (width - LEFT - RIGHT);
        let y = |value: f64, top: f64| TOP + (1.0 - (value / top.max(1e-9)).clamp(0.0, 1.0)) * (height - TOP - BOTTOM);
        let path = |points: &[(f64, f64)], top: f64| {
            points.iter().map(|(a, b)| format!("{:.1},{:.1}", x(*a), y(*b, top))).collect::<Vec<_>>().join(" ")
        };
        let behind = self.behind.iter().map(|p| p.1).fold(1.0, f64::max);
        let (base, step) = (height - BOTTOM, step_of(top));
        html! {
            svg viewBox=(format!("0 0 {width} {height}")) role="img" aria-label=(self.title) {
                @if let Some((a, b)) = self.part.filter(|(a, b)| *a < to && *b > from) {
                    rect class="part" x=(r(x(a.max(from)))) y=(TOP) width=(r(x(b.min(to)) - x(a.max(from)))) height=(r(base - TOP)) {}
                }
                @for at in ticks(step, top) {
                    line class="grid" x1=(LEFT) x2=(width - RIGHT) y1=(r(y(at, top))) y2=(r(y(at, top))) {}
                    text class="axis" x=(LEFT - 6.0) y=(r(y(at, top) + 4.0)) text-anchor="end" { (number(at)) }
                }
                text class="axis" x="2" y="11" { (self.unit) }
                @for at in marks(from, to, self.x, if self.small { 4.0 } else { 8.0 }) {
                    text class="axis" x=(r(x(at))) y=(height - 6.0) text-anchor="middle" { (written(at, self.x)) }
                }
                @if self.behind.len() > 1 {
                    polyline class="behind" points=(path(&self.behind, behind * 1.05)) {}
                }
                @for (at, low, high) in &self.bounds {
                    line class="bounds" x1=(r(x(*at))) x2=(r(x(*at))) y1=(r(y(*low, top))) y2=(r(y(*high, top))) {}
                }
                @if let Some((limit, name)) = &self.limit {
                    line class="limit" x1=(LEFT) x2=(width - RIGHT) y1=(r(y(*limit, top))) y2=(r(y(*limit, top))) {}
                    text class="limit-name" x=(width - RIGHT) y=(r(y(*limit, top) - 4.0)) text-anchor="end" { (name) }
                }
                polyline class="line" points=(path(&self.line, top)) {}
                @if self.dots {
                    @for (a, b) in &self.line {
                        circle class="dot" cx=(r(x(*a))) cy=(r(y(*b, top))) r="3" {}
                    }
                }
            }
        }
    }
}

fn r(value: f64) -> String {
    format!("{value:.1}")
}

fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

/// 1, 2 or 5 times a power of ten, so that some four of them make up the height.
fn step_of(top: f64) -> f64 {
    let rough = (top / 4.0).max(1e-6);
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| *step >= rough).unwrap_or(power * 10.0)
}

fn ticks(step: f64, top: f64) -> Vec<f64> {
    (0..=8).map(|n| f64::from(n) * step).take_while(|at| *at <= top + step / 1e6).collect()
}

fn marks(from: f64, to: f64, axis: Axis, most: f64) -> Vec<f64> {
    let step = match axis {
        Axis::Time => [5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0]
            .into_iter()
            .find(|step| (to - from) / step <= most)
            .unwrap_or(3600.0),
        Axis::Users => step_of((to - from) / 1.5),
    };
    let first = (from / step).ceil();
    (0..12).map(|n| (first + f64::from(n)) * step).take_while(|at| *at <= to).collect()
}

fn written(at: f64, axis: Axis) -> String {
    match axis {
        Axis::Time => format!("{:.0}:{:02.0}", (at / 60.0).floor(), at % 60.0),
        Axis::Users => number(at),
    }
}

/// A figure without needless digits.
fn number(value: f64) -> String {
    if value >= 1e6 {
        return format!("{:.0}M", value / 1e6);
    }
    if value >= 10.0 || value.fract().abs() < 1e-9 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_stands_at_its_true_place() {
        let chart = Chart {
            title: "p95 <ms>",
            line: vec![(0.0, 100.0), (60.0, 380.0)],
            limit: Some((300.0, "SLO".to_owned())),
            unit: "ms",
            ..Chart::default()
        };
        let drawn = chart.draw().into_string();
        // 0 to 400 between 236 and 22: 300 lies a quarter below the top.
        assert!(drawn.contains("class=\"limit\" x1=\"44\" x2=\"712\" y1=\"75.5\""), "{drawn}");
        assert!(drawn.contains("aria-label=\"p95 &lt;ms&gt;\"") && drawn.contains(">1:00<"), "{drawn}");
        assert_eq!(Chart { line: vec![(0.0, 1.0)], ..Chart::default() }.draw().into_string(), "");
    }

    #[test]
    fn axes_have_a_handful_of_round_marks() {
        for top in [0.004, 0.7, 3.0, 42.0, 341.0, 9999.0] {
            let step = step_of(top);
            assert!((2..=6).contains(&ticks(step, top).len()), "{top}");
        }
        for to in [20.0, 95.0, 700.0, 4000.0] {
            assert!((2..=9).contains(&marks(0.0, to, Axis::Time, 8.0).len()), "{to}");
        }
        assert_eq!(written(95.0, Axis::Time), "1:35");
    }
}
