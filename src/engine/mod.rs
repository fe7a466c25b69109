//! The engine room: [`machine`] decides and never waits, [`runner`] waits and never decides, [`sampler`] watches the
//! systems behind the app while a ramp holds.

pub mod machine;
pub mod runner;
pub mod sampler;
