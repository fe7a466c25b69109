//! What kind of statement a normalised text is, and which are one. Knows no database.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::domain::measurement::Statement;
use crate::domain::statement::is_upkeep;

use super::remedy;

/// Tables of frameworks that are asked by key and not row by row: who is signed in, which site this is, what a model is
/// called. Asked three times they are a bad habit; a loop over them reaches the limit for any statement.
pub(super) const FRAMEWORK: [&str; 4] = ["django_session", "django_site", "django_content_type", "constance_constance"];

/// Health checks of kept connections are no query of the page.
pub(super) fn is_select(text: &str) -> bool {
    // A union begins with a bracket, a tree of categories with WITH.
    let text = text.trim_start_matches(['(', ' ']).to_ascii_lowercase();
    let writes = [" insert into ", "update ", "delete from "].iter().any(|word| text.contains(word));
    (text.starts_with("select") || (text.starts_with("with ") && !writes)) && !is_upkeep(&text)
}

/// A SELECT that asks for what belongs to one row: `WHERE id = $1`, `WHERE vendor_id = $1`, a count of those, the first of
/// them. Asked again and again for one page it is N+1; one that asks for many keys at once, `IN (…)`, is the remedy. One
/// key in a list is one key: PostgreSQL counts `IN ($1)` and `= $1` as the same statement, and shows what came first.
pub(super) fn of_one_row(text: &str) -> bool {
    if !is_select(text) {
        return false;
    }
    let upper = text.to_ascii_uppercase();
    let Some(from) = upper.find(" WHERE ").map(|at| at + " WHERE ".len()) else { return false };
    let clause = &upper[from..];
    let to = [" ORDER BY ", " GROUP BY ", " LIMIT "].iter().filter_map(|word| clause.find(word)).min();
    let clause = &clause[..to.unwrap_or(clause.len())];
    let range = [" BETWEEN ", " LIKE "].iter().any(|word| clause.contains(word));
    let keyed = clause.match_indices('$').any(|(at, _)| compared(&clause[..at], &clause[at..]).is_some_and(is_key));
    let many = [" IN (", " = ANY(", " = ANY ("].iter().any(|word| {
        let lists = clause.match_indices(word).filter(|(at, word)| !alone(&clause[at + word.len()..], word));
        lists.map(|(at, _)| last_name(&clause[..at])).any(is_key)
    });
    keyed && !many && !range && !remedy::table(text).is_some_and(|table| FRAMEWORK.contains(&table.as_str()))
}

/// One shape for lists of different lengths, none for what has no list: pg_stat_statements counts each length by itself.
pub(super) fn of_list(text: &str) -> Option<String> {
    let (mut shape, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(" IN ($") {
        shape.push_str(before);
        shape.push_str(" IN (");
        rest = &after[after.find(')')?..];
    }
    shape.push_str(rest);
    // The numbers behind a list depend on its length.
    let mut parts = shape.split('$');
    let first = parts.next().map(str::to_owned);
    let numberless = parts.map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
    first.filter(|_| shape.contains(" IN ()")).map(|first| numberless.fold(first, |all, part| all + "$" + part))
}

/// Lists of different lengths are one statement here: a loop that asks for some rows each time is a loop.
pub(super) fn by_shape(ran: Vec<Statement>) -> Vec<Statement> {
    let mut together: Vec<Statement> = Vec::new();
    for statement in ran {
        let shape = Some(&statement.text).filter(|text| !of_one_row(text)).and_then(|text| of_list(text));
        let Some(shape) = shape else {
            together.push(statement);
            continue;
        };
        let mut hasher = DefaultHasher::new();
        shape.hash(&mut hasher);
        let queryid = hasher.finish().cast_signed();
        match together.iter_mut().find(|s| s.queryid == queryid) {
            Some(same) => {
                same.calls += statement.calls;
                same.total_ms += statement.total_ms;
                same.rows += statement.rows;
            }
            None => together.push(Statement { queryid, ..statement }),
        }
    }
    together
}

/// The column that is compared with the parameter between these two by `=`, or by `IN` with nothing beside it.
fn compared<'a>(before: &'a str, after: &str) -> Option<&'a str> {
    let before = before.trim_end();
    if let Some(column) = before.strip_suffix(" IN (") {
        return alone(after, " IN (").then(|| last_name(column));
    }
    let column = before.trim_end_matches('(').trim_end().strip_suffix('=')?;
    (!column.ends_with(['<', '>', '!'])).then(|| last_name(column))
}

/// Is a list's first value its last?
fn alone(list: &str, word: &str) -> bool {
    let value = list.trim_start_matches('$').trim_start_matches(|c: char| c.is_ascii_digit());
    word == " IN (" && list.starts_with('$') && value.starts_with(')')
}

fn last_name(before: &str) -> &str {
    before.trim_end().rsplit([' ', '.', '(']).next().unwrap_or_default().trim_matches('"')
}

fn is_key(name: &str) -> bool {
    matches!(name, "ID" | "UUID" | "SLUG" | "PK") || name.ends_with("_ID") || name.ends_with("_PTR")
}

