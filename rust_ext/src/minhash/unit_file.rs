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
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

pub use super::entry::{ENTRY_BYTES, Entry, Status};
use super::keys::KeySection;
use super::open_files::OpenFiles;
use super::sections::{Kind, Reader, Section};
use crate::input::FileRead;
use crate::{Error, Result};

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
        let runs = Runs::read(&self.reader)?;
        Ok(LineReader {
            unit: self,
            run_lines: runs.run_lines,
            runs: runs.rows().map(|row| Section::decode(row)).collect(),
            blocks: Blocks::default(),
            entries: Vec::new(),
            entries_at: 0..0,
            ids: Vec::new(),
            ids_at: 0..0,
            id_start: (0, 0),
        })
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
            let block = lines.load_entries(next).map(|()| {
                let first = std::mem::replace(&mut next, lines.entries_at.end);
                (first, lines.entries.clone())
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
        words.clear();
        if count == 0 {
            return Ok(());
        }
        let mut bytes = vec![0; count as usize * 4];
        self.files.read_exact_at(&self.words, &mut bytes, at * 4).map_err(|error| match error {
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::UnexpectedEof => {
                Error::corrupt(&self.words, "it breaks off; remove it and its .sign, run again")
            }
            other => other,
        })?;
        if words_check(&bytes) != check {
            let message = format!(
                "its words from {at} to {} do not fit their checksum; remove it and its .sign, \
                 run again",
                at + u64::from(count)
            );
            return Err(Error::corrupt(&self.words, message));
        }
        words.extend(bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)));
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

/// Returns what an entry holds of its words' bytes.
#[allow(clippy::cast_possible_truncation)] // the lower half is what is wanted
pub(super) fn words_check(bytes: &[u8]) -> u32 {
    xxh3_64(bytes) as u32
}

/// The list of runs.
struct Runs {
    bytes: Vec<u8>,
    run_lines: u64,
    row_bytes: usize,
}

impl Runs {
    fn read(reader: &Reader) -> Result<Self> {
        let bytes = reader.section(RUNS)?;
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let (run_lines, arrays) = (u64::from(word(0)), word(4) as usize);
        Ok(Self { bytes, run_lines, row_bytes: Section::BYTES + arrays * ARRAY_BYTES })
    }

    fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes[RUNS_HEAD_BYTES..].chunks_exact(self.row_bytes)
    }
}

/// The blocks of one run.
#[derive(Debug, Default)]
struct Blocks {
    run: Option<usize>,
    /// Lines in the unit, entries, ids.
    all: Vec<(Range<u64>, Section, Section)>,
}

/// Reads lines of a unit; those near each other cost one reading.
///
/// It keeps the last block of entries and that of ids, and the list of one run's blocks.
#[derive(Debug)]
pub struct LineReader<'a> {
    unit: &'a SignedUnit,
    run_lines: u64,
    /// The list of blocks of each run.
    runs: Vec<Section>,
    blocks: Blocks,
    entries: Vec<Entry>,
    entries_at: Range<u64>,
    ids: Vec<u8>,
    ids_at: Range<u64>,
    /// A line of that block, and where its id begins.
    id_start: (u64, usize),
}

impl LineReader<'_> {
    /// Returns the entry of a line.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged, or there is no such line; `Io`.
    pub fn entry(&mut self, line: u64) -> Result<Entry> {
        self.load_entries(line)?;
        let at = usize::try_from(line - self.entries_at.start).unwrap_or(usize::MAX);
        let entry = self.entries.get(at).copied();
        entry.ok_or_else(|| self.unit.reader.corrupt("a block has fewer entries than lines"))
    }

    /// Returns the id of a line; empty where it is no record.
    ///
    /// # Errors
    /// As [`LineReader::entry`].
    pub fn id(&mut self, line: u64) -> Result<&str> {
        if !self.ids_at.contains(&line) {
            let (lines, _, ids) = self.find(line)?;
            let compressed = self.unit.reader.read(ids)?;
            self.ids = zstd::decode_all(&compressed[..])
                .map_err(|_| self.unit.reader.corrupt("its ids cannot be decompressed"))?;
            self.id_start = (lines.start, 0);
            self.ids_at = lines;
        }
        if line < self.id_start.0 {
            self.id_start = (self.ids_at.start, 0);
        }
        let corrupt = || self.unit.reader.corrupt("a block has fewer ids than lines");
        let mut length;
        loop {
            let rest = self.ids.get(self.id_start.1..).unwrap_or_default();
            length = memchr::memchr(b'\n', rest).ok_or_else(corrupt)?;
            if self.id_start.0 == line {
                break;
            }
            self.id_start = (self.id_start.0 + 1, self.id_start.1 + length + 1);
        }
        let id = &self.ids[self.id_start.1..self.id_start.1 + length];
        std::str::from_utf8(id).map_err(|_| self.unit.reader.corrupt("an id is no UTF-8"))
    }

    fn load_entries(&mut self, line: u64) -> Result<()> {
        if self.entries_at.contains(&line) {
            return Ok(());
        }
        let (lines, entries, _) = self.find(line)?;
        let bytes = self.unit.reader.read(entries)?;
        self.entries.clear();
        self.entries.extend(bytes.chunks_exact(ENTRY_BYTES).map(Entry::decode));
        self.entries_at = lines;
        Ok(())
    }

    /// Returns the lines of the block that a line is in, its entries and its ids.
    fn find(&mut self, line: u64) -> Result<(Range<u64>, Section, Section)> {
        let run = usize::try_from(line / self.run_lines).unwrap_or(usize::MAX);
        if self.blocks.run != Some(run) {
            let Some(&list) = self.runs.get(run) else {
                return Err(self.no_line(line));
            };
            let bytes = self.unit.reader.read(list)?;
            let first = line / self.run_lines * self.run_lines;
            let starts = bytes
                .chunks_exact(BLOCK_BYTES)
                .map(|row| first + u64::from(u32::from_le_bytes([row[0], row[1], row[2], row[3]])));
            let run_end = (first + self.run_lines).min(self.unit.records());
            let ends = starts.clone().skip(1).chain([run_end]);
            self.blocks.all = starts
                .zip(ends)
                .zip(bytes.chunks_exact(BLOCK_BYTES))
                .map(|((start, end), row)| {
                    let ids = Section::decode(&row[4 + Section::BYTES..]);
                    (start..end, Section::decode(&row[4..]), ids)
                })
                .collect();
            self.blocks.run = Some(run);
        }
        let at = self.blocks.all.partition_point(|(lines, ..)| lines.end <= line);
        self.blocks.all.get(at).cloned().ok_or_else(|| self.no_line(line))
    }

    fn no_line(&self, line: u64) -> Error {
        let records = self.unit.records();
        self.unit.reader.corrupt(&format!("expected a line below {records}, got {line}"))
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
