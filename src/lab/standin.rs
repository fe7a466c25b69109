//! A system file that is there, or different, for the time of an installation only. Put back even when that fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::error::{Result, file};
use super::files;

/// The first line of every stand-in's content is followed by this, so that one left by a killed rampup is known.
const SIGNATURE: &str = "# put here by rampup while it installs packages; safe to remove\n";

/// Puts a file back (or away) when dropped.
pub(crate) struct StandIn {
    path: PathBuf,
    /// Content and permission bits of the file that was there.
    before: Option<(Vec<u8>, u32)>,
}

impl StandIn {
    /// A file of our own, unless there is one: the machine's owner has decided already.
    pub fn unless_there(path: impl AsRef<Path>, text: &str, mode: u32) -> Result<Option<Self>> {
        let path = path.as_ref();
        let left_by_us = fs::read_to_string(path).is_ok_and(|text| text.contains(SIGNATURE));
        if path.exists() && !left_by_us {
            return Ok(None);
        }
        put(path, text, mode)?;
        Ok(Some(Self { path: path.to_owned(), before: None }))
    }

    /// Our content in a file that is there (or not).
    pub fn instead_of(path: impl AsRef<Path>, text: &str) -> Result<Self> {
        let path = path.as_ref();
        let before = match (fs::read(path), fs::metadata(path)) {
            (Ok(bytes), Ok(meta)) => Some((bytes, meta.permissions().mode() & 0o7777)),
            _ => None,
        };
        put(path, text, 0o644)?;
        Ok(Self { path: path.to_owned(), before })
    }
}

fn put(path: &Path, text: &str, mode: u32) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(file("create", folder))?;
    }
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    files::write(path, format!("{first}\n{SIGNATURE}{rest}").as_bytes(), mode, None)
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // Nobody is left to tell; the signature in the file says what it is.
        let _ = match &self.before {
            Some((bytes, mode)) => files::write(&self.path, bytes, *mode, None),
            None => fs::remove_file(&self.path).map_err(file("remove", &self.path)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_as_it_was_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let (absent, present) = (dir.path().join("policy"), dir.path().join("conf"));
        files::write(&present, b"create = true\n", 0o640, None).unwrap();
        {
            let _one = StandIn::unless_there(&absent, "#!/bin/sh\nexit 101\n", 0o755).unwrap();
            let _two = StandIn::instead_of(&present, "create = false\n").unwrap();
            let script = fs::read_to_string(&absent).unwrap();
            assert!(script.starts_with("#!/bin/sh\n") && script.ends_with("exit 101\n"), "{script}");
            assert!(fs::read_to_string(&present).unwrap().starts_with("create = false\n"));
        }
        assert!(!absent.exists());
        assert_eq!(fs::read(&present).unwrap(), b"create = true\n");
        assert_eq!(fs::metadata(&present).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn the_owner_s_policy_is_left_alone_and_our_own_leftover_is_not_taken_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy");
        files::write(&path, b"#!/bin/sh\nexit 0\n", 0o755, None).unwrap();
        assert!(StandIn::unless_there(&path, "#!/bin/sh\nexit 101\n", 0o755).unwrap().is_none());
        assert_eq!(fs::read(&path).unwrap(), b"#!/bin/sh\nexit 0\n");
        put(&path, "#!/bin/sh\nexit 101\n", 0o755).unwrap();
        drop(StandIn::unless_there(&path, "#!/bin/sh\nexit 101\n", 0o755).unwrap());
        assert!(!path.exists());
    }
}
