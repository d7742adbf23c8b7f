//! What a request demands of the form of its answer, and the least answer of that form. Pure.

use super::EXTRA_ANSWER;
use crate::gateway::answer::{Answer, ToolCall};
use crate::stream::cassette::Stamp;
use serde_json::{Map, Value, json};
use std::cell::Cell;

/// A schema may refer to itself.
const DEEPEST: usize = 24;
/// It may do so at several places: as many values are made at most.
const MOST_VALUES: usize = 1 << 12;
/// Deeper, what may be null is: each field of a strict schema is required, and one that refers back has no other end.
const DEEP: usize = 3;
/// As many items of a list are made at most.
const MOST_ITEMS: u64 = 100;

/// A form that the answer must have.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// Its text is JSON of this schema.
    Json(Value),
    /// It is a call of one tool.
    Call {
        /// The tool.
        name: String,
        /// The schema of its arguments.
        arguments: Value,
    },
}

impl Form {
    /// JSON of any kind.
    pub(super) fn object() -> Self {
        Self::Json(json!({ "type": "object" }))
    }

    /// A call of the named one of these tools, whose arguments are at one of these places in it.
    pub(super) fn call(name: &Value, tools: &[&Value], places: &[&str]) -> Option<Self> {
        let named = |tool: &&&Value| tool["name"] == *name;
        let tool = tools.iter().find(named)?;
        let arguments = places.iter().find_map(|place| tool.get(*place));
        Some(Self::Call {
            name: name.as_str()?.to_owned(),
            arguments: arguments
                .cloned()
                .unwrap_or_else(|| json!({ "type": "object" })),
        })
    }

    /// A call of any of these tools: the least answer calls the first one.
    pub(super) fn any_call(tools: &[&Value], places: &[&str]) -> Option<Self> {
        let mut named = tools.iter();
        named.find_map(|tool| Self::call(&tool["name"], tools, places))
    }

    /// The least answer of this form.
    pub(crate) fn answer(&self, stamp: &Stamp) -> Answer {
        match self {
            Self::Json(schema) => Answer {
                text: least(schema).to_string(),
                ..Answer::default()
            },
            Self::Call { name, arguments } => Answer {
                tool_calls: vec![ToolCall {
                    id: format!("call_{}", stamp.id),
                    name: name.clone(),
                    arguments: least(arguments).to_string(),
                }],
                ..Answer::default()
            },
        }
    }
}

/// The least value of a JSON schema: of an object what is required, of a choice the first that is not null.
fn least(schema: &Value) -> Value {
    let left = Cell::new(MOST_VALUES);
    Schema { root: schema, left }.least(schema, 0)
}

struct Schema<'a> {
    /// What references are into.
    root: &'a Value,
    /// How many values may still be made.
    left: Cell<usize>,
}

impl Schema<'_> {
    fn least(&self, schema: &Value, depth: usize) -> Value {
        let left = self.left.get();
        if depth == DEEPEST || left == 0 || depth > DEEP && may_be_null(schema) {
            return Value::Null;
        }
        self.left.set(left - 1);
        let least = |schema: &Value| self.least(schema, depth + 1);
        if let Some(to) = schema["$ref"].as_str() {
            let found = to.strip_prefix('#').and_then(|to| self.root.pointer(to));
            return found.map_or(Value::Null, least);
        }
        let values = schema["enum"].as_array().into_iter().flatten();
        if let Some(value) = schema.get("const").or_else(|| first(values)) {
            return value.clone();
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(choices) = schema[key].as_array() {
                let mut values = choices.iter().map(least);
                return values.find(|value| !value.is_null()).unwrap_or_default();
            }
        }
        if let Some(all) = schema["allOf"].as_array() {
            return all.iter().map(least).fold(self.object(schema, depth), both);
        }
        match kind(schema).as_str() {
            "object" => self.object(schema, depth),
            "array" => {
                let items = schema["minItems"].as_u64().unwrap_or(0).min(MOST_ITEMS);
                (0..items).map(|_| least(&schema["items"])).collect()
            }
            "integer" | "number" => number(schema),
            "boolean" => false.into(),
            "null" => Value::Null,
            _ => text(schema).into(),
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let required = schema["required"].as_array().into_iter().flatten();
        let fields = required.filter_map(Value::as_str).map(|name| {
            let value = self.least(&schema["properties"][name], depth + 1);
            (name.to_owned(), value)
        });
        fields.collect::<Map<_, _>>().into()
    }
}

fn may_be_null(schema: &Value) -> bool {
    let kinds = schema["type"].as_array().into_iter().flatten();
    let choices = ["anyOf", "oneOf"].into_iter();
    let choices = choices.filter_map(|key| schema[key].as_array()).flatten();
    let mut kinds = kinds.chain(choices.map(|choice| &choice["type"]));
    kinds.any(|kind| kind == "null")
}

/// The first value that is not null, or else the first.
fn first<'a>(values: impl Iterator<Item = &'a Value> + Clone) -> Option<&'a Value> {
    let mut said = values.clone().filter(|value| !value.is_null());
    said.next().or_else(|| values.clone().next())
}

/// Two objects in one; of two other values the second.
fn both(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            one.extend(other);
            one.into()
        }
        (_, other) => other,
    }
}

/// A schema's type, in small letters: Gemini's are in capitals.
fn kind(schema: &Value) -> String {
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null"),
        kind => Some(kind),
    };
    match kind.and_then(Value::as_str) {
        Some(kind) => kind.to_lowercase(),
        None if is_of_object(schema) => "object".to_owned(),
        None => String::new(),
    }
}

