//! A request with its tools and the calls that answer it, as `APIGen` has them.
//!
//! Tools and calls are JSON, mostly inside strings; the parameters of a tool are a flat map whose
//! types are words of Python. Common is: plain words for types, calls of a name and arguments
//! alone, and calls that surely are valid.

use std::rc::Rc;

use super::line::{Lines, OURS, Record, Source};
use super::literal::is_blank;
use super::parse::parse;
use super::render::{Call, Tool, request_text};
use super::value::{Object, Value};
use super::{Made, Stop};

/// Appends the line of a native record.
///
/// # Errors
/// [`Stop::Uncommon`].
pub(super) fn convert(value: &Value<'_>, source: Source<'_>, lines: &mut Lines) -> Made<()> {
    let fields = value.as_object().ok_or(Stop::Uncommon)?;
    let query = fields.str("query").filter(|query| !query.chars().all(is_blank));
    let query = query.ok_or(Stop::Uncommon)?;
    let tools = inner(fields.get("tools"))?;
    let tools = tools.iter().map(tool_of).collect::<Made<Vec<_>>>()?;
    let calls = inner(fields.get("answers"))?;
    let calls = calls.iter().map(call_of).collect::<Made<Vec<_>>>()?;
    if calls.is_empty() || !calls.iter().all(|call| surely_fits(call, &tools)) {
        return Err(Stop::Uncommon);
    }
    let mut meta = Object::default();
    for (key, value) in fields.iter() {
        if OURS.contains(&&**key) {
            return Err(Stop::Uncommon);
        }
        if !matches!(&**key, "query" | "answers" | "tools") {
            meta.push(key.clone(), value.clone());
        }
    }
    let id = source.id("");
    let mut text = String::with_capacity(1 << 12);
    let template = request_text(&id, &tools, query, &calls, &mut text)?;
    let num_calls = calls.len().to_string();
    let mut checks = Object::default();
    checks.push("calls", Value::Plain(&num_calls));
    checks.push("valid", Value::Plain("true"));
    meta.push("checks", Value::of(checks));
    meta.push("template", Value::text(template));
    let record = Record {
        id: &id,
        text: &text,
        kind: "function_call",
        url: None,
        tools: &tools,
        turns: Some((query, &calls)),
        meta: &meta,
    };
    lines.push(source, &record);
    Ok(())
}

/// Returns the elements of a list, which may stand in a string.
fn inner<'a>(value: Option<&'a Value<'a>>) -> Made<Rc<Vec<Value<'a>>>> {
    let found = match value {
        Some(Value::Text(text)) => parse(text)?,
        Some(other) => other.clone(),
        None => return Err(Stop::Uncommon),
    };
    if let Value::List(values) = found { Ok(values) } else { Err(Stop::Uncommon) }
}

fn tool_of<'a>(document: &Value<'a>) -> Made<Tool<'a>> {
    let document = document.as_object().filter(|each| each.len() == 3).ok_or(Stop::Uncommon)?;
    let text = |name: &str| match document.get(name) {
        Some(Value::Text(text)) => Ok(text.clone()),
        _ => Err(Stop::Uncommon),
    };
    let flat = document.get("parameters").and_then(Value::as_object).ok_or(Stop::Uncommon)?;
    let parameters = Rc::new(schema_of(flat)?);
    Ok(Tool { name: text("name")?, description: text("description")?, parameters })
}

/// Returns the JSON Schema of a flat map of parameters.
fn schema_of<'a>(flat: &Object<'a>) -> Made<Object<'a>> {
    let mut properties = Object::default();
    let mut required = Vec::new();
    for (name, about) in flat.iter() {
        let mut property = about.as_object().ok_or(Stop::Uncommon)?.clone();
        let words = property.str("type").ok_or(Stop::Uncommon)?;
        let word = words.strip_suffix(", optional");
        let known = type_of(word.unwrap_or(words)).ok_or(Stop::Uncommon)?;
        if word.is_none() {
            required.push(Value::Text(name.clone()));
        }
        let is_plain = property.has_only(&["type", "description", "default"]);
        if !is_plain || property.get("description").is_some_and(|each| each.as_str().is_none()) {
            return Err(Stop::Uncommon);
        }
        property.set("type", Value::text(known));
        properties.push(name.clone(), Value::of(property));
    }
    let mut schema = Object::default();
    schema.push("type", Value::text("object"));
    schema.push("properties", Value::of(properties));
    schema.push("required", Value::List(Rc::new(required)));
    Ok(schema)
}

/// Returns the type of JSON Schema that a word says, neither more nor less.
fn type_of(word: &str) -> Option<&'static str> {
    Some(match word {
        "string" | "str" | "text" => "string",
        "integer" | "int" => "integer",
        "number" | "float" | "double" => "number",
        "boolean" | "bool" => "boolean",
        "array" | "list" => "array",
        "object" | "dict" | "dictionary" => "object",
        "null" | "none" | "nonetype" => "null",
        _ => return None,
    })
}

fn call_of<'a>(given: &Value<'a>) -> Made<Call<'a>> {
    let given = given.as_object().filter(|each| each.len() == 2).ok_or(Stop::Uncommon)?;
    match (given.get("name"), given.get("arguments")) {
        (Some(Value::Text(name)), Some(arguments @ Value::Object(_))) => {
            Ok(Call { name: name.clone(), arguments: arguments.clone() })
        }
        _ => Err(Stop::Uncommon),
    }
}

/// Whether a call is of one of the tools and its arguments surely fit; `false` says nothing.
fn surely_fits(call: &Call<'_>, tools: &[Tool<'_>]) -> bool {
    // Of tools of one name the last one counts.
    let tool = tools.iter().rev().find(|tool| *tool.name == *call.name);
    let (Some(tool), Some(arguments)) = (tool, call.arguments.as_object()) else {
        return false;
    };
    let inside = |name| tool.parameters.get(name);
    let Some(properties) = inside("properties").and_then(Value::as_object) else {
        return false;
    };
    let required = inside("required").and_then(Value::as_list).unwrap_or_default();
    arguments.iter().all(|(name, value)| {
        let word =
            properties.get(name).and_then(Value::as_object).and_then(|each| each.str("type"));
        word.is_some_and(|word| is_of_type(value, word))
    }) && required.iter().all(|name| name.as_str().is_some_and(|name| arguments.has(name)))
}

fn is_of_type(value: &Value<'_>, word: &str) -> bool {
    match value {
        Value::Text(_) => word == "string",
        Value::List(_) => word == "array",
        Value::Object(_) => word == "object",
        Value::Plain("null") => word == "null",
        Value::Plain("true" | "false") => word == "boolean",
        Value::Plain(number) => word == "number" || (word == "integer" && !number.contains('.')),
    }
}
