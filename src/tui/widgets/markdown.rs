//! Markdown as lines of a given width: headings, paragraphs, lists, code. Code has no gutter, so it can be selected.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use unicode_width::UnicodeWidthStr;

use super::paper::{Ink, fit, ink, plain};
use crate::tui::theme::Role;
use crate::tui::words::tame;

/// Markdown wrapped to so many columns.
#[derive(Default)]
pub(crate) struct Sheet {
    pub(crate) lines: Vec<Vec<Ink>>,
    /// Its pieces of code as they were written, each with the line after its last.
    pub(crate) code: Vec<(usize, String)>,
    /// Things to do, each with its first line: what is numbered under "Do", and what has a box.
    pub(crate) tasks: Vec<(usize, String)>,
}

/// Sets a text in so many columns. `ticked` says which things to do are done.
pub(crate) fn sheet(text: &str, columns: usize, ticked: &dyn Fn(&str) -> bool) -> Sheet {
    let mut page = Page::new(columns.max(8), ticked);
    for event in Parser::new_ext(text, Options::ENABLE_TASKLISTS | Options::ENABLE_STRIKETHROUGH) {
        page.take(event);
    }
    page.end_block();
    while page.sheet.lines.last().is_some_and(|line| line.is_empty()) {
        page.sheet.lines.pop();
    }
    page.sheet
}

struct Page<'a> {
    columns: usize,
    ticked: &'a dyn Fn(&str) -> bool,
    sheet: Sheet,
    /// Words of the block being read, each with its role; an empty one is a line break.
    words: Vec<(String, Role)>,
    /// True when the next text sticks to the word before.
    glued: bool,
    roles: Vec<Role>,
    /// Next number of each open list; none for bullets.
    lists: Vec<Option<u64>>,
    /// What the next line of a list item begins with.
    bullet: Option<String>,
    code: Option<String>,
    /// True under the heading "Do".
    doing: bool,
    /// Whether the list item being read has a box, and whether the text itself has it ticked.
    task: Option<bool>,
    quote: usize,
    links: Vec<String>,
}

