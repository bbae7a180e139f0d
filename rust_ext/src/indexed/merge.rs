//! Joins datasets: the kernel moves the bytes, one reading of the copy proves and hashes them.
//!
//! The hash of a whole cannot be had from the hashes of its parts, so that the copy has to be read
//! once. That reading is the verification: it checks the copy of each part against the part's own
//! hash and rules and hashes the whole, while the next part is being copied, so that what it reads
//! is still in the page cache. The index follows from the lengths, which the kernel moves too.

use std::fs::File;
use std::io::{Read, sink};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::audit::Rules;
use super::kernel_copy::{KernelCopy, read_range};
use super::reader::{Reader, with_suffix};
use super::writer::write_index;
use crate::control::Control;
use crate::indexed::Dtype;
use crate::output::{FileSummary, Hashing, unnamed_file};
use crate::{Error, Result};

/// What Megatron counts documents with: `document_index` of its `GPTDataset` is int32.
const MAX_DOCUMENTS: u64 = i32::MAX as u64;

/// Bytes of an index that are read before an interrupt is looked for.
const INDEX_BLOCK_BYTES: u64 = 1 << 26;

/// A dataset to join, and what its sidecar promises of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The path without `.bin`.
    pub prefix: PathBuf,
    /// xxh3 of `.bin`.
    pub bin_xxh3: String,
    /// xxh3 of `.idx`.
    pub idx_xxh3: String,
    /// xxh3 of `.ids.zst`; a mask has none, then no other part has.
    pub ids_xxh3: Option<String>,
}

/// What was joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Documents, one sequence each.
    pub documents: u64,
    /// Elements in all.
    pub tokens: u64,
    /// Size and hash of `.bin`.
    pub bin: FileSummary,
    /// Size and hash of `.idx`.
    pub idx: FileSummary,
    /// Size and hash of `.ids.zst`, if the parts have one.
    pub ids: Option<FileSummary>,
    /// How the bytes were moved.
    pub moved_by: &'static str,
}

/// Joins the datasets into `.bin`, `.idx` and, if they have ids, `.ids.zst` at `output`, one sequence
/// a document.
///
/// The files appear as they are written: `output` is a private prefix, to be renamed when this is
/// done. After an error nothing is left there.
///
/// # Errors
/// `Argument` when a part has another element type, documents of several sequences, or there are
/// too many documents; `Corrupt` when a part or its copy is not what its sidecar promises;
/// otherwise as reading and writing do.
pub fn merge(parts: &[Part], output: &Path, rules: Rules, control: &Control) -> Result<Merged> {
    let (dtype, documents) = plan(parts)?;
    let bin = Target::create(with_suffix(output, ".bin"))?;
    let idx = Target::claim(with_suffix(output, ".idx"));
    let lengths = unnamed_file(&idx.path)?;
    let mut tokens = 0;
    let (bin_summary, moved_by) = bin.join(
        parts.iter().map(|part| (with_suffix(&part.prefix, ".bin"), part.bin_xxh3.as_str())),
        |number, copy| {
            tokens += check_elements(&parts[number], copy, rules, &lengths, control)?;
            Ok(())
        },
        control,
    )?;
    let ids = join_ids(parts, output, control)?;
    let index = write_index(&idx.path, dtype, lengths, documents)?;
    let (ids, ids_summary) = ids.unzip();
    for target in [Some(bin), ids, Some(idx)].into_iter().flatten() {
        target.keep();
    }
    Ok(Merged { documents, tokens, bin: bin_summary, idx: index, ids: ids_summary, moved_by })
}

/// Joins the ids, if the parts have any.
fn join_ids(
    parts: &[Part],
    output: &Path,
    control: &Control,
) -> Result<Option<(Target, FileSummary)>> {
    let given = |part: &Part| part.ids_xxh3.is_some();
    if !parts.iter().any(given) {
        return Ok(None);
    }
    if let Some(part) = parts.iter().find(|part| !given(part)) {
        let prefix = part.prefix.display();
        return Err(Error::Argument(format!("{prefix}: expected ids as beside the other parts")));
    }
    let target = Target::create(with_suffix(output, ".ids.zst"))?;
    let files = parts.iter().filter_map(|part| {
        Some((with_suffix(&part.prefix, ".ids.zst"), part.ids_xxh3.as_deref()?))
    });
    let pass = |number: usize, copy: &mut dyn Read| {
        let failed = |source| Error::io(&parts[number].prefix, source);
        std::io::copy(copy, &mut sink()).map(|_| ()).map_err(failed)
    };
    let (summary, _) = target.join(files, pass, control)?;
    Ok(Some((target, summary)))
}

/// Refuses what cannot be joined, before a byte is written; returns element type and documents.
fn plan(parts: &[Part]) -> Result<(Dtype, u64)> {
    let Some(first) = parts.first() else {
        return Err(Error::Argument("expected datasets to merge, got none".into()));
    };
    let dtype = Reader::open(&first.prefix)?.dtype();
    let mut documents = 0_u64;
    // One is open at a time: there may be more of them than a process may have files.
    for part in parts {
        let reader = Reader::open(&part.prefix)?;
        if reader.dtype() != dtype || reader.documents() != reader.sequences() {
            return Err(Error::Argument(format!(
                "{}: expected {} elements and one sequence a document, found {} elements, {} \
                 sequences in {} documents; merge only shards of one run",
                part.prefix.display(),
                dtype.name(),
                reader.dtype().name(),
                reader.sequences(),
                reader.documents()
            )));
        }
        documents = documents.saturating_add(reader.documents());
    }
    if documents > MAX_DOCUMENTS {
        return Err(Error::Argument(format!(
            "expected at most {MAX_DOCUMENTS} documents in one dataset, which is as far as Megatron \
             counts them, got {documents}; do not merge: a blend takes the shards as they are"
        )));
    }
    Ok((dtype, documents))
}

