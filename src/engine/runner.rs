//! Carries out what the machine wants: asks checks, drives ramps, cuts both short. It decides nothing and writes
//! nothing; every answer goes back to the machine as an [`Input`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::checks::{self, Context};
use crate::domain::check::{CheckOutcome, Evidence, Missing, Rung};
use crate::domain::flow::Mix;
use crate::domain::ids::{StepId, TaskId};
use crate::domain::measurement::{Measurement, RampFacts, RampRecord};
use crate::domain::progress::Standing;
use crate::domain::ramp::{RampPhase, RampPlan};
use crate::domain::secret::Secret;
use crate::domain::slo::Slo;
use crate::domain::step::CheckLine;
use crate::domain::verdict::after_look;
use crate::engine::machine::{Effect, Input};
use crate::engine::sampler::Sampler;
use crate::load::{BoxFuture, Driver, LoadError, Onlooker, Order, Signal};
use crate::probes::lease::{self, Taken};
use crate::probes::ownership::{self, Ownership, Sign};
use crate::probes::{ProbeError, Probes};

/// No check may look longer than this; the slowest one waits two minutes for Sentry.
const CHECK_LIMIT: Duration = Duration::from_secs(150);

/// The user's systems as the settings and the environment describe them right now.
#[derive(Clone)]
pub struct Reach {
    /// What checks ask.
    pub probes: Arc<Probes>,
    /// What users do.
    pub mix: Mix,
    /// Passwords of the test users.
    pub passwords: Arc<BTreeMap<String, Secret>>,
    /// The sign that the target is ours.
    pub sign: Option<Sign>,
}

/// Carries out the machine's effects.
pub struct Runner {
    reach: Reach,
    driver: Arc<dyn Driver>,
    history: Vec<RampRecord>,
    inputs: mpsc::UnboundedSender<Input>,
    cut: CancellationToken,
}

impl Runner {
    /// A runner that answers into `inputs`.
    #[must_use]
    pub fn new(
        reach: Reach,
        driver: Arc<dyn Driver>,
        history: Vec<RampRecord>,
        inputs: mpsc::UnboundedSender<Input>,
    ) -> Self {
        Self { reach, driver, history, inputs, cut: CancellationToken::new() }
    }

    /// Reaches the systems as they are described now; questions under way keep what they were given.
    pub fn turn_to(&mut self, reach: Reach) {
        self.reach = reach;
    }

    /// Learns the ramps that later checks may compare with.
    pub fn remember(&mut self, history: Vec<RampRecord>) {
        self.history = history;
    }

