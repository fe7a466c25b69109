//! Which statements no page asks for: what a kept connection and a transaction cost by themselves. Knows no database.

/// True for the health check of a kept connection (`CONN_HEALTH_CHECKS`) and the frame of a transaction
/// (`ATOMIC_REQUESTS`, `atomic()`), normalised or not.
#[must_use]
pub fn is_upkeep(text: &str) -> bool {
    let text = text.trim().trim_end_matches(';').trim_end().to_ascii_lowercase();
    let first = text.split_whitespace().next().unwrap_or_default();
    matches!(text.as_str(), "select $1" | "select 1" | "select ?")
        || matches!(first, "begin" | "commit" | "rollback" | "savepoint" | "release")
        || text.starts_with("start transaction")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upkeep_is_no_query_of_a_page() {
        for text in [
            "SELECT $1",
            "SELECT 1;",
            "BEGIN",
            "BEGIN ISOLATION LEVEL READ COMMITTED",
            "COMMIT",
            "ROLLBACK",
            r#"SAVEPOINT "s139_x1""#,
            r#"ROLLBACK TO SAVEPOINT "s139_x1""#,
            r#"RELEASE SAVEPOINT "s139_x1""#,
            "start transaction",
        ] {
            assert!(is_upkeep(text), "{text}");
        }
        for text in [
            "SELECT $1 FROM a",
            "SELECT count(*) FROM beginners",
            "UPDATE a SET b = $1",
            "",
            "<insufficient privilege>",
        ] {
            assert!(!is_upkeep(text), "{text}");
        }
    }
}
