//! The practice stack's files, inside the binary. Unpacks the shop's source; knows nothing of what the files mean.
//! (A file *added* below `assets/lab` is seen after this file is compiled again.)

use include_dir::{Dir, DirEntry, include_dir};
use sha2::{Digest, Sha256};

use super::error::{LabError, Result};
use super::files;

static LAB: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/assets/lab");

/// One file's text, by its name below `assets/lab`.
pub(crate) fn text(name: &str) -> Result<&'static str> {
    LAB.get_file(name).and_then(|f| f.contents_utf8()).ok_or_else(|| LabError::Assets(format!("no text file {name}")))
}

/// The text files directly below a folder, by file name.
pub(crate) fn folder(name: &str) -> Result<impl Iterator<Item = (&'static str, &'static str)>> {
    let files = dir(name)?.files();
    Ok(files.filter_map(|f| Some((f.path().file_name()?.to_str()?, f.contents_utf8()?))))
}

fn dir(name: &str) -> Result<&'static Dir<'static>> {
    LAB.get_dir(name).ok_or_else(|| LabError::Assets(format!("no folder {name}")))
}

/// Writes a folder of the assets below `to`, leaving out what Python compiled; removes nothing.
pub(crate) fn unpack(name: &str, to: &std::path::Path) -> Result<()> {
    let dir = dir(name)?;
    files::folder(to, 0o755, None)?;
    for (path, contents) in walk(dir) {
        let target = to.join(path.strip_prefix(name).unwrap_or(path));
        if let Some(folder) = target.parent() {
            files::folder(folder, 0o755, None)?;
        }
        files::write_changed(&target, contents, 0o644, None)?;
    }
    Ok(())
}

/// SHA-256 over one asset file or folder, hexadecimal: changes when a new rampup brings other files.
pub(crate) fn digest(name: &str) -> Result<String> {
    let mut hash = Sha256::new();
    match LAB.get_entry(name) {
        Some(DirEntry::File(f)) => hash.update(f.contents()),
        Some(DirEntry::Dir(dir)) => {
            for (path, contents) in walk(dir) {
                hash.update(path.to_string_lossy().as_bytes());
                hash.update(contents.len().to_le_bytes());
                hash.update(contents);
            }
        }
        None => return Err(LabError::Assets(format!("no {name}"))),
    }
    Ok(hex(&hash.finalize()))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Every file below a folder in a fixed order, without what Python compiled.
fn walk(dir: &'static Dir<'static>) -> Vec<(&'static std::path::Path, &'static [u8])> {
    let mut found = Vec::new();
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(inner) if inner.path().ends_with("__pycache__") => {}
            DirEntry::Dir(inner) => found.extend(walk(inner)),
            DirEntry::File(f) => found.push((f.path(), f.contents())),
        }
    }
    found.sort_by_key(|(path, _)| *path);
    found
}