impl<'a> Page<'a> {
    fn new(columns: usize, ticked: &'a dyn Fn(&str) -> bool) -> Self {
        Self {
            columns,
            ticked,
            sheet: Sheet::default(),
            words: Vec::new(),
            glued: false,
            roles: Vec::new(),
            lists: Vec::new(),
            bullet: None,
            code: None,
            doing: false,
            task: None,
            quote: 0,
            links: Vec::new(),
        }
    }

    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.text(&text, self.role()),
            },
            Event::Code(text) => self.text(&text, Role::Focus),
            Event::SoftBreak => self.glued = false,
            Event::HardBreak => {
                self.words.push((String::new(), Role::Text));
                self.glued = false;
            }
            Event::TaskListMarker(done) => self.task = Some(done),
            Event::Rule => {
                self.end_block();
                self.sheet.lines.push(vec![ink("─".repeat(self.columns), Role::Muted)]);
                self.gap();
            }
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { .. } => {
                self.end_block();
                self.roles.push(Role::Strong);
            }
            Tag::Strong => self.roles.push(Role::Strong),
            Tag::Emphasis => self.roles.push(self.role()),
            Tag::List(first) => {
                self.end_block();
                self.lists.push(first);
            }
            Tag::Item => {
                self.end_block();
                self.bullet = Some(match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{} ", *number - 1)
                    }
                    _ => "• ".to_owned(),
                });
            }
            Tag::CodeBlock(kind) => {
                self.end_block();
                let _: CodeBlockKind<'_> = kind;
                self.code = Some(String::new());
            }
            Tag::BlockQuote(_) => {
                self.end_block();
                self.quote += 1;
            }
            Tag::Link { dest_url, .. } => {
                self.links.push(tame(&dest_url));
                self.roles.push(Role::Focus);
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.roles.pop();
                self.doing = matches!(&self.words[..], [(word, _)] if word == "Do");
                self.end_block();
            }
            TagEnd::Strong | TagEnd::Emphasis => {
                self.roles.pop();
            }
            TagEnd::Paragraph => {
                self.end_block();
                if self.lists.is_empty() {
                    self.gap();
                }
            }
            TagEnd::List(_) => {
                self.end_block();
                self.lists.pop();
                if self.lists.is_empty() {
                    self.gap();
                }
            }
            TagEnd::Item => {
                self.end_block();
                self.bullet = None;
            }
            TagEnd::CodeBlock => {
                self.gap();
                let code = self.code.take().unwrap_or_default();
                for line in code.lines() {
                    let line = fit(&tame(&line.replace('\t', "    ")), self.columns);
                    self.sheet.lines.push(highlight(&line));
                }
                self.sheet.code.push((self.sheet.lines.len(), code));
                self.gap();
            }
            TagEnd::BlockQuote(_) => {
                self.end_block();
                self.quote = self.quote.saturating_sub(1);
            }
            TagEnd::Link => {
                self.roles.pop();
                // The address is shown where it differs from what is written, since a cell cannot be clicked everywhere.
                if let Some(url) = self.links.pop()
                    && self.words.last().is_none_or(|(word, _)| *word != url)
                {
                    self.glued = false;
                    self.text(&format!("({url})"), Role::Muted);
                }
            }
            _ => {}
        }
    }

    fn role(&self) -> Role {
        self.roles.last().copied().unwrap_or(Role::Text)
    }

    fn text(&mut self, text: &str, role: Role) {
        let text = tame(text);
        let mut glued = self.glued && !text.starts_with(' ');
        for word in text.split(' ').filter(|w| !w.is_empty()) {
            if glued {
                // A zero-width joint: drawn without a space before it.
                self.words.push((format!("\u{1}{word}"), role));
            } else {
                self.words.push((word.to_owned(), role));
            }
            glued = false;
        }
        self.glued = !text.ends_with(' ') && !text.is_empty();
    }

    /// The thing to do that these words are, and whether the text has it ticked: an item with a box; under "Do" also
    /// an item with a number, or a paragraph that opens with one and its sentence in bold.
    fn task(&mut self, words: &[(String, Role)], bullet: Option<&str>) -> Option<(String, bool)> {
        let said = |words: &[(String, Role)]| {
            let mut text = String::new();
            for (word, _) in words.iter().filter(|(word, _)| !word.is_empty()) {
                match word.strip_prefix('\u{1}') {
                    Some(rest) => text.push_str(rest),
                    None if text.is_empty() => text.push_str(word),
                    None => text = text + " " + word,
                }
            }
            text
        };
        if let Some(done) = self.task.take() {
            return Some((said(words), done));
        }
        if !self.doing {
            return None;
        }
        if bullet.is_some_and(|bullet| bullet.starts_with(|c: char| c.is_ascii_digit())) {
            return (self.lists.len() == 1).then(|| (said(words), false));
        }
        let bold = words.iter().take_while(|(word, role)| *role == Role::Strong && !word.is_empty()).count();
        let number = words.first()?.0.strip_suffix('.')?;
        let numbered = self.lists.is_empty() && bold > 1 && number.parse::<u8>().is_ok();
        numbered.then(|| (said(&words[..bold]), false))
    }

    /// One blank line, never two.
    fn gap(&mut self) {
        if self.sheet.lines.last().is_some_and(|line| !line.is_empty()) {
            self.sheet.lines.push(Vec::new());
        }
    }

    /// Sets the words read so far as lines.
    fn end_block(&mut self) {
        self.glued = false;
        let words = std::mem::take(&mut self.words);
        if words.is_empty() {
            return;
        }
        let depth = self.lists.len() * 2 + self.quote * 2;
        let mut bullet = self.bullet.take();
        if let Some((task, done)) = self.task(&words, bullet.as_deref()) {
            let sign = if done || (self.ticked)(&task) { "[x] " } else { "[ ] " };
            let number = bullet.filter(|bullet| bullet.starts_with(|c: char| c.is_ascii_digit()));
            bullet = Some(sign.to_owned() + number.as_deref().unwrap_or_default());
            self.sheet.tasks.push((self.sheet.lines.len(), task));
        }
        let hang = depth + bullet.as_ref().map_or(if self.lists.is_empty() { 0 } else { 2 }, |b| b.width());
        let first = bullet.map_or_else(|| " ".repeat(hang), |b| " ".repeat(depth) + &b);
        let mut line = vec![ink(first, Role::Muted)];
        let mut used = hang;
        let mut fresh = true;
        for (word, role) in words {
            if word.is_empty() {
                self.sheet.lines.push(std::mem::replace(&mut line, vec![plain(" ".repeat(hang))]));
                (used, fresh) = (hang, true);
                continue;
            }
            let (joined, word) = match word.strip_prefix('\u{1}') {
                Some(rest) => (true, rest.to_owned()),
                None => (false, word),
            };
            let space = usize::from(!fresh && !joined);
            if !fresh && used + space + word.width() > self.columns {
                self.sheet.lines.push(std::mem::replace(&mut line, vec![plain(" ".repeat(hang))]));
                (used, fresh) = (hang, true);
            }
            let space = usize::from(!fresh && !joined);
            let word = fit(&word, self.columns.saturating_sub(hang).max(1));
            used += space + word.width();
            line.push(ink(" ".repeat(space) + &word, role));
            fresh = false;
        }
        self.sheet.lines.push(line);
    }
}

