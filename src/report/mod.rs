//! The climb as a document for people who were not there. Knows progress and steps; reaches no system.

pub mod github;
pub mod html;
pub mod junit;
pub mod markdown;
pub mod sarif;
pub mod story;
