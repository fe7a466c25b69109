//! Which database addresses the services at Railway are given: explains a failure, proves nothing.

use crate::domain::check::Finding;
use crate::probes::railway::Variables;
use crate::probes::{ProbeError, Probes};

/// Services whose variables are read, at most.
const SERVICES: usize = 12;
/// Parts of a variable's name by which a database's address is known.
const ADDRESSES: [&str; 3] = ["DATABASE", "POSTGRES", "PGHOST"];

/// What refers to a database or a pooler, as "worker: DATABASE_URL = Postgres.DATABASE_URL"; nothing where Railway is not
/// named or does not answer.
pub(super) async fn addresses(probes: &Probes) -> Vec<String> {
    if probes.site.railway.is_none() {
        return Vec::new();
    }
    // Without an answer the failure stands as it is.
    ask(probes).await.unwrap_or_default()
}

async fn ask(probes: &Probes) -> Result<Vec<String>, ProbeError> {
    let railway = probes.railway().await?;
    let mut found = Vec::new();
    for service in railway.services().await?.iter().take(SERVICES) {
        found.extend(references(&service.name, &railway.variables(&service.id).await?));
    }
    Ok(found)
}

fn references(service: &str, variables: &Variables) -> Vec<String> {
    let of_database = |name: &str| ADDRESSES.iter().any(|part| name.contains(part));
    let lines = variables.iter().flat_map(|(name, refers)| refers.0.iter().map(move |reference| (name, reference)));
    let lines = lines.filter(|(_, reference)| of_database(&reference.variable));
    let lines = lines.filter_map(|(name, reference)| {
        Some(format!("{service}: {name} = {}.{}", reference.service.as_ref()?, reference.variable))
    });
    lines.collect()
}

/// The same as a finding.
pub(super) fn finding(addresses: &[String]) -> Option<Finding> {
    (!addresses.is_empty()).then(|| Finding {
        seen: format!("at Railway, {}", addresses.join("; ")),
        todo: "let every service that runs the app refer to the pooler's address, and only what migrates to the database's own"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_databases_are_told_and_values_are_not() {
        let variables: Variables = serde_json::from_str(
            r#"{ "DATABASE_URL": "${{Postgres.DATABASE_URL}}", "REDIS_URL": "${{Redis.REDIS_URL}}",
                "SECRET_KEY": "hunter2", "DIRECT": "postgres://u:hunter2@db/shop" }"#,
        )
        .unwrap();
        assert_eq!(references("worker", &variables), ["worker: DATABASE_URL = Postgres.DATABASE_URL"]);
        assert_eq!(finding(&[]), None);
    }
}
