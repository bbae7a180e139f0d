//! Documents of HTTP APIs: a record for each operation, for each schema that no request takes, and
//! for the document itself.
//!
//! The rules are those of `preprocess/readers/datasets/openapi`, file by file. Not common is what
//! makes those spell a value as Python does, or look up what is not where it should be.

mod document;
mod pages;
mod references;
mod requests;
mod responses;

use super::line::{Lines, OURS, Record, Source};
use super::render::Tool;
use super::value::{Object, Value};
use super::{Made, Stop};

/// Appends the lines of a document.
///
/// # Errors
/// [`Stop::Uncommon`].
pub(super) fn convert(value: &Value<'_>, source: Source<'_>, lines: &mut Lines) -> Made<()> {
    let document = value.as_object().ok_or(Stop::Uncommon)?;
    if !document.has("swagger") && !document.has("openapi") {
        return Err(Stop::Uncommon);
    }
    document::push_records(document, &mut Output { source, lines })
}

/// Where the records of a document go.
struct Output<'o> {
    source: Source<'o>,
    lines: &'o mut Lines,
}

impl Output<'_> {
    /// Appends a record of one tool or of none.
    fn push(
        &mut self,
        id: &str,
        text: &str,
        url: Option<&str>,
        tools: &[Tool<'_>],
        meta: &Object<'_>,
    ) {
        let kind = "tool_documentation";
        self.lines.push(self.source, &Record { id, text, kind, url, tools, turns: None, meta });
    }
}

/// Returns what `meta` says, unless it says something by a name that is ours.
fn without_ours(meta: Object<'_>) -> Made<Object<'_>> {
    if OURS.iter().any(|name| meta.has(name)) { Err(Stop::Uncommon) } else { Ok(meta) }
}

/// Returns a value as Python's `str` spells it, where it is a string or a number.
fn spelled<'v>(value: &'v Value<'_>) -> Made<&'v str> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Plain(number) if !value.is_null() && !value.is_bool() => Ok(number),
        _ => Err(Stop::Uncommon),
    }
}
