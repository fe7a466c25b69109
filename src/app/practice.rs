//! The practice stack seen from the command line: `demo` and `lab`. Writes the practice project's settings and keys.

use std::collections::BTreeSet;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::cli::{Cli, Demo, LabFault, LabPlace, LabStep, LabUp, LabVerb};
use crate::config::Environment;
use crate::headless::{exit, stdout};
use crate::lab::{Fault, Lab, Layout, Progress};
use crate::store::{Store, atomic};

use super::session::Trouble;
use super::signals::Signals;
use super::{bench, climb, terminal};

/// The practice site's settings, with the ports to fill in.
const SETTINGS: &str = include_str!("../../assets/lab/rampup.toml");

/// What they say of the clouds, where stand-ins for those run.
const CLOUDS: &str = r#"[site.railway]
token_env = "CLOUDS_TOKEN"
service = "web"
api = "http://127.0.0.1:{{port.clouds}}"

[site.cloudflare]
token_env = "CLOUDS_TOKEN"
zone = "shop.example"
api = "http://127.0.0.1:{{port.clouds}}"

[services]
"#;

/// `rampup lab …`.
pub async fn lab(environment: &Environment, verb: &LabVerb) -> Result<u8, Trouble> {
    match verb {
        LabVerb::Up(LabUp { queue, clouds, yes, place }) => {
            let mut lab = open(environment, place)?;
            consent(&lab, *yes)?;
            if let Some(library) = queue {
                lab.choose_queue(library).map_err(broken)?;
            }
            if let Some(on) = clouds {
                lab.choose_clouds(*on).map_err(broken)?;
            }
            start(&mut lab).await?;
            let project = write_project(&lab, &lab.project_dir(), Promise::Usual)?;
            say(&format!("the shop is at http://127.0.0.1:{}/", port(&lab, "edge")))?;
            say(&format!("climb it: rampup -C {} run", project.display()))?;
            Ok(exit::PROVEN)
        }
        LabVerb::Down(place) => {
            let mut lab = open(environment, place)?;
            lab.down(&narrator()).await.map_err(broken)?;
            say("every process of the practice stack has ended")?;
            Ok(exit::PROVEN)
        }
        LabVerb::Status(place) => status(&open(environment, place)?).await,
        LabVerb::Fix(wish) => change(environment, wish, Change::Fix).await,
        LabVerb::Unfix(wish) => change(environment, wish, Change::Unfix).await,
        LabVerb::Climbed(wish) => change(environment, wish, Change::Climbed).await,
        LabVerb::Climb(wish) => {
            let mut lab = open(environment, &wish.place)?;
            consent(&lab, wish.yes)?;
            let mut signals = Signals::take()?;
            let prepared = start_unless(&mut lab, &mut signals).await;
            let climbed = match prepared {
                Ok(Some(code)) => Ok(code),
                Ok(None) => climb::climb(&mut lab, environment, wish, &mut signals).await,
                Err(trouble) => Err(trouble),
            };
            lab.down(&narrator()).await.map_err(broken)?;
            climbed
        }
        LabVerb::Faults(wish) => list_faults(&open(environment, &wish.place)?, wish.output.json),
        LabVerb::Break(wish) => {
            if wish.faults.is_empty() {
                return Err(Trouble::usage(anyhow!("name a fault; `rampup lab faults` lists them")));
            }
            mutate(environment, wish, |now, named| now.union(named).cloned().collect()).await
        }
        LabVerb::Mend(wish) if wish.faults.is_empty() => mutate(environment, wish, |_, _| BTreeSet::new()).await,
        LabVerb::Mend(wish) => mutate(environment, wish, |now, named| now.difference(named).cloned().collect()).await,
        LabVerb::Bench(wish) => {
            let mut lab = open(environment, &wish.place)?;
            consent(&lab, wish.yes)?;
            let mut signals = Signals::take()?;
            let benched = match start_unless(&mut lab, &mut signals).await {
                Ok(Some(code)) => Ok(code),
                Ok(None) => bench::bench(&mut lab, environment, wish, &mut signals).await,
                Err(trouble) => Err(trouble),
            };
            // However it ended: the next command shall not find a stack that is broken without a word.
            lab.broken_by(BTreeSet::new(), &narrator()).await.map_err(broken)?;
            lab.down(&narrator()).await.map_err(broken)?;
            benched
        }
    }
}

fn list_faults(lab: &Lab, json: bool) -> Result<u8, Trouble> {
    for fault in lab.faults().map_err(broken)? {
        let Fault { id, title, step, healthy, expected, .. } = &fault;
        let line = if json {
            serde_json::json!({
                "id": id, "step": step, "title": title, "healthy": healthy, "expected": expected,
                "in_force": lab.broken().contains(id),
            })
            .to_string()
        } else {
            let mark = if lab.broken().contains(id) { "*" } else { " " };
            let kind = if *healthy { "  (healthy)" } else { "" };
            format!("{step:>2} {mark} {id:<33}  {title}{kind}")
        };
        say(&line)?;
    }
    Ok(exit::PROVEN)
}

