//! Small projects, each written for one thing that a scan must get right, or must say that it cannot know.

use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use super::{DjangoError, Fact, Scan, Variable};

mod ask;
mod hostile;
mod outer;
mod settings;

const MANAGE: &str = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n";
const BASE: &str = "import os\nDEBUG = False\nMIDDLEWARE = ['django.contrib.sessions.middleware.SessionMiddleware']\nINSTALLED_APPS = []\nROOT_URLCONF = 'shop.urls'\n\
                    DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql'}}\n";

fn write(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    crate::store::atomic::write(&path, bytes).unwrap();
}

fn project(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    files.iter().for_each(|(path, text)| write(root.path(), path, text.as_bytes()));
    root
}

fn scan(files: &[(&str, &str)]) -> Scan {
    Scan::read(project(files).path()).unwrap()
}

fn fact<'s>(scan: &'s Scan, name: &str) -> &'s Fact {
    &scan.facts.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no fact {name}")).1
}

/// A fact of a project whose settings are these, after the usual ones.
fn of_settings(text: &str, name: &str) -> Fact {
    let settings = format!("{BASE}{text}\n");
    let found = scan(&[
        ("manage.py", MANAGE),
        ("shop/settings.py", &settings),
        ("shop/urls.py", "urlpatterns = []\n"),
        ("shop/ages.py", "def age(all):\n    all['default'].update(CONN_MAX_AGE=60)\n"),
    ]);
    fact(&found, name).clone()
}

/// Value and switch.
fn told(fact: &Fact) -> (&str, &str) {
    (&fact.value, fact.when.as_deref().unwrap_or_default())
}

/// The same, of a scan.
fn told_of<'s>(scan: &'s Scan, name: &str) -> (&'s str, &'s str) {
    told(fact(scan, name))
}
