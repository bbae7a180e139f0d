//! Text of what an operation answers, and of schemas.

use super::pages::push_words;
use super::references::References;
use crate::common_form::Made;
use crate::common_form::value::{Object, Value};
use crate::common_form::write::{Layout, push_value};

/// Blanks of indentation beyond which a schema is shown as JSON: six levels.
const DEEPEST: usize = 12;

/// Appends the list of an operation's responses as a paragraph, nothing if it states none.
pub(super) fn push_responses<'d, 'a>(
    operation: &'d Object<'a>,
    references: &mut References<'d, 'a>,
    to: &mut String,
) -> Made<()> {
    let found = operation.get("responses").and_then(Value::as_object);
    let Some(found) = found.filter(|found| !found.is_empty()) else {
        return Ok(());
    };
    to.push_str("\n\nResponses:");
    for (status, each) in found.iter() {
        let response = references.resolve(each)?;
        push_response(status, response, to);
        if let (false, Some(given)) = (std::ptr::eq(response, each), each.as_object()) {
            push_others("", given, &["$ref"], to);
        }
    }
    Ok(())
}

fn push_response(status: &str, response: &Value<'_>, to: &mut String) {
    push_all(&["\n- ", status, ": "], to);
    let Some(response) = response.as_object() else {
        push_value(response, Layout::Compact, to);
        return;
    };
    push_words(response.get("description"), to);
    let Some(content) = response.get("content").and_then(Value::as_object) else {
        push_body("", response, &["description"], to);
        return;
    };
    push_body("", response, &["description", "content"], to);
    for (kind, body) in content.iter() {
        if let Some(body) = body.as_object() {
            push_body(kind, body, &[], to);
        } else {
            push_all(&["\n  - ", kind, ": "], to);
            push_value(body, Layout::Compact, to);
        }
    }
}

fn push_body(kind: &str, body: &Object<'_>, said: &[&str], to: &mut String) {
    let schema = body.get("schema").filter(|schema| schema.as_object().is_some());
    if let Some(schema) = schema {
        push_property(if kind.is_empty() { "body" } else { kind }, schema, "", 2, to);
    }
    for (key, each) in body.iter() {
        if !said.contains(&&**key) && (schema.is_none() || **key != *"schema") {
            let blank = if kind.is_empty() { "" } else { " " };
            push_all(&["\n  - ", kind, blank, key, ": "], to);
            push_value(each, Layout::Compact, to);
        }
    }
}

fn push_others(prefix: &str, value: &Object<'_>, said: &[&str], to: &mut String) {
    for (key, each) in value.iter().filter(|(key, _)| !said.contains(&&***key)) {
        push_all(&["\n  - ", prefix, key, ": "], to);
        push_value(each, Layout::Compact, to);
    }
}

fn push_property(name: &str, schema: &Value<'_>, mark: &str, indent: usize, to: &mut String) {
    let object = schema.as_object().filter(|_| indent <= DEEPEST);
    push_indent(indent, to);
    push_all(&["- ", name], to);
    let Some(object) = object else {
        to.push_str(": ");
        push_value(schema, Layout::Compact, to);
        return;
    };
    to.push_str(" (");
    push_type(object, to);
    push_all(&[mark, ")"], to);
    let description = object.get("description");
    if description.is_some_and(Value::is_truthy) {
        to.push_str(": ");
        push_words(description, to);
    }
    if !object.has_only(&["description", "type", "$ref"]) {
        push_inside(object, indent + 2, to);
    }
}

/// Appends what a schema says beyond its type and description.
pub(super) fn push_inside(schema: &Object<'_>, indent: usize, to: &mut String) {
    for (key, value) in schema.iter() {
        let is_said = matches!(
            (&**key, value),
            ("description" | "type", _)
                | ("$ref", Value::Text(_))
                | ("items" | "properties", Value::Object(_))
                | ("required", Value::List(_))
        );
        if !is_said {
            push_indent(indent, to);
            push_all(&["- ", key, ": "], to);
            push_value(value, Layout::Compact, to);
        }
    }
    let names = schema.get("required").and_then(Value::as_list).unwrap_or_default();
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, each) in properties.into_iter().flat_map(Object::iter) {
        let is_needed = names.iter().any(|needed| needed.as_str() == Some(name));
        push_property(name, each, if is_needed { ", required" } else { "" }, indent, to);
    }
    push_missing(names, properties, indent, to);
    if let Some(items @ Value::Object(inside)) = schema.get("items") {
        // The name of an array's type says what its items are, if they are plain.
        let is_array = schema.str("type") == Some("array") && schema.str("$ref").is_none();
        let is_plain = inside.len() == 1 && (inside.has("type") || inside.has("$ref"));
        if !(is_array && is_plain) {
            push_property("each", items, "", indent, to);
        }
    }
}

/// Appends the names of required properties that are none.
fn push_missing(
    names: &[Value<'_>],
    properties: Option<&Object<'_>>,
    indent: usize,
    to: &mut String,
) {
    let is_known = |each: &&Value<'_>| {
        each.as_str().is_some_and(|name| properties.is_some_and(|known| known.has(name)))
    };
    let mut missing = names.iter().filter(|each| !is_known(each)).peekable();
    if missing.peek().is_none() {
        return;
    }
    push_indent(indent, to);
    to.push_str("- required: [");
    for (number, each) in missing.enumerate() {
        to.push_str(if number > 0 { "," } else { "" });
        push_value(each, Layout::Compact, to);
    }
    to.push(']');
}

/// Appends the name of a schema's type.
pub(super) fn push_type(schema: &Object<'_>, to: &mut String) {
    let kind = schema.get("type");
    if let Some(Value::Text(word)) = kind
        && **word != *"array"
        && !schema.has("$ref")
    {
        to.push_str(word);
        return;
    }
    if let Some(reference) = schema.str("$ref") {
        to.push_str(reference);
        if let Some(kind) = kind.filter(|kind| kind.is_truthy()) {
            to.push_str(", ");
            push_kind(Some(kind), to);
        }
        return;
    }
    let items = schema.get("items").and_then(Value::as_object);
    if let (Some("array"), Some(items)) = (kind.and_then(Value::as_str), items) {
        to.push_str("array of ");
        push_type(items, to);
        return;
    }
    push_kind(kind, to);
}

fn push_kind(kind: Option<&Value<'_>>, to: &mut String) {
    match kind {
        Some(Value::List(words)) => {
            for (number, word) in words.iter().enumerate() {
                to.push_str(if number > 0 { " or " } else { "" });
                push_words_or_json(word, to);
            }
        }
        Some(Value::Text(word)) if !word.is_empty() => to.push_str(word),
        Some(Value::Text(_)) | None => to.push_str("any"),
        Some(other) if other.is_null() => to.push_str("any"),
        Some(other) => push_value(other, Layout::Compact, to),
    }
}

/// Appends a string as it is, anything else as JSON.
fn push_words_or_json(value: &Value<'_>, to: &mut String) {
    match value.as_str() {
        Some(words) => to.push_str(words),
        None => push_value(value, Layout::Compact, to),
    }
}

fn push_indent(indent: usize, to: &mut String) {
    to.push('\n');
    for _ in 0..indent {
        to.push(' ');
    }
}

fn push_all(parts: &[&str], to: &mut String) {
    for part in parts {
        to.push_str(part);
    }
}
