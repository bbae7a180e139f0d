//! The part of a file that is in memory: from the record that is being read to the last block.

use std::path::Path;

use crate::Result;
use crate::input::{Source, SourceSummary};

/// Bytes read at a time.
pub(super) const BLOCK_BYTES: usize = 1 << 20;

/// Files of less than this are read at once; more room would only be cleared for nothing.
const SMALLEST_BLOCK_BYTES: usize = 1 << 16;

/// More room than this is given back once a long record is done.
const ROOM_KEPT: usize = 16 * BLOCK_BYTES;

/// A file open for reading, and the bytes of it that are still needed.
pub(super) struct Window {
    source: Source,
    bytes: Vec<u8>,
    block_bytes: usize,
    pub(super) is_ended: bool,
    pub(super) damage: Option<String>,
}

impl Window {
    /// Opens a file, plain or compressed as its extension says.
    pub(super) fn open(path: &Path, block_bytes: usize) -> Result<Self> {
        let source = Source::open(path)?;
        let whole = path.metadata().map_or(u64::MAX, |found| found.len().saturating_add(1));
        let whole = usize::try_from(whole).unwrap_or(usize::MAX).max(SMALLEST_BLOCK_BYTES);
        let block_bytes = block_bytes.min(whole);
        Ok(Self { source, bytes: Vec::new(), block_bytes, is_ended: false, damage: None })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads another block; returns its size.
    pub(super) fn read(&mut self) -> Result<usize> {
        let before = self.bytes.len();
        self.bytes.resize(before + self.block_bytes, 0);
        let filled = self.source.fill(&mut self.bytes[before..])?;
        self.bytes.truncate(before + filled.count);
        self.is_ended = filled.is_ended;
        self.damage = filled.damage;
        Ok(filled.count)
    }

    /// Ends the reading: the file's size and hash, and its damage.
    pub(super) fn finish(self) -> Result<(SourceSummary, Option<String>)> {
        Ok((self.source.finish()?, self.damage))
    }

    /// Forgets the first bytes.
    pub(super) fn release(&mut self, count: usize) {
        self.bytes.drain(..count);
        if self.bytes.capacity() > ROOM_KEPT && self.bytes.len() < BLOCK_BYTES {
            self.bytes.shrink_to(2 * BLOCK_BYTES);
        }
    }
}
