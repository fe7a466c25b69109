//! From the text of `rampup.toml` to [`Settings`]: every rule is checked, every fault is told, not only the first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::de::DeTable;

use crate::domain::fingerprint::digest;
use crate::domain::flow::Mix;
use crate::domain::ids::StepId;
use crate::domain::place::{Place, explain, nearest};
use crate::domain::site::{Account, Edge, Presign, QueueKind, Release, Sentry, Site, StandsIn, Throttle, Web};
use crate::domain::slo::Slo;

use super::faults::Faults;
use super::rules::{header_fault, headers, path_fault, server_fault};
use super::slots::{Known, template};
use super::{
    ConfigError, FILE, GateOverride, Ownership, Pace, Problem, Settings, Variables, clouds, feeders, flows, literal,
    raw,
};

/// A digest of each setting: `slo.p95_ms`, `site.account.login`; lists, as the flows, as one.
fn digests(text: &str) -> BTreeMap<String, String> {
    fn gather(name: &str, value: &toml::Value, into: &mut BTreeMap<String, String>) {
        match value {
            toml::Value::Table(table) => {
                for (key, value) in table {
                    gather(&if name.is_empty() { key.clone() } else { format!("{name}.{key}") }, value, into);
                }
            }
            // Long enough to tell two values apart; nothing is proven by it.
            value => _ = into.insert(name.to_owned(), digest(value.to_string().as_bytes())[..12].to_owned()),
        }
    }
    let mut found = BTreeMap::new();
    gather("", &toml::Value::Table(toml::from_str(text).unwrap_or_default()), &mut found);
    found
}

/// Settings, and the name of the file that may hold some variables.
pub(super) fn understand(text: &str, project_dir: &Path) -> Result<(Settings, Option<String>), ConfigError> {
    let wrong = |place, what| ConfigError::Wrong(vec![Problem { file: FILE.to_owned(), place, what }]);
    let unreadable = |error: toml::de::Error| {
        let (place, what) = explain(&error, text);
        wrong(place, what)
    };
    let tree = DeTable::parse(text).map_err(unreadable)?.into_inner();
    if let Some(schema) = tree.get("schema")
        && let Some(number) = schema.get_ref().as_integer().and_then(|n| n.to_string().parse::<u32>().ok())
        && number != raw::SCHEMA
    {
        let what = format!(
            "schema = {number}, and this rampup understands {}; use the rampup it was written for",
            raw::SCHEMA
        );
        return Err(wrong(Place::of(text, schema.span().start), what));
    }
    let mut faults = Faults::new(FILE, text, tree);
    let mut file = toml::from_str::<raw::File>(text).map_err(unreadable)?;
    refuse_keys(&mut faults);
    let (site, ownership) = site(&file.site, &mut faults);
    let web = file.site.web.as_ref().map(|web| self::web(web, &mut faults));
    slo(&file.slo, &mut faults);
    feeders::read(&mut file.feeders, project_dir, &mut faults);
    let known = Known::new(&file.feeders);
    headers(&file.load.headers, &["load", "headers"], &mut faults);
    for (name, value) in &file.load.headers {
        let at = ["load", "headers", name];
        template(value, &known, &mut faults, &at);
        if let Some(feeder) = known.fed(value) {
            // The health watch and the files of a page go out beside the flows.
            let what = format!(
                "{feeder:?} deals its rows to flows, and these headers also go where no flow is; write the header into \
                 the steps that need it"
            );
            faults.add(&at, what);
        }
    }
    upload_hosts(&file.load.upload_hosts, &mut faults);
    flows::check(&file.flows, &known, &mut faults);
    let endpoints: BTreeSet<&str> =
        file.flows.iter().flat_map(|flow| flow.steps.iter().map(|s| s.endpoint())).collect();
    named_endpoints(&site.slow_endpoints, &endpoints, &["site", "slow_endpoints"], &mut faults);
    let overrides = overrides(&file.steps, &endpoints, &mut faults);
    let variables = variables(&file, &mut faults);
    let pace = pace(&file.load, &mut faults);
    let found = faults.into_found();
    if !found.is_empty() {
        return Err(ConfigError::Wrong(found));
    }
    let settings = Settings {
        project_dir: project_dir.to_owned(),
        site,
        web,
        slo: file.slo,
        mix: Mix {
            flows: file.flows,
            feeders: file.feeders,
            headers: file.load.headers,
            think: file.load.think,
            upload_hosts: file.load.upload_hosts,
        },
        pace,
        overrides,
        variables,
        ownership,
        digest: digest(text.as_bytes()),
        digests: digests(text),
        notes: Vec::new(),
    };
    Ok((settings, file.env_file))
}

