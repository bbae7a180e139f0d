//! Bindings that look at record files: count them, show a line, find a record.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::call;
use crate::input::lines::Line;
use crate::input::{Batch, Columns, Records, Scratch, fields, lookup, own_content};
use crate::{Error, Result};

const BATCH_BYTES: usize = 1 << 20;

/// `{"records", "text_bytes", "bytes", "xxh3", "problem"}` of a record file, read to its end.
#[pyfunction]
#[pyo3(signature = (path, *, text_field = "text", progress = None))]
pub(super) fn scan_records(
    py: Python<'_>,
    path: PathBuf,
    text_field: &str,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    call::run(py, progress.as_ref(), |control| {
        let columns = Columns::Fields(text_field);
        let mut batches = Records::open(&path, columns, BATCH_BYTES, usize::MAX)?;
        let (mut records, mut text_bytes, mut problem) = (0_u64, 0_u64, None);
        let (mut recycled, mut scratch) = (Batch::default(), Scratch::default());
        while let Some(batch) = batches.next_batch(recycled)? {
            control.check()?;
            for (number, line) in (batch.first_record..).zip(&batch.lines) {
                match fields::parse(&batch, line, text_field, &mut scratch) {
                    Ok(fields) => text_bytes += fields.text.len() as u64,
                    Err(fault) => {
                        problem.get_or_insert(format!("record {number} is {}", fault.reason()));
                    }
                }
            }
            records += batch.lines.len() as u64;
            control.advance(batch.lines.len() as u64, batch.filled() as u64);
            recycled = batch;
        }
        let (summary, damage) = batches.finish()?;
        Ok(serde_json::json!({
            "records": records,
            "text_bytes": text_bytes,
            "bytes": summary.bytes,
            "xxh3": summary.xxh3,
            "problem": damage.or(problem),
        })
        .to_string())
    })
}

/// The line of a record file with this number, blank lines not counted.
#[pyfunction]
pub(super) fn read_line(py: Python<'_>, path: PathBuf, record: u64) -> PyResult<Vec<u8>> {
    call::run(py, None, |control| find_line(&path, record, || control.check()))
}

fn find_line(
    path: &std::path::Path,
    record: u64,
    check: impl Fn() -> Result<()>,
) -> Result<Vec<u8>> {
    let mut batches = Records::open(path, Columns::All, BATCH_BYTES, usize::MAX)?;
    let (mut records, mut recycled) = (0, Batch::default());
    while let Some(batch) = batches.next_batch(recycled)? {
        check()?;
        let within = record.checked_sub(batch.first_record).and_then(|at| usize::try_from(at).ok());
        if let Some(line) = within.and_then(|at| batch.lines.get(at)) {
            return Ok(batch.line(line).to_vec());
        }
        records += batch.lines.len();
        recycled = batch;
    }
    let (_, damage) = batches.finish()?;
    if let Some(damage) = damage {
        return Err(Error::corrupt(path, damage));
    }
    Err(Error::Argument(format!(
        "{}: expected a record below {records}, got {record}",
        path.display()
    )))
}

/// Batches of the lines of a record file, whatever its format: each line, whether it was over the
/// limit and this is its head, and whether the file broke off in it.
#[pyclass(name = "RecordLines", module = "preprocess._rust_ext")]
pub(super) struct PyRecordLines {
    /// `None` behind the last batch. What decodes Parquet may move between threads, not be shared.
    records: Mutex<Option<Records>>,
    damage: Option<String>,
}

type PyLine<'py> = (Bound<'py, PyBytes>, bool, bool);

#[pymethods]
impl PyRecordLines {
    #[new]
    #[pyo3(signature = (path, *, limit_bytes))]
    fn new(path: PathBuf, limit_bytes: usize) -> PyResult<Self> {
        let records = Records::open(&path, Columns::All, BATCH_BYTES, limit_bytes)?;
        Ok(Self { records: Mutex::new(Some(records)), damage: None })
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Vec<PyLine<'py>>>> {
        let held = self.records.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(records) = held else { return Ok(None) };
        let Some(batch) = py.detach(|| records.next_batch(Batch::default()))? else {
            if let Some(records) = held.take() {
                self.damage = py.detach(|| records.finish())?.1;
            }
            return Ok(None);
        };
        let wrap = |line: &Line| {
            (PyBytes::new(py, batch.line(line)), line.is_oversized, line.is_truncated)
        };
        Ok(Some(batch.lines.iter().map(wrap).collect()))
    }

    /// Where the file broke off, if it did; complete behind the last batch.
    #[getter]
    fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }
}

type Found<'py> = (Vec<(String, u64, Bound<'py, PyBytes>)>, Option<String>);

/// The records of a file that have one of the ids, and the file's damage.
#[pyfunction]
#[pyo3(signature = (path, *, relative, ids, progress = None))]
pub(super) fn find_records(
    py: Python<'_>,
    path: PathBuf,
    relative: String,
    ids: Vec<String>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Found<'_>> {
    let (found, damage) = call::run(py, progress.as_ref(), |control| {
        lookup::find_records(&path, &relative, &ids, control)
    })?;
    let rows = found.into_iter().map(|each| (each.id, each.record, PyBytes::new(py, &each.line)));
    Ok((rows.collect(), damage))
}

/// The number of the document with this id, given the `.ids.zst` of its dataset.
#[pyfunction]
pub(super) fn find_document(py: Python<'_>, path: PathBuf, id: String) -> PyResult<Option<u64>> {
    call::run(py, None, |control| lookup::find_line(&path, &id, control))
}

/// What `dedup` compares of a record, given its line: its own content or its text.
#[pyfunction]
pub(super) fn compared_text(line: &[u8]) -> PyResult<String> {
    own_content::compared(line).map_err(|fault| {
        let message = format!("expected a record with a text, found {}", fault.reason());
        Error::Argument(message).into()
    })
}
