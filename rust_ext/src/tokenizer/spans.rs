//! A record as a list of spans: ids, and for each of them whether it is trained on.
//!
//! **Ids.** They are those that inference gets from the rendered string, so text between two special
//! tokens is encoded as one piece, however many spans it was written in: a template's `assistant\n`
//! and the answer behind it may share a token, and then they do. What differs from parsing that
//! string is the point of spans: a special token spelled in a text span stays text, so that no
//! record can end a turn by quoting its end. White space that a special token takes (`lstrip`,
//! `rstrip`) is taken here too. A special span without text is no token: the texts on its sides are
//! encoded apart, so that together they cannot spell an added token that is not special.
//!
//! **Mask.** It goes by position, never by value: a special token is trained if its span is; any
//! other token is trained if one byte or more of it lies in a trained span. So every trained byte
//! has its loss, and a token takes untrained bytes along only where it straddles a border, of which
//! there is at most one for each border; where special tokens stand between the two there is none.
//! This is what `return_assistant_tokens_mask` of Hugging Face's templates gives. The other rule,
//! trained only if all bytes are, would leave out the first word of every answer behind a template
//! that ends in a space, and say nothing. A token without bytes (a space that a tokenizer puts in
//! front) goes with what follows it.

use std::borrow::Cow;

use super::alignment::Extent;
use super::cache::Cache;
use super::{Encoder, MAX_TEXT_BYTES, Model, Tokenizer};
use crate::{Error, Result};

/// A part of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// The text, or the content of a special token; see the module for one without.
    pub text: Cow<'a, str>,
    /// Whether it is one special or added token, named by its content.
    pub special: bool,
    /// Whether the loss counts.
    pub trained: bool,
}

/// A token that a span names.
#[derive(Clone, Copy, Debug)]
struct Special {
    id: u32,
    takes_before: bool,
    takes_behind: bool,
}

impl Tokenizer {
    /// Returns the id of a special or added token, named by its content.
    #[must_use]
    pub fn special_id(&self, content: &str) -> Option<u32> {
        self.special(content).map(|special| special.id)
    }

    fn special(&self, content: &str) -> Option<Special> {
        let (id, takes_before, takes_behind) = match &self.model {
            Model::ByteLevel(model) => {
                let id = *self.other_ids.get(content)?;
                let token = model.added.by_id(id).or_else(|| model.added_normalized.by_id(id))?;
                (id, token.lstrip, token.rstrip)
            }
            Model::SentencePiece(model) => (model.control_id(content)?, false, false),
            Model::Fallback(model) => model.added_token(content)?,
        };
        Some(Special { id, takes_before, takes_behind })
    }
}

/// Takes ids, and for each of them 1 if it is trained, else 0.
type Sink<'a> = dyn FnMut(&[u32], &[u8]) -> Result<()> + 'a;

/// Ids that make a block.
const BLOCK: usize = 1 << 16;

/// Ids and mask on their way to the caller, block by block.
struct Masked<'a> {
    ids: Vec<u32>,
    mask: Vec<u8>,
    sink: &'a mut Sink<'a>,
    outcome: Result<()>,
}

/// Text spans with no special token between them.
#[derive(Default)]
struct Run<'a> {
    /// Borrowed where it is one span: a long one is not held twice.
    text: Cow<'a, str>,
    /// Where each span ends in `text`, and whether it is trained; no span is empty.
    borders: Vec<(usize, bool)>,
    is_behind_token: bool,
    takes_front: bool,
}

