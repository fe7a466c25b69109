//! Which checks ask which system, by their names in the catalogue; `group.*` stands for every check of a group. What no
//! check asks yet is said in words.

/// The test user.
pub(super) const ACCOUNT: &[&str] =
    &["cache.no-leak", "edge.private-never-cached", "uploads.*", "queries.no-n-plus-one"];
/// The database as the app uses it.
pub(super) const APP_DATABASE: &[&str] =
    &["pool.in-path", "pool.transaction", "pool.server-cursors-off", "pool.prepared-safe"];
/// The database past the pooler.
pub(super) const DATABASE: &[&str] = &["pool.carries-app", "pool.fits-server", "pool.conn-reuse", "queries.*"];
/// The pooler's console.
pub(super) const POOLER: &[&str] = &["pool.multiplexes", "pool.no-queue", "pool.fits-server", "pool.transaction"];
/// The cache.
pub(super) const CACHE: &[&str] =
    &["cache.page-stored", "cache.shared-backend", "cache.bounded", "cache.hit-ratio", "health.touches-stores"];
/// The broker.
pub(super) const BROKER: &[&str] = &["jobs.*", "cache.broker-separate"];
/// The bucket of static files.
pub(super) const BUCKET: &[&str] = &["storage.bucket-not-listable"];
/// The site itself.
pub(super) const SITE: &[&str] = &["every check"];
/// Cloudflare's API.
pub(super) const CLOUDFLARE: &[&str] = &["the edge's rules, settings and hit ratio; no check asks for them yet"];
/// Railway's API.
pub(super) const RAILWAY: &[&str] = &["the deployment that a run is about; no check asks for more yet"];
/// Sentry.
pub(super) const SENTRY: &[&str] = &["sentry.*"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks;

    #[test]
    fn every_name_is_in_the_catalogue() {
        for name in [ACCOUNT, APP_DATABASE, DATABASE, POOLER, CACHE, BROKER, BUCKET, SENTRY].concat() {
            let known = match name.strip_suffix('*') {
                Some(group) => checks::catalogue().any(|entry| entry.id.starts_with(group)),
                None => checks::find(name).is_some(),
            };
            assert!(known, "{name}");
        }
    }
}
