//! The tables: medians of the rounds with their range, in Markdown for people and as data for programs, and the targets.

use serde::Serialize;
use serde_json::{Value, json};

use crate::bout::{Bout, Scene};
use crate::found;
use crate::tools::Tool;
use crate::{DISTURBED, Row};

/// What rampup is held to, and what came out.
#[derive(Debug, Clone, Serialize)]
pub struct Target {
    /// In words.
    pub what: String,
    /// The limit.
    pub limit: f64,
    /// What was measured: median, least and most of the rounds.
    pub seen: [f64; 3],
    /// Whether the median keeps to it.
    pub met: bool,
}

/// Median, least and most; none of nothing.
fn spread(mut values: Vec<f64>) -> Option<[f64; 3]> {
    values.sort_by(f64::total_cmp);
    let (least, most) = (*values.first()?, *values.last()?);
    let middle = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
    Some([middle, least, most])
}

fn of(row: &Row, value: impl Fn(&Bout) -> f64) -> Option<[f64; 3]> {
    spread(row.bouts.iter().flatten().map(value).collect())
}

/// When, where, with what.
pub fn head(versions: &[(&str, String)], missing: &[&str]) {
    println!("{}", found::here());
    let versions: Vec<_> = versions.iter().map(|(name, version)| format!("{name} ({version})")).collect();
    println!("{}", versions.join(", "));
    if !missing.is_empty() {
        println!("missing: {}; scripts/peers.sh installs them", missing.join(", "));
    }
}

/// One scene's table.
#[expect(clippy::cast_precision_loss, reason = "counts of some seconds")]
pub fn scene(scene: &Scene, rows: &[Row]) {
    println!("\n### {}: {} ({} rounds)\n", scene.name, scene.title, scene.rounds);
    println!(
        "| tool | requests per CPU-second | requests/s | cores | CPU-s whole run | peak MiB | connections | p95 off, median | p95 off, worst | runs | disturbed | remark |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |");
    for row in rows {
        let show = |value: Option<[f64; 3]>, digits: usize| {
            value.map_or("-".into(), |[median, least, most]| {
                format!("{median:.digits$} [{least:.digits$}-{most:.digits$}]")
            })
        };
        let bouts: Vec<&Bout> = row.bouts.iter().flatten().collect();
        let worst = bouts.iter().max_by(|a, b| a.off_ms().abs().total_cmp(&b.off_ms().abs()));
        let off = |percent: f64, ms: f64| format!("{percent:+.2} % ({ms:+.1} ms)");
        // Without a pause a request takes the server no time, and an error has nothing to be compared with.
        let told = scene.drive.path == "/slow";
        let median = of(row, Bout::off_percent).zip(of(row, Bout::off_ms)).filter(|_| told);
        let worst = worst.filter(|_| told);
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            row.tool.name(),
            show(of(row, Bout::per_cpu_second), 0),
            show(of(row, |bout| bout.rps), 0),
            show(of(row, |bout| bout.cores), 3),
            show(of(row, |bout| bout.cpu), 2),
            show(of(row, |bout| bout.peak_mib), 0),
            show(of(row, |bout| bout.connections as f64), 0),
            median.map_or("-".into(), |([percent, ..], [ms, ..])| off(percent, ms)),
            worst.map_or("-".into(), |bout| off(bout.off_percent(), bout.off_ms())),
            bouts.len(),
            bouts.iter().filter(|bout| bout.others > DISTURBED).count(),
            row.tool.remark(),
        );
    }
}

/// rampup's value over another tool's, round by round: what disturbs a round disturbs both.
fn ratio(rows: &[Row], peer: Tool, value: impl Fn(&Bout) -> f64) -> Option<[f64; 3]> {
    let of = |tool: Tool| rows.iter().find(|row| row.tool == tool).map(|row| &row.bouts);
    let pairs = of(Tool::Rampup)?.iter().zip(of(peer)?);
    spread(pairs.filter_map(|(ours, theirs)| Some(value(ours.as_ref()?) / value(theirs.as_ref()?))).collect())
}

/// The targets that what was run can speak of; prints them.
pub fn targets(all: &[(Scene, Vec<Row>)]) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut add = |what: &str, limit: f64, at_least: bool, seen: Option<[f64; 3]>| {
        if let Some(seen) = seen {
            let met = if at_least { seen[0] >= limit } else { seen[0] <= limit };
            targets.push(Target { what: what.into(), limit, seen, met });
        }
    };
    for (scene, rows) in all {
        let ours = rows.iter().find(|row| row.tool == Tool::Rampup);
        if scene.name == "throughput" {
            let value = Bout::per_cpu_second;
            add("requests per CPU-second over the tuned goose, at least", 0.9, true, ratio(rows, Tool::Tuned, value));
            add("requests per CPU-second over k6, at least", 3.0, true, ratio(rows, Tool::K6, value));
            continue;
        }
        if scene.name == "thousand" {
            let above: Vec<f64> =
                ours.into_iter().flat_map(|row| row.bouts.iter().flatten()).filter_map(|b| b.above_idle_mib).collect();
            add("MiB of 1000 users above the idle program, at most", 45.0, false, spread(above));
            add("CPU of 1000 users over k6, whole run, at most", 0.5, false, ratio(rows, Tool::K6, |b| b.cpu));
            add("CPU of 1000 users over k6, steady, at most", 0.5, false, ratio(rows, Tool::K6, |b| b.cores));
        }
        // Within 1 % or 1 ms: the distance in units of the wider of the two.
        let off = |bout: &Bout| bout.off_ms().abs() / (bout.truth_ms / 100.0).max(1.0);
        let what = format!("p95 of {} users off, in units of 1 % or 1 ms, at most", scene.drive.users);
        add(&what, 1.0, false, ours.and_then(|row| of(row, off)));
    }
    println!("\n### targets\n\n| target | limit | seen [range] | met |\n| --- | ---: | ---: | --- |");
    for Target { what, limit, seen: [median, least, most], met } in &targets {
        let met = if *met { "yes" } else { "**no**" };
        println!("| {what} | {limit} | {median:.2} [{least:.2}-{most:.2}] | {met} |");
    }
    targets
}

/// All of it as data.
pub fn data(versions: &[(&str, String)], all: &[(Scene, Vec<Row>)], targets: &[Target]) -> Value {
    let rows = |rows: &[Row]| -> Vec<Value> {
        rows.iter()
            .map(|row| json!({ "tool": row.tool.name(), "remark": row.tool.remark(), "rounds": row.bouts }))
            .collect()
    };
    json!({
        "at": jiff::Timestamp::now(),
        "machine": found::machine(),
        "versions": versions.iter().map(|(name, version)| json!({ "tool": name, "version": version })).collect::<Vec<_>>(),
        "scenes": all.iter().map(|(scene, bouts)| json!({ "scene": scene, "tools": rows(bouts) })).collect::<Vec<_>>(),
        "targets": targets,
    })
}
