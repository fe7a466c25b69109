//! One run over one project: what it needs, and the pump that writes an event before a face sees it.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::checks;
use crate::config::{self, Config, Environment, Settings};
use crate::domain::check::Phase;
use crate::domain::command::Command;
use crate::domain::event::{Event, EventKind, Feed};
use crate::domain::fingerprint::{Contract, Fingerprint};
use crate::domain::ids::{RunId, StepId};
use crate::domain::measurement::RampRecord;
use crate::domain::plan;
use crate::domain::progress::{Outdated, Progress, StepRecord, StepState};
use crate::domain::ramp::{Claim, RampPlan};
use crate::domain::step::Step;
use crate::engine::machine::{Effect, Input, Machine, Prepared};
use crate::engine::runner::{Reach, Runner};
use crate::headless::exit;
use crate::load::{Driver, GooseDriver};
use crate::probes::Probes;
use crate::probes::ownership::Sign;
use crate::store::Store;

use super::outside;
use super::steps_of;
use super::webhook::Webhook;

/// Why nothing (more) can be done, with the exit code that says whose turn it is.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Usage, settings or a playbook are wrong.
    #[error("{0:#}")]
    Usage(anyhow::Error),
    /// Something on this machine does not work: a file cannot be written, a service does not start.
    #[error("{0:#}")]
    Broken(anyhow::Error),
}

impl Trouble {
    /// The user can mend it in the call, the settings or a playbook.
    pub fn usage(why: impl Into<anyhow::Error>) -> Self {
        Self::Usage(why.into())
    }

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::Broken(_) => exit::INCONCLUSIVE,
        }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(why: std::io::Error) -> Self {
        Self::Broken(why.into())
    }
}

impl From<crate::store::StoreError> for Trouble {
    fn from(why: crate::store::StoreError) -> Self {
        Self::Broken(why.into())
    }
}

/// Settings and keys of the project that this folder belongs to.
pub fn configured(project: &Path, environment: &Environment) -> Result<Config, Trouble> {
    let start = std::path::absolute(project)?;
    let folder = config::find(&start).map_err(Trouble::usage)?;
    config::load(&folder, environment).map_err(Trouble::usage)
}

/// A name for a new run, behind all others here: a decision counts when it comes last, whatever the clock says. And a
/// line to tell when the clock went back.
fn name_run(project: &Path) -> Result<(RunId, Option<String>), Trouble> {
    let folder = config::find(&std::path::absolute(project)?).map_err(Trouble::usage)?;
    let named = RunId::new(Timestamp::now());
    match Store::runs(&folder)?.pop() {
        Some(last) if last >= named => {
            let said =
                format!("this machine's clock stands before the last run here, {last}, or stood ahead in that one");
            Ok((last.behind(), Some(said)))
        }
        _ => Ok((named, None)),
    }
}

/// A project as it is described right now.
struct Described {
    settings: Settings,
    steps: Vec<Step>,
    prepared: Vec<Prepared>,
    reach: Reach,
}

fn describe(project: &Path, environment: &Environment, run: &RunId, quick: bool) -> Result<Described, Trouble> {
    let Config { settings, access, passwords, .. } = configured(project, environment)?;
    let steps = steps_of(&settings)?;
    let pace = pace(&settings, quick);
    let prepared = steps.iter().map(|step| prepare(step, &settings, &pace)).collect();
    let probes = Probes::new(settings.site.clone(), access, run.clone())
        .map_err(|e| Trouble::Broken(e.into()))?
        .in_project(settings.project_dir.clone(), crate::checks::library);
    let sign = settings.ownership.as_ref().map(|o| Sign { path: o.path.clone(), nonce: o.nonce.clone() });
    let mix = settings.mix.clone();
    let reach = Reach { probes: Arc::new(probes), mix, passwords: Arc::new(passwords), sign };
    Ok(Described { settings, steps, prepared, reach })
}

/// A run, ready to take commands.
pub struct Session {
    /// The project's settings.
    pub settings: Settings,
    /// The steps in force.
    pub steps: Vec<Step>,
    environment: Environment,
    quick: bool,
    run: RunId,
    machine: Machine,
    runner: Runner,
    store: Store,
    answers: mpsc::UnboundedReceiver<Input>,
    webhook: Webhook,
    probes: Arc<Probes>,
}

impl Session {
    /// Opens the project in this folder for a new run. Takes the project's lock.
    ///
    /// # Errors
    /// When settings or playbooks are wrong, or the project is in use.
    pub fn open(project: &Path, environment: &Environment, quick: bool) -> Result<Self, Trouble> {
        Self::driving(project, environment, quick, Arc::new(GooseDriver::default()))
    }

