//! Bindings of `indexed`: audit, read, merge.

use std::io::Write as _;
use std::path::PathBuf;

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use super::call;
use crate::indexed::{self, Dtype, Part, Reader, Rules};
use crate::input::{Batch, Batches, Source};
use crate::{Error, Result};

const BATCH_BYTES: usize = 1 << 20;

/// What a whole reading of a dataset found, the hash of its `.bin` included.
#[pyfunction]
#[pyo3(signature = (prefix, *, eod_id = None, vocab_size = None, progress = None))]
pub(super) fn audit_dataset(
    py: Python<'_>,
    prefix: PathBuf,
    eod_id: Option<i64>,
    vocab_size: Option<u64>,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    call::run(py, progress.as_ref(), |control| {
        let reader = Reader::open(&prefix)?;
        let audit = reader.audit(eod_id, vocab_size, control)?;
        Ok(serde_json::json!({
            "sequences": audit.sequences,
            "documents": audit.documents,
            "tokens": audit.tokens,
            "empty_documents": audit.empty_documents,
            "misplaced_eod": audit.misplaced_eod,
            "first_misplaced": audit.first_misplaced,
            "dtype": reader.dtype().name(),
            "bin_bytes": reader.bin_bytes(),
            "bin_xxh3": audit.bin_xxh3,
        })
        .to_string())
    })
}

/// The elements of one document.
#[pyfunction]
pub(super) fn read_document(py: Python<'_>, prefix: PathBuf, document: u64) -> PyResult<Vec<i64>> {
    call::run(py, None, |_| Reader::open(&prefix)?.document(document))
}

/// Joins datasets, each given by prefix and the hashes of its `.bin`, `.idx` and, if it has ids,
/// `.ids.zst`.
#[pyfunction]
#[pyo3(signature = (parts, output, *, eod_id, vocab_size, progress = None))]
pub(super) fn merge_datasets(
    py: Python<'_>,
    parts: Vec<(PathBuf, String, String, Option<String>)>,
    output: PathBuf,
    eod_id: Option<i64>,
    vocab_size: u64,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    let parts: Vec<Part> = parts
        .into_iter()
        .map(|(prefix, bin_xxh3, idx_xxh3, ids_xxh3)| Part { prefix, bin_xxh3, idx_xxh3, ids_xxh3 })
        .collect();
    let rules = Rules { eod: eod_id, vocab_size: Some(vocab_size) };
    call::run(py, progress.as_ref(), |control| {
        let merged = indexed::merge(&parts, &output, rules, control)?;
        Ok(serde_json::json!({
            "documents": merged.documents,
            "tokens": merged.tokens,
            "bin": merged.bin,
            "idx": merged.idx,
            "ids": merged.ids,
            "moved_by": merged.moved_by,
        })
        .to_string())
    })
}

/// Writes `PREFIX.idx` for a `.bin` whose documents have these lengths, one sequence each.
#[pyfunction]
#[pyo3(signature = (prefix, lengths, *, vocab_size))]
pub(super) fn rebuild_index(
    py: Python<'_>,
    prefix: PathBuf,
    lengths: PyReadonlyArray1<'_, u32>,
    vocab_size: u64,
) -> PyResult<()> {
    let lengths = lengths.as_slice()?.to_vec();
    call::run(py, None, |_| rebuild(&prefix, &lengths, vocab_size))
}

fn rebuild(prefix: &std::path::Path, lengths: &[u32], vocab_size: u64) -> Result<()> {
    let idx = indexed::with_suffix(prefix, ".idx");
    let failed = |source| Error::io(&idx, source);
    let mut spool = crate::output::unnamed_file(&idx)?;
    for length in lengths {
        spool.write_all(&length.to_le_bytes()).map_err(failed)?;
    }
    let dtype = Dtype::for_vocabulary(vocab_size);
    indexed::write_index(&idx, dtype, spool, lengths.len() as u64).map(|_| ())
}

/// The lines of a file that may be compressed, and what is wrong with its compression.
#[pyfunction]
#[pyo3(signature = (path, *, progress = None))]
pub(super) fn count_lines(
    py: Python<'_>,
    path: PathBuf,
    progress: Option<Py<PyAny>>,
) -> PyResult<(u64, Option<String>)> {
    call::run(py, progress.as_ref(), |control| {
        let mut batches = Batches::new(Source::open(&path)?, BATCH_BYTES, usize::MAX);
        let (mut lines, mut batch) = (0, Batch::default());
        while let Some(next) = batches.next_batch(batch)? {
            control.check()?;
            lines += next.lines.len() as u64;
            batch = next;
        }
        Ok((lines, batches.finish()?.1))
    })
}
