//! The borrowed terminal: taken once, given back once, whatever happens in between.
//!
//! `leave` may be called from the loop, from a panic in any thread and from a signal's branch; an atomic flag lets
//! only the first of them act. Nothing here knows what is drawn.

use std::io::{self, Write, stdout};
use std::mem::ManuallyDrop;
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::style::Print;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use tokio::sync::Notify;

/// The wheel sends arrow keys while the alternate screen is up, without taking the mouse.
const ALTERNATE_SCROLL: &str = "\x1b[?1007h";
const NO_ALTERNATE_SCROLL: &str = "\x1b[?1007l";
/// Presses and the wheel, in coordinates of any size; not every movement, as crossterm would ask for.
const MOUSE: &str = "\x1b[?1000h\x1b[?1006h";
const NO_MOUSE: &str = "\x1b[?1006l\x1b[?1000l";
const BEGIN_FRAME: &[u8] = b"\x1b[?2026h";
const END_FRAME: &[u8] = b"\x1b[?2026l";

static TAKEN: AtomicBool = AtomicBool::new(false);
/// Told when a panic took the screen away.
static TORN: Notify = Notify::const_new();

/// Never dropped: ratatui's own `Drop` shows the cursor once more and prints when that fails, and printing panics when
/// the terminal has gone. [`leave`] shows the cursor.
pub(super) type Screen = ManuallyDrop<Terminal<CrosstermBackend<Frames>>>;

/// Takes the terminal: raw mode, alternate screen, bracketed paste, wheel as arrows, no cursor.
pub(super) fn enter() -> io::Result<()> {
    hook();
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    enable_raw_mode().and_then(|()| {
        execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste, Print(ALTERNATE_SCROLL), cursor::Hide)
    })
}

/// Gives it back; does nothing when it is not taken.
pub(super) fn leave() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // There is nobody left to tell when the terminal itself is gone.
    let _ = execute!(
        stdout(),
        Print(NO_MOUSE),
        Print(NO_ALTERNATE_SCROLL),
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = disable_raw_mode();
}

/// Takes the mouse, or leaves it to the terminal.
pub(super) fn mouse(on: bool) -> io::Result<()> {
    execute!(stdout(), Print(if on { MOUSE } else { NO_MOUSE }))
}

/// Sends text to the terminal's clipboard (OSC 52). Whether it takes it, nobody says.
pub(super) fn copy(text: &str) -> io::Result<()> {
    execute!(stdout(), CopyToClipboard::to_clipboard_from(text))
}

/// True while it is taken.
pub(super) fn taken() -> bool {
    TAKEN.load(Ordering::SeqCst)
}

/// Waits until a panic gave the terminal back.
pub(super) async fn torn() {
    TORN.notified().await;
}

/// A new screen to draw on, of the terminal's size.
pub(super) fn screen() -> io::Result<Screen> {
    let frames = Frames { out: stdout(), frame: Vec::with_capacity(64 * 1024) };
    Terminal::new(CrosstermBackend::new(frames)).map(ManuallyDrop::new)
}

/// Gives the terminal back when dropped, for returns that nobody planned.
pub(super) struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        leave();
    }
}

/// A panic anywhere first gives the terminal back, so that its message lands where it can be read.
fn hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if taken() {
                leave();
                TORN.notify_one();
            }
            before(info);
        }));
    });
}

/// Collects a frame and writes it at once, as one synchronized update.
pub(super) struct Frames {
    out: io::Stdout,
    frame: Vec<u8>,
}

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.frame.is_empty() {
            self.frame.extend_from_slice(BEGIN_FRAME);
        }
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        self.frame.extend_from_slice(END_FRAME);
        let written = self.out.write_all(&self.frame).and_then(|()| self.out.flush());
        self.frame.clear();
        written
    }
}
