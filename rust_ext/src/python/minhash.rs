//! Bindings of `dedup`: its four steps over files, and signatures of texts at hand.

use std::path::PathBuf;

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use super::call;
use crate::Error;
use crate::input::InputFile;
use crate::minhash::bands::{Part, find_buckets};
use crate::minhash::datasketch::{self, Scheme};
use crate::minhash::signature::{EMPTY_SLOT, Permutations};
use crate::minhash::words::Scanner;
use crate::minhash::{Shape, connect, drop, shingle, sign, unit_file, verdicts};

type Files = Vec<(PathBuf, String)>;

fn input_files(files: Files) -> Vec<InputFile> {
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
    files, *, shape, fingerprint, output, rejected, workers, memory_bytes, progress = None,
))]
#[allow(clippy::too_many_arguments)] // keywords, each with a name at the call
pub(super) fn sign_records(
    py: Python<'_>,
    files: Files,
    shape: (usize, usize, usize, u64),
    fingerprint: u64,
    output: PathBuf,
    rejected: PathBuf,
    workers: usize,
    memory_bytes: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<()> {
    let files = input_files(files);
    let shape = self::shape(shape);
    let options = sign::Options { shape, fingerprint, output, rejected, workers, memory_bytes };
    call::run(py, progress.as_ref(), |control| sign::sign_unit(&files, &options, control))
}

/// The step `bands` for one part: a band, or the texts and the ids after the last band.
#[pyfunction]
#[pyo3(signature = (signatures, *, part, shape, fingerprint, output))]
pub(super) fn band_records(
    py: Python<'_>,
    signatures: Vec<PathBuf>,
    part: usize,
    shape: (usize, usize, usize, u64),
    fingerprint: u64,
    output: PathBuf,
) -> PyResult<()> {
    let shape = self::shape(shape);
    let parts = Part::all(&shape);
    let Some(&which) = parts.get(part) else {
        let message = format!("part ({part}) must be below {}", parts.len());
        return Err(Error::Argument(message).into());
    };
    call::run(py, None, |control| {
        find_buckets(which, &signatures, &shape, fingerprint, &output, control)
    })
}

/// The step `connect`.
#[pyfunction]
#[pyo3(signature = (
    units, *, shape, threshold, fingerprint, signatures, buckets, output, workers, memory_bytes,
    progress = None,
))]
#[allow(clippy::too_many_arguments)] // keywords, each with a name at the call
pub(super) fn connect_records(
    py: Python<'_>,
    units: Vec<Files>,
    shape: (usize, usize, usize, u64),
    threshold: Option<f64>,
    fingerprint: u64,
    signatures: Vec<PathBuf>,
    buckets: Vec<PathBuf>,
    output: PathBuf,
    workers: usize,
    memory_bytes: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<()> {
    let units: Vec<Vec<InputFile>> = units.into_iter().map(input_files).collect();
    let options = connect::Options {
        shape: self::shape(shape),
        threshold,
        fingerprint,
        signatures,
        buckets,
        output,
        workers,
        memory_bytes,
    };
    call::run(py, progress.as_ref(), |control| connect::connect(&units, &options, control))
}

/// The step `drop` for one unit; returns what became of it.
#[pyfunction]
#[pyo3(signature = (
    files, *, unit, fingerprint, signatures, verdicts, journal, shard_text_bytes, workers,
    memory_bytes, progress = None,
))]
#[allow(clippy::too_many_arguments)] // keywords, each with a name at the call
pub(super) fn drop_duplicates(
    py: Python<'_>,
    files: Files,
    unit: usize,
    fingerprint: u64,
    signatures: Vec<PathBuf>,
    verdicts: PathBuf,
    journal: PathBuf,
    shard_text_bytes: Option<u64>,
    workers: usize,
    memory_bytes: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    let files = input_files(files);
    let options = drop::Options {
        unit,
        fingerprint,
        signatures,
        verdicts,
        journal,
        shard_text_bytes,
        workers,
        memory_bytes,
    };
    call::run(py, progress.as_ref(), |control| {
        let dropped = drop::drop_unit(&files, &options, control)?;
        serde_json::to_string(&dropped).map_err(|error| Error::Argument(error.to_string()))
    })
}

type Columns<'py> =
    ([Vec<String>; 3], Vec<&'static str>, Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>);

/// The columns of `clusters.parquet`: ids, kinds, similarities.
#[pyfunction]
#[pyo3(signature = (signatures, *, verdicts, fingerprint))]
pub(super) fn cluster_columns(
    py: Python<'_>,
    signatures: Vec<PathBuf>,
    verdicts: PathBuf,
    fingerprint: u64,
) -> PyResult<Columns<'_>> {
    let (rows, ids) = call::run(py, None, |_| {
        let rows = verdicts::read(&verdicts, fingerprint)?;
        let mut units = unit_file::open_all(&signatures, fingerprint)?;
        let ids = verdicts::ids(&mut units, &rows)?;
        Ok((rows, ids))
    })?;
    let kinds = rows.iter().map(|row| row.kind.name()).collect();
    let estimated: Vec<f64> = rows.iter().map(|row| row.estimated).collect();
    let jaccard: Vec<f64> = rows.iter().map(|row| row.jaccard.unwrap_or(f64::NAN)).collect();
    Ok((ids, kinds, estimated.into_pyarray(py), jaccard.into_pyarray(py)))
}
