//! What is kept in the user's repository under `.rampup/`: the only writer of files there.
//!
//! An event goes to the run log first, then into `progress.toml`, then its place is noted in `folded`. So progress is
//! never ahead of the evidence, and what a crash cut off between two of these is made up for at the next start.
//! The lock binds neither git nor an editor: what they wrote into `progress.toml` meanwhile is taken in before it is
//! written, and a file that cannot be understood is left alone.
//! Knows bytes, files and locks; knows nothing of checks, load or screens.

pub mod atomic;
mod chain;
mod disk;
mod error;
mod history;
mod lock;
mod log;
mod merge;
mod progress;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod troubles;

pub use error::StoreError;
pub use progress::schema;

use std::path::{Path, PathBuf};

use crate::domain::event::{Event, EventKind};
use crate::domain::ids::RunId;
use crate::domain::measurement::RampRecord;
use crate::domain::place::Place;
use crate::domain::progress::Progress;
use crate::domain::ramps::Ramps;

use lock::Lock;
use log::Log;
use progress::Loaded;

/// The folder in a project that belongs to this program.
pub const FOLDER: &str = ".rampup";

/// Said when the file was changed by somebody else.
const CHANGED: &str = "progress.toml was changed meanwhile, by git or by hand: that counts from now on, and so does what \
                       this run decided";
/// Said when the file was taken away.
const GONE: &str = "progress.toml was gone and is written again with what this run knows; \
                    to begin anew, remove it while no rampup runs";

/// Only progress and own playbooks are for git; logs are large and each person's own.
const GITIGNORE: &[u8] = b"*\n!.gitignore\n!progress.toml\n!playbooks/\n!playbooks/*.md\n";

/// A project's records, opened for writing. Nobody else writes while it lives.
#[derive(Debug)]
pub struct Store {
    places: Places,
    progress: Progress,
    /// What the file held when it was last read or written, by whomever: where this memory and the file part.
    file: Progress,
    /// The file could not be understood when it was last to be written.
    barred: bool,
    /// Progress comes from a newer version and is left alone.
    newer: bool,
    /// Something was folded that is not in the file yet.
    unsaved: Option<Position>,
    log: Log,
    this_run: Ramps,
    ramps: Vec<RampRecord>,
    notes: Vec<String>,
    news: Vec<String>,
    _lock: Lock,
}

impl Store {
    /// Opens a project's records for a new run. Events that a crash kept out of `progress.toml` are folded in.
    ///
    /// # Errors
    /// When another process holds the lock, or a file cannot be read, written or understood.
    pub fn open(project_dir: &Path, run: &RunId) -> Result<Self, StoreError> {
        let places = Places::of(project_dir);
        places.make()?;
        let lock = Lock::take(&places.folder.join("lock"))?;
        match atomic::create(&places.folder.join(".gitignore"), GITIGNORE) {
            Ok(()) | Err(StoreError::Exists { .. }) => {}
            Err(error) => return Err(error),
        }
        let (file, loaded, position) = places.load()?;
        let (ramps, strange) = history::gather(&places.runs, &places.ramps)?;
        let mut store = Self {
            progress: loaded.progress,
            file,
            barred: false,
            newer: loaded.newer.is_some(),
            unsaved: position,
            log: Log::new(&places.runs, run.clone()),
            this_run: Ramps::default(),
            ramps,
            notes: [loaded.notes, strange].concat(),
            news: Vec::new(),
            places,
            _lock: lock,
        };
        store.save()?;
        Ok(store)
    }

    /// Progress and remarks without the lock: for looking only, also while another process runs.
    ///
    /// # Errors
    /// When a file cannot be read or understood.
    pub fn read(project_dir: &Path) -> Result<(Progress, Vec<String>), StoreError> {
        let (_, loaded, _) = Places::of(project_dir).load()?;
        Ok((loaded.progress, loaded.notes))
    }

    /// Merges `theirs` into `ours`, two files of progress that part at `base`; git calls it so as a merge driver.
    ///
    /// # Errors
    /// When a file cannot be read, understood or written, or comes from a newer version.
    pub fn merge(base: &Path, ours: &Path, theirs: &Path) -> Result<(), StoreError> {
        let read = |path: &Path| understood(path).map(Option::unwrap_or_default);
        // Git has no common file, and hands over an empty one, when both branches made theirs.
        let none = std::fs::metadata(base).is_ok_and(|file| file.len() == 0);
        let base = if none { Progress::default() } else { read(base)? };
        progress::write(ours, &merge::merge(&base, &read(ours)?, &read(theirs)?))
    }

