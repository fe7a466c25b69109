//! Single settings of small projects: which settings run, what stands at the end of a path, and what cannot be known.

use super::*;
use crate::django::{Is, Repository, Settings, Way, doubt};

/// What a question to a project gives.
fn ask<T: Send>(files: &[(&str, &str)], question: impl FnOnce(&Repository) -> T + Send) -> T {
    Repository::ask(project(files).path(), question).unwrap()
}

/// The ways of one setting, after the usual settings, in words.
fn ways(text: &str, path: &[&str]) -> Vec<String> {
    let settings = format!("{BASE}{text}\n");
    let of = |repository: &Repository| {
        let ways = repository.named.as_ref().unwrap().at(path);
        ways.iter().map(in_words).collect()
    };
    ask(&[("manage.py", MANAGE), ("shop/settings.py", &settings)], of)
}

fn in_words(way: &Way) -> String {
    match way.is() {
        Is::Absent => "absent".to_owned(),
        Is::Null => "null".to_owned(),
        Is::Bool(yes) => yes.to_string(),
        Is::Number(number) => number.to_string(),
        Is::Text(text) => text,
        Is::Named(name) => format!("named {name}"),
        Is::List(held) => format!("list {held}"),
        Is::Dict(held) => format!("dict {held}"),
        Is::Variable(name) => format!("variable {name}"),
        Is::InAddress(_) => "in an address".to_owned(),
        Is::Unknown(_) => "unknown".to_owned(),
    }
}

const OFF: [&str; 3] = ["DATABASES", "default", "X"];
const AGE: [&str; 3] = ["DATABASES", "default", "CONN_MAX_AGE"];

#[test]
fn what_is_written_in_one_way_is_certain() {
    for (text, wanted) in [
        ("", "absent"),
        ("DATABASES['default']['X'] = True", "true"),
        ("DATABASES['default'].update(X=60)", "60"),
        ("DATABASES['default']['X'] = None", "null"),
        ("Y = 'a'\nDATABASES['default'] |= {'X': Y}", "a"),
        ("from redis.connection import Parser\nDATABASES['default']['X'] = Parser", "named redis.connection.Parser"),
        ("DATABASES['default']['X'] = [1, 2]", "list 2"),
        ("DATABASES['default']['X'] = True\nDATABASES = {'default': {}}", "absent"),
        ("def tuned(d):\n    return {**d, 'X': 1}\nDATABASES['default'] = tuned(DATABASES['default'])", "1"),
        // Production has answered these; the branch for developers is not there.
        ("if DEBUG:\n    DATABASES['default']['X'] = 1", "absent"),
        ("DEBUG = os.environ.get('DEBUG')\nif not DEBUG:\n    DATABASES['default']['X'] = 1", "1"),
        // Each side says the same, or one of several sides always holds.
        ("if os.environ.get('A'):\n    DATABASES['default']['X'] = 1\nelse:\n    DATABASES['default']['X'] = 1", "1"),
    ] {
        assert_eq!(ways(text, &OFF), [wanted], "{text}");
    }
}

#[test]
fn what_the_surroundings_decide_is_not() {
    for (text, wanted) in [
        ("DATABASES['default']['X'] = os.environ['A']", &["variable A"][..]),
        ("DATABASES['default']['X'] = os.environ.get('A', '1')", &["variable A", "1"]),
        ("DATABASES['default']['X'] = os.environ.get('A') == 'on'", &["true", "false"]),
        ("if os.environ.get('A'):\n    DATABASES['default']['X'] = 1", &["absent", "1"]),
        ("DATABASES['default']['X'] = 1 if os.environ.get('A') else 2", &["1", "2"]),
        (
            "if os.environ.get('A'):\n    X = 1\nelif os.environ.get('B'):\n    X = 2\nelse:\n    X = 3\nDATABASES['default']['X'] = X",
            &["1", "2", "3"],
        ),
        ("if os.environ.get('A'):\n    DATABASES = {'default': {'X': 1}}", &["absent", "1"]),
        ("DATABASES['default']['X'] = int(os.environ['A']) + 1", &["variable A"]),
        ("import json\nDATABASES['default'] = json.loads(os.environ['A'])", &["unknown"]),
    ] {
        assert_eq!(ways(text, &OFF), wanted, "{text}");
    }
}

