//! Whole files or no files: the one way this program writes a file that may be read after a crash.
//!
//! Written beside its target, synced, renamed over it, and the folder synced: a reader sees the old bytes or the new
//! ones, never half of either, not even after a power cut. Knows nothing of what the bytes mean.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

use super::{StoreError, disk};

/// Replaces `path` by `bytes`. A file that is there keeps its mode; a new one gets what the umask allows.
///
/// # Errors
/// [`StoreError::Write`] when the folder is missing or not writable, or the disk is full; the old file is then untouched.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mode = fs::metadata(path).ok().map(|m| m.permissions().mode() & 0o7777);
    put(path, bytes, mode, true)
}

/// Like [`write()`], readable by the owner alone (mode 0600), whatever it was before. For files that hold secrets.
///
/// # Errors
/// See [`write()`].
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    put(path, bytes, Some(0o600), true)
}

/// Writes a file that must not exist yet; a person's file is never overwritten by accident.
///
/// # Errors
/// [`StoreError::Exists`] when there is one already, else see [`write()`].
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    put(path, bytes, None, false)
}

fn put(path: &Path, bytes: &[u8], mode: Option<u32>, replace: bool) -> Result<(), StoreError> {
    let failed = |source| StoreError::Write { path: path.to_owned(), source };
    let folder = folder_of(path);
    let mut file = new_temporary(folder).map_err(failed)?;
    disk::write_all(file.as_file_mut(), bytes).map_err(failed)?;
    if let Some(mode) = mode {
        file.as_file().set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
    }
    disk::sync(file.as_file()).map_err(failed)?;
    disk::name(file, path, replace).map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists if !replace => StoreError::Exists { path: path.to_owned() },
        _ => failed(source),
    })?;
    disk::sync_folder(folder).map_err(failed)
}

/// A temporary file that becomes readable for others as far as the umask lets it (the crate's own default is 0600).
fn new_temporary(folder: &Path) -> std::io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(".rampup-").permissions(Permissions::from_mode(0o666)).tempfile_in(folder)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_new_bytes_replace_the_old_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, b"one, and a long one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays behind");
    }

    #[test]
    fn a_secret_file_is_its_owners_alone_and_a_file_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, b"open").unwrap();
        assert_ne!(mode(&path) & 0o044, 0, "readable for others under the usual umask");
        write_private(&path, b"shut").unwrap();
        assert_eq!(mode(&path), 0o600);
        write(&path, b"still shut").unwrap();
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        create(&path, b"mine").unwrap();
        assert!(matches!(create(&path, b"yours"), Err(StoreError::Exists { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        let nowhere = folder.path().join("no/such/folder/file");
        let error = write(&nowhere, b"").unwrap_err().to_string();
        assert!(error.contains("no/such/folder/file"), "{error}");
    }
}
