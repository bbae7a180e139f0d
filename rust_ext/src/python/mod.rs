//! The module as Python sees it; the only place that names `PyO3`.
//!
//! A binding is three moves: take arguments, release the interpreter, wrap the result.

mod call;
mod tokenizer;

use pyo3::prelude::*;

/// The compiled part of `preprocess`.
#[pymodule(name = "_rust_ext")]
mod extension {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::call::{CorruptDataError, TokenizerError};
    #[pymodule_export]
    use super::tokenizer::PyTokenizer;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
