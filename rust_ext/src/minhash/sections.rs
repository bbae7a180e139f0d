//! The files in which the steps meet: named by kind, bound to one run, checked when read.
//!
//! | offset | bytes | is |
//! |---|---|---|
//! | 0 | 8 | the kind, in ASCII |
//! | 8 | 4 | version of the layout, 2 |
//! | 12 | 4 | zero |
//! | 16 | 8 | fingerprint of the run: its options and inputs |
//! | 24 | | sections, back to back |
//! | end - 32 - 24 n | 24 n | the listed sections: of each its offset, length and xxh3 |
//! | end - 32 | 8 | records |
//! | end - 24 | 8 | n, the number of listed sections |
//! | end - 16 | 8 | xxh3 of the first 24 bytes, the list, the records and n |
//! | end - 8 | 8 | the kind again |
//!
//! Numbers are little-endian. The list stands last, so that a section can be written before its
//! length is known. Sections that are not listed are named by others, as a [`Section`] each:
//! whatever points to bytes also has their hash, so that each can be read without the rest, and
//! none is read unchecked.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::open_files::OpenFiles;
use crate::output::AtomicFile;
use crate::{Error, Result};

const VERSION: u32 = 2;
const HEAD_BYTES: usize = 24;
const TAIL_BYTES: usize = 32;

/// What a file of sections is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Signatures of a unit.
    Signatures,
    /// Buckets of a band.
    Buckets,
    /// What became of the records that are in a cluster.
    Verdicts,
    /// Keys of the pieces of a unit's texts.
    Pieces,
    /// What is cut out of texts.
    Cuts,
}

impl Kind {
    fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Signatures => b"HF-SIGNS",
            Self::Buckets => b"HF-BUCKS",
            Self::Verdicts => b"HF-VERDS",
            Self::Pieces => b"HF-PIECE",
            Self::Cuts => b"HF-CUTS ",
        }
    }
}

/// Where bytes lie in a file, and their hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// First byte.
    pub offset: u64,
    /// How many.
    pub length: u64,
    /// xxh3 (64 bits).
    pub hash: u64,
}

impl Section {
    /// Bytes that it takes in a file.
    pub const BYTES: usize = 24;

    /// Appends its bytes.
    pub fn encode(&self, to: &mut Vec<u8>) {
        for word in [self.offset, self.length, self.hash] {
            to.extend_from_slice(&word.to_le_bytes());
        }
    }

    /// Returns what was encoded; `bytes` holds it at its beginning.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        Self { offset: number(bytes, 0), length: number(bytes, 8), hash: number(bytes, 16) }
    }
}

/// Writes a file of sections.
pub struct Writer {
    file: AtomicFile,
    kind: Kind,
    head: Vec<u8>,
    listed: Vec<u8>,
}

impl Writer {
    /// Begins the file that [`Writer::finish`] will put at `path`.
    ///
    /// # Errors
    /// `Io` when it cannot be created.
    pub fn create(path: &Path, kind: Kind, fingerprint: u64) -> Result<Self> {
        // Each section has a hash of its own.
        let mut file = AtomicFile::create(path)?.without_hash();
        let mut head = kind.magic().to_vec();
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&[0; 4]);
        head.extend_from_slice(&fingerprint.to_le_bytes());
        file.append(&head)?;
        Ok(Self { file, kind, head, listed: Vec::new() })
    }

    /// Returns the path that the file will have.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Appends bytes that another section is to name.
    ///
    /// # Errors
    /// `Io` when the disk is full, for example.
    pub fn append(&mut self, bytes: &[u8]) -> Result<Section> {
        let (offset, length) = (self.file.bytes(), bytes.len() as u64);
        self.file.append(bytes)?;
        Ok(Section { offset, length, hash: xxh3_64(bytes) })
    }

    /// Appends bytes whose hashes another section holds, piece by piece; returns their offset.
    ///
    /// # Errors
    /// `Io` when the disk is full, for example.
    pub(super) fn append_hashed(&mut self, bytes: &[u8]) -> Result<u64> {
        let offset = self.file.bytes();
        self.file.append(bytes).map(|()| offset)
    }

    /// Appends a section that is listed.
    ///
    /// # Errors
    /// `Io` when the disk is full, for example.
    pub fn section(&mut self, bytes: &[u8]) -> Result<()> {
        self.append(bytes)?.encode(&mut self.listed);
        Ok(())
    }

    /// Ends the file, which tells of `records` records.
    ///
    /// # Errors
    /// `Io` from writing, syncing or renaming.
    pub fn finish(mut self, records: u64) -> Result<()> {
        let listed = (self.listed.len() / Section::BYTES) as u64;
        let mut tail = std::mem::take(&mut self.listed);
        tail.extend_from_slice(&records.to_le_bytes());
        tail.extend_from_slice(&listed.to_le_bytes());
        tail.extend_from_slice(&check(&self.head, &tail).to_le_bytes());
        tail.extend_from_slice(self.kind.magic());
        self.file.append(&tail)?;
        self.file.finish().map(|_| ())
    }
}

fn check(head: &[u8], table: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(head);
    hash.update(table);
    hash.digest()
}

/// Reads a file of sections, by any number of threads at once.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    records: u64,
    listed: Vec<Section>,
    files: Arc<OpenFiles>,
}

