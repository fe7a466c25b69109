//! Does Django read the settings that name the storage?

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context, source};
use crate::django::Repository;
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};

/// The settings that Django 5.1 no longer knows.
const OLD: [&str; 2] = ["DEFAULT_FILE_STORAGE", "STATICFILES_STORAGE"];
/// What it knows since 4.2.
const NEW: &str = "STORAGES";

/// `storage.setting-effective`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SettingEffective {}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SettingFacts {
    /// The settings files that may run.
    files: Vec<String>,
    /// Settings that name a storage in them.
    named: Vec<Named>,
    /// Why one that is not among them may be set all the same.
    open: Option<String>,
    /// Versions of Django that are pinned, with the file that pins each.
    versions: Vec<(String, String)>,
}

/// A setting that names a storage.
#[derive(Debug, Serialize, Deserialize)]
struct Named {
    name: String,
    /// File and line.
    place: String,
    /// Something decides whether it is set.
    under_condition: bool,
}

impl SettingFacts {
    fn read(repository: &Repository) -> Self {
        let mut facts = Self {
            files: repository.running().map(|settings| settings.file.clone()).collect(),
            named: Vec::new(),
            open: None,
            versions: repository.versions("django"),
        };
        for name in OLD.into_iter().chain([NEW]) {
            let ways: Vec<_> = repository.running().flat_map(|settings| settings.at(&[name])).collect();
            let unwritten = ways.iter().filter(|way| way.place().is_none());
            facts.open = facts.open.or_else(|| unwritten.clone().find_map(|way| way.why()));
            facts.named.extend(ways.iter().find_map(|way| way.place()).map(|place| Named {
                name: name.to_owned(),
                place,
                under_condition: unwritten.count() > 0,
            }));
        }
        facts
    }
}

impl Check for SettingEffective {
    const ID: &'static str = "storage.setting-effective";
    const TITLE: &'static str = "Django reads the settings that name the storage";
    const ABOUT: &'static str = "Follows the settings beside rampup.toml that run and reads Django's version in the lock file or requirements: \
        DEFAULT_FILE_STORAGE and STATICFILES_STORAGE are ignored without a word since Django 5.1, and files go to the local disk. \
        Text proves nothing about what runs, so the best answer is weak. Traps: settings for tests, remarks, other people's code in \
        a virtual environment, a line that a condition keeps for older versions.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Repo;
    const DOCS: &'static [&'static str] = &[
        "https://docs.djangoproject.com/en/5.2/ref/settings/#storages",
        "https://docs.djangoproject.com/en/5.2/releases/5.1/#features-removed-in-5-1",
    ];
    type Facts = SettingFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<SettingFacts, Missing> {
        source::ask(ctx.probes, SettingFacts::read).await
    }

    fn judge(&self, facts: &SettingFacts) -> CheckOutcome {
        if facts.files.is_empty() {
            return CheckOutcome::Unknown(Missing::new(
                "no settings of Django were found beside rampup.toml",
                source::KEEP,
            ));
        }
        let old = || facts.named.iter().filter(|one| OLD.contains(&one.name.as_str()));
        let storages = facts.named.iter().find(|one| one.name == NEW);
        let todo = remedy();
        let Some(first) = old().find(|one| !one.under_condition).or_else(|| old().next()) else {
            return match (storages, &facts.open) {
                (Some(one), _) => CheckOutcome::weak(
                    format!(
                        "{} sets STORAGES, which Django reads; that the running site has this file is not shown",
                        one.place
                    ),
                    "nothing to do here: storage.static-from-bucket shows the effect",
                ),
                (None, Some(why)) => CheckOutcome::Unknown(Missing::new(
                    format!("whether the settings name a storage is not known: {why}"),
                    "see what counts: python manage.py shell -c \"from django.conf import settings; print(settings.STORAGES)\"",
                )),
                (None, None) => CheckOutcome::weak(
                    format!("{} names no storage: Django keeps files on the local disk", facts.files.join(", ")),
                    todo,
                ),
            };
        };
        let line = format!("{} sets {}", first.place, first.name);
        // Several files may pin several versions; the newest one decides, since it would ignore the setting.
        let pinned = facts.versions.iter().filter_map(|(v, file)| Some((numbers(v)?, v, file))).max();
        match pinned {
            Some((version, text, file))
                if version >= (5, 1) && storages.is_none() && facts.open.is_none() && !first.under_condition =>
            {
                CheckOutcome::fail(
                    format!("{line}, and Django {text} ({file}) ignores it: files go to the local disk"),
                    todo,
                )
            }
            Some((version, text, file)) if version >= (5, 1) => {
                CheckOutcome::weak(format!("{line}, which Django {text} ({file}) ignores"), todo)
            }
            Some((_, text, file)) => CheckOutcome::weak(
                format!("{line}: Django {text} ({file}) reads it, Django 5.1 will ignore it without a word"),
                todo,
            ),
            None => CheckOutcome::weak(
                format!("{line}, which Django ignores since 5.1; its version was found in no lock file"),
                todo,
            ),
        }
    }
}

