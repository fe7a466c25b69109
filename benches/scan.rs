//! `rampup scan` beside labels that people made by hand: fact by project, right, wrong or unknown, and what it took.
//!
//! `cargo bench --bench scan -- DIR labels.jsonl`. DIR holds one checkout a project at its labelled commit, in a folder
//! named `owner+name`; a line of the labels names `repo` and `facts` (docs/scan.md). Without both it says so and ends.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark: a panic is the finding, the table is its answer"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use rampup::django::Scan;
use serde_json::Value;

/// Scans of each project; the quickest counts.
const ROUNDS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [folder, labels] = arguments.as_slice() else {
        println!("nothing to scan: cargo bench --bench scan -- DIR labels.jsonl (docs/scan.md)");
        return;
    };
    let labels = std::fs::read_to_string(labels).unwrap();
    let labels: Vec<Value> = labels.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut marks: Vec<(String, Vec<Mark>)> = Vec::new();
    let mut times = Vec::new();
    for label in &labels {
        let root = Path::new(folder).join(label["repo"].as_str().unwrap().replace('/', "+"));
        let (scan, milliseconds) = quickest(&root);
        times.push(milliseconds);
        for (at, (name, fact)) in scan.facts.iter().enumerate() {
            if marks.len() == at {
                marks.push(((*name).to_owned(), Vec::new()));
            }
            marks[at].1.push(Mark::of(&label["facts"][*name], &fact.value));
        }
    }
    let projects: Vec<&str> =
        labels.iter().map(|label| label["repo"].as_str().unwrap().rsplit('/').next().unwrap()).collect();
    println!(
        "| fact | {} | right | wrong | unknown |\n|---|{}---|---|---|",
        projects.join(" | "),
        "---|".repeat(projects.len())
    );
    let mut sums = BTreeMap::new();
    for (name, marks) in &marks {
        let cells: Vec<&str> = marks.iter().map(|mark| mark.sign()).collect();
        let count = |wanted: Mark| marks.iter().filter(|mark| **mark == wanted).count();
        println!(
            "| {name} | {} | {} | {} | {} |",
            cells.join(" | "),
            count(Mark::Right),
            count(Mark::Wrong),
            count(Mark::Unknown)
        );
        marks.iter().for_each(|mark| *sums.entry(mark.sign()).or_insert(0) += 1);
    }
    let times: Vec<String> = times.iter().map(|time| format!("{time:.0}")).collect();
    println!("| milliseconds | {} | | | |\n", times.join(" | "));
    println!("{sums:?}: + right, x wrong, ? said that it cannot know");
}

fn quickest(root: &Path) -> (Scan, f64) {
    let rounds = (0..ROUNDS).map(|_| {
        let began = Instant::now();
        (Scan::read(root).unwrap(), began.elapsed().as_secs_f64() * 1e3)
    });
    rounds.min_by(|one, other| one.1.total_cmp(&other.1)).unwrap()
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Right,
    Wrong,
    Unknown,
}

impl Mark {
    /// The label, what its `accept` lists, and nothing else is right; an answer under another switch (`alt`) is right
    /// only as an alternative, which is not marked here. `unknown` is right where the label says it.
    fn of(label: &Value, value: &str) -> Self {
        let accepted = label["accept"].as_array().into_iter().flatten().chain([&label["value"]]);
        match accepted.into_iter().any(|one| one == value) {
            true => Self::Right,
            false if value == "unknown" => Self::Unknown,
            false => Self::Wrong,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Right => "+",
            Self::Wrong => "x",
            Self::Unknown => "?",
        }
    }
}
