//! Do the workers run apart from the web processes, so that each can be given what it needs?

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checks::clouds::Api;
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::railway::{Deployment, Service, written};
use crate::probes::{ProbeError, Probes};

/// Celery's heartbeats come every two seconds.
const LISTEN: Duration = Duration::from_millis(4500);
/// Words that start a worker by themselves.
const WORKERS: [&str; 10] = [
    "rqworker",
    "rqworker-pool",
    "run_huey",
    "huey_consumer",
    "huey_consumer.py",
    "dramatiq",
    "rundramatiq",
    "qcluster",
    "db_worker",
    "arq",
];
/// Programs for several things, of which a worker is one: there the word is wanted, too.
const KNOW_WORKERS: [&str; 5] = ["celery", "rq", "procrastinate", "taskiq", "saq"];
/// Programs that serve the web.
const SERVERS: [&str; 7] = ["gunicorn", "uvicorn", "daphne", "hypercorn", "granian", "uwsgi", "waitress-serve"];
/// Programs that start all lines of a Procfile in one container, or those that are named behind `start`.
const STARTERS: [&str; 4] = ["honcho", "foreman", "overmind", "hivemind"];
/// Parts of the names of stores' images and of their programs: neither web nor worker.
const STORES: [&str; 9] =
    ["postgres", "redis", "valkey", "pgbouncer", "mysql", "mariadb", "rabbitmq", "minio", "docker-entrypoint.sh"];

/// `jobs.own-service`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OwnService {
    /// More words by which a command is known to start a worker.
    workers: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    /// Workers that showed a sign of life on the broker; why not, where it could not be asked; none when nobody asked.
    alive: Option<Result<u64, Missing>>,
    api: Api<Services>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Services {
    /// What runs the app.
    web: Process,
    /// Everything else in the environment.
    others: Vec<Process>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Process {
    name: String,
    runs: Runs,
    sleeps: bool,
    /// Instances of it that run.
    up: usize,
}

/// What a start command starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Runs {
    Web,
    Worker,
    /// Both, in one container.
    Both,
    /// A database, a broker, a pooler.
    Store,
    /// A railway.toml, a Dockerfile, a Procfile or a script says it.
    Untold,
}

impl OwnService {
    fn runs(&self, command: Option<&str>) -> Runs {
        let words: Vec<&str> = command
            .unwrap_or_default()
            .split(|c: char| c.is_whitespace() || "&|;,\"'()".contains(c))
            .filter(|word| !word.is_empty())
            .collect();
        // A program's own name, without its folder.
        let names: Vec<&str> = words.iter().filter_map(|word| word.rsplit('/').next()).collect();
        let has = |word: &str| names.contains(&word);
        if let Some(at) = names.iter().position(|name| STARTERS.contains(name)) {
            let lines: Vec<&&str> = names[at..].iter().skip_while(|word| **word != "start").skip(1).collect();
            let lines: Vec<&&str> = lines.into_iter().filter(|line| !line.starts_with('-')).collect();
            let worker = lines.iter().any(|line| line.contains("worker"));
            return match (lines.iter().any(|line| **line == "web"), worker) {
                _ if lines.is_empty() => Runs::Both,
                (true, true) => Runs::Both,
                (true, false) => Runs::Web,
                (false, true) => Runs::Worker,
                (false, false) => Runs::Untold,
            };
        }
        let script = |name: &&str| {
            name.contains("worker") && (name.ends_with(".sh") || (words[0].ends_with(*name) && !name.contains('.')))
        };
        // "manage.py work" is what projects call their own.
        let own = |two: &[&str]| matches!(two[0], "manage.py" | "django" | "django-admin") && two[1] == "work";
        let worker = WORKERS.iter().any(|word| has(word))
            || has("worker") && KNOW_WORKERS.iter().any(|word| has(word))
            || self.workers.iter().any(|word| has(word))
            || names.iter().any(script)
            || names.windows(2).any(own);
        match (SERVERS.iter().any(|word| has(word)), worker) {
            (true, true) => Runs::Both,
            (true, false) => Runs::Web,
            (false, true) => Runs::Worker,
            (false, false) if names.iter().any(|name| is_store(name)) => Runs::Store,
            (false, false) => Runs::Untold,
        }
    }

