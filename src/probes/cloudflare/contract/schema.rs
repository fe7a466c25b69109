//! As much of OpenAPI 3.0 as is needed to say whether a request, and an answer to it, fit a published description.

use serde_json::{Value, json};
use url::Url;

/// Where the described paths begin.
const BASE: &str = "/client/v4";

/// An API by its description.
pub(super) struct Api(Value);

/// One question that the API knows.
pub(super) struct Operation<'a> {
    api: &'a Api,
    operation: &'a Value,
    /// What stands in the path where the description has a name.
    path: Vec<(String, String)>,
}

impl Api {
    pub fn published() -> Self {
        let text = include_str!("../../../../tests/fixtures/cloudflare/api-excerpt.json");
        let mut description = serde_json::from_str(text).unwrap();
        nullable(&mut description);
        Self(description)
    }

    /// The question that is asked with this method at this address.
    pub fn operation(&self, method: &str, url: &Url) -> Option<Operation<'_>> {
        let path = url.path().strip_prefix(BASE)?;
        self.0["paths"].as_object()?.iter().find_map(|(template, methods)| {
            let path = filled(template, path)?;
            Some(Operation { api: self, operation: methods.get(method)?, path })
        })
    }

    fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let whole = json!({ "allOf": [schema], "components": self.0["components"] });
        let validator = jsonschema::draft7::new(&whole).unwrap();
        validator.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
    }
}

impl Operation<'_> {
    /// What is wrong with a request of it.
    pub fn faults_of_request(&self, url: &Url, body: Option<&Value>) -> Vec<String> {
        let parameters = self.operation["parameters"].as_array().unwrap();
        let query: Vec<_> = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let mut found = Vec::new();
        for (kind, given) in [("path", &self.path), ("query", &query)] {
            for (name, value) in given {
                match parameters.iter().find(|parameter| parameter["name"] == **name && parameter["in"] == kind) {
                    Some(parameter) => {
                        // In an address, a number is written as text.
                        let number = value.parse::<f64>().map(Value::from);
                        let text = self.api.faults(&parameter["schema"], &json!(value));
                        let fits = number.is_ok_and(|number| self.api.faults(&parameter["schema"], &number).is_empty());
                        found.extend(text.into_iter().filter(|_| !fits));
                    }
                    None => found.push(format!("there is no parameter {name}")),
                }
            }
        }
        let missing = parameters.iter().filter(|p| p["in"] == "query" && p["required"] == true);
        found.extend(missing.filter(|p| !query.iter().any(|(name, _)| p["name"] == **name)).map(|p| p.to_string()));
        match (body, &self.operation["requestBody"]["content"]["application/json"]["schema"]) {
            (None, Value::Null) => {}
            (Some(body), schema) if !schema.is_null() => found.extend(self.api.faults(schema, body)),
            (body, _) => found.push(format!("the body {body:?} is not as described")),
        }
        found
    }

    /// What is wrong with an answer of this status.
    pub fn faults_of_answer(&self, status: u16, answer: &Value) -> Vec<String> {
        let responses = self.operation["responses"].as_object().unwrap();
        let class = format!("{}XX", status / 100);
        let response = responses.get(&status.to_string()).or_else(|| responses.get(&class));
        let Some(response) = response else { return vec![format!("no answer has the status {status}")] };
        let response = match response["$ref"].as_str() {
            Some(place) => self.api.0.pointer(&place[1..]).unwrap(),
            None => response,
        };
        self.api.faults(&response["content"]["application/json"]["schema"], answer)
    }
}

/// What a path has where its template has `{names}`; none when it is not of this template.
fn filled(template: &str, path: &str) -> Option<Vec<(String, String)>> {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let mut filled = Vec::new();
    for (wanted, given) in template.iter().zip(&path) {
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => filled.push((name.to_owned(), (*given).to_owned())),
            None if wanted == given => {}
            None => return None,
        }
    }
    (template.len() == path.len()).then_some(filled)
}

/// OpenAPI 3.0 says `nullable: true` where JSON Schema lists "null" among the types.
fn nullable(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut() {
        if object.remove("nullable") == Some(json!(true)) {
            if let Some(kind) = object.get("type").cloned() {
                object.insert("type".to_owned(), json!([kind, "null"]));
            }
            if let Some(Value::Array(words)) = object.get_mut("enum") {
                words.push(Value::Null);
            }
        }
        object.values_mut().for_each(nullable);
    }
    schema.as_array_mut().into_iter().flatten().for_each(nullable);
}
