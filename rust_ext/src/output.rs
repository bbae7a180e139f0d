//! Files that appear whole or not at all.
//!
//! Every output is written under a private temporary name in its own directory, flushed to disk
//! and renamed: two equal runs at once cannot disturb each other, and a file under its final name
//! is complete. Nothing is locked and nothing is mapped, as shared file systems break both.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::Xxh3;

use crate::{Error, Result};

/// Size and hash of a finished file.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileSummary {
    /// Size.
    pub bytes: u64,
    /// xxh3 (64 bits), 16 hexadecimal digits.
    pub xxh3: String,
}

/// Records of one source and kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Share {
    /// The dataset.
    pub source: String,
    /// The kind.
    pub kind: String,
    /// How many.
    pub records: u64,
    /// Bytes of their text.
    pub text_bytes: u64,
}

/// A file being written under a temporary name.
///
/// Dropping it unfinished removes it.
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    bytes: u64,
    hash: Option<Xxh3>,
}

const BUFFER_BYTES: usize = 1 << 18;

/// Pieces that Linux writes at once (`IOV_MAX`).
const MOST_SLICES: usize = 1024;

impl AtomicFile {
    /// Begins the file that [`AtomicFile::finish`] will put at `path`.
    ///
    /// # Errors
    /// `Io` when the directory is missing or not writable.
    pub fn create(path: &Path) -> Result<Self> {
        let temporary = temporary_name(path);
        let file = OpenOptions::new()
            .write(true)
            .read(true)
            .create_new(true)
            .open(&temporary)
            .map_err(|source| Error::io(path, source))?;
        Ok(Self {
            path: path.to_path_buf(),
            temporary,
            file: Some(file),
            buffer: Vec::with_capacity(BUFFER_BYTES),
            bytes: 0,
            hash: Some(Xxh3::new()),
        })
    }

    /// Leaves out the hash of what is written from here on; its summary will have an empty one.
    ///
    /// For files whose readers check parts of them by hashes of their own.
    #[must_use]
    pub fn without_hash(mut self) -> Self {
        self.hash = None;
        self
    }

