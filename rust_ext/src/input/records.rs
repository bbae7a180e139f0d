//! A file of records, whatever its format, as batches of lines.

use std::path::Path;

use super::json_records::JsonRecords;
use super::lines::{Batch, Batches};
use super::parquet_rows::ParquetRows;
use super::source::{Compression, Source, SourceSummary};
use super::warc::WetTexts;
use crate::Result;

/// Which columns of a Parquet file are read; lines of JSON are always whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns<'a> {
    /// The named one, which must be there, and `id`, `kind` and `source`.
    Fields(&'a str),
    /// All that hold strings or numbers.
    All,
    /// The same; a file is refused whose `messages` would be passed over.
    Records,
}

/// What a file's name says of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Lines,
    Json,
    Parquet,
    Warc,
}

impl Format {
    fn of(path: &Path) -> Self {
        let name = match Compression::of(path) {
            Compression::Plain => path.file_name(),
            Compression::Gzip | Compression::Zstd => path.file_stem(),
        };
        let extension = name.and_then(|name| Path::new(name).extension());
        match extension.and_then(|extension| extension.to_str()) {
            Some("json") => Self::Json,
            Some("parquet") => Self::Parquet,
            Some("warc" | "wet") => Self::Warc,
            _ => Self::Lines,
        }
    }
}

/// The records of one file, in order.
pub enum Records {
    /// Lines, plain or compressed.
    Lines(Batches),
    /// Rows of a Parquet file, as lines.
    Rows(Box<ParquetRows>),
    /// Records of a `.json` file, as lines.
    Json(Box<JsonRecords>),
    /// Texts of a WET file, as lines.
    Texts(Box<WetTexts>),
}

impl Records {
    /// Opens a file by what its extension says of it; sizes are those of [`Batches::new`].
    ///
    /// # Errors
    /// `Io` when the file cannot be opened; `Argument` for a Parquet file without the column.
    pub fn open(
        path: &Path,
        columns: Columns<'_>,
        batch_bytes: usize,
        max_line_bytes: usize,
    ) -> Result<Self> {
        match Format::of(path) {
            Format::Lines => {
                Ok(Self::Lines(Batches::new(Source::open(path)?, batch_bytes, max_line_bytes)))
            }
            Format::Parquet => {
                let rows = ParquetRows::open(path, columns, batch_bytes, max_line_bytes)?;
                Ok(Self::Rows(Box::new(rows)))
            }
            Format::Json => Ok(Self::Json(Box::new(JsonRecords::open(path, max_line_bytes)?))),
            Format::Warc => {
                Ok(Self::Texts(Box::new(WetTexts::open(path, batch_bytes, max_line_bytes)?)))
            }
        }
    }

    /// Returns the next batch, or `None` at the end; see [`Batches::next_batch`].
    ///
    /// # Errors
    /// `Io` when the system fails to read the file.
    pub fn next_batch(&mut self, recycled: Batch) -> Result<Option<Batch>> {
        match self {
            Self::Lines(batches) => batches.next_batch(recycled),
            Self::Rows(rows) => rows.next_batch(recycled),
            Self::Json(records) => records.next_batch(recycled),
            Self::Texts(texts) => texts.next_batch(recycled),
        }
    }

    /// Ends the reading: the file's size and hash, and what was wrong with it.
    ///
    /// # Errors
    /// `Io` when the rest of the file cannot be read.
    pub fn finish(self) -> Result<(SourceSummary, Option<String>)> {
        match self {
            Self::Lines(batches) => batches.finish(),
            Self::Rows(rows) => rows.finish(),
            Self::Json(records) => records.finish(),
            Self::Texts(texts) => texts.finish(),
        }
    }
}
