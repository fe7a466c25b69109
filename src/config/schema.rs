//! The shape of `rampup.toml` as a JSON Schema, for editors: derived from the types that read the file.
//!
//! Says what may stand where. What depends on other lines (exactly one of get and post, names that must exist) is the
//! reader's to judge.

use schemars::generate::SchemaSettings;

use super::raw::File;

/// The schema, indented, with a line break at its end. Draft 7: what TOML plugins of editors read most widely.
#[must_use]
pub fn schema() -> String {
    let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<File>();
    format!("{:#}\n", schema.as_value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_docs_is_that_of_the_types() {
        let kept = include_str!("../../docs/rampup.schema.json");
        let why = "write it anew: cargo run -- schema settings > docs/rampup.schema.json";
        assert!(kept == schema(), "docs/rampup.schema.json has drifted from the types; {why}");
        assert!(!kept.contains("[`"), "a description links into the source, where no editor follows");
    }
}
