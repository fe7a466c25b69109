//! Which settings production runs, and who says so: the deployment first, then what the served entry point falls back
//! on, then the module beside it that is neither for developers nor for tests.

use std::sync::LazyLock;

use regex::Regex;

use super::deploy::{Deploy, Variable};
use super::eval::{Evaluator, Modules};
use super::template;
use super::tree::Tree;
use super::value::Place;
use super::words::{is_aside, is_live};

/// A module that something names.
#[derive(Debug, Clone)]
pub struct Named {
    /// As written.
    pub module: String,
    /// Where.
    pub place: Place,
}

/// What production runs.
#[derive(Debug, Default)]
pub struct Production {
    /// The settings module.
    pub settings: Option<Named>,
    /// What `wsgi.py` or `asgi.py` falls back on, whichever is served.
    pub entry: Option<Named>,
    /// What the deployment sets.
    pub deployed: Option<Named>,
    /// What a deployment for developers or a step of the build sets.
    pub aside: Option<Named>,
    /// The settings class that runs, where classes make settings.
    pub class: Option<String>,
}

#[expect(clippy::expect_used, reason = "a constant pattern")]
static FALLBACK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?m)^[^#\n]*["']DJANGO_SETTINGS_MODULE["']\s*\]?\s*(?:,|=|\bor\b)\s*[^#"']{0,60}["']([\w.{} ]+)["']"#)
        .expect("a pattern")
});
#[expect(clippy::expect_used, reason = "a constant pattern")]
static SERVED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"([\w.{}/]+?)[./](\w*[wa]sgi\w*)(?:\.py)?(?::|\s|$)").expect("a pattern"));

/// The folder that the project is started in, with a slash at its end: the one with the `manage.py` that names settings.
/// None when nothing here is a Django project.
pub fn home(tree: &Tree) -> Option<String> {
    let named = |end: &str, above: usize| -> Option<String> {
        let files = tree.paths().filter(|path| path.rsplit('/').next() == Some(end));
        let files = files.filter(|path| tree.text(path).is_some_and(|text| text.to_lowercase().contains("django")));
        let best = files
            .min_by_key(|path| (is_aside(path) || path.contains("example"), path.matches('/').count(), path.len()))?;
        let folder = best.rsplitn(above + 1, '/').nth(above).unwrap_or("");
        Some(if folder.is_empty() { String::new() } else { format!("{folder}/") })
    };
    named("manage.py", 1)
        .or_else(|| named("wsgi.py", 2))
        .or_else(|| named("asgi.py", 2))
        .or_else(|| named("settings.py", 2))
}

impl Production {
    /// Finds it.
    pub fn find(tree: &Tree, modules: &Modules, deploy: &Deploy, evaluator: &mut Evaluator<'_>) -> Self {
        let home = modules.home();
        let known = |named: &Named| modules.file_of(&named.module).is_some();
        let chosen = || deploy.variables.iter().filter(|variable| variable.name == "DJANGO_SETTINGS_MODULE");
        let serves = |variable: &&Variable| !variable.aside && !is_aside(&variable.value);
        let deployed = chosen().filter(serves).map(named).find(known);
        let aside = chosen().find(|variable| !serves(variable)).map(named);
        let entry = entry(tree, home, deploy);
        let managed = fallback(tree, &format!("{home}manage.py"));
        let falls_back = entry.clone().or_else(|| managed.clone());
        let serves = |named: &&Named| known(named) && !is_aside(&named.module);
        let settings = deployed
            .clone()
            .or_else(|| entry.as_ref().filter(serves).cloned())
            .or_else(|| beside(tree, modules, falls_back.as_ref(), evaluator))
            .or_else(|| managed.as_ref().filter(serves).cloned())
            .or_else(|| falls_back.filter(known))
            .or_else(|| any(tree, modules));
        let class =
            settings.as_ref().and_then(|settings| class(&modules.file_of(&settings.module)?, deploy, evaluator));
        Self { settings, entry, deployed, aside, class }
    }

    /// What `DJANGO_SETTINGS_MODULE` is in the deployment: a module, `none` where the fallback serves, else `unknown`.
    pub fn deployed_module(&self) -> &str {
        match (&self.deployed, &self.entry, &self.settings) {
            (Some(named), ..) => &named.module,
            (None, Some(entry), Some(settings)) if entry.module == settings.module => "none",
            (None, None, Some(_)) if self.aside.is_none() => "none",
            _ => "unknown",
        }
    }
}

fn named(variable: &Variable) -> Named {
    Named { module: variable.value.clone(), place: variable.place.clone() }
}

/// The module that a file sets `DJANGO_SETTINGS_MODULE` to when nobody else did.
fn fallback(tree: &Tree, file: &str) -> Option<Named> {
    let text = tree.text(file)?;
    let found = FALLBACK.captures(&text)?.get(1)?;
    let line = text[..found.end()].lines().count();
    let place = Place { file: file.into(), line: u32::try_from(line).ok()? };
    Some(Named { module: found.as_str().trim().to_owned(), place })
}

