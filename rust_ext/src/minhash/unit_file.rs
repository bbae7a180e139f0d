//! What `sign` hands on of a unit, and how it is read.
//!
//! `UUUUU.words` has the words of all its records one after another, hashes of 4 bytes, and
//! nothing else. `UUUUU.sign` has the rest, written run by run: a *run* is so many lines that are
//! not blank ([`run_lines`]), the last one fewer. Listed sections:
//!
//! | section | is |
//! |---|---|
//! | 0 | the runs, see below |
//! | 1 | [`UnitSummary`] as JSON |
//!
//! Section 0 begins with the lines of a run and the number of its arrays of keys, 4 bytes each.
//! Then, of each run, its blocks (24 bytes, a [`Section`]) and of each array the number of rows (4)
//! and its index (24, see [`super::keys`]): the bands, then the texts, then the ids. The section of
//! its blocks has of each block the number of its first line in the run (4), its entries (24) and
//! its ids, a line each, empty where the line is no record, compressed by zstd (24). A block has
//! 1,024 lines, fewer at the end of a run or where ids take more than 256 KiB.
//!
//! So one line is found with three short reads, and a range of one array without the others. On
//! disk, a record with 14 bands takes 36 bytes and 168 for its keys, its id compressed, and 4 bytes
//! a word. No signature is kept: it follows from the words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use super::entry::{Entry, Status};
use super::keys::KeySection;
pub use super::line_reader::LineReader;
use super::line_reader::Runs;
use super::open_files::OpenFiles;
use super::sections::{Kind, Reader, Section};
use super::stored_words;
use crate::input::FileRead;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

pub(super) const RUNS: usize = 0;
pub(super) const SUMMARY: usize = 1;
pub(super) const RUNS_HEAD_BYTES: usize = 8;
/// Bytes of an array of keys in the list of runs.
pub(super) const ARRAY_BYTES: usize = 4 + Section::BYTES;
/// Bytes of a block in the list of blocks.
pub(super) const BLOCK_BYTES: usize = 4 + 2 * Section::BYTES;

/// Rows of keys that a run may have: what is gathered of a run takes some 20 MB at most.
const MOST_RUN_ROWS: usize = 1 << 21;

/// Most lines of a run: their numbers have 16 bits.
const MOST_RUN_LINES: usize = 1 << 16;

/// Returns the lines of a run: 65,536, fewer with more than 32 bands.
#[must_use]
pub fn run_lines(num_bands: usize) -> usize {
    let most = (MOST_RUN_ROWS / num_bands.max(1)).max(1);
    (1 << most.ilog2()).min(MOST_RUN_LINES)
}

/// What is known of a unit beside its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitSummary {
    /// Its files, in order.
    pub files: Vec<FileRead>,
    /// Source and kind of its records; entries point here.
    pub shares: Vec<(String, String)>,
    /// Unreadable lines by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// A signed unit, open; to be shared by threads.
#[derive(Debug)]
pub struct SignedUnit {
    reader: Reader,
    words: PathBuf,
    files: Arc<OpenFiles>,
}

/// Returns where the words of a unit lie, beside its other file.
#[must_use]
pub fn words_path(sign_path: &Path) -> PathBuf {
    sign_path.with_extension("words")
}

impl SignedUnit {
    /// Opens what [`super::sign::sign_unit`] wrote.
    ///
    /// # Errors
    /// `Io`, or `Corrupt` when it is damaged or of another run.
    pub fn open(sign_path: &Path, words_path: &Path, fingerprint: u64) -> Result<Self> {
        Self::open_among(&Arc::default(), sign_path, words_path, fingerprint)
    }

    fn open_among(
        files: &Arc<OpenFiles>,
        sign_path: &Path,
        words_path: &Path,
        fingerprint: u64,
    ) -> Result<Self> {
        let reader = Reader::open_among(files, sign_path, Kind::Signatures, fingerprint)?;
        Ok(Self { reader, words: words_path.to_path_buf(), files: Arc::clone(files) })
    }

