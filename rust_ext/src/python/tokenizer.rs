//! `Tokenizer` for Python.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use numpy::{IntoPyArray as _, PyArray1};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use super::call;
use crate::control::Control;
use crate::large_pages;
use crate::tokenizer::{Span, Tokenizer};
use crate::{Error, Result};

/// Ids of a record and, for each of them, whether it is trained.
type IdsAndMask<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<u8>>);

/// Texts that a thread takes at a time, so that few threads wait for a slow one.
const BATCH: usize = 16;

type Array<'py, T> = Bound<'py, PyArray1<T>>;

/// A tokenizer as its file defines it. Immutable.
#[pyclass(name = "Tokenizer", module = "preprocess._rust_ext", frozen)]
pub(super) struct PyTokenizer {
    pub(super) inner: Arc<Tokenizer>,
}

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "arguments come from Python by value")]
impl PyTokenizer {
    /// Loads a tokenizer.json, a tiktoken rank file, a `SentencePiece` model, or a directory of one.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let inner = py.detach(|| Tokenizer::load(&path))?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// One more than the highest id, added tokens included.
    #[getter]
    fn vocab_size(&self) -> u32 {
        self.inner.vocab_size()
    }

    /// SHA-256 of the loaded file, in hexadecimal.
    #[getter]
    fn sha256(&self) -> &str {
        self.inner.sha256()
    }

    /// The loaded file.
    #[getter]
    fn file(&self) -> PathBuf {
        self.inner.file().to_path_buf()
    }

    /// Model and pre-tokenizer in a few words.
    #[getter]
    fn kind(&self) -> &str {
        self.inner.kind()
    }

    /// Why the tokenizers library does the work, None if it does not.
    #[getter]
    fn fallback_reason(&self) -> Option<&str> {
        self.inner.fallback_reason()
    }

    /// Special tokens and their ids.
    #[getter]
    fn special_tokens(&self) -> Vec<(String, u32)> {
        self.inner.special_tokens().map(|(token, id)| (token.to_owned(), id)).collect()
    }

    /// Added tokens in alphabetical order, and for each whether it is special.
    #[getter]
    fn added_tokens(&self) -> Vec<(String, bool)> {
        self.inner.added_tokens()
    }

    /// Returns the id of a token as its file spells it, None without one.
    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Returns a token as its file spells it, None for an id without one.
    fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Returns the ids of one text.
    #[pyo3(signature = (text, *, parse_special = false))]
    fn encode(&self, py: Python<'_>, text: PyBackedStr, parse_special: bool) -> PyResult<Vec<u32>> {
        let mut ids = Vec::new();
        py.detach(|| self.inner.encoder().encode(&text, parse_special, &mut ids))?;
        Ok(ids)
    }

    /// Returns the ids of each text, uint32.
    #[pyo3(signature = (texts, *, parse_special = false, workers = 1))]
    fn encode_batch<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<PyBackedStr>,
        parse_special: bool,
        workers: usize,
    ) -> PyResult<Vec<Bound<'py, PyArray1<u32>>>> {
        let rows = call::run(py, None, |control| {
            encode_batch(&self.inner, &texts, parse_special, workers, control)
        })?;
        Ok(rows.into_iter().map(|ids| ids.into_pyarray(py)).collect())
    }

    /// Returns ids and mask of a record in spans of (text, special, trained).
    fn encode_spans<'py>(
        &self,
        py: Python<'py>,
        spans: Vec<(PyBackedStr, bool, bool)>,
    ) -> PyResult<IdsAndMask<'py>> {
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        py.detach(|| {
            let spans: Vec<Span<'_>> = spans
                .iter()
                .map(|(text, special, trained)| Span {
                    text: Cow::Borrowed(&**text),
                    special: *special,
                    trained: *trained,
                })
                .collect();
            self.inner.encoder().encode_spans(&spans, &mut ids, &mut mask)
        })?;
        Ok((ids.into_pyarray(py), mask.into_pyarray(py)))
    }

    /// Returns the ids of all texts back to back, uint32, and where each text's begin, int64: one
    /// more than texts, so that those of text `i` are `ids[offsets[i]:offsets[i + 1]]`.
    #[pyo3(signature = (texts, *, parse_special = false, workers = 1))]
    fn encode_flat<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<PyBackedStr>,
        parse_special: bool,
        workers: usize,
    ) -> PyResult<(Array<'py, u32>, Array<'py, i64>)> {
        let (ids, offsets) = call::run(py, None, |control| {
            encode_flat(&self.inner, &texts, parse_special, workers, control)
        })?;
        Ok((ids.into_pyarray(py), offsets.into_pyarray(py)))
    }

    /// Returns the text of ids; bytes that are no UTF-8 become U+FFFD.
    fn decode(&self, ids: Vec<u32>) -> PyResult<String> {
        Ok(String::from_utf8_lossy(&self.inner.decode(&ids)?).into_owned())
    }

    /// Returns the bytes of ids.
    fn decode_bytes(&self, ids: Vec<u32>) -> PyResult<std::borrow::Cow<'static, [u8]>> {
        Ok(self.inner.decode(&ids)?.into())
    }

    fn __repr__(&self) -> String {
        let (file, kind) = (self.inner.file().display(), self.inner.kind());
        format!("Tokenizer({file}: {kind}, {} ids)", self.inner.vocab_size())
    }
}