impl Reader {
    /// Opens a file and checks that it is whole, of this kind and of this run.
    ///
    /// # Errors
    /// `Io` when it cannot be read, `Corrupt` when it is not what was expected.
    pub fn open(path: &Path, kind: Kind, fingerprint: u64) -> Result<Self> {
        Self::open_among(&Arc::default(), path, kind, fingerprint)
    }

    /// Does so, and reads through `files`, which many readers share.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open_among(
        files: &Arc<OpenFiles>,
        path: &Path,
        kind: Kind,
        fingerprint: u64,
    ) -> Result<Self> {
        let named = |source| Error::io(path, source);
        let corrupt = |message: String| Err(Error::corrupt(path, message));
        let mut file = File::open(path).map_err(named)?;
        let size = file.metadata().map_err(named)?.len();
        if size < (HEAD_BYTES + TAIL_BYTES) as u64 {
            return corrupt(format!("expected at least 56 bytes, found {size}; make it again"));
        }
        let mut head = [0; HEAD_BYTES];
        file.read_exact(&mut head).map_err(named)?;
        let expected = String::from_utf8_lossy(kind.magic());
        if head[..8] != *kind.magic() {
            return corrupt(format!("expected a file that begins with {expected}"));
        }
        let version = u64::from_le_bytes([head[8], head[9], head[10], head[11], 0, 0, 0, 0]);
        if version != u64::from(VERSION) {
            return corrupt(format!("expected version {VERSION}, found {version}; make it again"));
        }
        let mut tail = [0; TAIL_BYTES];
        file.seek(SeekFrom::Start(size - TAIL_BYTES as u64)).map_err(named)?;
        file.read_exact(&mut tail).map_err(named)?;
        let (records, count) = (number(&tail, 0), number(&tail, 8));
        let table_bytes = count.saturating_mul(Section::BYTES as u64);
        let is_truncated =
            tail[24..] != *kind.magic() || table_bytes > size - (HEAD_BYTES + TAIL_BYTES) as u64;
        if is_truncated {
            return corrupt(format!(
                "expected it to end in {expected}, it breaks off; make it again"
            ));
        }
        let start = size - TAIL_BYTES as u64 - table_bytes;
        file.seek(SeekFrom::Start(start)).map_err(named)?;
        let mut table = vec![0; usize::try_from(table_bytes).unwrap_or(usize::MAX)];
        file.read_exact(&mut table).map_err(named)?;
        table.extend_from_slice(&tail[..16]);
        if check(&head, &table) != number(&tail, 16) {
            return corrupt(
                "its table of sections does not fit its checksum; make it again".into(),
            );
        }
        if number(&head, 16) != fingerprint {
            return corrupt(
                "it was made with other options or inputs; remove it, or use another directory"
                    .into(),
            );
        }
        let (listed, _) = table.split_at(table.len() - 16);
        let listed = listed.chunks_exact(Section::BYTES).map(Section::decode).collect();
        Ok(Self { path: path.to_path_buf(), records, listed, files: Arc::clone(files) })
    }

    /// Returns the number of records that the file tells of.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Returns a section of the list.
    ///
    /// # Errors
    /// `Corrupt` when there are fewer.
    pub fn listed(&self, index: usize) -> Result<Section> {
        self.listed.get(index).copied().ok_or_else(|| {
            let found = self.listed.len();
            self.corrupt(&format!("expected more than {index} sections, found {found}"))
        })
    }

    /// Reads a section of the list.
    ///
    /// # Errors
    /// As [`Reader::listed`] and [`Reader::read`].
    pub fn section(&self, index: usize) -> Result<Vec<u8>> {
        self.read(self.listed(index)?)
    }

    /// Reads a section whole and checks its hash.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged, `Io` when it cannot be read.
    pub fn read(&self, section: Section) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_into(section, &mut bytes)?;
        Ok(bytes)
    }

    /// Does so into a buffer, whatever that held.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_into(&self, section: Section, bytes: &mut Vec<u8>) -> Result<()> {
        self.read_hashed(section.offset, section.length, bytes)?;
        self.expect_hash(bytes, section.hash, section.offset)
    }

    /// Reads bytes whose hashes are elsewhere; they are to be held against them.
    pub(super) fn read_hashed(&self, offset: u64, length: u64, bytes: &mut Vec<u8>) -> Result<()> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if bytes.len() < length {
            // Only what it grows by is cleared, and that once.
            bytes.resize(length, 0);
        }
        bytes.truncate(length);
        self.files.read_exact_at(&self.path, bytes, offset)
    }

    pub(super) fn expect_hash(&self, bytes: &[u8], hash: u64, offset: u64) -> Result<()> {
        if xxh3_64(bytes) == hash {
            return Ok(());
        }
        let end = offset + bytes.len() as u64;
        Err(self.corrupt(&format!(
            "its bytes from {offset} to {end} do not fit their checksum; make the file again"
        )))
    }

    /// Returns an error that names this file.
    pub(crate) fn corrupt(&self, message: &str) -> Error {
        Error::corrupt(&self.path, message)
    }
}

/// Returns the little-endian number at `offset`.
pub(crate) fn number(bytes: &[u8], offset: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests;
