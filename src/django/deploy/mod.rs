//! How a project is run: commands, the variables that choose its settings, and the paths that its platform asks for its
//! health. Knows the files of platforms and nothing of Python.

mod docker;
mod lines;
mod yaml;

use std::sync::LazyLock;

use regex::Regex;

use super::template;
use super::tree::Tree;
use super::value::Place;
use super::words::{is_aside, is_live};

/// Something that is started.
#[derive(Debug, Clone)]
pub struct Command {
    /// As written, on one line.
    pub text: String,
    /// Where.
    pub place: Place,
    /// Only developers or tests start it.
    pub aside: bool,
    /// How directly a platform starts it; less is more.
    pub rank: usize,
}

/// A variable that chooses settings.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What it is set to: the name of a module or class.
    pub value: String,
    /// Where.
    pub place: Place,
    /// Only developers, tests or a step of the build see it.
    pub aside: bool,
}

/// Everything that says how a project is run.
#[derive(Debug, Default)]
pub struct Deploy {
    /// What is started, the most direct first.
    pub commands: Vec<Command>,
    /// Which settings are chosen.
    pub variables: Vec<Variable>,
    /// Paths asked for by health checks.
    pub health: Vec<(String, Place)>,
    /// Lines of proxies and images that tell what else runs: words that are looked for, and where.
    pub hints: Vec<(&'static str, Place, bool)>,
}

/// Variables whose values are names of modules and classes, and nothing secret.
const CHOOSERS: [&str; 2] = ["DJANGO_SETTINGS_MODULE", "DJANGO_CONFIGURATION"];
/// Words by which other parts of a deployment are known.
const HINTS: [&str; 5] = ["pgbouncer", "pgpool", "pgcat", "odyssey", "supavisor"];

#[expect(clippy::expect_used, reason = "a constant pattern")]
static SET: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\b(DJANGO_SETTINGS_MODULE|DJANGO_CONFIGURATION)["']?\s*[=:]\s*["']?(?:\$\{\w+:?-)?([\w.{}]+)"#)
        .expect("a pattern")
});
#[expect(clippy::expect_used, reason = "a constant pattern")]
static ASKED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0)[^/\s"']*(/[\w./-]+)"#).expect("a pattern")
});
/// Answers to static files by a proxy.
#[expect(clippy::expect_used, reason = "a constant pattern")]
static STATIC: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^\s*(?:location\s+(?:[\^~=*]+\s+)?/?(?:django[-_])?static|handle(?:_path)?\s+/static)")
        .expect("a pattern")
});

impl Deploy {
    /// Reads all of a tree.
    pub fn read(tree: &Tree) -> Self {
        let mut found = Self::default();
        for path in tree.paths() {
            let kind = Kind::of(path);
            if let Some((kind, text)) = kind.and_then(|kind| Some((kind, tree.text(path)?))) {
                found.file(tree, kind, path, &template::decided(tree, &text));
            }
        }
        found.commands.sort_by_key(|command| (command.aside, command.rank));
        found.variables.sort_by_key(|variable| (variable.aside, !is_live(&variable.place.file)));
        found
    }

    fn file(&mut self, tree: &Tree, kind: Kind, path: &str, text: &str) {
        let aside = is_aside(path) && !is_live(path);
        match kind {
            Kind::Docker => docker::read(self, tree, path, text, aside),
            Kind::Yaml => yaml::read(self, path, text, aside),
            Kind::Procfile => lines::procfile(self, path, text, aside),
            Kind::Script => lines::script(self, path, text, aside),
            Kind::Ini => lines::ini(self, path, text, aside),
            Kind::Keys => lines::keys(self, path, text, aside),
            Kind::Environment => {
                for (line, text) in lines::numbered(text) {
                    self.chooses(text, &Place { file: path.into(), line }, aside);
                }
            }
            Kind::Proxy => {
                if let Some(hit) = STATIC.find(text) {
                    let line = text[..hit.end()].lines().count();
                    let word = if path.contains("Caddy") { "caddy" } else { "nginx" };
                    let line = u32::try_from(line).unwrap_or(1);
                    self.hints.push((word, Place { file: path.into(), line }, aside));
                }
            }
        }
        if !matches!(kind, Kind::Environment) && !path.ends_with("Makefile") {
            self.hint(path, text, aside);
        }
    }

    fn hint(&mut self, path: &str, text: &str, aside: bool) {
        for (line, text) in lines::numbered(text) {
            let lower = text.to_lowercase();
            let seen = HINTS.iter().filter(|word| lower.contains(**word));
            self.hints.extend(seen.map(|word| (*word, Place { file: path.into(), line }, aside)));
        }
    }

    /// Notes a line that chooses settings; a value that refers to a variable counts as what it is left at.
    fn chooses(&mut self, text: &str, place: &Place, aside: bool) {
        if !CHOOSERS.iter().any(|name| text.contains(name)) {
            return;
        }
        for found in SET.captures_iter(text).filter(|found| !found[2].starts_with('$')) {
            // The brace at the end of `${NAME:-value}` is not the value's; those of a template are.
            let value = if found[2].contains("{{") { &found[2] } else { found[2].trim_end_matches('}') };
            let (name, value) = (found[1].to_owned(), value.to_owned());
            self.variables.push(Variable { name, value, place: place.clone(), aside });
        }
    }

    fn starts(&mut self, text: &str, place: Place, aside: bool, rank: usize) {
        self.chooses(text, &place, aside);
        self.asks(text, &place);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if !text.is_empty() {
            self.commands.push(Command { text, place, aside, rank });
        }
    }

    fn asks(&mut self, text: &str, place: &Place) {
        self.health.extend(ASKED.captures_iter(text).map(|found| (found[1].to_owned(), place.clone())));
    }
}

/// What a file is to a platform.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Docker,
    Yaml,
    Procfile,
    Script,
    Ini,
    Keys,
    Environment,
    Proxy,
}

impl Kind {
    fn of(path: &str) -> Option<Self> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let lower = name.to_lowercase();
        let ends = |ends: &[&str]| ends.iter().any(|end| lower.ends_with(end));
        let in_environments = folder.split('/').any(|part| matches!(part, ".envs" | "env.d" | "envs"));
        Some(match () {
            () if lower.starts_with("dockerfile") || ends(&[".dockerfile"]) => Self::Docker,
            () if lower.starts_with("procfile") => Self::Procfile,
            () if lower.contains("caddyfile") => Self::Proxy,
            () if lower.contains("nginx") || folder.contains("nginx") && ends(&[".conf", ".template", ".tmpl"]) => {
                Self::Proxy
            }
            () if ends(&[".py", ".md", ".rst", ".html", ".js", ".ts", ".css", ".svg", ".lock", ".txt"]) => return None,
            () if lower.starts_with(".env") || ends(&[".env"]) || in_environments => Self::Environment,
            () if ends(&[".yml", ".yaml", ".yaml.tpl"]) => Self::Yaml,
            () if matches!(&*lower, "railway.json" | "railway.toml" | "nixpacks.toml" | "app.json" | "fly.toml") => {
                Self::Keys
            }
            () if ends(&[".ini", ".service", ".conf", ".cfg"]) => Self::Ini,
            () if ends(&[".sh", ".bash"]) || !name.contains('.') => Self::Script,
            () => return None,
        })
    }
}