/// Encodes texts on `workers` threads, results in the order of the texts.
fn encode_batch(
    tokenizer: &Tokenizer,
    texts: &[PyBackedStr],
    parse_special: bool,
    workers: usize,
    control: &Control,
) -> Result<Vec<Vec<u32>>> {
    if workers == 0 {
        return Err(Error::Argument("workers must be at least 1, got 0".to_owned()));
    }
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, Vec<Vec<u32>>)>> {
        let mut encoder = tokenizer.encoder();
        let mut done = Vec::new();
        loop {
            control.check()?;
            let start = next.fetch_add(BATCH, Ordering::Relaxed);
            if start >= texts.len() {
                return Ok(done);
            }
            let batch = &texts[start..texts.len().min(start + BATCH)];
            let rows = batch.iter().map(|text| {
                let mut ids = Vec::with_capacity(text.len() / 3);
                encoder.encode(text, parse_special, &mut ids)?;
                ids.shrink_to_fit();
                Ok(ids)
            });
            done.push((start, rows.collect::<Result<_>>()?));
        }
    };
    let mut batches = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..workers.min(texts.len().div_ceil(BATCH))).map(|_| scope.spawn(work)).collect();
        let mut batches = Vec::new();
        for thread in threads {
            // A panic goes on to the caller of the scope, which reports it.
            batches.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok::<_, Error>(batches)
    })?;
    batches.sort_unstable_by_key(|&(start, _)| start);
    Ok(batches.into_iter().flat_map(|(_, rows)| rows).collect())
}

/// Encodes texts on `workers` threads into one array, and says where each text's ids begin.
fn encode_flat(
    tokenizer: &Tokenizer,
    texts: &[PyBackedStr],
    parse_special: bool,
    workers: usize,
    control: &Control,
) -> Result<(Vec<u32>, Vec<i64>)> {
    if workers == 0 {
        return Err(Error::Argument("workers must be at least 1, got 0".to_owned()));
    }
    let work = |texts: &[PyBackedStr]| -> Result<(Vec<u32>, Vec<usize>)> {
        let mut encoder = tokenizer.encoder();
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        // Hardly a text has more ids; what is not used costs nothing.
        let mut ids: Vec<u32> = Vec::with_capacity(bytes / 2);
        let mut ends = Vec::with_capacity(texts.len());
        large_pages::advise(ids.as_ptr().cast(), ids.capacity() * size_of::<u32>());
        for batch in texts.chunks(BATCH) {
            control.check()?;
            for text in batch {
                encoder.encode(text, parse_special, &mut ids)?;
                ends.push(ids.len());
            }
        }
        Ok((ids, ends))
    };
    let parts = std::thread::scope(|scope| {
        let threads: Vec<_> = shares(texts, workers)
            .into_iter()
            .map(|share| scope.spawn(move || work(share)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            // A panic goes on to the caller of the scope, which reports it.
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let mut all: Vec<u32> = Vec::new();
    let mut offsets = vec![0];
    for (ids, ends) in parts {
        let before = all.len();
        offsets.extend(ends.iter().map(|end| i64::try_from(before + end).unwrap_or(i64::MAX)));
        if all.is_empty() { all = ids } else { all.extend_from_slice(&ids) }
    }
    Ok((all, offsets))
}

/// Cuts texts into at most `workers` parts of about as many bytes each.
fn shares(texts: &[PyBackedStr], workers: usize) -> Vec<&[PyBackedStr]> {
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let share = bytes.div_ceil(workers).max(1);
    let (mut shares, mut start, mut taken) = (Vec::new(), 0, 0);
    for (index, text) in texts.iter().enumerate() {
        taken += text.len();
        if taken >= share {
            shares.push(&texts[start..=index]);
            (start, taken) = (index + 1, 0);
        }
    }
    shares.push(&texts[start..]);
    shares
}
