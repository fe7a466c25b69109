//! Feeders at play: deals rows to users, and remembers when one ran dry.
//!
//! Where rows come from is the settings' business; what a text does with them its own.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::flow::{AtEnd, Deal, Feeder};
use crate::domain::secret::sounds_secret;

/// All feeders of a script. Every ramp begins at their first rows.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    feeders: Vec<Feed>,
    dry: OnceLock<String>,
}

#[derive(Debug)]
struct Feed {
    name: String,
    deal: Deal,
    end: AtEnd,
    source: Source,
    /// Rows dealt so far.
    dealt: AtomicU64,
}

#[derive(Debug)]
enum Source {
    Rows(crate::domain::flow::Rows),
    Range(u64, u64),
}

/// A column of a feeder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    feeder: usize,
    column: usize,
}

/// The rows that one user holds, one a feeder.
#[derive(Debug, Default)]
pub(super) struct Rows(Vec<Option<u64>>);

impl Feeds {
    /// Makes feeders ready; the error names the one that holds nothing.
    pub fn new(feeders: &[Feeder]) -> Result<Self, String> {
        let feeders = feeders.iter().map(Feed::new).collect::<Result<_, _>>()?;
        Ok(Self { feeders, dry: OnceLock::new() })
    }

    /// What a hole of this name stands for: `FEEDER.COLUMN`, or the name of a range.
    pub fn find(&self, hole: &str) -> Option<Cell> {
        let (name, column) = hole.split_once('.').map_or((hole, None), |(name, column)| (name, Some(column)));
        let feeder = self.feeders.iter().position(|feed| feed.name == name)?;
        let column = match (&self.feeders[feeder].source, column) {
            (Source::Range(..), None) => 0,
            (Source::Rows(rows), Some(column)) => rows.columns.iter().position(|c| c == column)?,
            _ => return None,
        };
        Some(Cell { feeder, column })
    }

    /// A cell of the row that the user holds; takes the next one if it holds none. None when there is no row left.
    pub fn deal(&self, cell: Cell, hand: &mut Rows) -> Option<Cow<'_, str>> {
        if hand.0.is_empty() {
            hand.0.resize(self.feeders.len(), None);
        }
        let feed = &self.feeders[cell.feeder];
        let held = &mut hand.0[cell.feeder];
        let row = match *held {
            Some(row) => row,
            None => *held.insert(self.next(feed)?),
        };
        Some(match &feed.source {
            Source::Range(from, _) => (from + row).to_string().into(),
            Source::Rows(rows) => rows.values[usize::try_from(row).ok()?][cell.column].as_str().into(),
        })
    }

    /// The user begins another pass: what is dealt by the pass is laid down.
    pub fn begin_pass(&self, hand: &mut Rows) {
        for (held, _) in hand.0.iter_mut().zip(&self.feeders).filter(|(_, feed)| feed.deal == Deal::Shared) {
            *held = None;
        }
    }

    /// Which feeder ran dry, and what to do; none while all have rows.
    pub fn dry(&self) -> Option<&str> {
        self.dry.get().map(String::as_str)
    }

    /// True for a column whose name says that nobody should see its values.
    pub fn is_secret(&self, cell: Cell) -> bool {
        let feed = &self.feeders[cell.feeder];
        sounds_secret(&feed.name)
            || matches!(&feed.source, Source::Rows(rows) if sounds_secret(&rows.columns[cell.column]))
    }

    fn next(&self, feed: &Feed) -> Option<u64> {
        let (dealt, rows) = (feed.dealt.fetch_add(1, Ordering::Relaxed), feed.rows());
        if dealt >= rows && feed.end == AtEnd::Stop {
            self.dry.get_or_init(|| {
                format!(
                    "feeder {:?} ran dry after {rows} rows; give it more rows, or write end = \"repeat\"",
                    feed.name
                )
            });
            return None;
        }
        Some(dealt % rows)
    }
}

