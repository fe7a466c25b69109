//! Which checks ask which system, by their names in the catalogue; `group.*` stands for every check of a group.

/// The test user.
pub(super) const ACCOUNT: &[&str] = &[
    "cache.no-leak",
    "edge.private-never-cached",
    "edge.cache-deception-safe",
    "uploads.*",
    "queries.no-n-plus-one",
    "queries.plans",
];
/// The database as the app uses it.
pub(super) const APP_DATABASE: &[&str] =
    &["pool.in-path", "pool.transaction", "pool.server-cursors-off", "pool.prepared-safe", "pool.conn-setting-placed"];
/// The database past the pooler.
pub(super) const DATABASE: &[&str] = &["pool.carries-app", "pool.fits-server", "pool.conn-reuse", "queries.*"];
/// The pooler's console.
pub(super) const POOLER: &[&str] = &[
    "pool.multiplexes",
    "pool.no-queue",
    "pool.fits-server",
    "pool.transaction",
    "pool.carries-app",
    "pool.prepared-safe",
    "pool.conn-setting-placed",
];
/// The cache.
pub(super) const CACHE: &[&str] = &[
    "cache.page-stored",
    "cache.shared-backend",
    "cache.bounded",
    "cache.hit-ratio",
    "health.touches-stores",
    "health.uncached",
];
/// The broker.
pub(super) const BROKER: &[&str] = &["jobs.*", "cache.broker-separate"];
/// The bucket of static files.
pub(super) const BUCKET: &[&str] = &["storage.bucket-not-listable"];
/// The site itself.
pub(super) const SITE: &[&str] = &["every check"];
/// Cloudflare's API.
pub(super) const CLOUDFLARE: &[&str] = &[
    "edge.ssl-mode",
    "edge.hit-ratio",
    "edge.tiered-cache",
    "edge.app-answers",
    "edge.private-never-cached",
    "edge.rate-limit-fires",
    "edge.firewall-rule",
];
/// Railway's API.
pub(super) const RAILWAY: &[&str] = &[
    "app.log-line",
    "health.deploy-gate",
    "health.watched",
    "uploads.skip-web",
    "pool.carries-app",
    "jobs.own-service",
    "load.memory-headroom",
];
/// Sentry.
pub(super) const SENTRY: &[&str] = &["sentry.*"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks;

    #[test]
    fn every_name_is_in_the_catalogue() {
        for name in
            [ACCOUNT, APP_DATABASE, DATABASE, POOLER, CACHE, BROKER, BUCKET, SENTRY, CLOUDFLARE, RAILWAY].concat()
        {
            let known = match name.strip_suffix('*') {
                Some(group) => checks::catalogue().any(|entry| entry.id.starts_with(group)),
                None => checks::find(name).is_some(),
            };
            assert!(known, "{name}");
        }
    }

    /// Files of `src/checks`, the folders in it included.
    fn sources(folder: &std::path::Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries
            .flat_map(|path| match path.is_dir() {
                true => sources(&path),
                false => vec![std::fs::read_to_string(path).unwrap()],
            })
            .collect()
    }

    #[test]
    fn a_check_that_asks_a_cloud_is_named_here() {
        let checks = sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/checks"));
        for (question, named) in [
            ("site.cloudflare.is_some()", CLOUDFLARE),
            ("site.railway.is_none()", RAILWAY),
            ("::ask(probes.site.railway.is_some()", RAILWAY),
            ("::ask(ctx.probes.site.railway.is_some()", RAILWAY),
        ] {
            let asking = checks.iter().filter(|source| source.contains(question));
            let ids = asking.filter_map(|source| source.split("const ID: &'static str = \"").nth(1)?.split('"').next());
            let ids: Vec<&str> = ids.collect();
            assert!(!ids.is_empty(), "{question}");
            for id in ids {
                assert!(named.contains(&id), "{id} has {question}");
            }
        }
    }
}
