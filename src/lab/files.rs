//! Writes files of the lab's own folder whole or not at all, and gives them to the account that needs them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use super::account::Account;
use super::error::{Result, file};

/// Replaces a file atomically, with these permission bits, owned by the account if there is one.
///
/// The practice stack writes only below its own folder; the user's repository belongs to `store`.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32, owner: Option<&Account>) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut draft = tempfile::NamedTempFile::new_in(folder).map_err(file("write", path))?;
    draft.write_all(bytes).map_err(file("write", path))?;
    fs::set_permissions(draft.path(), fs::Permissions::from_mode(mode)).map_err(file("write", path))?;
    give(draft.path(), owner)?;
    draft.as_file().sync_all().map_err(file("write", path))?;
    draft.persist(path).map_err(|e| file("write", path)(e.error))?;
    Ok(())
}

/// Writes only when the bytes differ; true when it wrote.
pub(crate) fn write_changed(path: &Path, bytes: &[u8], mode: u32, owner: Option<&Account>) -> Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    write(path, bytes, mode, owner).map(|()| true)
}

/// Takes a file away; one that is not there is no error.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(file("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Makes a folder (and those above it) with these bits, owned by the account if there is one.
pub(crate) fn folder(path: &Path, mode: u32, owner: Option<&Account>) -> Result<()> {
    fs::create_dir_all(path).map_err(file("create", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(file("set permissions of", path))?;
    give(path, owner)
}

fn give(path: &Path, owner: Option<&Account>) -> Result<()> {
    match owner {
        Some(account) => chown(path, Some(account.uid), Some(account.gid)).map_err(file("change the owner of", path)),
        None => Ok(()),
    }
}

/// The last lines of a log, at most `limit` bytes; empty when there is none.
pub(crate) fn tail(path: &Path, limit: usize) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let from = bytes.len().saturating_sub(limit);
    String::from_utf8_lossy(&bytes[from..]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_is_readable_by_its_owner_alone_and_is_left_alone_when_equal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.toml");
        assert!(write_changed(&path, b"one", 0o600, None).unwrap());
        assert!(!write_changed(&path, b"one", 0o600, None).unwrap());
        assert!(write_changed(&path, b"two", 0o600, None).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(tail(&path, 2), "wo");
    }
}
