//! Run logs, `.rampup/runs/RUN.jsonl`: one line a kept event, appended and never changed. The evidence behind progress.
//!
//! A line is the event's JSON with its link in the log's [chain], and a newline. A crash can only tear the last line: whatever has its newline is whole.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::domain::event::{Event, EventKind, SCHEMA};
use crate::domain::ids::RunId;
use crate::domain::place::Place;

use super::{StoreError, chain, disk};

/// Ending of a log's file name.
const ENDING: &str = "jsonl";

/// A log being written. The file appears with the first event.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    run: RunId,
    file: Option<File>,
    /// Bytes of whole lines.
    length: u64,
    next: u64,
    /// Link of the last line.
    link: Option<String>,
}

impl Log {
    /// The log of a new run in this folder.
    #[must_use]
    pub fn new(folder: &Path, run: RunId) -> Self {
        Self { path: folder.join(format!("{run}.{ENDING}")), run, file: None, length: 0, next: 0, link: None }
    }

    /// Appends a kept event; when it decides something, waits until it is on the disk. Gives its link in the chain.
    ///
    /// # Errors
    /// [`StoreError::Sequence`] for an event of another run or out of turn, [`StoreError::Exists`] when the run's log is
    /// there already, [`StoreError::Write`] when the disk refuses. After an error the log is as it was before.
    pub fn append(&mut self, event: &Event) -> Result<String, StoreError> {
        if event.seq != self.next || event.run != self.run || event.v != SCHEMA {
            let found = format!("{} of run {} (schema {})", event.seq, event.run, event.v);
            return Err(StoreError::Sequence { run: self.run.clone(), found, wanted: self.next });
        }
        let (link, line) = line_of(event, self.link.as_deref())?;
        let failed = |source| StoreError::Write { path: self.path.clone(), source };
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(create(&self.path)?),
        };
        let written =
            disk::write_all(file, &line).and_then(|()| if must_last(&event.kind) { disk::sync(file) } else { Ok(()) });
        if let Err(error) = written {
            // Half a line in the middle of a log could never be told from damage: nothing is added behind one.
            if let Err(error) = disk::cut(file, self.length) {
                self.file = None;
                return Err(failed(error));
            }
            return Err(failed(error));
        }
        self.length += line.len() as u64;
        self.next += 1;
        self.link = Some(link.clone());
        Ok(link)
    }
}

fn create(path: &Path) -> Result<File, StoreError> {
    let file = disk::create(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => StoreError::Exists { path: path.to_owned() },
        _ => StoreError::Write { path: path.to_owned(), source },
    })?;
    let folder = path.parent().unwrap_or(Path::new("."));
    disk::sync_folder(folder).map_err(|source| StoreError::Write { path: path.to_owned(), source })?;
    Ok(file)
}

/// Events that people act on must survive a power cut; the rest may wait for the system's own pace.
fn must_last(kind: &EventKind) -> bool {
    use EventKind::{RampFinished, RunFinished};
    kind.decides() || matches!(kind, RampFinished { .. } | RunFinished { .. })
}

/// The event's line. It is read back at once: a number that JSON cannot hold would only show when it is too late.
fn line_of(event: &Event, before: Option<&str>) -> Result<(String, Vec<u8>), StoreError> {
    let unreadable = |error: serde_json::Error| StoreError::Unreadable { what: error.to_string() };
    let json = serde_json::to_vec(event).map_err(unreadable)?;
    let link = chain::link(before, &json);
    let mut line = chain::with_link(&link, &json);
    serde_json::from_slice::<Event>(&line).map_err(unreadable)?;
    line.push(b'\n');
    Ok((link, line))
}

/// The whole events of a log from number `from` on. A torn last line is left out.
///
/// # Errors
/// See [`read_lines`].
pub fn read(path: &Path, from: u64) -> Result<Vec<Event>, StoreError> {
    Ok(read_lines(path, from)?.into_iter().map(|(event, _)| event).collect())
}

