//! Writes an indexed dataset with memory that does not grow with the number of documents.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Dtype, HEADER_BYTES, MAGIC, VERSION};
use crate::output::{AtomicFile, FileSummary, unnamed_file};
use crate::{Error, Result};

/// What a finished dataset consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Documents, one sequence each.
    pub documents: u64,
    /// Elements in all.
    pub tokens: u64,
    /// Size and hash of `.bin`.
    pub bin: FileSummary,
    /// Size and hash of `.idx`.
    pub idx: FileSummary,
}

/// A dataset being written, one sequence a document.
///
/// The lengths are spooled to an unnamed file beside the output; pointers and document indices
/// follow from them, so that nothing is held in memory but buffers.
pub struct Writer {
    bin: AtomicFile,
    idx_path: PathBuf,
    dtype: Dtype,
    lengths: File,
    spool: Vec<u8>,
    documents: u64,
    tokens: u64,
}

const SPOOL_BYTES: usize = 1 << 18;

impl Writer {
    /// Begins a dataset whose files will be `bin_path` and `idx_path`.
    ///
    /// # Errors
    /// `Io` when they cannot be created.
    pub fn create(bin_path: &Path, idx_path: &Path, dtype: Dtype) -> Result<Self> {
        let bin = AtomicFile::create(bin_path)?;
        let lengths = unnamed_file(idx_path)?;
        Ok(Self {
            bin,
            idx_path: idx_path.to_path_buf(),
            dtype,
            lengths,
            spool: Vec::with_capacity(SPOOL_BYTES),
            documents: 0,
            tokens: 0,
        })
    }

    /// Returns the documents written so far.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// Appends documents: their elements back to back, and the number of elements of each.
    ///
    /// # Errors
    /// `Io` from writing; `Argument` if a document has more than 2^31 - 1 elements, which the
    /// format cannot hold, or the lengths do not add up to `elements`.
    pub fn append(&mut self, elements: &[u8], lengths: &[u32]) -> Result<()> {
        self.append_lengths(lengths)?;
        self.append_elements(elements)?;
        self.check_whole()
    }

    /// Appends the lengths of documents, whose elements [`Writer::append_elements`] brings.
    ///
    /// # Errors
    /// `Io` from writing; `Argument` if a document has more than 2^31 - 1 elements, which the
    /// format cannot hold.
    pub fn append_lengths(&mut self, lengths: &[u32]) -> Result<()> {
        for &length in lengths {
            if i32::try_from(length).is_err() {
                return Err(Error::Argument(format!(
                    "{}: document {} has {length} tokens, an index holds 2147483647 at most",
                    self.bin.path().display(),
                    self.documents
                )));
            }
            self.spool.extend_from_slice(&length.to_le_bytes());
            self.documents += 1;
            self.tokens += u64::from(length);
        }
        if self.spool.len() >= SPOOL_BYTES {
            self.flush_lengths()?;
        }
        Ok(())
    }

    /// Appends elements of the documents whose lengths were given, in any number of pieces.
    ///
    /// # Errors
    /// `Io` from writing.
    pub fn append_elements(&mut self, elements: &[u8]) -> Result<()> {
        self.bin.append(elements)
    }

    /// Checks that there are as many elements as the lengths say.
    fn check_whole(&self) -> Result<()> {
        let (expected, found) = (self.tokens * self.dtype.size(), self.bin.bytes());
        if expected == found {
            return Ok(());
        }
        Err(Error::Argument(format!(
            "{}: expected the {expected} bytes of {} {} elements of the lengths, got {found}",
            self.bin.path().display(),
            self.tokens,
            self.dtype.name()
        )))
    }

    fn flush_lengths(&mut self) -> Result<()> {
        let written = self.lengths.write_all(&self.spool);
        self.spool.clear();
        written.map_err(|source| Error::io(&self.idx_path, source))
    }

