//! Signing in by Django's login form, and the cookies that come of it.

use std::collections::BTreeMap;

use reqwest::Method;
use scraper::{Html, Selector};

use crate::domain::login_form::LoginForm;
use crate::domain::site::{Account, Key};

use super::{Http, ProbeError};

/// The cookies of one visitor. Not serialisable: they are as good as a password.
pub struct Session {
    cookies: BTreeMap<String, String>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session([redacted])")
    }
}

impl Session {
    /// As a `Cookie` header.
    pub(super) fn cookies(&self) -> String {
        self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("; ")
    }

    /// The form token that Django wants back, if it set one.
    #[must_use]
    pub fn csrf(&self) -> Option<&str> {
        self.cookies.get("csrftoken").map(String::as_str)
    }
}

impl Http {
    /// Visits a page as somebody who does not sign in: whatever cookies it gives, a form token among them.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn visit(&self, path: &str) -> Result<Session, ProbeError> {
        Ok(Session { cookies: self.get(path).send().await?.cookies().collect() })
    }

    /// Signs a test user in.
    ///
    /// # Errors
    /// When the form cannot be reached, has no hidden token, or does not accept the password.
    pub async fn sign_in(&self, account: &Account, password: &Key) -> Result<Session, ProbeError> {
        let refused = |why: &str| ProbeError::Refused {
            system: "the login form",
            why: format!("{why} at {} for test user {:?}", account.login, account.username),
            provide: format!(
                "check [site.account] in rampup.toml and the password in {}: a form with one password field is needed",
                password.variable
            ),
        };
        let form = self.get(&account.login).send().await?;
        let mut cookies: BTreeMap<_, _> = form.cookies().collect();
        if let Some(place) = form.header("location").filter(|_| (300..400).contains(&form.status)) {
            return Err(refused(&format!("the path redirects to {place}, so write that one; no form")));
        }
        let fields = LoginForm::of(&form.text());
        if !fields.has_token() {
            return Err(refused("no csrfmiddlewaretoken field"));
        }
        let page = form.url.clone();
        let to = fields.action.as_deref().map_or(Ok(page.clone()), |action| page.join(action));
        let to = to.ok().filter(|to| to.origin() == page.origin());
        let to = to.ok_or_else(|| refused("a form that is posted to another host"))?;
        let header = cookies.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("; ");
        let answer = self
            .ask(Method::POST, Ok(to))
            .header("referer", form.url.as_str())
            .header("cookie", header)
            .form(fields.filled(&account.username, password.secret.expose()))
            .send()
            .await?;
        cookies.extend(answer.cookies());
        // A wrong password is a 200 with the form again; only a redirect with a cookie beyond the token is a login.
        let in_form = form.cookies().map(|(n, _)| n).collect::<Vec<_>>();
        let new =
            answer.cookies().any(|(name, value)| name != "csrftoken" && !value.is_empty() && !in_form.contains(&name));
        match answer.status {
            302 | 303 if new || answer.cookies().any(|(name, _)| name.contains("session")) => Ok(Session { cookies }),
            status => Err(refused(&format!("status {status} and no session"))),
        }
    }
}

/// The form token of a page, if it has one.
#[must_use]
pub fn hidden_token(html: &str) -> Option<String> {
    let selector = Selector::parse("input[name=csrfmiddlewaretoken]").ok()?;
    Html::parse_document(html).select(&selector).next()?.attr("value").map(str::to_owned)
}
