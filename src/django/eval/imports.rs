//! Imports: names of other modules, all of a module by a star, and files that are included as if they stood here.

use ruff_python_ast::{StmtImport, StmtImportFrom};

use super::calls::Given;
use super::{Evaluator, Frame, modules};
use crate::django::value::{Kind, Value};

/// Packages whose names are no settings of a project, as settings import all of them.
const WITHOUT_SETTINGS: [&str; 24] = [
    "os",
    "sys",
    "re",
    "pathlib",
    "typing",
    "datetime",
    "logging",
    "enum",
    "socket",
    "warnings",
    "collections",
    "__future__",
    "django",
    "environ",
    "environs",
    "decouple",
    "dotenv",
    "configurations",
    "split_settings",
    "celery",
    "kombu",
    "corsheaders",
    "ldap",
    "django_auth_ldap",
];

fn is_without_settings(module: &str) -> bool {
    module.split('.').next().is_some_and(|package| WITHOUT_SETTINGS.contains(&package))
}

impl Evaluator<'_> {
    pub(super) fn import(&mut self, frame: &mut Frame, statement: &StmtImport) {
        for alias in &statement.names {
            let full = alias.name.as_str();
            let first = full.split('.').next().unwrap_or(full);
            let (name, target) = alias.asname.as_ref().map_or((first, first), |name| (name.as_str(), full));
            let value = Value::new(Kind::Named(target.into()), &frame.place(alias));
            frame.set(name, value);
        }
    }

    pub(super) fn import_from(&mut self, frame: &mut Frame, statement: &StmtImportFrom) {
        let name = statement.module.as_ref().map_or("", |name| name.as_str());
        let module = self.modules.absolute(&frame.source.file, &frame.module, name, statement.level);
        for alias in &statement.names {
            let place = frame.place(alias);
            let file = self.modules.file_of(&module);
            if alias.name.as_str() == "*" {
                let scope = file.and_then(|file| self.deeper(|it| it.may_go_on().then(|| it.module(&file)).flatten()));
                if let Some(scope) = scope {
                    let public = scope.iter().filter(|(name, _)| !name.starts_with('_'));
                    frame
                        .scopes
                        .iter_mut()
                        .rev()
                        .take(1)
                        .for_each(|own| own.extend(public.clone().map(|(n, v)| (n.clone(), v.clone()))));
                    continue;
                }
            } else {
                let value = Value::new(Kind::Named(format!("{module}.{}", alias.name).into()), &place);
                frame.set(alias.asname.as_ref().unwrap_or(&alias.name), value);
            }
            let parent = module.rsplit_once('.').map_or("", |(parent, _)| parent);
            let ours = statement.level > 0 || self.modules.is_ours(parent);
            let found = self.modules.is_ours(&module);
            // What a `try` asks for is optional; the rest of a star may be any setting.
            if alias.name.as_str() == "*" && !found && self.tried == 0 && !is_without_settings(&module) {
                self.lose(
                    frame,
                    format!("{place} imports all of {module}, which is not here and may hold any setting"),
                );
            }
            if !found && ours {
                frame.import_failed = true;
                self.missing.push((module.clone(), place));
            }
        }
    }

    /// `include("base.py", optional("local.py"), "parts/*.py")`: files that run as if they stood here.
    pub(super) fn include(&mut self, frame: &mut Frame, given: &Given) {
        let here = frame.source.file.clone();
        let folder = here.rsplit_once('/').map_or("", |(folder, _)| folder);
        for argument in &given.args {
            let named = match &argument.kind {
                Kind::Call { args, .. } => args.first().and_then(|first| first.text()),
                _ => argument.text(),
            };
            let Some(pattern) = named else { continue };
            let pattern = modules::normal(folder, pattern);
            let (start, end) = pattern.split_once('*').unwrap_or((&pattern, ""));
            let fits = |path: &&str| {
                **path == *pattern
                    || (pattern.contains('*') && path.starts_with(start) && path.ends_with(end) && **path != *here)
            };
            let files: Vec<String> = self.tree.paths().filter(fits).map(str::to_owned).collect();
            for file in files {
                let Some(source) = self.source(&file).filter(|_| self.may_go_on()) else { continue };
                self.followed.push(source.file.clone());
                let outer = std::mem::replace(&mut frame.source, source.clone());
                self.deeper(|it| it.block(frame, &source.body));
                frame.source = outer;
            }
        }
    }
}
