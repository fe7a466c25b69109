//! Past ramps out of the run logs, for checks that compare this ramp with earlier ones.
//!
//! Logs are long and do not change once their run is over, so what was found in one is kept beside them. It is no evidence:
//! a line that cannot be read, or whose log has another length by now, is made again.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::domain::ids::RunId;
use crate::domain::measurement::RampRecord;
use crate::domain::ramps::Ramps;

use super::{StoreError, log};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The ramps of one log.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    run: RunId,
    /// The rampup that read it; another one may see more in a log.
    by: String,
    /// Length of the log they were read from.
    bytes: u64,
    ramps: Vec<RampRecord>,
}

/// All ramps in a folder of logs, the newest last, and a line for every log that could not be used. What they hold is
/// kept in `kept`.
///
/// A damaged old log costs its own ramps: with fewer of them to compare, checks say less, never more.
///
/// # Errors
/// When the folder itself cannot be read.
pub fn gather(folder: &Path, kept: &Path) -> Result<(Vec<RampRecord>, Vec<String>), StoreError> {
    let mut known = read(kept);
    let (mut records, mut notes, mut fresh) = (Vec::new(), Vec::new(), Vec::new());
    for (run, path) in log::list(folder)? {
        let bytes = path.metadata().map_or(0, |found| found.len());
        if let Some(same) = known.remove(&run).filter(|kept| kept.bytes == bytes && kept.by == VERSION) {
            records.extend(same.ramps);
            continue;
        }
        match of_log(&path) {
            Ok(ramps) => {
                records.extend(ramps.clone());
                fresh.push(Kept { run, by: VERSION.to_owned(), bytes, ramps });
            }
            Err(error) => notes.push(format!("its ramps are not compared with: {error}")),
        }
    }
    // Without it the next start takes longer, and that is all.
    let _ = add(kept, &fresh);
    records.sort_by(|a, b| (a.at, &a.run).cmp(&(b.at, &b.run)));
    Ok((records, notes))
}

fn of_log(path: &Path) -> Result<Vec<RampRecord>, StoreError> {
    let mut ramps = Ramps::default();
    Ok(log::read(path, 0)?.iter().filter_map(|event| ramps.see(event)).collect())
}

/// What is kept by run; of several lines the last one counts.
fn read(path: &Path) -> BTreeMap<RunId, Kept> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Kept>(line).ok());
    lines.map(|kept| (kept.run.clone(), kept)).collect()
}

fn add(path: &Path, fresh: &[Kept]) -> std::io::Result<()> {
    if fresh.is_empty() {
        return Ok(());
    }
    let mut lines = Vec::new();
    for kept in fresh {
        // The line before may have been cut off by a crash.
        lines.push(b'\n');
        serde_json::to_writer(&mut lines, kept)?;
    }
    OpenOptions::new().create(true).append(true).open(path)?.write_all(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::atomic;

    #[test]
    fn what_is_kept_saves_reading_and_is_never_believed_over_the_logs() {
        let folder = tempfile::tempdir().unwrap();
        let (logs, kept) = (folder.path().join("runs"), folder.path().join("ramps.jsonl"));
        std::fs::create_dir(&logs).unwrap();
        let log = logs.join("20261123T140000Z-51a7.jsonl");
        atomic::write(&log, b"").unwrap();
        let line = |bytes: u64| {
            let by = VERSION;
            format!(
                "{{\"run\": \"20261123T140000Z-51a7\", \"by\": \"{by}\", \"bytes\": {bytes}, \"ramps\": [{}]}}",
                record()
            )
        };
        // No ramp is in the log, and one is kept of it: which one counts shows who was asked.
        for (text, ramps) in [
            (line(0), 1),
            (line(7), 0),
            (format!("{}\n{}", line(7), line(0)), 1),
            (format!("{{\"run\": \"2026\n{}", line(0)), 1),
            (line(0).replace("\"users\":200", "\"users\":\"many\""), 0),
            (line(0).replace(VERSION, "0.0.1"), 0),
            (String::new(), 0),
        ] {
            atomic::write(&kept, text.as_bytes()).unwrap();
            assert_eq!(gather(&logs, &kept).unwrap().0.len(), ramps, "{text}");
            // What was made again is kept, whatever stood there.
            assert_eq!(read(&kept).values().filter(|kept| kept.bytes == 0 && kept.by == VERSION).count(), 1, "{text}");
        }
        atomic::write(&log, b"{\"v\": 1}\n").unwrap();
        let (ramps, notes) = gather(&logs, &kept).unwrap();
        assert_eq!(
            (ramps.len(), notes.len()),
            (0, 1),
            "a damaged log is named, and what was kept of it is out of date"
        );
    }

    fn record() -> String {
        serde_json::json!({
            "run": "20261123T140000Z-51a7", "step": 5, "users": 200, "flows": "f", "target": "http://127.0.0.1",
            "at": "2026-11-23T14:00:00Z", "quick": false, "outcome": "pass", "p95_ms": [1.0, 0.9, 1.1],
            "error_percent": null, "requests": 900, "statements": [], "think": "3s", "model": "closed",
            "engine": "goose",
        })
        .to_string()
    }
}