    /// Returns the number of its lines.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.reader.records()
    }

    /// Reads what is known of it beside its lines.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged.
    pub fn summary(&self) -> Result<UnitSummary> {
        let bytes = self.reader.section(SUMMARY)?;
        serde_json::from_slice(&bytes).map_err(|error| self.reader.corrupt(&error.to_string()))
    }

    /// Begins to read lines.
    ///
    /// # Errors
    /// `Corrupt` when the list of runs is damaged; `Io`.
    pub fn lines(&self) -> Result<LineReader<'_>> {
        LineReader::new(self)
    }

    /// Reads the entries of `count` lines from `first_line` on, fewer where the unit ends.
    ///
    /// # Errors
    /// `Corrupt` when they are damaged; `Io`.
    pub fn entries(&self, first_line: u64, count: u64) -> Result<Vec<Entry>> {
        let mut lines = self.lines()?;
        let end = first_line.saturating_add(count).min(self.records());
        (first_line..end).map(|line| lines.entry(line)).collect()
    }

    /// Returns the entries of all lines, block by block, each with the number of its first line.
    ///
    /// # Errors
    /// `Corrupt` when the list of runs is damaged; `Io`; the iterator gives those of the blocks.
    pub fn blocks(&self) -> Result<impl Iterator<Item = Result<(u64, Vec<Entry>)>> + '_> {
        let mut lines = self.lines()?;
        let mut next = 0;
        Ok(std::iter::from_fn(move || {
            if next >= self.records() {
                return None;
            }
            let block = lines.block(next).map(|(at, entries)| {
                next = at.end;
                (at.start, entries.to_vec())
            });
            if block.is_err() {
                next = u64::MAX; // nothing follows an error
            }
            Some(block)
        }))
    }

    /// Reads the words of a line.
    ///
    /// # Errors
    /// `Corrupt` when they are damaged; `Io`.
    pub fn words(&self, entry: &Entry) -> Result<Vec<u32>> {
        let mut words = Vec::new();
        self.words_into(entry.words_at, entry.words, entry.words_check, &mut words)?;
        Ok(words)
    }

    /// Reads `count` words from number `at` on into a buffer, whatever that held.
    ///
    /// # Errors
    /// `Corrupt` when they do not fit `check`; `Io`.
    pub fn words_into(&self, at: u64, count: u32, check: u32, words: &mut Vec<u32>) -> Result<()> {
        // What an earlier use left behind is written over: only what it grows by is cleared.
        words.resize(count as usize, 0);
        if count == 0 {
            return Ok(());
        }
        let bytes = stored_words::bytes_mut(words);
        self.files.read_exact_at(&self.words, bytes, at * 4).map_err(|error| match error {
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::UnexpectedEof => {
                Error::corrupt(&self.words, "it breaks off; remove it and its .sign, run again")
            }
            other => other,
        })?;
        if stored_words::check(words) != check {
            let message = format!(
                "its words from {at} to {} do not fit their checksum; remove it and its .sign, \
                 run again",
                at + u64::from(count)
            );
            return Err(Error::corrupt(&self.words, message));
        }
        stored_words::swap(words);
        Ok(())
    }

    /// Reads the id of a line; empty where it is no record.
    ///
    /// Takes three reads; for many lines [`SignedUnit::lines`] takes fewer.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged, or there is no such line; `Io`.
    pub fn id(&self, line: u64) -> Result<String> {
        self.lines()?.id(line).map(str::to_owned)
    }

    /// Returns of each run the number of its first line and its array of keys number `array`.
    pub(super) fn key_sections(&self, array: usize) -> Result<Vec<(u64, KeySection)>> {
        let runs = Runs::read(&self.reader)?;
        let at = Section::BYTES + array * ARRAY_BYTES;
        let sections = (0..).zip(runs.rows()).map(|(run, row)| {
            let count = u32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]);
            let index = Section::decode(&row[at + 4..]);
            (run * runs.run_lines, KeySection { count, index })
        });
        Ok(sections.collect())
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }
}

/// Opens the units of a corpus, whose words lie beside their other files.
///
/// They share the files that are open at a time.
///
/// # Errors
/// As [`SignedUnit::open`].
pub fn open_all(sign_paths: &[PathBuf], fingerprint: u64) -> Result<Vec<SignedUnit>> {
    let files = Arc::default();
    let open =
        |path: &PathBuf| SignedUnit::open_among(&files, path, &words_path(path), fingerprint);
    sign_paths.iter().map(open).collect()
}

/// Returns the ids of records of all units, which ascend; empty where there is no such record.
///
/// # Errors
/// `Corrupt` when they are damaged; `Io`.
pub fn ids_of(units: &[SignedUnit], records: &[u64]) -> Result<Vec<String>> {
    let mut found = Vec::with_capacity(records.len());
    let mut first = 0;
    for unit in units {
        let end = first + unit.records();
        let here = &records[found.len()..];
        let here = &here[..here.partition_point(|&record| record < end)];
        if !here.is_empty() {
            let mut lines = unit.lines()?;
            for &record in here {
                found.push(lines.id(record - first)?.to_owned());
            }
        }
        first = end;
    }
    found.resize(records.len(), String::new());
    Ok(found)
}