impl Encoder<'_> {
    /// Appends the ids of a record in spans to `ids`, and to `mask` 1 for each that is trained, else
    /// 0; see the module for which these are.
    ///
    /// # Errors
    /// [`Error::Argument`] for a special span that names no token of the tokenizer, for texts of
    /// 1 GiB and more between two special tokens, and for what the fallback refuses. What was
    /// appended until then stays.
    pub fn encode_spans(
        &mut self,
        spans: &[Span<'_>],
        ids: &mut Vec<u32>,
        mask: &mut Vec<u8>,
    ) -> Result<()> {
        self.encode_spans_to(spans, &mut |more_ids, more_mask| {
            ids.extend_from_slice(more_ids);
            mask.extend_from_slice(more_mask);
            Ok(())
        })
    }

    /// Gives ids and mask of a record in spans to `sink`, in blocks: those of a long record never
    /// lie in memory all, unless the fallback makes them.
    ///
    /// # Errors
    /// As [`Encoder::encode_spans`], and what `sink` returns, which is then not called again.
    pub fn encode_spans_to(&mut self, spans: &[Span<'_>], sink: &mut Sink<'_>) -> Result<()> {
        let mut output = Masked { ids: Vec::new(), mask: Vec::new(), sink, outcome: Ok(()) };
        let mut run = Run::default();
        for (number, span) in spans.iter().enumerate() {
            if !span.special {
                run.push(span);
                continue;
            }
            if span.text.is_empty() {
                self.encode_run(&run, false, &mut output)?;
                run.restart(false);
                continue;
            }
            let special = self.tokenizer.special(&span.text).ok_or_else(|| {
                Error::Argument(format!(
                    "span {number} is to be a special token, but {:?} is none of {}; mark it as \
                     text, or add it to the tokenizer",
                    span.text,
                    self.tokenizer.file.display()
                ))
            })?;
            self.encode_run(&run, special.takes_before, &mut output)?;
            output.push(special.id, u8::from(span.trained));
            run.restart(special.takes_behind);
        }
        self.encode_run(&run, false, &mut output)?;
        output.finish()
    }

    fn encode_run(
        &mut self,
        run: &Run<'_>,
        takes_end: bool,
        output: &mut Masked<'_>,
    ) -> Result<()> {
        let mut text = run.text.as_ref();
        if takes_end {
            text = text.trim_end();
        }
        if run.takes_front {
            text = text.trim_start();
        }
        if text.is_empty() {
            return Ok(());
        }
        if let Some(trained) = run.is_uniform().filter(|_| !self.needs_extents()) {
            return self.encode_to(text, false, &mut |ids| output.extend(ids, u8::from(trained)));
        }
        // Trimming the end moves no offset; trimming the front does.
        let front = if run.takes_front { run.text.len() - run.text.trim_start().len() } else { 0 };
        self.encode_with_extents(text, run.is_behind_token, &mut |id, extent| {
            output.push(id, run.trains(extent.start + front, extent.end + front));
        })
    }

    /// Returns whether only [`Encoder::encode_with_extents`] knows what stands before a text.
    fn needs_extents(&self) -> bool {
        matches!(self.tokenizer.model, Model::Fallback(_))
    }

    /// Gives the ids that `encode` gives, special tokens being text, and the extent of each.
    fn encode_with_extents(
        &mut self,
        text: &str,
        is_behind_token: bool,
        give: &mut dyn FnMut(u32, Extent),
    ) -> Result<()> {
        if text.len() > MAX_TEXT_BYTES {
            let bytes = text.len();
            return Err(Error::Argument(format!(
                "texts between special tokens must be below 1 GiB, got {bytes} bytes"
            )));
        }
        match &self.tokenizer.model {
            Model::ByteLevel(model) => {
                let cache = self.cache.get_or_insert_with(|| Box::new(Cache::new()));
                model.encode_with_extents(text, cache, give);
            }
            Model::SentencePiece(model) => {
                let cache = self.cache.get_or_insert_with(|| Box::new(Cache::new()));
                model.encode_with_extents(text, &mut self.buffer, cache, give);
            }
            Model::Fallback(model) => model.encode_with_extents(text, is_behind_token, give)?,
        }
        Ok(())
    }
}

impl Masked<'_> {
    fn push(&mut self, id: u32, is_trained: u8) {
        self.ids.push(id);
        self.mask.push(is_trained);
        if self.ids.len() >= BLOCK {
            self.empty();
        }
    }

    /// Appends ids that are all trained, or all not; fails where the sink did.
    fn extend(&mut self, ids: &[u32], is_trained: u8) -> Result<()> {
        self.ids.extend_from_slice(ids);
        self.mask.resize(self.ids.len(), is_trained);
        if self.ids.len() >= BLOCK {
            self.empty();
        }
        std::mem::replace(&mut self.outcome, Ok(()))
    }

    fn finish(mut self) -> Result<()> {
        self.empty();
        self.outcome
    }

    fn empty(&mut self) {
        if self.outcome.is_ok() && !self.ids.is_empty() {
            self.outcome = (self.sink)(&self.ids, &self.mask);
        }
        self.ids.clear();
        self.mask.clear();
    }
}

impl<'a> Run<'a> {
    fn push(&mut self, span: &'a Span<'_>) {
        if !span.text.is_empty() {
            if self.text.is_empty() {
                self.text = Cow::Borrowed(&span.text);
            } else {
                self.text.to_mut().push_str(&span.text);
            }
            self.borders.push((self.text.len(), span.trained));
        }
    }

    fn restart(&mut self, takes_front: bool) {
        self.text = Cow::default();
        self.borders.clear();
        self.is_behind_token = true;
        self.takes_front = takes_front;
    }

    /// Returns whether all is trained or all is not, if one of them holds.
    fn is_uniform(&self) -> Option<bool> {
        let (first, rest) = self.borders.split_first()?;
        rest.iter().all(|border| border.1 == first.1).then_some(first.1)
    }

    /// Returns 1 if a byte of `start..end` is trained; without bytes, if what follows is.
    fn trains(&self, start: usize, end: usize) -> u8 {
        let first = self.borders.partition_point(|&(border, _)| border <= start);
        // Behind the last byte there is nothing that follows: it goes with what came before.
        let first = first.min(self.borders.len() - 1);
        let mut begin = start;
        for &(border, trained) in &self.borders[first..] {
            if trained {
                return 1;
            }
            begin = begin.max(border);
            if begin >= end {
                break;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trained_byte_trains_a_token_and_none_does_not() {
        let spans = [("abc", false), ("", true), ("de", true), ("f", false)]
            .map(|(text, trained)| Span { text: text.into(), special: false, trained });
        let mut run = Run::default();
        for span in &spans {
            run.push(span);
        }
        let cases = [(0, 3, 0), (0, 4, 1), (3, 5, 1), (4, 6, 1), (5, 6, 0), (0, 6, 1)];
        for (start, end, expected) in cases {
            assert_eq!(run.trains(start, end), expected, "{start}..{end}");
        }
        assert_eq!([run.trains(0, 0), run.trains(3, 3), run.trains(5, 5)], [0, 1, 0]);
        assert_eq!(run.trains(6, 6), 0);
    }
}
