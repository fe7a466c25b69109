//! The terminal is borrowed: in a real pseudo-terminal, it is given back on every way out.
//!
//! Drives the example that plays the story. Waits for what it expects, with a limit; never sleeps.
#![expect(clippy::expect_used, reason = "a test may fail loudly")]

mod tty;

use std::io::Read;
use std::path::PathBuf;
use std::sync::Once;
use std::time::Duration;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process_group};
use tty::{Tty, echoes};

const LIMIT: Duration = Duration::from_secs(20);

/// The example beside the test's own binary. `cargo test` builds it; a test run alone may have to.
fn program() -> PathBuf {
    static BUILD: Once = Once::new();
    let tests = std::env::current_exe().expect("this binary");
    let folder = tests.parent().and_then(|deps| deps.parent()).expect("the target folder");
    let program = folder.join("examples").join("tui_replay");
    BUILD.call_once(|| {
        if !program.exists() {
            let built = std::process::Command::new(env!("CARGO"))
                .args(["build", "--example", "tui_replay"])
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status();
            assert!(built.is_ok_and(|status| status.success()), "the example could not be built");
        }
    });
    program
}

/// The example that plays the story.
fn story(arguments: &[&str]) -> Tty {
    let mut command = CommandBuilder::new(program());
    command.args(arguments);
    command.cwd(env!("CARGO_MANIFEST_DIR"));
    Tty::spawn(command, LIMIT)
}

#[test]
fn quitting_gives_the_terminal_back() {
    let mut tty = story(&[]);
    tty.wait_for("Do this next");
    assert!(!echoes(&*tty.master), "raw while it is up");
    tty.press("q");
    tty.wait_for("Leave rampup?");
    tty.press("y");
    assert_eq!(tty.end().exit_code(), 0);
    tty.assert_given_back();
}

#[test]
fn the_story_runs_from_a_key_to_a_verdict() {
    let mut tty = story(&["--speed", "200"]);
    tty.wait_for("Do this next");
    tty.press("r");
    tty.wait_for("4 of 5 answered");
    tty.press("R");
    tty.wait_for("Run step 5 PgBouncer?");
    tty.press("y");
    tty.wait_for("Latency, ms");
    tty.wait_for("PROVEN");
    tty.press("\x03");
    assert_eq!(tty.end().exit_code(), 0);
    tty.assert_given_back();
}

#[test]
fn signals_end_it_with_their_number() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut tty = story(&[]);
        tty.wait_for("Do this next");
        tty.signal(signal);
        assert_eq!(tty.end().exit_code(), code);
        tty.assert_given_back();
    }
}

