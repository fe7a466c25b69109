//! The few calls that bring bytes of ours to rest on the disk, in one place: tests let any one of them fail, and the
//! program die in it. Knows no file's meaning.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

#[cfg(not(test))]
use healthy::{allow, fitting};
#[cfg(test)]
use trouble::{allow, fitting};

/// A new file to append to; [`io::ErrorKind::AlreadyExists`] when there is one.
pub(super) fn create(path: &Path) -> io::Result<File> {
    allow()?;
    OpenOptions::new().append(true).create_new(true).open(path)
}

pub(super) fn write_all(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    let (fits, then) = fitting(bytes);
    file.write_all(fits)?;
    then
}

/// Waits until the file's bytes survive a power cut.
pub(super) fn sync(file: &File) -> io::Result<()> {
    allow()?;
    file.sync_all()
}

/// Takes back what was written beyond `length`.
pub(super) fn cut(file: &File, length: u64) -> io::Result<()> {
    allow()?;
    file.set_len(length)
}

/// Gives a whole file its name; an old one of that name goes, if it may.
pub(super) fn name(file: NamedTempFile, path: &Path, replace: bool) -> io::Result<()> {
    allow()?;
    if replace { file.persist(path) } else { file.persist_noclobber(path) }.map(|_| ()).map_err(|error| error.error)
}

/// Makes a new name in `folder` survive a power cut.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    sync(&File::open(folder)?)
}

/// A disk that does what it is asked, or says why not by itself.
#[cfg(not(test))]
mod healthy {
    use std::io;

    pub(super) fn allow() -> io::Result<()> {
        Ok(())
    }

    pub(super) fn fitting(bytes: &[u8]) -> (&[u8], io::Result<()>) {
        (bytes, Ok(()))
    }
}

/// A disk that fails at a chosen call of this thread.
#[cfg(test)]
pub(super) mod trouble {
    use std::cell::Cell;
    use std::io;

    /// What happens at the chosen call.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Kind {
        /// It is refused, half written; later ones are well.
        Full,
        /// It is the last one, half written: the program is dead.
        Dead,
    }

    thread_local! {
        static CALLS: Cell<u32> = const { Cell::new(0) };
        static PLAN: Cell<Option<(u32, Kind)>> = const { Cell::new(None) };
    }

    /// Lets the call with this number, from 0, fail. None: none fails.
    pub fn plan(plan: Option<(u32, Kind)>) {
        CALLS.set(0);
        PLAN.set(plan);
    }

    /// Calls since the plan was made.
    pub fn calls() -> u32 {
        CALLS.get()
    }

    pub fn allow() -> io::Result<()> {
        let call = CALLS.replace(CALLS.get() + 1);
        match PLAN.get() {
            Some((at, Kind::Full)) if call == at => Err(io::ErrorKind::StorageFull.into()),
            Some((at, Kind::Dead)) if call >= at => Err(io::ErrorKind::BrokenPipe.into()),
            _ => Ok(()),
        }
    }

    /// As much of the bytes as comes to the disk, and whether that was all.
    pub fn fitting(bytes: &[u8]) -> (&[u8], io::Result<()>) {
        let before = PLAN.get().is_none_or(|(at, _)| CALLS.get() <= at);
        match allow() {
            Ok(()) => (bytes, Ok(())),
            Err(error) => (&bytes[..if before { bytes.len() / 2 } else { 0 }], Err(error)),
        }
    }
}
