//! A tool as the signature of a Python function with its docstring.

use super::Tool;
use super::schema_parts::{Parameter, parts_of};
use crate::common_form::literal::{is_dotted_name, is_name, push_literal};
use crate::common_form::value::{Object, Value};
use crate::common_form::write::{Layout, push_object};
use crate::common_form::{Made, Stop};

/// Longer defaults stand in the docstring, in characters.
const LONGEST_DEFAULT: usize = 40;

/// Appends a tool as the signature of a Python function with its docstring.
///
/// # Errors
/// [`Stop::Unfit`]: a name is none in Python, or a description would end the docstring.
pub(super) fn push_signature(tool: &Tool<'_>, to: &mut String) -> Made<()> {
    if !is_dotted_name(&tool.name) {
        return Err(Stop::Unfit);
    }
    let (mut parameters, rest) = parts_of(&tool.parameters);
    if parameters.iter().any(|each| !is_name(each.name)) {
        return Err(Stop::Unfit);
    }
    to.push_str("def ");
    to.push_str(&tool.name);
    to.push('(');
    // Parameters are keyword-only where a required one follows another that is not.
    let first_optional = parameters.iter().position(|each| !each.is_required);
    if first_optional.is_some_and(|at| parameters[at..].iter().any(|each| each.is_required)) {
        to.push_str("*, ");
    }
    for (number, parameter) in parameters.iter_mut().enumerate() {
        to.push_str(if number > 0 { ", " } else { "" });
        push_argument(parameter, to);
    }
    to.push_str("):");
    let text = docstring(&tool.description, &parameters, &rest);
    if text.contains("\"\"\"") || text.contains('\\') || text.ends_with('"') {
        return Err(Stop::Unfit);
    }
    if text.is_empty() {
        to.push_str(" ...");
    } else {
        to.push_str("\n    \"\"\"");
        to.push_str(&text);
        to.push_str("\"\"\"");
    }
    Ok(())
}

/// Appends an argument, and takes out of the rest what it says.
fn push_argument(parameter: &mut Parameter<'_, '_>, to: &mut String) {
    to.push_str(parameter.name);
    to.push_str(": ");
    push_type(parameter.word, &mut parameter.rest, to);
    if !parameter.is_required {
        to.push_str(" = ");
        match default_of(&parameter.rest) {
            Some(default) => {
                to.push_str(&default);
                parameter.rest.remove("default");
            }
            None => to.push_str("..."),
        }
    }
}

fn push_type(word: Option<&str>, rest: &mut Object<'_>, to: &mut String) {
    let Some(word) = word else {
        to.push_str("Any");
        return;
    };
    let Some(known) = type_of(word) else {
        rest.push("type", Value::made(word.to_owned()));
        to.push_str("Any");
        return;
    };
    to.push_str(known);
    let items = rest.get("items").and_then(Value::as_object).filter(|items| items.len() == 1);
    let inner = items.and_then(|items| items.str("type")).and_then(type_of);
    if let (true, Some(inner)) = (word == "array", inner) {
        to.push('[');
        to.push_str(inner);
        to.push(']');
        rest.remove("items");
    }
}

fn type_of(word: &str) -> Option<&'static str> {
    Some(match word {
        "string" => "str",
        "integer" => "int",
        "number" => "float",
        "boolean" => "bool",
        "array" => "list",
        "object" => "dict",
        "null" => "None",
        _ => return None,
    })
}

fn default_of(rest: &Object<'_>) -> Option<String> {
    let mut made = String::new();
    push_literal(rest.get("default")?, 0, &mut made).ok()?;
    (made.chars().count() <= LONGEST_DEFAULT).then_some(made)
}

fn docstring(description: &str, parameters: &[Parameter<'_, '_>], rest: &Object<'_>) -> String {
    const APART: &str = "\n\n    ";
    let mut text = String::new();
    push_indented(description, "\n    ", &mut text);
    let mut is_first = true;
    for parameter in parameters {
        if parameter.description.is_empty() && parameter.rest.is_empty() {
            continue;
        }
        if is_first {
            text.push_str(if text.is_empty() { "" } else { APART });
            text.push_str("Args:");
            is_first = false;
        }
        push_line(parameter, &mut text);
    }
    if !rest.is_empty() {
        text.push_str(if text.is_empty() { "" } else { APART });
        text.push_str("Schema: ");
        push_object(rest, Layout::Line, &mut text);
    }
    if text.contains('\n') {
        text.push_str("\n    ");
    }
    text
}

fn push_line(parameter: &Parameter<'_, '_>, to: &mut String) {
    to.push_str("\n        ");
    to.push_str(parameter.name);
    to.push(':');
    if !parameter.description.is_empty() {
        to.push(' ');
        push_indented(parameter.description, "\n            ", to);
    }
    if !parameter.rest.is_empty() {
        to.push(' ');
        push_object(&parameter.rest, Layout::Line, to);
    }
}

/// Appends a text whose lines but the first begin as told.
pub(super) fn push_indented(text: &str, line: &str, to: &mut String) {
    for (number, each) in text.split('\n').enumerate() {
        to.push_str(if number > 0 { line } else { "" });
        to.push_str(each);
    }
}
