//! From a normalised statement of Django's to what one would write in Django: model and fields are guessed from table and
//! column names. Knows text alone.

/// What a loop that runs this statement row by row wants instead.
pub(super) fn repeated(sql: &str) -> String {
    let general =
        "fetch related rows at once: select_related for single ones, prefetch_related for lists, annotate for counts";
    let (Some(table), Some(column)) = (table(sql), filters(sql).into_iter().next()) else { return general.to_owned() };
    let model = model(&table);
    let counts = ["COUNT(", "AVG(", "SUM(", "MAX(", "MIN("].iter().any(|word| sql.to_ascii_uppercase().contains(word));
    match (column.as_str(), column.strip_suffix("_id")) {
        ("id", _) => format!(
            "it fetches one {model} by its key again and again: select_related(\"{}\") on the list that leads to it (or in_bulk, \
             when the keys come from elsewhere)",
            related(&table)
        ),
        (_, Some(parent)) if counts => format!(
            "it counts {model} rows for one {parent} after the other: annotate the list of {parent} rows once, or group \
             {model} by {parent} in one query"
        ),
        (_, Some(parent)) => format!(
            "it fetches the {model} rows of one {parent} after the other: prefetch_related on the list of {parent} rows (the \
             related_name of {model}.{parent})"
        ),
        _ => format!("it asks {model} by {column} again and again: ask once with {column}__in. In general: {general}"),
    }
}

/// What a statement that is slow by itself wants.
pub(super) fn slow(sql: &str) -> String {
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

fn related(table: &str) -> &str {
    table.split_once('_').map_or(table, |(_, name)| name)
}

/// The first table of FROM.
pub(super) fn table(sql: &str) -> Option<String> {
    let at = find(sql, " from ")? + " from ".len();
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
        assert!(repeated(rating).contains("annotate the list of product rows"), "{}", repeated(rating));
        let items = r#"SELECT "shop_orderitem"."id" FROM "shop_orderitem" WHERE "shop_orderitem"."order_id" = $1"#;
        assert!(repeated(items).contains("prefetch_related"), "{}", repeated(items));
        assert!(repeated("SELECT now()").contains("select_related"));
        let orders = r#"SELECT "shop_order"."id" FROM "shop_order" WHERE "shop_order"."email" = $1 ORDER BY "shop_order"."created_at" DESC LIMIT $2"#;
        let said = slow(orders);
        assert!(said.contains("shop.Order") && said.contains(r#"fields=["email", "-created_at"]"#), "{said}");
        let search = r#"SELECT "p"."id" FROM "shop_product" p WHERE UPPER("shop_product"."name"::text) LIKE UPPER($1)"#;
        assert_eq!(filters(search), ["name"]);
        assert!(slow("SELECT count(*) FROM shop_order").contains("fetch fewer"));
        // Not one of Django's at all.
        assert!(slow("VACUUM").contains("EXPLAIN"));
    }
}
