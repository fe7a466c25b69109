//! The systems behind the app, on the ramp's own clock: database, pool, cache, queue.

use ratatui::layout::Rect;

use crate::domain::measurement::series as name;
use crate::tui::model::Ramp;
use crate::tui::theme::Role;
use crate::tui::widgets::bar;
use crate::tui::widgets::paper::{Ink, Paper, ink, muted, pad, pad_left, plain, width};
use crate::tui::words;

/// One system: its title, its figure now, a line over time, what else is known.
struct Panel {
    title: &'static str,
    now: String,
    line: Vec<f64>,
    /// What the line is scaled to; its own largest value when none.
    top: Option<f64>,
    more: Vec<Ink>,
}

/// Values of one series, oldest first.
fn of(ramp: &Ramp, series: &str) -> Vec<f64> {
    ramp.samples.iter().filter_map(|s| s.values.get(series).copied()).collect()
}

fn panels(ramp: &Ramp) -> Vec<Panel> {
    vec![database(ramp), pool(ramp), cache(ramp), queue(ramp)]
}

fn figure(value: Option<&f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| words::thousands(*v))
}

/// Waiting is what hurts, so it is said in the colour of a warning as soon as there is any.
fn waiting(value: Option<&f64>) -> Ink {
    match value {
        Some(v) if *v > 0.0 => ink(format!("! {} waiting", words::thousands(*v)), Role::Warn),
        Some(_) => muted("none waiting"),
        None => muted("waiting not known"),
    }
}

fn unknown(line: &[f64], more: Vec<Ink>) -> Vec<Ink> {
    if line.is_empty() { vec![muted("no figures yet")] } else { more }
}

fn database(ramp: &Ramp) -> Panel {
    let line = of(ramp, name::PG_BACKENDS);
    let active = of(ramp, name::PG_ACTIVE);
    let more = vec![plain(format!("{} active  ", figure(active.last()))), waiting(of(ramp, name::PG_WAITING).last())];
    Panel { title: "DB connections", now: figure(line.last()), more: unknown(&line, more), line, top: None }
}

fn pool(ramp: &Ramp) -> Panel {
    let line = of(ramp, name::POOL_CLIENTS);
    let servers = of(ramp, name::POOL_SERVERS);
    let more =
        vec![plain(format!("{} servers  ", figure(servers.last()))), waiting(of(ramp, name::POOL_WAITING).last())];
    Panel { title: "Pool clients", now: figure(line.last()), more: unknown(&line, more), line, top: None }
}

fn cache(ramp: &Ramp) -> Panel {
    // A share per second jumps about when little is asked; ten seconds together do not.
    let pairs: Vec<(f64, f64)> = ramp
        .samples
        .iter()
        .filter_map(|s| Some((*s.values.get(name::CACHE_HITS)?, *s.values.get(name::CACHE_MISSES)?)))
        .collect();
    let line: Vec<f64> = (0..pairs.len())
        .filter_map(|i| {
            let (hits, misses) = pairs[i.saturating_sub(9)..=i].iter().fold((0.0, 0.0), |(h, m), p| (h + p.0, m + p.1));
            (hits + misses > 0.0).then(|| hits * 100.0 / (hits + misses))
        })
        .collect();
    let evicted: f64 = of(ramp, name::CACHE_EVICTED).iter().sum();
    let role = if evicted > 0.0 { Role::Warn } else { Role::Muted };
    let more = vec![ink(format!("{} evicted", words::thousands(evicted)), role)];
    Panel {
        title: "Cache hit rate",
        now: line.last().map_or_else(|| "-".to_owned(), |v| format!("{v:.1} %")),
        more: unknown(&line, more),
        line,
        top: Some(100.0),
    }
}

fn queue(ramp: &Ramp) -> Panel {
    let line = of(ramp, name::QUEUE_DEPTH);
    let done = of(ramp, name::QUEUE_PROCESSED);
    let since = done.last().zip(done.first()).map(|(last, first)| (last - first).max(0.0));
    let more = vec![muted(format!("{} done", since.map_or_else(|| "-".to_owned(), words::thousands)))];
    Panel {
        title: "Job queue",
        now: line.last().map_or_else(|| "-".to_owned(), |v| format!("depth {}", words::thousands(*v))),
        more: unknown(&line, more),
        line,
        top: None,
    }
}

fn spark(panel: &Panel, columns: usize) -> String {
    let top = panel.top.unwrap_or_else(|| panel.line.iter().copied().fold(1.0, f64::max));
    bar::spark(&panel.line, top, columns)
}

/// Four panes side by side.
pub(super) fn panes(ramp: &Ramp, paper: &mut Paper<'_>, area: Rect) {
    let all = panels(ramp);
    let quarter = area.width / 4;
    for (i, panel) in (0..).zip(all) {
        let x = area.x + quarter * i;
        let columns = if i == 3 { area.right() - x } else { quarter };
        let rect = Rect { x, width: columns, ..area };
        let inner = paper.pane(rect, vec![plain(panel.title)], vec![plain(panel.now.clone())], false);
        paper.line(inner, 0, vec![ink(spark(&panel, usize::from(inner.width)), Role::Focus)]);
        paper.line(inner, 1, panel.more);
    }
}

/// The same in lines, two systems to a line.
pub(super) fn lines(ramp: &Ramp, paper: &mut Paper<'_>, area: Rect) {
    let half = usize::from(area.width) / 2;
    let rps: Vec<f64> = ramp.pulses.iter().map(|p| p.rps).collect();
    let mut all = vec![Panel { title: "Requests/s", now: figure(rps.last()), line: rps, top: None, more: Vec::new() }];
    all.extend(panels(ramp));
    let last = ramp.last();
    all.push(Panel {
        title: "Generator",
        now: last.map_or_else(|| "-".to_owned(), |p| format!("{:.1} cpu", p.generator.cpu)),
        line: ramp.pulses.iter().map(|p| p.generator.lag_ms).collect(),
        top: Some(10.0),
        more: Vec::new(),
    });
    for (row, pair) in (0..).zip(all.chunks(2)) {
        let mut inks = Vec::new();
        for panel in pair {
            let warns = panel.more.iter().any(|i| i.role == Role::Warn);
            let head = format!("{}{}", pad(panel.title, 15), pad_left(&panel.now, 9));
            let room = half.saturating_sub(width(&head) + 5);
            inks.push(if warns { ink("! ", Role::Warn) } else { plain("  ") });
            inks.push(plain(head + " "));
            inks.push(ink(pad(&spark(panel, room), room + 2), Role::Focus));
        }
        paper.line(area, row, inks);
    }
}
