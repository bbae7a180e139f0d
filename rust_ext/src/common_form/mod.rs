//! Native records of the commonest form, straight from their bytes to finished lines.
//!
//! Of some formats nearly every record looks alike. Those are understood, checked, rendered and
//! written here in one pass; whatever is not certainly of the commonest form is left, whole, to the
//! readers in Python, which know all rules ([`Stop::Uncommon`]). What is made here is byte for byte
//! what they make of it.
//!
//! [`parse`](parse) reads a record into a [`value`]; a form ([`apigen`], [`openapi`]) says what it
//! means; [`render`] makes its text, and [`line`](line) writes it.

mod apigen;
mod line;
mod literal;
mod openapi;
mod parse;
mod render;
#[cfg(test)]
mod tests;
mod value;
mod write;

use line::{Lines, Source};
pub use line::{Lines as CommonLines, Source as CommonSource};

/// Why a record, or a template, is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A template cannot hold the record; another one can.
    Unfit,
    /// The record is not of the commonest form.
    Uncommon,
}

/// What is made, or why nothing is.
type Made<T> = std::result::Result<T, Stop>;

/// A longer record is left to the readers in Python: its tree is some times as large as its bytes.
const LONGEST_BYTES: usize = 8 << 20;

/// A form that is known here, by the name of its dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommonForm {
    /// A request with its tools and calls.
    Apigen,
    /// A document of an HTTP API.
    Openapi,
}

impl CommonForm {
    /// Returns the form of a dataset's records, if it is known.
    #[must_use]
    pub fn of(dataset: &str) -> Option<Self> {
        match dataset {
            "apigen_xlam60k" => Some(Self::Apigen),
            "openapi" => Some(Self::Openapi),
            _ => None,
        }
    }

    /// Returns the lines that a native record gives; `None` if it is not of the commonest form.
    ///
    /// `raw` is JSON that has passed the checks of [`crate::native_json`]. `lines` may be those of
    /// the record before: their room is used again.
    #[must_use]
    pub fn lines<'l>(
        self,
        raw: &[u8],
        source: Source<'_>,
        lines: &'l mut Lines,
    ) -> Option<&'l Lines> {
        if raw.len() > LONGEST_BYTES {
            return None;
        }
        let raw = simdutf8::basic::from_utf8(raw).ok()?;
        let value = parse::parse_checked(raw).ok()?;
        lines.clear();
        let made = match self {
            Self::Apigen => apigen::convert(&value, source, lines),
            Self::Openapi => openapi::convert(&value, source, lines),
        };
        made.ok().map(|()| &*lines)
    }
}
