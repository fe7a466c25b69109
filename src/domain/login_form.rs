//! A login form as a browser reads it: where it goes, what its fields are called, and what goes along unseen. Django's own
//! names are `username` and `password`; shops and single sign-on packages have others.

use scraper::{ElementRef, Html, Selector};

/// What Django calls the hidden token of its forms.
pub const CSRF_FIELD: &str = "csrfmiddlewaretoken";

/// What to fill in, and what to send along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginForm {
    /// Where it is posted, as the page writes it; the page itself when absent.
    pub action: Option<String>,
    /// Name of the field for the user's name or address.
    pub username: String,
    /// Name of the field for the password.
    pub password: String,
    /// Hidden fields and the named button.
    pub rest: Vec<(String, String)>,
}

impl LoginForm {
    /// The first form of a page that asks for one password; one that asks for it twice registers somebody. A page without
    /// such a form is taken for Django's own names with whatever token it holds.
    #[must_use]
    pub fn of(page: &str) -> Self {
        let page = Html::parse_document(page);
        let forms = all(page.root_element(), "form");
        forms.into_iter().find_map(read).unwrap_or_else(|| {
            let token = all(page.root_element(), &format!("input[name='{CSRF_FIELD}']")).into_iter().next();
            let token = token.and_then(|tag| Some((CSRF_FIELD.to_owned(), tag.attr("value")?.to_owned())));
            Self {
                action: None,
                username: "username".to_owned(),
                password: "password".to_owned(),
                rest: token.into_iter().collect(),
            }
        })
    }

    /// True when the token that Django wants back is among what goes along.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.rest.iter().any(|(name, _)| name == CSRF_FIELD)
    }

    /// All fields, filled in.
    #[must_use]
    pub fn filled(&self, username: &str, password: &str) -> Vec<(String, String)> {
        let mut fields = self.rest.clone();
        fields.push((self.username.clone(), username.to_owned()));
        fields.push((self.password.clone(), password.to_owned()));
        fields
    }
}

fn read(form: ElementRef<'_>) -> Option<LoginForm> {
    let kind = |tag: &ElementRef<'_>| tag.attr("type").unwrap_or("text").to_ascii_lowercase();
    let named = |tag: &ElementRef<'_>| tag.attr("name").filter(|name| !name.is_empty()).map(str::to_owned);
    let inputs = all(form, "input");
    let mut passwords = inputs.iter().enumerate().filter(|(_, tag)| kind(tag) == "password");
    let (place, password) = passwords.next()?;
    if passwords.next().is_some() {
        return None;
    }
    let writes = |tag: &&ElementRef<'_>| matches!(kind(tag).as_str(), "text" | "email" | "tel");
    let username = inputs[..place].iter().rev().filter(writes).find_map(named)?;
    let button = |tag: &ElementRef<'_>| match tag.value().name() {
        "button" => tag.attr("type").is_none_or(|kind| kind.eq_ignore_ascii_case("submit")),
        _ => kind(tag) == "submit",
    };
    let hidden = inputs.iter().filter(|tag| kind(tag) == "hidden").copied();
    let pressed = all(form, "button, input").into_iter().find(button);
    let value = |tag: ElementRef<'_>| Some((named(&tag)?, tag.attr("value").unwrap_or_default().to_owned()));
    Some(LoginForm {
        action: form.attr("action").map(str::trim).filter(|action| !action.is_empty()).map(str::to_owned),
        username,
        password: named(password)?,
        rest: hidden.chain(pressed).filter_map(value).collect(),
    })
}

fn all<'a>(under: ElementRef<'a>, selector: &str) -> Vec<ElementRef<'a>> {
    Selector::parse(selector).map_or_else(|_| Vec::new(), |selector| under.select(&selector).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_that_asks_for_one_password_is_the_login() {
        let page = r#"
            <form action="/i18n/setlang/" method="post"><input type="hidden" name="csrfmiddlewaretoken" value="a">
              <input name="next" type="hidden" value="/in/"><button type="submit">Go</button></form>
            <form action="/register/"><input name="email"><input type="password" name="p1"><input type="password" name="p2"></form>
            <form action="/en-gb/accounts/login/"><input type="hidden" name="csrfmiddlewaretoken" value="b&amp;c">
              <input type="email" name="login-username"><INPUT TYPE="Password" name="login-password">
              <input type="hidden" name="login-redirect_url"><input type="checkbox" name="remember" value="1">
              <button type="button" name="no">Show</button><button name="login_submit" type="submit" value="Log In">Log In</button>
              <button name="other" value="x">Other</button></form>"#;
        let form = LoginForm::of(page);
        assert_eq!(form.action.as_deref(), Some("/en-gb/accounts/login/"));
        assert_eq!((form.username.as_str(), form.password.as_str()), ("login-username", "login-password"));
        let rest = [("csrfmiddlewaretoken", "b&c"), ("login-redirect_url", ""), ("login_submit", "Log In")];
        assert_eq!(form.rest, rest.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(form.has_token());
        let filled = form.filled("ann", "pw");
        assert_eq!(
            filled[3..],
            [("login-username", "ann"), ("login-password", "pw")].map(|(n, v)| (n.into(), v.into()))
        );
    }

    #[test]
    fn without_one_django_s_own_names_are_taken() {
        let plain = |rest: &[(&str, &str)]| LoginForm {
            action: None,
            username: "username".into(),
            password: "password".into(),
            rest: rest.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        };
        let token = "<input name='csrfmiddlewaretoken' value='t'>";
        assert_eq!(LoginForm::of(token), plain(&[("csrfmiddlewaretoken", "t")]));
        for page in ["", "not a page", "<form><input type=password name=p></form>", "<form><input name=q></form>"] {
            assert_eq!(LoginForm::of(page), plain(&[]), "{page}");
        }
    }
}
