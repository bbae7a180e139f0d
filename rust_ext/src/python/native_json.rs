//! Binding of the splitter of native JSON.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::native_json::{Fault, Native, Splitter, fault_of};

/// Batches of native records of a JSON file: the bytes of each, why it is rejected (`None`: it is
/// not), and whether it holds a number that a double may not.
#[pyclass(name = "NativeRecords", module = "preprocess._rust_ext")]
pub(super) struct PyNativeRecords {
    splitter: Splitter,
}

type PyNative<'py> = (Bound<'py, PyBytes>, Option<&'static str>, bool);

#[pymethods]
impl PyNativeRecords {
    #[new]
    #[pyo3(signature = (path, *, limit_bytes))]
    fn new(path: PathBuf, limit_bytes: usize) -> PyResult<Self> {
        Ok(Self { splitter: Splitter::open(&path, limit_bytes)? })
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Vec<PyNative<'py>>>> {
        let splitter = &mut self.splitter;
        let natives = py.detach(|| Ok::<_, PyErr>(splitter.next_batch()?.map(<[_]>::to_vec)))?;
        let bytes = self.splitter.bytes();
        Ok(natives.map(|natives| {
            let wrap = |native: Native| {
                let raw = PyBytes::new(py, &bytes[native.range]);
                (raw, native.fault.map(Fault::reason), native.may_be_inexact)
            };
            natives.into_iter().map(wrap).collect()
        }))
    }

    /// Where the file broke off, if it did; complete behind the last batch.
    #[getter]
    fn damage(&self) -> Option<&str> {
        self.splitter.damage()
    }
}

/// Why bytes are not one value of JSON as strictly as a native record has to be, or `None`.
#[pyfunction]
#[pyo3(signature = (data, /))]
pub(super) fn json_fault(data: &[u8]) -> Option<&'static str> {
    fault_of(data).map(Fault::reason)
}
