//! When something holds: what a program asks of its surroundings, and what a deployer answers. Knows no syntax.

use std::fmt;
use std::rc::Rc;

/// Before the name of a variable that is asked for its own default.
const LEFT_OUT: &str = "default:";
/// Before the name of a variable that is asked whether it is there.
const PRESENT: &str = "present:";
/// Questions whose answers are tried one by one; where there are more, nothing is ruled out.
const TRIED: usize = 10;

/// One question to the surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// What is asked: `env:NAME`, `secret:name`, or words for what cannot be named.
    pub subject: Rc<str>,
    /// The answer asked for; none asks for any answer that counts as true.
    pub equals: Option<String>,
    /// What holds when nobody sets it, where that is known.
    pub unset: Option<bool>,
}

/// When something holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Whatever the surroundings.
    Always,
    /// In no surroundings.
    Never,
    /// When the answer is yes.
    If(Rc<Test>),
    /// When the other does not.
    Not(Rc<Condition>),
    /// When each does.
    All(Rc<[Condition]>),
    /// When one does.
    Any(Rc<[Condition]>),
}

use Condition::{All, Always, Any, If, Never, Not};

impl Condition {
    /// A question.
    pub fn test(subject: &str, equals: Option<&str>, unset: Option<bool>) -> Self {
        If(Rc::new(Test { subject: subject.into(), equals: equals.map(str::to_owned), unset }))
    }

    /// A question whose answer nobody can name.
    pub fn opaque(words: &str) -> Self {
        Self::test(words, None, None)
    }

    /// That nobody set what stands under this name, so that its default holds.
    pub fn left_out(store: &str, name: &str) -> Self {
        Self::test(&format!("{LEFT_OUT}{store}:{name}"), None, Some(true))
    }

    /// That somebody set what stands under this name, to whatever; `unset` is what counts when nobody did.
    pub fn present(store: &str, name: &str, unset: bool) -> Self {
        Self::test(&format!("{PRESENT}{store}:{name}"), None, Some(unset))
    }

