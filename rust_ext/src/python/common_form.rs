//! Binding of native records of the commonest form.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::common_form;

/// What makes lines of the native records of one dataset, where they are of the commonest form.
#[pyclass(name = "CommonForm", module = "preprocess._rust_ext", frozen)]
pub(super) struct PyCommonForm {
    form: common_form::CommonForm,
    dataset: String,
    license: String,
    /// Room that is used again for each native record.
    lines: Mutex<common_form::CommonLines>,
}

#[pymethods]
impl PyCommonForm {
    #[new]
    #[pyo3(signature = (dataset, *, license))]
    fn new(dataset: String, license: String) -> PyResult<Self> {
        let Some(form) = common_form::CommonForm::of(&dataset) else {
            return Err(PyValueError::new_err(format!("no common form is known of {dataset}")));
        };
        Ok(Self { form, dataset, license, lines: Mutex::default() })
    }

    /// The lines of a native record, one behind the other without the last newline, how many they
    /// are and the bytes of their texts; `None` if it is not of the commonest form.
    #[pyo3(signature = (raw, *, path, record))]
    fn lines<'py>(
        &self,
        py: Python<'py>,
        raw: &[u8],
        path: &str,
        record: u64,
    ) -> Option<(Bound<'py, PyBytes>, usize, usize)> {
        let source = common_form::CommonSource {
            name: &self.dataset,
            license: &self.license,
            path,
            ordinal: record,
        };
        // Cleared before it is used: a panic of another thread leaves no trace.
        let mut room = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = self.form.lines(raw, source, &mut room)?;
        Some((PyBytes::new(py, lines.as_bytes()), lines.records, lines.text_bytes))
    }
}
