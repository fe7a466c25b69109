//! One user's wire against a server: names, cookies, what it says of itself.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use url::Url;

use super::server::{Reply, Server};
use crate::domain::measurement::ErrorKind;
use crate::load::body::Body;
use crate::load::wire::{Wire, Wires};
use crate::load::{answer, client};

fn wires(pinned: Vec<(String, Vec<SocketAddr>)>) -> Wires {
    Wires::new(client::tls(false).unwrap(), pinned, Duration::from_secs(5)).unwrap()
}

fn get(wire: &Wire, url: &str) -> RequestBuilder {
    wire.request(Method::GET, Url::parse(url).unwrap())
}

#[tokio::test]
async fn a_pinned_name_leads_to_its_address_at_the_port_that_is_asked_for() {
    let server = Server::start(|_| Reply::ok()).await;
    let port = server.url.port().unwrap();
    let pinned = vec![("shop.invalid".to_owned(), vec![SocketAddr::from(([127, 0, 0, 1], 0))])];
    let wire = wires(pinned).build();
    let answer = wire.send(get(&wire, &format!("http://shop.invalid:{port}/"))).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(server.asked()[0].header("host"), format!("shop.invalid:{port}"));
    let elsewhere = wire.send(get(&wire, &format!("http://elsewhere.invalid:{port}/"))).await;
    assert_eq!(elsewhere.err().map(|fault| answer::failure(&fault).kind), Some(ErrorKind::Connect));
}

#[tokio::test]
async fn every_wire_has_cookies_of_its_own_and_says_who_comes() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/in" => Reply::ok().header("set-cookie", "sessionid=one; Path=/"),
        _ => Reply::ok(),
    })
    .await;
    let wires = wires(Vec::new());
    let (one, other) = (wires.build(), wires.build());
    for (wire, path) in [(&one, "in"), (&one, "page"), (&other, "page")] {
        let answer = wire.send(get(wire, &format!("{}{path}", server.url))).await.unwrap();
        assert!(Body::read(answer.body, answer.deadline, false).await.broken.is_none());
    }
    let sent: Vec<_> = server.asked().iter().map(|asked| asked.header("cookie").to_owned()).collect();
    assert_eq!(sent, ["", "sessionid=one", ""]);
    assert_eq!(one.cookie(&server.url, "sessionid").as_deref(), Some("one"));
    assert_eq!(other.cookie(&server.url, "sessionid"), None);
    let asked = &server.asked()[0];
    let said = ["user-agent", "accept", "accept-encoding"].map(|name| asked.header(name));
    assert_eq!(said, [concat!("rampup/", env!("CARGO_PKG_VERSION")), "*/*", "gzip"]);
}