    /// The one where both hold.
    pub fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Never, _) | (_, Never) => Never,
            (Always, one) | (one, Always) => one.clone(),
            (one, other) if one == other => one.clone(),
            (one, other) if *one == other.not() => Never,
            (All(parts), one) if parts.contains(one) => self.clone(),
            (All(parts), one) if parts.contains(&one.not()) => Never,
            (All(parts), one) => All(parts.iter().cloned().chain([one.clone()]).collect()),
            (one, other) => All([one.clone(), other.clone()].into()),
        }
    }

    /// The one where either holds.
    pub fn or(&self, other: &Self) -> Self {
        match (self, other) {
            (Always, _) | (_, Always) => Always,
            (Never, one) | (one, Never) => one.clone(),
            (one, other) if one == other => one.clone(),
            (one, other) if *one == other.not() => Always,
            (one, other) => Any([one.clone(), other.clone()].into()),
        }
    }

    /// The opposite.
    pub fn not(&self) -> Self {
        match self {
            Always => Never,
            Never => Always,
            Not(one) => Self::clone(one),
            one => Not(Rc::new(one.clone())),
        }
    }

    /// Does it hold as far as `ask` can answer?
    fn answered(&self, ask: &impl Fn(&Test) -> Option<bool>) -> Option<bool> {
        let each = |parts: &[Self], decisive: bool| {
            let answers: Vec<_> = parts.iter().map(|part| part.answered(ask)).collect();
            if answers.contains(&Some(decisive)) {
                return Some(decisive);
            }
            answers.iter().all(Option::is_some).then_some(!decisive)
        };
        match self {
            Always => Some(true),
            Never => Some(false),
            If(test) => ask(test),
            Not(one) => one.answered(ask).map(|answer| !answer),
            All(parts) => each(parts, false),
            Any(parts) => each(parts, true),
        }
    }

    /// Does it hold wherever the site serves people? None where a deployer may choose.
    pub fn in_production(&self) -> Option<bool> {
        self.answered(&Test::in_production)
    }

    /// Does it hold in production when nothing is set that may be left out?
    pub fn by_default(&self) -> Option<bool> {
        self.answered(&|test| test.in_production().or(test.unset))
    }

    /// Can it hold anywhere where the site serves people? True as well where it asks too much to be tried.
    pub fn is_possible(&self) -> bool {
        let mut asked: Vec<&Test> = Vec::new();
        let mut tests = Vec::new();
        self.tests(true, &mut tests);
        for (test, _) in tests {
            if test.in_production().is_none() && !asked.iter().any(|known| known.asks_the_same(test)) {
                asked.push(test);
            }
        }
        let answered = |answers: u32| {
            let chosen = |test: &Test| asked.iter().position(|known| known.asks_the_same(test));
            let ask = |test: &Test| test.in_production().or_else(|| Some((answers >> chosen(test)?) & 1 == 1));
            self.answered(&ask) != Some(false)
        };
        asked.len() > TRIED || (0..1_u32 << asked.len()).any(answered)
    }

    /// How many answers must differ from what holds when nothing is set.
    pub fn departures(&self) -> usize {
        self.differing(true)
    }

    fn differing(&self, wanted: bool) -> usize {
        let each = |parts: &[Self], all: bool| {
            let counts = parts.iter().map(|part| part.differing(wanted));
            if all { counts.sum() } else { counts.min().unwrap_or(0) }
        };
        match self {
            Always => 0,
            Never => usize::from(wanted),
            If(test) => usize::from(test.in_production().or(test.unset) != Some(wanted)),
            Not(one) => one.differing(!wanted),
            All(parts) => each(parts, wanted),
            Any(parts) => each(parts, !wanted),
        }
    }

    /// The variable that is left at its default in it, as `env:NAME`.
    pub fn overridable(&self) -> Option<String> {
        let mut tests = Vec::new();
        self.tests(true, &mut tests);
        tests.iter().find_map(|(test, _)| Some(test.subject.strip_prefix(LEFT_OUT)?.to_owned()))
    }

    /// The questions in it, with whether each is to be answered with yes.
    fn tests<'a>(&'a self, wanted: bool, found: &mut Vec<(&'a Test, bool)>) {
        match self {
            Always | Never => {}
            If(test) => found.push((test, wanted)),
            Not(one) => one.tests(!wanted, found),
            All(parts) | Any(parts) => parts.iter().for_each(|part| part.tests(wanted, found)),
        }
    }
}

impl fmt::Display for Condition {
    /// The question that a deployer has to think of: one whose answer production does not already give, if there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tests = Vec::new();
        self.tests(true, &mut tests);
        let named = |test: &Test| test.subject.contains(':') && !test.subject.contains(' ');
        let open = |(test, wanted): &&(&Test, bool)| *wanted && named(test) && test.in_production().is_none();
        let said = |(test, _): &&(&Test, bool)| named(test) && !test.subject.starts_with(PRESENT);
        let chosen = tests.iter().rev().find(open).or_else(|| tests.iter().find(said)).or(tests.first());
        let shown = |subject: &Rc<str>| subject.trim_start_matches(LEFT_OUT).trim_start_matches(PRESENT).to_owned();
        let Some((test, wanted)) = chosen else { return f.write_str("always") };
        let subject = shown(&test.subject);
        // Whoever asks for nothing asks that it is not set.
        match (test.shown(), *wanted != (test.equals.as_deref() == Some(""))) {
            (Some(value), true) => write!(f, "{subject}={value}"),
            (Some(value), false) => write!(f, "{subject}!={value}"),
            (None, true) => f.write_str(&subject),
            (None, false) => f.write_str(&test.refused(&subject)),
        }
    }
}

/// Names of switches that are off where people are served, as words between underscores.
const OFF: [&str; 7] = ["DEBUG", "DEV", "DEVELOPMENT", "DEVEL", "TESTING", "UNITTEST", "PYTEST"];
/// The same, as whole names.
const OFF_WHOLE: [&str; 8] =
    ["TEST", "TESTS", "LOCAL", "IS_LOCAL", "CI", "IS_TEST", "GITHUB_ACTIONS", "GITHUB_WORKFLOW"];
