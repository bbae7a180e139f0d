//! Rows of a Parquet file, as the lines of JSON that they stand for.
//!
//! So every stage treats them alike: what is rejected is kept as a line, `dedup` writes survivors
//! as lines, and the same records give the same bytes from either format. Writing the line and
//! parsing it again costs about as much as unpacking the column. Columns of strings and of numbers
//! are taken ([`super::parquet_schema`]), others are left out; a null is a field that is absent.
//!
//! A page of each column is in memory at a time, and what it unpacks to, however large the row
//! groups are.

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, SerializedFileReader};

use super::escape::push_string;
use super::guarded::guarded;
use super::lines::{Batch, HEAD_BYTES, Line};
use super::parquet_column::{Column, Value};
use super::parquet_schema::{Wanted, choose};
use super::records::Columns;
use super::source::{Source, SourceSummary};
use crate::{Error, Result};

/// Rows that are unpacked at a time, at most: with short values a page holds very many.
const MAX_ROWS: usize = 1 << 10;

/// Reads one file.
pub struct ParquetRows {
    path: PathBuf,
    /// `None` once nothing more can be read.
    file: Option<SerializedFileReader<File>>,
    wanted: Vec<Wanted>,
    next_group: usize,
    rows_left: usize,
    columns: Vec<Column>,
    /// Rows unpacked, and how many of them were given.
    unpacked: usize,
    given: usize,
    batch_bytes: usize,
    max_line_bytes: usize,
    next_record: u64,
    damage: Option<String>,
}

impl ParquetRows {
    /// Opens a file; one that is cut off or damaged has no rows, and [`Self::finish`] tells.
    ///
    /// # Errors
    /// `Io` when the file cannot be opened, `Argument` when it has no such column of strings, or
    /// `messages` that cannot be read.
    pub fn open(
        path: &Path,
        columns: Columns<'_>,
        batch_bytes: usize,
        max_line_bytes: usize,
    ) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::io(path, source))?;
        let mut rows = Self {
            path: path.to_path_buf(),
            file: None,
            wanted: Vec::new(),
            next_group: 0,
            rows_left: 0,
            columns: Vec::new(),
            unpacked: 0,
            given: 0,
            batch_bytes,
            max_line_bytes: max_line_bytes.max(HEAD_BYTES),
            next_record: 0,
            damage: None,
        };
        match guarded(|| SerializedFileReader::new(file)) {
            Ok(reader) => {
                let schema = reader.metadata().file_metadata().schema_descr();
                rows.wanted = choose(path, schema.columns(), columns)?;
                rows.file = Some(reader);
            }
            Err(error) => rows.damage = Some(damage(&error)),
        }
        Ok(rows)
    }

    /// Returns the next batch, or `None` at the end; `recycled` lends its memory.
    ///
    /// A damaged file ends before the damage.
    ///
    /// # Errors
    /// None yet: what the system fails to read counts as damage.
    pub fn next_batch(&mut self, recycled: Batch) -> Result<Option<Batch>> {
        let mut batch = recycled;
        batch.bytes.clear();
        batch.lines.clear();
        batch.first_record = self.next_record;
        while batch.bytes.len() < self.batch_bytes && self.has_row() {
            self.push_row(&mut batch);
        }
        batch.filled = batch.bytes.len();
        self.next_record += batch.lines.len() as u64;
        Ok((!batch.lines.is_empty()).then_some(batch))
    }

    /// Ends the reading: the file's size and hash, for which it is read once more, and its damage.
    ///
    /// # Errors
    /// `Io` when the file cannot be read.
    pub fn finish(self) -> Result<(SourceSummary, Option<String>)> {
        Ok((Source::open(&self.path)?.finish()?, self.damage))
    }

    /// Unpacks rows if all that were are given; `false` at the end or where it is damaged.
    fn has_row(&mut self) -> bool {
        if self.given < self.unpacked {
            return true;
        }
        match guarded(|| self.unpack()) {
            Ok(count) => {
                (self.unpacked, self.given) = (count, 0);
                count > 0
            }
            Err(error) => {
                self.damage = Some(damage(&error));
                self.file = None;
                self.columns.clear();
                self.unpacked = 0;
                self.given = 0;
                false
            }
        }
    }

    fn unpack(&mut self) -> std::result::Result<usize, ParquetError> {
        let Some(file) = &self.file else { return Ok(0) };
        while self.rows_left == 0 {
            if self.next_group == file.num_row_groups() {
                return Ok(0);
            }
            self.columns.clear(); // before the pages of the next group are read
            let group = file.get_row_group(self.next_group)?;
            let rows = group.metadata().num_rows();
            self.rows_left = usize::try_from(rows)
                .map_err(|_| ParquetError::General(format!("a row group of {rows} rows")))?;
            for wanted in &self.wanted {
                self.columns.push(Column::open(group.as_ref(), wanted)?);
            }
            self.next_group += 1;
        }
        // No further than the page that is open, or the first row of the next one.
        let in_page = self.columns.iter().map(Column::rows_in_page).min().unwrap_or(MAX_ROWS);
        let count = in_page.clamp(1, MAX_ROWS).min(self.rows_left);
        for column in &mut self.columns {
            column.unpack(count)?;
        }
        self.rows_left -= count;
        Ok(count)
    }

    fn push_row(&mut self, batch: &mut Batch) {
        let start = batch.bytes.len();
        let values = || self.columns.iter().filter_map(|each| Some((each.key(), each.value()?)));
        let value_bytes: usize = values().map(|(_, value)| value.bytes().len()).sum();
        let is_oversized = value_bytes > self.max_line_bytes;
        batch.bytes.push(b'{');
        for (key, value) in values() {
            if batch.bytes.len() > start + 1 {
                batch.bytes.push(b',');
            }
            batch.bytes.extend_from_slice(key);
            let shown = if is_oversized { HEAD_BYTES } else { usize::MAX };
            match value {
                Value::String(bytes) => {
                    push_string(&bytes[..bytes.len().min(shown)], &mut batch.bytes);
                }
                Value::Json(bytes) => {
                    // What is a line must have no line end, nor needs JSON one between its values.
                    let spaced = |&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte };
                    batch.bytes.extend(bytes.iter().take(shown).map(spaced));
                }
            }
        }
        batch.bytes.push(b'}');
        if is_oversized {
            batch.bytes.truncate(start + HEAD_BYTES);
        }
        let end = batch.bytes.len();
        batch.lines.push(Line { start, end, is_oversized, is_truncated: false });
        batch.bytes.push(b'\n');
        self.columns.iter_mut().for_each(Column::advance);
        self.given += 1;
    }
}

/// Says in one line what is wrong with a file.
fn damage(error: &ParquetError) -> String {
    let cause = error.to_string();
    let cause = cause.lines().next().unwrap_or_default();
    format!("expected a whole Parquet file, it breaks off or is damaged ({cause})")
}
