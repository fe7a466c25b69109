//! Servers that mean harm or are broken: each ends in a clear line, in bounded time and memory.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use super::server::{Reply, Server};
use super::{mix, ms, order, passwords, turn};
use crate::domain::flow::{AtEnd, Deal, Feeder, Rows};
use crate::domain::ramp::RampEnd;
use crate::load::{Driver, GooseDriver, StepReport, walk_once};

/// A server that answers every connection with these bytes, the last of them again and again if asked to.
async fn raw(head: &'static [u8], again: &'static [u8]) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let mut open = stream.write_all(head).await.is_ok();
                while open && !again.is_empty() {
                    open = stream.write_all(again).await.is_ok();
                }
            });
        }
    });
    url
}

async fn walk(url: &Url, step: &str) -> StepReport {
    let flow = format!("[[flow]]\nname = 'f'\nstep = [{step}]");
    walk_once(&mix(&flow), "f", url, passwords(), ms(3000), 0).await.unwrap().remove(0)
}

static BLOCK: [u8; 1 << 20] = [b'x'; 1 << 20];

#[tokio::test]
async fn a_body_of_a_gibibyte_or_without_end_is_read_no_further_than_the_limit() {
    for head in
        ["HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n", "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"]
    {
        let url = raw(head.as_bytes(), &BLOCK).await;
        let report = walk(&url, "{ get = '/', expect_text = 'never' }").await;
        let why = report.error.unwrap();
        assert!(why.contains("over 64 MiB") || why.contains("no whole answer in time"), "{why}");
        assert!(report.bytes <= 66 << 20, "{}", report.bytes);
    }
}

#[tokio::test]
async fn what_is_no_answer_says_what_it_is() {
    let silent = Server::start(|_| Reply { stall: true, ..Reply::ok() }).await;
    let nonsense = raw(b"HTTP/1.1 200 OK\r\nbad header\x01: x\r\n\r\n", b"").await;
    let no_http = raw(b"hello\r\n\r\n", b"").await;
    for (url, word) in [(&silent.url, "no whole answer in time"), (&nonsense, "header"), (&no_http, "HTTP")] {
        let report = walk(url, "{ get = '/' }").await;
        let why = report.error.unwrap();
        assert!(why.contains(word) && report.status.is_none(), "{word}: {why}");
    }
}

#[tokio::test]
async fn a_redirect_to_itself_is_an_answer_and_not_followed() {
    let server = Server::start(|_| Reply::new(302, "").header("location", "/")).await;
    assert_eq!(walk(&server.url, "{ get = '/' }").await.error, None);
    assert_eq!(walk(&server.url, "{ get = '/', expect = [200] }").await.error.as_deref(), Some("status 302"));
    assert_eq!(server.count(), 2, "one request a walk");
}

#[tokio::test]
async fn a_page_that_sends_to_a_login_and_back_is_no_page() {
    let server =
        Server::start(|_| Reply::new(302, "").header("location", "/accounts/login/?next=/orders/%3Fpage%3D2")).await;
    let asked = walk(&server.url, "{ get = '/orders/', query = { page = '2' } }").await;
    assert!(asked.error.is_some_and(|why| why.starts_with("sent to a login")));
    for step in ["{ get = '/orders/', expect = [302] }", "{ post = '/orders/' }", "{ get = '/basket/' }"] {
        assert_eq!(walk(&server.url, step).await.error, None, "{step}");
    }
}

#[tokio::test]
async fn an_expectation_that_is_not_met_says_which() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/json" => Reply::new(200, r#"{"id": 7, "name": "Tea"}"#).header("x-cache", "HIT, fresh"),
        _ => Reply::new(200, "<h1 class='a'>Tea</h1>"),
    })
    .await;
    for (step, said) in [
        ("{ get = '/json', expect_json = { '/id' = 7, '/name' = 'Tea' }, expect_header = { x-cache = 'hit' } }", None),
        ("{ get = '/json', expect_json = { '/id' = 8 } }", Some("at \"/id\" the answer does not have 8")),
        ("{ get = '/json', expect_json = { '/no' = 8 } }", Some("there is nothing at \"/no\" in the answer")),
        ("{ get = '/json', expect_header = { x-cache = 'miss' } }", Some("the header x-cache lacks \"miss\"")),
        ("{ get = '/json', expect_header = { etag = '' } }", Some("the answer has no header etag")),
        ("{ get = '/', expect_select = 'h1.a' }", None),
        ("{ get = '/', expect_select = 'h2' }", Some("nothing in the body matches \"h2\"")),
        ("{ get = '/', extract = { a = { css = { select = 'h2' } } } }", Some("\"a\" was not found in the answer")),
    ] {
        assert_eq!(walk(&server.url, step).await.error.as_deref(), said, "{step}");
    }
}

