//! How each template writes a call whose id goes without saying.

use super::Call;
use crate::common_form::literal::{is_dotted_name, is_name, is_plain, push_literal};
use crate::common_form::value::Object;
use crate::common_form::write::{Layout, push_text, push_value};
use crate::common_form::{Made, Stop};

/// Longer calls are not written as Python, in characters.
const LONGEST_SOURCE: usize = 1 << 20;

/// Appends a call's name and arguments as an object of JSON.
fn push_fields(call: &Call<'_>, to: &mut String) {
    to.push_str("{\"name\": ");
    push_text(&call.name, to);
    to.push_str(", \"arguments\": ");
    push_value(&call.arguments, Layout::Line, to);
    to.push('}');
}

#[allow(clippy::unnecessary_wraps)] // one of those that a layout may have
pub(super) fn push_bare(call: &Call<'_>, to: &mut String) -> Made<()> {
    to.push('\n');
    push_fields(call, to);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // one of those that a layout may have
pub(super) fn push_tagged(call: &Call<'_>, to: &mut String) -> Made<()> {
    to.push_str("\n<tool_call>\n");
    push_fields(call, to);
    to.push_str("\n</tool_call>");
    Ok(())
}

pub(super) fn push_python(call: &Call<'_>, to: &mut String) -> Made<()> {
    if !is_dotted_name(&call.name) {
        return Err(Stop::Unfit);
    }
    to.push_str("\n>>> ");
    let start = to.len();
    to.push_str(&call.name);
    to.push('(');
    for (number, (name, value)) in
        call.arguments.as_object().into_iter().flat_map(Object::iter).enumerate()
    {
        to.push_str(if number > 0 { ", " } else { "" });
        if is_name(name) {
            to.push_str(name);
            to.push('=');
            push_literal(value, 0, to)?;
        } else {
            to.push_str("**{");
            push_text(name, to);
            to.push_str(": ");
            push_literal(value, 1, to)?;
            to.push('}');
        }
    }
    to.push(')');
    if to[start..].chars().count() > LONGEST_SOURCE { Err(Stop::Unfit) } else { Ok(()) }
}

pub(super) fn push_action(call: &Call<'_>, to: &mut String) -> Made<()> {
    to.push_str("\nAction: ");
    to.push_str(plain(&call.name)?);
    to.push_str("\nAction Input: ");
    push_value(&call.arguments, Layout::Line, to);
    Ok(())
}

pub(super) fn push_fenced(call: &Call<'_>, to: &mut String) -> Made<()> {
    to.push_str("\n\n**Call** `");
    to.push_str(plain(&call.name)?);
    to.push_str("`\n\n```json\n");
    push_value(&call.arguments, Layout::Line, to);
    to.push_str("\n```");
    Ok(())
}

pub(super) fn push_element(call: &Call<'_>, to: &mut String) -> Made<()> {
    to.push_str("\n<function name=\"");
    to.push_str(quoted(&call.name)?);
    to.push_str("\">\n");
    for (name, value) in call.arguments.as_object().into_iter().flat_map(Object::iter) {
        to.push_str("<parameter name=\"");
        to.push_str(quoted(name)?);
        to.push_str("\">");
        push_value(value, Layout::Line, to);
        to.push_str("</parameter>\n");
    }
    to.push_str("</function>");
    Ok(())
}

fn plain(name: &str) -> Made<&str> {
    if is_plain(name)? { Ok(name) } else { Err(Stop::Unfit) }
}

fn quoted(name: &str) -> Made<&str> {
    if plain(name)?.contains('"') { Err(Stop::Unfit) } else { Ok(name) }
}

/// Appends the calls of a turn as a record holds them.
pub(in crate::common_form) fn push_list(calls: &[Call<'_>], layout: Layout, to: &mut String) {
    let (comma, colon) = if layout == Layout::Compact { (",", ":") } else { (", ", ": ") };
    to.push('[');
    for (number, call) in calls.iter().enumerate() {
        let separator = if number > 0 { comma } else { "" };
        for part in [separator, "{\"id\"", colon, "\"call_", &number.to_string(), "\"", comma] {
            to.push_str(part);
        }
        to.push_str("\"name\"");
        to.push_str(colon);
        push_text(&call.name, to);
        to.push_str(comma);
        to.push_str("\"arguments\"");
        to.push_str(colon);
        push_value(&call.arguments, layout, to);
        to.push('}');
    }
    to.push(']');
}
