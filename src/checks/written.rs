//! What settings say of something that is on or off. It is what is written, not what runs.

use crate::django::{Is, Way, doubt};

/// Something written in settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Written {
    /// Nothing of it.
    Absent,
    /// Switched off in so many words.
    Off,
    /// On, or a variable that may say so.
    On,
}

impl Written {
    /// The most that any of these ways may mean; what cannot be known at all means nothing.
    pub(super) fn most(ways: &[Way]) -> Self {
        let of = |way: &Way| match (way.is(), way.truth()) {
            (Is::Absent | Is::InAddress(_) | Is::Unknown(_), _) => Self::Absent,
            (_, Some(false)) => Self::Off,
            _ => Self::On,
        };
        ways.iter().map(of).max().unwrap_or(Self::Absent)
    }

    /// What it certainly is.
    ///
    /// # Errors
    /// When that is not certain: what decides, and where.
    pub(super) fn sure(ways: &[Way]) -> Result<Self, String> {
        let all: Vec<Self> = ways.iter().map(|way| Self::most(std::slice::from_ref(way))).collect();
        let apart = all.iter().any(|one| (*one == Self::On) != (all[0] == Self::On));
        match doubt(ways) {
            Some(why) if apart || ways.iter().any(|way| way.truth().is_none()) => Err(why),
            _ => Ok(all.into_iter().max().unwrap_or(Self::Absent)),
        }
    }
}

/// Why a setting cannot be known at all, variables left aside; none where it can.
pub(super) fn unknown(ways: &[Way]) -> Option<String> {
    ways.iter().find(|way| matches!(way.is(), Is::InAddress(_) | Is::Unknown(_))).and_then(Way::why)
}

/// The ways without what an address may say, where it is known to say nothing of it.
pub(super) fn beside_address(ways: Vec<Way>, says: bool) -> Vec<Way> {
    ways.into_iter().filter(|way| says || !matches!(way.is(), Is::InAddress(_))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::source::tests::of_settings;

    #[test]
    fn switches_are_on_off_or_somebodys() {
        for (text, most, sure) in [
            ("", Written::Absent, Ok(Written::Absent)),
            ("X = True", Written::On, Ok(Written::On)),
            ("X = 'yes'", Written::On, Ok(Written::On)),
            ("X = False", Written::Off, Ok(Written::Off)),
            ("X = None", Written::Off, Ok(Written::Off)),
            ("X = 0", Written::Off, Ok(Written::Off)),
            ("# X = True", Written::Absent, Ok(Written::Absent)),
            ("X = os.environ['A']", Written::On, Err("shop/settings.py:4: the variable A decides")),
            ("X = os.environ.get('A') == '1'", Written::On, Err("shop/settings.py:4: it depends on A=1")),
            ("if os.environ.get('A'):\n    X = True", Written::On, Err("shop/settings.py:5: it depends on A")),
            ("if os.environ.get('A'):\n    X = False", Written::Off, Ok(Written::Off)),
            ("X = made()", Written::Absent, Err("shop/settings.py:4: it is made in a way that is not followed")),
        ] {
            let (found, known) = of_settings(text, |repository| {
                let ways = repository.named.as_ref().unwrap().at(&["X"]);
                (Written::most(&ways), Written::sure(&ways))
            });
            assert_eq!(
                (found, known.as_ref().map_err(String::as_str)),
                (most, sure.as_ref().map_err(|why| *why)),
                "{text}"
            );
        }
    }
}