    /// The same with another engine for its ramps.
    ///
    /// # Errors
    /// As for [`Session::open`].
    pub fn driving(
        project: &Path,
        environment: &Environment,
        quick: bool,
        driver: Arc<dyn Driver>,
    ) -> Result<Self, Trouble> {
        let (run, strange) = name_run(project)?;
        let Described { mut settings, steps, prepared, reach } = describe(project, environment, &run, quick)?;
        settings.notes.extend(strange);
        let store = Store::open(&settings.project_dir, &run)?;
        let machine = Machine::new(run.clone(), prepared, store.progress().clone(), store.ramps());
        let (inputs, answers) = mpsc::unbounded_channel();
        let probes = reach.probes.clone();
        let runner = Runner::new(reach, driver, store.ramps(), inputs);
        let webhook = Webhook::new(environment, &settings.site.name);
        let environment = environment.clone();
        Ok(Self { settings, steps, environment, quick, run, machine, runner, store, answers, webhook, probes })
    }

    /// Reads settings, playbooks and keys again: a remedy usually changes some of them.
    fn refresh(&mut self) -> Result<(), Trouble> {
        let now = describe(&self.settings.project_dir, &self.environment, &self.run, self.quick)?;
        self.machine.prepare(now.prepared);
        self.runner.turn_to(now.reach);
        (self.settings, self.steps) = (now.settings, now.steps);
        Ok(())
    }

    /// The state of every step now.
    #[must_use]
    pub fn states(&self) -> Vec<(StepId, StepState)> {
        self.machine.states(Timestamp::now())
    }

    /// What a ramp of each step would drive and could show.
    #[must_use]
    pub fn plans(&self) -> BTreeMap<StepId, (RampPlan, Claim)> {
        self.machine.plans()
    }

    /// True when progress comes from a newer rampup, and what is decided here reaches the log alone.
    #[must_use]
    pub fn is_outranked(&self) -> bool {
        self.store.is_outranked()
    }

    /// What was seen when each step was last judged.
    ///
    /// # Errors
    /// When a run's log cannot be read.
    pub fn past(&self) -> Result<Vec<Event>, Trouble> {
        Ok(self.store.past()?)
    }

    /// Proofs whose basis changed, and how.
    #[must_use]
    pub fn outdated(&self) -> BTreeMap<StepId, Outdated> {
        let plans = self.plans();
        let takes = |id: StepId| plans.get(&id).map_or(Duration::ZERO, |(_, claim)| claim.takes);
        self.progress().outdated(&|id| self.contract(id), &takes, today())
    }

    /// The proof of a step, as long as it stands today.
    #[must_use]
    pub fn proof(&self, step: StepId) -> Option<&StepRecord> {
        self.progress().proof(step, &self.contract(step), today())
    }

    /// True when a full proof of this step stands and only practice measurements are made here.
    #[must_use]
    pub fn proven_in_full(&self, step: StepId) -> bool {
        self.machine.proven_in_full(step, Timestamp::now())
    }

    /// The commit that is checked out and what differs from it; where there is no git, what the platform says.
    pub async fn commit(&self) -> (Option<String>, Option<String>) {
        match super::commit::of(&self.settings.project_dir).await {
            (None, None) => (self.environment.commit().map(str::to_owned), None),
            known => known,
        }
    }

    /// The deployment at the platform that a run would be about now, where it can be asked.
    pub async fn deployment(&self) -> Option<String> {
        outside::deployment(&self.probes).await.0
    }

    /// What a proof of a step rests on today.
    #[must_use]
    pub fn contract(&self, step: StepId) -> Contract {
        self.settings.contract(&self.steps[step.index()], self.quick)
    }

    /// Measured ramps of all runs whose logs are here, the newest last.
    #[must_use]
    pub fn ramps(&self) -> Vec<RampRecord> {
        self.store.ramps()
    }