fn remedy() -> String {
    "set STORAGES = {\"default\": {...}, \"staticfiles\": {...}} and take DEFAULT_FILE_STORAGE and STATICFILES_STORAGE out; see what \
     counts: python manage.py shell -c \"from django.conf import settings; print(settings.STORAGES)\""
        .to_owned()
}

/// Major and minor number.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next().unwrap_or(Ok(0)).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::source::tests::{of_settings, of_shop};

    #[test]
    fn setting_traps() {
        let check = SettingEffective::default();
        let facts = |names: &[(&str, bool)], versions: &[&str]| {
            let named = |(name, under_condition): &(&str, bool)| Named {
                name: (*name).to_owned(),
                place: "config/settings.py:7".to_owned(),
                under_condition: *under_condition,
            };
            SettingFacts {
                files: vec!["config/settings.py".to_owned()],
                named: names.iter().map(named).collect(),
                open: None,
                versions: versions.iter().map(|v| ((*v).to_owned(), "uv.lock".to_owned())).collect(),
            }
        };
        let judge = |names: &[(&str, bool)], versions: &[&str]| check.judge(&facts(names, versions));
        let (default, statics, new) =
            (("DEFAULT_FILE_STORAGE", false), ("STATICFILES_STORAGE", false), ("STORAGES", false));
        assert_eq!(judge(&[default], &["5.1"]).word(), "fail");
        assert_eq!(judge(&[statics], &["5.2.19"]).word(), "fail");
        assert_eq!(judge(&[statics], &["4.2", "6.0"]).word(), "fail");
        assert!(judge(&[statics], &["5.2"]).seen().contains("config/settings.py:7"));
        // Read by older versions, dead beside STORAGES, kept by a condition, or of an unknown version.
        assert_eq!(judge(&[default], &["5.0.14"]).word(), "weak");
        assert_eq!(judge(&[default, new], &["5.2"]).word(), "weak");
        assert_eq!(judge(&[("DEFAULT_FILE_STORAGE", true)], &["5.2"]).word(), "weak");
        assert_eq!(judge(&[default], &[]).word(), "weak");
        assert_eq!(judge(&[new], &["5.2"]).word(), "weak");
        assert_eq!(judge(&[], &["5.2"]).word(), "weak");
        let none = SettingFacts { files: Vec::new(), ..facts(&[], &[]) };
        assert_eq!(check.judge(&none).word(), "unknown");
        // STORAGES may come from what was not followed.
        for (word, names) in [("weak", &[default][..]), ("weak", &[new]), ("unknown", &[])] {
            let open = SettingFacts { open: Some("exec".to_owned()), ..facts(names, &["5.2"]) };
            assert_eq!(check.judge(&open).word(), word, "{names:?}");
        }
    }

    #[test]
    fn the_practice_shop_sets_storages_where_django_reads_them() {
        let facts = of_shop(2, "", SettingFacts::read);
        assert_eq!((facts.versions.len(), facts.named.len(), facts.named[0].under_condition), (1, 1, false));
        let said = SettingEffective::default().judge(&facts);
        assert!(said.word() == "weak" && said.seen().starts_with("config/settings.py:"), "{}", said.seen());
    }

    #[test]
    fn settings_are_read_as_they_stand_at_their_end() {
        for (text, wanted) in [
            ("", &[][..]),
            ("# DEFAULT_FILE_STORAGE = 'a.B'", &[]),
            ("DEFAULT_FILE_STORAGE = 'a.B'", &["DEFAULT_FILE_STORAGE"]),
            ("DEFAULT_FILE_STORAGE = 'a.B'\ndel DEFAULT_FILE_STORAGE", &[]),
            ("DEFAULT_FILE_STORAGE = os.environ['S']\nSTORAGES = {}", &["DEFAULT_FILE_STORAGE", "STORAGES"]),
            ("if os.environ.get('OLD'):\n    STATICFILES_STORAGE = 'a.B'", &["STATICFILES_STORAGE?"]),
            ("if DEBUG:\n    STATICFILES_STORAGE = 'a.B'", &[]),
            ("globals()['STATICFILES_STORAGE'] = 'a.B'", &["STATICFILES_STORAGE"]),
            ("from elsewhere import *\nSTATICFILES_STORAGE = 'a.B'", &["STATICFILES_STORAGE", "open"]),
        ] {
            let facts = of_settings(text, SettingFacts::read);
            let condition = |one: &Named| if one.under_condition { "?" } else { "" };
            let mut seen: Vec<String> =
                facts.named.iter().map(|one| format!("{}{}", one.name, condition(one))).collect();
            seen.extend(facts.open.map(|_| "open".to_owned()));
            assert_eq!(seen, wanted, "{text}");
        }
    }
}
