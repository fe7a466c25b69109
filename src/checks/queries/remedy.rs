//! From a normalised statement of Django's to what one would write in Django: model and fields are guessed from table and
//! column names. Knows text alone.

use super::shape;

/// What a loop that runs this statement row by row wants instead.
pub(super) fn repeated(sql: &str) -> String {
    let general =
        "fetch related rows at once: select_related for single ones, prefetch_related for lists, annotate for counts";
    let (Some(table), Some(column)) = (table(sql), filters(sql).into_iter().next()) else { return general.to_owned() };
    let model = model(&table);
    let upper = sql.to_ascii_uppercase();
    let sums = [
        ("COUNT(", "counts", "Count"),
        ("AVG(", "averages", "Avg"),
        ("SUM(", "sums up", "Sum"),
        ("MAX(", "takes the largest of", "Max"),
        ("MIN(", "takes the smallest of", "Min"),
    ];
    let counts = sums.into_iter().find(|(word, ..)| upper.contains(word));
    // What .exists() makes, and what .get() makes of the other side of a OneToOneField.
    let exists = upper.starts_with("SELECT $1 AS ") || upper.starts_with("SELECT 1 AS ");
    let (ordered, limited) = (upper.contains(" ORDER BY "), upper.contains(" LIMIT "));
    match (column.as_str(), column.strip_suffix("_id")) {
        _ if exists => format!(
            "it asks row by row whether there is a {model}: fetch the keys of all of them in one query before the loop (a set \
             from values_list), or annotate the list with Exists({model}.objects.filter(… = OuterRef(\"pk\")))"
        ),
        ("id", _) => format!(
            "it fetches one {model} by its key again and again: select_related(\"{}\") on the list that leads to it (or in_bulk, \
             when the keys come from elsewhere)",
            related(&table)
        ),
        (_, Some(parent)) => match counts {
            Some((word, verb, call)) => format!(
                "it {verb} the {model} rows of one {parent} after the other: .annotate({call}(\"{}\")) on the list of {parent} rows \
                 ({}, or its related_name, is the way back), or group {model} by {parent} in one query",
                summed(sql, &upper, word, &table),
                related(&table)
            ),
            // .first() and .filter() on what was prefetched ask again.
            None if ordered && limited => format!(
                "it fetches the first {model} row of one {parent} after the other: prefetch_related(Prefetch(…, to_attr=…)) on the \
                 list of {parent} rows and take [0] of that; .first(), .filter() and .order_by() ask again in spite of a prefetch"
            ),
            None if through(sql, &table, &column) => format!(
                "it fetches the {model} rows of one {parent} after the other: prefetch_related on the list of {parent} rows (the \
                 ManyToManyField between {parent} and {model})"
            ),
            None if limited => format!(
                "it fetches the one {model} of each {parent}: select_related(\"{}\") on the list of {parent} rows if \
                 {model}.{parent} is a OneToOneField, else prefetch_related",
                related(&table)
            ),
            None => format!(
                "it fetches the {model} rows of one {parent} after the other: prefetch_related on the list of {parent} rows (the \
                 related_name of {model}.{parent})"
            ),
        },
        _ => format!("it asks {model} by {column} again and again: ask once with {column}__in. In general: {general}"),
    }
}

/// What a statement that costs most wants: `mean` ms a call, `calls` a request.
pub(super) fn costly(sql: &str, mean: f64, calls: f64) -> String {
    if shape::of_one_row(sql) && calls >= OFTEN {
        return format!("it runs {calls:.0} times a request: {}", repeated(sql));
    }
    if let Some(table) = waits(sql).filter(|_| mean >= WAITS) {
        return format!(
            "one row of {table} ({}) is written by its key, and that takes {mean:.0} ms: it waits for a lock that another request's \
             transaction holds. Keep the transaction short (no mail, no request elsewhere inside of transaction.atomic), write such a \
             row last in it, or count in Redis and write now and then",
            model(&table)
        );
    }
    let less =
        if shape::is_select(sql) { "; or fetch fewer rows, or ask for it less often (cache what it says)" } else { "" };
    format!("{}{less}", slow(sql))
}

