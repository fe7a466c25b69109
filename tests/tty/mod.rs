//! A program in a real pseudo-terminal: its keys, its screen, its end. Waits for what it expects, with a limit; never
//! sleeps.
#![allow(dead_code, reason = "each test uses its part")]
#![expect(clippy::expect_used, reason = "a test may fail loudly")]

use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

pub fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).expect("a terminal has cells")
}

/// What has arrived: the screen as a terminal would show it, and every byte.
pub struct Seen {
    pub screen: vt100::Parser,
    pub bytes: Vec<u8>,
    closed: bool,
}

pub struct Tty {
    pub master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    pub child: Box<dyn Child + Send + Sync>,
    pub seen: Arc<(Mutex<Seen>, Condvar)>,
    pub echoes: bool,
    limit: Duration,
}

impl Tty {
    /// Starts a program in a terminal of 120x36; nothing is waited for longer than the limit.
    pub fn spawn(mut command: CommandBuilder, limit: Duration) -> Self {
        let pair = native_pty_system()
            .openpty(PtySize { rows: 36, cols: 120, pixel_width: 0, pixel_height: 0 })
            .expect("a pseudo-terminal");
        command.env("TERM", "xterm-256color");
        command.env("RUST_BACKTRACE", "0");
        let echoes = echoes(&*pair.master);
        let child = pair.slave.spawn_command(command).expect("the program starts");
        // The master reads an end only when nobody holds the other side.
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let seen = Seen { screen: vt100::Parser::new(cells(36), cells(120), 0), bytes: Vec::new(), closed: false };
        let seen = Arc::new((Mutex::new(seen), Condvar::new()));
        let ours = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            loop {
                let read = reader.read(&mut buffer).unwrap_or(0);
                let (lock, told) = &*ours;
                let mut seen = lock.lock().expect("nobody panicked with it");
                seen.screen.process(&buffer[..read]);
                seen.bytes.extend_from_slice(&buffer[..read]);
                seen.closed = read == 0;
                told.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        let keys = pair.master.take_writer().expect("a writer");
        Self { master: pair.master, keys, child, seen, echoes, limit }
    }

    /// Waits until what was seen fulfils a wish.
    pub fn wait_until(&self, wish: &str, fulfilled: impl Fn(&Seen) -> bool) {
        let (lock, told) = &*self.seen;
        let end = Instant::now() + self.limit;
        let mut seen = lock.lock().expect("nobody panicked with it");
        while !fulfilled(&seen) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && !seen.closed,
                "never saw {wish}; the screen is\n{}",
                seen.screen.screen().contents()
            );
            seen = told.wait_timeout(seen, left).expect("nobody panicked with it").0;
        }
    }

    pub fn wait_for(&self, text: &str) {
        self.wait_until(text, |seen| seen.screen.screen().contents().contains(text));
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).and_then(|()| self.keys.flush()).expect("the terminal takes keys");
    }

    pub fn signal(&self, signal: Signal) {
        let number = self.child.process_id().and_then(|id| i32::try_from(id).ok()).expect("it runs");
        kill_process(Pid::from_raw(number).expect("a process id"), signal).expect("it can be signalled");
    }

    /// Waits until the process itself is in this state of `/proc/PID/stat`.
    pub fn wait_process(&self, state: char) {
        let id = self.child.process_id().expect("it runs");
        let end = Instant::now() + self.limit;
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            if stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(state)) {
                return;
            }
            assert!(Instant::now() < end, "never in state {state}: {stat}");
            std::thread::yield_now();
        }
    }

    /// Waits for its end, and for all that it said.
    pub fn end(&mut self) -> ExitStatus {
        let (lock, told) = &*self.seen;
        let end = Instant::now() + self.limit;
        let mut seen = lock.lock().expect("nobody panicked with it");
        while !seen.closed && Instant::now() < end {
            seen = told.wait_timeout(seen, self.limit).expect("nobody panicked with it").0;
        }
        if !seen.closed {
            let shown = seen.screen.screen().contents();
            drop(seen);
            // A process that does not end must not hold the test, nor outlive it.
            self.child.kill().expect("it can be killed");
            panic!("it does not end; it shows\n{shown}");
        }
        drop(seen);
        self.child.wait().expect("it ends")
    }

    /// All that was taken was given back.
    pub fn assert_given_back(&self) {
        let (lock, _) = &*self.seen;
        let seen = lock.lock().expect("nobody panicked with it");
        let screen = seen.screen.screen();
        assert!(!screen.alternate_screen(), "the alternate screen is still up");
        assert!(!screen.hide_cursor(), "the cursor is hidden");
        assert!(!screen.bracketed_paste(), "bracketed paste is still on");
        let text = String::from_utf8_lossy(&seen.bytes);
        assert!(text.rfind("\x1b[?1000h") <= text.rfind("\x1b[?1000l"), "the mouse is still taken");
        assert!(text.rfind("\x1b[?1007h") < text.rfind("\x1b[?1007l"), "the wheel still sends arrows to a shell");
        assert_eq!(
            text.matches("\x1b[?1049h").count(),
            text.matches("\x1b[?1049l").count(),
            "left as often as entered"
        );
        assert_eq!(text.matches("\x1b[?2026h").count(), text.matches("\x1b[?2026l").count(), "a frame was left open");
        assert_eq!(echoes(&*self.master), self.echoes, "typed text does not show");
    }

    pub fn contents(&self) -> String {
        self.seen.0.lock().expect("nobody panicked with it").screen.screen().contents()
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        // A test that failed leaves nobody behind.
        let _ = self.child.kill();
    }
}

/// Whether the terminal shows what is typed, as it does outside raw mode.
pub fn echoes(master: &dyn MasterPty) -> bool {
    const ECHO: u32 = 0o10;
    master.get_termios().is_some_and(|settings| settings.local_flags.bits() & ECHO != 0)
}
