//! Bindings of `dedup`: its four steps over files, and signatures of texts at hand.

use std::path::PathBuf;

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use super::call;
use crate::Error;
use crate::input::InputFile;
use crate::minhash::bands::{self, Parts, find_buckets};
use crate::minhash::datasketch::{self, Scheme};
use crate::minhash::keep::Keep;
use crate::minhash::signature::{EMPTY_SLOT, Permutations};
use crate::minhash::text_key::TextKey;
use crate::minhash::verdicts::Verdicts;
use crate::minhash::words::Scanner;
use crate::minhash::{Shape, clusters_parquet, connect, drop, shingle, sign};

pub(super) type Files = Vec<(PathBuf, String)>;

pub(super) fn input_files(files: Files) -> Vec<InputFile> {
    files.into_iter().map(InputFile::from).collect()
}

/// Words of a shingle, bands, rows of a band, seed.
fn shape((ngram_size, num_bands, rows_per_band, seed): (usize, usize, usize, u64)) -> Shape {
    Shape { ngram_size, num_bands, rows_per_band, seed }
}

/// Signatures of texts, a row each.
#[pyfunction]
#[pyo3(signature = (texts, *, ngram_size, num_permutations, seed))]
pub(super) fn minhash_signatures(
    py: Python<'_>,
    texts: Vec<PyBackedStr>,
    ngram_size: usize,
    num_permutations: usize,
    seed: u64,
) -> PyResult<Bound<'_, PyArray2<u32>>> {
    let shape = Shape { ngram_size, num_bands: num_permutations, rows_per_band: 1, seed };
    let slots = call::run(py, None, |control| {
        shape.checked()?;
        let permutations = Permutations::new(num_permutations, seed);
        let (mut scanner, mut words) = (Scanner::new(), Vec::new());
        let mut slots = vec![EMPTY_SLOT; texts.len() * num_permutations];
        for (text, row) in texts.iter().zip(slots.chunks_exact_mut(num_permutations)) {
            control.check()?;
            words.clear();
            scanner.scan(text, &mut words);
            permutations.sign(&words, ngram_size, row);
        }
        Ok(slots)
    })?;
    slots.into_pyarray(py).reshape([texts.len(), num_permutations])
}

/// The set of shingles of each text, ascending.
#[pyfunction]
#[pyo3(signature = (texts, *, ngram_size))]
pub(super) fn shingle_hashes(
    py: Python<'_>,
    texts: Vec<PyBackedStr>,
    ngram_size: usize,
) -> PyResult<Vec<Bound<'_, PyArray1<u64>>>> {
    let sets = call::run(py, None, |control| {
        let (mut scanner, mut words) = (Scanner::new(), Vec::new());
        let mut set = |text: &str| {
            words.clear();
            scanner.scan(text, &mut words);
            shingle::set64(&words, ngram_size)
        };
        let sets = texts.iter().map(|text| control.check().map(|()| set(text)));
        sets.collect::<crate::Result<Vec<_>>>()
    })?;
    Ok(sets.into_iter().map(|set| set.into_pyarray(py)).collect())
}

/// Signatures of sets of 32-bit hashes by datasketch's permutations, a row each.
#[pyfunction]
#[pyo3(signature = (hashes, multipliers, offsets, *, scheme))]
pub(super) fn datasketch_signatures<'py>(
    py: Python<'py>,
    hashes: Vec<PyReadonlyArray1<'py, u64>>,
    multipliers: PyReadonlyArray1<'py, u64>,
    offsets: PyReadonlyArray1<'py, u64>,
    scheme: &str,
) -> PyResult<Bound<'py, PyArray2<u32>>> {
    let scheme = Scheme::named(scheme)?;
    // datasketch's own arrays are columns of a matrix: not contiguous, so they are copied.
    let copy = |array: &PyReadonlyArray1<'_, u64>| -> Vec<u64> {
        array.as_array().iter().copied().collect()
    };
    let sets: Vec<Vec<u64>> = hashes.iter().map(copy).collect();
    let (multipliers, offsets) = (copy(&multipliers), copy(&offsets));
    let num_permutations = multipliers.len();
    let slots = call::run(py, None, |control| {
        let mut slots = vec![EMPTY_SLOT; sets.len() * num_permutations];
        for (set, row) in sets.iter().zip(slots.chunks_exact_mut(num_permutations.max(1))) {
            control.check()?;
            datasketch::sign(set, &multipliers, &offsets, scheme, row)?;
        }
        Ok(slots)
    })?;
    slots.into_pyarray(py).reshape([sets.len(), num_permutations])
}

