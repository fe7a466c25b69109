//! Which library does the background work, as the app's settings say: asked where the broker's keys do not tell.

use std::path::Path;

use crate::django::Repository;
use crate::domain::site::QueueKind;

/// How the names of each library's settings begin.
const NAMES: [(&str, QueueKind); 3] =
    [("CELERY_", QueueKind::Celery), ("RQ_", QueueKind::Rq), ("HUEY", QueueKind::Huey)];

/// Which library the settings of the project in a folder speak of; none when they speak of several or of none, or there
/// are no settings.
#[must_use]
pub fn library(folder: &Path) -> Option<QueueKind> {
    Repository::ask(folder, spoken_of).ok().flatten()
}

fn spoken_of(repository: &Repository) -> Option<QueueKind> {
    let names = || repository.running().flat_map(|settings| settings.names());
    let spoken = NAMES.iter().filter(|(start, _)| names().any(|name| name.starts_with(start)));
    let found: Vec<QueueKind> = spoken.map(|(_, kind)| *kind).collect();
    if let [only] = found.as_slice() { Some(*only) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::source::tests::of_settings;

    #[test]
    fn settings_tell_the_library_only_when_they_speak_of_one() {
        for (text, wanted) in [
            ("CELERY_BROKER_URL = 1\nCELERY_X = 2", Some(QueueKind::Celery)),
            ("RQ_QUEUES = {}", Some(QueueKind::Rq)),
            ("HUEY = {}\n", Some(QueueKind::Huey)),
            ("if os.environ.get('A'):\n    RQ = {}\n    RQ_QUEUES = {}", Some(QueueKind::Rq)),
            ("HUEY = {}\nCELERY_BROKER_URL = 1", None),
            ("# HUEY is not used", None),
            ("\"\"\"\nHUEY = {}\n\"\"\"", None),
        ] {
            assert_eq!(of_settings(text, spoken_of), wanted, "{text}");
        }
        assert_eq!(library(tempfile::tempdir().unwrap().path()), None);
    }
}
