//! Is a repeated statement asked for row by row? By what the page's other statements gave; knows no database.

use serde::{Deserialize, Serialize};

use crate::domain::measurement::Statement;

use super::{remedy, shape};

/// A SELECT that ran more than once for one request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Repeated {
    /// Runs for one request, in the quietest round.
    pub runs: f64,
    /// Its normalised text.
    pub text: String,
    /// Rows of the page's list that it may be asked for row by row.
    #[serde(default)]
    pub list: Option<f64>,
}

/// Does a page loop?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loops {
    /// It does not.
    No,
    /// It shows a longer list: some of its rows may be asked for, or one row again and again.
    Perhaps,
    /// It does.
    Yes,
}

/// Most queries of one shape that a loop makes for each row.
const FOR_EACH: u32 = 4;

/// Runs that come out even: once for each row of the list, or a few times.
pub(super) fn fits(runs: f64, list: f64) -> bool {
    (1..=FOR_EACH).any(|each| list.mul_add(-f64::from(each), runs).abs() < 0.05)
}

/// Tables of which Django reads many rows for itself, beside those of [`shape::FRAMEWORK`]: what the test user may do.
const RIGHTS: [&str; 2] = ["auth_permission", "auth_group"];

/// True for rows that Django or a library reads for itself: no page shows them as its list.
fn read_for_itself(statement: &Statement) -> bool {
    remedy::table(&statement.text)
        .is_some_and(|t| RIGHTS.contains(&t.as_str()) || shape::FRAMEWORK.contains(&t.as_str()))
}

/// The list that a statement of so many runs may be asked for row by row: one it fits, or a longer one.
pub(super) fn list_for(runs: f64, queryid: i64, rounds: &[Vec<Statement>]) -> Option<f64> {
    let others = rounds.iter().flatten().filter(|s| s.queryid != queryid && !read_for_itself(s));
    let lists: Vec<f64> = others.map(|s| s.rows as f64 / s.calls.max(1) as f64).filter(|rows| *rows >= 2.0).collect();
    let longest = lists.iter().copied().fold(0.0, f64::max);
    lists.iter().copied().find(|list| fits(runs, *list)).or_else(|| Some(longest).filter(|longest| *longest > runs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_comes_out_even_with_a_list_of_its_page() {
        let ran = |queryid, calls, rows| Statement { queryid, text: String::new(), calls, total_ms: 1.0, rows };
        // Three requests: a list of six rows, a row that is asked for by its key, the vendor of each of the six.
        let rounds = [vec![ran(1, 3, 18), ran(2, 3, 3), ran(3, 18, 18)], vec![ran(1, 3, 18)]];
        for (runs, list) in [(6.0, Some(6.0)), (12.0, Some(6.0)), (4.0, Some(6.0)), (7.0, None)] {
            assert_eq!(list_for(runs, 3, &rounds), list, "{runs}");
        }
        assert_eq!(list_for(6.0, 1, &rounds), None, "no list loops over itself");
    }

    #[test]
    fn what_django_reads_for_itself_is_no_list_of_the_page() {
        let ran =
            |queryid, rows, text: &str| Statement { queryid, text: text.to_owned(), calls: 3, total_ms: 1.0, rows };
        for (list, text) in [
            (
                None,
                r#"SELECT "django_content_type"."app_label", "auth_permission"."codename" FROM "auth_permission" INNER JOIN "auth_user_user_permissions" ON ("auth_permission"."id" = "auth_user_user_permissions"."permission_id") WHERE "auth_user_user_permissions"."user_id" = $1"#,
            ),
            (
                None,
                r#"SELECT "auth_group"."id", "auth_group"."name" FROM "auth_group" INNER JOIN "auth_user_groups" ON ("auth_group"."id" = "auth_user_groups"."group_id") WHERE "auth_user_groups"."user_id" = $1"#,
            ),
            (None, r#"SELECT "django_content_type"."id" FROM "django_content_type""#),
            (None, r#"SELECT "django_session"."session_data" FROM "django_session""#),
            // Users in a list are what a page shows: who is signed in is one row.
            (Some(40.0), r#"SELECT "auth_user"."id" FROM "auth_user" ORDER BY "auth_user"."id" ASC LIMIT $1"#),
            (Some(40.0), r#"SELECT "shop_product"."id" FROM "shop_product" LIMIT $1"#),
        ] {
            let rounds =
                [vec![ran(1, 120, text), ran(2, 3, r#"SELECT "auth_user"."id" FROM "auth_user" WHERE "id" = $1"#)]];
            assert_eq!(list_for(4.0, 3, &rounds), list, "{text}");
        }
    }
}
