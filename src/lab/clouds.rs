//! What the stand-ins for Railway's and Cloudflare's APIs are told of the stack: its services as a person would have
//! set them up there, references in the place of addresses, what the zone is set to. Logs and processes they look at
//! themselves.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::service::{Launch, Service};
use super::setup::Setup;
use super::steps::Words;

/// Their program: the file that is started, and those that lie beside it.
pub(super) const PROGRAMS: [&str; 5] =
    ["clouds.py", "clouds_graphql.py", "clouds_stack.py", "clouds_railway.py", "clouds_cloudflare.py"];

/// The file that holds what they are told, among the configuration files.
pub(super) const FACTS: &str = "clouds.json";

/// Services that variables refer to: what each is called at Railway, its own variable that says where it is, and the image
/// that it would run there.
const REFERRED: [(Service, &str, &str, &str); 4] = [
    (Service::Postgres, "Postgres", "DATABASE_URL", "postgres"),
    (Service::Pgbouncer, "Pgbouncer", "DATABASE_URL", "pgbouncer"),
    (Service::RedisCache, "Redis", "REDIS_URL", "redis"),
    (Service::RedisBroker, "Queue", "REDIS_URL", "redis"),
];

/// What is said of the stack with what is applied now. No secret is in it.
pub(super) fn facts(setup: &Setup) -> Value {
    let sum = &setup.effective;
    let set = |name: &str| sum.clouds.get(name).filter(|value| !value.is_empty());
    // A command that starts web and worker together leaves no service for the worker.
    let together = set("start");
    let mut services = vec![json!({
        "name": "web",
        "start": together.cloned().unwrap_or_else(|| command(Service::Web, setup)),
        "health": set("healthcheck"),
        "before": ["python manage.py migrate"],
        "log": Service::Web.name(),
        "runs": words(Service::Web, setup),
        "variables": variables(&sum.env, setup),
    })];
    if sum.services.contains(&Service::Worker) && together.is_none() {
        let mut env = sum.env.clone();
        env.extend(sum.worker_env.clone());
        services.push(json!({
            "name": "worker",
            "start": command(Service::Worker, setup),
            "log": Service::Worker.name(),
            "runs": words(Service::Worker, setup),
            "variables": variables(&env, setup),
        }));
    }
    let referred = REFERRED.iter().filter(|(service, ..)| sum.services.contains(service));
    services.extend(referred.map(|(_, name, _, image)| json!({ "name": name, "image": image })));
    json!({
        "logs": setup.layout.log().to_string_lossy(),
        "services": services,
        "edge": sum.edge.get("mode"),
        "ssl": set("ssl"),
        "tiered_cache": set("tiered_cache"),
    })
}

/// A process's whole command line.
fn words(service: Service, setup: &Setup) -> Vec<String> {
    let launch = Launch::of(service, setup);
    std::iter::once(launch.program.to_string_lossy().into_owned()).chain(launch.arguments).collect()
}

/// The same as its owner would write it, without the folders of this stack.
fn command(service: Service, setup: &Setup) -> String {
    let programs = format!("{}/bin/", setup.layout.venv().display());
    let project = format!("{}/", setup.layout.project().display());
    let plain = |word: &String| word.replace(&programs, "").replace(&project, "");
    words(service, setup).iter().map(plain).collect::<Vec<_>>().join(" ")
}

