//! Which columns of a Parquet file are read, and what they hold.
//!
//! Strings, and numbers as JSON has them. A column of strings named `messages` may hold lists as
//! JSON. Columns of anything else, nested ones too, are left out; so are numbers that are called as
//! what must be a string in every record, as many an `id` is.

use std::path::Path;
use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use parquet::schema::types::ColumnDescriptor;

use super::records::Columns;
use crate::{Error, Result};

/// The field that holds a conversation.
const MESSAGES: &str = "messages";

/// What names a record and says of what it is.
const LABELS: [&str; 3] = ["id", "kind", "source"];

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Strings,
    /// Strings of which each that is a list as JSON stands for that.
    Lists,
    Int32,
    UInt32,
    Int64,
    UInt64,
    Float,
    Double,
}

/// A column to read.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Its number in the file.
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) held: Held,
}

/// Returns the columns to read.
///
/// # Errors
/// `Argument` when a column that must be there is not, or `messages` cannot be read.
pub(super) fn choose(
    path: &Path,
    columns: &[Arc<ColumnDescriptor>],
    wanted: Columns<'_>,
) -> Result<Vec<Wanted>> {
    let readable = columns.iter().enumerate().filter_map(|(index, column)| {
        let held = held(column)?;
        Some(Wanted { index, name: column.name().to_owned(), held })
    });
    let text = match wanted {
        Columns::Fields(text) => text,
        Columns::All => return Ok(readable.collect()),
        Columns::Records => {
            refuse_messages(path, columns)?;
            return Ok(readable.collect());
        }
    };
    let is_wanted = |name: &str| name == text || LABELS.contains(&name);
    let holds_strings = |column: &Wanted| matches!(column.held, Held::Strings | Held::Lists);
    let chosen: Vec<_> = readable
        .filter(|column| holds_strings(column) && is_wanted(&column.name))
        .map(|column| Wanted { held: Held::Strings, ..column })
        .collect();
    if chosen.iter().any(|column| column.name == text) {
        return Ok(chosen);
    }
    let found = listed(columns.iter());
    Err(Error::Argument(format!(
        "{}: expected a column of strings named {text:?}, found {}; name it with --text-field",
        path.display(),
        if found.is_empty() { "no columns" } else { &found }
    )))
}

/// Refuses conversations that would be passed over: their records would be compared by their text,
/// of which most is the template that all have.
fn refuse_messages(path: &Path, columns: &[Arc<ColumnDescriptor>]) -> Result<()> {
    let is_messages = |column: &&Arc<ColumnDescriptor>| {
        column.path().parts().first().is_some_and(|first| first == MESSAGES)
            && held(column) != Some(Held::Lists)
    };
    let found = listed(columns.iter().filter(is_messages));
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::Argument(format!(
        "{}: expected messages as a column of strings, a list of JSON each, found {found}; write it \
         so, or the records as lines of JSON, or give it another name to compare them by their text",
        path.display(),
    )))
}

fn listed<'a>(columns: impl Iterator<Item = &'a Arc<ColumnDescriptor>>) -> String {
    let shown = |column: &'a Arc<ColumnDescriptor>| {
        format!("{} ({})", column.path().string(), column.physical_type())
    };
    columns.map(shown).collect::<Vec<_>>().join(", ")
}

/// Returns what a column holds, `None` if it is not read.
fn held(column: &ColumnDescriptor) -> Option<Held> {
    use ConvertedType as As;
    if column.path().parts().len() != 1 || column.max_rep_level() != 0 {
        return None;
    }
    let is_plain = matches!(column.logical_type_ref(), None | Some(LogicalType::Integer { .. }));
    match (column.physical_type(), column.converted_type()) {
        (PhysicalType::BYTE_ARRAY, As::NONE | As::UTF8 | As::ENUM | As::JSON) => {
            Some(if column.name() == MESSAGES { Held::Lists } else { Held::Strings })
        }
        _ if LABELS.contains(&column.name()) => None,
        _ if !is_plain => None, // a time, for example
        (PhysicalType::INT32, As::NONE | As::INT_8 | As::INT_16 | As::INT_32) => Some(Held::Int32),
        (PhysicalType::INT32, As::UINT_8 | As::UINT_16 | As::UINT_32) => Some(Held::UInt32),
        (PhysicalType::INT64, As::NONE | As::INT_64) => Some(Held::Int64),
        (PhysicalType::INT64, As::UINT_64) => Some(Held::UInt64),
        (PhysicalType::FLOAT, As::NONE) => Some(Held::Float),
        (PhysicalType::DOUBLE, As::NONE) => Some(Held::Double),
        _ => None,
    }
}
