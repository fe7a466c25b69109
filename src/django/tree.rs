//! A project's files: which there are and what they say, within limits. The only file of this room that touches a disk;
//! knows nothing of Python or Django.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::DjangoError;

/// Files listed, at most.
const FILES: usize = 60_000;
/// Folders below folders.
const DEPTH: usize = 14;
/// Bytes of one file that are read; settings, lock files and process files are shorter.
const SIZE: u64 = 2 << 20;
/// Bytes read in all.
const TOTAL: u64 = 192 << 20;
/// Folders that hold other people's code, or none.
const SKIPPED: [&str; 12] = [
    "node_modules",
    "bower_components",
    "site-packages",
    "__pycache__",
    "venv",
    "virtualenv",
    "migrations",
    "locale",
    "fixtures",
    "dist",
    "htmlcov",
    "vendor",
];
/// Hidden folders that say how a site is run.
const SHOWN: [&str; 6] = [".envs", ".env", ".platform", ".ebextensions", ".docker", ".deploy"];

/// The files below one folder.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    sizes: BTreeMap<String, u64>,
    texts: RefCell<HashMap<String, Option<Rc<str>>>>,
    left: RefCell<u64>,
    whole: bool,
}

impl Tree {
    /// Lists what is below a folder. Folders that are links are not entered, and a file that is a link counts only when
    /// what it names is in the tree.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open(root: &Path) -> Result<Self, DjangoError> {
        Self::within(root, FILES)
    }

    fn within(root: &Path, files: usize) -> Result<Self, DjangoError> {
        let unreadable = |source| DjangoError::Folder { path: root.to_owned(), source };
        let root = fs::canonicalize(root).map_err(unreadable)?;
        fs::read_dir(&root).map_err(unreadable)?;
        let mut sizes = BTreeMap::new();
        // The shallow before the deep and each folder by its names, so that what a limit leaves out is the same each time
        // and rarely what matters.
        let mut folders = VecDeque::from([(root.clone(), 0)]);
        let mut whole = true;
        'all: while let Some((folder, depth)) = folders.pop_front() {
            let mut entries: Vec<_> = fs::read_dir(&folder).into_iter().flatten().flatten().collect();
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    if entered(&path, &name) {
                        whole &= depth < DEPTH;
                        folders.extend((depth < DEPTH).then_some((path, depth + 1)));
                    }
                } else if sizes.len() >= files {
                    whole = false;
                    break 'all;
                } else if let Some((path, size)) = inside(&root, &path, kind.is_symlink()) {
                    sizes.insert(path, size);
                }
            }
        }
        Ok(Self { root, sizes, texts: RefCell::default(), left: RefCell::new(TOTAL), whole })
    }

    /// All paths, relative to the root, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.sizes.keys().map(String::as_str)
    }

    /// True when no limit cut the listing short.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// True for a file that is there and longer than what is read.
    pub fn is_too_large(&self, path: &str) -> bool {
        self.sizes.get(path).is_some_and(|size| *size > SIZE)
    }

    /// What a file says, in whichever encoding; none when it is too large, unreadable, or not text.
    pub fn text(&self, path: &str) -> Option<Rc<str>> {
        if let Some(known) = self.texts.borrow().get(path) {
            return known.clone();
        }
        let size = *self.sizes.get(path)?;
        let mut left = self.left.borrow_mut();
        let fits = size <= SIZE && size <= *left;
        let text = fits.then(|| fs::read(self.root.join(path)).ok()).flatten().and_then(|bytes| decoded(&bytes));
        *left -= if fits { size } else { 0 };
        self.texts.borrow_mut().insert(path.to_owned(), text.clone());
        text
    }
}

fn entered(path: &Path, name: &str) -> bool {
    let shown = |name: &str| SHOWN.contains(&name);
    let below = || path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).is_some_and(shown);
    let hidden = name.starts_with('.') && !shown(name) && !below();
    !hidden && !SKIPPED.contains(&name) && !path.join("pyvenv.cfg").exists()
}

/// The path below the root and the size, unless it is a link that leads out or nowhere.
fn inside(root: &Path, path: &Path, link: bool) -> Option<(String, u64)> {
    if link && !fs::canonicalize(path).ok()?.starts_with(root) {
        return None;
    }
    let about = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some((path.strip_prefix(root).ok()?.to_str()?.to_owned(), about.len()))
}

/// UTF-8, UTF-8 with a mark, UTF-16 with a mark, and else Latin-1; never bytes with zeros in them.
fn decoded(bytes: &[u8]) -> Option<Rc<str>> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair)).collect();
        Rc::from(String::from_utf16_lossy(&units))
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => Some(utf16(rest, u16::from_le_bytes)),
        [0xFE, 0xFF, rest @ ..] => Some(utf16(rest, u16::from_be_bytes)),
        [0xEF, 0xBB, 0xBF, rest @ ..] => decoded(rest),
        _ if bytes.contains(&0) => None,
        _ => Some(match std::str::from_utf8(bytes) {
            Ok(text) => Rc::from(text),
            Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_leaves_out_the_deepest_and_last_by_name() {
        let root = tempfile::tempdir().unwrap();
        for path in ["z.py", "b/y.py", "b/c/x.py", "a/w.py", "c/v.py", "m.py", "a/u.py"] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            crate::store::atomic::write(&path, b"").unwrap();
        }
        let listed = |files| {
            let tree = Tree::within(root.path(), files).unwrap();
            (tree.paths().map(str::to_owned).collect::<Vec<_>>().join(" "), tree.is_whole())
        };
        for (files, wanted, whole) in [
            (2, "m.py z.py", false),
            (3, "a/u.py m.py z.py", false),
            (5, "a/u.py a/w.py b/y.py m.py z.py", false),
            (7, "a/u.py a/w.py b/c/x.py b/y.py c/v.py m.py z.py", true),
        ] {
            assert_eq!(listed(files), (wanted.to_owned(), whole), "{files}");
        }
    }
}
