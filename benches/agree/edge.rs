//! What the edge itself says of the same seconds: its access log, the truth that both tools stand beside.

use std::path::Path;

use rampup::domain::measurement::{Measurement, Window};
use serde::Deserialize;

use crate::seen::Seen;

/// A line of the practice edge's access log.
#[derive(Debug, Deserialize)]
struct Line {
    /// When the answer had been sent, in whole seconds.
    time: jiff::Timestamp,
    request: String,
    /// From the request's first byte to the answer's last, in ms.
    seconds: f64,
}

/// The requests that were logged in these seconds, without the health endpoint, which rampup alone watches. The first
/// and the last second may hold some of their neighbours'.
pub fn seen(lab: &Path, from: jiff::Timestamp, seconds: u32) -> anyhow::Result<Seen> {
    // Written once a second.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let text = std::fs::read_to_string(lab.join("log/edge-access.log"))?;
    let mut windows = vec![Window::default(); seconds as usize];
    let mut measured = Measurement { hold_seconds: seconds.into(), ..Measurement::default() };
    for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
        let second = usize::try_from(line.time.as_second() - from.as_second()).ok();
        let Some(window) = second.and_then(|second| windows.get_mut(second)) else { continue };
        if line.request.contains(" /healthz") {
            continue;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some seconds in µs")]
        let micros = (line.seconds * 1e6) as u64;
        measured.requests += 1;
        window.requests += 1;
        measured.latency.record(micros);
        window.latency.record(micros);
    }
    measured.windows = windows;
    Ok(Seen::new(measured, None))
}
