//! A Redis for tests that answers what it is told to, after as long as a network would take. Tests alone use it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::domain::secret::Secret;
use crate::domain::site::Key;
use crate::probes::redis::Redis;

/// One that runs until its task is dropped with the test's runtime.
pub(super) struct Server(u16);

impl Server {
    pub async fn redis(&self) -> Redis {
        let secret = Secret::new(format!("redis://127.0.0.1:{}/0", self.0));
        Redis::connect(&Key { variable: "BROKER_URL".to_owned(), secret }, "a Redis for tests").await.unwrap()
    }
}

pub(super) fn ok() -> String {
    "+OK\r\n".to_owned()
}

pub(super) fn none() -> String {
    "$-1\r\n".to_owned()
}

pub(super) fn text(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

pub(super) fn number(number: u64) -> String {
    format!(":{number}\r\n")
}

pub(super) fn list(items: impl IntoIterator<Item = String>) -> String {
    let items: Vec<String> = items.into_iter().collect();
    format!("*{}\r\n{}", items.len(), items.concat())
}

/// Answers each command by `answer`, all that came in one go after one `delay`.
pub(super) async fn serve(delay: Duration, answer: impl Fn(&[String]) -> String + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(speak(stream, delay, answer.clone()));
        }
    });
    Server(port)
}

async fn speak(stream: TcpStream, delay: Duration, answer: Arc<impl Fn(&[String]) -> String>) {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::with_capacity(1 << 20, reading);
    while let Some(words) = command(&mut reading).await {
        let mut said = answer(&words);
        while !reading.buffer().is_empty() {
            let Some(words) = command(&mut reading).await else { return };
            said += &answer(&words);
        }
        tokio::time::sleep(delay).await;
        if writing.write_all(said.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn command(reading: &mut (impl AsyncBufRead + Unpin)) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for _ in 0..head(reading).await? {
        let mut word = vec![0; head(reading).await? + 2];
        reading.read_exact(&mut word).await.ok()?;
        words.push(String::from_utf8_lossy(&word[..word.len() - 2]).into_owned());
    }
    Some(words)
}

/// The number behind `*` or `$`.
async fn head(reading: &mut (impl AsyncBufRead + Unpin)) -> Option<usize> {
    let mut line = String::new();
    reading.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    line.get(1..)?.trim().parse().ok()
}
