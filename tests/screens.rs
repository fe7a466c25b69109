//! Screens drawn from the story, with no terminal: what they show, that nothing can break them, what they cost.
#![expect(clippy::expect_used, reason = "a test may fail loudly")]

mod story;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use proptest::prelude::*;
use rampup::domain::command::Command;
use rampup::domain::event::EventKind;
use rampup::domain::event::Feed;
use rampup::domain::progress::StepState;
use rampup::tui::keys::TABLE;
use rampup::tui::model::Model;
use rampup::tui::theme::{Look, Role, Theme, Tier};
use rampup::tui::update::{Msg, Out, update};
use rampup::tui::view;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use story::Ending;
use unicode_width::UnicodeWidthStr;

/// A screen and what was asked of the engine so far.
struct Session {
    model: Model,
    size: (u16, u16),
    asked: Vec<Out>,
}

impl Session {
    fn new(look: Look, size: (u16, u16)) -> Self {
        Self { model: Model::new(story::start(look), size, story::dawn()), size, asked: Vec::new() }
    }

    fn tell(&mut self, msg: Msg) {
        let outs = update(&mut self.model, msg);
        self.asked.extend(outs);
    }

    fn press(&mut self, code: KeyCode, modifiers: KeyModifiers) {
        self.tell(Msg::Key(KeyEvent::new(code, modifiers)));
    }

    /// Presses one key a character; `\n` is enter, `\x1b` esc, `\t` tab, `\x03` ctrl-c, `v` down is `↓`.
    fn keys(&mut self, keys: &str) {
        for c in keys.chars() {
            match c {
                '\n' => self.press(KeyCode::Enter, KeyModifiers::NONE),
                '\x1b' => self.press(KeyCode::Esc, KeyModifiers::NONE),
                '\t' => self.press(KeyCode::Tab, KeyModifiers::NONE),
                '\x03' => self.press(KeyCode::Char('c'), KeyModifiers::CONTROL),
                '↓' => self.press(KeyCode::Down, KeyModifiers::NONE),
                c => self.press(KeyCode::Char(c), KeyModifiers::NONE),
            }
        }
    }

    fn feed(&mut self, feeds: impl IntoIterator<Item = Feed>) {
        for feed in feeds {
            if let Feed::Event(event) = &feed {
                self.tell(Msg::Tick(event.at));
            }
            self.tell(feed.into());
        }
    }

    /// Lets toasts go.
    fn wait(&mut self) {
        self.tell(Msg::Tick("2026-11-23T15:00:00Z".parse().expect("an instant")));
    }

    fn buffer(&self) -> Buffer {
        let area = Rect::new(0, 0, self.size.0, self.size.1);
        let mut buf = Buffer::empty(area);
        view::draw(&self.model, area, &mut buf);
        buf
    }

    fn text(&self) -> String {
        rows(&self.buffer()).join("\n")
    }
}

fn rows(buf: &Buffer) -> Vec<String> {
    let area = buf.area;
    (0..area.height)
        .map(|y| {
            let row: String = (0..area.width).map(|x| buf[(x, y)].symbol().to_owned()).collect();
            row.trim_end().to_owned()
        })
        .collect()
}

/// The story up to this second of its ramp.
fn until(second: u32, ending: Ending) -> Vec<Feed> {
    let reached = |feed: &Feed| match feed {
        Feed::Event(event) => matches!(&event.kind, EventKind::Sample { sample } if sample.second >= second),
        _ => false,
    };
    let feeds = story::climbed(ending);
    let end = feeds.iter().position(reached).map_or(feeds.len(), |at| at + 1);
    feeds.into_iter().take(end).collect()
}

