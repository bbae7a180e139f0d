//! A tool's parameters, each with what templates have a place for, and the rest.

use crate::common_form::value::{Object, Value};

/// One parameter: together its fields are the whole of it.
pub(super) struct Parameter<'v, 'a> {
    pub(super) name: &'v str,
    pub(super) is_required: bool,
    /// Its type where that is one word.
    pub(super) word: Option<&'v str>,
    pub(super) description: &'v str,
    /// All other keywords of its schema.
    pub(super) rest: Object<'a>,
}

/// Takes a schema apart; the second value is what belongs to no parameter.
pub(super) fn parts_of<'v, 'a>(schema: &'v Object<'a>) -> (Vec<Parameter<'v, 'a>>, Object<'a>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return (Vec::new(), schema.clone());
    };
    let required = schema.get("required");
    let names = required.and_then(Value::as_list).unwrap_or_default();
    let is_required = |name: &str| names.iter().any(|each| each.as_str() == Some(name));
    let parameters =
        properties.iter().map(|(name, about)| parameter(name, about, is_required(name))).collect();
    let mut rest = Object::default();
    for (key, value) in schema.iter() {
        if !matches!(&**key, "type" | "properties" | "required") {
            rest.push(key.clone(), value.clone());
        }
    }
    if let Some(kind) = schema.get("type").filter(|kind| kind.as_str() != Some("object")) {
        rest.push("type", kind.clone());
    }
    if let Some(required) = required.filter(|required| !required.is_null()) {
        let is_known = |each: &Value<'_>| each.as_str().is_some_and(|name| properties.has(name));
        if required.as_list().is_none() || !names.iter().all(is_known) {
            rest.push("required", required.clone());
        }
    }
    (parameters, rest)
}

fn parameter<'v, 'a>(name: &'v str, about: &'v Value<'a>, is_required: bool) -> Parameter<'v, 'a> {
    let mut made =
        Parameter { name, is_required, word: None, description: "", rest: Object::default() };
    let Some(schema) = about.as_object() else {
        made.rest.push("schema", about.clone());
        return made;
    };
    for (key, value) in schema.iter() {
        match (&**key, value) {
            ("type", Value::Text(word)) => made.word = Some(word),
            ("description", Value::Text(description)) => made.description = description,
            _ => made.rest.push(key.clone(), value.clone()),
        }
    }
    made
}