    /// Returns the path that the file will have.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the number of bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// `Io` when the disk is full, for example.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|source| Error::io(&self.path, source))
    }

    /// Appends pieces one after another; they are written from where they lie.
    ///
    /// # Errors
    /// `Io` when the disk is full, for example.
    pub fn append_all<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) -> Result<()> {
        self.write_pieces(pieces).map_err(|source| Error::io(&self.path, source))
    }

    fn write_pieces<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) -> std::io::Result<()> {
        self.flush()?;
        let mut slices = Vec::new();
        for piece in pieces {
            self.count(piece);
            slices.push(IoSlice::new(piece));
        }
        let Some(file) = self.file.as_mut() else { return Ok(()) };
        let mut left = &mut slices[..];
        // Empty slices would look like a disk that takes nothing.
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let most = left.len().min(MOST_SLICES);
            match file.write_vectored(&left[..most]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => IoSlice::advance_slices(&mut left, count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Flushes to disk, gives the file its final name and returns its size and hash.
    ///
    /// # Errors
    /// `Io` from writing, syncing or renaming.
    pub fn finish(mut self) -> Result<FileSummary> {
        self.finish_inner().map_err(|source| Error::io(&self.path, source))
    }

    fn finish_inner(&mut self) -> std::io::Result<FileSummary> {
        self.flush()?;
        if let Some(file) = self.file.take() {
            file.sync_all()?;
        }
        fs::rename(&self.temporary, &self.path)?;
        sync_directory(&self.path)?;
        let hash = self.hash.take().map(|hash| format!("{:016x}", hash.digest()));
        Ok(FileSummary { bytes: self.bytes, xxh3: hash.unwrap_or_default() })
    }

    fn count(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        // Hashed and copied while they are in the processor's nearer caches.
        for bytes in bytes.chunks(BUFFER_BYTES) {
            self.count(bytes);
            if bytes.len() < BUFFER_BYTES {
                self.buffer.extend_from_slice(bytes);
            } else if let Some(file) = self.file.as_mut() {
                file.write_all(bytes)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if let Some(file) = self.file.as_mut() {
            file.write_all(&self.buffer)?;
        }
        self.buffer.clear();
        Ok(())
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Nothing to do if this fails: the name is private, the next run does not look at it.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Makes a rename in the directory of `path` survive a power loss.
pub(crate) fn sync_directory(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// Names the directory for files without a name, where a run's own lies on a disk that is shared.
const SCRATCH: &str = "HEPHAESTUS_FORGE_SCRATCH";

/// Returns a file without a name for what must not fill memory: beside `path`, or in the directory
/// that the environment names as scratch.
///
/// It stays usable while it is open and vanishes with the process, however that ends.
pub(crate) fn unnamed_file(path: &Path) -> Result<File> {
    let scratch = std::env::var_os(SCRATCH).filter(|directory| !directory.is_empty());
    let beside = match (&scratch, path.file_name()) {
        (Some(directory), Some(name)) => Path::new(directory).join(name),
        _ => path.to_path_buf(),
    };
    let temporary = temporary_name(&beside);
    let named = |source| Error::io(&beside, source);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&temporary)
        .map_err(named)?;
    fs::remove_file(&temporary).map_err(named)?;
    Ok(file)
}

/// Returns a name beside `path` that no other process or thread uses.
pub(crate) fn temporary_name(path: &Path) -> PathBuf {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let clock = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}-{clock:x}-{serial}.tmp", std::process::id()))
}

/// Passes bytes on, counting and hashing them.
pub(crate) struct Hashing<R> {
    inner: R,
    bytes: u64,
    hash: Xxh3,
}

impl<R: Read> Hashing<R> {
    /// Begins with nothing.
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, bytes: 0, hash: Xxh3::new() }
    }

    /// Goes on with other bytes.
    pub(crate) fn read_on(&mut self, inner: R) {
        self.inner = inner;
    }

    /// Returns what has passed so far.
    pub(crate) fn summary(&self) -> FileSummary {
        FileSummary { bytes: self.bytes, xxh3: format!("{:016x}", self.hash.digest()) }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes += count as u64;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

/// A `.jsonl.zst` (or any zstd) file being written.
pub struct ZstdFile {
    encoder: zstd::Encoder<'static, AtomicFile>,
    path: PathBuf,
}

/// Level 3 is zstd's own default: the best ratio for the time on text.
const ZSTD_LEVEL: i32 = 3;

impl ZstdFile {
    /// Begins a zstd file at `path`.
    ///
    /// # Errors
    /// `Io` when it cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let file = AtomicFile::create(path)?;
        let encoder =
            zstd::Encoder::new(file, ZSTD_LEVEL).map_err(|source| Error::io(path, source))?;
        Ok(Self { encoder, path: path.to_path_buf() })
    }

    /// Appends bytes, compressed.
    ///
    /// # Errors
    /// `Io` when the disk is full, for example.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.encoder.write_all(bytes).map_err(|source| Error::io(&self.path, source))
    }

    /// Ends the frame and finishes the file.
    ///
    /// # Errors
    /// `Io` from writing, syncing or renaming.
    pub fn finish(self) -> Result<FileSummary> {
        self.encoder.finish().map_err(|source| Error::io(&self.path, source))?.finish()
    }
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    #[test]
    fn pieces_of_any_number_and_size_are_written_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
        for piece_bytes in [1_000, 4_001, 5_000_000] {
            let mut file = AtomicFile::create(&directory.path().join("a")).unwrap();
            file.append(b"before").unwrap();
            file.append_all(content.chunks(piece_bytes).flat_map(|piece| [piece, &[]])).unwrap();
            file.append_all(std::iter::empty()).unwrap();
            file.append(b"after").unwrap();
            let summary = file.finish().unwrap();
            let expected = [b"before", &content[..], b"after"].concat();
            assert!(std::fs::read(directory.path().join("a")).unwrap() == expected);
            assert_eq!(summary.bytes, expected.len() as u64);
            assert_eq!(summary.xxh3, format!("{:016x}", xxh3_64(&expected)));
        }
    }
}