    /// Writes the index and gives both files their names, `.idx` last.
    ///
    /// # Errors
    /// `Io` from writing, syncing or renaming.
    pub fn finish(mut self) -> Result<Written> {
        self.check_whole()?;
        self.flush_lengths()?;
        let Self { bin, idx_path, dtype, lengths, documents, tokens, .. } = self;
        let bin = bin.finish()?;
        let idx = write_index(&idx_path, dtype, lengths, documents)?;
        Ok(Written { documents, tokens, bin, idx })
    }
}

/// Writes an index of one sequence a document from the spooled lengths.
pub(crate) fn write_index(
    path: &Path,
    dtype: Dtype,
    mut lengths: File,
    documents: u64,
) -> Result<FileSummary> {
    let mut idx = AtomicFile::create(path)?;
    idx.append(MAGIC)?;
    idx.append(&VERSION.to_le_bytes())?;
    idx.append(&[dtype.code()])?;
    idx.append(&documents.to_le_bytes())?;
    idx.append(&(documents + 1).to_le_bytes())?;
    debug_assert_eq!(idx.bytes(), HEADER_BYTES);
    each_block(path, &mut lengths, documents, |block| idx.append(block))?;
    let (mut pointer, mut pointers) = (0_u64, Vec::with_capacity(2 * SPOOL_BYTES));
    each_block(path, &mut lengths, documents, |block| {
        pointers.clear();
        for length in block.as_chunks::<4>().0 {
            pointers.extend_from_slice(&pointer.to_le_bytes());
            pointer += u64::from(u32::from_le_bytes(*length)) * dtype.size();
        }
        idx.append(&pointers)
    })?;
    for boundary in 0..=documents {
        idx.append(&boundary.to_le_bytes())?;
    }
    idx.finish()
}

/// Reads the spooled lengths from the beginning, in blocks of whole ones.
fn each_block(
    path: &Path,
    lengths: &mut File,
    documents: u64,
    mut see: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let named = |source| Error::io(path, source);
    lengths.seek(SeekFrom::Start(0)).map_err(named)?;
    let mut block = vec![0; SPOOL_BYTES];
    let mut left = documents * 4;
    while left > 0 {
        let count = usize::try_from(left).map_or(SPOOL_BYTES, |left| left.min(SPOOL_BYTES));
        lengths.read_exact(&mut block[..count]).map_err(named)?;
        see(&block[..count])?;
        left -= count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_documents_take_the_102_bytes_of_the_format() {
        let directory = tempfile::tempdir().unwrap();
        let (bin, idx) = (directory.path().join("a.bin"), directory.path().join("a.idx"));
        let mut writer = Writer::create(&bin, &idx, Dtype::Uint16).unwrap();
        writer.append(&[1, 0, 2, 0, 3, 0], &[1, 2]).unwrap();
        writer.append(&[4, 0], &[1]).unwrap();
        let written = writer.finish().unwrap();
        assert_eq!((written.documents, written.tokens), (3, 4));
        assert_eq!(std::fs::read(&bin).unwrap(), [1, 0, 2, 0, 3, 0, 4, 0]);
        let mut expected = b"MMIDIDX\0\0\x01\0\0\0\0\0\0\0\x08".to_vec();
        for word in [3_u64, 4] {
            expected.extend(word.to_le_bytes());
        }
        for length in [1_i32, 2, 1] {
            expected.extend(length.to_le_bytes());
        }
        for word in [0_u64, 2, 6, 0, 1, 2, 3] {
            expected.extend(word.to_le_bytes());
        }
        assert_eq!(std::fs::read(&idx).unwrap(), expected);
        assert_eq!(expected.len(), 102);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (bin, idx) = (directory.path().join("a.bin"), directory.path().join("a.idx"));
        let mut writer = Writer::create(&bin, &idx, Dtype::Int32).unwrap();
        assert!(writer.append(&[0; 7], &[2]).is_err());
        let error = writer.append(&[], &[1 << 31]).unwrap_err().to_string();
        assert!(error.ends_with("an index holds 2147483647 at most"), "{error}");
        drop(writer);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
