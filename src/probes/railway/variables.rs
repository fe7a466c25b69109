//! A service's variables: their names, and what they refer to. A value is looked through while it is read and never kept.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};

use crate::domain::text::tame;

/// Variables by name.
pub type Variables = BTreeMap<String, Refers>;

/// What a variable's value refers to: `${{Postgres.DATABASE_URL}}`. Empty for a plain value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refers(pub Vec<Reference>);

/// One reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The other service; none for the same one. `shared` stands for the environment itself.
    pub service: Option<String>,
    /// The variable there.
    pub variable: String,
}

impl Refers {
    fn of(value: &str) -> Self {
        let holes = value.split("${{").skip(1).filter_map(|rest| rest.split_once("}}"));
        Self(holes.filter_map(|(hole, _)| Reference::of(hole.trim())).collect())
    }
}

impl Reference {
    /// None for what is no reference, such as a call of `secret(…)`.
    fn of(hole: &str) -> Option<Self> {
        let name = |text: &str| {
            let fits = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_- ".contains(c));
            fits.then(|| tame(text, 100))
        };
        match hole.rsplit_once('.') {
            Some((service, variable)) => {
                Some(Self { service: Some(name(service.trim().trim_matches('"'))?), variable: name(variable.trim())? })
            }
            None => Some(Self { service: None, variable: name(hole)? }),
        }
    }
}

impl<'de> Deserialize<'de> for Refers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Value;
        impl Visitor<'_> for Value {
            type Value = Refers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the text of a variable")
            }

            fn visit_str<E>(self, value: &str) -> Result<Refers, E> {
                Ok(Refers::of(value))
            }
        }
        from.deserialize_str(Value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_kept_and_values_are_not() {
        let json = r#"{
            "DATABASE_URL": "${{Postgres.DATABASE_URL}}",
            "REDIS_URL": "redis://:hunter2@${{ \"My Cache\".RAILWAY_PRIVATE_DOMAIN }}:6379/${{DB}}",
            "SECRET_KEY": "hunter2",
            "MADE": "${{secret(32, \"hunter2.x\")}}",
            "OPEN": "${{hunter2"
        }"#;
        let variables: Variables = serde_json::from_str(json).unwrap();
        let reference = |service: Option<&str>, variable: &str| Reference {
            service: service.map(str::to_owned),
            variable: variable.to_owned(),
        };
        assert_eq!(variables["DATABASE_URL"].0, [reference(Some("Postgres"), "DATABASE_URL")]);
        let both = [reference(Some("My Cache"), "RAILWAY_PRIVATE_DOMAIN"), reference(None, "DB")];
        assert_eq!(variables["REDIS_URL"].0, both);
        for plain in ["SECRET_KEY", "MADE", "OPEN"] {
            assert_eq!(variables[plain], Refers::default(), "{plain}");
        }
        assert!(!format!("{variables:?}").contains("hunter2"), "{variables:?}");
    }
}
