//! Pure numbers: intervals of quantiles and proportions, a block bootstrap, trends. Knows no request and no limit.
//!
//! Every bound here is *one-sided* at the confidence that is asked for: with 0.95, the truth lies above the upper bound
//! in at most 5 % of all samples, and below the lower bound in at most 5 %.

pub mod batches;
pub mod binomial;
pub mod bootstrap;
pub mod change;
pub mod effective;
pub mod growth;
pub mod looks;
pub mod order;
pub mod proportion;
pub mod ratio;
pub mod seconds;
pub mod trend;
pub mod usl;
