//! Which lines of a unit survive, batch by batch, in memory that does not grow with the unit.

use std::collections::BTreeMap;
use std::ops::Range;

use super::cut_lines::CutLine;
use super::unit_file::{LineReader, Status};
use super::verdicts::{Kind, VerdictCursor};
use crate::cuts::file::CutCursor;
use crate::input::{Batch, Job};
use crate::pipeline::Weigh;
use crate::pool::Reuse as _;
use crate::{Error, Result};

/// Bytes of a batch that are written as they stand, or the line end that one lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Lines in a row, their ends included.
    Lines(Range<usize>),
    /// A line end.
    LineEnd,
    /// What is written of a record that loses something, by its index.
    Cut(usize),
}

/// What is left of a batch.
pub(super) struct KeptLines {
    /// The lines.
    pub(super) job: Job,
    /// Those that survive.
    pub(super) pieces: Vec<Piece>,
    /// Those of them that lose something, not counted until it is known what is left of them.
    pub(super) cut_lines: Vec<CutLine>,
    /// How many do.
    pub(super) records: u64,
    /// Bytes of their text.
    pub(super) text_bytes: u64,
    /// Number of the share -> records, bytes of text.
    pub(super) shares: BTreeMap<u32, (u64, u64)>,
}

impl KeptLines {
    /// Returns the bytes of a piece.
    pub(super) fn bytes(&self, piece: &Piece) -> &[u8] {
        match piece {
            Piece::Lines(range) => &self.job.batch.bytes[range.clone()],
            Piece::LineEnd => b"\n",
            Piece::Cut(index) => &self.cut_lines[*index].written,
        }
    }
}

impl Weigh for KeptLines {
    /// What is written of cut lines, and a frame, are made of their bytes.
    fn weight(&self) -> usize {
        self.job.weight() + self.cuts_bytes()
    }
}

impl KeptLines {
    /// Returns how much memory it takes.
    pub(super) fn held_bytes(&self) -> usize {
        self.job.batch.held_bytes()
            + self.pieces.capacity() * size_of::<Piece>()
            + self.cuts_bytes()
    }

    fn cuts_bytes(&self) -> usize {
        self.cut_lines.iter().map(CutLine::held_bytes).sum()
    }
}

/// What became of the lines that have passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// Records whose text another one keeps.
    pub(super) exact: u64,
    /// Records whose address another one has.
    pub(super) url: u64,
    /// Records that are similar to their survivor.
    pub(super) near: u64,
    /// Records without text.
    pub(super) empty_text: u64,
    /// Records that others fell to.
    pub(super) clusters: u64,
}

/// Goes through the lines of a unit.
pub(super) struct Survivors<'a> {
    /// Number of the unit, for messages.
    pub(super) unit: usize,
    /// Number of its first record.
    pub(super) first: u64,
    /// How many lines it has.
    pub(super) count: u64,
    pub(super) lines: LineReader<'a>,
    pub(super) verdicts: VerdictCursor<'a>,
    /// What they lose, where texts are cut.
    pub(super) cuts: Option<CutCursor<'a>>,
    pub(super) passed: Passed,
}