/// Words of the names of variables that say which environment it is; only there is `local` one that serves nobody, and
/// not a place for files.
const ENVIRONMENT: [&str; 6] = ["ENV", "ENVIRONMENT", "STAGE", "DEPLOY", "TARGET", "SETTINGS"];
/// Names of environments that serve people, and of those that do not.
const LIVE: [&str; 4] = ["production", "prod", "live", "prd"];
const OTHERS: [&str; 12] =
    ["dev", "development", "local", "test", "testing", "tests", "ci", "staging", "stage", "develop", "docker", "debug"];
const NO: [&str; 6] = ["false", "0", "no", "off", "", "none"];

fn is_off(name: &str) -> bool {
    let name = name.to_uppercase();
    name.split('_').any(|word| OFF.contains(&word)) || OFF_WHOLE.contains(&name.as_str())
}

fn is_on(name: &str) -> bool {
    name.to_uppercase().split('_').any(|word| matches!(word, "PRODUCTION" | "PROD"))
}

fn names_environment(name: &str) -> bool {
    name.to_uppercase().split(|c: char| !c.is_ascii_alphanumeric()).any(|word| ENVIRONMENT.contains(&word))
}

/// Answers that are told besides those of `LIVE`, `OTHERS` and `NO`. Any other may be somebody's secret, whatever its
/// variable is called.
const PLAIN: [&str; 32] = [
    "true",
    "1",
    "yes",
    "on",
    "redis",
    "rediss",
    "valkey",
    "memcached",
    "locmem",
    "memory",
    "dummy",
    "database",
    "db",
    "postgres",
    "postgresql",
    "mysql",
    "sqlite",
    "s3",
    "gcs",
    "gcloud",
    "azure",
    "minio",
    "cloudinary",
    "file",
    "filesystem",
    "whitenoise",
    "json",
    "console",
    "smtp",
    "rabbitmq",
    "sqs",
    "celery",
];

impl Test {
    /// The answer asked for, when it is a word that many projects ask for.
    fn shown(&self) -> Option<&str> {
        let common = |text: &&str| {
            let text = text.to_lowercase();
            [&LIVE[..], &OTHERS, &NO, &PLAIN].iter().any(|words| words.contains(&text.as_str()))
        };
        self.equals.as_deref().filter(|text| !text.is_empty()).filter(common)
    }

    /// What a deployer does so that the answer is no, where no word of the answer is told.
    fn refused(&self, subject: &str) -> String {
        let off = subject.rsplit(':').next().is_some_and(is_off);
        match self.equals.as_deref() {
            _ if subject.contains(' ') => format!("not {subject}"),
            _ if self.subject.starts_with(PRESENT) => format!("no {subject}"),
            _ if off => format!("{subject}=false"),
            _ if self.subject.starts_with(LEFT_OUT) => subject.to_owned(),
            // Left out, it is yes.
            None if self.unset == Some(true) => format!("{subject}=false"),
            None | Some("") => format!("no {subject}"),
            // A word that is not told: whatever else it is set to, and when it is left out.
            Some(_) => format!("{subject}!=…"),
        }
    }

    fn asks_the_same(&self, other: &Self) -> bool {
        self.subject == other.subject && self.equals == other.equals
    }