/// Puts faults into the running stack or takes them out.
async fn mutate(
    environment: &Environment,
    wish: &LabFault,
    wanted: impl Fn(&BTreeSet<String>, &BTreeSet<String>) -> BTreeSet<String>,
) -> Result<u8, Trouble> {
    let mut lab = open(environment, &wish.place)?;
    consent(&lab, wish.yes)?;
    start(&mut lab).await?;
    let wanted = wanted(lab.broken(), &wish.faults.iter().cloned().collect());
    let done = lab.broken_by(wanted, &Progress::new(|_| ())).await.map_err(broken)?;
    done.iter().try_for_each(|line| say(line))?;
    write_project(&lab, &lab.project_dir(), Promise::Usual)?;
    Ok(exit::PROVEN)
}

/// `rampup demo`.
pub async fn demo(cli: &Cli, environment: &Environment, wish: &Demo) -> Result<u8, Trouble> {
    if !io::stdout().is_terminal() {
        return Err(Trouble::usage(anyhow!(
            "the demo is for a terminal; in a script, `rampup lab climb --yes --quick` climbs the same stack"
        )));
    }
    let mut lab = open(environment, &wish.place)?;
    consent(&lab, wish.yes)?;
    let mut signals = Signals::take()?;
    let shown = match start_unless(&mut lab, &mut signals).await {
        Ok(Some(code)) => Ok(code),
        Ok(None) => {
            begin_naive(&mut lab).await?;
            let project = write_project(&lab, &lab.project_dir(), Promise::Usual)?;
            let place = wish.place.lab.as_ref().map_or_else(String::new, |dir| format!(" --lab {}", dir.display()));
            let demo = Some(format!("rampup lab fix{place}"));
            terminal::show(cli, environment, terminal::Opening { project: &project, quick: !wish.full, demo }).await
        }
        Err(trouble) => Err(trouble),
    };
    lab.down(&narrator()).await.map_err(broken)?;
    shown
}

/// A climb of which nothing is known yet starts at a naive shop, whatever was tried on the stack before.
async fn begin_naive(lab: &mut Lab) -> Result<(), Trouble> {
    let (progress, _) = Store::read(&lab.project_dir())?;
    if progress.steps.is_empty() && !lab.applied().is_empty() {
        lab.climbed(0, &narrator()).await.map_err(broken)?;
    }
    Ok(())
}

enum Change {
    Fix,
    Unfix,
    Climbed,
}

async fn change(environment: &Environment, wish: &LabStep, change: Change) -> Result<u8, Trouble> {
    if wish.step == 0 && !matches!(change, Change::Climbed) {
        return Err(Trouble::usage(anyhow!("there is no step 0; steps are 1 to 10")));
    }
    let mut lab = open(environment, &wish.place)?;
    consent(&lab, wish.yes)?;
    start(&mut lab).await?;
    let progress = narrator();
    let done = match change {
        Change::Fix => lab.fix(wish.step, &progress).await,
        Change::Unfix => lab.unfix(wish.step, &progress).await,
        Change::Climbed => lab.climbed(wish.step, &progress).await,
    };
    for line in done.map_err(broken)? {
        say(&line)?;
    }
    write_project(&lab, &lab.project_dir(), Promise::Usual)?;
    Ok(exit::PROVEN)
}

async fn status(lab: &Lab) -> Result<u8, Trouble> {
    let parts = lab.status().await.map_err(broken)?;
    let mut well = true;
    for part in &parts {
        let (word, detail) = match (&part.refusal, part.wanted) {
            (None, _) => ("up", String::new()),
            (Some(_), false) => ("off", "a later step starts it".to_owned()),
            (Some(why), true) => ("down", why.clone()),
        };
        well &= word != "down";
        let port = part.port.map_or_else(String::new, |port| port.to_string());
        say(&format!("{:<14} {port:>5}  {word:<5} {detail}", part.service.name()))?;
    }
    let applied: Vec<String> = lab.applied().iter().map(ToString::to_string).collect();
    let applied = if applied.is_empty() { "none, it is naive".to_owned() } else { applied.join(", ") };
    say(&format!("remedies in place: {applied}"))?;
    Ok(if well { exit::PROVEN } else { exit::FAILED })
}