/// Every screen there is, by name.
fn screens(look: Look, size: (u16, u16)) -> Vec<(&'static str, Session)> {
    let mut all = Vec::new();
    let mut add = |name, build: &dyn Fn(&mut Session)| {
        let mut session = Session::new(look, size);
        build(&mut session);
        all.push((name, session));
    };
    add("overview", &|_| ());
    add("overview_locked", &|s| s.keys("↓↓↓"));
    add("overview_held", &|s| {
        s.feed(story::held());
        s.wait();
    });
    add("overview_stale", &|s| {
        s.tell(Msg::States(story::stale()));
        s.keys("4\x1b");
    });
    add("playbook", &|s| s.keys("\n"));
    add("checks", &|s| {
        s.keys("\n\t");
        s.feed(story::held());
        s.keys("↓↓");
        s.wait();
    });
    add("evidence", &|s| {
        s.feed(story::held());
        s.keys("\n\t\n");
        s.wait();
    });
    add("ask_run", &|s| s.keys("R"));
    add("ramp_climb", &|s| {
        s.feed(until(30, Ending::Holds));
        s.wait();
    });
    add("ramp_hold", &|s| {
        s.feed(until(100, Ending::Holds));
        s.wait();
    });
    add("ramp_breaks", &|s| {
        s.feed(until(100, Ending::Breaks));
        s.wait();
    });
    add("ramp_paused", &|s| {
        s.feed(until(100, Ending::Holds));
        s.keys("hhh");
        s.wait();
    });
    add("ask_stop", &|s| {
        s.feed(until(100, Ending::Holds));
        s.wait();
        s.keys("s");
    });
    add("verdict_proven", &|s| {
        s.feed(story::climbed(Ending::Holds));
        s.wait();
    });
    add("verdict_held", &|s| {
        s.feed(story::climbed(Ending::Breaks));
        s.wait();
    });
    add("verdict_unsure", &|s| {
        s.feed(story::climbed(Ending::Unsure));
        s.wait();
    });
    add("verdict_held_by_checks", &|s| {
        s.feed(story::held());
        s.keys("v");
        s.wait();
    });
    add("history", &|s| s.keys("H"));
    add("history_refused", &|s| s.keys("H↓↓b↓↓"));
    add("replay_hold", &|s| {
        s.keys("H");
        s.tell(Msg::Recorded(
            "20261122T090000Z-51a7".into(),
            Some(story::step_id(5)),
            Ok(story::recorded(Ending::Breaks)),
        ));
        s.keys("llllll ");
    });
    add("replay_end", &|s| {
        s.keys("H");
        s.tell(Msg::Recorded(
            "20261122T090000Z-51a7".into(),
            Some(story::step_id(5)),
            Ok(story::recorded(Ending::Holds)),
        ));
        s.keys("llllllllllllllllllll");
    });
    add("commands", &|s| s.keys(":"));
    add("commands_found", &|s| s.keys(":histo"));
    add("waive", &|s| s.keys("4\x1b↓w"));
    add("waive_unsaid", &|s| {
        s.keys("\n\t↓w\n");
    });
    add("help", &|s| s.keys("?"));
    add("help_ramp", &|s| {
        s.feed(until(100, Ending::Holds));
        s.wait();
        s.keys("?");
    });
    all
}

#[test]
fn screens_look_as_they_were_looked_at() {
    for size in [(120, 36), (80, 24)] {
        for (name, session) in screens(Look::default(), size) {
            insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), session.text());
        }
    }
}

#[test]
fn ascii_screens_are_ascii_and_have_the_same_shape() {
    let look = Look { ascii: true, ..Look::default() };
    for size in [(120, 36), (80, 24), (50, 14)] {
        for (name, session) in screens(look, size) {
            let text = session.text();
            assert!(text.is_ascii(), "{name} at {size:?}:\n{text}");
            if ["overview", "ramp_hold", "verdict_proven"].contains(&name) {
                insta::assert_snapshot!(format!("{name}_{}x{}_ascii", size.0, size.1), text);
            }
        }
    }
}

#[test]
fn a_small_terminal_gets_a_card() {
    for (name, session) in screens(Look::default(), (40, 12)) {
        if ["overview", "ramp_hold", "verdict_held", "history", "commands"].contains(&name) {
            insta::assert_snapshot!(format!("{name}_card"), session.text());
        }
        assert!(!session.text().contains("too small"), "{name}");
    }
}

