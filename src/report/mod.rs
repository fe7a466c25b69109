//! The climb as a document for people who were not there. Knows progress and steps; reaches no system.

pub mod markdown;
