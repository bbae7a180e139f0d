//! Records of a batch that lose parts of their text: what is written of them instead.

use super::survivors::KeptLines;
use crate::Result;
use crate::cuts::Cut;
use crate::cuts::apply::{Left, append_cut, changed};
use crate::input::{Scratch, fields};

/// A record that loses parts of its text.
pub(super) struct CutLine {
    /// Its line in the batch.
    pub(super) line: usize,
    /// Number of its share.
    pub(super) share: u32,
    /// What it loses.
    pub(super) cuts: Vec<Cut>,
    /// What is written of it, its line end included; nothing where nothing is left.
    pub(super) written: Vec<u8>,
}

impl CutLine {
    /// Returns how much memory it takes; what is written is never longer than the line.
    pub(super) fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.cuts.capacity() * size_of::<Cut>() + self.written.capacity()
    }
}

/// What was cut out of a batch, or of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CutCounts {
    /// Records of which nothing is left.
    pub(super) nothing_left: u64,
    /// Parts of texts.
    pub(super) pieces: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

impl CutCounts {
    /// Adds what was cut elsewhere.
    pub(super) fn add(&mut self, other: Self) {
        self.nothing_left += other.nothing_left;
        self.pieces += other.pieces;
        self.bytes += other.bytes;
    }
}

impl KeptLines {
    /// Makes what is written of the records that lose something, and counts those of which
    /// something is left among those that survive.
    ///
    /// # Errors
    /// `Argument` where a text is not the one that was signed.
    pub(super) fn cut(&mut self, scratch: &mut Scratch) -> Result<CutCounts> {
        let mut counts = CutCounts::default();
        for cut in &mut self.cut_lines {
            let line = &self.job.batch.lines[cut.line];
            let fields = fields::parse(&self.job.batch, line, "text", scratch);
            let text = fields.map_err(|_| changed())?.text;
            let raw = self.job.batch.line(line);
            counts.pieces += cut.cuts.len() as u64;
            counts.bytes += cut.cuts.iter().map(|cut| u64::from(cut.end - cut.start)).sum::<u64>();
            match append_cut(raw, text, &cut.cuts, &mut cut.written)? {
                Left::Nothing => counts.nothing_left += 1,
                Left::Text(text_bytes) => {
                    cut.written.push(b'\n');
                    self.records += 1;
                    self.text_bytes += text_bytes;
                    let share = self.shares.entry(cut.share).or_default();
                    share.0 += 1;
                    share.1 += text_bytes;
                }
            }
        }
        Ok(counts)
    }
}