/// The step `sign` for one unit.
#[pyfunction]
#[pyo3(signature = (
    files, *, shape, key = "text", keep, fingerprint, output, rejected, workers, memory_bytes,
    progress = None,
))]
#[allow(clippy::too_many_arguments)] // keywords, each with a name at the call
pub(super) fn sign_records(
    py: Python<'_>,
    files: Files,
    shape: (usize, usize, usize, u64),
    key: &str,
    keep: Vec<String>,
    fingerprint: u64,
    output: PathBuf,
    rejected: PathBuf,
    workers: usize,
    memory_bytes: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<()> {
    let files = input_files(files);
    let shape = self::shape(shape);
    let keep = Keep::parse(&keep)?;
    let key = TextKey::named(key)?;
    let options =
        sign::Options { shape, key, keep, fingerprint, output, rejected, workers, memory_bytes };
    call::run(py, progress.as_ref(), |control| sign::sign_unit(&files, &options, control))
}

/// Refuses rules that say nothing about which record stays.
#[pyfunction]
#[pyo3(signature = (keep, /))]
pub(super) fn check_keep(keep: Vec<String>) -> PyResult<()> {
    Ok(Keep::parse(&keep).map(|_| ())?)
}

/// The number of ranges that the step `bands` is divided into.
#[pyfunction]
#[pyo3(signature = (signatures, *, shape, fingerprint))]
pub(super) fn band_ranges(
    py: Python<'_>,
    signatures: Vec<PathBuf>,
    shape: (usize, usize, usize, u64),
    fingerprint: u64,
) -> PyResult<u64> {
    call::run(py, None, |_| {
        let records = bands::count_records(&signatures, fingerprint)?;
        Ok(Parts::new(&self::shape(shape), records).ranges())
    })
}

/// The step `bands` for some parts, each with its output.
#[pyfunction]
#[pyo3(signature = (signatures, *, parts, shape, fingerprint, workers, memory_bytes))]
pub(super) fn band_records(
    py: Python<'_>,
    signatures: Vec<PathBuf>,
    parts: Vec<(usize, PathBuf)>,
    shape: (usize, usize, usize, u64),
    fingerprint: u64,
    workers: usize,
    memory_bytes: usize,
) -> PyResult<()> {
    let shape = self::shape(shape);
    let options = bands::Options { shape, fingerprint, signatures, workers, memory_bytes };
    call::run(py, None, |control| find_buckets(&parts, &options, control))
}

/// The step `connect`.
#[pyfunction]
#[pyo3(signature = (
    signatures, *, shape, key = "text", keep, threshold, max_cluster, fingerprint, buckets,
    texts, output, workers, memory_bytes, progress = None,
))]
#[allow(clippy::too_many_arguments)] // keywords, each with a name at the call
pub(super) fn connect_records(
    py: Python<'_>,
    signatures: Vec<PathBuf>,
    shape: (usize, usize, usize, u64),
    key: &str,
    keep: Vec<String>,
    threshold: Option<f64>,
    max_cluster: u32,
    fingerprint: u64,
    buckets: Vec<PathBuf>,
    texts: Vec<PathBuf>,
    output: PathBuf,
    workers: usize,
    memory_bytes: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<()> {
    let options = connect::Options {
        shape: self::shape(shape),
        key: TextKey::named(key)?,
        keep: Keep::parse(&keep)?,
        threshold,
        max_cluster,
        fingerprint,
        signatures,
        buckets,
        texts,
        output,
        workers,
        memory_bytes,
    };
    call::run(py, progress.as_ref(), |control| connect::connect(&options, control))
}

/// What `connect` found, as JSON.
#[pyfunction]
#[pyo3(signature = (verdicts, *, fingerprint))]
pub(super) fn connect_summary(
    py: Python<'_>,
    verdicts: PathBuf,
    fingerprint: u64,
) -> PyResult<String> {
    call::run(py, None, |_| {
        let summary = Verdicts::open(&verdicts, fingerprint)?.summary()?;
        serde_json::to_string(&summary).map_err(|error| Error::Argument(error.to_string()))
    })
}

/// Writes `clusters.parquet`.
#[pyfunction]
#[pyo3(signature = (signatures, *, verdicts, fingerprint, output, memory_bytes))]
pub(super) fn write_clusters(
    py: Python<'_>,
    signatures: Vec<PathBuf>,
    verdicts: PathBuf,
    fingerprint: u64,
    output: PathBuf,
    memory_bytes: usize,
) -> PyResult<()> {
    call::run(py, None, |control| {
        let sources = clusters_parquet::Sources { signatures, verdicts, fingerprint };
        clusters_parquet::write(&sources, &output, memory_bytes, control)
    })
}

/// The step `drop` for one unit; returns what became of it.
#[pyfunction]
#[pyo3(signature = (
    files, *, unit, fingerprint, signatures, verdicts, cuts = None, journal, shard_text_bytes, format,
    compression_level, workers, memory_bytes, progress = None,
))]
#[allow(clippy::too_many_arguments)] // keywords, each with a name at the call
pub(super) fn drop_duplicates(
    py: Python<'_>,
    files: Files,
    unit: usize,
    fingerprint: u64,
    signatures: Vec<PathBuf>,
    verdicts: PathBuf,
    cuts: Option<PathBuf>,
    journal: PathBuf,
    shard_text_bytes: Option<u64>,
    format: &str,
    compression_level: i32,
    workers: usize,
    memory_bytes: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    let files = input_files(files);
    let format = drop::Format::named(format, compression_level)?;
    let options = drop::Options {
        unit,
        fingerprint,
        signatures,
        verdicts,
        cuts,
        journal,
        shard_text_bytes,
        format,
        workers,
        memory_bytes,
    };
    call::run(py, progress.as_ref(), |control| {
        let dropped = drop::drop_unit(&files, &options, control)?;
        serde_json::to_string(&dropped).map_err(|error| Error::Argument(error.to_string()))
    })
}
