//! One question to every system, all at once and each within a limit.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use tokio::time::timeout;

use crate::domain::check::Missing;
use crate::domain::doctor::{Lack, State, System, Variable};
use crate::domain::site::Key;
use crate::domain::text::tame;
use crate::probes::postgres::Postgres;
use crate::probes::redis::Redis;
use crate::probes::{ProbeError, Probes, bucket, given};

use super::{clouds, serves};

/// Longest wait for all that one system is asked; tests have no time for the real one.
const LIMIT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 12 });

/// What a system says.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// What it is, in a few words.
    pub text: String,
    /// What its token may not ask.
    pub lacks: Vec<Lack>,
}

impl From<String> for Said {
    fn from(text: String) -> Self {
        Self { text, lacks: Vec::new() }
    }
}

/// A system and what the settings say of it.
struct Subject<'a> {
    name: &'static str,
    setting: &'static str,
    serves: &'static [&'static str],
    named: bool,
    /// A variable that should hold its secret and has no value.
    unset: Option<&'a Variable>,
}

/// Asks all of them.
pub(super) async fn ask(probes: &Probes, secrets: &[Variable]) -> Vec<System> {
    let subject = |name, setting: &'static str, serves| {
        let secret = secrets.iter().find(|secret| secret.setting.starts_with(setting));
        Subject { name, setting, serves, named: secret.is_some(), unset: secret.filter(|secret| !secret.set) }
    };
    let (site, access) = (&probes.site, &probes.access);
    let front = Subject { named: true, ..subject("site", "[site] url", serves::SITE) };
    let bucket = Subject { named: site.bucket.is_some(), ..subject("S3 bucket", "[site] bucket", serves::BUCKET) };
    let user = subject("test user", "[site.account]", serves::ACCOUNT);
    let sentry = subject("Sentry", "[site.sentry]", serves::SENTRY);
    let cloudflare = subject("Cloudflare", "[site.cloudflare]", serves::CLOUDFLARE);
    let railway = subject("Railway", "[site.railway]", serves::RAILWAY);
    let cache = subject("cache", "[services] cache_env", serves::CACHE);
    let app_database = subject("app's database", "[services] database_env", serves::APP_DATABASE);
    let database = subject("database itself", "[services] database_direct_env", serves::DATABASE);
    let console = subject("pooler's console", "[services] pooler_console_env", serves::POOLER);
    let broker = subject("job broker", "[services] broker_env", serves::BROKER);
    let questions: Vec<BoxFuture<'_, System>> = vec![
        one(front, front_door(probes)).boxed(),
        one(user, account(probes)).boxed(),
        one(sentry, clouds::sentry(probes)).boxed(),
        one(cloudflare, clouds::cloudflare(probes)).boxed(),
        one(railway, clouds::railway(probes)).boxed(),
        one(bucket, storage(probes)).boxed(),
        one(cache, redis(access.cache.as_ref(), "cache_env")).boxed(),
        one(app_database, postgres(access.database.as_ref(), "database_env")).boxed(),
        one(database, postgres(access.database_direct.as_ref(), "database_direct_env")).boxed(),
        one(console, pooler(probes)).boxed(),
        one(broker, redis(access.broker.as_ref(), "broker_env")).boxed(),
    ];
    join_all(questions).await
}

async fn one(subject: Subject<'_>, question: impl Future<Output = Result<Said, ProbeError>>) -> System {
    let Subject { name, setting, serves, named, unset } = subject;
    let system = |state, lacks| System { name, state, setting, serves, lacks };
    if let Some(Variable { name, setting, .. }) = unset {
        let provide = format!("give it a value in the environment or in the env_file ({setting} names it)");
        return system(State::Unknown(Missing::new(format!("{name} is not set"), provide)), Vec::new());
    }
    let late = Err(ProbeError::TimedOut { system: name, limit: LIMIT });
    match timeout(LIMIT, question).await.unwrap_or(late) {
        Ok(Said { text, lacks }) => system(State::Answers(tame(&text, 200)), lacks),
        Err(error) if named => system(State::Unknown(error.into()), Vec::new()),
        Err(error) => system(State::NotNamed(error.into()), Vec::new()),
    }
}

async fn front_door(probes: &Probes) -> Result<Said, ProbeError> {
    let health = &probes.site.health;
    let answer = probes.http.get(health).send().await?;
    let trail = answer.trail();
    let edge = if trail.edge { ", through Cloudflare" } else { "" };
    let said = format!("{health}: status {} in {} ms{edge}", answer.status, trail.ms);
    if answer.status >= 400 { Err(ProbeError::odd("the site", said)) } else { Ok(said.into()) }
}

async fn account(probes: &Probes) -> Result<Said, ProbeError> {
    probes.sign_in().await?;
    let name = probes.site.account.as_ref().map_or("", |account| &account.username);
    Ok(format!("{name} can sign in").into())
}

async fn storage(probes: &Probes) -> Result<Said, ProbeError> {
    let root = probes.site.bucket.as_ref().ok_or_else(|| ProbeError::NotGiven {
        what: "the bucket's own address is not known".to_owned(),
        provide: "name it in rampup.toml: [site] bucket".to_owned(),
    })?;
    let asked = bucket::list(&probes.http, root).await?;
    match asked.first().map_or(0, |asked| asked.status) {
        status @ (0 | 404 | 500..) => {
            Err(ProbeError::odd("the bucket", format!("no bucket is there (status {status})")))
        }
        status => Ok(format!("a stranger gets status {status}").into()),
    }
}

async fn postgres(key: Option<&Key>, setting: &str) -> Result<Said, ProbeError> {
    let server = Postgres::connect(given(key, "PostgreSQL", setting)?, "PostgreSQL").await?;
    let rows = server.rows("SHOW server_version").await?;
    let version = rows.first().and_then(|row| row.get(0)).unwrap_or_default();
    Ok(format!("PostgreSQL {version}").into())
}

async fn pooler(probes: &Probes) -> Result<Said, ProbeError> {
    Ok(probes.pooler().await?.version().await?.into())
}

async fn redis(key: Option<&Key>, setting: &str) -> Result<Said, ProbeError> {
    let info = Redis::connect(given(key, "Redis", setting)?, "Redis").await?.info().await?;
    Ok(format!("Redis {}", info.text("redis_version").unwrap_or_default()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject<'static> {
        Subject { name: "cache", setting: "[services] cache_env", serves: serves::CACHE, named: true, unset: None }
    }

    #[tokio::test]
    async fn whoever_is_silent_holds_nobody_up() {
        let State::Unknown(missing) = one(subject(), std::future::pending()).await.state else { panic!("it answers") };
        assert_eq!(missing.what, "cache did not answer within 1s");
    }

    #[tokio::test]
    async fn what_is_not_named_is_no_trouble_and_what_has_no_value_is() {
        let nothing = || async { Err(ProbeError::NotGiven { what: "x".to_owned(), provide: "y".to_owned() }) };
        let absent = one(Subject { named: false, ..subject() }, nothing()).await;
        assert!(matches!(absent.state, State::NotNamed(_)));
        let variable = Variable { name: "REDIS_URL".to_owned(), setting: "[services] cache_env", set: false };
        let unset = one(Subject { unset: Some(&variable), ..subject() }, nothing()).await;
        let State::Unknown(missing) = unset.state else { panic!("it is told as absent") };
        assert!(missing.what.starts_with("REDIS_URL is not set") && missing.provide.contains("[services] cache_env"));
    }
}