/// Code with its remarks and its texts apart from the rest.
fn highlight(line: &str) -> Vec<Ink> {
    let mut inks = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find(['#', ';', '"', '\'']) {
        let (before, from) = rest.split_at(at);
        let opener = from.chars().next().unwrap_or('#');
        let length = if matches!(opener, '#' | ';') {
            // A remark has a blank before it; `a#b` and `x;` are code.
            let free = before.is_empty() || before.ends_with([' ', '\t']);
            if free { from.len() } else { 0 }
        } else {
            from[1..].find(opener).map_or(0, |end| end + 2)
        };
        if length == 0 {
            inks.push(ink(&rest[..=at], Role::Focus));
            rest = &rest[at + 1..];
            continue;
        }
        inks.push(ink(before, Role::Focus));
        inks.push(ink(&from[..length], if matches!(opener, '#' | ';') { Role::Muted } else { Role::Text }));
        rest = &from[length..];
    }
    inks.push(ink(rest, Role::Focus));
    inks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(markdown: &str, columns: usize) -> Vec<String> {
        sheet(markdown, columns, &|_| false).lines.iter().map(|l| l.iter().map(|i| i.text.as_str()).collect()).collect()
    }

    #[test]
    fn a_playbook_reads_as_lines() {
        let shown = text(
            "## Why\n\nPools *lend* backends, `20` of them.\n\n1. First thing\n2. Second\n\n```toml\na = 1\n```\n",
            22,
        );
        assert_eq!(
            shown,
            ["Why", "Pools lend backends,", "20 of them.", "", "  1 First thing", "  2 Second", "", "a = 1"]
        );
    }

    #[test]
    fn things_to_do_can_be_ticked() {
        let guide = "## Do\n\n**1. Start it** in mode `x`:\n\n- [ ] tell *ops*\n- no task\n\n1. Point it\n\n## Verify\n\n1. Look\n";
        let set = sheet(guide, 30, &|task| task == "tell ops");
        let shown: Vec<String> = set.lines.iter().map(|l| l.iter().map(|i| i.text.as_str()).collect()).collect();
        assert_eq!(
            shown[1..],
            [
                "[ ] 1. Start it in mode x:",
                "",
                "  [x] tell ops",
                "  • no task",
                "",
                "  [ ] 1 Point it",
                "",
                "Verify",
                "  1 Look"
            ]
        );
        assert_eq!(set.tasks, [(1, "1. Start it".to_owned()), (3, "tell ops".to_owned()), (6, "Point it".to_owned())]);
    }

    #[test]
    fn remarks_and_texts_in_code_stand_apart() {
        let roles = |line: &str| highlight(line).into_iter().filter(|i| !i.text.is_empty()).collect::<Vec<_>>();
        let parts: Vec<_> = roles("A = \"x#y\"  # why").into_iter().map(|i| (i.text, i.role)).collect();
        assert_eq!(parts[1], ("\"x#y\"".to_owned(), Role::Text));
        assert_eq!(parts[3], ("# why".to_owned(), Role::Muted));
        for line in ["it's", "x;y", "a#b", "'", "", "é'é#é"] {
            assert_eq!(highlight(line).into_iter().map(|i| i.text).collect::<String>(), line);
        }
    }

    #[test]
    fn punctuation_stays_with_its_word_and_nothing_is_too_wide() {
        assert_eq!(text("see `x`, then **go**.", 40), ["see x, then go."]);
        for width in 8..40 {
            for line in
                text("A [page](https://example.org/a/very/long/path/indeed) and\n- nested\n  - deeper item", width)
            {
                assert!(line.width() <= width.max(8), "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn escape_sequences_in_a_playbook_are_harmless() {
        let shown = text("a\u{1b}[31mb\n\n```\n\u{1b}]0;x\u{7}\n```", 40).join("\n");
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{7}'));
    }
}
