//! Bindings of chat templates: those by name, and the way into a template that Python renders.

use std::borrow::Cow;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use super::tokenizer::PyTokenizer;
use crate::chat::{NAMES, Refusal, Render, Rendered, Rendering, Roles, Template};
use crate::input::conversation_fields::{ConversationFields, parse_text};
use crate::tokenizer::Span;
use crate::{Error, Result};

/// Spans of (text, special, trained), and how often data spells a token.
type Spelled = (Vec<(String, bool, bool)>, u32);

/// A chat template by name, for one tokenizer and the roles that are trained.
#[pyclass(name = "ChatTemplate", module = "preprocess._rust_ext", frozen)]
pub(super) struct PyTemplate {
    pub(super) inner: Arc<Template>,
}

#[pymethods]
impl PyTemplate {
    #[new]
    #[pyo3(signature = (name, tokenizer, *, train_roles))]
    fn new(
        name: &str,
        tokenizer: Bound<'_, PyTokenizer>,
        train_roles: Vec<String>,
    ) -> PyResult<Self> {
        let roles = Roles::trained(&train_roles)?;
        Ok(Self { inner: Arc::new(Template::new(name, &tokenizer.get().inner, roles)?) })
    }

    /// Returns the spans of a record, given as its line, and how often its data spells a token; or
    /// the reason why it has none.
    fn render(&self, line: &[u8]) -> PyResult<Either> {
        let fields = parse_text(line).map_err(|fault| {
            let reason = fault.reason();
            Error::Argument(format!("expected a record with messages, the line is {reason}"))
        })?;
        Ok(match self.inner.render_one(&fields) {
            Err(refusal) => Either::Reason(refusal.reason()),
            Ok(Rendering { spans, literal_tokens }) => {
                let spell = |span: Span<'_>| (span.text.into_owned(), span.special, span.trained);
                Either::Spans((spans.into_iter().map(spell).collect(), literal_tokens))
            }
        })
    }
}

#[derive(IntoPyObject)]
enum Either {
    Reason(&'static str),
    Spans(Spelled),
}

/// Returns the names of the chat templates.
#[pyfunction]
pub(super) fn chat_template_names() -> Vec<&'static str> {
    NAMES.to_vec()
}

/// Returns the fields that a template asks of a line, as the line spells them: messages, tools, meta.
#[pyfunction]
pub(super) fn conversation_fields(line: &[u8]) -> PyResult<Asked> {
    let fields = parse_text(line).map_err(|fault| {
        let reason = fault.reason();
        Error::Argument(format!("expected a record with messages, the line is {reason}"))
    })?;
    Ok(ask(&fields))
}

type Asked = (Option<String>, Option<String>, Option<String>);

fn ask(fields: &ConversationFields<'_>) -> Asked {
    let owned = |raw: Option<&str>| raw.map(str::to_owned);
    (owned(fields.messages), owned(fields.tools), owned(fields.meta))
}

/// A template that Python renders.
#[derive(Debug)]
pub(super) struct Callback(pub(super) Py<PyAny>);

#[derive(FromPyObject)]
enum Answer {
    Reason(PyBackedStr),
    Spans(Spelled),
}

impl Render for Callback {
    fn render<'a>(&self, records: &[ConversationFields<'a>]) -> Result<Vec<Rendered<'a>>> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<_> = records.iter().map(ask).collect();
        let answers = Python::attach(|py| -> PyResult<Vec<Answer>> {
            self.0.call1(py, (asked,))?.extract(py)
        });
        let answers = answers.map_err(|error| Error::Argument(error.to_string()))?;
        answers.into_iter().map(rendered).collect()
    }
}

fn rendered<'a>(answer: Answer) -> Result<Rendered<'a>> {
    match answer {
        Answer::Reason(reason) => Refusal::of_reason(&reason).map(Err).ok_or_else(|| {
            Error::Argument(format!("expected a reason that manifests know, got {reason:?}"))
        }),
        Answer::Spans((spans, literal_tokens)) => {
            let span = |(text, special, trained)| Span { text: Cow::Owned(text), special, trained };
            Ok(Ok(Rendering { spans: spans.into_iter().map(span).collect(), literal_tokens }))
        }
    }
}
