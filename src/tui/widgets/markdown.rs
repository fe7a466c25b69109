//! Markdown as lines of a given width: headings, paragraphs, lists, code. Code has no gutter, so it can be selected.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use unicode_width::UnicodeWidthStr;

use super::paper::{Ink, fit, ink, plain};
use crate::tui::theme::Role;
use crate::tui::words::tame;

/// Markdown wrapped to so many columns.
pub(crate) fn lines(text: &str, columns: usize) -> Vec<Vec<Ink>> {
    page(text, columns).lines
}

/// Its pieces of code as they were written, each with the line after its last.
pub(crate) fn code(text: &str, columns: usize) -> Vec<(usize, String)> {
    page(text, columns).blocks
}

fn page(text: &str, columns: usize) -> Page {
    let mut page = Page { columns: columns.max(8), ..Page::default() };
    for event in Parser::new_ext(text, Options::ENABLE_TASKLISTS | Options::ENABLE_STRIKETHROUGH) {
        page.take(event);
    }
    page.end_block();
    while page.lines.last().is_some_and(|line| line.is_empty()) {
        page.lines.pop();
    }
    page
}

#[derive(Default)]
struct Page {
    columns: usize,
    lines: Vec<Vec<Ink>>,
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
    /// Whole pieces of code, each with the line after its last.
    blocks: Vec<(usize, String)>,
    quote: usize,
    links: Vec<String>,
}

impl Page {
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
            Event::TaskListMarker(done) => {
                self.bullet = Some(if done { "[x] ".to_owned() } else { "[ ] ".to_owned() });
            }
            Event::Rule => {
                self.end_block();
                self.lines.push(vec![ink("─".repeat(self.columns), Role::Muted)]);
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
                    self.lines.push(vec![ink(line, Role::Focus)]);
                }
                self.blocks.push((self.lines.len(), code));
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

    /// One blank line, never two.
    fn gap(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(Vec::new());
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
        let bullet = self.bullet.take();
        let hang = depth + bullet.as_ref().map_or(if self.lists.is_empty() { 0 } else { 2 }, |b| b.width());
        let first = bullet.map_or_else(|| " ".repeat(hang), |b| " ".repeat(depth) + &b);
        let mut line = vec![ink(first, Role::Muted)];
        let mut used = hang;
        let mut fresh = true;
        for (word, role) in words {
            if word.is_empty() {
                self.lines.push(std::mem::replace(&mut line, vec![plain(" ".repeat(hang))]));
                (used, fresh) = (hang, true);
                continue;
            }
            let (joined, word) = match word.strip_prefix('\u{1}') {
                Some(rest) => (true, rest.to_owned()),
                None => (false, word),
            };
            let space = usize::from(!fresh && !joined);
            if !fresh && used + space + word.width() > self.columns {
                self.lines.push(std::mem::replace(&mut line, vec![plain(" ".repeat(hang))]));
                (used, fresh) = (hang, true);
            }
            let space = usize::from(!fresh && !joined);
            let word = fit(&word, self.columns.saturating_sub(hang).max(1));
            used += space + word.width();
            line.push(ink(" ".repeat(space) + &word, role));
            fresh = false;
        }
        self.lines.push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(markdown: &str, columns: usize) -> Vec<String> {
        lines(markdown, columns).iter().map(|l| l.iter().map(|i| i.text.as_str()).collect()).collect()
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