    /// Keeps an event; when this returns, it may be shown. Pulses and samples are not kept and cost nothing.
    ///
    /// What somebody else wrote into `progress.toml` meanwhile is kept with it. While that file cannot be understood, a
    /// decision is in the log alone, and gets into the file by a later call or the next start.
    ///
    /// # Errors
    /// When the event does not belong here or the disk refuses. An event whose line is in the log but whose progress
    /// could not be written is made up for by the next call or the next start.
    pub fn record(&mut self, event: &Event) -> Result<(), StoreError> {
        if event.kind.is_droppable() {
            return Ok(());
        }
        let link = self.log.append(event)?;
        self.ramps.extend(self.this_run.see(event));
        if event.kind.decides() {
            fold(&mut self.progress, event, Some(link));
            self.unsaved = Some(Position { run: event.run.clone(), seq: event.seq });
        }
        self.save()
    }

    /// How far the climb is.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// True when progress comes from a newer rampup and is left as it is.
    #[must_use]
    pub fn is_outranked(&self) -> bool {
        self.newer
    }

    /// Measured ramps of all runs that count and whose logs are here, this one's included, the newest last.
    #[must_use]
    pub fn ramps(&self) -> Vec<RampRecord> {
        self.progress.compared(&self.ramps)
    }

    /// What was seen when each step was last judged: the events of those runs whose logs are here, oldest run first.
    ///
    /// # Errors
    /// When a log cannot be read or is damaged.
    pub fn past(&self) -> Result<Vec<Event>, StoreError> {
        past(&self.places, &self.progress)
    }

    /// The same without the lock: for looking only, also while another process runs.
    ///
    /// # Errors
    /// When a log cannot be read or is damaged.
    pub fn read_past(project_dir: &Path, progress: &Progress) -> Result<Vec<Event>, StoreError> {
        past(&Places::of(project_dir), progress)
    }

    /// One run's events, without the lock.
    ///
    /// # Errors
    /// When there is no such log, or it cannot be read or is damaged.
    pub fn read_run(project_dir: &Path, run: &RunId) -> Result<Vec<Event>, StoreError> {
        Ok(Self::read_run_lines(project_dir, run)?.into_iter().map(|(event, _)| event).collect())
    }

    /// The same with the link of each event in the log's chain.
    ///
    /// # Errors
    /// See [`Store::read_run`].
    pub fn read_run_lines(project_dir: &Path, run: &RunId) -> Result<Vec<(Event, Option<String>)>, StoreError> {
        let known = log::list(&Places::of(project_dir).runs)?;
        match known.into_iter().find(|(known, _)| known == run) {
            Some((_, path)) => log::read_lines(&path, 0),
            None => Err(StoreError::NoRun { run: run.clone() }),
        }
    }

    /// Runs whose logs are here, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn runs(project_dir: &Path) -> Result<Vec<RunId>, StoreError> {
        Ok(log::list(&Places::of(project_dir).runs)?.into_iter().map(|(run, _)| run).collect())
    }

    /// Things worth a line: a newer schema, a log that could not be used.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What came up since this was last asked, each worth a line: somebody else changed the file, or it cannot be
    /// understood any more.
    pub fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// Progress first, its position after: the other way round, a crash in between would lose a judgement.
    fn save(&mut self) -> Result<(), StoreError> {
        if self.newer {
            return Ok(());
        }
        let Some(position) = self.unsaved.clone() else { return Ok(()) };
        if !self.take_in() {
            return Ok(());
        }
        let path = &self.places.progress;
        let written = progress::write(path, &self.progress);
        // After a failure the new file may be there all the same, and only its name not safe yet.
        if written.is_ok() || progress::read(path).is_ok_and(|found| found.progress == self.progress) {
            self.file.clone_from(&self.progress);
        }
        written?;
        position.write(&self.places.folded)?;
        self.unsaved = None;
        Ok(())
    }

    /// Takes in what somebody else wrote into the file since it was last read or written. False when it cannot be
    /// understood now and must stay as it is. Between this and the write there is a moment in which a change goes
    /// unseen; no lock that git and editors know would close it.
    fn take_in(&mut self) -> bool {
        let found = match understood(&self.places.progress) {
            Ok(found) => found,
            Err(why) => {
                if !self.barred {
                    self.news.push(format!("{why}. Until then, what is decided is kept in the run's log alone"));
                }
                self.barred = true;
                return false;
            }
        };
        self.barred = false;
        match found {
            Some(theirs) if theirs != self.file => {
                self.progress = merge::merge(&self.file, &self.progress, &theirs);
                self.file = theirs;
                self.news.push(CHANGED.to_owned());
            }
            Some(_) => {}
            // Git takes a file away before it puts another one there; only a table's absence takes a step back.
            None if self.file != Progress::default() => self.news.push(GONE.to_owned()),
            None => {}
        }
        true
    }
}

