//! What the settings that run say about database connections.

use crate::checks::written::{Written, beside_address, unknown};
use crate::django::{self, Is, Repository, Settings, doubt};

use super::Way;

/// The database that pages use.
const DEFAULT: [&str; 2] = ["DATABASES", "default"];
/// How the settings switch server-side cursors off.
pub(super) const CURSORS: &str = "DISABLE_SERVER_SIDE_CURSORS";
/// How they make psycopg prepare by name.
pub(super) const PREPARES: [&str; 2] = ["server_side_binding", "prepare_threshold"];

fn of_default(settings: &Settings, keys: &[&str]) -> Vec<django::Way> {
    settings.at(&[&DEFAULT[..], keys].concat())
}

/// Whether Django has a pool of its own (`OPTIONS` `pool` of psycopg 3, since Django 5.1) in the way to its database.
pub(super) fn straight(repository: &Repository) -> Way {
    let mut found = Vec::new();
    for settings in repository.running() {
        // An address has no way to say it.
        let ways = beside_address(of_default(settings, &["OPTIONS", "pool"]), false);
        let truths: Vec<Option<bool>> = ways.iter().map(django::Way::truth).collect();
        found.push(match (truths.iter().all(|one| *one == Some(true)), truths.iter().all(|one| *one == Some(false))) {
            (true, _) => Way::Own(settings.file.clone()),
            (_, true) => Way::Direct,
            _ => Way::Open(doubt(&ways).unwrap_or_else(|| settings.file.clone())),
        });
    }
    let open = found.iter().find(|way| matches!(way, Way::Open(_)));
    let own = found.iter().find(|way| matches!(way, Way::Own(_)));
    match (open, own, found.contains(&Way::Direct)) {
        (Some(open), ..) => open.clone(),
        (None, Some(Way::Own(file)), true) => Way::Open(format!("{file} has it, and others that may run have not")),
        (None, Some(own), false) => own.clone(),
        (None, ..) => Way::Direct,
    }
}

/// What the settings say of `DISABLE_SERVER_SIDE_CURSORS`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cursors {
    /// The most that any of those that may run says, and which of them say it.
    pub written: Option<Written>,
    pub files: Vec<String>,
    /// Those that say less.
    pub beside: Vec<String>,
    /// The variables that decide, and where.
    pub by: Vec<String>,
    /// Why it is not known.
    pub open: Vec<String>,
}

/// As [`Cursors`] says; `in_address` where the database's address speaks of it.
pub(super) fn cursors(repository: &Repository, in_address: bool) -> Cursors {
    let ways = |settings: &Settings| beside_address(of_default(settings, &[CURSORS]), in_address);
    let silent = |settings: &&Settings| settings.at(&["DATABASES"]).iter().all(|way| way.is() == Is::Absent);
    let mut said: Vec<&Settings> = repository.running().filter(|settings| !silent(settings)).collect();
    // Settings that name no DATABASES have no such line either.
    if said.is_empty() {
        said = repository.running().collect();
    }
    let of = |settings: &&Settings| (Written::most(&ways(settings)), settings.file.clone());
    let all: Vec<(Written, String)> = said.iter().map(of).collect();
    let written = all.iter().map(|(written, _)| *written).max();
    let (most, less): (Vec<_>, Vec<_>) = all.into_iter().partition(|(one, _)| Some(*one) == written);
    let files = |all: Vec<(Written, String)>| all.into_iter().map(|(_, file)| file).collect();
    let (mut by, mut open) = (Vec::new(), Vec::new());
    for settings in said {
        let ways = ways(settings);
        match unknown(&ways) {
            Some(why) => open.push(why),
            None => by.extend(doubt(&ways)),
        }
    }
    Cursors { written, files: files(most), beside: files(less), by, open }
}

/// What the settings say of `CONN_MAX_AGE`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ages {
    /// The files that were asked.
    pub files: Vec<String>,
    /// Lines that set it where Django never reads it, and nothing hands it on.
    pub ignored: Vec<String>,
    /// Why it is not known whether there are such lines.
    pub open: Vec<String>,
}

/// As [`Ages`] says.
pub(super) fn ages(repository: &Repository) -> Ages {
    let mut found = Ages::default();
    for settings in repository.running() {
        found.files.push(settings.file.clone());
        let top = settings.at(&["CONN_MAX_AGE"]);
        let places: Vec<String> = top.iter().filter_map(django::Way::place).collect();
        let inner = inner_ages(settings);
        // A zero of its own keeps nothing: the constant above it was meant to.
        let reads = |way: &django::Way| match way.is() {
            Is::Absent | Is::InAddress(_) | Is::Unknown(_) => false,
            Is::Number(0.0) => way.place().is_some_and(|place| places.contains(&place)),
            _ => true,
        };
        match places.first() {
            None => found.open.extend(unknown(&top)),
            Some(_) if inner.iter().any(&reads) => {}
            Some(place) => match unknown(&inner) {
                Some(why) => found.open.push(why),
                None => found.ignored.push(place.clone()),
            },
        }
    }
    found.ignored.dedup();
    found
}

