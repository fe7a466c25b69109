//! Nouns and rules: what a step, a check, a ramp, a measurement, a verdict and progress *are*.
//!
//! No IO, no async, no clock: everything here is a value that can be written to a run log and read back.
//! Instants and random numbers are handed in by whoever owns a clock.

pub mod audit;
pub mod backlog;
pub mod check;
pub mod clouds;
pub mod command;
pub mod diagnosis;
pub mod doctor;
pub mod event;
pub mod excuse;
pub mod fingerprint;
pub mod flow;
pub mod histogram;
pub mod ids;
pub mod login_form;
pub mod measurement;
pub mod place;
pub mod plan;
pub mod progress;
pub mod ramp;
pub mod ramps;
pub mod secret;
pub mod site;
pub mod slo;
pub mod spot;
pub mod statement;
pub mod step;
pub mod text;
pub mod think;
pub mod units;
pub mod verdict;
