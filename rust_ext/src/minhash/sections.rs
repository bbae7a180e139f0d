//! The files in which the steps meet: named by kind, bound to one run, checked when read.
//!
//! | offset | bytes | is |
//! |---|---|---|
//! | 0 | 8 | the kind, in ASCII |
//! | 8 | 4 | version of the layout, 1 |
//! | 12 | 4 | zero |
//! | 16 | 8 | fingerprint of the run: its options and inputs |
//! | 24 | | the sections, back to back |
//! | end - 32 - 16 n | 16 n | of each section its length and its xxh3 |
//! | end - 32 | 8 | records |
//! | end - 24 | 8 | n, the number of sections |
//! | end - 16 | 8 | xxh3 of the first 24 bytes, the table, the records and n |
//! | end - 8 | 8 | the kind again |
//!
//! Numbers are little-endian. The table stands last, so that a section can be written before its
//! length is known; each section has a hash of its own, so that one can be read without the rest.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::output::AtomicFile;
use crate::{Error, Result};

const VERSION: u32 = 1;
const HEAD_BYTES: usize = 24;
const TAIL_BYTES: usize = 32;
const TABLE_ENTRY_BYTES: usize = 16;

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

/// Writes a file of sections.
pub struct Writer {
    file: AtomicFile,
    kind: Kind,
    head: Vec<u8>,
    table: Vec<u8>,
}

impl Writer {
    /// Begins the file that [`Writer::finish`] will put at `path`.
    ///
    /// # Errors
    /// `Io` when it cannot be created.
    pub fn create(path: &Path, kind: Kind, fingerprint: u64) -> Result<Self> {
        let mut file = AtomicFile::create(path)?;
        let mut head = kind.magic().to_vec();
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&[0; 4]);
        head.extend_from_slice(&fingerprint.to_le_bytes());
        file.append(&head)?;
        Ok(Self { file, kind, head, table: Vec::new() })
    }

    /// Appends a section.
    ///
    /// # Errors
    /// `Io` when the disk is full, for example.
    pub fn section(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.append(bytes)?;
        self.table.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.table.extend_from_slice(&xxh3_64(bytes).to_le_bytes());
        Ok(())
    }

    /// Ends the file, which tells of `records` records.
    ///
    /// # Errors
    /// `Io` from writing, syncing or renaming.
    pub fn finish(mut self, records: u64) -> Result<()> {
        let sections = (self.table.len() / TABLE_ENTRY_BYTES) as u64;
        let mut tail = std::mem::take(&mut self.table);
        tail.extend_from_slice(&records.to_le_bytes());
        tail.extend_from_slice(&sections.to_le_bytes());
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

/// Reads a file of sections. It is open only while something is read: a corpus has more units than
/// a process may have files.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    records: u64,
    /// Offset, length and hash of each section.
    sections: Vec<(u64, u64, u64)>,
}

impl Reader {
    /// Opens a file and checks that it is whole, of this kind and of this run.
    ///
    /// # Errors
    /// `Io` when it cannot be read, `Corrupt` when it is not what was expected.
    pub fn open(path: &Path, kind: Kind, fingerprint: u64) -> Result<Self> {
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
        let table_bytes = count.saturating_mul(TABLE_ENTRY_BYTES as u64);
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
        let mut sections = Vec::new();
        let mut offset = HEAD_BYTES as u64;
        for entry in table[..table.len() - 16].chunks_exact(TABLE_ENTRY_BYTES) {
            sections.push((offset, number(entry, 0), number(entry, 8)));
            offset = offset.saturating_add(number(entry, 0));
        }
        if offset != start {
            return corrupt(format!("expected sections of {start} bytes, found {offset}"));
        }
        Ok(Self { path: path.to_path_buf(), records, sections })
    }

    /// Returns the number of records that the file tells of.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Reads a section whole and checks its hash.
    ///
    /// # Errors
    /// `Corrupt` when it is missing or damaged, `Io` when it cannot be read.
    pub fn section(&mut self, index: usize) -> Result<Vec<u8>> {
        let Some(&(offset, length, hash)) = self.sections.get(index) else {
            let message =
                format!("expected more than {index} sections, found {}", self.sections.len());
            return Err(Error::corrupt(&self.path, message));
        };
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        File::open(&self.path)
            .and_then(|file| file.read_exact_at(&mut bytes, offset))
            .map_err(|source| Error::io(&self.path, source))?;
        if xxh3_64(&bytes) != hash {
            let message = format!("section {index} does not fit its checksum; make the file again");
            return Err(Error::corrupt(&self.path, message));
        }
        Ok(bytes)
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
mod tests {
    use super::*;

    fn write(path: &Path) {
        let mut writer = Writer::create(path, Kind::Buckets, 77).unwrap();
        for section in [&b"first"[..], b"", b"the third"] {
            writer.section(section).unwrap();
        }
        writer.finish(1234).unwrap();
    }

    #[test]
    fn what_was_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        write(&path);
        let mut reader = Reader::open(&path, Kind::Buckets, 77).unwrap();
        assert_eq!(reader.records(), 1234);
        assert_eq!(reader.section(2).unwrap(), b"the third");
        assert_eq!(reader.section(0).unwrap(), b"first");
        assert_eq!(reader.section(1).unwrap(), b"");
        assert!(reader.section(3).unwrap_err().to_string().contains("found 3"));
    }

    #[test]
    fn other_kinds_and_runs_are_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("00007.sign");
        write(&path);
        let error = Reader::open(&path, Kind::Verdicts, 77).unwrap_err().to_string();
        assert!(error.contains("00007.sign: expected a file that begins with HF-VERDS"), "{error}");
        let error = Reader::open(&path, Kind::Buckets, 78).unwrap_err().to_string();
        assert!(error.contains("00007.sign: it was made with other options or inputs"), "{error}");
    }

    #[test]
    fn no_cut_and_no_flipped_bit_goes_unseen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        write(&path);
        let whole = std::fs::read(&path).unwrap();
        let read_all = || -> Result<()> {
            let mut reader = Reader::open(&path, Kind::Buckets, 77)?;
            (0..3).try_for_each(|index| reader.section(index).map(|_| ()))
        };
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(read_all().is_err(), "cut to {length}");
        }
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, damaged).unwrap();
            assert!(read_all().is_err(), "bit {bit}");
        }
    }
}
