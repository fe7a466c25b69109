//! What the page lets through.

use std::collections::BTreeMap;

use super::*;
use crate::domain::command::Waiver;
use crate::domain::progress::Progress;

#[test]
fn a_page_loads_nothing_runs_nothing_and_believes_no_text() {
    let steps: Vec<Step> = Vec::new();
    let mut progress = Progress::default();
    progress.waivers.push(Waiver {
        step: StepId::FIRST,
        check: None,
        reason: "<script>alert(1)</script> & more".to_owned(),
        owner: "ada \u{1b}[31m\"><img src=x>".to_owned(),
        until: jiff::civil::date(2026, 12, 1),
    });
    let climb = Climb {
        site: "<b>shop</b>",
        steps: &steps,
        states: &[],
        progress: &progress,
        outdated: &BTreeMap::new(),
        today: jiff::civil::date(2026, 11, 27),
        events: &[],
    };
    let page = page(&climb, Timestamp::UNIX_EPOCH);
    assert!(page.starts_with("<!DOCTYPE html>"));
    for forbidden in ["<script", "<img", "http://", "https://", "<b>", "\u{1b}", "url(", "@import"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; more"));
}
