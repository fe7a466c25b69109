//! A request that meets no app: from the load runtime, through the load's kind of client, to an endpoint of our own on
//! loopback and a thread apart. What it takes is the generator's own share of every latency.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use reqwest::Method;
use url::Url;

use super::body::Body;
use super::client;
use super::precedence::thread_first;

/// Pause between two requests: with twenty a second, p95 is the second slowest, and one hiccup of the machine is none
/// of the generator's.
const EVERY: Duration = Duration::from_millis(50);
/// Longest time one may take; also how long the endpoint waits for the next one.
const PATIENCE: Duration = Duration::from_secs(5);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What was asked since the last look.
#[derive(Debug, Default)]
struct Asked {
    took: Vec<Duration>,
    /// When the one under way began.
    since: Option<Instant>,
}

/// Asks until it is dropped.
#[derive(Debug)]
pub(super) struct Control(Arc<Mutex<Asked>>);

impl Control {
    /// Starts asking on the current runtime. Where there is no loopback nothing is asked, and nothing can be said.
    pub fn start() -> Self {
        let asked = Arc::new(Mutex::new(Asked::default()));
        match Endpoint::open() {
            Ok(endpoint) => _ = tokio::spawn(ask(Arc::downgrade(&asked), endpoint)),
            Err(e) => log::warn!("no control requests: {e}"),
        }
        Self(asked)
    }

    /// p95 since the last call; zero when nothing was asked. One still under way counts with its age.
    pub fn take(&self) -> Duration {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut took = std::mem::take(&mut asked.took);
        took.extend(asked.since.map(|since| since.elapsed()));
        took.sort_unstable();
        let rank = (took.len() * 95).div_ceil(100).max(1);
        took.get(rank - 1).copied().unwrap_or_default()
    }
}

async fn ask(asked: Weak<Mutex<Asked>>, endpoint: Endpoint) {
    let Ok(url) = Url::parse(&format!("http://{}/", endpoint.address)) else { return };
    let Ok(wires) = client::prepare(&url, &[], PATIENCE).await else { return };
    let wire = wires.build();
    loop {
        let begun = Instant::now();
        {
            let Some(asked) = asked.upgrade() else { return };
            asked.lock().unwrap_or_else(PoisonError::into_inner).since = Some(begun);
        }
        // A failed one took its time, too: files that ran out are counted where users meet them.
        if let Ok(answer) = wire.send(wire.request(Method::GET, url.clone())).await {
            Body::read(answer.body, answer.deadline, false).await;
        }
        {
            let Some(asked) = asked.upgrade() else { return };
            let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.took.push(begun.elapsed());
            asked.since = None;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Answers one connection at a time on a thread of its own until it is dropped.
#[derive(Debug)]
struct Endpoint {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
}

impl Endpoint {
    fn open() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let endpoint = Self { address: listener.local_addr()?, closed: Arc::default() };
        let closed = endpoint.closed.clone();
        std::thread::Builder::new().name("control".into()).spawn(move || {
            thread_first();
            for stream in listener.incoming() {
                if closed.load(Ordering::Acquire) {
                    return;
                }
                if let Ok(stream) = stream {
                    // It ends when the client has gone.
                    let _ = answer(stream);
                }
            }
        })?;
        Ok(endpoint)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
        // Wakes it, so that it looks.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(100));
    }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let (mut buffer, mut end) = ([0; 1024], 0);
    loop {
        let read = stream.read(&mut buffer[end..])?;
        end += read;
        if buffer[..end].ends_with(b"\r\n\r\n") {
            stream.write_all(ANSWER)?;
            end = 0;
        } else if read == 0 || end == buffer.len() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_blocked_runtime_shows_in_its_own_requests() {
        let control = Control::start();
        let patience = Instant::now();
        while control.take().is_zero() && patience.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The test itself is not on the worker; this is. A request or its answer must wait for each of these.
        let hog = tokio::spawn(async {
            for _ in 0..10 {
                std::thread::sleep(Duration::from_millis(120));
                tokio::task::yield_now().await;
            }
        });
        hog.await.unwrap();
        assert!(control.take() > Duration::from_millis(100));
    }

    #[test]
    fn the_endpoint_answers_and_goes() {
        let endpoint = Endpoint::open().unwrap();
        let address = endpoint.address;
        let mut stream = TcpStream::connect(address).unwrap();
        for _ in 0..2 {
            stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
            stream.write_all(b"host: x\r\n\r\n").unwrap();
            let mut answer = vec![0; ANSWER.len()];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer, ANSWER);
        }
        drop(stream);
        drop(endpoint);
        let patience = Instant::now();
        while TcpStream::connect(address).is_ok() {
            assert!(patience.elapsed() < Duration::from_secs(10), "its port stays open");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Figures for `--nocapture`, the ground of the limit: a runtime at rest and one with a busy machine beside it.
    #[tokio::test(flavor = "multi_thread")]
    async fn figures() {
        use std::sync::atomic::AtomicU32;
        for hogs in [0, 2, 6] {
            let stop = Arc::new(AtomicBool::new(false));
            let threads: Vec<_> = (0..hogs)
                .map(|_| {
                    let stop = stop.clone();
                    std::thread::spawn(move || {
                        let spins = AtomicU32::new(0);
                        while !stop.load(Ordering::Relaxed) {
                            spins.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            let control = Control::start();
            let mut seen = Vec::new();
            for _ in 0..2 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                seen.push(control.take());
            }
            stop.store(true, Ordering::Relaxed);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert!(seen.iter().all(|took| !took.is_zero()), "{seen:?}");
            say(&format!("control p95 with {hogs} busy threads beside: {seen:?}"));
        }
    }

    #[expect(clippy::print_stderr, reason = "figures are wanted when a person asks the test for them")]
    fn say(text: &str) {
        eprintln!("{text}");
    }
}