    fn in_production(&self) -> Option<bool> {
        // Where people are served, a switch is there, and off.
        if let Some((_, name)) = self.subject.strip_prefix(PRESENT).and_then(|subject| subject.split_once(':')) {
            return (is_off(name) || is_on(name)).then_some(true);
        }
        let name = self.subject.split_once(':').filter(|_| !self.subject.starts_with(LEFT_OUT))?.1;
        let asked = self.equals.as_deref().map(str::to_lowercase);
        let asks_no = asked.as_deref().is_some_and(|asked| NO.contains(&asked));
        if let Some(asked) = asked.as_deref().filter(|_| names_environment(name)) {
            let says = |words: &[&str]| words.contains(&asked);
            if says(&LIVE) || says(&OTHERS) {
                return Some(says(&LIVE));
            }
        }
        if is_on(name) { Some(!asks_no) } else { is_off(name).then_some(asks_no) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str) -> Condition {
        Condition::test(&format!("env:{name}"), None, Some(false))
    }

    fn is(name: &str, value: &str) -> Condition {
        Condition::test(&format!("env:{name}"), Some(value), Some(false))
    }

    #[test]
    fn conditions_join_as_truths_do() {
        let (a, b) = (set("A"), set("B"));
        assert_eq!(a.and(&a.not()), Never);
        assert_eq!(a.or(&a.not()), Always);
        assert_eq!(a.and(&b).and(&a.not()), Never);
        assert_eq!(a.not().not(), a);
        assert_eq!((Always.and(&a), Never.or(&a)), (a.clone(), a.clone()));
        assert_eq!((a.by_default(), a.not().by_default(), a.in_production()), (Some(false), Some(true), None));
        assert_eq!((a.and(&b).departures(), a.or(&b).departures(), a.not().departures()), (2, 1, 0));
    }

    #[test]
    fn what_cannot_hold_is_told_from_what_may() {
        let (a, b, c) = (set("A"), set("B"), set("C"));
        let either = a.or(&a.not().and(&b)).or(&a.not().and(&b.not()).and(&c));
        for (when, possible) in [
            (Always, true),
            (Never, false),
            (a.and(&b), true),
            (either.not(), true),
            (a.or(&a.not().and(&b)).or(&a.not().and(&b.not())).not(), false),
            (either.and(&a.not()).and(&b.not()).and(&c.not()), false),
            // Production has answered.
            (set("DEBUG"), false),
            (set("DEBUG").not(), true),
            (is("DJANGO_ENV", "dev").and(&a), false),
        ] {
            assert_eq!(when.is_possible(), possible, "{when:?}");
        }
        let many = (0..40).fold(Always, |all, n| all.and(&set(&format!("V{n}"))));
        assert!(many.is_possible() && many.not().is_possible());
    }

    #[test]
    fn production_answers_what_its_name_says() {
        for (when, answer) in [
            (set("DEBUG"), Some(false)),
            (set("DJANGO_DEBUG").not(), Some(true)),
            (is("DEBUG", "False"), Some(true)),
            (Condition::present("env", "DEBUG", false), Some(true)),
            (set("IS_PRODUCTION"), Some(true)),
            (is("DJANGO_ENV", "production"), Some(true)),
            (is("DJANGO_ENV", "dev").not(), Some(true)),
            (is("DEPLOY_TARGET", "local"), Some(false)),
            (is("RAILWAY_ENVIRONMENT_NAME", "production"), Some(true)),
            (is("STORAGE_BACKEND", "local"), None),
            (is("STORAGE_BACKEND", "local").not(), None),
            (is("ENVIED", "test"), None),
            (set("REDIS_URL"), None),
            (Condition::left_out("env", "DEBUG_CACHE"), None),
        ] {
            assert_eq!(when.in_production(), answer, "{when:?}");
        }
    }

    #[test]
    fn a_switch_is_told_and_a_secret_is_not() {
        for (when, told) in [
            (Always, "always"),
            (set("A"), "env:A"),
            (set("A").not(), "no env:A"),
            (set("A").and(&set("DEBUG").not()), "env:A"),
            (set("DEBUG").not(), "env:DEBUG=false"),
            (is("A", "redis"), "env:A=redis"),
            (is("A", "S3").not(), "env:A!=S3"),
            (is("API_KEY", "hunter"), "env:API_KEY"),
            (is("ADMIN_PIN", "493817"), "env:ADMIN_PIN"),
            (is("PEPPER", "hunter2"), "env:PEPPER"),
            (is("A", "redis://:hunter@h"), "env:A"),
            (is("A", "hunter2").not(), "env:A!=…"),
            (is("DEBUG", "hunter2").not(), "env:DEBUG=false"),
            (is("A", ""), "no env:A"),
            (is("A", "").not(), "env:A"),
            (set("B").and(&is("A", "hunter2").not()), "env:B"),
            (Condition::test("env:A", None, Some(true)).not(), "env:A=false"),
            (Condition::present("env", "A", false).not(), "no env:A"),
            (Condition::left_out("env", "A"), "env:A"),
            (Condition::left_out("env", "A").not(), "env:A"),
            (Condition::left_out("env", "DEBUG").not(), "env:DEBUG=false"),
            (Condition::opaque("what a.py:3 gives"), "what a.py:3 gives"),
            (Condition::opaque("what a.py:3 gives").not(), "not what a.py:3 gives"),
        ] {
            assert_eq!(when.to_string(), told, "{when:?}");
        }
    }
}