#[tokio::test]
async fn every_method_query_and_json_body_arrives_as_written() {
    let server = Server::start(|_| Reply::new(200, r#"{"said": "a \"b\""}"#)).await;
    let flow = "[[flow]]\nname = 'f'\nstep = [
      { get = '/a?x=1', query = { q = 'two words&' }, extract = { said = { json = '/said' } } },
      { put = '/b', json = { text = '{{said}}', n = 1 } },
      { patch = '/c', json = '{\"v\": {{said}}}' },
      { delete = '/d', csrf = true },
    ]";
    let reports = walk_once(&mix(flow), "f", &server.url, passwords(), ms(3000), 0).await.unwrap();
    assert!(reports.iter().all(|report| report.error.is_none()), "{reports:?}");
    let seen: Vec<_> = server.asked().iter().map(|a| format!("{} {} {}", a.method, a.path, a.body)).collect();
    assert_eq!(seen[0], "GET /a?x=1&q=two+words%26 ");
    assert!(seen[1].starts_with("PUT /b ") && seen[1].contains(r#""text":"a \"b\"""#), "{}", seen[1]);
    assert_eq!(seen[2], r#"PATCH /c {"v": "a \"b\""}"#);
    assert_eq!(seen[3], "DELETE /d ");
}

#[tokio::test]
async fn secrets_are_sent_and_never_shown() {
    let server = Server::start(|_| {
        Reply::new(200, r#"{"token": "hunter2", "id": 5}"#).header("set-cookie", "sessionid=hunter2; Path=/")
    })
    .await;
    let flow = "[[flow]]\nname = 'f'\nstep = [
      { get = '/', extract = { key = { json = '/token' }, s = { cookie = 'sessionid' }, id = { json = '/id' } } },
      { get = '/{{key}}/{{id}}', query = { a = '{{s}}', token = 'hunter2' } },
    ]";
    let reports = walk_once(&mix(flow), "f", &server.url, passwords(), ms(3000), 0).await.unwrap();
    assert_eq!(server.asked()[1].path, "/hunter2/5?a=hunter2&token=hunter2");
    assert_eq!(reports[1].path, "/…/5?a=…&token=…");
    assert!(!format!("{reports:?}").contains("hunter2"), "{reports:?}");
    assert!(reports[0].extracted.contains(&("id".to_owned(), Some("5".to_owned()))));
}

#[tokio::test]
async fn a_ticket_takes_the_file_to_the_bucket_and_the_file_goes_last() {
    let bucket = Server::start(|asked| {
        let key = asked.body.find("name=\"key\"").zip(asked.body.find("name=\"file\""));
        Reply::new(if key.is_some_and(|(key, file)| key < file) { 204 } else { 400 }, "")
    })
    .await;
    let ticket = format!(r#"{{"url": "{}b", "fields": {{"key": "k", "x-amz-signature": "hunter2"}}}}"#, bucket.url);
    let server = Server::start(move |_| Reply::new(200, &ticket)).await;
    let flow = "[[flow]]\nname = 'f'\nstep = [
      { get = '/ticket', extract = { ticket = { json = '' } } },
      { presigned = 'ticket', name = 'upload', upload = { field = 'file', bytes = 900, content_type = 'image/jpeg' } },
    ]";
    let reports = walk_once(&mix(flow), "f", &server.url, passwords(), ms(3000), 0).await.unwrap();
    assert_eq!((reports[1].status, reports[1].error.as_deref()), (Some(204), None));
    assert!(!format!("{reports:?}").contains("hunter2"), "{reports:?}");
    let away = Server::start(|_| Reply::new(200, r#"{"url": "https://evil.example/", "fields": {}}"#)).await;
    let reports = walk_once(&mix(flow), "f", &away.url, passwords(), ms(3000), 0).await.unwrap();
    assert!(reports[1].error.as_deref().unwrap().contains("no load may go"), "{reports:?}");
}

#[tokio::test]
async fn files_of_a_page_are_fetched_once_from_this_site_only() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/" => {
            Reply::new(200, "<script src='/a.js'></script><img src='/gone.png'><img src='http://evil.example/x.png'>")
        }
        "/a.js" => Reply::ok(),
        _ => Reply::new(404, ""),
    })
    .await;
    let flow = "[[flow]]\nname = 'f'\nstep = [{ get = '/', assets = true }, { get = '/', assets = true }]";
    let reports = walk_once(&mix(flow), "f", &server.url, passwords(), ms(3000), 0).await.unwrap();
    assert_eq!((reports[0].files, reports[1].files), ((2, 1), (0, 0)));
    assert!(reports.iter().all(|report| report.error.is_none()), "a missing file is no failed page");
    assert_eq!(server.count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feeder_that_runs_dry_ends_the_ramp_as_invalid() {
    let _turn = turn().await;
    let server = Server::start(|_| Reply::ok()).await;
    let (mut order, _heard) = order(&server, "[[flow]]\nname = 'f'\nstep = [{ get = '/' }]", 4, ms(2000));
    order.mix.flows[0].steps[0].get = Some("/{{codes}}".into());
    order.mix.feeders.push(Feeder {
        name: "codes".into(),
        csv: None,
        jsonl: None,
        range: Some([1, 6]),
        deal: Deal::Shared,
        end: AtEnd::Stop,
        rows: Rows::default(),
    });
    let measured = GooseDriver::default().drive(order).await.unwrap();
    assert!(
        matches!(&measured.end, RampEnd::Invalid(why) if why.contains("ran dry after 6 rows")),
        "{:?}",
        measured.end
    );
    assert_eq!(server.count(), 6, "each row was used once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_fails_now_and_then_is_an_error_and_tried_again() {
    let _turn = turn().await;
    let tries = AtomicU32::new(0);
    let server = Server::start(move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/in") => Reply::new(200, "<input name='csrfmiddlewaretoken' value='t'>"),
        ("POST", "/in") if tries.fetch_add(1, Ordering::SeqCst) == 0 => Reply::new(500, ""),
        ("POST", "/in") => Reply::new(302, "").header("set-cookie", "sessionid=s; Path=/"),
        _ => Reply::ok(),
    })
    .await;
    let flow = "[[flow]]\nname = 'f'\nlogin = { path = '/in', username = 'u', password_env = 'PASSWORD' }\nstep = [{ get = '/' }]";
    let (order, _heard) = order(&server, flow, 4, ms(1500));
    let measured = GooseDriver::default().drive(order).await.unwrap();
    let logins = server.asked().iter().filter(|a| a.method == "POST").count();
    assert!(logins == 5 && measured.requests > 0, "{logins} logins, {:?}", measured.end);
}