    /// What is known so far.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        self.machine.progress()
    }

    /// Takes commands until their sender is gone and the last job is over; feeds the face as it goes.
    ///
    /// # Errors
    /// When an event cannot be written: then nothing may be shown either, and the load is cut.
    pub async fn pump(
        &mut self,
        mut commands: mpsc::Receiver<Command>,
        feed: mpsc::Sender<Feed>,
    ) -> Result<(), Trouble> {
        let outside = async { tokio::join!(outside::deployment(&self.probes), outside::rules(&self.probes)) };
        let ((commit, dirty), ((deployment, untold), (rules, unread))) = tokio::join!(self.commit(), outside);
        let fingerprint = Fingerprint {
            product: env!("CARGO_PKG_VERSION").to_owned(),
            commit,
            dirty,
            settings: self.settings.digest.clone(),
            settings_by_name: self.settings.digests.clone(),
            deployment,
            rules,
        };
        let target = self.settings.site.url.origin().ascii_serialization();
        let began = self.machine.begin(Timestamp::now(), fingerprint, self.settings.site.name.clone(), target);
        self.settle(began, &feed).await?;
        for note in [self.settings.notes.as_slice(), self.store.notes(), untold.as_slice(), unread.as_slice()].concat()
        {
            let noted = self.machine.on(Timestamp::now(), Input::Note(note));
            self.settle(noted, &feed).await?;
        }
        let mut open = true;
        while open || self.machine.busy() {
            let input = tokio::select! {
                command = commands.recv(), if open => match command {
                    Some(Command::Quit) | None => {
                        open = false;
                        Input::Command(Command::Stop)
                    }
                    Some(command) => Input::Command(command),
                },
                Some(answer) = self.answers.recv() => answer,
            };
            let wants_systems =
                matches!(&input, Input::Command(Command::Verify(_) | Command::Run(_) | Command::Ramp(_)));
            let effects = if wants_systems
                && !self.machine.busy()
                && let Err(why) = self.refresh()
            {
                let mut refused = self.machine.on(Timestamp::now(), Input::Note(why.to_string()));
                refused.push(Effect::Idle);
                refused
            } else {
                self.machine.on(Timestamp::now(), input)
            };
            if let Err(trouble) = self.settle(effects, &feed).await {
                self.runner.carry_out(Effect::Cancel);
                return Err(trouble);
            }
        }
        for note in self.webhook.settle().await {
            let noted = self.machine.on(Timestamp::now(), Input::Note(note));
            self.settle(noted, &feed).await?;
        }
        Ok(())
    }

    /// Ends the run's log with the exit code it ends with.
    ///
    /// # Errors
    /// When the event cannot be written.
    pub fn finish(&mut self, exit: u8) -> Result<(), Trouble> {
        for effect in self.machine.on(Timestamp::now(), Input::Finish(exit)) {
            if let Effect::Record(event) = effect {
                self.store.record(&event)?;
            }
        }
        Ok(())
    }

    async fn settle(&mut self, effects: Vec<Effect>, feed: &mpsc::Sender<Feed>) -> Result<(), Trouble> {
        let mut effects = VecDeque::from(effects);
        let mut taken_in = false;
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Record(event) => {
                    self.store.record(&event)?;
                    // Behind what is decided already: events are numbered in the order in which they were made.
                    for note in self.store.news() {
                        taken_in = true;
                        effects.extend(self.machine.on(Timestamp::now(), Input::Note(note)));
                    }
                    self.webhook.tell(&event);
                    self.show(*event, feed).await;
                }
                Effect::Idle => {
                    // From here on the ramp that was just judged is history for the steps to come.
                    self.runner.remember(self.store.ramps());
                    // A face that has gone misses nothing: what counts is on disk.
                    let _ = feed.send(Feed::States(self.states())).await;
                    let _ = feed.send(Feed::Busy(false)).await;
                }
                effect => self.runner.carry_out(effect),
            }
        }
        if taken_in {
            // All that was decided is in the store by now, and what somebody else wrote into the file.
            self.machine.adopt(self.store.progress().clone());
            let _ = feed.send(Feed::States(self.states())).await;
        }
        Ok(())
    }

    async fn show(&mut self, event: Event, feed: &mpsc::Sender<Feed>) {
        let changes_states =
            event.kind.decides() || matches!(event.kind, EventKind::RunStarted { .. } | EventKind::StepStarted { .. });
        if matches!(event.kind, EventKind::StepStarted { .. }) {
            let _ = feed.send(Feed::Busy(true)).await;
        }
        let droppable = event.kind.is_droppable();
        let event = Feed::Event(Box::new(event));
        if droppable {
            let _ = feed.try_send(event);
        } else {
            let _ = feed.send(event).await;
        }
        if changes_states {
            let _ = feed.send(Feed::States(self.states())).await;
        }
    }
}

/// The day by which waivers end.
fn today() -> jiff::civil::Date {
    Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// How ramps of this project are planned.
pub(super) fn pace(settings: &Settings, quick: bool) -> plan::Pace {
    let config::Pace { climb, settle_limit, timeout, model } = settings.pace;
    plan::Pace { quick, climb, settle_limit, timeout, model }
}

fn prepare(step: &Step, settings: &Settings, pace: &plan::Pace) -> Prepared {
    let slo = settings.slo_of(step);
    let seed = rand::random();
    let (plan, claim) = plan::plan(&step.gate, &slo, &settings.mix, pace, seed);
    let that = |is: fn(&checks::Entry) -> bool| {
        let named = step.checks.iter().filter(move |line| checks::find(&line.check.0).is_some_and(is));
        named.map(|line| line.check.clone()).collect()
    };
    let (after, alone) = (that(|entry| entry.phase == Phase::After), that(|entry| entry.alone));
    let contract = settings.contract(step, pace.quick);
    Prepared { step: step.clone(), after, alone, contract, slo, plan, claim, web: settings.web }
}
