//! Binding of `tokenize`: record files to token shards, without a text or a token in Python.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;

use super::call;
use super::chat::{Callback, PyTemplate};
use super::tokenizer::PyTokenizer;
use crate::Error;
use crate::chat::Render;
use crate::indexed::Dtype;
use crate::input::InputFile;
use crate::tokenize::{self, Options, RecordEncoder};

/// Tokenizes the files of a unit into shards in `journal`; returns its summary.
#[pyfunction]
#[pyo3(signature = (
    tokenizer, files, *, journal, unit, text_field, spans_field = None, chat_template = None,
    render = None, kinds, eod_id, holdout,
    shard_text_bytes, workers, memory_bytes, progress = None,
))]
#[allow(clippy::too_many_arguments)] // keywords, each with a name at the call
pub(super) fn tokenize_unit(
    py: Python<'_>,
    tokenizer: Bound<'_, PyTokenizer>,
    files: Vec<(PathBuf, String)>,
    journal: PathBuf,
    unit: u64,
    text_field: String,
    spans_field: Option<String>,
    chat_template: Option<Bound<'_, PyTemplate>>,
    render: Option<Py<PyAny>>,
    kinds: Vec<String>,
    eod_id: Option<u32>,
    holdout: f64,
    shard_text_bytes: Option<u64>,
    workers: usize,
    memory_bytes: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    let tokenizer = Arc::clone(&tokenizer.get().inner);
    let files: Vec<InputFile> = files.into_iter().map(InputFile::from).collect();
    let named = chat_template.map(|template| Arc::clone(&template.get().inner) as Arc<dyn Render>);
    let options = Options {
        text_field,
        spans_field,
        chat: named.or_else(|| render.map(|render| Arc::new(Callback(render)) as Arc<dyn Render>)),
        kinds,
        eod: eod_id,
        dtype: Dtype::for_vocabulary(u64::from(tokenizer.vocab_size())),
        holdout,
        shard_text_bytes,
        journal,
        unit,
        workers,
        memory_bytes,
    };
    call::run(py, progress.as_ref(), |control| {
        let begin = || RecordEncoder::new(&tokenizer);
        let summary = tokenize::tokenize_unit(&files, &options, begin, control)?;
        serde_json::to_string(&summary).map_err(|error| Error::Argument(error.to_string()))
    })
}