/// What the file holds; none when it is not there.
fn understood(path: &Path) -> Result<Option<Progress>, StoreError> {
    match progress::find(path)? {
        Some(Loaded { newer: Some(found), .. }) => {
            Err(StoreError::Newer { path: path.to_owned(), found, known: progress::SCHEMA })
        }
        found => Ok(found.map(|loaded| loaded.progress)),
    }
}

fn past(places: &Places, progress: &Progress) -> Result<Vec<Event>, StoreError> {
    let judged: std::collections::BTreeSet<&RunId> = progress.steps.values().map(|step| &step.run).collect();
    let mut events = Vec::new();
    for (run, path) in log::list(&places.runs)? {
        if judged.contains(&run) {
            events.extend(log::read(&path, 0)?);
        }
    }
    Ok(events)
}

/// Applies a decision, and notes by which line of its log it is shown.
fn fold(progress: &mut Progress, event: &Event, link: Option<String>) {
    progress.apply(event);
    if let EventKind::StepJudged { step, .. } = &event.kind
        && let Some(record) = progress.steps.get_mut(step)
    {
        record.evidence = link;
    }
}

/// True for a judgement that is older than the file's: the file came by git from somebody who went on.
fn outdated(event: &Event, progress: &Progress) -> bool {
    match &event.kind {
        EventKind::StepJudged { step, .. } => progress.steps.get(step).is_some_and(|record| record.at > event.at),
        _ => false,
    }
}

/// Where things are.
#[derive(Debug)]
struct Places {
    folder: PathBuf,
    runs: PathBuf,
    progress: PathBuf,
    folded: PathBuf,
    /// What history keeps of the logs.
    ramps: PathBuf,
}

impl Places {
    fn of(project_dir: &Path) -> Self {
        let folder = project_dir.join(FOLDER);
        Self {
            runs: folder.join("runs"),
            progress: folder.join("progress.toml"),
            folded: folder.join("folded"),
            ramps: folder.join("ramps.jsonl"),
            folder,
        }
    }

    fn make(&self) -> Result<(), StoreError> {
        let failed = |source| StoreError::Write { path: self.runs.clone(), source };
        std::fs::create_dir_all(&self.runs).map_err(failed)?;
        disk::sync_folder(&self.folder).map_err(failed)
    }

    /// What the file says; the same with everything folded in that the logs decided after it; and the last of these, if
    /// any.
    ///
    /// A newer version's file is taken as it is: its events may mean more than is known here.
    fn load(&self) -> Result<(Progress, Loaded, Option<Position>), StoreError> {
        // The position is read before the file: a process that writes meanwhile moves the file on first, and folding
        // an event a second time changes nothing.
        let known = Position::read(&self.folded)?;
        let mut loaded = progress::read(&self.progress)?;
        let file = loaded.progress.clone();
        let mut latest = None;
        if loaded.newer.is_some() {
            return Ok((file, loaded, None));
        }
        for (run, path) in log::list(&self.runs)? {
            let from = match &known {
                Some(known) if run < known.run => continue,
                Some(known) if run == known.run => known.seq + 1,
                _ => 0,
            };
            for (event, link) in log::read_lines(&path, from)?.into_iter().filter(|(event, _)| event.kind.decides()) {
                if !outdated(&event, &loaded.progress) {
                    fold(&mut loaded.progress, &event, link);
                }
                latest = Some(Position { run: event.run.clone(), seq: event.seq });
            }
        }
        Ok((file, loaded, latest))
    }
}

/// The last event that is in `progress.toml`. Kept apart from it and out of git: it is about this folder's logs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Position {
    run: RunId,
    seq: u64,
}

impl Position {
    fn read(path: &Path) -> Result<Option<Self>, StoreError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Read { path: path.to_owned(), source }),
        };
        let position = text.trim_end().split_once(' ');
        match position.and_then(|(run, seq)| Some(Self { run: run.into(), seq: seq.parse().ok()? })) {
            Some(position) => Ok(Some(position)),
            None => Err(StoreError::Malformed {
                path: path.to_owned(),
                place: Place { line: 1, column: 1 },
                what: "this is not a run and a number; delete the file, it is made again".to_owned(),
            }),
        }
    }

    fn write(&self, path: &Path) -> Result<(), StoreError> {
        atomic::write(path, format!("{} {}\n", self.run, self.seq).as_bytes())
    }
}