/// No text anywhere in the file may be a URL that carries keys.
fn refuse_keys(faults: &mut Faults<'_>) {
    let mut places = Vec::new();
    faults.each_text(&mut |text, place| {
        if literal::is_url_with_keys(text) {
            places.push(place);
        }
    });
    for place in places {
        faults.add_at(place, &format!("a URL with a user name or password is a secret; {}", literal::TODO));
    }
}

fn site(file: &raw::Site, faults: &mut Faults<'_>) -> (Site, Option<Ownership>) {
    if file.name.trim().is_empty() {
        faults.add(&["site", "name"], "name is empty; call the site something that fits on a screen");
    }
    let sentry = file.sentry.as_ref().map(|sentry| &sentry.api);
    for (path, url) in [
        (&["site", "url"][..], Some(&file.url)),
        (&["site", "origin"], file.origin.as_ref()),
        (&["site", "bucket"], file.bucket.as_ref()),
        (&["site", "sentry", "api"], sentry),
    ] {
        if let Some(fault) = url.and_then(server_fault) {
            faults.add(path, format!("{} {fault}", path.last().unwrap_or(&"")));
        }
    }
    for (key, url) in [("url", Some(&file.url)), ("origin", file.origin.as_ref())] {
        if url.is_some_and(|url| url.path() != "/") {
            faults.add(
                &["site", key],
                format!("{key} holds a path; write scheme and host alone, paths go into the flows"),
            );
        }
    }
    let mut paths: Vec<(Vec<&str>, &str)> = vec![(vec!["site", "health"], &file.health)];
    let numbers: Vec<String> =
        (0..file.public_pages.len().max(file.private_pages.len())).map(|n| n.to_string()).collect();
    for (key, pages) in [("public_pages", &file.public_pages), ("private_pages", &file.private_pages)] {
        paths.extend(pages.iter().zip(&numbers).map(|(page, number)| (vec!["site", key, number], page.as_str())));
    }
    paths.extend(file.metrics.as_deref().map(|path| (vec!["site", "metrics"], path)));
    paths.extend(
        file.sentry
            .as_ref()
            .and_then(|sentry| Some((vec!["site", "sentry", "error_path"], sentry.error_path.as_deref()?))),
    );
    paths.extend(file.rate_limited.as_deref().map(|path| (vec!["site", "rate_limited"], path)));
    paths.extend(file.throttle.as_ref().map(|throttle| (vec!["site", "throttle", "path"], throttle.path.as_str())));
    paths.extend(file.release.as_ref().map(|release| (vec!["site", "release", "path"], release.path.as_str())));
    let blocked = file.edge.as_ref().and_then(|edge| edge.blocked.as_deref());
    paths.extend(blocked.map(|path| (vec!["site", "edge", "blocked"], path)));
    paths.extend(file.account.as_ref().map(|account| (vec!["site", "account", "login"], account.login.as_str())));
    paths.extend(file.presign.as_ref().map(|presign| (vec!["site", "presign", "path"], presign.path.as_str())));
    paths.extend(file.ownership.as_ref().map(|proof| (vec!["site", "ownership", "path"], proof.path.as_str())));
    for (place, path) in paths {
        if path.contains("{{") {
            faults.add(&place, "only flows know {{…}}; write the whole path");
        } else if let Some(fault) = path_fault(path) {
            faults.add(&place, fault);
        }
    }
    if file.queue.is_empty() {
        faults.add(&["site", "queue"], "queue is empty; Celery's own default is \"celery\"");
    }
    if file.presign.as_ref().is_some_and(|presign| presign.max_bytes == 0) {
        faults.add(
            &["site", "presign", "max_bytes"],
            "max_bytes = 0 allows no upload; write the largest one you mean to allow",
        );
    }
    if file
        .ownership
        .as_ref()
        .is_some_and(|proof| proof.nonce.len() < 16 || proof.nonce.chars().any(char::is_whitespace))
    {
        faults.add(
            &["site", "ownership", "nonce"],
            "the nonce is too easy to meet by chance; use 16 or more letters and digits",
        );
    }
    headers(&file.probe_headers, &["site", "probe_headers"], faults);
    edge(file, faults);
    let release =
        file.release.as_ref().and_then(|release| stands_in(release, faults).map(|it| (release.path.clone(), it)));
    let railway = file.railway.as_ref().and_then(|railway| clouds::railway(railway, faults));
    let cloudflare = file.cloudflare.as_ref().and_then(|cloudflare| clouds::cloudflare(cloudflare, faults));
    let site = Site {
        name: file.name.clone(),
        url: file.url.clone(),
        origin: file.origin.clone(),
        bucket: file.bucket.clone(),
        health: file.health.clone(),
        metrics: file.metrics.clone(),
        public_pages: file.public_pages.clone(),
        private_pages: file.private_pages.clone(),
        rate_limited: file.rate_limited.clone(),
        edge: file.edge.as_ref().map(|e| Edge {
            blocked: e.blocked.clone(),
            origins: e.origins.clone(),
            secret_header: e.secret_header.clone(),
        }),
        throttle: file.throttle.as_ref().map(|t| Throttle { path: t.path.clone(), requests: t.requests }),
        release: release.map(|(path, stands_in)| Release { path, stands_in }),
        account: file.account.as_ref().map(|a| Account { login: a.login.clone(), username: a.username.clone() }),
        presign: file.presign.as_ref().map(|p| Presign {
            path: p.path.clone(),
            max_bytes: p.max_bytes,
            content_type: p.content_type.clone(),
        }),
        slow_endpoints: file.slow_endpoints.clone(),
        sentry: file.sentry.as_ref().map(|s| Sentry {
            api: s.api.clone(),
            organization: s.organization.clone(),
            project: s.project.clone(),
            send_error: s.send_error,
            error_path: s.error_path.clone(),
        }),
        railway,
        cloudflare,
        queue: file.queue.clone(),
        queue_kind: file.queue_kind.map(|kind| match kind {
            raw::QueueKind::Celery => QueueKind::Celery,
            raw::QueueKind::Rq => QueueKind::Rq,
            raw::QueueKind::Huey => QueueKind::Huey,
        }),
        queue_canary: file.queue_canary,
        probe_headers: file.probe_headers.clone(),
    };
    let ownership = file.ownership.as_ref().map(|o| Ownership { path: o.path.clone(), nonce: o.nonce.clone() });
    (site, ownership)
}

