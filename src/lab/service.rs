//! The ten services: what each is called, how its process is started, and which signal stops it kindly.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::clouds;
use super::setup::Setup;
use super::weed;

/// A process of the practice stack. The order is the order of starting; stopping goes the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// PostgreSQL.
    Postgres,
    /// The Redis that may forget.
    RedisCache,
    /// The Redis that must not: the queue.
    RedisBroker,
    /// The S3 server.
    S3,
    /// Receives Sentry envelopes, mail and counters.
    Sink,
    /// The connection pooler.
    Pgbouncer,
    /// Answers as Railway's and Cloudflare's APIs, where that is asked for, of the stack as it runs.
    Clouds,
    /// The worker: Celery's, RQ's or Huey's.
    Worker,
    /// gunicorn with the shop.
    Web,
    /// nginx, which plays Cloudflare.
    Edge,
}

impl Service {
    /// All ten, in the order they start.
    pub const ALL: [Self; 10] = [
        Self::Postgres,
        Self::RedisCache,
        Self::RedisBroker,
        Self::S3,
        Self::Sink,
        Self::Pgbouncer,
        Self::Clouds,
        Self::Worker,
        Self::Web,
        Self::Edge,
    ];

    /// Services that start and stop together: first those that hold data, last where users arrive.
    pub(crate) const TIERS: [&[Self]; 4] = [
        &[Self::Postgres, Self::RedisCache, Self::RedisBroker, Self::S3, Self::Sink],
        &[Self::Pgbouncer, Self::Clouds],
        &[Self::Worker, Self::Web],
        &[Self::Edge],
    ];

    /// Its name in files, logs and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::RedisCache => "redis_cache",
            Self::RedisBroker => "redis_broker",
            Self::S3 => "s3",
            Self::Sink => "sink",
            Self::Pgbouncer => "pgbouncer",
            Self::Clouds => "clouds",
            Self::Worker => "worker",
            Self::Web => "web",
            Self::Edge => "edge",
        }
    }

    /// The name of the port where it is asked; the worker has none, it answers over the broker.
    #[must_use]
    pub fn port_name(self) -> Option<&'static str> {
        match self {
            Self::Worker => None,
            Self::Sink => Some("sink_http"),
            other => Some(other.name()),
        }
    }

    /// The service without which this one cannot answer, so that it is started anew together with it.
    pub(crate) fn rests_on(self) -> Option<Self> {
        match self {
            Self::Edge => Some(Self::Web),
            Self::Worker => Some(Self::RedisBroker),
            _ => None,
        }
    }

    /// True for a port that this service listens on; the S3 server and the sink have several.
    pub(crate) fn owns_port(self, name: &str) -> bool {
        match self {
            Self::S3 => ["s3", "master", "volume", "filer"].contains(&name.trim_end_matches("_grpc")),
            Self::Sink => name.starts_with("sink_"),
            other => other.port_name() == Some(name),
        }
    }

    /// How it is asked to stop, and how long it gets before it is killed with its whole group.
    ///
    /// PostgreSQL and PgBouncer: SIGINT is the fast shutdown. SeaweedFS drains for 15 s on SIGTERM while its data is
    /// safe without, so it is killed; nobody writes any more when its turn comes.
    pub(crate) fn farewell(self) -> (Signal, Duration) {
        match self {
            Self::Postgres => (Signal::INT, Duration::from_secs(15)),
            Self::Pgbouncer => (Signal::INT, Duration::from_secs(3)),
            Self::S3 => (Signal::KILL, Duration::from_secs(5)),
            Self::Worker => (Signal::TERM, Duration::from_secs(5)),
            Self::Web => (Signal::TERM, Duration::from_secs(6)),
            Self::RedisCache | Self::RedisBroker | Self::Sink | Self::Clouds | Self::Edge => {
                (Signal::TERM, Duration::from_secs(3))
            }
        }
    }

    /// How long it may take from its start to its first right answer.
    pub(crate) fn ready_limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::S3 => 60,
            Self::Postgres | Self::Worker | Self::Web => 40,
            _ => 20,
        })
    }
}

/// A process to start: everything that decides what it does.
pub(crate) struct Launch {
    pub service: Service,
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// Its whole environment; nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// What it reads at its start: the content is part of the fingerprint.
    reads: Vec<PathBuf>,
}