fn is_of_object(schema: &Value) -> bool {
    schema.get("properties").is_some() || schema.get("required").is_some()
}

/// 0, or what is nearest to it within the bounds.
fn number(schema: &Value) -> Value {
    let bound = |key: &str| schema[key].as_f64();
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|it| it.floor() + 1.0));
    let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|it| it.ceil() - 1.0));
    let number = match (least, most) {
        (Some(least), _) if least > 0.0 => least,
        (_, Some(most)) if most < 0.0 => most,
        _ => 0.0,
    };
    if number.fract() == 0.0 && number.abs() < 1e15 {
        // It is whole, and fits.
        return (number as i64).into();
    }
    number.into()
}

/// A text of the format and length.
fn text(schema: &Value) -> String {
    match schema["format"].as_str() {
        Some("date-time") => return "2026-01-01T00:00:00Z".to_owned(),
        Some("date") => return "2026-01-01".to_owned(),
        Some("time") => return "00:00:00Z".to_owned(),
        Some("uuid") => return "00000000-0000-4000-8000-000000000000".to_owned(),
        Some("email") => return "chatctl@example.com".to_owned(),
        Some("uri" | "url") => return "https://example.com/".to_owned(),
        _ => {}
    }
    let length = |key: &str| schema[key].as_u64().and_then(|it| usize::try_from(it).ok());
    let most = length("maxLength").unwrap_or(EXTRA_ANSWER.len());
    let least = length("minLength").unwrap_or(0).min(1 << 10);
    let text: String = EXTRA_ANSWER.chars().take(most).collect();
    format!("{text:.<least$}")
}

#[cfg(test)]
mod tests {
    use super::{Form, least};
    use crate::stream::cassette::Stamp;
    use serde_json::{Map, Value, json};

    #[test]
    fn the_least_value_has_what_is_required_and_no_more() {
        let schema = json!({
            "type": "object",
            "properties": {
                "is_safe": { "type": "boolean" },
                "topic": { "enum": ["billing", "other"] },
                "score": { "type": "number", "minimum": 0.5, "maximum": 1 },
                "rank": { "type": "integer", "exclusiveMinimum": 0 },
                "reason": { "anyOf": [{ "type": "null" }, { "type": "string", "maxLength": 4 }] },
                "day": { "type": ["null", "string"], "format": "date" },
                "steps": { "type": "array", "minItems": 2, "items": { "$ref": "#/$defs/Step" } },
                "more": { "type": "array", "items": {} },
                "kind": { "const": "verdict" },
                "all": { "allOf": [{ "$ref": "#/$defs/Step" }] },
                "left_out": { "type": "string" },
            },
            "required": ["is_safe", "topic", "score", "rank", "reason", "day", "steps", "more", "kind", "all"],
            "$defs": { "Step": {
                "properties": { "name": { "type": "string" }, "next": { "$ref": "#/$defs/Step" } },
                "required": ["name"],
            } },
        });
        let step = json!({ "name": "Test chat" });
        assert_eq!(
            least(&schema),
            json!({
                "is_safe": false, "topic": "billing", "score": 0.5, "rank": 1, "reason": "Test",
                "day": "2026-01-01", "steps": [step, step], "more": [], "kind": "verdict", "all": step,
            })
        );
        // As Gemini writes it.
        let capitals = json!({ "type": "OBJECT", "required": ["n"], "properties": { "n": { "type": "INTEGER" } } });
        assert_eq!(least(&capitals), json!({ "n": 0 }));
        assert_eq!(least(&json!({ "type": "object" })), json!({}));
    }

    /// A schema that demands itself has no value; making one must come to an end.
    #[test]
    fn a_schema_without_end_comes_to_one() {
        let schema = json!({ "required": ["a"], "properties": { "a": { "$ref": "#" } } });
        assert!(least(&schema)["a"]["a"].is_object());
    }

    /// Each value of it would demand several more.
    #[test]
    fn a_schema_that_branches_without_end_stays_small() {
        let fields = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let of_all = |field: Value| {
            let fields: Map<_, _> = fields
                .iter()
                .map(|it| ((*it).to_owned(), field.clone()))
                .collect();
            Value::from(fields)
        };
        let node =
            |field| json!({ "type": "object", "properties": of_all(field), "required": fields });
        let own = json!({ "$ref": "#" });
        let list = json!({ "type": "array", "minItems": 100, "items": own });
        for field in [own.clone(), list] {
            let text = least(&node(field)).to_string();
            assert!(text.len() < 1 << 20, "{}", text.len());
        }
        // A strict one ends with what may be null, and is of its form.
        let strict = node(json!({ "anyOf": [own, { "type": "null" }] }));
        let value = least(&strict);
        let inner = &value["h"];
        assert_eq!(inner["h"], Value::Null);
        assert_eq!(inner.as_object().unwrap().len(), fields.len());
    }

    #[test]
    fn a_tool_is_called_by_its_name() {
        let tools = [
            json!({ "name": "other" }),
            json!({ "name": "route", "parameters": { "required": ["to"] } }),
        ];
        let tools: Vec<&Value> = tools.iter().collect();
        let form = Form::call(&json!("route"), &tools, &["parameters"]).unwrap();
        let call = &form.answer(&Stamp::sample()).tool_calls[0];
        assert_eq!(
            (call.name.as_str(), call.arguments.as_str()),
            ("route", r#"{"to":"Test chat"}"#)
        );
        assert_eq!(Form::call(&json!("none"), &tools, &["parameters"]), None);
    }
}