    /// Carries out one effect. `Record` and `Idle` are not for the runner and do nothing here.
    pub fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Gather { task, step, line, ramp, before } => self.gather(task, step, line, ramp, before),
            Effect::Drive { task, step: _, plan, slo, endpoints } => self.drive(task, plan, slo, endpoints),
            Effect::Cancel => self.cut.cancel(),
            Effect::Record(_) | Effect::Idle => {}
        }
    }

    /// A token for the next question; one that was cut stays cut for the questions it was given to.
    fn token(&mut self) -> CancellationToken {
        if self.cut.is_cancelled() {
            self.cut = CancellationToken::new();
        }
        self.cut.clone()
    }

    fn gather(
        &mut self,
        task: TaskId,
        step: StepId,
        line: CheckLine,
        ramp: Option<Arc<RampFacts>>,
        before: Vec<Standing>,
    ) {
        let (cut, probes, inputs) = (self.token(), self.reach.probes.clone(), self.inputs.clone());
        let history = self.history.clone();
        tokio::spawn(async move {
            let began = Instant::now();
            let at = jiff::Timestamp::now();
            let (title, how, answer) = match checks::find(&line.check.0) {
                None => {
                    let missing = Missing::new(
                        format!("there is no check named {}", line.check),
                        "mend the playbook; `rampup playbook lint` names the line",
                    );
                    (line.check.to_string(), Rung::Repo, Err(missing))
                }
                Some(entry) => {
                    let ctx = Context { probes: &probes, ramp: ramp.as_deref(), history: &history, before: &before };
                    let asked = ask(entry, &line, ctx);
                    let answer = tokio::select! {
                        biased;
                        () = cut.cancelled() => Err(Missing::new("stopped before it answered", "run the step again")),
                        answer = tokio::time::timeout(CHECK_LIMIT, asked) => answer.unwrap_or_else(|_| {
                            Err(Missing::new(
                                format!("no answer within {} s", CHECK_LIMIT.as_secs()),
                                "see whether the system it asks is reachable, then run the step again",
                            ))
                        }),
                    };
                    (entry.title.to_owned(), entry.how, answer)
                }
            };
            let (facts, outcome) =
                answer.unwrap_or_else(|missing| (serde_json::Value::Null, CheckOutcome::Unknown(missing)));
            let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let evidence =
                Evidence { task, step, check: line.check, title, level: line.level, facts, outcome, how, at, took_ms };
            // A closed channel means that nobody waits for the answer any more.
            let _ = inputs.send(Input::Checked(Box::new(evidence)));
        });
    }

    fn drive(&mut self, task: TaskId, plan: RampPlan, slo: Slo, endpoints: Vec<String>) {
        let (cut, driver, inputs) = (self.token(), self.driver.clone(), self.inputs.clone());
        let Reach { probes, mix, passwords, sign } = self.reach.clone();
        let (signals, heard) = mpsc::unbounded_channel();
        let looks = {
            let (plan, slo) = (plan.clone(), slo.clone());
            Onlooker::new(move |seen, look| after_look(seen, &plan, &slo, &endpoints, look))
        };
        let order = Order {
            looks,
            plan,
            slo,
            mix,
            target: probes.site.url.clone(),
            health: probes.site.health.clone(),
            passwords,
            pulses: signals,
            stop: cut,
        };
        tokio::spawn(async move {
            let refused = match ownership::ask(&probes.http, &probes.site.url, sign.as_ref()).await {
                Ok(Ownership::Loopback | Ownership::Signed) => None,
                Ok(Ownership::NotShown(why)) => Some(why),
                Err(why) => Some(format!("whether the target is yours could not be asked: {why}")),
            };
            let answer = match refused {
                Some(why) => Input::RampFailed { task, unsafe_target: true, why },
                None => match lease::take(&probes).await {
                    Ok(Taken::By(other)) => Input::RampFailed { task, unsafe_target: false, why: busy(&other) },
                    taken => {
                        if let Err(why) = &taken {
                            let _ = inputs.send(Input::Note(unasked(why)));
                        }
                        // Until the ramp is over, nobody else's may begin.
                        let answer = ramp(task, driver.drive(order), heard, probes, &inputs).await;
                        if let Ok(Taken::Ours(lease)) = &taken
                            && let Err(why) = lease.holds().await
                        {
                            let _ = inputs.send(Input::Note(lost(&why)));
                        }
                        answer
                    }
                },
            };
            let _ = inputs.send(answer);
        });
    }
}

fn busy(other: &str) -> String {
    format!(
        "another rampup is measuring this target ({other}): two loads would measure each other; wait until it is done"
    )
}

fn lost(why: &ProbeError) -> String {
    format!("another rampup may have measured this target at the same time: the lock on it was lost ({why})")
}

fn unasked(why: &ProbeError) -> String {
    format!("whether another rampup is measuring this target could not be asked: {why}")
}

async fn ask(
    entry: &'static checks::Entry,
    line: &CheckLine,
    ctx: Context<'_>,
) -> Result<(serde_json::Value, CheckOutcome), Missing> {
    let check = (entry.build)(&line.parameters).map_err(|why| {
        Missing::new(
            format!("the playbook's parameters of {} do not fit: {why}", line.check),
            "mend the playbook; `rampup playbook lint` names the line",
        )
    })?;
    Ok(check.gather_and_judge(ctx).await)
}

async fn ramp(
    task: TaskId,
    mut driving: BoxFuture<'static, Result<Measurement, LoadError>>,
    mut heard: mpsc::UnboundedReceiver<Signal>,
    probes: Arc<Probes>,
    inputs: &mpsc::UnboundedSender<Input>,
) -> Input {
    let (samples, mut sampled) = mpsc::channel(64);
    let mut sampler = Sampler::start(probes, Instant::now(), samples);
    let driven = loop {
        let input = tokio::select! {
            biased;
            Some(signal) = heard.recv() => match signal {
                Signal::Phase(phase, users) => {
                    match phase {
                        RampPhase::Hold => sampler.hold_began(),
                        RampPhase::Beyond | RampPhase::Drain => sampler.hold_ended(),
                        RampPhase::Climb | RampPhase::Settle => {}
                    }
                    Input::Phase(task, phase, users)
                }
                Signal::Pulse(pulse) => {
                    sampler.load(&pulse);
                    Input::Pulse(task, *pulse)
                }
                Signal::Note(text) => Input::Note(text),
            },
            Some(sample) = sampled.recv() => Input::Sample(task, sample),
            driven = &mut driving => break driven,
        };
        // A closed channel means that nobody waits for the answer any more.
        let _ = inputs.send(input);
    };
    let far_side = sampler.finish().await;
    match driven {
        Ok(measurement) => Input::Ramped(task, Box::new((measurement, far_side))),
        Err(why) => Input::RampFailed { task, unsafe_target: false, why: why.to_string() },
    }
}
