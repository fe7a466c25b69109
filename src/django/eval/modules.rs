//! Dotted names to files and back, as Python would find them from where the project is started.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::django::template;
use crate::django::tree::Tree;

/// The modules of a tree.
#[derive(Debug)]
pub struct Modules {
    /// Folders from which imports are looked up, the likeliest first, each empty or with a slash at its end.
    roots: Vec<String>,
    /// Paths without their templates' braces, to the paths as they are.
    files: BTreeMap<String, Rc<str>>,
}

impl Modules {
    /// For a project that is started in this folder.
    pub fn new(tree: &Tree, home: &str) -> Self {
        let files = tree.paths().filter(|path| path.ends_with(".py"));
        let files = files.map(|path| (template::filled(path).into_owned(), Rc::from(path))).collect();
        let home = template::filled(home).into_owned();
        let mut roots = vec![home.clone()];
        for more in [String::new(), format!("{home}src/"), format!("{home}apps/"), "src/".into(), "backend/".into()] {
            if !roots.contains(&more) {
                roots.push(more);
            }
        }
        Self { roots, files }
    }

    /// The folder that the project is started in.
    pub fn home(&self) -> &str {
        &self.roots[0]
    }

    /// The file of a module; a package wins over a module of the same name, as it does for Python.
    pub fn file_of(&self, module: &str) -> Option<Rc<str>> {
        let path = template::filled(module).replace('.', "/");
        let ends = [format!("{path}/__init__.py"), format!("{path}.py")];
        self.roots.iter().find_map(|root| ends.iter().find_map(|end| self.files.get(&format!("{root}{end}"))).cloned())
    }

    /// Is there such a module, or a folder that may hold such modules?
    pub fn is_ours(&self, module: &str) -> bool {
        let path = template::filled(module).replace('.', "/");
        self.file_of(module).is_some()
            || self.roots.iter().any(|root| {
                let folder = format!("{root}{path}/");
                self.files.range(folder.clone()..).next().is_some_and(|(file, _)| file.starts_with(&folder))
            })
    }

    /// The module that a file is.
    pub fn name_of(&self, file: &str) -> Rc<str> {
        let file = template::filled(file);
        let root = self.roots.iter().find(|root| file.starts_with(root.as_str()));
        let inner = file[root.map_or(0, String::len)..].trim_end_matches(".py").trim_end_matches("/__init__");
        inner.replace('/', ".").into()
    }

    /// A dotted name that a file imports, absolute. `level` counts the leading dots.
    pub fn absolute(&self, file: &str, module: &str, name: &str, level: u32) -> String {
        if level == 0 {
            return name.to_owned();
        }
        let above = level as usize - usize::from(file.ends_with("/__init__.py") || file == "__init__.py");
        let mut parts: Vec<&str> = module.split('.').collect();
        parts.truncate(parts.len().saturating_sub(above));
        parts.extend((!name.is_empty()).then_some(name));
        parts.join(".")
    }

    /// The module and what is left of a dotted name that leads into the project.
    pub fn split<'n>(&self, dotted: &'n str) -> Option<(Rc<str>, &'n str)> {
        let ends = dotted.match_indices('.').map(|(at, _)| at).chain([dotted.len()]);
        let ends: Vec<usize> = ends.collect();
        ends.into_iter().rev().find_map(|end| {
            let file = self.file_of(&dotted[..end])?;
            Some((file, dotted[end..].trim_start_matches('.')))
        })
    }
}

/// A path beside a folder, without its `.` and `..`.
pub(super) fn normal(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
