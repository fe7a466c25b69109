//! How a statement's text is kept: without a value anybody wrote into it, without comments, and short where it says
//! nothing. Knows text alone.

/// Longest list of columns that is kept whole, characters.
const COLUMNS: usize = 60;

/// What a stretch of a statement is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// `"a name"`
    Name,
    /// `'a literal'`, `$$one$$`, `1.5`
    Value,
    /// `-- a comment`, `/* one */`
    Comment,
}

/// The text without literals. `pg_stat_statements` puts `$1` where they stood, but not in utility statements before
/// PostgreSQL 16 (a cursor's query, a password), and not always when it runs out of room. Comments go as well: they tell
/// routes and trace ids, and hide where the statement begins.
pub(super) fn scrub(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for (kind, piece) in pieces(text) {
        match kind {
            Kind::Value => kept.push('?'),
            // PostgreSQL 18 writes so that a list had more values.
            Kind::Comment if piece.starts_with("/*, ...") => kept.push_str(", …"),
            Kind::Comment => gap(&mut kept),
            Kind::Plain if piece.trim().is_empty() => gap(&mut kept),
            Kind::Plain | Kind::Name => kept.push_str(piece),
        }
    }
    kept.trim().replace(" , …", ", …")
}

/// The statement as it would be run, without comments: what stands in front of it hides what it is, what stands behind it
/// where it ends.
pub(super) fn uncommented(text: &str) -> String {
    let kept: String = pieces(text).map(|(kind, piece)| if kind == Kind::Comment { " " } else { piece }).collect();
    kept.trim().trim_end_matches(';').trim_end().to_owned()
}

fn gap(kept: &mut String) {
    if !kept.ends_with(' ') {
        kept.push(' ');
    }
}

/// A statement in stretches of one kind each; plain ones are single characters.
fn pieces(text: &str) -> impl Iterator<Item = (Kind, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (kind, length) = next(&text[..at], &text[at..])?;
        at += length;
        Some((kind, &text[at - length..at]))
    })
}

fn next(before: &str, rest: &str) -> Option<(Kind, usize)> {
    let first = rest.chars().next()?;
    let in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let through = |from: usize, end: &str| rest[from..].find(end).map_or(rest.len(), |found| from + found + end.len());
    Some(match first {
        '-' if rest.starts_with("--") => (Kind::Comment, rest.find('\n').unwrap_or(rest.len())),
        '/' if rest.starts_with("/*") => (Kind::Comment, nested(rest)),
        '"' => (Kind::Name, through(1, "\"")),
        '\'' => (Kind::Value, literal(rest, escapes(before))),
        '$' if !in_word => match rest[1..].find('$').map(|end| &rest[..end + 2]).filter(|tag| is_tag(tag)) {
            Some(tag) => (Kind::Value, through(tag.len(), tag)),
            None => (Kind::Plain, 1),
        },
        '0'..='9' if !in_word && !before.ends_with('$') => {
            (Kind::Value, rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(rest.len()))
        }
        _ => (Kind::Plain, first.len_utf8()),
    })
}

