//! Things to draw with: paper, bars, a chart, markdown, a line to type into. They know no step and no event.

pub(super) mod ascii;
pub(super) mod bar;
pub(super) mod chart;
pub(super) mod markdown;
pub(super) mod paper;
pub(super) mod typed;
