//! Asks each service whether it serves: a query, a PING, an object, a page. A pid file or an open port proves nothing.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::celery;
use super::database;
use super::layout::Layout;
use super::service::Service;
use super::setup::Setup;

/// What one probe may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// The largest headers that are read, bytes.
const LARGEST: usize = 1 << 16;

/// Why a service does not serve, in a few words.
pub(crate) type Refusal = String;

/// Asks one service once.
pub(crate) async fn ask(service: Service, setup: &Setup) -> Result<(), Refusal> {
    let asked = async {
        match service {
            Service::Postgres => database::answers(&database::superuser(setup, "postgres")).await,
            Service::Pgbouncer => database::answers(&database::through_pooler(setup)).await,
            Service::RedisCache | Service::RedisBroker => redis(service, setup).await,
            Service::S3 => s3(setup).await,
            Service::Sink => status(setup.port("sink_http"), "/stats", "", &[200]).await.map(|_| ()),
            Service::Clouds => status(setup.port("clouds"), "/", "", &[200]).await.map(|_| ()),
            Service::Worker => celery::answers(setup.library(), &setup.worker_broker()).await,
            Service::Web => {
                // From step 8 on it answers nobody but the edge.
                let key = format!("X-Edge-Secret: {}\r\n", setup.secret("edge"));
                status(setup.port("web"), "/api/csrf", &key, &[200]).await.map(|_| ())
            }
            Service::Edge => edge(setup).await,
        }
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .unwrap_or_else(|_| Err(format!("no answer in {} s", PATIENCE.as_secs())))
}

/// PING, and that it is our Redis and no other: it works in our folder.
async fn redis(service: Service, setup: &Setup) -> Result<(), Refusal> {
    let mut connection = celery::connect(setup.port(service.name())).await?;
    let pong: String = ::redis::cmd("PING").query_async(&mut connection).await.map_err(|e| e.to_string())?;
    let dir: (String, PathBuf) = ::redis::cmd("CONFIG")
        .arg("GET")
        .arg("dir")
        .query_async::<(String, String)>(&mut connection)
        .await
        .map(|(name, dir)| (name, dir.into()))
        .map_err(|e| e.to_string())?;
    let ours = folder_of(service, &setup.layout);
    match (pong.as_str(), dir.1 == ours) {
        ("PONG", true) => Ok(()),
        ("PONG", false) => Err("another Redis answers on its port".into()),
        _ => Err(format!("answered {pong} to PING")),
    }
}

fn folder_of(service: Service, layout: &Layout) -> PathBuf {
    let folder = layout.data().join(service.name());
    folder.canonicalize().unwrap_or(folder)
}

/// Reading an object is the proof: `/healthz` says yes while objects still cannot be read.
async fn s3(setup: &Setup) -> Result<(), Refusal> {
    status(setup.port("s3"), "/shop-static/ready.txt", "", &[200]).await.map(|_| ())
}

/// Before the first bucket exists, that requests are answered at all (by a refusal, as they are not signed).
pub(crate) async fn s3_refuses_strangers(setup: &Setup) -> Result<(), Refusal> {
    status(setup.port("s3"), "/", "", &[200, 403]).await.map(|_| ())
}

/// A page of the shop through the edge; where the edge plays Cloudflare, with Cloudflare's mark.
async fn edge(setup: &Setup) -> Result<(), Refusal> {
    let headers = status(setup.port("edge"), "/api/csrf", "", &[200]).await?;
    let plays_cloudflare = setup.effective.edge.get("mode").is_some_and(|mode| mode != "dns");
    // A fault may be that it does not play it, or plays another.
    if plays_cloudflare == headers.contains("cf-ray:") || !setup.faults.is_empty() {
        Ok(())
    } else {
        Err(format!("answers {} cf-ray, which is not its mode", if plays_cloudflare { "without" } else { "with" }))
    }
}

/// Gets a path and insists on one of these status codes; returns the headers, in lower case.
///
/// Spoken by hand: asking ten times a second with a full client would cost the starting services their processor.
async fn status(port: u16, path: &str, header: &str, good: &[u16]) -> Result<String, Refusal> {
    let answer = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let question = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n{header}Connection: close\r\n\r\n");
        stream.write_all(question.as_bytes()).await?;
        let mut answer = Vec::new();
        // To the end of the headers only: not everyone hangs up afterwards.
        while head(&answer).is_none() && answer.len() < LARGEST && stream.read_buf(&mut answer).await? > 0 {}
        Ok::<_, std::io::Error>(answer)
    };
    let answer = answer.await.map_err(|e| e.to_string())?;
    let (code, headers) = head(&answer).ok_or_else(|| format!("GET {path} is not answered in HTTP"))?;
    if good.contains(&code) { Ok(headers) } else { Err(format!("GET {path} answers {code}")) }
}

/// Status code and headers of an HTTP answer.
fn head(answer: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let (first, rest) = text.split_once("\r\n")?;
    let code = first.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((code, rest.split_once("\r\n\r\n")?.0.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn reads_status_and_headers_and_nothing_else() {
        let answer = b"HTTP/1.1 200 OK\r\nServer: x\r\nCF-Ray: 1-LAB\r\n\r\ncf-cache-status: no header";
        assert_eq!(head(answer), Some((200, "server: x\r\ncf-ray: 1-lab".into())));
        assert_eq!(head(b"SSH-2.0\r\n\r\n"), None);
        assert_eq!(head(b"HTTP/1.1 200 OK\r\ncut: off"), None);
    }

    #[tokio::test]
    async fn an_open_port_is_no_answer() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = tokio::spawn(async move { drop(listener.accept().await) });
        assert!(status(port, "/", "", &[200]).await.is_err());
        served.await.unwrap();
        assert!(status(port, "/", "", &[200]).await.unwrap_err().contains("refused"));
    }
}
