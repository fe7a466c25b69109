//! As much of GraphQL's rules as is needed to say whether a question, and an answer to it, fit a published schema.

use graphql_parser::query::{self, Definition, OperationDefinition, Selection};
use serde_json::Value;

/// A schema by its introspection.
pub(super) struct Schema(Value);

type Query = query::Query<'static, String>;
type Set = query::SelectionSet<'static, String>;
type Field = query::Field<'static, String>;
type Literal = query::Value<'static, String>;

impl Schema {
    pub fn published() -> Self {
        Self(serde_json::from_str(include_str!("../../../../tests/fixtures/railway/schema-excerpt.json")).unwrap())
    }

    /// What is wrong with a question and the variables that are sent with it.
    pub fn faults_of_question(&self, text: &str, variables: &Value) -> Vec<String> {
        let query = parse(text);
        let mut found = Vec::new();
        for declared in &query.variable_definitions {
            let (name, kind) = (&declared.name, declared.var_type.to_string());
            if kind.ends_with('!') && variables[name.as_str()].is_null() {
                found.push(format!("${name} is {kind} and was not sent"));
            }
        }
        for (name, _) in variables.as_object().into_iter().flatten() {
            if !query.variable_definitions.iter().any(|declared| declared.name == *name) {
                found.push(format!("${name} is sent and not declared"));
            }
        }
        self.question(&query, &query.selection_set, "Query", &mut found);
        found
    }

    /// What is wrong with an answer's `data`: a field that was not asked for, one that is missing, one of another type.
    pub fn faults_of_answer(&self, text: &str, data: &Value) -> Vec<String> {
        let query = parse(text);
        let mut found = Vec::new();
        self.object(&query.selection_set, "Query", data, "data", &mut found);
        found
    }

    fn question(&self, query: &Query, set: &Set, of: &str, found: &mut Vec<String>) {
        for asked in fields(set) {
            let Some(known) = self.field(of, &asked.name) else {
                found.push(format!("{of} has no field {}", asked.name));
                continue;
            };
            let parameters = known["args"].as_array().unwrap();
            for (name, value) in &asked.arguments {
                match parameters.iter().find(|parameter| parameter["name"] == *name) {
                    Some(parameter) => self.argument(query, value, &parameter["type"], name, found),
                    None => found.push(format!("{of}.{} has no argument {name}", asked.name)),
                }
            }
            for required in parameters.iter().filter(|parameter| parameter["type"]["kind"] == "NON_NULL") {
                if !asked.arguments.iter().any(|(name, _)| required["name"] == *name) {
                    found.push(format!("{of}.{} lacks {}", asked.name, required["name"]));
                }
            }
            let (name, composed) = (core(&known["type"]), !asked.selection_set.items.is_empty());
            if composed != (self.kind(name) == "OBJECT") {
                found.push(format!("{of}.{} is of {name}", asked.name));
            } else if composed {
                self.question(query, &asked.selection_set, name, found);
            }
        }
    }

    fn argument(&self, query: &Query, value: &Literal, is: &Value, at: &str, found: &mut Vec<String>) {
        let fits = match value {
            Literal::Variable(name) => {
                let declared = query.variable_definitions.iter().find(|declared| declared.name == *name);
                let declared = declared.map(|declared| declared.var_type.to_string()).unwrap_or_default();
                // A value that is always there may stand where one that may be missing is wanted.
                declared == written(is) || declared == format!("{}!", written(is))
            }
            Literal::List(items) => {
                let list = if is["kind"] == "NON_NULL" { &is["ofType"] } else { is };
                items.iter().for_each(|item| self.argument(query, item, &list["ofType"], at, found));
                list["kind"] == "LIST"
            }
            Literal::Enum(word) => self.words(core(is)).contains(&word.as_str()),
            Literal::Int(_) => core(is) == "Int",
            Literal::Boolean(_) => core(is) == "Boolean",
            _ => false,
        };
        if !fits {
            found.push(format!("{at} is not of {}", written(is)));
        }
    }

    fn object(&self, set: &Set, of: &str, value: &Value, at: &str, found: &mut Vec<String>) {
        let Some(object) = value.as_object() else {
            found.push(format!("{at} is no object"));
            return;
        };
        for asked in fields(set) {
            let at = format!("{at}.{}", asked.name);
            let known = self.field(of, &asked.name).unwrap_or_else(|| panic!("{at} is not in the schema"));
            match object.get(&asked.name) {
                Some(inner) => self.value(asked, &known["type"], inner, &at, found),
                None => found.push(format!("{at} is missing")),
            }
        }
        let unasked = object.keys().filter(|name| !fields(set).any(|asked| asked.name == **name));
        found.extend(unasked.map(|name| format!("{at}.{name} was not asked for")));
    }

    fn value(&self, asked: &Field, is: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
        match is["kind"].as_str().unwrap() {
            "NON_NULL" if value.is_null() => found.push(format!("{at} is null")),
            "NON_NULL" => self.value(asked, &is["ofType"], value, at, found),
            _ if value.is_null() => {}
            "LIST" => match value.as_array() {
                Some(items) => items.iter().for_each(|item| self.value(asked, &is["ofType"], item, at, found)),
                None => found.push(format!("{at} is no list")),
            },
            "OBJECT" => self.object(&asked.selection_set, core(is), value, at, found),
            "ENUM" if !self.words(core(is)).contains(&value.as_str().unwrap_or_default()) => {
                found.push(format!("{at} is never {value}"));
            }
            _ => {
                let fits = match core(is) {
                    "Int" => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
                    "Float" => value.is_number(),
                    "Boolean" => value.is_boolean(),
                    "DateTime" => value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
                    "EnvironmentVariables" => value.is_object(),
                    "JSON" => true,
                    _ => value.is_string(),
                };
                if !fits {
                    found.push(format!("{at} is {value}, not {}", core(is)));
                }
            }
        }
    }

    fn named(&self, name: &str) -> &Value {
        let known = self.0["types"].as_array().unwrap().iter().find(|known| known["name"] == name);
        known.unwrap_or_else(|| panic!("{name} is not in the schema"))
    }

    fn kind(&self, name: &str) -> &str {
        self.named(name)["kind"].as_str().unwrap()
    }

    fn field(&self, of: &str, name: &str) -> Option<&Value> {
        self.named(of)["fields"].as_array()?.iter().find(|field| field["name"] == name)
    }

    fn words(&self, name: &str) -> Vec<&str> {
        self.named(name)["enumValues"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

fn parse(text: &str) -> Query {
    let document = graphql_parser::parse_query::<String>(text).unwrap().into_static();
    match document.definitions.as_slice() {
        [Definition::Operation(OperationDefinition::Query(query))] => query.clone(),
        _ => panic!("not one query, and nothing else: {text}"),
    }
}

fn fields(set: &Set) -> impl Iterator<Item = &Field> {
    set.items.iter().map(|item| match item {
        Selection::Field(field) => field,
        other => panic!("{other:?}"),
    })
}

/// The name behind lists and exclamation marks.
fn core(is: &Value) -> &str {
    is["name"].as_str().unwrap_or_else(|| core(&is["ofType"]))
}

/// A type as a question writes it: `[String!]!`.
fn written(is: &Value) -> String {
    match is["kind"].as_str() {
        Some("NON_NULL") => format!("{}!", written(&is["ofType"])),
        Some("LIST") => format!("[{}]", written(&is["ofType"])),
        _ => core(is).to_owned(),
    }
}
