//! Background work: does a worker serve the queue, does the slow work really leave the request, and does nothing get
//! lost on the way? One check a file; which library does the work is for the probe to know.

mod acks;
mod alive;
mod broker;
mod canary;
mod consumed;
mod depth;
mod offloaded;
mod own_service;
mod spoken;

pub use spoken::library;

use super::Entry;

/// The checks of this group.
pub const CHECKS: &[Entry] = &[
    Entry::of::<alive::WorkerAlive>(),
    Entry::of::<consumed::QueuesConsumed>(),
    Entry::of::<broker::BrokerKeepsJobs>(),
    Entry::of::<acks::AcksLateConsistent>(),
    Entry::of::<canary::Canary>(),
    Entry::of::<offloaded::SlowWorkOffloaded>(),
    Entry::of::<depth::DepthStable>(),
    Entry::of::<own_service::OwnService>(),
];

const DOCS: &[&str] = &[
    "https://docs.celeryq.dev/en/stable/userguide/monitoring.html",
    "https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html",
    "https://python-rq.org/docs/workers/",
    "https://huey.readthedocs.io/en/latest/consumer.html",
];
