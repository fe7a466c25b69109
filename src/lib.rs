//! rampup takes a Django app from 10 to 1000 concurrent users in ten steps, and lets nobody take a step on hope.
//!
//! One truth, the run, seen from several sides: an [`domain::event::Event`] goes up, a [`domain::command::Command`]
//! comes down. A face cannot reach a system; a probe cannot reach the screen; what decides never waits, and what
//! waits never decides. `ARCHITECTURE.md` has the picture and who may use whom.

pub mod app;
pub mod checks;
pub mod cli;
pub mod config;
pub mod django;
pub mod domain;
pub mod engine;
pub mod exchange;
pub mod headless;
pub mod lab;
pub mod load;
pub mod playbook;
pub mod probes;
pub mod report;
pub mod stats;
pub mod store;
pub mod tui;
