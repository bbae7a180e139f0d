//! The pieces of a unit's texts in a file, and a range of them read from it.
//!
//! Rows are written run by run: a *run* is 262,144 rows, the last one fewer, in the order of the
//! input but for 256 *slices*, by the upper 8 bits of the keys, each a section. The one listed
//! section names the slices of the runs, 24 bytes each. So a task that works on a range of the keys
//! reads that range alone, and nothing but a run is in memory.
//!
//! | offset | bytes | is |
//! |---|---|---|
//! | 0 | 16 | key: xxh3 (128 bits) of the normal form, its upper half first |
//! | 16 | 8 | keep key of the record |
//! | 24 | 4 | line of the record in the unit |
//! | 28 | 4 | first byte of the text that goes when the piece does |
//! | 32 | 4 | bytes that go; the highest bit is set where the record is never cut |

use std::ops::Range;
use std::path::Path;

use crate::Result;
use crate::minhash::sections::{Kind, Reader, Section, Writer, number};

/// Bytes of a [`PieceRow`].
pub const ROW_BYTES: usize = 36;

/// Slices of a run.
pub const SLICES: usize = 256;

/// Rows of a run: 10 MB of them are in memory twice.
const RUN_ROWS: usize = 1 << 18;

/// Set in the length of what is never cut; no text has as many bytes.
const STAYS: u32 = 1 << 31;

/// A piece of a record's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceRow {
    /// What it is compared by.
    pub key: [u64; 2],
    /// Of equal pieces that of the record with the smallest key stays.
    pub keep_key: u64,
    /// Line of the record in the unit.
    pub line: u32,
    /// First byte of the text that goes with it.
    pub start: u32,
    /// How many bytes go.
    pub length: u32,
    /// Whether its record is never cut.
    pub stays: bool,
}

impl PieceRow {
    fn slice(&self) -> usize {
        usize::from(self.key[0].to_be_bytes()[0])
    }

    fn encode(&self, row: &mut [u8]) {
        let length = self.length | if self.stays { STAYS } else { 0 };
        for (at, word) in [(0, self.key[0]), (8, self.key[1]), (16, self.keep_key)] {
            row[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        for (at, word) in [(24, self.line), (28, self.start), (32, length)] {
            row[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
    }

    fn decode(row: &[u8]) -> Self {
        let word = |at: usize| u32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]);
        Self {
            key: [number(row, 0), number(row, 8)],
            keep_key: number(row, 16),
            line: word(24),
            start: word(28),
            length: word(32) & !STAYS,
            stays: word(32) & STAYS != 0,
        }
    }
}

/// Writes the pieces of a unit.
pub struct PieceWriter {
    writer: Writer,
    run: Vec<PieceRow>,
    /// Room for the bytes of a run.
    bytes: Vec<u8>,
    slices: Vec<u8>,
}

impl PieceWriter {
    /// Bytes of memory that it takes.
    pub const HELD_BYTES: usize = RUN_ROWS * (size_of::<PieceRow>() + ROW_BYTES);

    /// Begins the file that [`PieceWriter::finish`] will put at `path`.
    ///
    /// # Errors
    /// `Io` when it cannot be created.
    pub fn create(path: &Path, fingerprint: u64) -> Result<Self> {
        let writer = Writer::create(path, Kind::Pieces, fingerprint)?;
        Ok(Self { writer, run: Vec::new(), bytes: Vec::new(), slices: Vec::new() })
    }

    /// Appends pieces, in the order of the input.
    ///
    /// # Errors
    /// `Io` when the disk is full, for example.
    pub fn append(&mut self, mut rows: &[PieceRow]) -> Result<()> {
        while self.run.len() + rows.len() >= RUN_ROWS {
            let (fits, rest) = rows.split_at(RUN_ROWS - self.run.len());
            self.run.extend_from_slice(fits);
            self.end_run()?;
            rows = rest;
        }
        self.run.extend_from_slice(rows);
        Ok(())
    }

    fn end_run(&mut self) -> Result<()> {
        let mut ends = [0_usize; SLICES];
        for row in &self.run {
            ends[row.slice()] += ROW_BYTES;
        }
        let mut end = 0;
        for slice in &mut ends {
            end += *slice;
            *slice = end;
        }
        let starts: Vec<usize> = std::iter::once(0).chain(ends).collect();
        self.bytes.resize(end, 0);
        let mut next = starts.clone();
        for row in &self.run {
            let at = &mut next[row.slice()];
            row.encode(&mut self.bytes[*at..*at + ROW_BYTES]);
            *at += ROW_BYTES;
        }
        for (start, end) in starts.iter().zip(ends) {
            self.writer.append(&self.bytes[*start..end])?.encode(&mut self.slices);
        }
        self.run.clear();
        Ok(())
    }

    /// Ends the file of a unit of so many lines.
    ///
    /// # Errors
    /// `Io` from writing, syncing or renaming.
    pub fn finish(mut self, lines: u64) -> Result<()> {
        if !self.run.is_empty() {
            self.end_run()?;
        }
        self.writer.section(&self.slices)?;
        self.writer.finish(lines)
    }
}

/// The pieces of a unit, open.
#[derive(Debug)]
pub struct Pieces {
    reader: Reader,
    slices: Vec<u8>,
}

impl Pieces {
    /// Opens what [`PieceWriter`] wrote.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged or of another run; `Io`.
    pub fn open(path: &Path, fingerprint: u64) -> Result<Self> {
        let reader = Reader::open(path, Kind::Pieces, fingerprint)?;
        let slices = reader.section(0)?;
        Ok(Self { reader, slices })
    }

    /// Returns the lines of the unit.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.reader.records()
    }

    /// Returns the number of pieces.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.sections().map(|section| section.length / ROW_BYTES as u64).sum()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn sections(&self) -> impl Iterator<Item = Section> {
        self.slices.chunks_exact(Section::BYTES).map(Section::decode)
    }