/// Whoever closes the window leaves, too: what runs behind the screen must be told, not torn down by a panic.
#[test]
fn a_closed_terminal_ends_it_in_order() {
    let size = PtySize { rows: 36, cols: 120, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
    let mut command = CommandBuilder::new(program());
    command.cwd(env!("CARGO_MANIFEST_DIR"));
    command.env("TERM", "xterm-256color");
    let mut child = pair.slave.spawn_command(command).expect("the example starts");
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().expect("a reader");
    let (drawn, shown) = std::sync::mpsc::channel();
    // It lets go of the terminal once the screen is up.
    std::thread::spawn(move || {
        let (mut seen, mut buffer) = (Vec::new(), [0; 8192]);
        while !String::from_utf8_lossy(&seen).contains("Do this next") {
            match reader.read(&mut buffer) {
                Ok(read) if read > 0 => seen.extend_from_slice(&buffer[..read]),
                _ => return,
            }
        }
        drop(reader);
        drawn.send(()).expect("the test waits");
    });
    shown.recv_timeout(LIMIT).expect("the screen is drawn");
    drop(pair.master);
    // By the signal, or by the error of a frame that could not be drawn, whichever comes first.
    let code = child.wait().expect("it ends").exit_code();
    assert!([1, 129].contains(&code), "{code}");
}

#[test]
fn a_panic_beside_the_screen_gives_it_back_first() {
    let mut tty = story(&["--panic-ui"]);
    tty.wait_for("Do this next");
    tty.press("r");
    assert_eq!(tty.end().exit_code(), 101);
    tty.assert_given_back();
    assert!(tty.contents().contains("a panic beside the screen"), "{}", tty.contents());
}

#[test]
fn a_panic_in_a_task_ends_the_screen_too() {
    let mut tty = story(&["--panic-task"]);
    tty.wait_for("Do this next");
    tty.press("r");
    assert_eq!(tty.end().exit_code(), 1);
    tty.assert_given_back();
    assert!(tty.contents().contains("a panic in a task"), "{}", tty.contents());
}

#[test]
fn ctrl_z_and_a_stop_signal_sleep_and_come_back() {
    let mut tty = story(&[]);
    tty.wait_for("Do this next");
    for by_key in [true, false] {
        if by_key {
            tty.press("\x1a");
        } else {
            tty.signal(Signal::TSTP);
        }
        tty.wait_process('T');
        tty.wait_until("the shell's screen", |seen| !seen.screen.screen().alternate_screen());
        assert_eq!(echoes(&*tty.master), tty.echoes, "asleep, the shell has its terminal");
        tty.signal(Signal::CONT);
        let again = format!("the screen again (by key: {by_key})");
        tty.wait_until(&again, |seen| {
            seen.screen.screen().alternate_screen() && seen.screen.screen().contents().contains("Do this next")
        });
        // A terminal may keep the old picture, so what counts is that keys work.
        tty.press("?");
        tty.wait_for("Help: overview");
        tty.press("?");
        tty.wait_until("no help", |seen| !seen.screen.screen().contents().contains("Help: overview"));
    }
    tty.press("\x03");
    assert_eq!(tty.end().exit_code(), 0);
    tty.assert_given_back();
}

#[test]
fn another_size_is_another_layout() {
    let mut tty = story(&[]);
    tty.wait_for("Steps");
    for (rows, cols, text) in
        [(24, 80, "[5○]"), (10, 40, "5 PgBouncer open"), (36, 120, "Capacity proven, step by step")]
    {
        tty.seen
            .0
            .lock()
            .expect("nobody panicked with it")
            .screen
            .screen_mut()
            .set_size(tty::cells(rows), tty::cells(cols));
        tty.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).expect("it resizes");
        tty.wait_for(text);
    }
    tty.press("\x03");
    assert_eq!(tty.end().exit_code(), 0);
    tty.assert_given_back();
}

#[test]
fn a_storm_of_sizes_ends_in_a_whole_screen() {
    let mut tty = story(&[]);
    tty.wait_for("Do this next");
    for n in 0..200_u16 {
        let (rows, cols) = (10 + n % 40, 30 + (n * 7) % 120);
        tty.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).expect("it resizes");
    }
    tty.master.resize(PtySize { rows: 36, cols: 120, pixel_width: 0, pixel_height: 0 }).expect("it resizes");
    tty.wait_until("a whole screen", |seen| seen.screen.screen().contents().contains("Checks of step 5"));
    tty.master.resize(PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 }).expect("it resizes");
    tty.wait_until("80 columns", |seen| seen.screen.screen().contents().contains("Steps"));
    tty.press("\x03");
    assert_eq!(tty.end().exit_code(), 0);
    tty.assert_given_back();
}

/// Keys between two sizes come with the signal of one, as often as not.
#[test]
fn no_key_is_lost_among_new_sizes() {
    let mut tty = story(&[]);
    tty.wait_for("Do this next");
    for n in 0..50_u16 {
        let size = |cols| PtySize { rows: 36, cols, pixel_width: 0, pixel_height: 0 };
        tty.master.resize(size(100 + n % 20)).expect("it resizes");
        tty.press("?");
        tty.master.resize(size(120)).expect("it resizes");
        tty.wait_until("help", |seen| seen.screen.screen().contents().contains("Help: overview"));
        tty.press("?");
        tty.wait_until("no help", |seen| !seen.screen.screen().contents().contains("Help: overview"));
    }
    tty.press("\x03");
    assert_eq!(tty.end().exit_code(), 0);
}

