//! A recorded run as it is played: each event at its second. Waits between events are cut short, and the seconds of a hold
//! are told by what the measurement kept of them. Knows no screen.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::domain::event::{Event, EventKind};
use crate::domain::histogram::Histogram;
use crate::domain::ids::StepId;
use crate::domain::measurement::{FarSide, Measurement};
use crate::domain::ramp::{LoadPulse, RampPhase};

/// Longest wait between two events, seconds: nobody wants to watch somebody think.
const LONGEST: i64 = 3;

/// Events with the second at which each is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Tape {
    frames: Vec<(u32, Event)>,
}

impl Tape {
    /// The run, or what it did for one step.
    pub(super) fn of(events: &[Event], step: Option<StepId>) -> Self {
        let mut all: Vec<Event> = Vec::new();
        for event in events.iter().filter(|event| about(&event.kind, step)) {
            if let EventKind::RampFinished { task, measurement, far_side, .. } = &event.kind {
                let started = |e: &&Event| matches!(&e.kind, EventKind::RampStarted { task: t, .. } if t == task);
                if let Some(began) = events.iter().find(started) {
                    all.extend(seconds(began, event.at, measurement, far_side));
                }
            }
            all.push(event.clone());
        }
        // Stable: what was recorded in one instant stays in its order.
        all.sort_by_key(|event| event.at);
        let (mut second, mut before) = (0, all.first().map(|event| event.at));
        let frames = all.into_iter().map(|event| {
            let wait = before.map_or(0, |before| event.at.duration_since(before).as_secs()).clamp(0, LONGEST);
            // Whole seconds are enough for a second; what is shorter adds up to nothing.
            if wait > 0 {
                before = Some(event.at);
                second += u32::try_from(wait).unwrap_or_default();
            }
            (second, event)
        });
        Self { frames: frames.collect() }
    }

    /// Its length, seconds.
    pub(super) fn length(&self) -> u32 {
        self.frames.last().map_or(0, |(second, _)| *second)
    }

    /// The events after the first `shown` that are due by this second.
    pub(super) fn due(&self, shown: usize, second: f64) -> &[(u32, Event)] {
        let rest = self.frames.get(shown..).unwrap_or_default();
        let due = rest.iter().take_while(|(at, _)| f64::from(*at) <= second).count();
        &rest[..due]
    }
}

/// Whether an event tells of this step.
fn about(kind: &EventKind, wanted: Option<StepId>) -> bool {
    let Some(wanted) = wanted else { return true };
    match kind {
        EventKind::StepStarted { step, .. }
        | EventKind::CheckStarted { step, .. }
        | EventKind::RampStarted { step, .. }
        | EventKind::RampPhase { step, .. }
        | EventKind::RampFinished { step, .. }
        | EventKind::RampFailed { step, .. }
        | EventKind::StepJudged { step, .. } => *step == wanted,
        EventKind::CheckFinished { evidence } => evidence.step == wanted,
        EventKind::Waived { .. }
        | EventKind::Invalidated { .. }
        | EventKind::BaselinePinned { .. }
        | EventKind::BaselineUnpinned { .. }
        | EventKind::Note { .. } => false,
        EventKind::RunStarted { .. }
        | EventKind::RunFinished { .. }
        | EventKind::Pulse { .. }
        | EventKind::Sample { .. } => true,
    }
}

/// The seconds of a ramp: the systems behind the app throughout, the load where it was judged.
fn seconds(began: &Event, ended: Timestamp, measured: &Measurement, far_side: &FarSide) -> Vec<Event> {
    let at = |second: u32| {
        let at = began.at.saturating_add(SignedDuration::from_secs(second.into())).unwrap_or(ended);
        at.min(ended)
    };
    let event = |second: u32, kind| Event { at: at(second), kind, ..began.clone() };
    let mut events: Vec<Event> = far_side
        .samples
        .iter()
        .map(|sample| event(sample.second, EventKind::Sample { sample: sample.clone() }))
        .collect();
    let note = "a log keeps the load of the hold alone; it is shown from there on";
    let first = far_side.samples.first().map_or(0, |sample| sample.second);
    events.push(event(first, EventKind::Note { text: note.to_owned() }));
    let ramp = ended.duration_since(began.at).as_secs();
    let hold = u32::try_from(measured.windows.len()).unwrap_or_default();
    // Where nothing behind the app was watched, the hold is the end of the ramp.
    let from = far_side.hold.map_or_else(|| u32::try_from(ramp).unwrap_or_default().saturating_sub(hold), |h| h.0);
    let mut so_far = LoadPulse { phase: RampPhase::Hold, users: measured.users, ..LoadPulse::default() };
    let mut latency = Histogram::new();
    for (index, window) in (0..).zip(&measured.windows) {
        latency.merge(&window.latency);
        let quantile = |q| window.latency.quantile_ms(q);
        so_far = LoadPulse {
            second: from + index,
            phase_seconds: index,
            rps: window.requests as f64,
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            hold_p95_ms: latency.quantile_ms(0.95),
            errors: window.errors,
            blocked: window.blocked,
            total: so_far.total + window.requests,
            total_errors: so_far.total_errors + window.errors,
            total_blocked: so_far.total_blocked + window.blocked,
            generator: window.generator,
            ..so_far
        };
        // By status only the whole hold was kept.
        if index + 1 == hold {
            so_far.statuses = classes(measured);
        }
        events.push(event(so_far.second, EventKind::Pulse { pulse: so_far.clone() }));
    }
    events
}

fn classes(measured: &Measurement) -> BTreeMap<String, u64> {
    let mut classes = BTreeMap::new();
    for (status, count) in &measured.answers.statuses {
        *classes.entry(format!("{}xx", status / 100)).or_default() += count;
    }
    classes
}