    /// Calls `take` with the pieces of a range of slices.
    ///
    /// # Errors
    /// `Corrupt` when they are damaged; `Io`; that of `take`.
    pub fn each(
        &self,
        slices: &Range<usize>,
        mut take: impl FnMut(PieceRow) -> Result<()>,
    ) -> Result<()> {
        let mut bytes = Vec::new();
        for (number, section) in self.sections().enumerate() {
            if slices.contains(&(number % SLICES)) {
                self.reader.read_into(section, &mut bytes)?;
                bytes.chunks_exact(ROW_BYTES).map(PieceRow::decode).try_for_each(&mut take)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_is_found_in_the_range_of_its_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("00000.pieces");
        let row = |number: u32| PieceRow {
            key: [u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15), 5],
            keep_key: u64::MAX - u64::from(number),
            line: number,
            start: u32::MAX - number,
            length: number,
            stays: number.is_multiple_of(3),
        };
        let rows: Vec<PieceRow> = (0..600_000).map(row).collect();
        let mut writer = PieceWriter::create(&path, 3).unwrap();
        rows.chunks(70_001).for_each(|rows| writer.append(rows).unwrap());
        writer.finish(77).unwrap();
        let pieces = Pieces::open(&path, 3).unwrap();
        assert_eq!((pieces.lines(), pieces.len()), (77, 600_000));
        let mut found = Vec::new();
        for slices in [0..1, 1..100, 100..256] {
            pieces
                .each(&slices, |row| {
                    assert!(slices.contains(&row.slice()));
                    found.push(row);
                    Ok(())
                })
                .unwrap();
        }
        found.sort_by_key(|row| row.line);
        assert!(found == rows);
        assert!(Pieces::open(&path, 4).is_err());
    }

    #[test]
    fn a_unit_without_pieces_has_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("00000.pieces");
        PieceWriter::create(&path, 3).unwrap().finish(0).unwrap();
        let pieces = Pieces::open(&path, 3).unwrap();
        assert!(pieces.is_empty());
        pieces.each(&(0..SLICES), |_| panic!("there is none")).unwrap();
    }
}
