//! Asks the site's health endpoint every two seconds, apart from the users, for the breaker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::Method;
use tokio::sync::mpsc;
use url::Url;

use super::guard::Limits;
use super::stage::Stage;
use super::wire::{Fault, Wire};
use super::{LoadError, Signal, client};

/// Time from one question to the next.
const EVERY: Duration = Duration::from_secs(2);
/// Longest time the health endpoint may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Failures in a row, shared with whoever asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Heartbeat(Arc<AtomicU32>);

impl Heartbeat {
    /// What asks: apart from the users, and no more patient than the breakers.
    ///
    /// # Errors
    /// When the target has no address.
    pub async fn wire(target: &Url, limits: &Limits) -> Result<Wire, LoadError> {
        Ok(client::prepare(target, &[], TIMEOUT.max(limits.stuck_after())).await?.build())
    }

    /// The watch over a stage's health endpoint; a note when there can be none.
    pub async fn of(stage: &Stage, path: &str, nurse: Wire, signals: &mpsc::UnboundedSender<Signal>) -> Option<Self> {
        let started = async {
            if path.is_empty() {
                return Err("none is set".to_owned());
            }
            let url = stage.target.join(path).map_err(|e| e.to_string())?;
            let headers = stage.script.common_headers(stage.pool);
            Self::start(nurse, url, headers).await
        };
        match started.await {
            Ok(heartbeat) => Some(heartbeat),
            Err(why) => {
                let note = format!("the ramp runs without a breaker on the health endpoint: {why}");
                let _ = signals.send(Signal::Note(note));
                None
            }
        }
    }

    /// Asks once; when that is answered well, goes on asking on the current runtime until that runtime ends.
    ///
    /// # Errors
    /// What the endpoint said when it does not work before there is any load: then a breaker on it means nothing.
    pub async fn start(wire: Wire, url: Url, headers: reqwest::header::HeaderMap) -> Result<Self, String> {
        ask(&wire, &url, &headers).await?;
        let beat = Self::default();
        let failures = Arc::downgrade(&beat.0);
        tokio::spawn(async move {
            // By the clock, however long an answer takes: three failures of a site that hangs must not take twice as long.
            let mut clock = tokio::time::interval(EVERY);
            clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            clock.tick().await;
            loop {
                clock.tick().await;
                let answer = ask(&wire, &url, &headers).await;
                let Some(failures) = failures.upgrade() else { return };
                match answer {
                    Ok(()) => failures.store(0, Ordering::Relaxed),
                    Err(_) => _ = failures.fetch_add(1, Ordering::Relaxed),
                }
            }
        });
        Ok(beat)
    }

    /// How many times in a row it has failed.
    pub fn failures(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

async fn ask(wire: &Wire, url: &Url, headers: &reqwest::header::HeaderMap) -> Result<(), String> {
    match wire.send(wire.request(Method::GET, url.clone()).headers(headers.clone())).await {
        Ok(answer) if answer.status.is_success() => Ok(()),
        Ok(answer) => Err(format!("it answered {}", answer.status.as_u16())),
        Err(Fault::Late) => Err("it did not answer in time".into()),
        Err(_) => Err("it could not be reached".into()),
    }
}
