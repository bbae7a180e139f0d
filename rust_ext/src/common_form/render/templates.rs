//! Which template a record gets, and those to try where it does not fit.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::request::{JSON, LAYOUTS};
use super::{Call, Tool, documentation, request};
use crate::common_form::{Made, Stop};

/// Of the hash that chooses.
const SEED: u64 = 0x7E3A_11F0;

/// The templates of tools, each with the percent of the records that get it.
const DOCUMENTS: [(&str, u64); 4] =
    [("doc_python", 30), ("doc_markdown", 30), ("doc_json", 25), ("doc_json_lines", 15)];

/// Those of requests with calls.
const REQUESTS: [(&str, u64); 7] = [
    ("tags", 25),
    ("bare_json", 15),
    ("markdown", 15),
    ("python", 15),
    ("react", 15),
    ("xml", 10),
    (JSON, 5),
];

/// Appends the text of some tools, and returns the template that made it.
///
/// # Errors
/// The record is not of the commonest form.
pub(in crate::common_form) fn document_text(
    id: &str,
    tools: &[Tool<'_>],
    to: &mut String,
) -> Made<&'static str> {
    first_that_fits(id, &DOCUMENTS, to, |name, to| match name {
        "doc_python" => documentation::push_signatures(tools, to),
        "doc_markdown" => documentation::push_markdown(tools, to),
        "doc_json" => {
            documentation::push_schemas(tools, to);
            Ok(())
        }
        _ => {
            documentation::push_lines(tools, to);
            Ok(())
        }
    })
}

/// Appends the text of a request, its tools and the calls that answer it, and returns the template.
///
/// # Errors
/// The record is not of the commonest form.
pub(in crate::common_form) fn request_text(
    id: &str,
    tools: &[Tool<'_>],
    query: &str,
    calls: &[Call<'_>],
    to: &mut String,
) -> Made<&'static str> {
    first_that_fits(id, &REQUESTS, to, |name, to| {
        let Some(layout) = LAYOUTS.iter().find(|layout| layout.name == name) else {
            request::push_json(tools, query, calls, to);
            return Ok(());
        };
        layout.push(tools, query, calls, to)
    })
}

/// Tries the template that the id chooses, then the others in the order of the table; the one of
/// JSON last, which fits all.
fn first_that_fits(
    id: &str,
    shares: &[(&'static str, u64)],
    to: &mut String,
    render: impl Fn(&str, &mut String) -> Made<()>,
) -> Made<&'static str> {
    let start = to.len();
    let chosen = chosen(id, shares);
    let names = || (0..shares.len()).map(|step| shares[(chosen + step) % shares.len()].0);
    let others = names().skip(1).filter(|&name| name != JSON);
    for name in names().take(1).chain(others).chain([JSON]) {
        match render(name, to) {
            Err(Stop::Unfit) => to.truncate(start),
            made => return made.map(|()| name),
        }
    }
    Err(Stop::Uncommon)
}

/// Returns the place in the table of the template that an id chooses.
fn chosen(id: &str, shares: &[(&str, u64)]) -> usize {
    let mut percent = xxh3_64_with_seed(id.as_bytes(), SEED) % 100;
    for (place, &(_, share)) in shares.iter().enumerate() {
        if percent < share {
            return place;
        }
        percent -= share;
    }
    0
}
