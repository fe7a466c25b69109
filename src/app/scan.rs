//! `rampup scan`: what a Django project's files tell, as a table for people or as JSON for programs.

use std::io::Write;
use std::path::Path;

use crate::cli;
use crate::django::{Fact, Scan};
use crate::headless::exit;

use super::session::Trouble;

/// Prints what a project's files tell. The code is 2 when there is no Django project.
pub fn scan(project: &Path, wish: &cli::Scan, out: &mut dyn Write) -> Result<u8, Trouble> {
    let scan = Scan::read(&project.join(&wish.folder)).map_err(Trouble::usage)?;
    if wish.json {
        serde_json::to_writer_pretty(&mut *out, &scan).map_err(std::io::Error::from)?;
        writeln!(out)?;
        return Ok(exit::PROVEN);
    }
    let width = |of: fn(&Fact) -> usize| scan.facts.iter().map(|(_, fact)| of(fact)).max().unwrap_or(0);
    let (values, places) =
        (width(|fact| fact.value.len()), width(|fact| fact.evidence.as_ref().map_or(1, String::len)));
    writeln!(out, "{:<28}{:<values$}  {:<places$}  when", "fact", "value", "evidence")?;
    for (name, fact) in &scan.facts {
        let place = fact.evidence.as_deref().unwrap_or("-");
        let row = format!("{name:<28}{:<values$}  {place:<places$}  {}", fact.value, said(fact));
        writeln!(out, "{}", row.trim_end())?;
    }
    for remark in &scan.remarks {
        writeln!(out, "{remark}")?;
    }
    Ok(exit::PROVEN)
}

/// When it holds, what else it may be, and what there is to add.
fn said(fact: &Fact) -> String {
    let others = fact.alt.iter().map(|(when, value)| format!("{value} with {when}"));
    let more = fact.detail.iter().chain(&fact.why).map(|text| format!("({text})"));
    fact.when.clone().into_iter().chain(others).chain(more).collect::<Vec<_>>().join("; ")
}
