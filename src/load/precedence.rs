//! Lets the generator's threads go first on a machine that it shares with the app. A stopwatch that waits for the
//! processor measures its own waiting; these threads need a few hundredths of a core. Everything here is a wish: where
//! the system does not grant it (no root, no Linux), the ramp goes on and its lag is measured all the same.

use std::fs::OpenOptions;
use std::io::Write;

/// Linux shares the processor between *sessions* first (`sched(7)`, the autogroup feature), so that thirty database
/// backends, each a session of its own, would count thirty times as much as we do.
const AUTOGROUP: &str = "/proc/self/autogroup";
/// As far ahead as a desktop puts its sound server.
const AHEAD: i32 = -10;

/// Precedence for this process's session, given back when dropped.
#[derive(Debug)]
pub(super) struct Precedence {
    granted: bool,
}

impl Precedence {
    /// Asks for it.
    pub fn ask() -> Self {
        Self { granted: set(AHEAD) }
    }
}

impl Drop for Precedence {
    fn drop(&mut self) {
        if self.granted {
            set(0);
        }
    }
}

fn set(nice: i32) -> bool {
    let file = OpenOptions::new().write(true).open(AUTOGROUP);
    file.is_ok_and(|mut file| file.write_all(nice.to_string().as_bytes()).is_ok())
}

/// Puts the calling thread before the other threads of its session.
pub(super) fn thread_first() {
    // On Linux this is the calling thread alone.
    let _ = rustix::process::setpriority_process(None, AHEAD);
}
