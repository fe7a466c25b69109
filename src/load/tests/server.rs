//! A small HTTP/1.1 server whose truth is known: it answers by a rule and keeps its own record of every request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: String,
    /// When its last byte was read.
    pub at: Instant,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// How it is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Pause before the headers.
    pub head_after: Duration,
    /// Pause between the headers and the body.
    pub body_after: Duration,
    /// Never answer.
    pub stall: bool,
    /// Close the connection after half of the body.
    pub break_off: bool,
}

impl Reply {
    pub fn new(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            head_after: Duration::ZERO,
            body_after: Duration::ZERO,
            stall: false,
            break_off: false,
        }
    }

    pub fn ok() -> Self {
        Self::new(200, "hello")
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn after(mut self, head: u64, body: u64) -> Self {
        (self.head_after, self.body_after) = (Duration::from_millis(head), Duration::from_millis(body));
        self
    }
}

type Rule = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// A running server and its record.
#[derive(Clone)]
pub struct Server {
    pub url: Url,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// From the last byte of each request to the last byte of its answer.
    served: Arc<Mutex<Vec<(Instant, Duration)>>>,
}

impl Server {
    pub async fn start(rule: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let server = Self { url, asked: Arc::default(), served: Arc::default() };
        let (kept, rule): (_, Rule) = (server.clone(), Arc::new(rule));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, rule) = (kept.clone(), rule.clone());
                tokio::spawn(async move { serve(server, rule, stream).await });
            }
        });
        server
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Its own time of every answered request since then.
    pub fn served_since(&self, from: Instant) -> Vec<Duration> {
        self.served.lock().unwrap().iter().filter(|(at, _)| *at >= from).map(|s| s.1).collect()
    }
}

async fn serve(server: Server, rule: Rule, mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    while let Some(asked) = read(&mut stream, &mut buffer).await {
        server.asked.lock().unwrap().push(asked.clone());
        let reply = rule(&asked);
        if reply.stall {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(reply.head_after).await;
        let mut head = format!("HTTP/1.1 {} X\r\ncontent-length: {}\r\n", reply.status, reply.body.len());
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        if stream.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        if !reply.body_after.is_zero() {
            tokio::time::sleep(reply.body_after).await;
        }
        let body = if reply.break_off { &reply.body[..reply.body.len() / 2] } else { &reply.body };
        if stream.write_all(body.as_bytes()).await.is_err() || reply.break_off {
            return;
        }
        server.served.lock().unwrap().push((asked.at, asked.at.elapsed()));
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Asked> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
    buffer.drain(..end + 4);
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: HashMap<String, String> =
        lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_lowercase(), v.to_owned())).collect();
    let length = headers.get("content-length").map_or(0, |l| l.parse().unwrap());
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8_lossy(&buffer.drain(..length).collect::<Vec<_>>()).into_owned();
    Some(Asked { method, path, headers, body, at: Instant::now() })
}
