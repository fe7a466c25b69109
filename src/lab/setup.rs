//! Everything the services are made from, brought together: folders, account, programs, ports, secrets, what the applied
//! steps ask for. Renders the configuration files. Starts nothing.

use std::collections::BTreeMap;

use super::account::Account;
use super::assets;
use super::clouds;
use super::error::Result;
use super::faults::{self, Fault};
use super::files;
use super::layout::Layout;
use super::render::render;
use super::service::Service;
use super::state::State;
use super::steps::{Catalogue, Effective};
use super::tools::Tools;

/// The variable that marks every process of a lab with the lab's folder.
pub(crate) const MARK: &str = "RAMPUP_LAB";

/// Configuration templates. Some hold secrets, so only the services' account may read them.
const TEMPLATES: [&str; 5] = ["postgresql.conf", "pgbouncer.ini", "userlist.txt", "s3.json", "nginx.conf"];

/// The receiver of what the shop sends; with the clouds' stand-ins, the stack's programs that are not the shop's.
const SINK: &str = "sink.py";

/// The state of one lab turned into things that can be started. No `Debug`: it holds secrets.
pub(crate) struct Setup {
    pub layout: Layout,
    pub account: Option<Account>,
    pub tools: Tools,
    pub effective: Effective,
    pub catalogue: Catalogue,
    /// What is wrong with it on purpose.
    pub faults: Vec<Fault>,
    ports: BTreeMap<String, u16>,
    secrets: BTreeMap<String, String>,
}

impl Setup {
    /// Reads the steps and merges those that are applied.
    pub fn new(layout: &Layout, account: Option<Account>, tools: Tools, state: &State) -> Result<Self> {
        let (ports, secrets) = (state.ports.clone(), state.secrets.clone());
        let catalogue = Catalogue::read(&|name| fill(layout, &ports, &secrets, name))?;
        let mut effective = catalogue.effective(&state.applied);
        if let Some(library) = &state.queue {
            effective.env.insert("QUEUE_LIBRARY".into(), library.clone());
        }
        if state.clouds {
            effective.services.insert(Service::Clouds);
        }
        let faults = faults::named(layout, &state.faults)?;
        for fault in &faults {
            fault
                .bend(&mut effective, &|text| render(&fault.id, text, &|name| fill(layout, &ports, &secrets, name)))?;
        }
        Ok(Self { layout: layout.clone(), account, tools, effective, catalogue, faults, ports, secrets })
    }

    /// A port by name; 0, where nothing listens, for a name that does not exist.
    pub fn port(&self, name: &str) -> u16 {
        self.ports.get(name).copied().unwrap_or(0)
    }

    /// A secret by name.
    pub fn secret(&self, name: &str) -> &str {
        self.secrets.get(name).map_or("", String::as_str)
    }

    /// The library that does the shop's background work.
    pub fn library(&self) -> &str {
        self.effective.env.get("QUEUE_LIBRARY").map_or("celery", String::as_str)
    }

    /// Where the worker looks for tasks.
    pub fn worker_broker(&self) -> String {
        let Effective { env, worker_env, .. } = &self.effective;
        let named = worker_env.get("CELERY_BROKER_URL").or_else(|| env.get("CELERY_BROKER_URL"));
        named.cloned().unwrap_or_else(|| format!("redis://127.0.0.1:{}/0", self.port("redis_broker")))
    }

    /// Writes every configuration file that changed, and the shop's environment as a file to look at.
    pub fn write_conf(&self) -> Result<()> {
        for name in TEMPLATES {
            let text = faults::edited(name, assets::text(name)?, &self.faults)?;
            let text = render(name, &text, &|key| self.value(key))?;
            files::write_changed(&self.layout.conf().join(name), text.as_bytes(), 0o600, self.account.as_ref())?;
        }
        for name in std::iter::once(SINK).chain(clouds::PROGRAMS) {
            let text = faults::edited(name, assets::text(name)?, &self.faults)?;
            files::write_changed(&self.layout.conf().join(name), text.as_bytes(), 0o600, self.account.as_ref())?;
        }
        let facts = format!("{:#}\n", clouds::facts(self));
        let path = self.layout.conf().join(clouds::FACTS);
        files::write_changed(&path, facts.as_bytes(), 0o600, self.account.as_ref())?;
        let env: String = self.effective.env.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        files::write_changed(&self.layout.conf().join("shop.env"), env.as_bytes(), 0o600, None)?;
        Ok(())
    }