#[test]
fn a_pasted_kilobyte_presses_no_key() {
    let mut tty = story(&[]);
    tty.wait_for("Do this next");
    let pasted = "Ry\x03q".repeat(256);
    tty.press(&format!("\x1b[200~{pasted}\x1b[201~"));
    tty.press("?");
    tty.wait_for("Help: overview");
    assert!(!tty.contents().contains("Run step"), "{}", tty.contents());
    tty.press("?\x03");
    assert_eq!(tty.end().exit_code(), 0);
    tty.assert_given_back();
}

/// The real program on a project whose settings are wrong in a way that a check finds: its file opens in the editor, which
/// has the terminal to itself, and the screen comes back.
#[test]
fn an_editor_gets_the_terminal_and_gives_it_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let rampup = |arguments: &[&str]| {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_rampup"));
        command.arg("-C");
        command.arg(folder.path());
        command.args(arguments);
        command
    };
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        rampup::store::atomic::write(&path, text.as_bytes()).expect("a file");
    };
    let mut made = Tty::spawn(rampup(&["init", "--url", "http://127.0.0.1:9", "--name", "shop"]), LIMIT);
    assert_eq!(made.end().exit_code(), 0, "{}", made.contents());
    write("manage.py", "import os\nos.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"shop.settings\")\n");
    write("shop/settings.py", "DEBUG = False\n\nDEFAULT_FILE_STORAGE = \"storages.backends.s3.S3Storage\"\n");
    // It is put to sleep once, as vim does at ctrl-z: its whole group.
    let editor = "#!/bin/sh\nprintf 'EDITOR %s\\n' \"$*\"\nread a\nkill -TSTP 0\nprintf 'AWAKE\\n'\nread b\n";
    write("editor.sh", editor);
    let mut command = rampup(&["--theme", "dark"]);
    command.env("VISUAL", format!("sh {}", folder.path().join("editor.sh").display()));
    let mut tty = Tty::spawn(command, LIMIT);
    tty.wait_for("Do this next");
    tty.press("M2r");
    tty.wait_for("17 of 17 answered");
    // The last check but six asks the repository.
    tty.press("Gkkkkkk");
    tty.wait_for("shop/settings.py:3");
    tty.press("o");
    tty.wait_for("EDITOR");
    let line = tty.contents();
    assert!(line.contains("+3") && line.contains("shop/settings.py"), "{line}");
    assert!(echoes(&*tty.master), "the editor finds the terminal as a shell would");
    tty.press("jjq\n");
    tty.wait_process('T');
    let group = tty.child.process_id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).expect("it runs");
    kill_process_group(group, Signal::CONT).expect("the job goes on");
    tty.wait_for("AWAKE");
    tty.press("q\n");
    tty.wait_for("back from shop/settings.py");
    tty.press("\x03");
    assert_eq!(tty.end().exit_code(), 0);
    tty.assert_given_back();
}

#[test]
fn init_asks_shows_the_file_and_writes_it_at_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let rampup = || {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_rampup"));
        command.args(["--theme", "dark", "-C"]);
        command.arg(folder.path());
        command.arg("init");
        command
    };
    let file = folder.path().join("rampup.toml");
    let mut tty = Tty::spawn(rampup(), LIMIT);
    tty.wait_for("Questions");
    tty.press("\x1b");
    assert_eq!(tty.end().exit_code(), 0);
    tty.assert_given_back();
    assert!(!file.exists(), "whoever leaves has written nothing");
    let mut tty = Tty::spawn(rampup(), LIMIT);
    tty.wait_for("Questions");
    tty.press("shop.example\r");
    tty.wait_for("is no address");
    tty.press("\x15https://shop.example\r");
    tty.wait_for("url = \"https://shop.example\"");
    for _ in 0..10 {
        tty.press("\r");
    }
    assert_eq!(tty.end().exit_code(), 0);
    tty.assert_given_back();
    let written = std::fs::read_to_string(&file).expect("it is written");
    assert!(written.contains("url = \"https://shop.example\""), "{written}");
}
