//! The keys to the user's systems, fetched by the names in the settings. A key that is missing is no error here:
//! what needs it says so, with the variable's name.

use std::collections::BTreeMap;

use crate::domain::secret::Secret;
use crate::domain::site::{Access, Key};

use super::{Environment, Settings};

/// Passwords of the flows' test users by the name of their variable.
pub type Passwords = BTreeMap<String, Secret>;

/// Fetches all keys. The process's own environment wins over the file's.
pub(super) fn fetch(settings: &Settings, process: &Environment, file: &Environment) -> (Access, Passwords) {
    let find = |name: &str| process.secret(name).or_else(|| file.secret(name));
    let key = |name: &Option<String>| {
        let variable = name.clone()?;
        Some(Key { secret: find(&variable)?, variable })
    };
    let names = &settings.variables;
    let access = Access {
        database: key(&names.database),
        database_direct: key(&names.database_direct),
        pooler_console: key(&names.pooler_console),
        cache: key(&names.cache),
        broker: key(&names.broker),
        bucket_access: key(&names.bucket_access),
        bucket_secret: key(&names.bucket_secret),
        account_password: key(&names.account_password),
        sentry_token: key(&names.sentry_token),
        railway_token: key(&names.railway_token),
        cloudflare_token: key(&names.cloudflare_token),
        sentry_dsn: key(&names.sentry_dsn),
        metrics_auth: key(&names.metrics_auth),
        edge_secret: key(&names.edge_secret),
    };
    let logins = settings.mix.flows.iter().filter_map(|flow| flow.login.as_ref());
    let passwords = logins.filter_map(|login| Some((login.password_env.clone(), find(&login.password_env)?))).collect();
    (access, passwords)
}

/// Every variable the settings name: the setting that names it, and its name.
pub(super) fn named(settings: &Settings) -> Vec<(&'static str, &str)> {
    let names = &settings.variables;
    let logins = settings.mix.flows.iter().filter_map(|flow| flow.login.as_ref());
    [
        ("[services] database_env", &names.database),
        ("[services] database_direct_env", &names.database_direct),
        ("[services] pooler_console_env", &names.pooler_console),
        ("[services] cache_env", &names.cache),
        ("[services] broker_env", &names.broker),
        ("[services] bucket_access_env", &names.bucket_access),
        ("[services] bucket_secret_env", &names.bucket_secret),
        ("[site.account] password_env", &names.account_password),
        ("[site.sentry] token_env", &names.sentry_token),
        ("[site.railway] token_env", &names.railway_token),
        ("[site.cloudflare] token_env", &names.cloudflare_token),
        ("[site.sentry] dsn_env", &names.sentry_dsn),
        ("[site] metrics_auth_env", &names.metrics_auth),
        ("[site.edge] secret_env", &names.edge_secret),
    ]
    .into_iter()
    .filter_map(|(setting, name)| Some((setting, name.as_deref()?)))
    .chain(logins.map(|login| ("login.password_env of a flow", login.password_env.as_str())))
    .collect()
}
