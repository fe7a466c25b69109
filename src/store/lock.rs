//! One writer at a time: an advisory lock on `.rampup/lock`, which the system drops with its holder, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::Path;

use super::StoreError;

/// Held for as long as it lives. The file stays behind, unlocked: removing it would race with the next holder.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock or says who has it.
    ///
    /// # Errors
    /// [`StoreError::Locked`] with the holder's process and host; [`StoreError::Write`] when the file cannot be made.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Write { path: path.to_owned(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { path: path.to_owned(), holder: holder(path) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).map_err(failed)?;
        writeln!(file, "process {} on {}", std::process::id(), host()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Who holds the lock, by its own words.
fn holder(path: &Path) -> String {
    let words = std::fs::read_to_string(path).unwrap_or_default();
    let words = crate::domain::text::tame(words.trim(), 100);
    if words.is_empty() { "a process that has not said its name yet".to_owned() } else { words }
}

/// This machine's name; a project folder may be shared by several.
fn host() -> String {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .map(|name| name.trim().to_owned())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| "this machine".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is_and_gets_it_after_him() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::take(&path).unwrap();
        let error = Lock::take(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("process {} on ", std::process::id())), "{error}");
        drop(first);
        Lock::take(&path).unwrap();
    }
}