impl Survivors<'_> {
    /// Finds those of the next batch.
    ///
    /// # Errors
    /// `Corrupt` when entries or verdicts are damaged; `Io`; `Argument` for a line that was signed
    /// with more memory.
    pub(super) fn of(&mut self, job: Job) -> Result<KeptLines> {
        let (mut records, mut text_bytes, mut shares) = (0, 0, BTreeMap::new());
        let (mut pieces, mut cut_lines) = (Vec::new(), Vec::new());
        // A file that grew has more lines than entries; the check at its end names it.
        let numbers = job.first_line..self.count;
        for (number, line) in numbers.zip(&job.batch.lines) {
            let entry = self.lines.entry(number)?;
            if !self.survives(number, entry.status)? {
                continue;
            }
            if line.is_oversized {
                // Only its head was read: what was signed with more memory must be dropped so too.
                return Err(Error::Argument(format!(
                    "expected memory for line {number} of unit {}, which was signed with more; \
                     give drop the --memory that sign had",
                    self.unit
                )));
            }
            if let Some(cuts) = &mut self.cuts
                && let Some(cuts) = cuts.take_of(self.first + number)?
            {
                pieces.push(Piece::Cut(cut_lines.len()));
                // Lines of a batch are fewer than its bytes.
                let line = usize::try_from(number - job.first_line).unwrap_or(usize::MAX);
                cut_lines.push(CutLine { line, share: entry.share, cuts, written: Vec::new() });
                continue;
            }
            append(&mut pieces, line.start..line.end, &job.batch);
            records += 1;
            text_bytes += entry.text_bytes;
            let share: &mut (u64, u64) = shares.entry(entry.share).or_default();
            share.0 += 1;
            share.1 += entry.text_bytes;
        }
        Ok(KeptLines { job, pieces, cut_lines, records, text_bytes, shares })
    }

    fn survives(&mut self, line: u64, status: Status) -> Result<bool> {
        if status != Status::Record {
            self.passed.empty_text += u64::from(status == Status::EmptyText);
            return Ok(false);
        }
        let record = self.first + line;
        let verdict = self.verdicts.head().filter(|verdict| verdict.record == record);
        let Some(kind) = verdict.map(|verdict| verdict.kind) else { return Ok(true) };
        self.verdicts.advance()?;
        match kind {
            Kind::Survivor => self.passed.clusters += 1,
            Kind::Exact => self.passed.exact += 1,
            Kind::Near => self.passed.near += 1,
            Kind::Url => self.passed.url += 1,
        }
        Ok(kind == Kind::Survivor)
    }
}

/// Adds a line and its end; lines that stand in a row become one piece.
fn append(pieces: &mut Vec<Piece>, line: Range<usize>, batch: &Batch) {
    let has_end = line.end < batch.filled() && batch.bytes[line.end] == b'\n';
    let range = line.start..line.end + usize::from(has_end);
    match pieces.last_mut() {
        Some(Piece::Lines(last)) if last.end == range.start => last.end = range.end,
        _ => pieces.push(Piece::Lines(range)),
    }
    if !has_end {
        pieces.push(Piece::LineEnd);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Batches, Source};

    /// Keeps the lines that hold an `x`, and returns them with the number of pieces.
    fn kept(content: &[u8]) -> (Vec<u8>, usize) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        std::fs::write(&path, content).unwrap();
        let mut batches = Batches::new(Source::open(&path).unwrap(), 1 << 20, 1 << 20);
        let batch = batches.next_batch(Batch::default()).unwrap().unwrap();
        let mut pieces = Vec::new();
        for line in &batch.lines {
            if batch.line(line).contains(&b'x') {
                append(&mut pieces, line.start..line.end, &batch);
            }
        }
        let bytes = |piece: &Piece| match piece {
            Piece::Lines(range) => batch.bytes[range.clone()].to_vec(),
            Piece::LineEnd => b"\n".to_vec(),
            Piece::Cut(_) => panic!("nothing is cut here"),
        };
        (pieces.iter().flat_map(bytes).collect(), pieces.len())
    }

    #[test]
    fn lines_in_a_row_are_one_piece() {
        assert_eq!(kept(b"1x\n2x\n3x\n"), (b"1x\n2x\n3x\n".to_vec(), 1));
        assert_eq!(kept(b"1x\n2\n3x\n4x\n5\n"), (b"1x\n3x\n4x\n".to_vec(), 2));
        assert_eq!(kept(b"1\n2\n"), (vec![], 0));
    }

    #[test]
    fn every_line_gets_the_one_line_end_that_it_should_have() {
        assert_eq!(kept(b"1x\r\n2x\n\n3x"), (b"1x\n2x\n3x\n".to_vec(), 5));
        assert_eq!(kept(b"\xef\xbb\xbf1x\n\n  \n2x\r\n3"), (b"1x\n2x\n".to_vec(), 3));
    }
}
