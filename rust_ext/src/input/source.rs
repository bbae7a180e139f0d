//! A file as a stream of decompressed bytes, its stored bytes hashed on the way.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::gzip::Members;
use crate::{Error, Result};

/// A file of records.
#[derive(Clone, Debug)]
pub struct InputFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its name in the ids of records that have none.
    pub relative: String,
}

impl From<(PathBuf, String)> for InputFile {
    fn from((path, relative): (PathBuf, String)) -> Self {
        Self { path, relative }
    }
}

/// How the bytes of a file are stored; its last extension says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    Plain,
    /// gzip, any number of members, zeros between them or behind.
    Gzip,
    /// Zstandard, any number of frames.
    Zstd,
}

impl Compression {
    /// Returns what the name of a file promises.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// What is known of a file once it was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSummary {
    /// Stored size.
    pub bytes: u64,
    /// xxh3 (64 bits) of the stored bytes, 16 hexadecimal digits.
    pub xxh3: String,
}

/// What came of reading a block.
#[derive(Debug, Default)]
pub(crate) struct Filled {
    /// Bytes read.
    pub(crate) count: usize,
    /// Whether the file ends here.
    pub(crate) is_ended: bool,
    /// Why it ends here, if it breaks off or is damaged.
    pub(crate) damage: Option<String>,
}

/// Passes a file's stored bytes on, counting and hashing them.
struct Stored {
    file: File,
    bytes: u64,
    hash: Xxh3,
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes += count as u64;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

enum Decoder {
    Plain(Box<Stored>),
    Gzip(Box<Members<Stored>>),
    Zstd(Box<zstd::Decoder<'static, BufReader<Stored>>>),
}

/// A file open for reading, decompressed.
pub struct Source {
    path: PathBuf,
    decoder: Decoder,
}

/// The largest window of a zstd frame that is accepted: what `zstd --long=31` writes.
const WINDOW_LOG_MAX: u32 = 31;

impl Source {
    /// Opens a file by what its extension says of it.
    ///
    /// # Errors
    /// `Io` when the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let named = |source| Error::io(path, source);
        let file = File::open(path).map_err(named)?;
        let stored = Stored { file, bytes: 0, hash: Xxh3::new() };
        let decoder = match Compression::of(path) {
            Compression::Plain => Decoder::Plain(Box::new(stored)),
            Compression::Gzip => Decoder::Gzip(Box::new(Members::new(stored))),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::new(stored).map_err(named)?;
                decoder.window_log_max(WINDOW_LOG_MAX).map_err(named)?;
                Decoder::Zstd(Box::new(decoder))
            }
        };
        Ok(Self { path: path.to_path_buf(), decoder })
    }

    /// Returns the path that was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the number of stored bytes read so far.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        match &self.decoder {
            Decoder::Plain(stored) => stored.bytes,
            Decoder::Gzip(members) => members.get_ref().bytes,
            Decoder::Zstd(decoder) => decoder.get_ref().get_ref().bytes,
        }
    }

    /// Fills `block`, or what of it there is to the end of the file.
    ///
    /// # Errors
    /// `Io` when the system fails to read the file.
    pub(crate) fn fill(&mut self, block: &mut [u8]) -> Result<Filled> {
        let mut filled = Filled::default();
        while filled.count < block.len() && !filled.is_ended {
            match self.read(&mut block[filled.count..]) {
                Ok(0) => filled.is_ended = true,
                Ok(count) => filled.count += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error().is_some() => {
                    return Err(Error::io(&self.path, error));
                }
                Err(error) => {
                    filled.damage = Some(format!(
                        "expected a whole compressed file, it breaks off or is damaged near \
                         stored byte {} ({error})",
                        self.stored_bytes()
                    ));
                    filled.is_ended = true;
                }
            }
        }
        Ok(filled)
    }

    /// Reads what is left of the stored bytes and returns their size and hash.
    ///
    /// # Errors
    /// `Io` when the file cannot be read to its end.
    pub fn finish(self) -> Result<SourceSummary> {
        let Self { path, decoder } = self;
        let mut stored = match decoder {
            Decoder::Plain(stored) => *stored,
            Decoder::Gzip(members) => members.into_inner(),
            Decoder::Zstd(decoder) => decoder.finish().into_inner(),
        };
        let mut rest = vec![0; 1 << 16];
        loop {
            match stored.read(&mut rest) {
                Ok(0) => break,
                Ok(_) => {}
                Err(source) => return Err(Error::io(path, source)),
            }
        }
        Ok(SourceSummary { bytes: stored.bytes, xxh3: format!("{:016x}", stored.hash.digest()) })
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.decoder {
            Decoder::Plain(stored) => stored.read(buffer),
            Decoder::Gzip(decoder) => decoder.read(buffer),
            Decoder::Zstd(decoder) => decoder.read(buffer),
        }
    }
}
