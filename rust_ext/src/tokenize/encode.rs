//! What a worker asks of an encoder: the ids of a text, or ids and mask of a record in spans.

use super::{Sink, SpanSink};
use crate::tokenizer::{Encoder, Span, Tokenizer};
use crate::{Error, Result};

/// One worker's encoder.
pub trait Encode {
    /// Hands the ids of a text on, in as many pieces as it makes of them.
    ///
    /// # Errors
    /// What the encoder refuses, and what `sink` returns.
    fn text(&mut self, text: &str, sink: &mut Sink<'_>) -> Result<()>;

    /// Hands the ids of a record in spans on, in as many pieces as it makes of them, and with each
    /// 1 for every id that is trained, else 0.
    ///
    /// # Errors
    /// What the encoder refuses, and what `sink` returns.
    fn spans(&mut self, spans: &[Span<'_>], sink: &mut SpanSink<'_>) -> Result<()>;

    /// Returns whether a special span may name this token.
    fn is_special(&self, content: &str) -> bool;
}

/// A function of texts alone.
impl<F: FnMut(&str, &mut Sink<'_>) -> Result<()>> Encode for F {
    fn text(&mut self, text: &str, sink: &mut Sink<'_>) -> Result<()> {
        self(text, sink)
    }

    fn spans(&mut self, _: &[Span<'_>], _: &mut SpanSink<'_>) -> Result<()> {
        Err(Error::Argument("expected an encoder of spans, got one of texts".to_owned()))
    }

    fn is_special(&self, _: &str) -> bool {
        false
    }
}

/// A tokenizer's encoder; special tokens that occur in data are text.
pub struct RecordEncoder<'t> {
    tokenizer: &'t Tokenizer,
    encoder: Encoder<'t>,
}

impl<'t> RecordEncoder<'t> {
    /// Returns an encoder for one thread.
    #[must_use]
    pub fn new(tokenizer: &'t Tokenizer) -> Self {
        Self { tokenizer, encoder: tokenizer.encoder() }
    }
}

impl Encode for RecordEncoder<'_> {
    fn text(&mut self, text: &str, sink: &mut Sink<'_>) -> Result<()> {
        self.encoder.encode_to(text, false, sink)
    }

    fn spans(&mut self, spans: &[Span<'_>], sink: &mut SpanSink<'_>) -> Result<()> {
        self.encoder.encode_spans_to(spans, sink)
    }

    fn is_special(&self, content: &str) -> bool {
        self.tokenizer.special_id(content).is_some()
    }
}
