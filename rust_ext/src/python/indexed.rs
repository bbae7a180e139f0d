//! Bindings of `indexed`: audit, read, merge.

use std::io::Write as _;
use std::path::PathBuf;

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use super::call;
use crate::indexed::{self, Dtype, Reader};
use crate::{Error, Result};

/// `{"sequences", "documents", "tokens", "misplaced_eod", "dtype", "bin_bytes"}` of a dataset.
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
            "misplaced_eod": audit.misplaced_eod,
            "dtype": reader.dtype().name(),
            "bin_bytes": reader.bin_bytes(),
        })
        .to_string())
    })
}

/// The elements of one document.
#[pyfunction]
pub(super) fn read_document(py: Python<'_>, prefix: PathBuf, document: u64) -> PyResult<Vec<i64>> {
    call::run(py, None, |_| Reader::open(&prefix)?.document(document))
}

/// Joins datasets; returns `{"documents", "tokens", "bin", "idx"}`, both `{"bytes", "xxh3"}`.
#[pyfunction]
#[pyo3(signature = (prefixes, output, *, progress = None))]
pub(super) fn merge_datasets(
    py: Python<'_>,
    prefixes: Vec<PathBuf>,
    output: PathBuf,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    call::run(py, progress.as_ref(), |control| {
        let written = indexed::merge(&prefixes, &output, control)?;
        Ok(serde_json::json!({
            "documents": written.documents,
            "tokens": written.tokens,
            "bin": written.bin,
            "idx": written.idx,
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
