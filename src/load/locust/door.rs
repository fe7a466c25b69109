//! Where Locust's master knocks: who may come in, and the line to whoever did.
//!
//! The master calls rampup, not the other way round: a test's machines often have no open port, and this way only a
//! loopback one is needed. The token itself never crosses the line.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::wire::{Greeting, Hello, Report, Say, proof};
use crate::domain::secret::Secret;

/// Longest time for a handshake, and for a line to be taken.
const PATIENCE: Duration = Duration::from_secs(3);
/// A stranger may not make us remember more than this.
const LONGEST_HELLO: u64 = 4096;
/// Longest report, bytes: tens of thousands of requests, in a tenth of a second.
const LONGEST_REPORT: u64 = 8 << 20;

/// The line to a master that was let in.
#[derive(Debug)]
pub(super) struct Line {
    /// Workers that it expects.
    pub expected: u32,
    to: OwnedWriteHalf,
    from: mpsc::Receiver<(Instant, Report)>,
}

impl Line {
    /// The next master that knows the token; `refused` hears of those that do not.
    pub async fn accept(listener: &TcpListener, token: &Secret, mut refused: impl FnMut(String)) -> Self {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(why) => {
                    log::warn!("nobody could be let in: {why}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            match timeout(PATIENCE, shake_hands(stream, token)).await {
                Ok(Ok(line)) => return line,
                Ok(Err(why)) => refused(why),
                Err(_) => refused("somebody called and said nothing; only an exported Locust script should".into()),
            }
        }
    }

    /// What was said, with when it arrived; none once the master has gone.
    pub async fn hear(&mut self) -> Option<(Instant, Report)> {
        self.from.recv().await
    }

    /// Says something; false once nobody listens.
    pub async fn say(&mut self, what: &Say) -> bool {
        matches!(timeout(PATIENCE, write(&mut self.to, what)).await, Ok(Ok(())))
    }
}

async fn shake_hands(stream: TcpStream, token: &Secret) -> Result<Line, String> {
    let broken = |why: std::io::Error| format!("the line to Locust broke: {why}");
    stream.set_nodelay(true).map_err(broken)?;
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    let nonce = format!("{:032x}", rand::random::<u128>());
    write(&mut to, &Greeting { nonce: nonce.clone() }).await.map_err(broken)?;
    let hello: Hello = read(&mut from, LONGEST_HELLO).await?;
    if hello.proof != proof(token, "locust", &nonce) {
        let why = "its RAMPUP_TOKEN is another one than rampup's";
        write(&mut to, &Say::Refused(why.into())).await.map_err(broken)?;
        return Err(format!("a Locust called that is not let in: {why}; set the same in both, then start it again"));
    }
    write(&mut to, &Say::Proof(proof(token, "rampup", &hello.nonce))).await.map_err(broken)?;
    let (heard, reports) = mpsc::channel(256);
    tokio::spawn(listen(from, heard));
    Ok(Line { expected: hello.workers.max(1), to, from: reports })
}

/// Ends, and with it the channel, when the line breaks or makes no sense.
async fn listen(mut from: BufReader<OwnedReadHalf>, heard: mpsc::Sender<(Instant, Report)>) {
    loop {
        let report = match read(&mut from, LONGEST_REPORT).await {
            Ok(report) => report,
            Err(why) => return log::info!("{why}"),
        };
        if heard.send((Instant::now(), report)).await.is_err() {
            return;
        }
    }
}

async fn read<T: DeserializeOwned>(from: &mut BufReader<OwnedReadHalf>, longest: u64) -> Result<T, String> {
    let mut text = Vec::new();
    from.take(longest).read_until(b'\n', &mut text).await.map_err(|why| format!("the line to Locust broke: {why}"))?;
    if !text.ends_with(b"\n") {
        return Err("Locust hung up".into());
    }
    serde_json::from_slice(&text)
        .map_err(|why| format!("what Locust said makes no sense ({why}); export the script again"))
}

async fn write(to: &mut OwnedWriteHalf, what: &impl Serialize) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(what)?;
    text.push(b'\n');
    to.write_all(&text).await
}