#[test]
fn what_is_not_followed_is_unknown_and_says_where() {
    for (text, wanted) in [
        ("DATABASES = make()", &["unknown"][..]),
        ("DATABASES['default'] = make()", &["unknown"]),
        ("DATABASES['default']['X'] = make()", &["unknown"]),
        ("DATABASES = {'default': {**make()}}", &["absent", "unknown"]),
        ("DATABASES = {'default': {'X': 1, **make()}}", &["unknown", "1"]),
        ("DATABASES['default']['X'] = 1\nDATABASES['default'].update(make())", &["unknown", "1"]),
        ("DATABASES['default'].update(make())\nDATABASES['default']['X'] = 1", &["1"]),
        (
            "DATABASES['default'].update(make())\nif os.environ.get('A'):\n    DATABASES['default']['X'] = 1",
            &["absent", "1", "unknown"],
        ),
        ("DATABASES = {'default': {**make(), 'X': 1}}", &["1"]),
        ("DATABASES['default'].update(make())", &["absent", "unknown"]),
        ("DATABASES['default'].update(**make())", &["absent", "unknown"]),
        ("DATABASES['default'] = dict(make(), X=1)", &["1"]),
        ("DATABASES = {'default': {name(): 1}}", &["absent", "unknown"]),
        ("DATABASES = {**more(), 'default': {}}", &["absent"]),
        ("DATABASES['default'][name()] = 1", &["absent", "unknown"]),
        ("DATABASES['default'][f'X{name()}'] = 1", &["absent", "unknown"]),
        ("DATABASES['default'][f'Y{name()}'] = 1", &["absent"]),
    ] {
        assert_eq!(ways(text, &OFF), wanted, "{text}");
    }
    // What is set nowhere proves nothing where settings may come from elsewhere; what is set stays.
    for (text, wanted) in [
        ("from elsewhere.settings import *", "unknown"),
        ("exec(open('more.py').read())", "unknown"),
        ("globals().update(make())", "unknown"),
        ("globals()[name()] = 1", "unknown"),
        ("globals()['NOBODY'] = 1", "1"),
        ("X = ", "unknown"),
        ("from elsewhere.settings import *\nNOBODY = 1", "1"),
        ("try:\n    from .local_settings import *\nexcept ImportError:\n    pass", "absent"),
    ] {
        assert_eq!(ways(text, &["NOBODY"]), [wanted], "{text}");
    }
    let why = |text: &str| {
        let settings = format!("{BASE}{text}\n");
        let files = [("manage.py", MANAGE), ("shop/settings.py", settings.as_str())];
        ask(&files, |repository| doubt(&repository.named.as_ref().unwrap().at(&OFF)))
    };
    for (text, wanted) in [
        ("DATABASES['default']['X'] = os.environ['A']", "shop/settings.py:7: the variable A decides"),
        ("if os.environ.get('A'):\n    DATABASES['default']['X'] = 1", "shop/settings.py:8: it depends on A"),
        ("DATABASES = make()", "shop/settings.py:7: it is built in a way that is not followed"),
    ] {
        assert_eq!(why(text).as_deref(), Some(wanted), "{text}");
    }
    assert_eq!(why("DATABASES['default']['X'] = 1"), None);
}

#[test]
fn an_address_may_say_more_than_where_it_leads() {
    let environ = "import environ\nenv = environ.Env()\n";
    let cache = ["CACHES", "default", "OPTIONS", "X"];
    for (text, path, wanted) in [
        (format!("{environ}DATABASES = {{'default': env.db()}}"), &OFF[..], &["absent", "in an address"][..]),
        (format!("{environ}DATABASES = {{'default': {{**env.db(), 'X': 1}}}}"), &OFF, &["1"]),
        (format!("{environ}DATABASES = {{'default': {{'X': 1, **env.db()}}}}"), &OFF, &["1", "in an address"]),
        ("import dj_database_url as u\nDATABASES = {'default': u.config()}".to_owned(), &OFF, &["absent"]),
        ("import dj_database_url as u\nDATABASES = {'default': u.config()}".to_owned(), &AGE, &["0"]),
        (format!("{environ}CACHES = {{'default': env.cache()}}"), &cache, &["absent", "in an address"]),
    ] {
        assert_eq!(ways(&text, path), wanted, "{text}");
    }
}

