//! `rampup flow check`: each flow once, by one user and without thinking: what was sent, what came back, what was kept,
//! and where in the file a step that failed is written.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use serde_json::json;

use crate::cli::FlowCheck;
use crate::config::{self, Config, Environment, FlowPlaces};
use crate::domain::flow::{Flow, Mix};
use crate::domain::place::Place;
use crate::domain::text::tame;
use crate::headless::exit;
use crate::load::{LoadError, StepReport, walk_once};

use super::session::{Trouble, configured};

/// Columns of a line, so that it fits on a usual screen.
const WIDTH: usize = 80;

/// Walks through all flows, or the one that is named.
pub async fn check(
    project: &Path,
    environment: &Environment,
    wish: &FlowCheck,
    out: &mut dyn Write,
) -> Result<u8, Trouble> {
    let Config { settings, passwords, .. } = configured(project, environment)?;
    let passwords = Arc::new(passwords);
    let places = config::places(&settings.project_dir).map_err(Trouble::usage)?;
    let wanted = |flow: &Flow| wish.name.as_ref().is_none_or(|name| *name == flow.name);
    let flows: Vec<_> = settings.mix.flows.iter().zip(&places).filter(|(flow, _)| wanted(flow)).collect();
    if flows.is_empty() {
        let known: Vec<_> = settings.mix.flows.iter().map(|flow| flow.name.as_str()).collect();
        let name = wish.name.as_deref().unwrap_or_default();
        return Err(Trouble::usage(anyhow!("there is no flow {name:?}; there are {}", known.join(", "))));
    }
    let mut good = true;
    for (flow, places) in flows {
        if !wish.output.json {
            writeln!(out, "{}  ({}:{})", tame(&flow.name, 60), config::FILE, places.flow.line)?;
        }
        // Alone, so that another flow's missing password does not stand in the way.
        let mix = Mix { flows: vec![flow.clone()], ..settings.mix.clone() };
        let target = &settings.site.url;
        let walk = walk_once(&mix, &flow.name, target, passwords.clone(), settings.pace.timeout, 0).await;
        let reports = walk.map_err(|why| match why {
            LoadError::Resolve { .. } | LoadError::Client(_) => Trouble::Broken(why.into()),
            _ => Trouble::usage(why),
        })?;
        for report in &reports {
            good &= report.error.is_none();
            let place = places.of(report.step);
            if wish.output.json {
                writeln!(out, "{}", line_of_json(flow, report, place))?;
            } else {
                show(flow, report, place, out)?;
            }
        }
        let walked = reports.iter().filter(|report| report.step.is_some()).count();
        if walked < flow.steps.len() && !wish.output.json {
            match flow.steps.len() - walked {
                1 => writeln!(out, "        1 more step was not reached")?,
                left => writeln!(out, "        {left} more steps were not reached")?,
            }
        }
    }
    Ok(if good { exit::PROVEN } else { exit::FAILED })
}

fn show(flow: &Flow, report: &StepReport, place: Place, out: &mut dyn Write) -> std::io::Result<()> {
    let status = report.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    let figures = format!("{status:>4} {:>6.0} ms {:>9}", report.latency_ms, size(report.bytes));
    let word = if report.error.is_none() { "ok  " } else { "FAIL" };
    let said = format!("  {word}  {}", tame(&report.name, 40));
    let room = WIDTH - figures.chars().count() - 1;
    writeln!(out, "{:<room$} {figures}", tame(&said, room - 1))?;
    if !report.method.is_empty() {
        let sent = format!("{} {}", report.method, report.path);
        // Named like what it sends, it has been said.
        if report.path != report.name {
            writeln!(out, "        {}", tame(&sent, WIDTH - 9))?;
        }
    }
    for (name, value) in &report.extracted {
        let value = value.as_deref().unwrap_or("(not shown)");
        writeln!(out, "        {}", tame(&format!("{name} = {value}"), WIDTH - 9))?;
    }
    if report.files.0 > 0 {
        let (all, lost) = report.files;
        let lost = if lost > 0 { format!(", {lost} of them did not come") } else { String::new() };
        writeln!(out, "        {all} files that the page links to{lost}")?;
    }
    if let Some(remark) = remark(flow, report) {
        writeln!(out, "        note: {remark}")?;
    }
    if let Some(why) = &report.error {
        writeln!(out, "        {why}")?;
        writeln!(out, "        {}:{place}", config::FILE)?;
    }
    Ok(())
}

/// What is right by default and often wrong: a redirect that nobody asked for may lead to a login page, and Django shows
/// a form that it refused again, with 200.
fn remark(flow: &Flow, report: &StepReport) -> Option<&'static str> {
    let step = flow.steps.get(report.step?)?;
    let told = step.expect_text.is_some() || step.expect_select.is_some() || !step.expect_json.is_empty();
    match report.status? {
        _ if report.error.is_some() => None,
        300..400 if step.expect.is_empty() => {
            Some("a redirect, not followed; write expect = [200] if a page was meant")
        }
        200 if step.post.is_some() && !step.form.is_empty() && !told => {
            Some("200, which Django says to a refused form too; write expect = [302]")
        }
        _ => None,
    }
}

fn line_of_json(flow: &Flow, report: &StepReport, place: Place) -> serde_json::Value {
    let extracted: serde_json::Map<_, _> =
        report.extracted.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "flow": flow.name,
        "step": report.name,
        "ok": report.error.is_none(),
        "method": report.method,
        "path": report.path,
        "status": report.status,
        "ms": report.latency_ms,
        "bytes": report.bytes,
        "extracted": extracted,
        "files": report.files.0,
        "files_lost": report.files.1,
        "note": remark(flow, report),
        "error": report.error,
        "place": format!("{}:{place}", config::FILE),
    })
}

fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "bodies are far below 2^52 bytes")]
    let kilo = bytes as f64 / 1000.0;
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{kilo:.1} kB"),
        _ => format!("{:.1} MB", kilo / 1000.0),
    }
}

impl FlowPlaces {
    /// Of a step, or of the login.
    fn of(&self, step: Option<usize>) -> Place {
        step.map_or(self.login, |step| self.steps.get(step).copied()).unwrap_or(self.flow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_wrong_is_remarked_and_what_was_told_is_not() {
        let word = |step: &str, status| {
            let flow: Flow = toml::from_str(&format!("name = \"f\"\nweight = 1\n[[step]]\n{step}")).unwrap();
            remark(&flow, &StepReport { step: Some(0), status: Some(status), ..StepReport::default() }).unwrap_or("-")
        };
        assert!(word("get = \"/\"", 302).starts_with("a redirect"));
        assert_eq!(word("get = \"/\"\nexpect = [302]", 302), "-");
        assert!(
            word("post = \"/contact/\"\nform = { a = \"b\" }\nexpect = [200]", 200).starts_with("200, which Django")
        );
        for told in ["expect_text = \"Thank you\"", "expect_select = \"p.thanks\""] {
            assert_eq!(word(&format!("post = \"/contact/\"\nform = {{ a = \"b\" }}\n{told}"), 200), "-");
        }
        assert_eq!(word("get = \"/\"", 200), "-");
        assert_eq!(word("post = \"/api/\"\njson = \"{}\"", 200), "-");
    }
}
