//! A server whose latency law is known, and its own record of what it answered. Shared by the benchmarks `peers`, where
//! it is a process of its own, and `truth -- --real`.
//!
//! HTTP/1.1 with keep-alive, GET only, 2 KB of body. A [`Pause`] says how long each request waits and which count. In
//! `peers`, `/fast` answers at once, `/slow` after a lognormal pause, anything else at once and uncounted (a health
//! endpoint); on its standard input it is told `reset`, `count` or `report` and answers each with one line.

use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rampup::domain::measurement::Histogram;
use rand::Rng;
use rand::rngs::SmallRng;
use rand::{SeedableRng, rng};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Median of the pause, ms.
const MEDIAN_MS: f64 = 120.0;
/// Standard deviation of its natural logarithm.
const SIGMA: f64 = 0.55;
/// Bytes of a body.
const BODY: usize = 2048;

/// What the server recorded since it was reset: from a request's last byte read to its answer's last byte written.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Report {
    /// Requests answered.
    pub requests: u64,
    /// Their 95th percentile, ms; none without any.
    pub p95_ms: Option<f64>,
    /// Connections accepted.
    pub connections: u64,
}

#[derive(Default)]
struct Record {
    latency: Histogram,
    connections: u64,
}

impl Record {
    fn report(&self) -> Report {
        let latency = &self.latency;
        Report { requests: latency.count(), p95_ms: latency.quantile_ms(0.95), connections: self.connections }
    }
}

type Shared = Arc<Mutex<Record>>;

/// How long a request waits before its answer, by its head; none for one that is answered at once and uncounted.
pub type Pause = Arc<dyn Fn(&[u8], &mut SmallRng) -> Option<Duration> + Send + Sync>;

/// A server on a thread of its own, until the process ends.
pub struct Running {
    /// Its port on 127.0.0.1.
    pub port: u16,
    record: Shared,
}

impl Running {
    /// Starts one.
    pub fn start(pause: Pause) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let record = Shared::default();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let port = listener.local_addr()?.port();
        std::thread::spawn({
            let record = record.clone();
            move || runtime.block_on(accept(&listener, &record, &pause))
        });
        Ok(Self { port, record })
    }

    /// What it recorded so far.
    pub fn report(&self) -> Report {
        self.record().report()
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until its standard input ends. Its first line is its port.
pub fn serve() -> anyhow::Result<()> {
    let server = Running::start(Arc::new(|head: &[u8], dice: &mut SmallRng| {
        let slow = head.starts_with(b"GET /slow");
        let counted = slow || head.starts_with(b"GET /fast");
        counted.then(|| if slow { lognormal(dice, MEDIAN_MS, SIGMA) } else { Duration::ZERO })
    }))?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", server.port)?;
    for line in std::io::stdin().lock().lines() {
        let answer = match line?.as_str() {
            "reset" => {
                *server.record() = Record::default();
                "0".to_owned()
            }
            "count" => server.report().requests.to_string(),
            _ => serde_json::to_string(&server.report())?,
        };
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

async fn accept(listener: &TcpListener, record: &Shared, pause: &Pause) {
    let answer: Arc<[u8]> =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {BODY}\r\n\r\n{}", "x".repeat(BODY))
            .into_bytes()
            .into();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            record.lock().unwrap_or_else(PoisonError::into_inner).connections += 1;
            let _ = stream.set_nodelay(true);
            tokio::spawn(talk(stream, answer.clone(), record.clone(), pause.clone()));
        }
    }
}

/// One connection until it closes. Tools do not pipeline, so what is read ends with the request.
async fn talk(mut stream: TcpStream, answer: Arc<[u8]>, record: Shared, pause: Pause) {
    let mut dice = SmallRng::from_rng(&mut rng());
    let (mut heard, mut length) = ([0_u8; 8192], 0);
    loop {
        match stream.read(&mut heard[length..]).await {
            Ok(0) | Err(_) => return,
            Ok(more) => length += more,
        }
        if !heard[..length].ends_with(b"\r\n\r\n") {
            continue;
        }
        let asked = Instant::now();
        let pause = pause(&heard[..length], &mut dice);
        if let Some(pause) = pause.filter(|pause| !pause.is_zero()) {
            tokio::time::sleep(pause).await;
        }
        if stream.write_all(&answer).await.is_err() {
            return;
        }
        length = 0;
        if pause.is_some() {
            let micros = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
            record.lock().unwrap_or_else(PoisonError::into_inner).latency.record(micros);
        }
    }
}

/// A lognormal pause: its median in ms, and the standard deviation of its natural logarithm.
pub fn lognormal(dice: &mut SmallRng, median_ms: f64, sigma: f64) -> Duration {
    Duration::from_secs_f64(median_ms / 1000.0 * (sigma * normal(dice)).exp())
}

/// By the transform of Box and Muller.
pub fn normal(dice: &mut SmallRng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - dice.random::<f64>(), dice.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
