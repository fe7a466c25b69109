//! Work that is done beside requests, and requests that are turned away.

use std::sync::LazyLock;

use regex::Regex;

use super::{Fact, Project, switched};
use crate::django::condition::Condition;
use crate::django::deploy::Command;
use crate::django::value::{Guarded, Kind, V};

#[expect(clippy::expect_used, reason = "a constant pattern")]
static WORKER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"celery\b.*\bworker\b|\brq\s?worker|rqworker|huey_consumer|run_huey|\bdramatiq\b|rundramatiq|qcluster|process_tasks|db_worker|procrastinate.*worker|\barq\b\s+\w")
        .expect("a pattern")
});
#[expect(clippy::expect_used, reason = "a constant pattern")]
static DAEMON: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\s*(?:\S*python\S*\s+)?\S*manage\.py\s+(\w+)").expect("a pattern"));

/// Other task queues, by application or package.
const OTHERS: [&str; 9] = [
    "django_q",
    "huey.contrib.djhuey",
    "django_dramatiq",
    "background_task",
    "procrastinate.contrib.django",
    "django_tasks",
    "task_processor",
    "post_office",
    "django_db_queue",
];

pub(super) fn queue(project: &mut Project<'_>) -> Fact {
    let eager = told(project, &["CELERY_TASK_ALWAYS_EAGER", "CELERY_ALWAYS_EAGER"], "task_always_eager");
    let forced = |way: &Guarded| way.value.kind == Kind::Bool(true) && way.when.by_default() == Some(true);
    if let Some(way) = eager.iter().flat_map(|(_, value)| value.ways()).find(forced) {
        return Fact::new("celery-eager").at(&way.value.place);
    }
    let setting = [
        "CELERY_BROKER_URL",
        "BROKER_URL",
        "CELERY_BROKER",
        "CELERY_BROKER_TRANSPORT_OPTIONS",
        "CELERY_RESULT_BACKEND",
    ];
    if let Some(value) = setting.iter().find_map(|name| project.setting(name)) {
        return Fact::new("celery").at(&value.place);
    }
    if let Some(mention) =
        project.mentions.iter().find(|mention| mention.callee == "Celery" || mention.callee == "celery.Celery")
    {
        return Fact::new("celery").at(&mention.place);
    }
    if let Some((_, _, place)) = project.item("INSTALLED_APPS", |app| app == "django_rq") {
        return Fact::new("rq").at(&place);
    }
    if let Some(value) = project.setting("RQ_QUEUES") {
        return Fact::new("rq").at(&value.place);
    }
    if let Some((name, _, place)) =
        project.item("INSTALLED_APPS", |app| OTHERS.iter().any(|other| app.starts_with(other)))
    {
        return Fact::new("custom").at(&place).detail(&name);
    }
    match daemon(project) {
        Some((name, command)) => Fact::new("custom").at(&command.place).detail(&name),
        None => project.or_gap("none"),
    }
}

/// A management command that a process file keeps running beside the web server.
fn daemon<'p>(project: &'p Project<'_>) -> Option<(String, &'p Command)> {
    let once = [
        "migrate",
        "collectstatic",
        "compress",
        "runserver",
        "createsuperuser",
        "check",
        "shell",
        "loaddata",
        "compilemessages",
        "createcachetable",
        "makemigrations",
        "clearsessions",
        "test",
        "flush",
    ];
    let kept = project.deploy.commands.iter().filter(|command| !command.aside && matches!(command.rank, 0 | 3));
    let named = kept.filter_map(|command| Some((DAEMON.captures(&command.text)?[1].to_owned(), command)));
    named.into_iter().find(|(name, command)| !once.contains(&name.as_str()) && !command.text.contains("&&"))
}

/// What Celery is told by settings of these names, and elsewhere by its own name.
fn told(project: &mut Project<'_>, settings: &[&'static str], own: &'static str) -> Vec<(&'static str, V)> {
    let settings = settings.iter().filter_map(|name| Some((*name, project.setting(name)?)));
    let mut told: Vec<_> = settings.collect();
    told.extend(project.celery(own).map(|value| (own, value)));
    told
}

