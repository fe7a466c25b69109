//! What users do: sessions, tokens, values carried from step to step.

use std::collections::HashSet;
use std::sync::Arc;

use super::server::{Asked, Reply, Server};
use super::{mix, ms, order, passwords, turn};
use crate::load::{Driver, GooseDriver, walk_once};

const SHOP: &str = "
[[flow]]
name = 'buy'
login = { path = '/accounts/login/', username = 'user{{user}}', password_env = 'PASSWORD' }
step = [
  { get = '/products', name = 'list', extract = { product = { css = { select = 'a.product', attribute = 'href' } } } },
  { get = '{{product}}', name = 'product', expect_text = 'Tea' },
  { post = '/cart', csrf = true, form = { 'product' = '{{product}}', 'note_{{product}}' = 'red' }, extract = { cart = { json = '/cart/id' } }, at_once = true },
  { post = '/photo', name = 'photo', csrf = true, form = { cart = '{{cart}}' }, upload = { field = 'file', bytes = 5000, content_type = 'image/jpeg' }, expect = [201] },
]";

/// A shop behind Django's login and token checks, as far as a client can tell.
fn shop(asked: &Asked) -> Reply {
    let cookie = asked.header("cookie");
    let signed_in = cookie.contains("sessionid=");
    // Django compares what the form or the header says with the cookie.
    let token_fits = |token: &str| cookie.contains(&format!("csrftoken={token}"));
    let referred = asked.header("referer").starts_with("http://127.0.0.1:");
    match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/accounts/login/") => {
            let token = "<input type='hidden' name='csrfmiddlewaretoken' value='first'>";
            let fields = "<input type='email' name='login-username'><input type='password' name='login-password'>";
            let page = format!(
                "<form action='/language/'>{token}<input name='next'></form><form action='?next=/'>{token}{fields}\
                 <button name='login_submit' value='Log In'>Log In</button></form>"
            );
            Reply::new(200, &page).header("set-cookie", "csrftoken=first; Path=/")
        }
        ("POST", "/accounts/login/") => {
            let sent = ["login-username=user", "login-password=open+sesame", "login_submit=Log+In"];
            let right = sent.iter().all(|field| asked.body.contains(field)) && !asked.body.contains("next=");
            if !(token_fits("first") && asked.body.contains("csrfmiddlewaretoken=first") && referred) {
                Reply::new(403, "CSRF verification failed").header("x-frame-options", "DENY")
            } else if right {
                Reply::new(302, "")
                    .header("location", "/")
                    .header("set-cookie", "sessionid=s; Path=/; HttpOnly")
                    .header("set-cookie", "csrftoken=second; Path=/")
            } else {
                Reply::new(200, "please try again")
            }
        }
        _ if !signed_in => Reply::new(401, "who are you?"),
        ("GET", "/products") => Reply::new(200, "<a class='product' href='/p/7'>Tea</a><a href='/'>home</a>"),
        ("GET", "/p/7") => Reply::new(200, "<h1>Tea</h1>"),
        ("POST", path) if !(token_fits("second") && asked.header("x-csrftoken") == "second" && referred) => {
            Reply::new(403, path)
        }
        ("POST", "/cart")
            if ["note_%2Fp%2F7=red", "product=%2Fp%2F7"].iter().all(|field| asked.body.contains(field)) =>
        {
            Reply::new(200, r#"{"cart": {"id": 31}}"#)
        }
        ("POST", "/photo") => {
            let fields = asked.body.find("name=\"cart\"").zip(asked.body.find("name=\"file\""));
            let good = fields.is_some_and(|(cart, file)| cart < file)
                && asked.body.contains("\r\n31\r\n")
                && asked.body.contains("csrfmiddlewaretoken")
                && asked.body.contains("JFIF")
                && asked.body.len() > 5000;
            Reply::new(if good { 201 } else { 400 }, "")
        }
        _ => Reply::new(404, ""),
    }
}

#[tokio::test]
async fn a_flow_is_walked_with_session_token_and_values() {
    let server = Server::start(shop).await;
    let steps = walk_once(&mix(SHOP), "buy", &server.url, passwords(), ms(5000), 4).await.unwrap();
    let seen: Vec<_> = steps.iter().map(|s| (s.name.as_str(), s.status, s.error.as_deref())).collect();
    assert_eq!(
        seen,
        [
            ("/accounts/login/ (form)", Some(200), None),
            ("/accounts/login/ (sign in)", Some(302), None),
            ("list", Some(200), None),
            ("product", Some(200), None),
            ("/cart", Some(200), None),
            ("photo", Some(201), None),
        ]
    );
    assert_eq!(steps[2].extracted, [("product".to_owned(), Some("/p/7".to_owned()))]);
    assert_eq!(steps[4].extracted, [("cart".to_owned(), Some("31".to_owned()))]);
    assert_eq!((steps[3].method.as_str(), steps[3].path.as_str()), ("GET", "/p/7"));
    assert!(server.asked()[1].body.contains("username=user4"));
}

#[tokio::test]
async fn a_walk_stops_where_it_breaks_and_says_why() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/accounts/login/" => Reply::new(200, "<form></form>"),
        _ => Reply::new(200, "nothing here"),
    })
    .await;
    let walk = async |text: &str| walk_once(&mix(text), "buy", &server.url, passwords(), ms(5000), 0).await;
    let steps = walk(SHOP).await.unwrap();
    assert_eq!(steps.len(), 2);
    assert!(steps[1].error.as_deref().unwrap().contains("wrong name or password"), "{steps:?}");

    let open = SHOP.lines().filter(|l| !l.starts_with("login")).collect::<Vec<_>>().join("\n");
    let steps = walk(&open).await.unwrap();
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].error.as_deref(), Some("\"product\" was not found in the answer"));

    let away = "[[flow]]\nname='buy'\nstep=[{get='http://shop.example/'}]";
    let steps = walk(away).await.unwrap();
    assert!(steps[0].error.as_deref().unwrap().contains("users do not go there"), "{steps:?}");

    let error = walk_once(&mix(SHOP), "sell", &server.url, passwords(), ms(5000), 0).await.unwrap_err();
    assert!(error.to_string().contains("\"sell\""));
    let error = walk_once(&mix(SHOP), "buy", &server.url, Arc::default(), ms(5000), 0).await.unwrap_err();
    assert!(error.to_string().contains("PASSWORD"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_a_ramp_sign_in_once_and_keep_their_own_sessions() {
    let _turn = turn().await;
    let server = Server::start(shop).await;
    let (mut order, _heard) = order(&server, SHOP, 8, ms(2000));
    order.plan.settle_limit = ms(1500);
    order.mix.headers.insert("x-client".into(), "{{user.ip}}".into());
    let measured = GooseDriver::default().drive(order).await.unwrap();
    assert_eq!(measured.errors.total(), 0, "{:?}", measured.endpoints);
    assert!(measured.requests > 20 && measured.endpoints.contains_key("photo"));
    let asked = server.asked();
    let logins = asked.iter().filter(|a| a.method == "POST" && a.path == "/accounts/login/");
    let names: Vec<_> = logins.map(|a| a.body.clone()).collect();
    assert_eq!(names.len(), 8, "each signs in once");
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), 8, "as itself");
    assert_eq!(asked.iter().map(|a| a.header("x-client")).collect::<HashSet<_>>().len(), 8);
}