/// Calls a request from which a statement is a loop's.
const OFTEN: f64 = 3.0;
/// Time a write of one row by its key does not take unless it waits, ms.
const WAITS: f64 = 5.0;

/// The table whose one row this statement writes or locks.
fn waits(sql: &str) -> Option<String> {
    let upper = sql.to_ascii_uppercase();
    let by_key = upper.contains(r#""ID" = $"#) || upper.contains(" ID = $");
    let locks = upper.starts_with("UPDATE ") || upper.contains(" FOR UPDATE") || upper.contains(" FOR NO KEY UPDATE");
    table(sql).filter(|_| locks && by_key)
}

/// What a statement that is slow by itself wants.
pub(super) fn slow(sql: &str) -> String {
    let upper = sql.to_ascii_uppercase();
    if let Some(table) = table(sql).filter(|_| upper.contains("ORDER BY RANDOM()")) {
        return format!(
            "order_by(\"?\") numbers and sorts every row of {table}, and no index helps: draw some keys in Python and fetch \
             {}.objects.filter(pk__in=keys), or keep a drawn handful in the cache for a minute",
            model(&table)
        );
    }
    if let Some(table) = table(sql).filter(|_| upper.starts_with("INSERT ")) {
        let model = model(&table);
        return format!(
            "rows of {model} are written: bulk_create in a loop's place, and look which indexes of {table} nobody uses \
             (pg_stat_user_indexes): each of them is written to as well"
        );
    }
    if let Some((table, column)) = table(sql).zip(like(&upper, sql)) {
        let expression = if upper.contains(" LIKE UPPER(") {
            format!("OpClass(Upper(\"{column}\"), name=\"gin_trgm_ops\")")
        } else {
            format!("OpClass(\"{column}\", name=\"gin_trgm_ops\")")
        };
        return format!(
            "it looks for words inside of {table}.{column}, which no usual index can: give {} a GinIndex({expression}, \
             name=…) in a migration behind TrigramExtension(), and ask only for three letters and more. If it is there \
             already, look by EXPLAIN whether an ORDER BY leads PostgreSQL past it",
            model(&table)
        );
    }
    let (Some(table), columns) = (table(sql), filters(sql)) else {
        return "EXPLAIN it on the production data and add the index its WHERE and ORDER BY need".to_owned();
    };
    let wanted: Vec<String> = columns.into_iter().filter(|c| c != "id").chain(order(sql)).collect();
    if wanted.is_empty() {
        return format!("EXPLAIN it on the production data; on {}, fetch fewer rows or columns (.only)", model(&table));
    }
    index_on(&table, &wanted)
}

/// The line of `Meta` that makes an index.
pub(super) fn index_on(table: &str, columns: &[String]) -> String {
    let mut fields: Vec<String> = Vec::new();
    for column in columns {
        let field = format!("\"{}\"", column.strip_suffix("_id").unwrap_or(column));
        if !fields.contains(&field) && fields.len() < 3 {
            fields.push(field);
        }
    }
    format!(
        "give {} (table {table}) Meta.indexes = [models.Index(fields=[{}])] in a migration with AddIndexConcurrently, if \
         EXPLAIN on the production data agrees",
        model(table),
        fields.join(", ")
    )
}

/// "shop_orderitem" is probably `shop.Orderitem`; the app's own spelling is not known.
pub(super) fn model(table: &str) -> String {
    let (app, name) = table.split_once('_').unwrap_or(("", table));
    let mut letters = name.chars();
    let capital: String = letters.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(letters).collect();
    if app.is_empty() { capital } else { format!("{app}.{capital}") }
}

/// Does the column stand in another table, which a ManyToManyField leads through?
fn through(sql: &str, table: &str, column: &str) -> bool {
    let (here, anywhere) = (format!("\"{table}\".\"{column}\""), format!("\".\"{column}\""));
    let clause = find(sql, " where ").map_or("", |at| &sql[at..]);
    clause.contains(&anywhere) && !clause.contains(&here)
}

/// What is summed, as annotate names it: "review__stars", and "product" where rows are counted.
fn summed(sql: &str, upper: &str, word: &str, table: &str) -> String {
    let column = upper.find(word).map(|at| &sql[at + word.len()..]).and_then(|rest| {
        let name = rest.split(')').next()?.rsplit('.').next()?.trim_matches('"');
        let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        plain.then(|| format!("{}__{name}", related(table)))
    });
    column.unwrap_or_else(|| related(table).to_owned())
}

fn related(table: &str) -> &str {
    table.split_once('_').map_or(table, |(_, name)| name)
}

/// The first table of FROM, or the one that is written to.
pub(super) fn table(sql: &str) -> Option<String> {
    let writes = ["update ", "insert into "].into_iter();
    let written = writes.filter(|verb| sql.get(..verb.len()).is_some_and(|w| w.eq_ignore_ascii_case(verb)));
    let at = match written.map(str::len).next() {
        Some(at) => at,
        None => find(sql, " from ")? + " from ".len(),
    };
    let word = sql[at..].split([' ', ',', ')', '(']).find(|w| !w.is_empty())?;
    let name = word.rsplit('.').next()?.trim_matches('"');
    (!name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')).then(|| name.to_owned())
}

/// Columns that WHERE compares with something that was handed in.
pub(super) fn filters(sql: &str) -> Vec<String> {
    let Some(from) = find(sql, " where ") else { return Vec::new() };
    let rest = &sql[from + " where ".len()..];
    let to = [" order by ", " group by ", " limit "].iter().filter_map(|word| find(rest, word)).min();
    let mut found: Vec<String> = Vec::new();
    let clause = &rest[..to.unwrap_or(rest.len())];
    // What stands before `= $1`, `IN ($1`, `LIKE $1`, … : the last quoted or plain name before the parameter.
    for (at, _) in clause.match_indices('$') {
        let before = clause[..at].rsplit(" AND ").next().unwrap_or_default();
        let name = before
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .rfind(|w| w.chars().any(|c| c.is_ascii_lowercase()) && !matches!(*w, "text" | "in" | "like"));
        if let Some(name) = name.filter(|name| !found.iter().any(|f| f == name)) {
            found.push(name.to_owned());
        }
    }
    found
}

/// The column that LIKE compares.
fn like(upper: &str, sql: &str) -> Option<String> {
    let before = &sql[..upper.find(" LIKE ")?];
    let mut names = before.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    names.rfind(|w| w.chars().any(|c| c.is_ascii_lowercase()) && *w != "text").map(str::to_owned)
}

/// Columns of ORDER BY, `-` before those that descend.
fn order(sql: &str) -> Vec<String> {
    let Some(from) = find(sql, " order by ") else { return Vec::new() };
    let rest = &sql[from + " order by ".len()..];
    let clause = &rest[..find(rest, " limit ").unwrap_or(rest.len())];
    let column = |part: &str| {
        let name = part.split_whitespace().next()?.rsplit('.').next()?.trim_matches('"').to_owned();
        let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        let down = part.to_ascii_uppercase().contains(" DESC");
        plain.then(|| if down { format!("-{name}") } else { name })
    };
    clause.split(',').filter_map(column).filter(|c| !c.chars().all(|c| c.is_ascii_digit())).collect()
}

fn find(sql: &str, word: &str) -> Option<usize> {
    // ASCII alone is changed, so that places stay the same.
    sql.to_ascii_lowercase().find(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_names_model_and_field() {
        let vendor = r#"SELECT "shop_vendor"."id", "shop_vendor"."name" FROM "shop_vendor" WHERE "shop_vendor"."id" = $1 LIMIT $2"#;
        assert!(repeated(vendor).contains("select_related(\"vendor\")"), "{}", repeated(vendor));
        let rating =
            r#"SELECT AVG("shop_review"."stars") AS "mean" FROM "shop_review" WHERE "shop_review"."product_id" = $1"#;
        assert!(
            repeated(rating).contains(r#".annotate(Avg("review__stars")) on the list of product rows"#),
            "{}",
            repeated(rating)
        );
        let dishes = r#"SELECT COUNT(*) AS "__count" FROM "shop_product" WHERE "shop_product"."vendor_id" = $1"#;
        assert!(repeated(dishes).contains(r#".annotate(Count("product"))"#), "{}", repeated(dishes));
        let first = r#"SELECT "r"."id" FROM "shop_review" WHERE "shop_review"."product_id" = $1 ORDER BY "r"."id" ASC LIMIT $2"#;
        assert!(repeated(first).contains("to_attr"), "{}", repeated(first));
        let items = r#"SELECT "shop_orderitem"."id" FROM "shop_orderitem" WHERE "shop_orderitem"."order_id" = $1"#;
        assert!(repeated(items).contains("prefetch_related"), "{}", repeated(items));
        for (sql, said) in [
            (
                r#"SELECT $1 AS "a" FROM "shop_like" WHERE ("shop_like"."user_id" = $2 AND "shop_like"."product_id" = $3) LIMIT $4"#,
                "Exists(shop.Like.objects",
            ),
            (
                r#"SELECT "shop_tag"."id" FROM "shop_tag" INNER JOIN "shop_product_tags" ON ("shop_tag"."id" = "shop_product_tags"."tag_id") WHERE "shop_product_tags"."product_id" = $1"#,
                "the ManyToManyField between product and shop.Tag",
            ),
            (
                r#"SELECT "shop_profile"."id" FROM "shop_profile" WHERE "shop_profile"."user_id" = $1 LIMIT $2"#,
                "select_related(\"profile\")",
            ),
        ] {
            assert!(repeated(sql).contains(said), "{}", repeated(sql));
        }
        assert!(repeated("SELECT now()").contains("select_related"));
        let orders = r#"SELECT "shop_order"."id" FROM "shop_order" WHERE "shop_order"."email" = $1 ORDER BY "shop_order"."created_at" DESC LIMIT $2"#;
        let said = slow(orders);
        assert!(said.contains("shop.Order") && said.contains(r#"fields=["email", "-created_at"]"#), "{said}");
        let search = r#"SELECT "p"."id" FROM "shop_product" p WHERE UPPER("shop_product"."name"::text) LIKE UPPER($1)"#;
        assert_eq!(filters(search), ["name"]);
        assert!(slow(search).contains("OpClass(Upper(\"name\"), name=\"gin_trgm_ops\")"), "{}", slow(search));
        assert!(!costly("INSERT INTO \"shop_order\" (\"email\") VALUES ($1)", 1.0, 0.1).contains("fetch fewer"));
        assert!(slow("SELECT count(*) FROM shop_order").contains("fetch fewer"));
        let drawn = slow(r#"SELECT "shop_product"."id", … FROM "shop_product" ORDER BY RANDOM() ASC LIMIT $1"#);
        assert!(drawn.contains("shop.Product.objects.filter(pk__in=keys)"), "{drawn}");
        let counter =
            r#"UPDATE "shop_vendor" SET "views" = ("shop_vendor"."views" + $1) WHERE "shop_vendor"."id" = $2"#;
        assert!(costly(counter, 140.0, 0.1).contains("lock") && !costly(counter, 0.2, 1.0).contains("lock"));
        assert!(costly(vendor, 0.1, 12.0).contains("12 times a request"));
        let written =
            slow(r#"INSERT INTO "shop_order" ("email", "total") VALUES ($1, $2) RETURNING "shop_order"."id""#);
        assert!(written.contains("bulk_create") && written.contains("shop.Order"), "{written}");
        assert_eq!(table("DELETE FROM shop_order WHERE id = $1").as_deref(), Some("shop_order"));
        // Not one of Django's at all.
        assert!(slow("VACUUM").contains("EXPLAIN"));
    }
}
