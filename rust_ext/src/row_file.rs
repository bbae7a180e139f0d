//! Rows of numbers in a file without a name, for what must not fill memory.
//!
//! A row is `N` numbers of 64 bits, little-endian on disk. The file vanishes with the process,
//! however that ends: nothing of it is left for a later run, and nothing has to be swept.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::output::unnamed_file;
use crate::{Error, Result};

/// Rows that are appended, and read again as often as one likes.
#[derive(Debug)]
pub struct RowFile<const N: usize> {
    beside: PathBuf,
    file: Arc<File>,
    /// Rows that are in the file itself.
    stored: u64,
    buffer: Vec<u8>,
    buffer_bytes: usize,
}

impl<const N: usize> RowFile<N> {
    /// Bytes of a row.
    pub const ROW_BYTES: usize = N * 8;

    /// Begins a file on the file system of `beside`, which errors name.
    ///
    /// # Errors
    /// `Io` when none can be made there.
    pub fn create(beside: &Path, buffer_bytes: usize) -> Result<Self> {
        Ok(Self {
            beside: beside.to_path_buf(),
            file: Arc::new(unnamed_file(beside)?),
            stored: 0,
            buffer: Vec::new(),
            buffer_bytes: buffer_bytes.max(Self::ROW_BYTES),
        })
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.stored + (self.buffer.len() / Self::ROW_BYTES) as u64
    }

    /// Returns whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a row.
    ///
    /// # Errors
    /// `Io` when the disk is full, for example.
    pub fn push(&mut self, row: &[u64; N]) -> Result<()> {
        if self.buffer.len() + Self::ROW_BYTES > self.buffer_bytes {
            self.store()?;
        }
        for word in row {
            self.buffer.extend_from_slice(&word.to_le_bytes());
        }
        Ok(())
    }

    /// Writes out what is buffered and gives the buffer's memory back.
    ///
    /// # Errors
    /// `Io` when the disk is full, for example.
    pub fn flush(&mut self) -> Result<()> {
        self.store()?;
        self.buffer = Vec::new();
        Ok(())
    }

    fn store(&mut self) -> Result<()> {
        self.file
            .write_all_at(&self.buffer, self.stored * Self::ROW_BYTES as u64)
            .map_err(|source| Error::io(&self.beside, source))?;
        self.stored += (self.buffer.len() / Self::ROW_BYTES) as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Reads some of the rows that were flushed, in order.
    ///
    /// # Errors
    /// `Io` when they cannot be read.
    pub fn read(&self, rows: Range<u64>, buffer_bytes: usize) -> Result<RowReader<N>> {
        let buffered = (buffer_bytes / Self::ROW_BYTES).max(1);
        let mut reader = RowReader {
            beside: self.beside.clone(),
            file: Arc::clone(&self.file),
            next: rows.start,
            end: rows.end.min(self.stored),
            buffered,
            buffer: Vec::new(),
            at: 0,
            head: None,
        };
        reader.advance()?;
        Ok(reader)
    }

    /// Reads all rows; flush first.
    ///
    /// # Errors
    /// `Io` when they cannot be read.
    pub fn read_all(&self, buffer_bytes: usize) -> Result<RowReader<N>> {
        self.read(0..self.stored, buffer_bytes)
    }
}

/// A place in a row file.
#[derive(Debug)]
pub struct RowReader<const N: usize> {
    beside: PathBuf,
    file: Arc<File>,
    /// The first row that is not buffered.
    next: u64,
    end: u64,
    /// Rows read at a time.
    buffered: usize,
    buffer: Vec<u8>,
    at: usize,
    head: Option<[u64; N]>,
}

impl<const N: usize> RowReader<N> {
    /// Returns the row at hand, `None` behind the last one.
    #[must_use]
    pub fn head(&self) -> Option<[u64; N]> {
        self.head
    }

    /// Goes on to the next row.
    ///
    /// # Errors
    /// `Io` when it cannot be read.
    pub fn advance(&mut self) -> Result<()> {
        if self.at == self.buffer.len() {
            self.fill()?;
        }
        let end = (self.at + N * 8).min(self.buffer.len());
        self.head = decode(&self.buffer[self.at..end]);
        self.at = end;
        Ok(())
    }

    fn fill(&mut self) -> Result<()> {
        let left = usize::try_from(self.end - self.next).unwrap_or(usize::MAX);
        let rows = left.min(self.buffered);
        self.buffer.resize(rows * N * 8, 0);
        self.at = 0;
        self.file
            .read_exact_at(&mut self.buffer, self.next * (N * 8) as u64)
            .map_err(|source| Error::io(&self.beside, source))?;
        self.next += rows as u64;
        Ok(())
    }
}

/// Returns the row that stands in so many bytes; none in fewer.
fn decode<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let words = bytes.as_chunks::<8>().0;
    (words.len() == N).then(|| std::array::from_fn(|index| u64::from_le_bytes(words[index])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_read_back_from_anywhere_whatever_the_buffers() {
        let directory = tempfile::tempdir().unwrap();
        for (write_bytes, read_bytes) in [(1, 1), (100, 24), (1 << 16, 50), (64, 1 << 16)] {
            let mut file = RowFile::<3>::create(&directory.path().join("x"), write_bytes).unwrap();
            for number in 0..100 {
                file.push(&[number, u64::MAX - number, 7]).unwrap();
            }
            file.flush().unwrap();
            assert_eq!(file.len(), 100);
            for range in [0..100, 0..0, 99..100, 17..60] {
                let mut reader = file.read(range.clone(), read_bytes).unwrap();
                for number in range {
                    assert_eq!(reader.head(), Some([number, u64::MAX - number, 7]));
                    reader.advance().unwrap();
                }
                assert_eq!(reader.head(), None);
                reader.advance().unwrap();
                assert_eq!(reader.head(), None);
            }
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