/// What the served `wsgi.py` or `asgi.py` falls back on.
fn entry(tree: &Tree, home: &str, deploy: &Deploy) -> Option<Named> {
    let ends = ["wsgi.py", "asgi.py", "/wsgi/__init__.py", "/asgi/__init__.py"];
    let mut files: Vec<&str> = tree.paths().filter(|path| ends.iter().any(|end| path.ends_with(end))).collect();
    let served = deploy.commands.iter().filter(|command| !command.aside);
    let served = served.filter(|command| super::facts::server_of(&command.text).is_some());
    let served = served.filter_map(|command| {
        let found = SERVED.captures(&command.text)?;
        Some(format!("{}/{}", found[1].replace('.', "/"), &found[2]))
    });
    let served: Vec<String> = served.collect();
    let wanted = |path: &str| {
        let path = template::filled(path).trim_end_matches(".py").trim_end_matches("/__init__").to_owned();
        served.iter().position(|served| path.ends_with(&*template::filled(served)))
    };
    files.sort_by_key(|path| {
        let first = wanted(path).unwrap_or(usize::MAX);
        (first, !path.starts_with(home), is_aside(path), path.matches('/').count(), !path.ends_with("/wsgi.py"))
    });
    files.into_iter().find_map(|file| fallback(tree, file))
}

/// The one module in the folder of a developers' module that serves people: by its name or, else, as the only one left.
fn beside(tree: &Tree, modules: &Modules, other: Option<&Named>, evaluator: &mut Evaluator<'_>) -> Option<Named> {
    let other = other?;
    let file = modules.file_of(&other.module)?;
    let folder = file.rsplit_once('/')?.0;
    let inside =
        |path: &&str| path.rsplit_once('/').is_some_and(|(parent, name)| parent == folder && name != "__init__.py");
    let candidates = tree.paths().filter(|path| path.ends_with(".py")).filter(inside);
    let settings = |path: &&str| {
        let near_settings = folder.ends_with("settings") || folder.ends_with("config");
        let name = path.rsplit('/').next().unwrap_or_default();
        (near_settings || name.contains("settings")) && **path != *file && !is_aside(name)
    };
    let candidates: Vec<&str> = candidates.filter(settings).collect();
    let live = candidates.iter().find(|path| is_live(path.rsplit('/').next().unwrap_or_default()));
    let whole = |path: &&&str| {
        let scope = evaluator.module(path).unwrap_or_default();
        let others = candidates.iter().filter(|other| *other != *path);
        let used = others.clone().any(|other| imports(tree, other, path));
        // A module that names no database of its own and none through another is a part, or is for one command.
        scope.contains_key("INSTALLED_APPS")
            && scope.contains_key("DATABASES")
            && scope.contains_key("SECRET_KEY")
            && !used
    };
    let found = match live {
        Some(found) => found,
        None => {
            let left: Vec<&&str> = candidates.iter().filter(whole).collect();
            let sized = |path: &&&str| tree.text(path).map_or(0, |text| text.len());
            left.into_iter().max_by_key(sized)?
        }
    };
    let stem = found.rsplit('/').next()?.trim_end_matches(".py");
    let package = other.module.rsplit_once('.').map_or("", |(package, _)| package);
    let module = if package.is_empty() { stem.to_owned() } else { format!("{package}.{stem}") };
    Some(Named { module, place: Place { file: (*found).into(), line: 1 } })
}

/// Does one file of a folder import another of it?
fn imports(tree: &Tree, one: &str, other: &str) -> bool {
    let name = other.rsplit('/').next().unwrap_or_default().trim_end_matches(".py");
    let ends = [format!(".{name} import"), format!("import {name}")];
    tree.text(one).is_some_and(|text| {
        text.lines().any(|line| line.contains("import") && ends.iter().any(|end| line.contains(end)))
    })
}

/// Where nothing names a module: the only settings there are.
fn any(tree: &Tree, modules: &Modules) -> Option<Named> {
    let fits = |path: &&str| path.ends_with("settings.py") || path.ends_with("settings/production.py");
    let path = tree.paths().filter(fits).filter(|path| !is_aside(path)).min_by_key(|path| path.matches('/').count())?;
    let module = modules.name_of(path).to_string();
    Some(Named { module, place: Place { file: path.into(), line: 1 } })
}

/// The class of django-configurations that production runs.
fn class(file: &str, deploy: &Deploy, evaluator: &mut Evaluator<'_>) -> Option<String> {
    let classes = evaluator.configurations(file);
    let known = |name: &str| classes.iter().any(|(class, _)| &**class == name);
    let chosen = deploy.variables.iter().filter(|variable| variable.name == "DJANGO_CONFIGURATION" && !variable.aside);
    let chosen =
        chosen.map(|variable| variable.value.clone()).find(|name| known(name) && !is_aside(name) && name != "Test");
    let usual = || ["Production", "Prod", "Live"].iter().find(|name| known(name)).map(|name| (*name).to_owned());
    let only = || if let [(only, _)] = classes.as_slice() { Some(only.to_string()) } else { None };
    chosen.or_else(usual).or_else(only)
}
