//! The last step in ASCII mode: every cell that is not ASCII becomes one that is, of the same width.
//!
//! One table for all views, so that no view can forget about it and the layout cannot differ.

use ratatui::buffer::Buffer;

/// Replaces every cell's sign.
pub(crate) fn flatten(buf: &mut Buffer) {
    for cell in &mut buf.content {
        let symbol = cell.symbol();
        if symbol.is_ascii() {
            continue;
        }
        let plain = symbol.chars().next().map_or(" ", plain);
        cell.set_symbol(plain);
    }
}

fn plain(c: char) -> &'static str {
    match c {
        '✓' => "+",
        '✗' => "x",
        '◐' | '◓' | '◑' | '◒' | '•' => "*",
        '○' => "o",
        '·' | '─' | '╌' | '–' | '—' => "-",
        '▸' | '→' => ">",
        '←' => "<",
        '↑' => "^",
        '↓' => "v",
        '╭' | '╮' | '╰' | '╯' | '┤' | '┼' | '┴' | '┬' | '└' | '┘' | '├' => "+",
        '│' | '┃' => "|",
        '┊' => ":",
        '━' | '╸' | '═' => "=",
        '█' | '▉' | '▊' | '▋' => "#",
        '▌' | '▍' | '▎' | '▏' => ":",
        '▁' => "_",
        '▂' => ".",
        '▃' => "-",
        '▄' => "=",
        '▅' => "+",
        '▆' => "*",
        '▇' => "%",
        '≥' => ">",
        '≤' => "<",
        '≈' => "~",
        '…' => "~",
        '×' => "x",
        '“' | '”' => "\"",
        '‘' | '’' => "'",
        '\u{a0}' => " ",
        // Stale, and whatever came from outside.
        _ => "?",
    }
}