/// Variables of the shop, unrendered: an address of another service is a reference, whatever else is nobody's business.
fn variables(env: &Words, setup: &Setup) -> BTreeMap<String, String> {
    let refers = |value: &str| {
        let leads_to = |service: Service| value.contains(&format!("127.0.0.1:{}/", setup.port(service.name())));
        let found = REFERRED.iter().find(|(service, ..)| leads_to(*service));
        found
            .map_or_else(|| "not-for-anyone".to_owned(), |(_, name, variable, _)| format!("${{{{{name}.{variable}}}}}"))
    };
    env.iter().map(|(name, value)| (name.clone(), refers(value))).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::super::files;
    use super::super::layout::Layout;
    use super::super::ports;
    use super::super::state::State;
    use super::super::tools::Tools;
    use super::*;
    use crate::domain::clouds::{Cloudflare, Railway};
    use crate::domain::ids::RunId;
    use crate::domain::secret::Secret;
    use crate::domain::site::{Access, Key};
    use crate::probes::Probes;
    use crate::probes::cloudflare::{Phase, TieredCache};
    use crate::probes::practice::StandIn;
    use crate::probes::railway::Wanted;

    const TOKEN: &str = "practice-token";

    /// The stack in this folder with the first steps' remedies and one fault in force, and its secrets.
    fn stack(root: &Path, top: u8, fault: Option<&str>) -> (Setup, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::open(&dir.path().join("state.toml")).unwrap();
        state.ports = ports::NAMES.iter().zip(20_000..).map(|(name, port)| ((*name).to_owned(), port)).collect();
        state.applied = (1..=top).collect();
        state.faults = fault.map(str::to_owned).into_iter().collect();
        let setup = Setup::new(&Layout::new(root), None, Tools::default(), &state).unwrap();
        (setup, state.secrets.into_values().collect())
    }

    /// The services by name.
    fn services(facts: &Value) -> BTreeMap<&str, &Value> {
        let all = facts["services"].as_array().unwrap().iter();
        all.map(|service| (service["name"].as_str().unwrap(), service)).collect()
    }

    #[test]
    fn what_is_told_follows_the_climb_and_gives_nothing_away() {
        let (naive, _) = stack(Path::new("/lab"), 0, None);
        let naive = facts(&naive);
        let told = services(&naive);
        assert_eq!(told.keys().copied().collect::<Vec<_>>(), ["Postgres", "Queue", "Redis", "web"]);
        assert_eq!((&told["web"]["health"], &naive["edge"]), (&Value::Null, &json!("dns")));
        assert_eq!(told["web"]["variables"]["DATABASE_URL"], "${{Postgres.DATABASE_URL}}");

        let (all, secrets) = stack(Path::new("/lab"), 10, None);
        let all = facts(&all);
        let told = services(&all);
        let names: Vec<_> = told.keys().copied().collect();
        assert_eq!(names, ["Pgbouncer", "Postgres", "Queue", "Redis", "web", "worker"]);
        assert_eq!((&all["edge"], &all["ssl"], &all["tiered_cache"]), (&json!("rules"), &json!("full"), &json!("on")));
        let web = told["web"];
        let starts = "gunicorn config.wsgi:application -c gunicorn.conf.py -b 127.0.0.1:20009 -k gthread";
        assert!(web["start"].as_str().unwrap().starts_with(starts), "{web}");
        assert_eq!((&web["health"], &web["runs"][0]), (&json!("/healthz"), &json!("/lab/venv/bin/gunicorn")));
        for (variable, reference) in [
            ("DATABASE_URL", "${{Pgbouncer.DATABASE_URL}}"),
            ("DATABASE_UNPOOLED_URL", "${{Postgres.DATABASE_URL}}"),
            ("REDIS_URL", "${{Redis.REDIS_URL}}"),
            ("CELERY_BROKER_URL", "${{Queue.REDIS_URL}}"),
            ("SECRET_KEY", "not-for-anyone"),
        ] {
            assert_eq!(web["variables"][variable], reference, "{variable}");
        }
        assert!(told["worker"]["start"].as_str().unwrap().starts_with("celery -A config worker -P threads"));
        let text = all.to_string();
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
    }

    #[test]
    fn a_fault_at_the_clouds_brings_them_along() {
        let (well, _) = stack(Path::new("/lab"), 10, None);
        assert!(!well.effective.services.contains(&Service::Clouds));
        for (fault, told) in [
            ("deploy-without-gate", "/services/0/health"),
            ("ssl-flexible", "/ssl"),
            ("worker-inside-web", "/services/0/start"),
        ] {
            let (bent, _) = stack(Path::new("/lab"), 10, Some(fault));
            assert!(bent.effective.services.contains(&Service::Clouds), "{fault}");
            assert_ne!(facts(&bent).pointer(told), facts(&well).pointer(told), "{fault}");
        }
        let (inside, _) = stack(Path::new("/lab"), 10, Some("worker-inside-web"));
        assert!(!services(&facts(&inside)).contains_key("worker"));
    }

    /// A request as the edge notes it, ten minutes ago: figures of the last five are not asked for.
    fn request(line: &str, origin: &str, cache: &str, to: &str, length: u32) -> String {
        let time = (jiff::Timestamp::now() - Duration::from_secs(600)).to_string();
        let seen = json!({
            "time": time, "ip": "198.18.0.1", "request": line, "status": 200, "bytes": 2632, "seconds": 0.01,
            "origin": origin, "cache": cache, "ray": format!("{length:x}-LAB"), "id": "", "to": to, "host": "127.0.0.1",
            "length": length, "agent": "Monitor/1.0",
        });
        format!("{seen}\n")
    }

    /// Answers are held against the published schemas where the clients are, in `probes`; here, against what happened.
    #[tokio::test]
    async fn what_is_said_is_true_of_logs_and_processes_and_our_own_client_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let (setup, _) = stack(dir.path(), 8, None);
        let layout = &setup.layout;
        std::fs::create_dir(layout.conf()).unwrap();
        std::fs::create_dir(layout.log()).unwrap();
        setup.write_conf().unwrap();
        let put = |log: &str, text: &str| files::write(&layout.log_of(log), text.as_bytes(), 0o644, None).unwrap();
        let edge = [
            request("GET /healthz HTTP/1.1", "0.002", "DYNAMIC", "shop_web", 80),
            request("POST /api/upload?big=1 HTTP/1.1", "0.2", "DYNAMIC", "shop_web", 1_200_186),
            request("GET /static/a.css HTTP/1.1", "0.001", "MISS", "shop_s3", 90),
            request("GET /static/a.css HTTP/1.1", "", "HIT", "shop_s3", 91),
            request("GET /v/3/ HTTP/1.1", "", "HIT", "shop_web", 92),
            "{\"time\": half a line".to_owned(),
        ];
        put("edge-access", &edge.concat());
        let line = r#"{"time":"[27/Nov/2020:15:10:48 +0000]","request":"GET /abcdef012345 HTTP/1.1","status":404}"#;
        put("web", &format!("[2020-11-27 15:10:40 +0000] [7] [INFO] Starting gunicorn\n{line}\n"));

        let told = layout.conf().join(FACTS);
        let arguments = ["--port", "0", "--stack", told.to_str().unwrap()];
        let clouds = StandIn::start(PROGRAMS[0], &arguments, &[("CLOUDS_TOKEN", TOKEN)], "port ");
        let mut site = crate::probes::http::tests::site(clouds.url.as_str());
        let (api, named) = (clouds.url.clone(), str::to_owned);
        let (environment, service) = (named("production"), named("web"));
        site.railway = Some(Railway { api: api.clone(), project: None, environment, service });
        site.cloudflare = Some(Cloudflare { api, zone: named("shop.example") });
        let key = || Some(Key { variable: named("CLOUDS_TOKEN"), secret: Secret::new(named(TOKEN)) });
        let access = Access { railway_token: key(), cloudflare_token: key(), ..Access::default() };
        let probes = Probes::new(site, access, RunId::from("run-1")).unwrap();

        let railway = probes.railway().await.unwrap();
        let service = railway.service().await.unwrap();
        assert_eq!((service.replicas, service.health_path.as_deref()), (Some(1), Some("/healthz")));
        let latest = service.latest_deployment.unwrap();
        // Nothing of this stack runs, and so it is said where that can be seen.
        if cfg!(target_os = "linux") {
            assert_eq!((latest.status.as_str(), latest.running()), ("CRASHED", 0));
        }
        assert_eq!(latest.created.to_string(), "2020-11-27T15:10:40Z");
        let names: Vec<_> = railway.services().await.unwrap().into_iter().map(|service| service.name).collect();
        assert_eq!(names, ["web", "worker", "Postgres", "Pgbouncer", "Redis", "Queue"]);
        let variables = railway.variables(&service.id).await.unwrap();
        assert_eq!(variables["DATABASE_URL"].0[0].service.as_deref(), Some("Pgbouncer"));
        let usage = railway.usage(&service.id, Duration::from_secs(60)).await.unwrap().remove(0);
        assert_eq!((usage.memory_gb, usage.memory_limit_gb), (None, Some(8.0)));
        let line = railway.app_lines(&latest.id, "abcdef012345").await.unwrap().remove(0);
        assert_eq!((line.at.as_str(), line.severity.as_deref()), ("2020-11-27T15:10:48.000Z", Some("info")));
        assert!(railway.app_lines(&latest.id, "fedcba543210").await.unwrap().is_empty());
        let upload = railway.http_lines(&latest.id, Wanted::Id("12503a-LAB")).await.unwrap().remove(0);
        assert_eq!((upload.method.as_str(), upload.path.as_str()), ("POST", "/api/upload"));
        assert_eq!((upload.received, upload.agent.as_str()), (1_200_186, "Monitor/1.0"));
        // What the edge answers itself, and what it gets from the bucket, never came to Railway.
        for elsewhere in ["5a-LAB", "5b-LAB", "5c-LAB"] {
            assert!(railway.http_lines(&latest.id, Wanted::Id(elsewhere)).await.unwrap().is_empty(), "{elsewhere}");
        }

        let cloudflare = probes.cloudflare().await.unwrap();
        assert_eq!(cloudflare.ssl_mode().await.unwrap(), "full");
        assert_eq!(cloudflare.tiered_cache().await.unwrap(), TieredCache { on: true, smart: false });
        let rules = cloudflare.rules(Phase::Cache).await.unwrap().rules;
        let kept: Vec<_> = rules.iter().map(|rule| rule.cache.cache).collect();
        assert_eq!(kept, [Some(true), Some(false), Some(false)]);
        assert!(rules[1].expression.contains("/account/") && rules[1].expression.contains("cart"));
        let limit = cloudflare.rules(Phase::RateLimit).await.unwrap().rules.remove(0).ratelimit.unwrap();
        assert_eq!((limit.period, limit.requests_per_period), (10, Some(50)));
        let refused = cloudflare.rules(Phase::Firewall).await.unwrap().rules.remove(0);
        assert!(refused.enabled && refused.action == "block" && refused.expression.contains("/wp-login.php"));
        let traffic = cloudflare.traffic("127.0.0.1", Duration::from_secs(3600)).await.unwrap();
        assert_eq!((traffic.cached(), traffic.cacheable()), (2, 3));
        assert_eq!(traffic.requests["dynamic"], 2);
    }
}