/// `CONN_MAX_AGE` where Django reads it, of each database; what an address says of it is no line of the settings.
fn inner_ages(settings: &Settings) -> Vec<django::Way> {
    let databases = settings.at(&["DATABASES"]);
    let of = |database: &django::Way| match database.is() {
        Is::Dict(_) => {
            let names = database.keys();
            let mut ways: Vec<_> = names.iter().flat_map(|name| database.at(&[name, "CONN_MAX_AGE"])).collect();
            // A database that is not known by name may have it, too.
            ways.extend(database.at(&["no such database", "CONN_MAX_AGE"]));
            ways
        }
        _ => vec![database.clone()],
    };
    beside_address(databases.iter().flat_map(of).collect(), false)
}

/// Whether the settings make psycopg prepare statements by name, which Django alone never does.
///
/// # Errors
/// When that is not known: why.
pub(super) fn prepares(repository: &Repository, in_address: bool) -> Result<bool, String> {
    let mut open = None;
    for settings in repository.running() {
        for key in PREPARES {
            let ways = beside_address(of_default(settings, &["OPTIONS", key]), in_address);
            let by_name = |way: &django::Way| match way.is() {
                // From the first time on, or from a later one.
                Is::Number(_) if key == PREPARES[1] => Some(true),
                _ => way.truth(),
            };
            if ways.iter().all(|way| by_name(way) == Some(true)) {
                return Ok(true);
            }
            if ways.iter().any(|way| by_name(way) != Some(false)) {
                open = open.or_else(|| doubt(&ways));
            }
        }
    }
    open.map_or(Ok(false), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::source::tests::{of_files, of_settings, of_shop};

    const PLAIN: &str = "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql'}}\n";
    const ENVIRON: &str = "import environ\nenv = environ.Env()\n";

    #[test]
    fn the_practice_shop_is_read_as_its_faults_mean_it() {
        let file = "config/settings.py";
        for (row, written, decided) in [
            ("", Written::On, true),
            ("server-cursors-on", Written::Off, false),
            ("server-cursors-forgotten", Written::Absent, false),
            ("server-cursors-at-top-level", Written::Absent, false),
            ("server-cursors-off-in-unused-settings", Written::Absent, false),
            ("server-cursors-by-update", Written::On, false),
            ("server-cursors-in-imported-settings", Written::On, false),
        ] {
            let found = of_shop(5, row, |repository| cursors(repository, false));
            let by = if decided { &found.by[..] } else { &[] };
            assert!(by.iter().all(|by| by.contains("DATABASE_BEHIND_POOLER")), "{row}: {by:?}");
            assert_eq!(found.by.len(), usize::from(decided), "{row}");
            let files = vec![file.to_owned()];
            assert_eq!(found, Cursors { written: Some(written), files, by: found.by.clone(), ..Cursors::default() });
        }
        for (row, ignored) in [("", 0), ("conn-max-age-at-top-level", 1), ("conn-max-age-handed-on", 0)] {
            let found = of_shop(5, row, ages);
            assert_eq!((found.ignored.len(), found.open), (ignored, vec![]), "{row}");
        }
        for (row, wanted) in [("", Way::Direct), ("pool-of-django-itself", Way::Own(file.to_owned()))] {
            assert_eq!(of_shop(5, row, straight), wanted, "{row}");
        }
        for (row, wanted) in [("", false), ("prepared-behind-old-pooler", true)] {
            assert_eq!(of_shop(5, row, |repository| prepares(repository, false)), Ok(wanted), "{row}");
        }
    }

    #[test]
    fn own_pools() {
        let open = |why: &str| Way::Open(format!("shop/settings.py:{why}"));
        let own = || Way::Own("shop/settings.py".to_owned());
        for (wanted, text) in [
            (own(), r#"DATABASES = {"default": {"OPTIONS": {"pool": True}}}"#),
            (own(), r#"DATABASES = {"default": {"OPTIONS": {'pool': {"min_size": 2, "max_size": 4}}}}"#),
            (own(), "DATABASES = {'default': {'OPTIONS': {}}}\nDATABASES['default']['OPTIONS']['pool'] = True"),
            (own(), "DATABASES = {'default': {'OPTIONS': {'pool': dict(max_size=4)}}}"),
            (Way::Direct, "# 'pool': True would be another way"),
            (Way::Direct, "DATABASES = {'default': {'OPTIONS': {'pool': False}}}"),
            (Way::Direct, "DATABASES = {'default': {'OPTIONS': {'pool': {}}}}"),
            (Way::Direct, "CELERY_WORKER_POOL = 'threads'"),
            (
                open("4: the variable POOL decides"),
                "DATABASES = {'default': {'OPTIONS': {'pool': os.environ.get('POOL')}}}",
            ),
            (open("4: it is built in a way that is not followed"), "DATABASES = {'default': made()}"),
        ] {
            assert_eq!(of_settings(text, straight), wanted, "{text}");
        }
        let addressed = format!("{ENVIRON}DATABASES = {{'default': env.db()}}");
        assert_eq!(of_settings(&addressed, straight), Way::Direct);
    }

    #[test]
    fn cursors_that_are_on_or_off() {
        let before = |text: &str| format!("{PLAIN}{text}");
        for (written, text) in [
            (Written::On, r#"DATABASES = {"default": {"DISABLE_SERVER_SIDE_CURSORS": True}}"#.to_owned()),
            (
                Written::On,
                before(
                    r#"DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = os.environ.get("BEHIND_POOLER") == "1""#,
                ),
            ),
            (
                Written::On,
                format!("{ENVIRON}{PLAIN}DATABASES['default']['{CURSORS}'] = env.bool('BEHIND_POOLER', False)"),
            ),
            (
                Written::On,
                before(
                    "import dj_database_url as u\nDATABASES['default'] = u.config(conn_max_age=600, disable_server_side_cursors=True)",
                ),
            ),
            (Written::Off, r#"DATABASES = {"default": {"DISABLE_SERVER_SIDE_CURSORS": False}}"#.to_owned()),
            (
                Written::Off,
                before(
                    "import dj_database_url as u\nDATABASES['default'] = u.config(disable_server_side_cursors=False)",
                ),
            ),
            (Written::Absent, "# DISABLE_SERVER_SIDE_CURSORS: True\nDATABASES = {}".to_owned()),
            (Written::On, before("DATABASES['default'].update(DISABLE_SERVER_SIDE_CURSORS=True)")),
            (
                Written::On,
                before("DATABASES['default'].update(\n    CONN_MAX_AGE=0,\n    DISABLE_SERVER_SIDE_CURSORS=True,\n)"),
            ),
            (Written::On, before(r#"DATABASES["default"].update({"DISABLE_SERVER_SIDE_CURSORS": True})"#)),
            (Written::On, before(r#"DATABASES["default"] |= {"DISABLE_SERVER_SIDE_CURSORS": True}"#)),
            (Written::On, "DATABASES = {'default': dict(ENGINE='x', DISABLE_SERVER_SIDE_CURSORS=True)}".to_owned()),
            (Written::Off, before("DATABASES['default'].update(DISABLE_SERVER_SIDE_CURSORS=False)")),
            (Written::Off, before(r#"DATABASES["default"].update({"DISABLE_SERVER_SIDE_CURSORS": False})"#)),
            // At the top level it is ignored, like its neighbour; written anew, what was there is gone.
            (Written::Absent, before("DISABLE_SERVER_SIDE_CURSORS = True")),
            (Written::Absent, format!("{PLAIN}DATABASES['default']['{CURSORS}'] = True\n{PLAIN}")),
            (Written::Absent, "DEBUG = False".to_owned()),
        ] {
            let found = of_settings(&text, |repository| cursors(repository, false));
            assert_eq!((found.written, found.open), (Some(written), vec![]), "{text}");
        }
        let decided = before(&format!("DATABASES['default']['{CURSORS}'] = os.environ['A']"));
        let found = of_settings(&decided, |repository| cursors(repository, false));
        assert_eq!(found.by, ["shop/settings.py:5: the variable A decides"]);
        let plain = format!("{ENVIRON}DATABASES = {{'default': env.db()}}");
        for (text, in_address, open) in [
            (&*plain, false, ""),
            // Only the address knows.
            (&*plain, true, "shop/settings.py:6: the variable DATABASE_URL decides"),
            ("DATABASES = made()", false, "shop/settings.py:4: it is built in a way that is not followed"),
            (
                "from elsewhere.settings import *",
                false,
                "shop/settings.py:4 imports all of elsewhere.settings, which is not here and may hold any setting",
            ),
        ] {
            let found = of_settings(text, |repository| cursors(repository, in_address));
            assert_eq!(found.open.join(""), open, "{text}");
        }
    }

    #[test]
    fn settings_that_may_run_in_the_place_of_others_are_asked_as_well() {
        let door = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n";
        let on = format!("INSTALLED_APPS = []\n{PLAIN}DATABASES['default']['{CURSORS}'] = True\n");
        let (off, lacks) = (on.replace("True", "False"), on.replace(CURSORS, "ENGINE"));
        let imports = |more: &str| format!("from shop.settings import *\n{more}");
        for (written, files, beside, main, other) in [
            (Written::On, "shop/settings.py", "", &on, String::new()),
            (Written::On, "shop/settings.py shop/settings_more.py", "", &on, imports("")),
            (Written::On, "shop/settings.py", "shop/settings_more.py", &on, imports(PLAIN)),
            (Written::Off, "shop/settings.py", "shop/settings_more.py", &off, imports(PLAIN)),
            (
                Written::On,
                "shop/settings_more.py",
                "shop/settings.py",
                &lacks,
                imports(&format!("DATABASES['default']['{CURSORS}'] = True")),
            ),
            // One that nobody runs.
            (Written::Absent, "shop/settings.py", "", &lacks, on.clone()),
        ] {
            let all = [
                ("shop/wsgi.py", door),
                ("shop/settings.py", main.as_str()),
                ("shop/settings_more.py", other.as_str()),
            ];
            let found = of_files(&all, |repository| cursors(repository, false));
            let (files, beside) = (files.split(' ').map(str::to_owned), beside.split_whitespace().map(str::to_owned));
            let wanted = Cursors {
                written: Some(written),
                files: files.collect(),
                beside: beside.collect(),
                ..Cursors::default()
            };
            assert_eq!(found, wanted, "{other}");
        }
    }

    #[test]
    fn ages_that_nobody_reads() {
        for (ignored, text) in [
            (true, "CONN_MAX_AGE = 60\nDATABASES = {}"),
            (true, "CONN_MAX_AGE: int = 60  # keep them"),
            (true, "CONN_MAX_AGE = int(os.environ.get('AGE', 60))"),
            (true, "CONN_MAX_AGE = 60\nDATABASES = {'default': {'CONN_MAX_AGE': 0}}"),
            (false, "CONN_MAX_AGE = 60\nDATABASES = {'default': {'CONN_MAX_AGE': CONN_MAX_AGE}}"),
            (false, "CONN_MAX_AGE = 0\nDATABASES = {'default': {'CONN_MAX_AGE': CONN_MAX_AGE}}"),
            (
                false,
                "import dj_database_url\nCONN_MAX_AGE = 60\nDATABASES = {'default': dj_database_url.config(conn_max_age=CONN_MAX_AGE)}",
            ),
            (false, "DATABASES = {\n    'default': {\n        'CONN_MAX_AGE': 60,\n    }\n}"),
            (false, "DATABASES = {'default': {}}\nDATABASES['default']['CONN_MAX_AGE'] = 60"),
            (false, "# CONN_MAX_AGE = 60"),
        ] {
            let found = of_settings(text, ages);
            assert_eq!((!found.ignored.is_empty(), found.open), (ignored, vec![]), "{text}");
        }
        for (text, open) in [
            ("CONN_MAX_AGE = 60\nDATABASES = made()", "shop/settings.py:5: it is made in a way that is not followed"),
            (
                "CONN_MAX_AGE = 60\nDATABASES = {**made()}",
                "shop/settings.py:5: it is built in a way that is not followed",
            ),
        ] {
            let found = of_settings(text, ages);
            assert_eq!((found.ignored, found.open), (vec![], vec![open.to_owned()]), "{text}");
        }
    }

    #[test]
    fn named_statements() {
        let options = |options: &str| format!("DATABASES = {{'default': {{'OPTIONS': {options}}}}}");
        for (text, wanted) in [
            (options("{'server_side_binding': True}"), Ok(true)),
            (options("{'prepare_threshold': 5}"), Ok(true)),
            (options("{'prepare_threshold': 0}"), Ok(true)),
            (options("{'prepare_threshold': None}"), Ok(false)),
            (options("{'server_side_binding': False}"), Ok(false)),
            (String::new(), Ok(false)),
            (options("made()"), Err("shop/settings.py:4: it is built in a way that is not followed")),
            (options("{'server_side_binding': os.environ['A']}"), Err("shop/settings.py:4: the variable A decides")),
        ] {
            let found = of_settings(&text, |repository| prepares(repository, false));
            assert_eq!(found.as_ref().map_err(String::as_str), wanted.as_ref().map_err(|why| *why), "{text}");
        }
    }
}
