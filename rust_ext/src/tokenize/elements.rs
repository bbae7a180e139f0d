//! The elements of a batch's documents: in memory, and on disk where one document has very many.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::indexed::Dtype;
use crate::output::unnamed_file;
use crate::{Error, Result};

/// Beyond it elements go to disk: a batch of ordinary records stays below, whatever it holds, and
/// a text of 500 MB may become 2 GB of elements.
const MOST_BYTES: usize = 1 << 25;

/// Bytes read back at a time.
const BLOCK_BYTES: usize = 1 << 20;

/// Elements back to back, the first of them in an unnamed file once there are too many.
#[derive(Debug, Default)]
pub(super) struct Elements {
    memory: Vec<u8>,
    /// With the path that errors name.
    file: Option<(File, PathBuf)>,
    in_file: u64,
}

impl Elements {
    /// Returns how many bytes there are.
    pub(super) fn len(&self) -> u64 {
        self.in_file + self.memory.len() as u64
    }

    /// Returns the bytes of memory that it holds.
    pub(super) fn held_bytes(&self) -> usize {
        self.memory.capacity()
    }

    /// Appends ids as elements of a type; `spill_beside` says on which file system there is room.
    ///
    /// # Errors
    /// `Io` from writing; `Argument` for a token that does not fit.
    pub(super) fn append(&mut self, ids: &[u32], dtype: Dtype, spill_beside: &Path) -> Result<()> {
        dtype.encode(ids, &mut self.memory).map_err(|token| {
            Error::Argument(format!("expected tokens that fit {}, got {token}", dtype.name()))
        })?;
        if self.memory.len() > MOST_BYTES { self.spill(spill_beside) } else { Ok(()) }
    }

    fn spill(&mut self, beside: &Path) -> Result<()> {
        if self.file.is_none() {
            self.file = Some((unnamed_file(beside)?, beside.to_path_buf()));
        }
        if let Some((file, path)) = &self.file {
            file.write_all_at(&self.memory, self.in_file)
                .map_err(|source| Error::io(path, source))?;
            self.in_file += self.memory.len() as u64;
            self.memory.clear();
        }
        Ok(())
    }

    /// Forgets what stands behind the first `len` bytes.
    pub(super) fn truncate(&mut self, len: u64) {
        let in_memory = len.saturating_sub(self.in_file);
        self.memory.truncate(usize::try_from(in_memory).unwrap_or(usize::MAX));
        self.in_file = self.in_file.min(len);
    }

    /// Forgets all and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.memory.clear();
        self.file = None;
        self.in_file = 0;
    }

    /// Hands the bytes from `start` to `end` on, in as many pieces as it takes.
    ///
    /// # Errors
    /// `Io` from reading back; what `put` returns.
    pub(super) fn copy(
        &self,
        start: u64,
        end: u64,
        mut put: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut at = start;
        if let Some((file, path)) = self.file.as_ref().filter(|_| start < self.in_file) {
            let mut block = vec![0; BLOCK_BYTES];
            while at < end.min(self.in_file) {
                let left = usize::try_from(end.min(self.in_file) - at).unwrap_or(usize::MAX);
                let block = &mut block[..left.min(BLOCK_BYTES)];
                file.read_exact_at(block, at).map_err(|source| Error::io(path, source))?;
                put(block)?;
                at += block.len() as u64;
            }
        }
        let within = |position: u64| usize::try_from(position - self.in_file).unwrap_or(usize::MAX);
        if at < end { put(&self.memory[within(at)..within(end)]) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(elements: &Elements, start: u64, end: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        elements
            .copy(start, end, |piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
        bytes
    }

    #[test]
    fn what_went_to_disk_comes_back_and_can_be_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let beside = directory.path().join("a.bin");
        let mut elements = Elements::default();
        let mut expected = Vec::new();
        let ids: Vec<u32> = (0..1_000_003).collect();
        for _ in 0..20 {
            elements.append(&ids, Dtype::Int32, &beside).unwrap();
            expected.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
        }
        assert!(elements.in_file > 0, "the test is to reach the file");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "it has no name");
        assert_eq!(elements.len(), expected.len() as u64);
        let end = elements.len();
        for (start, end) in [(0, end), (0, 12), (elements.in_file - 4, end), (end - 4, end)] {
            let (from, to) = (usize::try_from(start).unwrap(), usize::try_from(end).unwrap());
            assert!(all(&elements, start, end) == expected[from..to], "{start} to {end}");
        }
        elements.truncate(8_000_000);
        elements.append(&[7], Dtype::Int32, &beside).unwrap();
        assert!(all(&elements, 0, 8_000_004) == [&expected[..8_000_000], &[7, 0, 0, 0]].concat());
        elements.clear();
        assert_eq!((elements.len(), all(&elements, 0, 0)), (0, vec![]));
    }

    #[test]
    fn a_token_that_does_not_fit_is_named() {
        let error =
            Elements::default().append(&[70_000], Dtype::Uint16, Path::new("a")).unwrap_err();
        assert_eq!(error.to_string(), "expected tokens that fit uint16, got 70000");
    }
}
