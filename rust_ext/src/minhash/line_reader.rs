//! Where the lines of a signed unit lie in its file, and reading them one by one.

use std::ops::Range;

use super::entry::{ENTRY_BYTES, Entry};
use super::sections::{Reader, Section};
use super::unit_file::{ARRAY_BYTES, BLOCK_BYTES, RUNS, RUNS_HEAD_BYTES, SignedUnit};
use crate::{Error, Result};

/// The list of runs.
pub(super) struct Runs {
    bytes: Vec<u8>,
    pub(super) run_lines: u64,
    row_bytes: usize,
}

impl Runs {
    pub(super) fn read(reader: &Reader) -> Result<Self> {
        let bytes = reader.section(RUNS)?;
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let (run_lines, arrays) = (u64::from(word(0)), word(4) as usize);
        Ok(Self { bytes, run_lines, row_bytes: Section::BYTES + arrays * ARRAY_BYTES })
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &[u8]> {
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

impl<'a> LineReader<'a> {
    pub(super) fn new(unit: &'a SignedUnit) -> Result<Self> {
        let runs = Runs::read(unit.reader())?;
        Ok(Self {
            unit,
            run_lines: runs.run_lines,
            runs: runs.rows().map(Section::decode).collect(),
            blocks: Blocks::default(),
            entries: Vec::new(),
            entries_at: 0..0,
            ids: Vec::new(),
            ids_at: 0..0,
            id_start: (0, 0),
        })
    }

    /// Returns the lines of the block that a line is in, and their entries.
    pub(super) fn block(&mut self, line: u64) -> Result<(Range<u64>, &[Entry])> {
        self.load_entries(line)?;
        Ok((self.entries_at.clone(), &self.entries))
    }

    /// Returns the entry of a line.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged, or there is no such line; `Io`.
    pub fn entry(&mut self, line: u64) -> Result<Entry> {
        self.load_entries(line)?;
        let at = usize::try_from(line - self.entries_at.start).unwrap_or(usize::MAX);
        let entry = self.entries.get(at).copied();
        entry.ok_or_else(|| self.unit.reader().corrupt("a block has fewer entries than lines"))
    }

    /// Returns the id of a line; empty where it is no record.
    ///
    /// # Errors
    /// As [`LineReader::entry`].
    pub fn id(&mut self, line: u64) -> Result<&str> {
        if !self.ids_at.contains(&line) {
            let (lines, _, ids) = self.find(line)?;
            let compressed = self.unit.reader().read(ids)?;
            self.ids = zstd::decode_all(&compressed[..])
                .map_err(|_| self.unit.reader().corrupt("its ids cannot be decompressed"))?;
            self.id_start = (lines.start, 0);
            self.ids_at = lines;
        }
        if line < self.id_start.0 {
            self.id_start = (self.ids_at.start, 0);
        }
        let corrupt = || self.unit.reader().corrupt("a block has fewer ids than lines");
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
        std::str::from_utf8(id).map_err(|_| self.unit.reader().corrupt("an id is no UTF-8"))
    }

    fn load_entries(&mut self, line: u64) -> Result<()> {
        if self.entries_at.contains(&line) {
            return Ok(());
        }
        let (lines, entries, _) = self.find(line)?;
        let bytes = self.unit.reader().read(entries)?;
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
            let bytes = self.unit.reader().read(list)?;
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
        self.unit.reader().corrupt(&format!("expected a line below {records}, got {line}"))
    }
}
