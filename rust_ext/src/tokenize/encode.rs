//! What a worker asks of an encoder: the ids of a text, or ids and mask of a record in spans.

use super::Sink;
use crate::tokenizer::{Encoder, Span, Tokenizer};
use crate::{Error, Result};

/// One worker's encoder.
pub trait Encode {
    /// Hands the ids of a text on, in as many pieces as it makes of them.
    ///
    /// # Errors
    /// What the encoder refuses, and what `sink` returns.
    fn text(&mut self, text: &str, sink: &mut Sink<'_>) -> Result<()>;

    /// Appends the ids of a record in spans, and 1 for each that is trained, else 0.
    ///
    /// # Errors
    /// What the encoder refuses.
    fn spans(&mut self, spans: &[Span<'_>], ids: &mut Vec<u32>, mask: &mut Vec<u8>) -> Result<()>;

    /// Returns whether a special span may name this token.
    fn is_special(&self, content: &str) -> bool;
}

/// A function of texts alone.
impl<F: FnMut(&str, &mut Sink<'_>) -> Result<()>> Encode for F {
    fn text(&mut self, text: &str, sink: &mut Sink<'_>) -> Result<()> {
        self(text, sink)
    }

    fn spans(&mut self, _: &[Span<'_>], _: &mut Vec<u32>, _: &mut Vec<u8>) -> Result<()> {
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
    ids: Vec<u32>,
}

/// Ids of one long text are given back to the system beyond this many.
const MOST_IDS_KEPT: usize = 1 << 20;

impl<'t> RecordEncoder<'t> {
    /// Returns an encoder for one thread.
    #[must_use]
    pub fn new(tokenizer: &'t Tokenizer) -> Self {
        Self { tokenizer, encoder: tokenizer.encoder(), ids: Vec::new() }
    }
}

impl Encode for RecordEncoder<'_> {
    fn text(&mut self, text: &str, sink: &mut Sink<'_>) -> Result<()> {
        self.ids.clear();
        self.encoder.encode(text, false, &mut self.ids)?;
        let handed_on = sink(&self.ids);
        self.ids.shrink_to(MOST_IDS_KEPT);
        handed_on
    }

    fn spans(&mut self, spans: &[Span<'_>], ids: &mut Vec<u32>, mask: &mut Vec<u8>) -> Result<()> {
        self.encoder.encode_spans(spans, ids, mask)
    }

    fn is_special(&self, content: &str) -> bool {
        self.tokenizer.special_id(content).is_some()
    }
}