/// Holds an index against its sidecar: lengths that were moved about still have the same sum.
fn check_index(part: &Part, control: &Control) -> Result<()> {
    let path = with_suffix(&part.prefix, ".idx");
    let failed = |source| Error::io(&path, source);
    let mut index = Hashing::new(File::open(&path).map_err(failed)?);
    while std::io::copy(&mut index.by_ref().take(INDEX_BLOCK_BYTES), &mut sink()).map_err(failed)?
        > 0
    {
        control.check()?;
    }
    let found = index.summary().xxh3;
    if found != part.idx_xxh3 {
        return Err(Error::corrupt(
            &path,
            format!(
                "expected the xxh3 {} of its sidecar, found {found}; run `preprocess verify` on \
                 the directory",
                part.idx_xxh3
            ),
        ));
    }
    Ok(())
}

/// Proves the copy of a part's elements; appends its lengths and returns the number of elements.
fn check_elements(
    part: &Part,
    copy: &mut dyn Read,
    rules: Rules,
    lengths: &File,
    control: &Control,
) -> Result<u64> {
    let reader = Reader::open(&part.prefix)?;
    let audit = reader.audit_elements(Some(copy), rules, control)?;
    if let Some(document) = audit.first_misplaced {
        return Err(Error::corrupt(
            reader.bin_path(),
            format!(
                "expected one end-of-document token, at the end of each document, {} differ, the \
                 first is {document}; make the shards again",
                audit.misplaced_eod
            ),
        ));
    }
    // Last, since what is wrong inside says more.
    check_index(part, control)?;
    let idx_path = with_suffix(&part.prefix, ".idx");
    KernelCopy::new(lengths, &idx_path).append(&idx_path, reader.lengths(), control)?;
    Ok(audit.tokens)
}

/// A file that parts are joined into; removed unless it is kept.
struct Target {
    path: PathBuf,
    is_kept: bool,
}

impl Target {
    fn claim(path: PathBuf) -> Self {
        Self { path, is_kept: false }
    }

    fn create(path: PathBuf) -> Result<Self> {
        match File::options().write(true).create_new(true).open(&path) {
            Ok(_) => Ok(Self::claim(path)),
            Err(source) => Err(Error::io(path, source)),
        }
    }

    fn keep(mut self) {
        self.is_kept = true;
    }

    /// Copies files, each with the hash it must have, and calls `check` with each copy, in order.
    ///
    /// `check` must read all of it. It runs beside the copying of the next file.
    fn join<'a>(
        &self,
        parts: impl Iterator<Item = (PathBuf, &'a str)>,
        check: impl FnMut(usize, &mut dyn Read) -> Result<()> + Send,
        control: &Control,
    ) -> Result<(FileSummary, &'static str)> {
        let failed = |source| Error::io(&self.path, source);
        let file = File::options().write(true).open(&self.path).map_err(failed)?;
        let mut copy = KernelCopy::new(&file, &self.path);
        let (copied, to_check) = crossbeam_channel::bounded::<(PathBuf, Range<u64>, &str)>(1);
        std::thread::scope(|scope| {
            let check_thread = scope.spawn(move || self.check(to_check.into_iter(), check));
            let copying = (|| {
                let mut end = 0;
                for (path, xxh3) in parts {
                    let size = std::fs::metadata(&path).map_err(|e| Error::io(&path, e))?.len();
                    copy.append(&path, 0..size, control)?;
                    if copied.send((path, end..end + size, xxh3)).is_err() {
                        break; // the check failed, and says why
                    }
                    end += size;
                }
                file.sync_all().map_err(failed)
            })();
            drop(copied);
            let checked =
                check_thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            copying?;
            Ok((checked?, copy.method().name()))
        })
    }

    /// Reads the copies back in order; returns size and hash of the whole.
    fn check<'a>(
        &self,
        copies: impl Iterator<Item = (PathBuf, Range<u64>, &'a str)>,
        mut check: impl FnMut(usize, &mut dyn Read) -> Result<()>,
    ) -> Result<FileSummary> {
        let mut whole = Hashing::new(Box::new(std::io::empty()) as Box<dyn Read>);
        for (number, (path, range, xxh3)) in copies.enumerate() {
            whole.read_on(Box::new(read_range(&self.path, &range)?));
            let mut copy = Hashing::new(&mut whole);
            check(number, &mut copy)?;
            let found = copy.summary();
            if found.bytes != range.end - range.start || found.xxh3 != xxh3 {
                return Err(Error::corrupt(
                    path,
                    format!(
                        "expected the xxh3 {xxh3} of its sidecar, found {} in the copy of its {} \
                         bytes; run `preprocess verify` on the directory",
                        found.xxh3, found.bytes
                    ),
                ));
            }
        }
        Ok(whole.summary())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
