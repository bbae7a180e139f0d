//! Bindings of the scopes of `dedup` that cut parts out of texts.

use std::path::PathBuf;

use pyo3::prelude::*;

use super::call;
use super::minhash::{Files, input_files};
use crate::input::InputFile;
use crate::pieces::split::Grain;
use crate::pieces::{group, sign};
use crate::{Error, cuts, substring};

fn grain(name: &str) -> Result<Grain, Error> {
    match name {
        "line" => Ok(Grain::Line),
        "paragraph" => Ok(Grain::Paragraph),
        _ => Err(Error::Argument(format!("expected line or paragraph, got {name}"))),
    }
}

/// The pieces of a unit's texts, which were signed.
#[pyfunction]
#[pyo3(signature = (
    files, *, grain, min_chars, fingerprint, signatures, output, workers, memory_bytes,
    progress = None,
))]
#[allow(clippy::too_many_arguments)] // keywords, each with a name at the call
pub(super) fn sign_pieces(
    py: Python<'_>,
    files: Files,
    grain: &str,
    min_chars: usize,
    fingerprint: u64,
    signatures: PathBuf,
    output: PathBuf,
    workers: usize,
    memory_bytes: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<()> {
    let files = input_files(files);
    let grain = self::grain(grain)?;
    let options =
        sign::Options { grain, min_chars, fingerprint, signatures, output, workers, memory_bytes };
    call::run(py, progress.as_ref(), |control| sign::sign_pieces(&files, &options, control))
}

/// The number of parts in which equal pieces are found.
#[pyfunction]
#[pyo3(signature = (pieces, *, fingerprint))]
pub(super) fn piece_parts(
    py: Python<'_>,
    pieces: Vec<PathBuf>,
    fingerprint: u64,
) -> PyResult<usize> {
    call::run(py, None, |_| group::num_parts(&pieces, fingerprint))
}

/// What the equal pieces of one part ask to be cut.
#[pyfunction]
#[pyo3(signature = (pieces, *, part, num_parts, fingerprint, output, memory_bytes))]
pub(super) fn cut_pieces(
    py: Python<'_>,
    pieces: Vec<PathBuf>,
    part: usize,
    num_parts: usize,
    fingerprint: u64,
    output: PathBuf,
    memory_bytes: usize,
) -> PyResult<()> {
    call::run(py, None, |control| {
        let of_part = group::Part { number: part, of: num_parts };
        group::cut_pieces(of_part, &pieces, fingerprint, &output, memory_bytes, control)
    })
}

/// The cuts of all parts in one file, those of copies left out.
#[pyfunction]
#[pyo3(signature = (parts, *, verdicts, fingerprint, output))]
pub(super) fn gather_cuts(
    py: Python<'_>,
    parts: Vec<PathBuf>,
    verdicts: PathBuf,
    fingerprint: u64,
    output: PathBuf,
) -> PyResult<()> {
    call::run(py, None, |control| {
        cuts::gather::gather(&parts, &verdicts, fingerprint, &output, control)
    })
}

/// Refuses texts that take more memory than there is.
#[pyfunction]
#[pyo3(signature = (*, text_bytes, records, memory_bytes))]
pub(super) fn check_substring_memory(
    text_bytes: u64,
    records: u64,
    memory_bytes: u64,
) -> PyResult<()> {
    Ok(substring::check_memory(text_bytes, records, memory_bytes)?)
}

/// The cuts that repeats ask for.
#[pyfunction]
#[pyo3(signature = (
    units, *, min_bytes, fingerprint, signatures, verdicts, output, workers, memory_bytes,
    progress = None,
))]
#[allow(clippy::too_many_arguments)] // keywords, each with a name at the call
pub(super) fn cut_substrings(
    py: Python<'_>,
    units: Vec<Files>,
    min_bytes: usize,
    fingerprint: u64,
    signatures: Vec<PathBuf>,
    verdicts: PathBuf,
    output: PathBuf,
    workers: usize,
    memory_bytes: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<()> {
    let units: Vec<Vec<InputFile>> = units.into_iter().map(input_files).collect();
    let options = substring::Options {
        min_bytes,
        fingerprint,
        signatures,
        verdicts,
        output,
        workers,
        memory_bytes,
    };
    call::run(py, progress.as_ref(), |control| substring::find_cuts(&units, &options, control))
}

/// What each source of agent data loses to cuts, as JSON.
#[pyfunction]
#[pyo3(signature = (cuts, *, signatures, fingerprint))]
pub(super) fn cut_losses(
    py: Python<'_>,
    cuts: PathBuf,
    signatures: Vec<PathBuf>,
    fingerprint: u64,
) -> PyResult<String> {
    call::run(py, None, |control| {
        let losses = cuts::losses::text_losses(&cuts, &signatures, fingerprint, control)?;
        serde_json::to_string(&losses).map_err(|error| Error::Argument(error.to_string()))
    })
}

/// `cuts.parquet`.
#[pyfunction]
#[pyo3(signature = (cuts, *, signatures, fingerprint, output, memory_bytes))]
pub(super) fn write_cuts(
    py: Python<'_>,
    cuts: PathBuf,
    signatures: Vec<PathBuf>,
    fingerprint: u64,
    output: PathBuf,
    memory_bytes: usize,
) -> PyResult<()> {
    call::run(py, None, |control| {
        cuts::parquet::write(&cuts, &signatures, fingerprint, &output, memory_bytes, control)
    })
}
