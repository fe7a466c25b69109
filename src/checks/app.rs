//! The app's own bearing: does it run as it should in production, or does it still show its insides? Is what it writes found?

mod log_line;

use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::http::answer::Answer;

use super::{Check, Context, Entry};

/// The checks of this group.
pub const CHECKS: &[Entry] = &[Entry::of::<DebugOff>(), Entry::of::<log_line::LogLine>()];

/// `app.debug-off`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DebugOff {
    /// Public pages that are looked at.
    pages: usize,
}

impl Default for DebugOff {
    fn default() -> Self {
        Self { pages: 3 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    /// The address that nobody has.
    address: String,
    /// How it answers when it is asked for.
    asked: Insides,
    /// How it answers to an empty form without a token.
    posted: Insides,
    /// Public pages that show something of the kind.
    pages: Vec<Insides>,
}

/// What an answer shows of the app's insides.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Insides {
    path: String,
    status: u16,
    /// Django's own words that DEBUG is on.
    debug: bool,
    /// Django's page about a form without a token.
    csrf_page: bool,
    /// The debug toolbar.
    toolbar: bool,
    /// Made by `manage.py runserver`.
    development_server: bool,
    location: Option<String>,
}

impl Insides {
    fn of(answer: &Answer) -> Self {
        let trail = answer.trail();
        let text = answer.text();
        Self {
            path: trail.path,
            status: answer.status,
            debug: says_debug(&text),
            csrf_page: text.contains("CSRF"),
            toolbar: text.contains("id=\"djDebug\""),
            development_server: answer.header("server").is_some_and(|server| server.starts_with("WSGIServer/")),
            location: trail.location,
        }
    }
}

/// Django's technical pages (404, 500, and the help on the CSRF page) all say this sentence, in English whatever the
/// site's language. The plain CSRF page says `DEBUG=True`, without the blanks, and only that more would be told then.
fn says_debug(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ").replace("<code>", "").replace("</code>", "");
    text.contains("because you have DEBUG = True in your Django settings file")
}

impl Check for DebugOff {
    const ID: &'static str = "app.debug-off";
    const TITLE: &'static str = "strangers see no debug page: DEBUG is off where the app runs";
    const ABOUT: &'static str = "Asks for an address that nobody has and sends it an empty form without a token: with DEBUG on, Django \
        answers at least one of them with a page that names itself. Also looks at public pages for the debug toolbar and at the \
        server's name for runserver. Traps: a 404 page of one's own (Django ignores it while DEBUG is on; a view that catches every \
        address does not, hence the form), and the plain CSRF page, which speaks of DEBUG=True although it is off.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &[
        "https://docs.djangoproject.com/en/5.2/ref/settings/#debug",
        "https://docs.djangoproject.com/en/5.2/howto/deployment/checklist/#debug",
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let (probes, http) = (ctx.probes, &ctx.probes.http);
        // Beside the health page: routers that send part of the site elsewhere send this to the app as well.
        let nobody = format!("{}-{}", probes.site.health.trim_end_matches('/'), &probes.nonce()[..12]);
        let mut asked = http.get_origin(&nobody).header("accept", "text/html").send().await?;
        if let Some(page) = asked.slashed() {
            asked = http.ask(Method::GET, Ok(page)).header("accept", "text/html").send().await?;
        }
        let form = http.ask(Method::POST, Ok(asked.url.clone())).header("accept", "text/html").form(Vec::new());
        let posted = form.send().await?;
        let mut pages = Vec::new();
        for page in probes.site.public_pages.iter().take(self.pages) {
            let answer = http.get_origin(page).nonce(&probes.nonce()).header("accept", "text/html").send().await?;
            pages.push(Insides::of(&answer));
        }
        Ok(Facts { address: asked.url.to_string(), asked: Insides::of(&asked), posted: Insides::of(&posted), pages })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let Facts { address, asked, posted, .. } = facts;
        let every = || [asked, posted].into_iter().chain(&facts.pages);
        let mut findings = Vec::new();
        if let Some(shown) = every().find(|insides| insides.debug) {
            findings.push(Finding {
                seen: format!("{} answers {} with Django's debug page, which shows code and settings to anyone", shown.path, shown.status),
                todo: format!(
                    "set DEBUG = False where the app runs (read it from the environment, and let it be off when the variable is missing), \
                     name your host in ALLOWED_HOSTS and deploy; see it with: curl -s {address} | grep 'DEBUG = True'"
                ),
            });
        }
        if let Some(shown) = every().find(|insides| insides.toolbar) {
            findings.push(Finding {
                seen: format!("{} carries the Django debug toolbar", shown.path),
                todo: "take debug_toolbar out of INSTALLED_APPS and MIDDLEWARE of the production settings".to_owned(),
            });
        }
        if let Some(shown) = every().find(|insides| insides.development_server) {
            findings.push(Finding {
                seen: format!("{} is served by manage.py runserver (its Server header says WSGIServer)", shown.path),
                todo: "start the app with gunicorn: gunicorn config.wsgi --workers 3 --threads 4".to_owned(),
            });
        }
        if !findings.is_empty() {
            return CheckOutcome::Fail(findings);
        }
        // Django's plain page about the missing token: the app itself answered, and its DEBUG is off.
        let plain_csrf_page = posted.status == 403 && posted.csrf_page;
        if plain_csrf_page || matches!(asked.status, 404 | 410) {
            return CheckOutcome::Pass;
        }
        let todo = match asked.status {
            400 => "add the host of [site] url or origin to ALLOWED_HOSTS, then verify again",
            200 => {
                "let addresses that do not exist answer 404 in the app, or name a health path of the app itself in rampup.toml: [site] health"
            }
            _ => "name the app's own address in rampup.toml: [site] origin",
        };
        let to = asked.location.as_ref().map_or_else(String::new, |to| format!(" (to {to})"));
        CheckOutcome::Unknown(Missing::new(
            format!(
                "an address that does not exist answers {}{to} instead of 404, so the app's error page was not seen",
                asked.status
            ),
            todo,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::http::tests::{answer, server};

    fn insides(status: u16) -> Insides {
        Insides { path: "/healthz-x".to_owned(), status, ..Insides::default() }
    }

    fn facts(asked: Insides, posted: Insides) -> Facts {
        Facts { address: "https://shop.test/healthz-x".to_owned(), asked, posted, pages: vec![insides(200)] }
    }

    #[test]
    fn debug_traps() {
        let check = DebugOff::default();
        let plain = |status| Insides { csrf_page: true, ..insides(status) };
        let debug = |status| Insides { debug: true, csrf_page: true, ..insides(status) };
        for (case, word, asked, posted) in [
            ("Django's plain 404", "pass", insides(404), insides(404)),
            ("a view that catches every address, with a 404 page of its own", "pass", insides(404), plain(403)),
            ("a single-page app that answers 200 for any address", "pass", insides(200), plain(403)),
            ("everything redirects to the login page", "pass", insides(302), plain(403)),
            ("Django's technical 404", "fail", debug(404), debug(404)),
            ("the 404 page of one's own hides it, the CSRF page does not", "fail", insides(404), debug(403)),
            ("an error page that is one itself", "fail", debug(500), insides(500)),
            ("the host is not allowed", "unknown", insides(400), insides(400)),
            ("200 for anything, and forms need no token", "unknown", insides(200), insides(200)),
            ("another server redirects", "unknown", insides(301), insides(301)),
            ("an edge refuses", "unknown", insides(403), insides(403)),
            ("the app is down", "unknown", insides(502), insides(502)),
        ] {
            assert_eq!(check.judge(&facts(asked, posted)).word(), word, "{case}");
        }
        let mut toolbar = facts(insides(404), insides(404));
        toolbar.pages[0].toolbar = true;
        assert_eq!(check.judge(&toolbar).word(), "fail");
        let runserver = facts(Insides { development_server: true, ..insides(404) }, insides(404));
        assert_eq!(check.judge(&runserver).word(), "fail");
    }

    #[tokio::test]
    async fn an_address_that_only_lacks_its_slash_is_asked_with_it() {
        let slash = |headers| answer("301 Moved Permanently", headers, "");
        let lost = answer(
            "404 Not Found",
            "",
            "<p>because you have <code>DEBUG = True</code> in your Django settings file</p>",
        );
        let (http, asked) = server(&[slash("Location: /healthz-x/\r\n"), lost]).await;
        let first = http.get("/healthz-x").send().await.unwrap();
        let page = http.ask(Method::GET, Ok(first.slashed().unwrap())).send().await.unwrap();
        assert!(says_debug(&page.text()) && asked.lock().unwrap()[1].starts_with("GET /healthz-x/ "));
        for elsewhere in ["Location: /login/?next=/healthz-x\r\n", "Location: https://other.test/a/\r\n", ""] {
            let (http, _) = server(&[slash(elsewhere)]).await;
            assert!(http.get("/a").send().await.unwrap().slashed().is_none(), "{elsewhere}");
        }
    }

    #[test]
    fn djangos_sentence_is_known_and_its_plain_csrf_page_is_not_it() {
        for text in [
            // Django 5.2: technical_404.html, technical_500.txt, csrf_403.html with its help.
            "<p>\n      You’re seeing this error because you have <code>DEBUG = True</code> in\n      your Django settings file. Change that",
            "You’re seeing this error because you have DEBUG = True in your\nDjango settings file.",
            "You’re seeing the help section of this page because you have <code>DEBUG =\n  True</code> in your Django settings file.",
        ] {
            assert!(says_debug(text), "{text}");
        }
        for text in ["CSRF verification failed. More information is available with DEBUG=True.", "Not Found", ""] {
            assert!(!says_debug(text), "{text}");
        }
    }
}
