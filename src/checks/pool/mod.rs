//! Database connections: is a pooler in the app's path, does it lend connections, does all of the app use it, does it fit?

mod at_railway;
mod carries_app;
mod conn_reuse;
mod conn_setting;
mod fits_server;
mod headroom;
mod in_path;
mod multiplexes;
mod no_queue;
mod prepared;
mod server_cursors;
mod settings;
mod transaction;

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Missing};
use crate::domain::measurement::FarSide;
use crate::probes::{ProbeError, Probes, path};

use super::{Check, Context, Entry, counting, ramp, source};

/// The checks of this group.
pub const CHECKS: &[Entry] = &[
    Entry::of::<in_path::InPath>(),
    Entry::of::<transaction::Transaction>(),
    Entry::of::<carries_app::CarriesApp>(),
    Entry::of::<fits_server::FitsServer>(),
    Entry::of::<conn_reuse::ConnReuse>(),
    Entry::of::<conn_setting::ConnSettingPlaced>(),
    Entry::of::<server_cursors::ServerCursorsOff>(),
    Entry::of::<prepared::PreparedSafe>(),
    Entry::of::<multiplexes::Multiplexes>(),
    Entry::of::<no_queue::NoQueue>(),
    Entry::of::<headroom::Headroom>(),
];

const POOLS: &str = "https://www.pgbouncer.org/usage.html#show-pools";
const CONFIG: &str = "https://www.pgbouncer.org/config.html";
const DJANGO: &str = "https://docs.djangoproject.com/en/5.2/ref/databases/";

/// What PgBouncer's console needs, when a check cannot do without.
const CONSOLE: &str = "give a user of stats_users a DSN of the database pgbouncer and name its variable in rampup.toml: [services] pooler_console_env";

/// The way from the app to its database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    /// Something lends server connections.
    Pooled,
    /// Straight, and this settings file gives Django a pool of its own.
    Own(String),
    /// Straight, and why nobody can say whether Django has a pool of its own.
    Open(String),
    /// Straight.
    Direct,
}

impl Way {
    /// Asks the app's own address; the settings only when that leads straight to the server.
    async fn ask(probes: &Probes) -> Result<Self, ProbeError> {
        if path::behind(probes.app_dsn()?).await?.pooled() {
            return Ok(Self::Pooled);
        }
        Ok(Self::straight(probes).await)
    }

    /// Without a pooler: whether the settings give Django a pool of its own.
    async fn straight(probes: &Probes) -> Self {
        // No settings to read is no pool of Django's: the question is then answered by effects alone.
        source::ask(probes, settings::straight).await.unwrap_or(Self::Direct)
    }

    /// The answer of a check about poolers when there is none; none when there is one.
    fn without_pooler(&self) -> Option<CheckOutcome> {
        match self {
            Self::Pooled => None,
            Self::Own(file) => Some(CheckOutcome::NotApplicable(format!(
                "{file} gives each process of Django a pool of its own (OPTIONS pool); pool.conn-reuse and pool.headroom show what that does"
            ))),
            Self::Open(why) => Some(CheckOutcome::Unknown(Missing::new(
                format!("no pooler is in the app's path, and whether Django has a pool of its own is not known: {why}"),
                "see it: python manage.py shell -c \"from django.db import connection as c; \
                 print(c.settings_dict['OPTIONS'].get('pool'))\"; write it down in DATABASES[\"default\"], or put PgBouncer into the path",
            ))),
            Self::Direct => {
                Some(CheckOutcome::NotApplicable("no pooler is in the app's path; pool.in-path says so".to_owned()))
            }
        }
    }
}

/// True when the app's own database address speaks of one of these.
fn address_says(probes: &Probes, words: &[&str]) -> bool {
    let address = probes.app_dsn().map(|key| key.secret.expose().to_ascii_lowercase()).unwrap_or_default();
    words.iter().any(|word| address.contains(&word.to_ascii_lowercase()))
}

/// Seconds of the hold, and in how many of them a series has a value.
fn coverage(far_side: &FarSide, name: &str) -> (usize, usize) {
    let (from, to) = far_side.hold.unwrap_or((0, 0));
    (to.saturating_sub(from) as usize, far_side.held(name).count())
}

/// True when too little of the hold was seen to speak of it.
#[expect(clippy::cast_precision_loss, reason = "seconds of a hold")]
fn thin(hold_seconds: usize, covered: usize) -> bool {
    hold_seconds == 0 || (covered as f64) < 0.9 * hold_seconds as f64
}

/// The largest value of a series in the hold; 0 when there is none.
fn peak(far_side: &FarSide, name: &str) -> f64 {
    far_side.held(name).map(|(_, value)| value).fold(0.0, f64::max)
}

/// What to say of pools that were not watched for the whole hold.
fn unwatched(hold_seconds: usize, covered: usize) -> CheckOutcome {
    CheckOutcome::Unknown(Missing::new(
        format!("the pools were seen in {covered} of {hold_seconds} s of the hold"),
        CONSOLE,
    ))
}