/// What stands in `[site.edge]` and `[site.throttle]`, but for paths.
fn edge(site: &raw::Site, faults: &mut Faults<'_>) {
    if site.throttle.as_ref().is_some_and(|throttle| !(1..=40).contains(&throttle.requests)) {
        faults.add(
            &["site", "throttle", "requests"],
            "requests must be 1 to 40: a check sends four times as many at most, and no more than 160; name a path with a \
             tighter limit, such as the login's",
        );
    }
    let Some(edge) = &site.edge else { return };
    for (index, origin) in edge.origins.iter().enumerate() {
        let path = (origin.path() != "/").then_some("holds a path; write scheme and host alone");
        if let Some(fault) = server_fault(origin).or(path) {
            faults.add(&["site", "edge", "origins", &index.to_string()], format!("the address {fault}"));
        }
    }
    if let Some(name) = &edge.secret_header
        && let Some(fault) = header_fault(name, "")
    {
        faults.add(&["site", "edge", "secret_header"], fault);
    }
    if edge.secret_env.is_some() && edge.secret_header.is_none() {
        faults.add(
            &["site", "edge", "secret_env"],
            "the header's name is missing; write for example secret_header = \"X-Edge-Secret\"",
        );
    }
}

fn stands_in(release: &raw::Release, faults: &mut Faults<'_>) -> Option<StandsIn> {
    match (&release.header, &release.json) {
        (Some(name), None) => match header_fault(name, "") {
            None => return Some(StandsIn::Header(name.clone())),
            Some(fault) => faults.add(&["site", "release", "header"], fault),
        },
        (None, Some(pointer)) if pointer.starts_with('/') => return Some(StandsIn::Json(pointer.clone())),
        (None, Some(_)) => faults.add(&["site", "release", "json"], "a JSON pointer begins with a slash: \"/release\""),
        (None, None) | (Some(_), Some(_)) => faults.add(
            &["site", "release"],
            "say where in the answer the release stands: either header = \"X-Release\" or json = \"/release\"",
        ),
    }
    None
}