    async fn services(&self, probes: &Probes) -> Result<Services, ProbeError> {
        let named = &probes.railway_site()?.service;
        let railway = probes.railway().await?;
        let process = |service: Service| Process {
            runs: match service.source.and_then(|source| source.image) {
                Some(image) if is_store(&image) => Runs::Store,
                _ => self.runs(service.start_command.as_deref()),
            },
            sleeps: service.sleeps == Some(true),
            up: service.active.iter().map(Deployment::running).sum(),
            name: service.name,
        };
        // Says by name what is there when the app's own is not among them.
        let mut web = railway.service().await?;
        // What stands in a file goes before the settings.
        let file = probes.project.as_deref().map(written).unwrap_or_default();
        web.start_command = file.start_command.or(web.start_command);
        let others = railway.services().await?.into_iter().filter(|service| service.name != *named).map(process);
        Ok(Services { others: others.collect(), web: process(web) })
    }
}

fn is_store(name: &str) -> bool {
    STORES.iter().any(|store| name.contains(store))
}

impl Check for OwnService {
    const ID: &'static str = "jobs.own-service";
    const TITLE: &'static str = "the workers run as a service of their own, apart from the web processes";
    const ABOUT: &'static str = "Reads what each service in the app's environment at Railway starts, and listens for workers on the broker: there \
        must be a service that starts workers and no web, the app's own must not start them beside its web processes, and somebody must \
        be alive on the broker. Traps: honcho or a shell line that starts both in one container (they share its CPU and memory, and \
        neither can be scaled alone); a worker's service that sleeps or has crashed; a start command that stands in a railway.toml, \
        Procfile, Dockerfile or script and cannot be read here. Needs [site.railway].";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] =
        &["https://docs.railway.com/guides/django", "https://docs.celeryq.dev/en/stable/userguide/workers.html"];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        if probes.site.railway.is_none() {
            return Ok(Facts { alive: None, api: Api::NotNamed });
        }
        let alive = async {
            let workers = probes.broker().await?.workers(LISTEN).await?;
            // With --without-heartbeat a worker answers, and is not heard otherwise.
            Ok::<_, ProbeError>((workers.heard.len() as u64).max(workers.consumed.len() as u64 + workers.silent))
        };
        let (alive, api) = tokio::join!(alive, Api::ask(true, self.services(probes)));
        Ok(Facts { alive: Some(alive.map_err(Missing::from)), api })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let effect = match &facts.alive {
            Some(Ok(count)) => format!("{count} workers are alive on the broker"),
            Some(Err(missing)) => missing.what.clone(),
            None => "whether workers are alive on the broker".to_owned(),
        };
        let Services { web, others } = match facts.api.said("railway", &effect) {
            Ok(services) => services,
            Err(other) => return other,
        };
        let start = "make a second service of the same repository whose start command is the worker's (celery -A yourproject worker), \
                     without a domain and without a health check";
        if web.runs == Runs::Both {
            return CheckOutcome::fail(
                format!("service {} starts web processes and workers in one container", web.name),
                format!("{start}; and leave only the web server in {}", web.name),
            );
        }
        let workers: Vec<&Process> = others.iter().filter(|other| other.runs == Runs::Worker).collect();
        if let Some(asleep) = workers.iter().find(|worker| worker.sleeps) {
            return CheckOutcome::fail(
                format!(
                    "service {} runs workers and sleeps when nobody visits it, and nobody ever visits a worker",
                    asleep.name
                ),
                format!("switch Serverless (sleeping) off in Railway: service {}, Settings", asleep.name),
            );
        }
        if workers.is_empty() {
            let mut untold: Vec<&str> =
                others.iter().filter(|other| other.runs == Runs::Untold).map(|other| other.name.as_str()).collect();
            if web.runs == Runs::Untold {
                untold.insert(0, &web.name);
            }
            if untold.is_empty() {
                return CheckOutcome::fail(format!("{effect}, and no service at Railway starts one"), start);
            }
            return CheckOutcome::Unknown(Missing::new(
                format!(
                    "one half is missing: {effect}; what starts in {} is not in its settings at Railway",
                    untold.join(", ")
                ),
                "write the worker's start command into its service at Railway (Settings, Deploy, Custom Start Command); or, where it is a \
                 program of your own, name a word of it in the playbook: { check = \"jobs.own-service\", workers = [\"crunch\"] }",
            ));
        }
        let names: Vec<&str> = workers.iter().map(|worker| worker.name.as_str()).collect();
        if workers.iter().all(|worker| worker.up == 0) {
            return CheckOutcome::fail(
                format!("{effect}, and no instance of service {} runs", names.join(", ")),
                "read its deploy log at Railway, mend it and deploy it; whoever is alive meanwhile runs elsewhere",
            );
        }
        match &facts.alive {
            Some(Ok(1..)) => CheckOutcome::Pass,
            Some(Err(missing)) => CheckOutcome::Unknown(Missing::new(
                format!("one half is missing: service {} starts workers, but {}", names.join(", "), missing.what),
                missing.provide.clone(),
            )),
            Some(Ok(0)) | None => CheckOutcome::fail(
                format!("service {} starts workers, and none is alive on the broker", names.join(", ")),
                "compare its broker address and database number with the app's (jobs.worker-alive looks for them), and read its log",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_starts() {
        for (command, runs) in [
            ("gunicorn config.wsgi --workers 3 --worker-class gthread", Runs::Web),
            ("python manage.py migrate && gunicorn shop.wsgi -k uvicorn.workers.UvicornWorker", Runs::Web),
            ("celery -A shop worker -l INFO", Runs::Worker),
            ("/app/.venv/bin/celery -A shop worker -B", Runs::Worker),
            ("celery -A shop beat", Runs::Untold),
            ("python manage.py rqworker default", Runs::Worker),
            ("rq worker high default", Runs::Worker),
            ("python manage.py run_huey -w 4", Runs::Worker),
            ("bash -c 'celery -A shop worker & gunicorn shop.wsgi'", Runs::Both),
            ("honcho start", Runs::Both),
            ("honcho -f Procfile.prod start", Runs::Both),
            ("honcho start web", Runs::Web),
            ("honcho start web worker", Runs::Both),
            ("honcho start worker", Runs::Worker),
            ("docker-entrypoint.sh postgres", Runs::Store),
            ("redis-server --requirepass x", Runs::Store),
            ("/start-celeryworker", Runs::Worker),
            ("bash scripts/worker.sh", Runs::Worker),
            ("taskiq worker shop.broker:broker", Runs::Worker),
            ("python -m django work --workers 2", Runs::Worker),
            ("cd /work && gunicorn shop.wsgi", Runs::Web),
            ("supervisord -c /etc/supervisord.conf", Runs::Untold),
            ("overmind start -l web,worker", Runs::Both),
            ("./start.sh", Runs::Untold),
            ("", Runs::Untold),
        ] {
            assert_eq!(OwnService::default().runs(Some(command)), runs, "{command}");
        }
        assert_eq!(OwnService::default().runs(None), Runs::Untold);
        let named = OwnService { workers: vec!["crunch".to_owned()] };
        assert_eq!(named.runs(Some("python manage.py crunch")), Runs::Worker);
    }

    #[test]
    fn a_service_and_somebody_alive_are_both_wanted() {
        let process = |name: &str, runs| Process { name: name.to_owned(), runs, sleeps: false, up: 1 };
        let services = |web, others: &[(&str, Runs)]| {
            let others = others.iter().map(|(name, runs)| process(name, *runs)).collect();
            Api::Said(Services { web: process("web", web), others })
        };
        let missing = || Missing::new("the broker did not answer", "its address");
        let asleep = Services {
            web: process("web", Runs::Web),
            others: vec![Process { sleeps: true, ..process("worker", Runs::Worker) }],
        };
        let crashed = Services {
            web: process("web", Runs::Untold),
            others: vec![Process { up: 0, ..process("worker", Runs::Worker) }],
        };
        let worker = [("worker", Runs::Worker), ("Postgres", Runs::Untold)];
        for (word, alive, api) in [
            ("pass", Ok(2), services(Runs::Web, &worker)),
            // How the web starts is not told; the worker's own service is there.
            ("pass", Ok(2), services(Runs::Untold, &worker)),
            ("fail", Ok(2), services(Runs::Both, &worker)),
            ("fail", Ok(2), Api::Said(asleep)),
            // Whoever is alive runs elsewhere.
            ("fail", Ok(2), Api::Said(crashed)),
            ("fail", Ok(2), services(Runs::Web, &[("redis", Runs::Store)])),
            ("fail", Ok(0), services(Runs::Web, &worker)),
            ("unknown", Ok(2), services(Runs::Web, &[("jobs", Runs::Untold)])),
            ("unknown", Err(missing()), services(Runs::Web, &worker)),
            ("unknown", Ok(2), Api::Silent(missing())),
            ("n/a", Ok(2), Api::NotNamed),
        ] {
            let facts = Facts { alive: Some(alive), api };
            assert_eq!(OwnService::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