/// One letter a cell: which role it was drawn in.
fn styles(buf: &Buffer, look: Look) -> String {
    let letter = |style: ratatui::style::Style| {
        let names = [
            ('m', Role::Muted),
            ('P', Role::Pass),
            ('F', Role::Fail),
            ('W', Role::Warn),
            ('a', Role::Focus),
            ('9', Role::P99),
            ('s', Role::Strong),
        ];
        names.into_iter().find(|(_, role)| {
            let wanted = look.style(*role);
            wanted.fg.unwrap_or_default() == style.fg.unwrap_or_default() && wanted.add_modifier == style.add_modifier
        })
    };
    let area = buf.area;
    (0..area.height)
        .map(|y| {
            let row: String = (0..area.width)
                .map(|x| match &buf[(x, y)] {
                    cell if cell.symbol() == " " => ' ',
                    cell => letter(cell.style()).map_or('.', |(letter, _)| letter),
                })
                .collect();
            row.trim_end().to_owned()
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn colours_fall_where_they_were_meant() {
    for (name, session) in screens(Look::default(), (80, 24)) {
        if ["overview_held", "ramp_breaks", "verdict_held"].contains(&name) {
            insta::assert_snapshot!(format!("{name}_styles"), styles(&session.buffer(), Look::default()));
        }
    }
}

#[test]
fn no_background_is_painted_and_every_sign_is_one_column_wide() {
    for tier in [Tier::Mono, Tier::Sixteen, Tier::Indexed] {
        for (name, mut session) in screens(Look { theme: Theme::Dark, tier, ascii: false }, (120, 36)) {
            for _ in Theme::ALL {
                session.keys("T");
                for cell in &session.buffer().content {
                    assert_eq!(cell.bg, ratatui::style::Color::Reset, "{name}");
                    assert!(cell.symbol().width() == 1, "{name}: {:?}", cell.symbol());
                }
            }
        }
    }
}

#[test]
fn footers_fit_and_end_with_help() {
    for (name, mut session) in screens(Look::default(), (80, 24)) {
        for columns in (60..=130).step_by(3) {
            session.size = (columns, 30);
            session.tell(Msg::Resize(columns, 30));
            let footer = rows(&session.buffer()).pop().expect("a footer");
            assert!(footer.width() <= usize::from(columns), "{name} at {columns}: {footer}");
            if !["ask", "commands", "waive"].iter().any(|over| name.starts_with(over)) {
                assert!(footer.ends_with("? help"), "{name} at {columns}: {footer}");
            }
        }
    }
}

#[test]
fn nothing_but_a_yes_starts_load_or_stops_it() {
    let mut session = Session::new(Look::default(), (120, 36));
    session.keys("R");
    assert!(session.text().contains("http://127.0.0.1:8080"), "the question names the target");
    assert!(session.text().contains("200"), "and the users");
    session.keys("nR\x1b");
    assert!(session.asked.is_empty());
    session.keys("Ry");
    assert_eq!(session.asked, [Out::Command(Command::Run(story::step_id(5)))]);
    session.feed(until(80, Ending::Holds));
    session.asked.clear();
    session.keys("s\x1b");
    assert!(session.asked.is_empty());
    session.keys("sy");
    assert_eq!(session.asked, [Out::Command(Command::Stop)]);
}

#[test]
fn commands_are_found_by_a_few_letters_and_do_what_their_key_does() {
    let mut session = Session::new(Look::default(), (120, 36));
    session.keys(":goto8\n");
    assert!(session.text().contains("8 Harden edge") && rows(&session.buffer())[0].contains("8 Harden"));
    session.keys(":hist\n");
    assert!(rows(&session.buffer())[0].contains("history"));
    // Letters are looked for, and mean nothing else.
    session.keys(":Rq?zzzz");
    assert!(session.text().contains("nothing is called so") && session.asked.is_empty());
    session.keys("\n\x1b:\x1b");
    // What cannot be done says why, like its key.
    session.keys("\x1b\x1b:stop what\n");
    assert!(session.text().contains("nothing is running"));
    session.keys("5:run whole\n");
    assert!(session.text().contains("Run step") && session.asked.is_empty(), "a command asks what its key asks");
}

#[test]
fn code_in_sight_is_copied_as_it_was_written_and_a_remedy_beside_its_check() {
    let mut session = Session::new(Look::default(), (120, 36));
    session.keys("\ny");
    let Some(Out::Copy(code)) = session.asked.pop() else { panic!("{:?}", session.asked) };
    let guide = &story::start(Look::default()).steps[4].guide;
    assert!(guide.contains(code.trim_end()) && code.lines().count() > 1, "{code}");
    session.keys("\ty");
    assert!(session.asked.is_empty() && session.text().contains("nothing to copy here"));
    session.feed(story::held());
    session.keys("↓↓y");
    let Some(Out::Copy(remedy)) = session.asked.pop() else { panic!("{:?}", session.asked) };
    assert!(session.text().contains(&remedy[..20]), "what is copied is what is read: {remedy}");
}

#[test]
fn a_waiver_is_signed_with_a_reason_and_a_day_to_come() {
    let mut session = Session::new(Look::default(), (120, 36));
    session.keys("w\n");
    assert!(session.asked.is_empty() && session.text().contains("write why it is acceptable"));
    session.keys("no uploads, y/n? q\t");
    session.press(KeyCode::Char('u'), KeyModifiers::CONTROL);
    session.keys("\n");
    assert!(session.asked.is_empty() && session.text().contains("who answers for it"));
    session.keys("ann\t");
    session.press(KeyCode::Char('u'), KeyModifiers::CONTROL);
    session.keys("2026-11-22\n");
    assert!(session.asked.is_empty() && session.text().contains("2026-11-22 is over"));
    session.press(KeyCode::Backspace, KeyModifiers::NONE);
    session.keys("8\n");
    let Some(Out::Command(Command::Waive(waiver))) = session.asked.pop() else { panic!("{:?}", session.asked) };
    assert_eq!((waiver.step, waiver.check, waiver.owner.as_str()), (story::step_id(5), None, "ann"));
    assert_eq!((waiver.reason.as_str(), waiver.until), ("no uploads, y/n? q", jiff::civil::date(2026, 11, 28)));
    // Beside the list of checks it is about one of them.
    session.keys("\n\t↓wlater\n");
    let Some(Out::Command(Command::Waive(waiver))) = session.asked.pop() else { panic!("{:?}", session.asked) };
    assert_eq!(waiver.check.map(|check| check.0).as_deref(), Some("pool.transaction-mode"));
}

#[test]
fn a_locked_step_says_what_unlocks_it_and_cannot_be_run() {
    let mut session = Session::new(Look::default(), (120, 36));
    session.keys("8");
    session.keys("\x1b");
    assert!(session.text().contains("It unlocks when step 7 Load tests is proven or waived. First comes step 5"));
    session.keys("R");
    assert!(session.asked.is_empty());
    assert!(session.text().lines().last().is_some_and(|footer| footer.contains("step 8 is locked")));
}

#[test]
fn the_live_screen_opens_by_itself_and_the_verdict_follows() {
    let mut session = Session::new(Look::default(), (120, 36));
    session.feed(until(50, Ending::Holds));
    assert!(session.text().contains("Latency, ms"));
    let mut session = Session::new(Look::default(), (120, 36));
    session.feed(story::climbed(Ending::Holds));
    assert!(session.text().contains("✓ PROVEN"));
    assert!(session.text().contains("Step 6, Background jobs, is unlocked"));
    assert!(session.text().contains("proven 200 of 1000 users"));
}

#[test]
fn the_view_stands_still_and_the_ramp_goes_on() {
    let mut session = Session::new(Look::default(), (120, 36));
    let feeds = until(110, Ending::Breaks);
    let seen = until(90, Ending::Breaks).len();
    session.feed(feeds[..seen].to_vec());
    let then = session.text();
    session.keys(" ");
    let still = session.text();
    session.feed(feeds[seen..].to_vec());
    let panes = |text: &str| text.lines().skip(5).take(14).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(panes(&session.text()), panes(&still), "what was paused does not move");
    assert!(rows(&session.buffer())[0].contains("view at 01:30") && session.text().contains("running"));
    session.keys(" ");
    assert_ne!(panes(&session.text()), panes(&still));
    // Twenty seconds back is what was to be seen then, but for the axis, which may have grown.
    session.keys("hh");
    assert!(rows(&session.buffer())[0].contains("view at 01:30"));
    let latency = |text: &str| text.lines().find(|line| line.contains("Latency")).map(str::to_owned);
    assert_eq!(latency(&session.text()), latency(&then));
    session.keys("lll");
    assert!(!rows(&session.buffer())[0].contains("view at"), "on to the end is on with the ramp");
    session.keys("hh\x1b");
    session.feed(story::climbed(Ending::Holds));
}

#[test]
fn a_recording_plays_at_its_pace_and_leaves_today_as_it_was() {
    let mut session = Session::new(Look::default(), (120, 36));
    let before = session.text();
    session.keys("H\n");
    let step = Some(story::step_id(5));
    assert_eq!(session.asked, [Out::Read("20261122T090000Z-51a7".into(), step)]);
    let events = story::recorded(Ending::Breaks);
    session.tell(Msg::Recorded("20261122T090000Z-51a7".into(), step, Ok(events)));
    let mut seen = std::collections::BTreeSet::new();
    let mut now = story::dawn();
    for _ in 0..400 {
        now += jiff::SignedDuration::from_millis(100);
        session.tell(Msg::Tick(now));
        let text = session.text();
        assert!(rows(&session.buffer())[0].contains("REPLAY"));
        seen.extend(
            ["Latency, ms", "✗ HELD", "PgBouncer lends per transaction"].into_iter().filter(|w| text.contains(w)),
        );
    }
    assert_eq!(seen.len(), 3, "checks, ramp and verdict were all shown: {seen:?}");
    assert!(!session.model.is_playing(), "a tape has an end");
    // Nothing can be asked of a recording, and what happens meanwhile is there when it is left.
    session.asked.clear();
    session.keys("rRs");
    assert!(session.asked.is_empty() && session.text().contains("this is a recording"));
    session.feed([Feed::States(vec![(story::step_id(5), StepState::Proven)])]);
    session.keys("\x1b\x1b\x1b\x1b\x1b");
    assert!(session.text().contains("5 PgBouncer") && !before.contains("REPLAY"));
    assert!(!rows(&session.buffer())[0].contains("REPLAY"));
    // Back and on again, and a log that cannot be read.
    session.keys("H\n");
    session.tell(Msg::Recorded("x".into(), step, Ok(story::recorded(Ending::Holds))));
    session.keys("lllllhhhhhhhhlll+-  ");
    session.tell(Msg::Recorded("x".into(), step, Err("no log of run x is here".to_owned())));
    assert!(session.text().contains("no log of run x is here"));
}

#[test]
fn no_screen_calls_a_step_proven_before_it_is_judged() {
    let feeds = story::climbed(Ending::Holds);
    let mut session = Session::new(Look::default(), (120, 36));
    for feed in feeds {
        let judged = matches!(&feed, Feed::Event(e) if matches!(e.kind, EventKind::StepJudged { .. }));
        if judged {
            break;
        }
        let often = matches!(&feed, Feed::Event(e) if e.kind.is_droppable() && e.seq % 20 != 0);
        session.feed([feed]);
        if !often {
            let text = session.text();
            assert!(!text.contains("PROVEN") && !text.contains("proven 200"), "{text}");
        }
    }
    session.feed([Feed::Busy(false)]);
    session.keys("\x1b\x1b\x1b");
    assert!(session.text().contains("proven 100 of 1000 users"), "a run that was cut off proves nothing");
}

#[test]
fn ctrl_c_stops_what_runs_then_leaves() {
    let mut session = Session::new(Look::default(), (80, 24));
    session.feed(until(60, Ending::Holds));
    session.keys("\x03");
    assert_eq!(session.asked, [Out::Command(Command::Stop)]);
    session.keys("\x03");
    assert_eq!(session.asked.last(), Some(&Out::Quit));
    let mut idle = Session::new(Look::default(), (80, 24));
    idle.keys("\x03");
    assert_eq!(idle.asked, [Out::Quit]);
}

#[test]
fn practice_is_marked_on_every_screen() {
    for size in [(120, 36), (80, 24), (40, 12)] {
        let mut start = story::start(Look::default());
        (start.demo, start.quick) = (Some("rampup lab fix".into()), true);
        let mut session = Session { model: Model::new(start, size, story::dawn()), size, asked: Vec::new() };
        for feeds in story::climbed(Ending::Breaks).chunks(25) {
            session.feed(feeds.to_vec());
            let head = rows(&session.buffer()).remove(0);
            assert!(head.contains("DEMO") && head.contains("QUICK"), "{size:?}: {head}");
        }
    }
}

#[test]
fn an_earlier_runs_evidence_is_shown_and_changes_no_state() {
    let mut start = story::start(Look::default());
    start.past = story::climbed(Ending::Holds)
        .into_iter()
        .filter_map(|feed| match feed {
            Feed::Event(event) => Some(*event),
            _ => None,
        })
        .collect();
    let size = (120, 36);
    let mut session = Session { model: Model::new(start, size, story::dawn()), size, asked: Vec::new() };
    assert!(session.text().contains("proven 100 of 1000 users"));
    assert!(session.text().contains(StepState::Open.word()));
    session.keys("\n");
    assert!(session.text().contains("PgBouncer lends per transaction"));
}

#[test]
fn text_from_outside_cannot_speak_to_the_terminal() {
    let mut start = story::start(Look::default());
    start.site = "shop\x1b[2J\u{202e}".to_owned();
    start.steps[4].short = "\x1b]0;owned\x07Pg".to_owned();
    let size = (120, 36);
    let mut session = Session { model: Model::new(start, size, story::dawn()), size, asked: Vec::new() };
    let note = |text: &str| {
        let mut feed = story::climbed(Ending::Holds).into_iter().find(|f| matches!(f, Feed::Event(_))).expect("one");
        if let Feed::Event(event) = &mut feed {
            event.kind = EventKind::Note { text: text.to_owned() };
        }
        feed
    };
    session.feed([note("\x1b[31mred\u{9b}31m")]);
    for keys in ["", "\n", "\t\t", "v", "?"] {
        session.keys(keys);
        let text = session.text();
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(!text.contains('\u{202e}'));
    }
}

/// Where a text stands on the screen: column, row.
fn place(session: &Session, text: &str) -> (u16, u16) {
    let rows = rows(&session.buffer());
    let found = rows.iter().enumerate().find_map(|(y, row)| Some((y, row[..row.find(text)?].chars().count())));
    let (y, x) = found.unwrap_or_else(|| panic!("no {text:?} on\n{}", session.text()));
    (u16::try_from(x).expect("a column"), u16::try_from(y).expect("a row"))
}

fn mouse(session: &mut Session, kind: MouseEventKind, (column, row): (u16, u16)) {
    session.tell(Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
}

fn click(session: &mut Session, text: &str) {
    let at = place(session, text);
    mouse(session, MouseEventKind::Down(MouseButton::Left), at);
}

#[test]
fn whatever_a_key_does_a_click_does_too() {
    for size in [(120, 36), (80, 24)] {
        let mut session = Session::new(Look::default(), size);
        click(&mut session, "3 Redis");
        assert!(session.text().contains("▸ 3 Redis"), "{}", session.text());
        session.feed(story::held());
        click(&mut session, if size.0 == 120 { "5 PgBouncer" } else { " 5" });
        click(&mut session, "Checks");
        click(&mut session, "pool.");
        click(&mut session, "pool.");
        session.wait();
        let below = place(&session, "Evidence");
        mouse(&mut session, MouseEventKind::ScrollDown, (below.0, below.1 + 1));
        session.keys(":");
        assert!(session.text().contains("Commands"), "{}", session.text());
        session.keys("to step 2");
        click(&mut session, "go to step 2");
        assert!(session.text().contains("▸ 2 Static"), "{}", session.text());
        click(&mut session, "R run");
        assert!(session.text().contains("Run step 2"), "{}", session.text());
        // What lies under a question takes no clicks.
        mouse(&mut session, MouseEventKind::Down(MouseButton::Left), (3, 1));
        assert!(session.text().contains("Run step 2"), "{}", session.text());
        click(&mut session, "n no");
        assert!(!session.text().contains("Run step 2?"), "{}", session.text());
        assert!(!session.asked.iter().any(|out| matches!(out, Out::Command(_))), "nothing was started");
    }
}

#[test]
fn the_mouse_is_left_to_the_terminal_unless_it_is_asked_for() {
    let mut session = Session::new(Look::default(), (120, 36));
    session.keys("MM");
    assert_eq!(session.asked, [Out::Mouse(true), Out::Mouse(false)]);
}

#[test]
fn a_file_that_a_check_names_opens_in_the_editor() {
    let mut session = Session::new(Look::default(), (120, 36));
    session.feed(story::held());
    session.keys("5o");
    assert!(session.text().contains("no file is named here"), "{}", session.text());
    session.keys("\t");
    for _ in 0..4 {
        session.keys("o↓");
    }
    let spots: Vec<_> = session.asked.iter().filter(|out| matches!(out, Out::Edit(_))).collect();
    assert!(
        matches!(spots[..], [Out::Edit(spot), ..] if spot.file == "config/settings.py" && spot.line == Some(41)),
        "{spots:?}"
    );
}

#[test]
fn what_is_done_is_ticked_and_proves_nothing() {
    let mut session = Session::new(Look::default(), (120, 36));
    session.keys("5x");
    let shown = session.text();
    assert!(shown.contains("[x]") && shown.contains("only its checks prove it"), "{shown}");
    assert!(matches!(session.asked[..], [Out::Keep(_)]), "{:?}", session.asked);
    session.keys("X");
    assert!(!session.text().contains("[x]"), "{}", session.text());
}

#[test]
fn one_pane_without_borders_leaves_text_to_be_selected() {
    let mut session = Session::new(Look::default(), (120, 36));
    session.keys("5z");
    assert!(!session.text().contains('│'), "{}", session.text());
    session.keys("z");
    assert!(session.text().contains('│'), "{}", session.text());
}

#[test]
fn what_is_pasted_is_text_or_nothing() {
    let mut session = Session::new(Look::default(), (120, 36));
    let pasted = "Rysq\n".repeat(250);
    session.tell(Msg::Paste(pasted.clone()));
    assert!(session.asked.is_empty() && !session.text().contains("Run step"), "{}", session.text());
    session.keys("w");
    session.tell(Msg::Paste("the launch is on Monday\n".to_owned()));
    assert!(session.text().contains("the launch is on Monday"), "{}", session.text());
    session.tell(Msg::Paste(pasted));
    assert!(session.asked.is_empty(), "{:?}", session.asked);
}

#[test]
fn a_moment_of_the_ramp_is_marked_in_its_log() {
    let mut session = Session::new(Look::default(), (120, 36));
    session.keys("m");
    session.feed(until(100, Ending::Holds));
    session.keys("m");
    assert_eq!(session.asked, [Out::Command(Command::Note("marked at 01:40".to_owned()))]);
}

/// Bytes a terminal gets to turn one frame into the next.
fn cost(before: &Buffer, after: &Buffer) -> usize {
    let mut bytes = Vec::new();
    let mut backend = CrosstermBackend::new(&mut bytes);
    backend.draw(before.diff(after).into_iter()).expect("a vector takes everything");
    bytes.len()
}

#[test]
fn a_frame_stays_inside_its_budget_of_bytes() {
    let mut session = Session::new(Look::default(), (120, 36));
    session.feed(until(99, Ending::Breaks));
    let blank = Buffer::empty(Rect::new(0, 0, 120, 36));
    let first = session.buffer();
    assert!(cost(&blank, &first) <= 16 * 1024, "a repaint takes {} bytes", cost(&blank, &first));
    let next = until(100, Ending::Breaks);
    let already = until(99, Ending::Breaks).len();
    session.feed(next.into_iter().skip(already));
    let second = session.buffer();
    let bytes = cost(&first, &second);
    assert!(bytes > 0, "a second of data changes the screen");
    assert!(bytes <= 4 * 1024, "a second of data takes {bytes} bytes");
    assert!(second.diff(&session.buffer()).is_empty(), "nothing new, nothing sent");
}

#[test]
fn every_size_can_be_drawn() {
    let widths = [1, 2, 3, 5, 8, 13, 21, 34, 59, 60, 61, 80, 99, 100, 101, 120, 160, 200];
    let heights = [1, 2, 3, 5, 8, 12, 19, 20, 21, 29, 30, 31, 45, 60];
    for (which, (name, mut session)) in screens(Look::default(), (80, 24)).into_iter().enumerate() {
        for (i, width) in widths.into_iter().enumerate() {
            for (k, height) in heights.into_iter().enumerate() {
                // Every size meets a third of the screens, every screen a third of the sizes.
                if (which + i + k) % 3 == 0 {
                    session.size = (width, height);
                    session.tell(Msg::Resize(width, height));
                    assert_eq!(session.buffer().area, Rect::new(0, 0, width, height), "{name}");
                }
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Doing {
    Key(KeyCode, KeyModifiers),
    Resize(u16, u16),
    Mouse(MouseEventKind, u16, u16),
    Feed(usize),
    Wait(i64),
    Play(bool),
}

fn doing() -> impl Strategy<Value = Doing> {
    let chords: Vec<_> = TABLE.iter().flat_map(|b| b.chords.iter().copied()).collect();
    let pressed = vec![MouseEventKind::Down(MouseButton::Left), MouseEventKind::ScrollUp, MouseEventKind::ScrollDown];
    prop_oneof![
        6 => proptest::sample::select(chords).prop_map(|(code, modifiers)| Doing::Key(code, modifiers)),
        1 => any::<char>().prop_map(|c| Doing::Key(KeyCode::Char(c), KeyModifiers::NONE)),
        1 => (1u16..180, 1u16..50).prop_map(|(w, h)| Doing::Resize(w, h)),
        3 => (proptest::sample::select(pressed), 0u16..180, 0u16..50).prop_map(|(k, x, y)| Doing::Mouse(k, x, y)),
        4 => (0usize..2000).prop_map(Doing::Feed),
        1 => (0i64..20).prop_map(Doing::Wait),
        1 => any::<bool>().prop_map(Doing::Play),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Any keys at any size, with events in any order, even foreign and late ones.
    #[test]
    fn nothing_a_person_or_a_run_does_breaks_the_screen(doings in proptest::collection::vec(doing(), 1..60)) {
        let tape: Vec<Feed> = story::held().into_iter().chain(story::climbed(Ending::Breaks)).collect();
        let mut session = Session::new(Look::default(), (80, 24));
        let mut now = story::dawn();
        for doing in doings {
            match doing {
                Doing::Key(code, modifiers) => session.press(code, modifiers),
                Doing::Resize(width, height) => {
                    session.size = (width, height);
                    session.tell(Msg::Resize(width, height));
                }
                Doing::Mouse(kind, x, y) => mouse(&mut session, kind, (x, y)),
                Doing::Feed(at) => session.feed([tape[at % tape.len()].clone()]),
                Doing::Play(whole) => {
                    let step = Some(story::step_id(5)).filter(|_| !whole);
                    session.tell(Msg::Recorded("r".into(), step, Ok(story::recorded(Ending::Unsure))));
                }
                Doing::Wait(seconds) => {
                    now += jiff::SignedDuration::from_secs(seconds);
                    session.tell(Msg::Tick(now));
                }
            }
            session.buffer();
        }
        // Whatever happened, the way out is short.
        session.keys("\x03\x03");
        prop_assert!(session.asked.contains(&Out::Quit));
    }
}