fn web(file: &raw::Web, faults: &mut Faults<'_>) -> Web {
    let web = Web { workers: file.workers, threads: file.threads, replicas: file.replicas };
    for (key, value) in [("workers", web.workers), ("threads", web.threads), ("replicas", web.replicas)] {
        if !(1..=10_000).contains(&value) {
            faults.add(&["site", "web", key], format!("{key} must be 1 to 10000, as the web server is started"));
        }
    }
    web
}

fn slo(slo: &Slo, faults: &mut Faults<'_>) {
    if !(slo.p95_ms > 0.0 && slo.p95_ms <= 60_000.0) {
        faults.add(
            &["slo", "p95_ms"],
            "p95_ms must be over 0 and at most 60000 (milliseconds); the guide's promise is 300",
        );
    }
    if !(slo.error_percent > 0.0 && slo.error_percent <= 50.0) {
        let what = "error_percent must be over 0 and at most 50 (percent; no sample can show that nothing ever fails)";
        faults.add(&["slo", "error_percent"], format!("{what}; the guide's promise is 0.5"));
    }
    if !(0.8..=0.999).contains(&slo.confidence) {
        faults.add(&["slo", "confidence"], "confidence must be 0.8 to 0.999; 0.95 is usual");
    }
}

fn named_endpoints(wanted: &[String], known: &BTreeSet<&str>, path: &[&str], faults: &mut Faults<'_>) {
    for (index, name) in wanted.iter().enumerate().filter(|(_, name)| !known.contains(name.as_str())) {
        let index = index.to_string();
        let path: Vec<&str> = path.iter().copied().chain([index.as_str()]).collect();
        let hint = nearest(name, known.iter().copied()).map_or_else(
            || format!("there are {}", known.iter().copied().collect::<Vec<_>>().join(", ")),
            |meant| format!("did you mean {meant:?}?"),
        );
        faults.add(&path, format!("no flow step is named {name:?}; {hint}"));
    }
}

fn overrides(
    steps: &BTreeMap<String, raw::Step>,
    endpoints: &BTreeSet<&str>,
    faults: &mut Faults<'_>,
) -> BTreeMap<StepId, GateOverride> {
    let mut overrides = BTreeMap::new();
    for (key, step) in steps {
        let Some(id) = key.parse().ok().and_then(|number| StepId::new(number).ok()) else {
            faults.add(&["steps", key], format!("there is no step {key}; write [steps.1] to [steps.10]"));
            continue;
        };
        if step.users.is_some_and(|users| users == 0 || users > 100_000) {
            faults.add(&["steps", key, "users"], "users must be 1 to 100000");
        }
        if step.hold.is_some_and(|hold| hold.0.is_zero()) {
            faults.add(&["steps", key, "hold"], "a hold of no time shows nothing; write for example hold = \"60s\"");
        }
        if let Some(beyond) = &step.beyond
            && !(beyond.is_sorted_by(|below, above| below < above) && beyond.iter().all(|users| *users <= 100_000))
        {
            let what =
                "beyond must rise, up to 100000 users; write for example beyond = [650, 800, 1000], or [] for none";
            faults.add(&["steps", key, "beyond"], what);
        }
        named_endpoints(step.endpoints.as_deref().unwrap_or_default(), endpoints, &["steps", key, "endpoints"], faults);
        let change = GateOverride {
            users: step.users,
            hold: step.hold.map(|hold| hold.0),
            think: step.think,
            endpoints: step.endpoints.clone(),
            beyond: step.beyond.clone(),
        };
        if overrides.insert(id, change).is_some() {
            faults.add(&["steps", key], format!("step {id} is written twice; keep one"));
        }
    }
    overrides
}