#[test]
fn a_neighbour_is_seen_where_both_are_there() {
    let text = "if os.environ.get('A'):\n    C = {'default': {'BACKEND': 'redis', 'OPTIONS': {'X': 1}}}\n\
                else:\n    C = {'default': {'BACKEND': 'local'}}\nCACHES = C";
    let settings = format!("{BASE}{text}\n");
    let files = [("manage.py", MANAGE), ("shop/settings.py", settings.as_str())];
    let seen = ask(&files, |repository| {
        let settings = repository.named.as_ref().unwrap();
        let options = settings.at(&["CACHES", "default", "OPTIONS", "X"]);
        let of = |way: &Way| (in_words(way), way.beside(&options).iter().map(in_words).collect::<Vec<_>>());
        settings.at(&["CACHES", "default", "BACKEND"]).iter().map(of).collect::<Vec<_>>()
    });
    let own = |backend: &str, option: &str| (backend.to_owned(), vec![option.to_owned()]);
    assert_eq!(seen, [own("redis", "1"), own("local", "absent")]);
}

fn run_of(files: &[(&str, &str)]) -> (Option<String>, Vec<String>) {
    let file = |settings: &Settings| settings.file.clone();
    ask(files, |found| (found.named.as_ref().map(file), found.others.iter().map(file).collect()))
}

#[test]
fn settings_that_nothing_names_or_imports_do_not_run() {
    let (door, settings) = (("shop/wsgi.py", MANAGE), ("shop/settings.py", BASE));
    let (other, builds) = (("shop/settings_other.py", BASE), ("shop/settings_more.py", "from .settings import *\n"));
    let named = || Some("shop/settings.py".to_owned());
    assert_eq!(run_of(&[door, settings, other]), (named(), vec![]));
    // One that builds on the named one may run in its place, unless the deployment names one.
    let more = "shop/settings_more.py".to_owned();
    assert_eq!(run_of(&[door, settings, other, builds]), (named(), vec![more.clone()]));
    let deployed = ("Procfile", "web: DJANGO_SETTINGS_MODULE=shop.settings gunicorn shop.wsgi\n");
    assert_eq!(run_of(&[door, settings, other, builds, deployed]), (named(), vec![]));
    // Nobody names one: any of them may run that is no part of another.
    let silent = ("manage.py", "import django\n");
    let both = vec![more, "shop/settings_other.py".to_owned()];
    assert_eq!(run_of(&[silent, settings, other, builds]), (None, both));
}

#[test]
fn settings_are_found_from_a_folder_below_and_without_other_peoples() {
    let root = project(&[
        ("manage.py", MANAGE),
        ("shop/settings/__init__.py", BASE),
        ("shop/settings/test.py", "from . import *\n"),
        ("venv/lib/settings.py", BASE),
        ("ops/rampup.toml", ""),
    ]);
    for from in [root.path().to_owned(), root.path().join("ops")] {
        let files = Repository::ask(&from, |found| found.running().map(|one| one.file.clone()).collect::<Vec<_>>());
        assert_eq!(files.unwrap(), ["shop/settings/__init__.py"], "{}", from.display());
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(Repository::ask(empty.path(), |_| ()).unwrap_err().to_string().contains("manage.py"));
}

#[test]
fn versions_are_read_from_every_kind_of_file_that_pins_them() {
    let versions = |files: &[(&str, &str)]| {
        let files = [&[("manage.py", MANAGE), ("shop/settings.py", BASE)][..], files].concat();
        let mut found = ask(&files, |repository| repository.versions("django"));
        found.sort();
        found
    };
    for (file, text) in [
        ("requirements.txt", "celery==5.4\nDjango==5.2.1 \\\n  --hash=sha256:0"),
        ("requirements/base.txt", "django[argon2]==5.2.1"),
        (
            "uv.lock",
            "[[package]]\nname = \"asgiref\"\nversion = \"3.8\"\n\n[[package]]\nname = \"django\"\nversion = \"5.2.1\"\n",
        ),
        (
            "Pipfile.lock",
            "{\"default\": {\"a\": {\"version\": \"==1\"}, \"django\": {\"hashes\": [], \"version\": \"==5.2.1\"}}}",
        ),
        ("pyproject.toml", "[project]\ndependencies = [\"django==5.2.1\"]\n"),
    ] {
        assert_eq!(versions(&[(file, text)]), [("5.2.1".to_owned(), file.to_owned())], "{text}");
    }
    for (file, text) in [
        ("requirements.txt", "django-storages==1.14\n# django==1\ndjango>=4\n"),
        ("notes/base.txt", "Django==1.0\n"),
        ("requirements/test.txt", "Django==4.2\n"),
    ] {
        assert!(versions(&[(file, text)]).is_empty(), "{text}");
    }
}