impl Launch {
    /// What to start for a service in this setup.
    pub fn of(service: Service, setup: &Setup) -> Self {
        let layout = &setup.layout;
        let conf = |name: &str| layout.conf().join(name);
        let port = |name: &str| setup.port(name);
        let setting = |name: &str| setup.effective.settings.get(name).cloned().unwrap_or_else(|| "1".to_owned());
        let text = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut env = setup.bare_env();
        let (program, arguments, reads) = match service {
            Service::Postgres => {
                let file = conf("postgresql.conf");
                (setup.tools.postgres("postgres"), text(&["-D", &path(layout.cluster())]), vec![file])
            }
            Service::RedisCache | Service::RedisBroker => {
                let (memory, policy) =
                    if service == Service::RedisCache { ("128mb", "allkeys-lru") } else { ("64mb", "noeviction") };
                let line = text(&[
                    "--port",
                    &port(service.name()).to_string(),
                    "--bind",
                    "127.0.0.1",
                    "--daemonize",
                    "no",
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                    "--maxmemory",
                    memory,
                    "--maxmemory-policy",
                    policy,
                    "--dir",
                    &path(layout.data().join(service.name())),
                ]);
                (setup.tools.redis.clone(), line, vec![])
            }
            Service::S3 => (layout.program("weed"), weed::arguments(layout, &port), vec![conf("s3.json")]),
            Service::Sink => {
                env.insert("SENTRY_AUTH_TOKEN".into(), setup.secret("sentry_token").to_owned());
                let file = conf("sink.py");
                let line = text(&[
                    &path(file.clone()),
                    "--http",
                    &port("sink_http").to_string(),
                    "--smtp",
                    &port("sink_smtp").to_string(),
                    "--statsd",
                    &port("sink_statsd").to_string(),
                ]);
                (layout.program("python"), line, vec![file])
            }
            Service::Pgbouncer => {
                let file = conf("pgbouncer.ini");
                (setup.tools.pgbouncer.clone(), vec![path(file.clone())], vec![file])
            }
            Service::Clouds => {
                env.insert("CLOUDS_TOKEN".into(), setup.secret("clouds").to_owned());
                let (file, facts) = (path(conf(clouds::PROGRAMS[0])), conf(clouds::FACTS));
                let line = text(&[&file, "--port", &port("clouds").to_string(), "--stack", &path(facts.clone())]);
                // They read all of it once, at their start.
                let mut reads = clouds::PROGRAMS.map(conf).to_vec();
                reads.extend([facts, conf("nginx.conf")]);
                (layout.program("python"), line, reads)
            }
            Service::Worker => {
                env = setup.shop_env();
                env.extend(setup.effective.worker_env.clone());
                let queues = setup.effective.settings.get("WORKER_QUEUES").filter(|names| !names.is_empty());
                if setup.library() != "celery" {
                    // Not by manage.py: what that runs goes straight to PostgreSQL.
                    let mut line = text(&["-m", "django", "work", "--workers", &setting("WORKER_CONCURRENCY")]);
                    line.extend(queues.into_iter().flat_map(|names| text(&["--queue", names])));
                    return Self {
                        service,
                        program: layout.program("python"),
                        arguments: line,
                        env,
                        reads: sources(&layout.project()),
                    };
                }
                let mut line = text(&[
                    "-A",
                    "config",
                    "worker",
                    "-P",
                    &setting("WORKER_POOL"),
                    "-c",
                    &setting("WORKER_CONCURRENCY"),
                    "--loglevel",
                    "INFO",
                    "--without-gossip",
                    "--without-mingle",
                ]);
                line.extend(queues.into_iter().flat_map(|names| text(&["-Q", names])));
                (layout.program("celery"), line, sources(&layout.project()))
            }
            Service::Web => {
                env = setup.shop_env();
                let file = layout.project().join("gunicorn.conf.py");
                let line = text(&[
                    "config.wsgi:application",
                    "-c",
                    &path(file.clone()),
                    "-b",
                    &format!("127.0.0.1:{}", port("web")),
                    "-k",
                    "gthread",
                    "-w",
                    &setting("WEB_WORKERS"),
                    "--threads",
                    &setting("WEB_THREADS"),
                    "--no-control-socket",
                ]);
                (layout.program("gunicorn"), line, sources(&layout.project()))
            }
            Service::Edge => {
                let file = conf("nginx.conf");
                let errors = path(layout.log().join("edge-error.log"));
                let line = text(&["-e", &errors, "-p", &path(layout.run()), "-c", &path(file.clone())]);
                (setup.tools.nginx.clone(), line, vec![file])
            }
        };
        Self { service, program, arguments, env, reads }
    }

    /// SHA-256 over command line, environment and configuration file: a running process with another one is out of
    /// date. (Some of that is secret, the digest is not: the secrets are 128 random bits.)
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &[u8]| {
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        };
        add(self.program.as_os_str().as_encoded_bytes());
        self.arguments.iter().for_each(|argument| add(argument.as_bytes()));
        for (name, value) in &self.env {
            add(name.as_bytes());
            add(value.as_bytes());
        }
        for path in &self.reads {
            // A file that cannot be read changes the digest too, and the service says the rest.
            add(&std::fs::read(path).unwrap_or_default());
        }
        super::assets::hex(&hash.finalize())
    }
}

/// The shop's own source files in a fixed order: who edits one and starts the stack again gets the new code.
fn sources(project: &Path) -> Vec<PathBuf> {
    let mut found = vec![project.join("manage.py"), project.join("gunicorn.conf.py")];
    // Not the whole project: rampup keeps its own files and reports beside the source.
    let mut folders = vec![project.join("config"), project.join("shop")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "py" || kind == "html") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edited_source_is_seen_and_other_files_are_not() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["shop", ".rampup"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let put = |name: &str| drop(std::fs::File::create(dir.path().join(name)).unwrap());
        ["shop/views.py", "shop/app.css", "manage.py", "rampup.toml", ".rampup/report.html"].into_iter().for_each(put);
        let expected = ["gunicorn.conf.py", "manage.py", "shop/views.py"].map(|name| dir.path().join(name));
        assert_eq!(sources(dir.path()), expected);
    }

    #[test]
    fn every_service_has_its_place_in_the_order() {
        assert_eq!(Service::TIERS.concat(), Service::ALL);
    }

    #[test]
    fn every_port_belongs_to_one_service() {
        for name in super::super::ports::NAMES {
            assert_eq!(Service::ALL.iter().filter(|service| service.owns_port(name)).count(), 1, "{name}");
        }
    }
}
