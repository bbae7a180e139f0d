//! The module as Python sees it; the only place that names `PyO3`.
//!
//! A binding is three moves: take arguments, release the interpreter, wrap the result. Results
//! with many fields cross as JSON and become typed structs on the other side.

#![allow(clippy::needless_pass_by_value)] // arguments come owned from Python

mod call;
mod chat;
mod common_form;
mod indexed;
mod minhash;
mod native_json;
mod records;
mod scopes;
mod tokenize;
mod tokenizer;

use pyo3::prelude::*;

/// The compiled part of `preprocess`.
#[pymodule(name = "_rust_ext")]
mod extension {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::call::{CorruptDataError, TokenizerError};
    #[pymodule_export]
    use super::chat::{PyTemplate, chat_template_names, conversation_fields};
    #[pymodule_export]
    use super::common_form::PyCommonForm;
    #[pymodule_export]
    use super::indexed::{
        audit_dataset, count_lines, merge_datasets, read_document, rebuild_index,
    };
    #[pymodule_export]
    use super::minhash::{
        band_ranges, band_records, check_keep, connect_records, connect_summary,
        datasketch_signatures, drop_duplicates, minhash_signatures, shingle_hashes, sign_records,
        write_clusters,
    };
    #[pymodule_export]
    use super::native_json::{PyNativeRecords, json_fault};
    #[pymodule_export]
    use super::records::{
        PyRecordLines, compared_text, find_document, find_records, read_line, scan_records,
    };
    #[pymodule_export]
    use super::scopes::{
        check_substring_memory, cut_losses, cut_pieces, cut_substrings, gather_cuts, piece_parts,
        sign_pieces, write_cuts,
    };
    #[pymodule_export]
    use super::tokenize::tokenize_unit;
    #[pymodule_export]
    use super::tokenizer::PyTokenizer;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::simd::check()?;
        crate::heap::give_large_blocks_back();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