impl Feed {
    fn new(feeder: &Feeder) -> Result<Self, String> {
        let source = match feeder.range {
            Some([from, to]) => Source::Range(from, to),
            None => Source::Rows(feeder.rows.clone()),
        };
        let empty = match &source {
            Source::Range(from, to) => from > to,
            Source::Rows(rows) => rows.values.is_empty(),
        };
        if empty {
            return Err(format!("feeder {:?} holds no rows; give it some", feeder.name));
        }
        Ok(Self { name: feeder.name.clone(), deal: feeder.deal, end: feeder.end, source, dealt: AtomicU64::new(0) })
    }

    /// How many rows there are, at least one.
    fn rows(&self) -> u64 {
        match &self.source {
            Source::Range(from, to) => (to - from).saturating_add(1),
            Source::Rows(rows) => rows.values.len() as u64,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn feeder(name: &str, deal: Deal, end: AtEnd) -> Feeder {
        let rows = crate::domain::flow::Rows {
            columns: vec!["email".into(), "password".into()],
            values: vec![
                vec!["ada@shop.example".into(), "s3cret".into()],
                vec!["bob@shop.example".into(), "qwerty".into()],
            ],
        };
        Feeder { name: name.into(), csv: Some("f.csv".into()), jsonl: None, range: None, deal, end, rows }
    }

    /// Users with an address and a password, one each; orders 4 to 6, by the pass.
    pub fn feeds() -> Feeds {
        let orders = Feeder {
            csv: None,
            range: Some([4, 6]),
            rows: crate::domain::flow::Rows::default(),
            ..feeder("orders", Deal::Shared, AtEnd::Repeat)
        };
        Feeds::new(&[feeder("users", Deal::PerUser, AtEnd::Stop), orders]).unwrap()
    }

    #[test]
    fn a_row_is_held_for_the_pass_or_for_good() {
        let feeds = feeds();
        let (email, orders) = (feeds.find("users.email").unwrap(), feeds.find("orders").unwrap());
        let (mut ada, mut bob) = (Rows::default(), Rows::default());
        let mut seen = Vec::new();
        for pass in 0..4 {
            let user = if pass % 2 == 0 { &mut ada } else { &mut bob };
            feeds.begin_pass(user);
            seen.push(format!("{} {}", feeds.deal(email, user).unwrap(), feeds.deal(orders, user).unwrap()));
            let again = format!("{} {}", feeds.deal(email, user).unwrap(), feeds.deal(orders, user).unwrap());
            assert_eq!(seen.last(), Some(&again), "one row a pass");
        }
        assert_eq!(seen, ["ada@shop.example 4", "bob@shop.example 5", "ada@shop.example 6", "bob@shop.example 4"]);
        assert_eq!(feeds.dry(), None);
        assert_eq!(feeds.deal(email, &mut Rows::default()), None, "there are two rows for three users");
        assert!(feeds.dry().unwrap().contains("\"users\" ran dry after 2 rows"), "{:?}", feeds.dry());
    }

    #[test]
    fn names_and_columns_are_found_or_not() {
        let feeds = feeds();
        for hole in ["users", "users.", "users.name", "orders.x", "order", ""] {
            assert_eq!(feeds.find(hole), None, "{hole}");
        }
        assert!(feeds.is_secret(feeds.find("users.password").unwrap()));
        assert!(!feeds.is_secret(feeds.find("users.email").unwrap()));
        let empty = Feeder { rows: crate::domain::flow::Rows::default(), ..feeder("e", Deal::Shared, AtEnd::Stop) };
        assert!(Feeds::new(&[empty]).unwrap_err().contains("no rows"));
    }

    #[test]
    fn the_widest_range_does_not_overflow() {
        let wide = Feeder { range: Some([0, u64::MAX]), ..feeder("w", Deal::Shared, AtEnd::Repeat) };
        let feeds = Feeds::new(&[wide]).unwrap();
        assert_eq!(feeds.deal(feeds.find("w").unwrap(), &mut Rows::default()).as_deref(), Some("0"));
    }
}