    fn value(&self, key: &str) -> Option<String> {
        match key.split_once('.') {
            Some(("edge", key)) => self.effective.edge.get(key).cloned(),
            Some(("pooler", key)) => self.effective.pooler.get(key).cloned(),
            _ => fill(&self.layout, &self.ports, &self.secrets, key),
        }
    }

    /// What every process gets, and the mark by which an orphan is recognised.
    pub fn bare_env(&self) -> BTreeMap<String, String> {
        let run = self.layout.run().to_string_lossy().into_owned();
        [
            ("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("HOME", run.clone()),
            ("TMPDIR", run),
            ("PYTHONUNBUFFERED", "1".to_owned()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
            (MARK, self.layout.root().to_string_lossy().into_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Writes the shop's source files that these faults edit, with the edits of those in force.
    pub fn write_edited(&self, touched: &[Fault]) -> Result<()> {
        for patch in touched.iter().flat_map(|fault| &fault.patch) {
            let Some(below) = patch.file.strip_prefix("shop/") else { continue };
            let path = self.layout.project().join(below);
            if patch.adds() {
                match faults::added(&patch.file, &self.faults) {
                    Some(text) => files::write_changed(&path, text.as_bytes(), 0o644, None).map(|_| ())?,
                    None => files::remove(&path)?,
                }
                continue;
            }
            let text = faults::edited(&patch.file, assets::text(&patch.file)?, &self.faults)?;
            files::write_changed(&path, text.as_bytes(), 0o644, None)?;
        }
        Ok(())
    }

    /// What the shop's own processes get on top: its settings, and where its source is.
    pub fn shop_env(&self) -> BTreeMap<String, String> {
        let mut env = self.bare_env();
        env.insert("PYTHONPATH".into(), self.layout.project().to_string_lossy().into_owned());
        env.insert("DJANGO_SETTINGS_MODULE".into(), "config.settings".into());
        // Its owner agrees to be loaded, and says so at /.well-known/rampup.txt.
        env.insert("RAMPUP_PROOF".into(), self.secret("proof").to_owned());
        env.extend(self.effective.env.clone());
        env
    }
}

/// The value of a placeholder that does not depend on the applied steps.
fn fill(
    layout: &Layout,
    ports: &BTreeMap<String, u16>,
    secrets: &BTreeMap<String, String>,
    key: &str,
) -> Option<String> {
    let (kind, name) = key.split_once('.')?;
    match kind {
        "port" => ports.get(name).map(u16::to_string),
        "secret" => secrets.get(name).cloned(),
        "dir" => {
            let path = match name {
                "lab" => layout.root().to_owned(),
                "data" => layout.data(),
                "project" => layout.project(),
                "log" => layout.log(),
                "run" => layout.run(),
                "conf" => layout.conf(),
                "venv" => layout.venv(),
                _ => return None,
            };
            Some(path.to_string_lossy().into_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_template_of_the_practice_stack_can_be_filled_in_at_every_step() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::open(&dir.path().join("state.toml")).unwrap();
        state.ports = super::super::ports::NAMES.iter().zip(20_000..).map(|(n, p)| ((*n).to_owned(), p)).collect();
        for top in 0..=10 {
            state.applied = (1..=top).collect();
            let setup = Setup::new(&Layout::new(Path::new("/lab")), None, Tools::default(), &state).unwrap();
            for name in TEMPLATES {
                let text = render(name, assets::text(name).unwrap(), &|key| setup.value(key)).unwrap();
                assert!(!text.contains("{{"), "{name}");
            }
        }
    }

    #[test]
    fn services_inherit_nothing_but_carry_the_lab_s_mark() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::open(&dir.path().join("state.toml")).unwrap();
        let layout = Layout::new(Path::new("/lab"));
        state.ports = super::super::ports::NAMES.iter().zip(1..).map(|(n, p)| ((*n).to_owned(), p)).collect();
        let setup = Setup::new(&layout, None, Tools::default(), &state).unwrap();
        assert_eq!(setup.bare_env()[MARK], "/lab");
        assert_eq!(setup.shop_env()["PYTHONPATH"], "/lab/project");
    }
}
