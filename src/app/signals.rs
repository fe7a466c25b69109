//! SIGINT, SIGTERM and SIGHUP as a stream. SIGINT is taken by `ctrlc` before goose can, which would otherwise leave
//! the process in the middle of a ramp.

use std::future::pending;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::session::Trouble;
use crate::headless::exit;

/// Signals that ask the program to leave.
pub struct Signals {
    interrupts: mpsc::UnboundedReceiver<()>,
    terminate: Signal,
    hangup: Signal,
    deadline: Option<Instant>,
}

impl Signals {
    /// Takes the signals over. Call once, before any ramp.
    ///
    /// # Errors
    /// When the operating system refuses, or somebody else has taken SIGINT.
    pub fn take() -> Result<Self, Trouble> {
        let (sender, interrupts) = mpsc::unbounded_channel();
        ctrlc::set_handler(move || {
            // Without a reader the program is leaving already.
            let _ = sender.send(());
        })
        .map_err(|e| Trouble::Broken(anyhow::Error::new(e).context("SIGINT cannot be taken over")))?;
        Ok(Self {
            interrupts,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            deadline: None,
        })
    }

    /// Counts the end of so long a time as a signal, too: there was not enough of it to decide.
    #[must_use]
    pub fn within(self, time: Option<Duration>) -> Self {
        Self { deadline: time.map(|time| Instant::now() + time), ..self }
    }

    /// The next one, as the exit code it stands for.
    pub async fn next(&mut self) -> u8 {
        tokio::select! {
            Some(()) = self.interrupts.recv() => exit::INTERRUPTED,
            _ = self.terminate.recv() => exit::TERMINATED,
            _ = self.hangup.recv() => 129,
            () = over(self.deadline) => exit::INCONCLUSIVE,
        }
    }
}

async fn over(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
