//! What a settings file says about database connections. Reads text, so it can only say what is written, not what runs.

use std::sync::LazyLock;

use regex::Regex;

pub(super) use crate::checks::written::Written;
use crate::checks::written::{code, pattern};
use crate::probes::repo::SettingsFile;

static OWN_POOL: LazyLock<Regex> = LazyLock::new(|| pattern(r#"["']pool["']\s*\]?\s*[:=]\s*(True\b|\{|dict\()"#));
static CURSORS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?:["']DISABLE_SERVER_SIDE_CURSORS["']\s*\]?\s*[:=]|\bdisable_server_side_cursors\s*=|[(,]\s*DISABLE_SERVER_SIDE_CURSORS\s*=)\s*(\S[^,\n]*)"#,
    )
});
static TOP_AGE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^CONN_MAX_AGE\b[^=\n]*=[^=]"));
static AGE_USED: LazyLock<Regex> = LazyLock::new(|| pattern(r"[=:(,\[]\s*CONN_MAX_AGE\b"));
static BINDING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"["'](?:server_side_binding["']\s*\]?\s*[:=]\s*True\b|prepare_threshold["']\s*\]?\s*[:=]\s*\d)"#)
});

/// Django's own pool of psycopg 3 (`OPTIONS` `pool`, Django 5.1) is switched on.
pub(super) fn own_pool(text: &str) -> bool {
    OWN_POOL.is_match(&code(text))
}

/// `DISABLE_SERVER_SIDE_CURSORS`, also by `dj_database_url`'s name for it.
pub(super) fn cursors_off(text: &str) -> Written {
    let code = code(text);
    Written::most(CURSORS.captures_iter(&code).map(|found| found.get(1).map_or("", |value| value.as_str())))
}

/// The same of a settings file with all that it imports, its own first: whoever speaks last is heard, and a `DATABASES`
/// that is written anew forgets what was imported. None when nothing in it speaks of databases.
pub(super) fn cursors_of(way: &[SettingsFile]) -> Option<Written> {
    static ANEW: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^DATABASES\b[^=\n\[]*=[^=]"));
    let mut spoken = None;
    for file in way {
        let said = cursors_off(&file.text);
        if said != Written::Absent {
            return Some(said);
        }
        let code = code(&file.text);
        if code.contains("DATABASES") {
            spoken = Some(Written::Absent);
        }
        if ANEW.is_match(&code) {
            break;
        }
    }
    spoken
}

/// `CONN_MAX_AGE` stands at the top level and nothing in the file hands it on: Django never reads it.
pub(super) fn age_ignored(text: &str) -> bool {
    let code = code(text);
    TOP_AGE.is_match(&code) && !AGE_USED.is_match(&code)
}

/// The settings make psycopg prepare statements by name, which Django alone never does.
pub(super) fn prepares(text: &str) -> bool {
    BINDING.is_match(&code(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_pools() {
        for (on, text) in [
            (true, r#"DATABASES = {"default": {"OPTIONS": {"pool": True}}}"#),
            (true, r#"DATABASES = {"default": {"OPTIONS": {'pool': {"min_size": 2, "max_size": 4}}}}"#),
            (true, r#"DATABASES["default"]["OPTIONS"]["pool"] = True"#),
            (false, r#"    # "pool": True would be another way"#),
            (false, r#""OPTIONS": {"pool": False}"#),
            (false, r#"CELERY_WORKER_POOL = "threads""#),
        ] {
            assert_eq!(own_pool(text), on, "{text}");
        }
    }

    #[test]
    fn cursors() {
        for (written, text) in [
            (Written::On, r#"{"default": {"DISABLE_SERVER_SIDE_CURSORS": True}}"#),
            (Written::On, r#"DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = env.yes("BEHIND_POOLER")"#),
            (Written::On, "dj_database_url.config(conn_max_age=600, disable_server_side_cursors=True)"),
            (Written::Off, r#"{"DISABLE_SERVER_SIDE_CURSORS": False}"#),
            (Written::Off, "dj_database_url.config(disable_server_side_cursors=False)"),
            (Written::Absent, "# DISABLE_SERVER_SIDE_CURSORS: True\nDATABASES = {}"),
            (Written::On, "DATABASES['default'].update(DISABLE_SERVER_SIDE_CURSORS=True)"),
            (
                Written::On,
                "DATABASES['default'].update(\n    CONN_MAX_AGE=0,\n    DISABLE_SERVER_SIDE_CURSORS=True,\n)",
            ),
            (Written::On, r#"DATABASES["default"].update({"DISABLE_SERVER_SIDE_CURSORS": True})"#),
            (Written::On, r#"DATABASES["default"] |= {"DISABLE_SERVER_SIDE_CURSORS": True}"#),
            (Written::On, "DATABASES = {'default': dict(ENGINE='x', DISABLE_SERVER_SIDE_CURSORS=True)}"),
            (Written::Off, "DATABASES['default'].update(DISABLE_SERVER_SIDE_CURSORS=False)"),
            (Written::Off, r#"DATABASES["default"].update({"DISABLE_SERVER_SIDE_CURSORS": False})"#),
            // At the top level it is ignored, like its neighbour.
            (Written::Absent, "DISABLE_SERVER_SIDE_CURSORS = True"),
        ] {
            assert_eq!(cursors_off(text), written, "{text}");
        }
    }

    #[test]
    fn who_speaks_last_is_heard() {
        let way = |texts: &[&str]| {
            let file = |text: &&str| SettingsFile { path: "s.py".to_owned(), text: (*text).to_owned() };
            cursors_of(&texts.iter().map(file).collect::<Vec<_>>())
        };
        let on = r#"DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True"#;
        let off = r#"DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = False"#;
        let plain = "DATABASES = {'default': dj_database_url.config()}";
        for (written, texts) in [
            (Some(Written::On), &[on, plain][..]),
            (Some(Written::On), &["DEBUG = False", on]),
            (Some(Written::Off), &[off, on]),
            // Written anew, what was imported is gone.
            (Some(Written::Absent), &[plain, on]),
            (Some(Written::Absent), &["DEBUG = False", plain]),
            (None, &["DEBUG = False"]),
            (None, &[]),
        ] {
            assert_eq!(way(texts), written, "{texts:?}");
        }
    }

    #[test]
    fn ages() {
        for (ignored, text) in [
            (true, "CONN_MAX_AGE = 60\nDATABASES = {}"),
            (true, "CONN_MAX_AGE: int = 60  # keep them"),
            (true, "CONN_MAX_AGE = int(os.environ.get('AGE', 60))"),
            (false, "CONN_MAX_AGE = 60\nDATABASES = {'default': {'CONN_MAX_AGE': CONN_MAX_AGE}}"),
            (false, "CONN_MAX_AGE = 60\nX = dj_database_url.config(conn_max_age=CONN_MAX_AGE)"),
            (false, "DATABASES = {\n    'default': {\n        'CONN_MAX_AGE': 60,\n    }\n}"),
            (false, "DATABASES['default']['CONN_MAX_AGE'] = 60"),
            (false, "# CONN_MAX_AGE = 60"),
        ] {
            assert_eq!(age_ignored(text), ignored, "{text}");
        }
    }

    #[test]
    fn named_statements() {
        assert!(prepares(r#""OPTIONS": {"server_side_binding": True}"#));
        assert!(prepares(r#""OPTIONS": {"prepare_threshold": 5}"#));
        assert!(!prepares(r#""OPTIONS": {"prepare_threshold": None}"#));
        assert!(!prepares(r#""OPTIONS": {"server_side_binding": False}"#));
    }
}
