//! Pages of a schema and of the document as a whole, and what their headings say.

use super::responses::{push_inside, push_type};
use super::spelled;
use crate::common_form::Made;
use crate::common_form::value::{Object, Text, Value};
use crate::common_form::write::{Layout, push_value};

/// The operations of a path, in the order in which they are documented.
pub(super) const METHODS: [&str; 8] =
    ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Returns the API's name and version.
pub(super) fn title_of(document: &Object<'_>) -> Made<String> {
    let mut title = String::new();
    let info = document.get("info").and_then(Value::as_object);
    for key in ["title", "version"] {
        if let Some(value) = info.and_then(|info| info.get(key)).filter(|each| each.is_truthy()) {
            title.push_str(if title.is_empty() { "" } else { " " });
            title.push_str(spelled(value)?);
        }
    }
    Ok(if title.is_empty() { "API".to_owned() } else { title })
}

/// Returns the summary and the description of an operation, the summary once.
pub(super) fn description_of<'a>(operation: &Object<'a>) -> Text<'a> {
    let [summary, description] = ["summary", "description"].map(|key| words(operation.get(key)));
    if summary.is_empty() || (!description.is_empty() && description.starts_with(&*summary)) {
        description
    } else if description.is_empty() {
        summary
    } else {
        format!("{}\n\n{}", &*summary, &*description).into()
    }
}

/// Returns a string as it is, nothing for nothing, anything else as JSON.
fn words<'a>(value: Option<&Value<'a>>) -> Text<'a> {
    if let Some(Value::Text(text)) = value {
        return text.clone();
    }
    let mut made = String::new();
    push_words(value, &mut made);
    made.into()
}

/// Returns the first line of what describes an operation.
pub(super) fn first_line(description: &str) -> &str {
    description.split('\n').next().unwrap_or_default()
}

/// Returns the documentation of a schema.
pub(super) fn schema_page(heading: &str, name: &str, schema: &Value<'_>) -> String {
    let mut text = format!("{heading}\nSchema {name}");
    let Some(schema) = schema.as_object() else {
        text.push_str(": ");
        push_value(schema, Layout::Compact, &mut text);
        return text;
    };
    text.push_str(" (");
    push_type(schema, &mut text);
    text.push(')');
    push_paragraph(schema.get("description"), &mut text);
    let end = text.len();
    text.push('\n');
    push_inside(schema, 0, &mut text);
    if text.len() == end + 1 {
        text.truncate(end);
    }
    text
}

/// Returns what the document says of itself, and its operations, a line each.
pub(super) fn document_page(
    document: &Object<'_>,
    title: &str,
    url: &str,
    operations: &[String],
) -> String {
    let mut text = title.to_owned();
    if !url.is_empty() {
        push_line(&["", url], &mut text);
    }
    let info = document.get("info").and_then(Value::as_object);
    push_paragraph(info.and_then(|info| info.get("description")), &mut text);
    let tags = document.get("tags").and_then(Value::as_list).unwrap_or_default();
    for tag in tags.iter().filter_map(Value::as_object) {
        let start = text.len();
        text.push_str("\n\n");
        push_words(tag.get("name"), &mut text);
        text.push_str(": ");
        let length = text.len();
        push_words(tag.get("description"), &mut text);
        if text.len() == length {
            text.truncate(start); // it says nothing
        }
    }
    if !operations.is_empty() {
        text.push_str("\n\nOperations:");
        for line in operations {
            push_line(&["- ", line], &mut text);
        }
    }
    push_webhooks(document, &mut text);
    text
}

/// Appends what the API calls by itself, a line each.
fn push_webhooks(document: &Object<'_>, to: &mut String) {
    let webhooks = document.get("webhooks").and_then(Value::as_object);
    let mut is_first = true;
    for (name, item) in webhooks.into_iter().flat_map(Object::iter) {
        for (method, operation) in item.as_object().into_iter().flat_map(Object::iter) {
            let Some(operation) = operation.as_object().filter(|_| METHODS.contains(&&**method))
            else {
                continue;
            };
            if is_first {
                to.push_str("\n\nWebhooks:");
                is_first = false;
            }
            let description = description_of(operation);
            let line = Some(first_line(&description)).filter(|line| !line.is_empty());
            let method = method.to_ascii_uppercase();
            push_line(&["- ", &method, " ", name, ": ", line.unwrap_or(name)], to);
        }
    }
}

fn push_paragraph(value: Option<&Value<'_>>, to: &mut String) {
    let start = to.len();
    to.push_str("\n\n");
    push_words(value, to);
    if to.len() == start + 2 {
        to.truncate(start);
    }
}

fn push_line(parts: &[&str], to: &mut String) {
    to.push('\n');
    for part in parts {
        to.push_str(part);
    }
}

/// Appends a string as it is, nothing for nothing, anything else as JSON.
pub(super) fn push_words(value: Option<&Value<'_>>, to: &mut String) {
    match value {
        Some(Value::Text(text)) => to.push_str(text),
        Some(value) if !value.is_null() => push_value(value, Layout::Compact, to),
        _ => {}
    }
}