pub(super) fn acks_late(project: &mut Project<'_>) -> Fact {
    let settings = ["CELERY_TASK_ACKS_LATE", "CELERY_ACKS_LATE", "CELERYD_ACKS_LATE"];
    for (name, value) in told(project, &settings, "task_acks_late") {
        if let Some(way) = switched(&Guarded::always(value.clone())) {
            return Fact::new("yes").at(&way.value.place).when(&way.when);
        }
        let left = project.absent_in(value.ways(), name, &[], "no");
        if left.is_unknown() {
            return left;
        }
    }
    match queue(project).value.as_str() {
        "celery" | "celery-eager" => {}
        "unknown" => return project.or_gap("na"),
        _ => return Fact::new("na"),
    }
    let given = |name: &str| project.mentions.iter().find(|mention| mention.given(name) == Some("True"));
    if let Some(mention) = given("task_acks_late") {
        return Fact::new("yes").at(&mention.place).when(&Condition::Always);
    }
    match given("acks_late") {
        Some(mention) => Fact::new("yes").at(&mention.place).when(&Condition::Always).detail("partial"),
        None => project.or_lost("no"),
    }
}

pub(super) fn worker(project: &mut Project<'_>) -> Fact {
    let starts = |command: &&Command| WORKER.is_match(&command.text) && !command.text.contains("install");
    let commands = &project.deploy.commands;
    if let Some(command) = commands.iter().filter(|command| !command.aside).find(starts) {
        return Fact::new("yes").at(&command.place).when(&Condition::Always);
    }
    if let Some(command) = commands.iter().find(starts) {
        return Fact::new("dev-only").at(&command.place);
    }
    if let Some((name, command)) = daemon(project) {
        return Fact::new("yes").at(&command.place).when(&Condition::Always).detail(&name);
    }
    match queue(project) {
        queue if queue.is_unknown() => queue,
        queue => Fact::new(if queue.value == "none" { "na" } else { "no" }),
    }
}

pub(super) fn throttling(project: &mut Project<'_>) -> Fact {
    let throttles = project.nested("REST_FRAMEWORK", &["DEFAULT_THROTTLE_CLASSES"]);
    let named = |class: &Guarded| matches!(class.value.kind, Kind::Text(_) | Kind::Named(_) | Kind::Class(_));
    if let Some(way) = throttles.iter().find(|way| way.value.items().iter().any(named)) {
        return Fact::new("drf").at(&way.value.place).when(&way.when);
    }
    if let Some(mention) = project.mentions.iter().find(|mention| mention.callee.contains("ratelimit")) {
        return Fact::new("django-ratelimit").at(&mention.place).when(&Condition::Always);
    }
    let guards = [("axes", "axes"), ("defender", "defender"), ("ratelimit", "django-ratelimit"), ("throttl", "custom")];
    for (word, name) in guards {
        let seen = project.item("MIDDLEWARE", |one| one.to_lowercase().contains(word));
        let seen = seen.or_else(|| project.item("INSTALLED_APPS", |app| app.split('.').next() == Some(word)));
        if let Some((_, when, place)) = seen {
            return Fact::new(name).at(&place).when(&when);
        }
    }
    let subclass = project.mentions.iter().find(|mention| {
        let name = mention.name();
        mention.named.is_empty()
            && mention.texts.is_empty()
            && mention.first.is_none()
            && name.ends_with("RateThrottle")
    });
    if let Some(mention) = subclass {
        return Fact::new("drf").at(&mention.place).detail("on some views");
    }
    let unknown = project.absent("REST_FRAMEWORK", &["DEFAULT_THROTTLE_CLASSES"], "none");
    if unknown.is_unknown() { unknown } else { project.absent("MIDDLEWARE", &[], "none") }
}