/// The same with the link of each in the log's chain; a log of a rampup that made none has none.
///
/// # Errors
/// [`StoreError::Malformed`] with file and line for anything that is not the next event of this run, or was changed since
/// it was written.
pub fn read_lines(path: &Path, from: u64) -> Result<Vec<(Event, Option<String>)>, StoreError> {
    let bytes = std::fs::read(path).map_err(|source| StoreError::Read { path: path.to_owned(), source })?;
    let run = run_of(path);
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let lines = bytes[..whole].split_inclusive(|byte| *byte == b'\n');
    let (mut events, mut before) = (Vec::new(), None);
    for ((seq, number), line) in (0_u64..).zip(1..).zip(lines) {
        let link = chain::parts(line);
        let known: Option<String> = link.as_ref().map(|(link, _)| (*link).to_owned());
        if seq < from {
            before = known;
            continue;
        }
        let damaged = |column, what: String| StoreError::Malformed {
            path: path.to_owned(),
            place: Place { line: number, column },
            what: format!("{what}; the log is damaged: move the file elsewhere"),
        };
        let version: Version = serde_json::from_slice(line).map_err(|e| damaged(e.column(), e.to_string()))?;
        if version.v > SCHEMA {
            return Err(StoreError::Newer { path: path.to_owned(), found: version.v.into(), known: SCHEMA.into() });
        }
        let event: Event = serde_json::from_slice(line).map_err(|e| damaged(e.column(), e.to_string()))?;
        if event.seq != seq || Some(&event.run) != run.as_ref() {
            return Err(damaged(1, format!("event {} of run {} is out of place", event.seq, event.run)));
        }
        let json = link.map(|(_, json)| json);
        let made = json.map(|json| chain::link(before.as_deref(), json.strip_suffix(b"\n").unwrap_or(&json)));
        if made != known || (seq > 0 && known.is_some() != before.is_some()) {
            return Err(damaged(1, "this line, or the one before it, was changed after it was written".to_owned()));
        }
        before.clone_from(&known);
        events.push((event, known));
    }
    Ok(events)
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// The run a log file belongs to, by its name.
#[must_use]
pub fn run_of(path: &Path) -> Option<RunId> {
    if path.extension()? != ENDING {
        return None;
    }
    path.file_stem()?.to_str().map(RunId::from)
}

/// All logs in a folder, oldest first; none when the folder is not there.
///
/// # Errors
/// [`StoreError::Read`].
pub fn list(folder: &Path) -> Result<Vec<(RunId, PathBuf)>, StoreError> {
    let failed = |source| StoreError::Read { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut logs = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        logs.extend(run_of(&path).map(|run| (run, path)));
    }
    logs.sort();
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(seq: u64, text: &str) -> Event {
        let at = "2026-11-23T04:01:02Z".parse().unwrap();
        Event { v: SCHEMA, seq, at, run: RunId::from("r1"), kind: EventKind::Note { text: text.into() } }
    }

    fn written(folder: &Path) -> PathBuf {
        let mut log = Log::new(folder, RunId::from("r1"));
        for seq in 0..3 {
            log.append(&note(seq, &format!("ä{seq}"))).unwrap();
        }
        folder.join("r1.jsonl")
    }

    fn reads(path: &Path, bytes: &[u8]) -> Result<usize, String> {
        super::super::atomic::write(path, bytes).unwrap();
        read(path, 0).map(|events| events.len()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        assert_eq!(read(&path, 0).unwrap(), [note(0, "ä0"), note(1, "ä1"), note(2, "ä2")]);
        assert_eq!(read(&path, 2).unwrap(), [note(2, "ä2")]);
        assert_eq!(list(folder.path()).unwrap(), [(RunId::from("r1"), path)]);
        assert_eq!(list(&folder.path().join("nowhere")).unwrap(), []);
    }

    #[test]
    fn a_gap_a_repetition_and_a_foreign_event_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::new(folder.path(), RunId::from("r1"));
        log.append(&note(0, "")).unwrap();
        for event in [note(0, ""), note(2, ""), Event { run: RunId::from("r2"), ..note(1, "") }] {
            assert!(matches!(log.append(&event), Err(StoreError::Sequence { wanted: 1, .. })), "{event:?}");
        }
        log.append(&note(1, "")).unwrap();
        let mut again = Log::new(folder.path(), RunId::from("r1"));
        assert!(matches!(again.append(&note(0, "")), Err(StoreError::Exists { .. })), "a run's log is written once");
    }

    #[test]
    fn a_cut_at_any_byte_costs_the_torn_line_at_most() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        for cut in 0..=bytes.len() {
            let whole = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(reads(&path, &bytes[..cut]), Ok(whole), "cut at {cut}");
        }
    }

    #[test]
    fn any_other_damage_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let text = std::fs::read_to_string(&path).unwrap();
        for (damaged, what) in [
            (text.replacen("ä1", "ä7", 1), ":2:1: this line"),
            (text.replacen("\"seq\":1", "\"seq\":7", 1), ":2:1: event 7"),
            (text.replacen("\"run\":\"r1\"", "\"run\":\"r2\"", 1), ":1:1: event 0 of run r2"),
            (text.replacen("\"event\"", "\"evnt\"", 1), ":1:"),
            (text.replacen("\"v\":1", "\"v\":2", 1), "newer"),
            (text.replacen('\n', "\n\n", 1), ":2:"),
        ] {
            let error = reads(&path, damaged.as_bytes()).unwrap_err();
            assert!(error.contains(what), "{what}: {error}");
        }
    }

    #[test]
    fn an_event_that_json_cannot_hold_never_reaches_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::new(folder.path(), RunId::from("r1"));
        let kind = EventKind::Sample {
            sample: crate::domain::ramp::ServerSample { second: 0, values: [("x".to_owned(), f64::NAN)].into() },
        };
        let error = log.append(&Event { kind, ..note(0, "") }).unwrap_err();
        assert!(matches!(error, StoreError::Unreadable { .. }), "{error}");
        log.append(&note(0, "")).unwrap();
    }
}