/// Says what is missing and asks once whether it may be installed. Before signals are taken over: the answer is read
/// from the terminal, where ctrl-c must still mean no.
fn consent(lab: &Lab, yes: bool) -> Result<(), Trouble> {
    let needs = lab.needs().map_err(broken)?;
    if needs.is_empty() {
        return Ok(());
    }
    if let Some(obstacle) = needs.obstacle() {
        return Err(broken(obstacle));
    }
    say("the practice stack needs to:")?;
    for sentence in needs.sentences() {
        say(&format!("  - {sentence}"))?;
    }
    if yes || agreed()? {
        Ok(())
    } else {
        Err(Trouble::usage(anyhow!("nothing was installed; run the same with --yes, or the lines above by hand")))
    }
}

/// Installs what was consented to, and starts every part.
async fn start(lab: &mut Lab) -> Result<(), Trouble> {
    let progress = narrator();
    if !lab.needs().map_err(broken)?.is_empty() {
        lab.install(&progress).await.map_err(broken)?;
    }
    lab.up(&progress).await.map_err(broken)
}

/// The same, given up at a signal: then its exit code.
async fn start_unless(lab: &mut Lab, signals: &mut Signals) -> Result<Option<u8>, Trouble> {
    tokio::select! {
        started = start(lab) => started.map(|()| None),
        code = signals.next() => Ok(Some(code)),
    }
}

fn agreed() -> Result<bool, Trouble> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    let mut err = io::stderr();
    write!(err, "install it now? [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// How fast the practice shop must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// The guide's 300 ms.
    Usual,
    /// Five times that, for a climb that tries the machinery and not the machine.
    Loose,
}

/// Writes rampup.toml (unless it is already the same) and the keys it names, as they are now.
pub fn write_project(lab: &Lab, project: &Path, promise: Promise) -> Result<PathBuf, Trouble> {
    let settings = if lab.clouds() { SETTINGS.replace("[services]\n", CLOUDS) } else { SETTINGS.to_owned() };
    let settings = ["edge", "web", "sink_http", "s3", "clouds"]
        .into_iter()
        .fold(settings, |text, name| text.replace(&format!("{{{{port.{name}}}}}"), &port(lab, name).to_string()));
    // Huey's queue is named by its owner; the others' have usual names.
    let settings = match lab.library().as_str() {
        "huey" => settings.replace("\nqueue = \"celery\"\n", "\nqueue = \"huey\"\n"),
        _ => settings,
    };
    let settings = match promise {
        Promise::Usual => settings,
        Promise::Loose => {
            settings.replace("\np95_ms = 300\n", "\np95_ms = 1500    # QUICK: a busy machine must not decide\n")
        }
    };
    std::fs::create_dir_all(project).with_context(|| format!("cannot make {}", project.display())).map_err(broken)?;
    atomic::write(&project.join("rampup.toml"), settings.as_bytes()).map_err(broken)?;
    let keys: String = lab.environment().iter().map(|(name, value)| format!("{name}={}\n", value.expose())).collect();
    atomic::write_private(&project.join(".env"), keys.as_bytes()).map_err(broken)?;
    Ok(project.to_owned())
}

/// A port of the stack; 0 before its first start, which every caller makes first.
fn port(lab: &Lab, name: &str) -> u16 {
    lab.ports().get(name).copied().unwrap_or(0)
}

fn open(environment: &Environment, place: &LabPlace) -> Result<Lab, Trouble> {
    let folder = match &place.lab {
        Some(folder) => std::path::absolute(folder)?,
        None => {
            let home = environment.data_home().ok_or_else(|| {
                Trouble::usage(anyhow!(
                    "there is no home folder to keep the practice stack in; name one with --lab DIR"
                ))
            })?;
            Layout::usual(&home)
        }
    };
    Lab::open(&folder).map_err(broken)
}

/// Says what is going on, on stderr: stdout is for results.
pub(super) fn narrator() -> Progress {
    Progress::new(|line| {
        // Progress that cannot be shown is no reason to stop.
        let _ = writeln!(io::stderr(), "  {line}");
    })
}

fn say(line: &str) -> Result<(), Trouble> {
    Ok(writeln!(stdout(), "{line}")?)
}

fn broken(why: impl Into<anyhow::Error>) -> Trouble {
    Trouble::Broken(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn the_practice_site_is_described_with_its_clouds_and_without() {
        let folder = tempfile::tempdir().unwrap();
        let mut lab = Lab::open(folder.path()).unwrap();
        let project = folder.path().join("project");
        let read = |lab: &Lab| {
            write_project(lab, &project, Promise::Usual).unwrap();
            let text = std::fs::read_to_string(project.join("rampup.toml")).unwrap();
            config::parse(&text, &project).unwrap().site
        };
        let without = read(&lab);
        assert!(without.railway.is_none() && without.cloudflare.is_none() && without.sentry.is_some());
        lab.choose_clouds(true).unwrap();
        let with = read(&lab);
        assert!(with.railway.is_some() && with.cloudflare.is_some());
    }
}
