//! Templates of the documentation of tools.

use std::rc::Rc;

use super::Tool;
use super::schema_parts::{Parameter, parts_of};
use super::signature::{push_indented, push_signature};
use crate::common_form::literal::is_plain;
use crate::common_form::value::{Object, Value};
use crate::common_form::write::{Layout, push_object};
use crate::common_form::{Made, Stop};

/// Returns a tool as the object that a record holds.
pub(in crate::common_form) fn object_of<'a>(tool: &Tool<'a>) -> Object<'a> {
    let mut object = Object::default();
    object.push("name", Value::Text(tool.name.clone()));
    object.push("description", Value::Text(tool.description.clone()));
    object.push("parameters", Value::Object(Rc::clone(&tool.parameters)));
    object
}

/// Appends one line of JSON for each tool, in the layout of `OpenAI`'s functions.
pub(super) fn push_lines(tools: &[Tool<'_>], to: &mut String) {
    for (number, tool) in tools.iter().enumerate() {
        to.push_str(if number > 0 { "\n" } else { "" });
        to.push_str("{\"type\": \"function\", \"function\": ");
        push_object(&object_of(tool), Layout::Line, to);
        to.push('}');
    }
}

/// Appends the JSON of each tool, indented.
pub(super) fn push_schemas(tools: &[Tool<'_>], to: &mut String) {
    for (number, tool) in tools.iter().enumerate() {
        to.push_str(if number > 0 { "\n\n" } else { "" });
        push_object(&object_of(tool), Layout::Block, to);
    }
}

/// Appends each tool as its name with its description, and its parameters as JSON.
pub(super) fn push_plain(tools: &[Tool<'_>], to: &mut String) {
    for (number, tool) in tools.iter().enumerate() {
        to.push_str(if number > 0 { "\n\n" } else { "" });
        to.push_str(&tool.name);
        to.push_str(": ");
        to.push_str(&tool.description);
        to.push_str("\nParameters: ");
        push_object(&tool.parameters, Layout::Line, to);
    }
}

/// Appends each tool as a Python function with its docstring.
///
/// # Errors
/// [`Stop::Unfit`]: a name is none in Python, or a description would end the docstring.
pub(super) fn push_signatures(tools: &[Tool<'_>], to: &mut String) -> Made<()> {
    for (number, tool) in tools.iter().enumerate() {
        to.push_str(if number > 0 { "\n\n\n" } else { "" });
        push_signature(tool, to)?;
    }
    Ok(())
}

/// Appends each tool as a section of Markdown with a table of its parameters.
///
/// # Errors
/// [`Stop::Unfit`]: a name would break its own markup.
pub(super) fn push_markdown(tools: &[Tool<'_>], to: &mut String) -> Made<()> {
    for (number, tool) in tools.iter().enumerate() {
        to.push_str(if number > 0 { "\n\n" } else { "" });
        push_section(tool, to)?;
    }
    Ok(())
}

fn push_section(tool: &Tool<'_>, to: &mut String) -> Made<()> {
    if !is_plain(&tool.name)? {
        return Err(Stop::Unfit);
    }
    let (parameters, rest) = parts_of(&tool.parameters);
    to.push_str("### `");
    to.push_str(&tool.name);
    to.push('`');
    if !tool.description.is_empty() {
        to.push_str("\n\n");
        to.push_str(&tool.description);
    }
    if !parameters.is_empty() {
        to.push_str("\n\n");
        let start = to.len();
        if !push_table(&parameters, to)? {
            to.truncate(start);
            push_list(&parameters, to);
        }
    }
    if !rest.is_empty() {
        to.push_str("\n\nSchema: ");
        push_object(&rest, Layout::Line, to);
    }
    Ok(())
}

/// Appends the table of the parameters; `false` where a cell holds a bar or a newline.
fn push_table(parameters: &[Parameter<'_, '_>], to: &mut String) -> Made<bool> {
    let start = to.len();
    let has_details = parameters.iter().any(|each| !each.rest.is_empty());
    to.push_str("| Parameter | Type | Required | Description |");
    to.push_str(if has_details {
        " Details |\n|---|---|---|---|---|"
    } else {
        "\n|---|---|---|---|"
    });
    for each in parameters {
        if !is_plain(each.name)? {
            return Err(Stop::Unfit);
        }
        let needed = if each.is_required { "yes" } else { "no" };
        let word = each.word.unwrap_or_default();
        for part in ["\n| `", each.name, "` | ", word, " | ", needed, " | ", each.description, " |"]
        {
            to.push_str(part);
        }
        if has_details && each.rest.is_empty() {
            to.push_str("  |");
        } else if has_details {
            to.push(' ');
            push_object(&each.rest, Layout::Line, to);
            to.push_str(" |");
        }
    }
    let count = |byte: u8| memchr::memchr_iter(byte, &to.as_bytes()[start..]).count();
    let lines = parameters.len() + 2;
    Ok(count(b'|') == lines * if has_details { 6 } else { 5 } && count(b'\n') == lines - 1)
}

fn push_list(parameters: &[Parameter<'_, '_>], to: &mut String) {
    for (number, each) in parameters.iter().enumerate() {
        to.push_str(if number > 0 { "\n- `" } else { "- `" });
        to.push_str(each.name);
        to.push_str("` (");
        if let Some(word) = each.word.filter(|word| !word.is_empty()) {
            to.push_str(word);
            to.push_str(", ");
        }
        to.push_str(if each.is_required { "required)" } else { "optional)" });
        if !each.description.is_empty() {
            to.push_str(": ");
            push_indented(each.description, "\n  ", to);
        }
        if !each.rest.is_empty() {
            to.push(' ');
            push_object(&each.rest, Layout::Line, to);
        }
    }
}