fn variables(file: &raw::File, faults: &mut Faults<'_>) -> Variables {
    let mut name = |path: &[&str], text: Option<&String>| -> Option<String> {
        let text = text?;
        if let Some(fault) = literal::not_a_name(text) {
            let key = path.last().unwrap_or(&"");
            faults.add(path, format!("{key} {fault}; {}", literal::TODO));
        }
        Some(text.clone())
    };
    let services = &file.services;
    Variables {
        database: name(&["services", "database_env"], services.database_env.as_ref()),
        database_direct: name(&["services", "database_direct_env"], services.database_direct_env.as_ref()),
        pooler_console: name(&["services", "pooler_console_env"], services.pooler_console_env.as_ref()),
        cache: name(&["services", "cache_env"], services.cache_env.as_ref()),
        broker: name(&["services", "broker_env"], services.broker_env.as_ref()),
        bucket_access: name(&["services", "bucket_access_env"], services.bucket_access_env.as_ref()),
        bucket_secret: name(&["services", "bucket_secret_env"], services.bucket_secret_env.as_ref()),
        account_password: name(
            &["site", "account", "password_env"],
            file.site.account.as_ref().map(|account| &account.password_env),
        ),
        sentry_token: name(&["site", "sentry", "token_env"], file.site.sentry.as_ref().map(|sentry| &sentry.token_env)),
        railway_token: name(&["site", "railway", "token_env"], file.site.railway.as_ref().map(|r| &r.token_env)),
        cloudflare_token: name(
            &["site", "cloudflare", "token_env"],
            file.site.cloudflare.as_ref().map(|cloudflare| &cloudflare.token_env),
        ),
        sentry_dsn: name(&["site", "sentry", "dsn_env"], file.site.sentry.as_ref().and_then(|s| s.dsn_env.as_ref())),
        metrics_auth: name(&["site", "metrics_auth_env"], file.site.metrics_auth_env.as_ref()),
        edge_secret: name(&["site", "edge", "secret_env"], file.site.edge.as_ref().and_then(|e| e.secret_env.as_ref())),
    }
}

/// Each is a host that load may go to besides the target: written down, and nothing that could stand for many.
fn upload_hosts(hosts: &[String], faults: &mut Faults<'_>) {
    for (index, host) in hosts.iter().enumerate() {
        let url = url::Url::parse(&format!("https://{host}"));
        let plain = host.chars().all(|c| c.is_ascii_alphanumeric() || "-.:[]".contains(c));
        if !plain || !url.is_ok_and(|url| server_fault(&url).is_none() && url.path() == "/") {
            let what = format!("{host:?} is no host; write for example \"my-bucket.s3.eu-central-1.amazonaws.com\"");
            faults.add(&["load", "upload_hosts", &index.to_string()], what);
        }
    }
}

fn pace(load: &raw::Load, faults: &mut Faults<'_>) -> Pace {
    let usual = Pace::default();
    let pace = Pace {
        climb: load.climb.map(|climb| climb.0),
        settle_limit: load.settle_limit.map_or(usual.settle_limit, |limit| limit.0),
        timeout: load.timeout.map_or(usual.timeout, |timeout| timeout.0),
        model: load.model,
    };
    if !(1..=120).contains(&pace.timeout.as_secs()) {
        faults.add(&["load", "timeout"], "timeout must be 1s to 2m; nobody waits longer for a page");
    }
    pace
}
