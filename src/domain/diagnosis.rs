//! Where to look next: what moved first, where the knee is, whether this ramp is slower than the last one.
//!
//! Pure, and no part of the verdict: nothing here opens or holds a step. What the figures do not show is not said.

mod ceilings;
mod compare;
mod knee;
mod moved;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use ceilings::Ceiling;
pub use compare::{Change, Compared, change, comparable, compare};
pub use knee::{Knee, KneeRung, breaks, knee};
pub use moved::{Moved, Mover, moved};

use super::measurement::{RampFacts, RampRecord};
use super::site::Web;

/// Beside a verdict.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Diagnosis {
    /// What left its calm before p95 did; none without a clock that both share.
    pub moved: Option<Moved>,
    /// The climb in steps; none without one.
    pub knee: Option<Knee>,
    /// Against the last comparable ramp.
    pub compared: Compared,
}

/// Looks at a ramp that has just been judged. `newest` is its own record, `limit_ms` the p95 it was held to, `web` what
/// the owner says of the web processes.
#[must_use]
pub fn diagnose(
    ramp: &RampFacts,
    limit_ms: f64,
    web: Option<Web>,
    newest: &RampRecord,
    history: &[RampRecord],
) -> Diagnosis {
    Diagnosis {
        moved: moved(&ramp.far_side),
        knee: knee(&ramp.measurement, &ramp.far_side, web, limit_ms),
        compared: compare(newest, history),
    }
}

impl Diagnosis {
    /// The sentences, the most useful first; the same words in every face.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut moved = self.moved.as_ref().map_or_else(Vec::new, Moved::sentences).into_iter();
        let knee = self.knee.as_ref().map_or_else(Vec::new, Knee::sentences);
        moved.next().into_iter().chain(knee).chain(self.compared.sentence()).chain(moved.collect::<Vec<_>>()).collect()
    }
}