/// The index with a condition on a column that this statement compares.
pub(super) fn in_part(text: &str, partial: &[(String, String, String)]) -> Option<String> {
    let (table, columns) = (remedy::table(text)?, remedy::filters(text));
    let names = |condition: &str, column: &str| {
        condition.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == column)
    };
    let fits = |(tab, _, condition): &&(String, String, String)| {
        *tab == table && columns.iter().any(|column| names(condition, column))
    };
    partial.iter().find(fits).map(|(_, name, _)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_of_some_rows_is_of_the_compared_column() {
        let index = |table: &str, condition: &str| vec![(table.to_owned(), "some".to_owned(), condition.to_owned())];
        let text = r#"SELECT "o"."id" FROM "o" WHERE "o"."status" = $1"#;
        assert_eq!(in_part(text, &index("o", "((status)::text = 'open'::text)")).as_deref(), Some("some"));
        assert_eq!(in_part(text, &index("o", "(status_before IS NULL)")), None);
        assert_eq!(in_part(text, &index("p", "((status)::text = 'open'::text)")), None);
    }

    #[test]
    fn lists_of_different_lengths_are_one_loop() {
        let ran = |queryid, calls, ids: &str| {
            let text = format!(r#"SELECT "p"."id" FROM "p" WHERE "p"."id" IN ({ids})"#);
            Statement { queryid, text, calls, total_ms: 1.0, rows: 0 }
        };
        let loops = by_shape(vec![ran(1, 12, "$1, $2"), ran(2, 12, "$1, $2, $3"), ran(3, 12, "$1, $2, $3, $4")]);
        let again = by_shape(vec![ran(3, 20, "$1, $2, $3, $4"), ran(1, 16, "$1, $2")]);
        assert_eq!((loops.len(), loops[0].calls, again[0].calls), (1, 36, 36));
        // Whatever came first: it must be found again in the next round.
        assert_eq!(loops[0].queryid, again[0].queryid);
        // A prefetch of one row is no list of that loop, or two parts of a page would be called one.
        let alone = by_shape(vec![ran(1, 3, "$1, $2"), ran(2, 3, "$1"), ran(3, 3, "$1, $2, $3")]);
        assert_eq!(alone.iter().map(|s| s.calls).collect::<Vec<_>>(), [6, 3]);
    }

    #[test]
    fn one_row_at_a_time() {
        for text in [
            r#"SELECT "shop_vendor"."id", … FROM "shop_vendor" WHERE "shop_vendor"."id" = $1 LIMIT $2"#,
            r#"SELECT AVG("r"."stars") AS "mean" FROM "r" WHERE "r"."product_id" = $1"#,
            r#"SELECT "r"."id" FROM "r" WHERE "r"."product_id" = $1 ORDER BY "r"."id" ASC LIMIT $2"#,
            r#"SELECT $1 AS "a" FROM "shop_like" WHERE ("shop_like"."user_id" = $2 AND "shop_like"."product_id" = $3) LIMIT $4"#,
            r#"SELECT COUNT(*) AS "__count" FROM "auth_user" WHERE "auth_user"."id" = $1"#,
            "select * from page where slug = $1",
            "select * from page where slug=$1",
            r#"SELECT "p"."id" FROM "p" WHERE "p"."id" = ($1)"#,
            // One key in a list: PostgreSQL counts it as `= $1`, whichever text it saw first.
            r#"SELECT "i"."id" FROM "i" WHERE "i"."order_id" IN ($1)"#,
            // Some of what belongs to one row.
            r#"SELECT "i"."id" FROM "i" WHERE ("i"."order_id" = $1 AND "i"."state" IN ($2, $3))"#,
        ] {
            assert!(of_one_row(text), "{text}");
        }
        for text in [
            // A prefetch.
            r#"SELECT "i"."id" FROM "i" WHERE "i"."order_id" IN ($1, $2, $3)"#,
            r#"SELECT "i"."id" FROM "i" WHERE "i"."order_id" IN ($1, …)"#,
            r#"SELECT "i"."id" FROM "i" WHERE ("i"."shop_id" = $1 AND "i"."order_id" IN ($2, $3))"#,
            r#"SELECT "i"."id" FROM "i" WHERE "i"."order_id" IN (SELECT U0."id" FROM "o" U0 WHERE U0."state" = $1)"#,
            r#"SELECT "i"."id" FROM "i" WHERE "i"."parent_id" >= $1"#,
            // A month, a week and a day of one user's.
            r#"SELECT COUNT(*) FROM "o" WHERE ("o"."user_id" = $1 AND "o"."day" BETWEEN $2 AND $3)"#,
            r#"SELECT "i"."id" FROM "i" WHERE "i"."order_id" = ANY($1)"#,
            // A list.
            r#"SELECT "v"."id" FROM "v" ORDER BY "v"."name" ASC LIMIT $1"#,
            r#"SELECT "o"."id" FROM "o" WHERE "o"."email" = $1 ORDER BY "o"."created_at" DESC LIMIT $2"#,
            r#"SELECT "p"."id" FROM "p" INNER JOIN "v" ON ("p"."vendor_id" = "v"."id") WHERE "p"."price" > $1"#,
            r#"SELECT "django_session"."session_key" FROM "django_session" WHERE "django_session"."session_id" = $1"#,
            r#"UPDATE "v" SET "n" = $1 WHERE "v"."id" = $2"#,
            "SELECT $1",
            "SELECT now()",
        ] {
            assert!(!of_one_row(text), "{text}");
        }
        let list = |ids: &str| of_list(&format!("SELECT a FROM b WHERE id IN ({ids}) LIMIT $9"));
        assert!(list("$1").is_some() && list("$1") == list("$1, $2, $12") && of_list("SELECT a FROM b").is_none());
        assert_ne!(list("$1"), of_list("SELECT a FROM c WHERE id IN ($1) LIMIT $2"));
        assert!(is_select("WITH RECURSIVE t AS (SELECT a FROM b WHERE id = $1) SELECT a FROM t"));
        assert!(is_select("(SELECT a FROM b) UNION (SELECT a FROM c)"));
        assert!(!is_select("WITH t AS (DELETE FROM b RETURNING a) SELECT a FROM t"));
        assert!(is_select("SELECT a FROM b") && !is_select("UPDATE b") && !is_select("SELECT $1"));
    }
}
