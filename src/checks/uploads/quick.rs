//! `uploads.ticket-quick`: under load the tickets come at once.

use serde::{Deserialize, Serialize};

use super::presign;
use crate::checks::{Check, Context, ramp};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};

/// `uploads.ticket-quick`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TicketQuick {
    /// Name of the flow step that asks for a ticket; the ticket's path, which an unnamed step is called by, when absent.
    endpoint: Option<String>,
    /// What its p95 must stay under, ms. Signing is arithmetic: it asks neither the bucket nor, but for the session, the
    /// database.
    limit_ms: f64,
    /// Requests below which nothing is said.
    least: u64,
}

impl Default for TicketQuick {
    fn default() -> Self {
        Self { endpoint: None, limit_ms: 200.0, least: 10 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    path: String,
    endpoint: String,
    /// Tickets handed out in the hold.
    requests: u64,
    p95_ms: Option<f64>,
}

impl Check for TicketQuick {
    const ID: &'static str = "uploads.ticket-quick";
    const TITLE: &'static str = "under load, tickets for uploads come at once";
    const ABOUT: &'static str = "Looks at the requests for tickets in the ramp itself, apart from all others, which are too many to let a few slow \
        ones show. A view that makes a client anew for each ticket, or asks the bucket whether it is there, holds a worker as long as an upload \
        did. Traps: a hold without a single ticket, a p95 of three requests.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Counted;
    const DOCS: &'static [&'static str] =
        &["https://boto3.amazonaws.com/v1/documentation/api/latest/guide/clients.html"];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let (ramp, path) = (ramp(ctx)?, presign(ctx)?.path.clone());
        let endpoint = self.endpoint.clone().unwrap_or_else(|| path.clone());
        let latency = ramp.measurement.endpoints.get(&endpoint).map(|endpoint| &endpoint.latency);
        Ok(Facts {
            requests: latency.map_or(0, crate::domain::measurement::Histogram::count),
            p95_ms: latency.and_then(|latency| latency.quantile_ms(0.95)),
            path,
            endpoint,
        })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let Some(p95) = facts.p95_ms.filter(|_| facts.requests >= self.least) else {
            return CheckOutcome::Unknown(Missing::new(
                format!("the hold had {} answers to {:?}; {} are needed", facts.requests, facts.endpoint, self.least),
                format!(
                    "write a step get = {:?} without a name into a flow of rampup.toml, with enough weight, or hold longer",
                    facts.path
                ),
            ));
        };
        if p95 < self.limit_ms {
            return CheckOutcome::Pass;
        }
        CheckOutcome::fail(
            format!("p95 of {:?} is {p95:.0} ms over {} tickets; signing takes a few", facts.endpoint, facts.requests),
            "make the S3 client once, when the module is loaded, and let the view only sign: no head_bucket, no list, no call to \
             another service",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_or_no_tickets_say_nothing() {
        let facts = |requests, p95_ms| Facts {
            path: "/api/uploads/presign".into(),
            endpoint: "/api/uploads/presign".into(),
            requests,
            p95_ms,
        };
        for (word, facts) in [
            ("pass", facts(10, Some(12.0))),
            ("fail", facts(10, Some(200.0))),
            ("unknown", facts(9, Some(12.0))),
            ("unknown", facts(0, None)),
            ("unknown", facts(30, None)),
        ] {
            assert_eq!(TicketQuick::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
