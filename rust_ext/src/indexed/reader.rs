//! Reads and audits indexed datasets, ours and Megatron's.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Dtype, HEADER_BYTES, MAGIC, VERSION};
use crate::control::Control;
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

/// What a whole reading of a dataset found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Sequences.
    pub sequences: u64,
    /// Documents.
    pub documents: u64,
    /// Elements.
    pub tokens: u64,
    /// Documents whose last element is not the end-of-document token, or that hold another one.
    pub misplaced_eod: u64,
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

    /// Reads the whole index, and of `.bin` what `eod` asks for, and proves that it is sound.
    ///
    /// Each pointer is where the sequence before it ends, the last one ends where `.bin` ends, the
    /// document indices rise from 0 to the number of sequences. With `eod`, each document's
    /// elements are read: the token must stand at its end and nowhere else. With `vocab_size`,
    /// every element must be below it.
    ///
    /// # Errors
    /// `Corrupt`, naming the sequence or document; `Interrupted`.
    pub fn audit(
        &self,
        eod: Option<i64>,
        vocab_size: Option<u64>,
        control: &Control,
    ) -> Result<Audit> {
        let mut lengths = self.stream(HEADER_BYTES)?;
        let mut pointers = self.stream(HEADER_BYTES + 4 * self.sequences)?;
        let mut boundaries = self.stream(HEADER_BYTES + 12 * self.sequences)?;
        let mut bin = BufReader::with_capacity(1 << 20, open_again(&self.bin_path)?);
        let mut audit = Audit {
            sequences: self.sequences,
            documents: self.documents(),
            tokens: 0,
            misplaced_eod: 0,
        };
        let mut boundary =
            if self.boundaries > 0 { self.take::<8>(&mut boundaries)? } else { [0; 8] };
        if u64::from_le_bytes(boundary) != 0 {
            return Err(self.bad_boundary(0));
        }
        let mut next = self.next_boundary(&mut boundaries, 1, 0)?;
        let (mut document, mut end) = (0, 0_u64);
        let reads_tokens = eod.is_some() || vocab_size.is_some();
        let mut raw = Vec::new();
        let mut eods_before_last = 0_u64;
        for sequence in 0..self.sequences {
            if sequence % 65_536 == 0 {
                control.check()?;
            }
            let length = i32::from_le_bytes(self.take::<4>(&mut lengths)?);
            boundary = self.take::<8>(&mut pointers)?;
            let pointer = u64::from_le_bytes(boundary);
            let Ok(length) = u64::try_from(length) else {
                return Err(Error::corrupt(
                    &self.idx_path,
                    format!("sequence {sequence} has the length {length}, expected 0 or more"),
                ));
            };
            if pointer != end {
                return Err(Error::corrupt(
                    &self.idx_path,
                    format!(
                        "sequence {sequence} should begin at byte {end}, its pointer says {pointer}"
                    ),
                ));
            }
            end += length * self.dtype.size();
            if end > self.bin_bytes {
                break; // told below, with both sizes
            }
            audit.tokens += length;
            control.advance(1, length * self.dtype.size());
            // A document without a sequence, or the one that ends before this sequence.
            while next == Some(sequence) && document + 1 < audit.documents {
                document += 1;
                next = self.next_boundary(&mut boundaries, document + 1, sequence)?;
            }
            if reads_tokens {
                #[allow(clippy::cast_possible_truncation)] // 2^31 elements of 8 bytes at most
                raw.resize((length * self.dtype.size()) as usize, 0);
                bin.read_exact(&mut raw).map_err(|source| Error::io(&self.bin_path, source))?;
                let elements = self.dtype.decode(&raw);
                self.check_range(&elements, document, vocab_size)?;
                if let Some(eod) = eod {
                    let is_last = next == Some(sequence + 1);
                    let found = elements.iter().filter(|&&element| element == eod).count() as u64;
                    let closes = is_last && elements.last() == Some(&eod);
                    eods_before_last += found - u64::from(closes);
                    if is_last {
                        audit.misplaced_eod += u64::from(!closes || eods_before_last > 0);
                        eods_before_last = 0;
                    }
                }
            }
        }
        if end != self.bin_bytes {
            return Err(Error::corrupt(
                &self.bin_path,
                format!("expected {end} bytes by the index, found {}", self.bin_bytes),
            ));
        }
        while document + 1 < audit.documents {
            document += 1;
            next = self.next_boundary(&mut boundaries, document + 1, self.sequences)?;
        }
        if audit.documents > 0 && next != Some(self.sequences) {
            return Err(self.bad_boundary(audit.documents));
        }
        Ok(audit)
    }

    fn check_range(&self, elements: &[i64], document: u64, vocab_size: Option<u64>) -> Result<()> {
        let Some(size) = vocab_size else { return Ok(()) };
        match elements.iter().find(|&&id| u64::try_from(id).is_ok_and(|id| id >= size) || id < 0) {
            None => Ok(()),
            Some(id) => Err(Error::corrupt(
                &self.bin_path,
                format!(
                    "token {id} of document {document} is not below the vocabulary size {size}"
                ),
            )),
        }
    }

    fn next_boundary(
        &self,
        boundaries: &mut BufReader<File>,
        number: u64,
        at_least: u64,
    ) -> Result<Option<u64>> {
        if number >= self.boundaries {
            return Ok(None);
        }
        let boundary = u64::from_le_bytes(self.take::<8>(boundaries)?);
        if boundary < at_least || boundary > self.sequences {
            return Err(self.bad_boundary(number));
        }
        Ok(Some(boundary))
    }

    fn bad_boundary(&self, number: u64) -> Error {
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

    fn take<const N: usize>(&self, stream: &mut BufReader<File>) -> Result<[u8; N]> {
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

fn open_again(path: &Path) -> Result<File> {
    File::open(path).map_err(|source| Error::io(path, source))
}

/// Appends to the last part of a path: prefixes may hold dots.
pub(crate) fn with_suffix(prefix: &Path, suffix: &str) -> PathBuf {
    let mut name = prefix.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}
