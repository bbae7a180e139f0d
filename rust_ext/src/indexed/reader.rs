//! Opens indexed datasets, ours and Megatron's, and reads single documents.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Dtype, HEADER_BYTES, MAGIC, VERSION};
use crate::{Error, Result};

/// An index open for reading; nothing of it is held in memory but the header.
#[derive(Debug)]
pub struct Reader {
    bin_path: PathBuf,
    idx_path: PathBuf,
    bin: File,
    idx: File,
    dtype: Dtype,
    sequences: u64,
    boundaries: u64,
    bin_bytes: u64,
}

impl Reader {
    /// Opens `PREFIX.bin` and `PREFIX.idx` and checks the header against the file sizes.
    ///
    /// # Errors
    /// `Io` when a file is missing; `Corrupt` when the index is not one.
    pub fn open(prefix: &Path) -> Result<Self> {
        let (bin_path, idx_path) = (with_suffix(prefix, ".bin"), with_suffix(prefix, ".idx"));
        let open = |path: &Path| File::open(path).map_err(|source| Error::io(path, source));
        let (bin, idx) = (open(&bin_path)?, open(&idx_path)?);
        let size = |file: &File, path: &Path| {
            file.metadata().map(|data| data.len()).map_err(|source| Error::io(path, source))
        };
        let (bin_bytes, idx_bytes) = (size(&bin, &bin_path)?, size(&idx, &idx_path)?);
        let mut header = [0; 34];
        if idx_bytes < HEADER_BYTES {
            return Err(Error::corrupt(
                &idx_path,
                format!("expected an index of {HEADER_BYTES} bytes or more, found {idx_bytes}"),
            ));
        }
        idx.read_exact_at(&mut header, 0).map_err(|source| Error::io(&idx_path, source))?;
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&header[at..at + 8]);
            u64::from_le_bytes(word)
        };
        if &header[..9] != MAGIC || word(9) != VERSION {
            return Err(Error::corrupt(
                &idx_path,
                "expected Megatron's index of version 1, found another beginning",
            ));
        }
        let dtype = Dtype::from_code(header[17]).ok_or_else(|| {
            Error::corrupt(&idx_path, format!("expected a dtype of 1 to 8, found {}", header[17]))
        })?;
        let (sequences, boundaries) = (word(18), word(26));
        let expected = sequences
            .checked_mul(12)
            .and_then(|bytes| boundaries.checked_mul(8)?.checked_add(bytes))
            .and_then(|bytes| bytes.checked_add(HEADER_BYTES));
        // One byte a sequence may follow: the modes of multimodal data, which we pass over.
        let with_modes = expected.and_then(|bytes| bytes.checked_add(sequences));
        if expected != Some(idx_bytes) && with_modes != Some(idx_bytes) {
            return Err(Error::corrupt(
                &idx_path,
                format!(
                    "expected {expected:?} bytes for {sequences} sequences and {boundaries} \
                     document boundaries, found {idx_bytes}"
                ),
            ));
        }
        Ok(Self { bin_path, idx_path, bin, idx, dtype, sequences, boundaries, bin_bytes })
    }

    /// Returns the element type.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Returns the number of sequences.
    #[must_use]
    pub fn sequences(&self) -> u64 {
        self.sequences
    }

    /// Returns the number of documents.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.boundaries.saturating_sub(1)
    }

    /// Returns the size of `.bin` in bytes.
    #[must_use]
    pub fn bin_bytes(&self) -> u64 {
        self.bin_bytes
    }

    /// Returns the elements of a document, its sequences one after another.
    ///
    /// # Errors
    /// `Argument` when there is no such document; `Corrupt` when the index points outside.
    pub fn document(&self, document: u64) -> Result<Vec<i64>> {
        if document >= self.documents() {
            return Err(Error::Argument(format!(
                "{}: expected a document below {}, got {document}",
                self.idx_path.display(),
                self.documents()
            )));
        }
        let boundaries = HEADER_BYTES + 12 * self.sequences;
        let (first, last) =
            (self.word(boundaries + 8 * document)?, self.word(boundaries + 8 * (document + 1))?);
        if first > last || last > self.sequences {
            return Err(self.bad_boundary(document));
        }
        let mut elements = Vec::new();
        for sequence in first..last {
            let mut length = [0; 4];
            self.idx
                .read_exact_at(&mut length, HEADER_BYTES + 4 * sequence)
                .map_err(|source| Error::io(&self.idx_path, source))?;
            let bytes = u64::from(u32::from_le_bytes(length)) * self.dtype.size();
            let pointer = self.word(HEADER_BYTES + 4 * self.sequences + 8 * sequence)?;
            if pointer.checked_add(bytes).is_none_or(|end| end > self.bin_bytes) {
                return Err(Error::corrupt(
                    &self.idx_path,
                    format!(
                        "sequence {sequence} should lie at byte {pointer}, past the {} bytes of {}",
                        self.bin_bytes,
                        self.bin_path.display()
                    ),
                ));
            }
            #[allow(clippy::cast_possible_truncation)] // below 2^34, and memory is 64 bits wide
            let mut raw = vec![0; bytes as usize];
            self.bin
                .read_exact_at(&mut raw, pointer)
                .map_err(|source| Error::io(&self.bin_path, source))?;
            elements.extend(self.dtype.decode(&raw));
        }
        Ok(elements)
    }

    /// Returns where the elements lie.
    pub(super) fn bin_path(&self) -> &Path {
        &self.bin_path
    }

    /// Returns where the index lies.
    pub(super) fn idx_path(&self) -> &Path {
        &self.idx_path
    }

    /// Returns the bytes of the index that hold the lengths.
    pub(super) fn lengths(&self) -> Range<u64> {
        HEADER_BYTES..HEADER_BYTES + 4 * self.sequences
    }

    /// Returns lengths, pointers and document indices, each to be read from front to back.
    pub(super) fn tables(&self) -> Result<[BufReader<File>; 3]> {
        let lengths = HEADER_BYTES;
        let pointers = lengths + 4 * self.sequences;
        let boundaries = pointers + 8 * self.sequences;
        Ok([self.stream(lengths)?, self.stream(pointers)?, self.stream(boundaries)?])
    }

    /// Returns whether there is a document boundary of this number.
    pub(super) fn has_boundary(&self, number: u64) -> bool {
        number < self.boundaries
    }

    /// Returns the error of a document boundary.
    pub(super) fn bad_boundary(&self, number: u64) -> Error {
        Error::corrupt(
            &self.idx_path,
            format!(
                "document boundary {number} is wrong: expected them to rise from 0 to {}",
                self.sequences
            ),
        )
    }

    fn word(&self, at: u64) -> Result<u64> {
        let mut word = [0; 8];
        self.idx
            .read_exact_at(&mut word, at)
            .map_err(|source| Error::io(&self.idx_path, source))?;
        Ok(u64::from_le_bytes(word))
    }

    /// Returns the next word of a table.
    pub(super) fn take<const N: usize>(&self, stream: &mut BufReader<File>) -> Result<[u8; N]> {
        let mut word = [0; N];
        stream.read_exact(&mut word).map_err(|source| Error::io(&self.idx_path, source))?;
        Ok(word)
    }

    fn stream(&self, from: u64) -> Result<BufReader<File>> {
        let mut file = open_again(&self.idx_path)?;
        file.seek(SeekFrom::Start(from)).map_err(|source| Error::io(&self.idx_path, source))?;
        Ok(BufReader::with_capacity(1 << 18, file))
    }
}

pub(super) fn open_again(path: &Path) -> Result<File> {
    File::open(path).map_err(|source| Error::io(path, source))
}

/// Appends to the last part of a path: prefixes may hold dots.
pub(crate) fn with_suffix(prefix: &Path, suffix: &str) -> PathBuf {
    let mut name = prefix.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}
