//! Joins datasets; the bytes of `.bin` are moved by the kernel, not through this process.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::reader::{Reader, with_suffix};
use super::writer::{Written, write_index};
use crate::control::Control;
use crate::output::{FileSummary, sync_directory, temporary_name, unnamed_file};
use crate::{Error, Result};

/// Removes the file it names, unless that was renamed away.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Joins the datasets at `prefixes` into one at `output`, one sequence a document.
///
/// # Errors
/// `Argument` when a dataset has another element type, or documents of several sequences;
/// otherwise as reading and writing do.
pub fn merge(prefixes: &[PathBuf], output: &Path, control: &Control) -> Result<Written> {
    let (bin_path, idx_path) = (with_suffix(output, ".bin"), with_suffix(output, ".idx"));
    let Some(first) = prefixes.first() else {
        return Err(Error::Argument("expected datasets to merge, got none".into()));
    };
    let dtype = Reader::open(first)?.dtype();
    // One is open at a time: there may be more of them than a process may have files.
    for prefix in prefixes {
        let reader = Reader::open(prefix)?;
        if reader.dtype() != dtype || reader.documents() != reader.sequences() {
            return Err(Error::Argument(format!(
                "{}: expected {} elements and one sequence a document, found {} elements, {} \
                 sequences in {} documents; merge only shards of one run",
                prefix.display(),
                dtype.name(),
                reader.dtype().name(),
                reader.sequences(),
                reader.documents()
            )));
        }
    }
    let bin_name = Temporary(temporary_name(&bin_path));
    let mut bin = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&bin_name.0)
        .map_err(|source| Error::io(&bin_path, source))?;
    let mut lengths = unnamed_file(&idx_path)?;
    let (mut documents, mut tokens) = (0, 0);
    for prefix in prefixes {
        control.check()?;
        let reader = Reader::open(prefix)?;
        tokens += reader.audit(None, None, control)?.tokens;
        documents += reader.documents();
        copy(&with_suffix(prefix, ".bin"), 0, None, &mut bin, &bin_path)?;
        let from = super::HEADER_BYTES;
        copy(
            &with_suffix(prefix, ".idx"),
            from,
            Some(4 * reader.sequences()),
            &mut lengths,
            &idx_path,
        )?;
    }
    let failed = |source| Error::io(&bin_path, source);
    bin.flush().and_then(|()| bin.sync_all()).map_err(failed)?;
    let summary = hash(&bin_name.0)?;
    std::fs::rename(&bin_name.0, &bin_path).map_err(failed)?;
    sync_directory(&bin_path).map_err(failed)?;
    let idx = write_index(&idx_path, dtype, lengths, documents)?;
    Ok(Written { documents, tokens, bin: summary, idx })
}

/// Appends a part of a file to another through `copy_file_range` where the file systems have it.
fn copy(from: &Path, start: u64, length: Option<u64>, to: &mut File, to_path: &Path) -> Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    let mut source = File::open(from).map_err(|error| Error::io(from, error))?;
    source.seek(SeekFrom::Start(start)).map_err(|error| Error::io(from, error))?;
    let copied = match length {
        // `io::copy` between files, and from a limited one, asks the kernel to move the bytes.
        None => std::io::copy(&mut source, to),
        Some(length) => std::io::copy(&mut source.take(length), to),
    };
    copied.map(|_| ()).map_err(|error| Error::io(to_path, error))
}

fn hash(path: &Path) -> Result<FileSummary> {
    use std::io::Read;
    let mut file = File::open(path).map_err(|error| Error::io(path, error))?;
    let (mut digest, mut bytes, mut buffer) = (Xxh3::new(), 0, vec![0; 1 << 20]);
    loop {
        let count = file.read(&mut buffer).map_err(|error| Error::io(path, error))?;
        if count == 0 {
            return Ok(FileSummary { bytes, xxh3: format!("{:016x}", digest.digest()) });
        }
        digest.update(&buffer[..count]);
        bytes += count as u64;
    }
}