/// `$$` or `$tag$`, and not `$1`.
fn is_tag(tag: &str) -> bool {
    let name = &tag[1..tag.len() - 1];
    !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// Only behind `E` a backslash is more than a backslash.
fn escapes(before: &str) -> bool {
    let mut letters = before.chars().rev();
    letters.next().is_some_and(|c| matches!(c, 'e' | 'E'))
        && !letters.next().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// How long a literal is. A doubled quote is part of it; one that is cut off ends with the text.
fn literal(rest: &str, escapes: bool) -> usize {
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = letters.next() {
        if c == '\\' && escapes {
            letters.next();
        } else if c == '\'' && letters.next_if(|(_, next)| *next == '\'').is_none() {
            return at + 1;
        }
    }
    rest.len()
}

/// How long a comment is. PostgreSQL nests them.
fn nested(rest: &str) -> usize {
    let (mut depth, mut at) = (0_u32, 0);
    while let Some(found) = rest[at..].find(['/', '*']) {
        at += found;
        let step = match rest.get(at..at + 2) {
            Some("/*") => {
                depth += 1;
                2
            }
            Some("*/") => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        at += step;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The text with a long list of columns cut to its first: what a reader needs stands behind FROM.
pub(super) fn brief(text: &str) -> String {
    let Some(list) = text.get(..7).filter(|word| word.eq_ignore_ascii_case("select ")).map(|_| &text[7..]) else {
        return text.to_owned();
    };
    let Some(end) = outside(list, " FROM ") else { return text.to_owned() };
    if end <= COLUMNS {
        return text.to_owned();
    }
    let first = outside(&list[..end], ", ").filter(|at| *at <= COLUMNS).map_or("", |at| &list[..at]);
    let comma = if first.is_empty() { "" } else { ", " };
    format!("{}{first}{comma}…{}", &text[..7], &list[end..])
}

/// Where this word first stands outside of brackets.
fn outside(text: &str, word: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && text[at..].get(..word.len()).is_some_and(|here| here.eq_ignore_ascii_case(word)) => {
                return Some(at);
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_kept() {
        for (text, kept) in [
            (
                r#"SELECT "a1"."id" FROM "a1" WHERE "a1"."id" = $12"#,
                r#"SELECT "a1"."id" FROM "a1" WHERE "a1"."id" = $12"#,
            ),
            ("ALTER ROLE shop PASSWORD 'it''s secret' VALID", "ALTER ROLE shop PASSWORD ? VALID"),
            (r"SELECT E'a\'b', x FROM t2", "SELECT E?, x FROM t2"),
            (
                "DECLARE c CURSOR FOR SELECT id FROM t WHERE n = 42 AND f > 1.5e3",
                "DECLARE c CURSOR FOR SELECT id FROM t WHERE n = ? AND f > ?",
            ),
            ("COPY t FROM 'cut o", "COPY t FROM ?"),
            ("SELECT sha256(x), y::int4 FROM t_1", "SELECT sha256(x), y::int4 FROM t_1"),
            // A backslash is one, and the next literal is not outside.
            (r"COPY t FROM 'C:\' NULL 'secret' CSV", "COPY t FROM ? NULL ? CSV"),
            ("DO $$ begin perform 'x'; end $$", "DO ?"),
            ("SELECT $q$it's$q$, a FROM t WHERE b = $1 AND c = $2", "SELECT ?, a FROM t WHERE b = $1 AND c = $2"),
            // Comments tell routes and trace ids.
            ("SELECT a FROM b LIMIT $1 /*route='/u/ann',traceparent='00-1'*/", "SELECT a FROM b LIMIT $1"),
            ("/* shop:views.home /* in */ */ SELECT a\n  FROM b -- for ann", "SELECT a FROM b"),
            // What PostgreSQL 18 says of a long list stays.
            ("SELECT a FROM b WHERE c IN ($1 /*, ... */)", "SELECT a FROM b WHERE c IN ($1, …)"),
            ("SELECT a->>$1, b #- $2 FROM t WHERE c = 'cut", "SELECT a->>$1, b #- $2 FROM t WHERE c = ?"),
            ("SELECT a /* cut", "SELECT a"),
        ] {
            assert_eq!(scrub(text), kept);
        }
    }

    #[test]
    fn what_is_planned_keeps_its_values_and_loses_its_comments() {
        for (text, kept) in [
            ("/*app*/ SELECT a FROM b LIMIT $1 /*route='x'*/ ;", "SELECT a FROM b LIMIT $1"),
            ("SELECT a -- why\nFROM b WHERE c = '/*'", "SELECT a  \nFROM b WHERE c = '/*'"),
            ("SELECT a FROM b WHERE c IN ($1 /*, ... */)", "SELECT a FROM b WHERE c IN ($1  )"),
        ] {
            assert_eq!(uncommented(text), kept);
        }
    }

    #[test]
    fn a_long_list_of_columns_hides_nothing_behind_it() {
        let columns = (0..20).map(|n| format!(r#""shop_order"."column_{n}""#)).collect::<Vec<_>>().join(", ");
        let text = format!(r#"SELECT {columns} FROM "shop_order" WHERE "shop_order"."email" = $1"#);
        assert_eq!(
            brief(&text),
            r#"SELECT "shop_order"."column_0", … FROM "shop_order" WHERE "shop_order"."email" = $1"#
        );
        // A subquery among the columns has a FROM of its own.
        let count = format!(
            "SELECT (SELECT count(*) FROM b WHERE b.a = a.id AND b.kind = $1 AND b.shown) AS n, {columns} FROM a"
        );
        assert_eq!(brief(&count), "SELECT … FROM a");
        for short in ["SELECT 1", "select id from a", "UPDATE a SET b = $1", "SELECT é FROM a", ""] {
            assert_eq!(brief(short), short);
        }
    }
}
