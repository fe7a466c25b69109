//! Does Django read the settings that name the storage?

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::repo::{Assigned, Repo, read};

/// The settings that Django 5.1 no longer knows.
const OLD: [&str; 2] = ["DEFAULT_FILE_STORAGE", "STATICFILES_STORAGE"];
/// What is looked for.
const NAMES: &[&str] = &["DEFAULT_FILE_STORAGE", "STATICFILES_STORAGE", "STORAGES"];

/// `storage.setting-effective`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SettingEffective {}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SettingFacts {
    repo: Repo,
}

impl Check for SettingEffective {
    const ID: &'static str = "storage.setting-effective";
    const TITLE: &'static str = "Django reads the settings that name the storage";
    const ABOUT: &'static str = "Reads the settings files beside rampup.toml and Django's version in the lock file or requirements: \
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
        let folder = ctx.probes.project.as_ref().ok_or_else(|| {
            Missing::new(
                "the app's source is not at hand",
                "keep rampup.toml in the app's repository and start rampup there",
            )
        })?;
        Ok(SettingFacts { repo: read(folder, NAMES, "django").await? })
    }

    fn judge(&self, SettingFacts { repo }: &SettingFacts) -> CheckOutcome {
        if repo.settings.is_empty() {
            return CheckOutcome::Unknown(Missing::new(
                "no settings of Django were found beside rampup.toml",
                "keep rampup.toml in the app's repository and start rampup there",
            ));
        }
        let old: Vec<&Assigned> = repo.assigned.iter().filter(|a| OLD.contains(&a.name.as_str())).collect();
        let storages = repo.assigned.iter().find(|a| a.name == "STORAGES");
        let place = |a: &Assigned| format!("{}:{}", a.file, a.line);
        let todo = remedy();
        let Some(first) = old.iter().find(|a| !a.under_condition).or(old.first()) else {
            return match storages {
                Some(a) => CheckOutcome::weak(
                    format!(
                        "{} sets STORAGES, which Django reads; that the running site has this file is not shown",
                        place(a)
                    ),
                    "nothing to do here: storage.static-from-bucket shows the effect",
                ),
                None => CheckOutcome::weak(
                    format!("{} names no storage: Django keeps files on the local disk", repo.settings.join(", ")),
                    todo,
                ),
            };
        };
        let line = format!("{} sets {}", place(first), first.name);
        // Several files may pin several versions; the newest one decides, since it would ignore the setting.
        let pinned = repo.versions.iter().filter_map(|(v, file)| Some((numbers(v)?, v, file))).max();
        match pinned {
            Some((version, text, file)) if version >= (5, 1) && storages.is_none() && !first.under_condition => {
                CheckOutcome::Fail(vec![Finding {
                    seen: format!("{line}, and Django {text} ({file}) ignores it: files go to the local disk"),
                    todo,
                }])
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

    #[test]
    fn setting_traps() {
        let check = SettingEffective::default();
        let judge = |names: &[(&str, bool)], versions: &[&str]| {
            let assigned = |(name, under_condition): &(&str, bool)| Assigned {
                file: "config/settings.py".to_owned(),
                line: 7,
                name: (*name).to_owned(),
                value: None,
                under_condition: *under_condition,
            };
            let versions = versions.iter().map(|v| ((*v).to_owned(), "uv.lock".to_owned())).collect();
            let settings = vec!["config/settings.py".to_owned()];
            let repo = Repo { settings, assigned: names.iter().map(assigned).collect(), versions };
            check.judge(&SettingFacts { repo })
        };
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
        assert_eq!(check.judge(&SettingFacts { repo: Repo::default() }).word(), "unknown");
    }
}
