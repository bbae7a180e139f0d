//! A record in spans becomes a document and its mask.

use std::borrow::Cow;

use super::{Encoded, Event, Worker, contains, count_of, is_wanted, series_of};
use crate::Result;
use crate::input::lines::Line;
use crate::input::{Batch, span_fields};
use crate::tokenize::encode::Encode;
use crate::tokenizer::{MAX_TEXT_BYTES, Span};

impl<E: Encode> Worker<'_, E> {
    /// Encodes one line whose field is a list of spans.
    pub(super) fn line_of_spans(
        &mut self,
        batch: &Batch,
        line: &Line,
        number: u64,
        field: &str,
        to: &mut Encoded,
    ) -> Result<()> {
        let (options, file) = (self.options, &self.files[to.file]);
        let fields = match span_fields::parse(batch, line, field) {
            Ok(fields) => fields,
            Err(fault) => {
                to.reject(&file.relative, number, fault.reason(), batch.line(line));
                return Ok(());
            }
        };
        let kind = fields.kind.as_deref().unwrap_or("text");
        if !is_wanted(options, kind) {
            to.events.push(Event::Dropped("other_group"));
            return Ok(());
        }
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        match self.encode_spans(&fields.spans, &mut ids, &mut mask)? {
            Fate::Kept => {}
            Fate::Dropped(rule) => {
                to.events.push(Event::Dropped(rule));
                return Ok(());
            }
            Fate::Rejected(reason) => {
                to.reject(&file.relative, number, reason, batch.line(line));
                return Ok(());
            }
        }
        let id = fields.id.unwrap_or_else(|| Cow::Owned(format!("{}#{number}", file.relative)));
        let series = series_of(options, self.holdout_below, &id);
        let tokens = count_of(ids.len(), &file.path)?;
        let beside = options.journal.join("elements");
        to.elements[series as usize].append(&ids, options.dtype, &beside)?;
        to.masks[series as usize].extend_from_slice(&mask);
        let share = to.shares.number(fields.source.as_deref().unwrap_or("unknown"), kind);
        let text_bytes = u32::try_from(text_bytes(&fields.spans)).unwrap_or(u32::MAX);
        to.document(series, tokens, &id, text_bytes, share);
        Ok(())
    }

    /// Makes ids and mask, the end of the document included.
    fn encode_spans(
        &mut self,
        spans: &[Span<'_>],
        ids: &mut Vec<u32>,
        mask: &mut Vec<u8>,
    ) -> Result<Fate> {
        if text_bytes(spans) > MAX_TEXT_BYTES {
            return Ok(Fate::Rejected("text_too_long"));
        }
        if spans.iter().any(|span| span.special && !self.encode.is_special(&span.text)) {
            return Ok(Fate::Rejected("unknown_special_token"));
        }
        self.encode.spans(spans, ids, mask)?;
        let Some(&last) = mask.last() else { return Ok(Fate::Dropped("no_tokens")) };
        if self.options.eod.is_some_and(|eod| contains(ids, eod)) {
            return Ok(Fate::Rejected("end_of_document_inside"));
        }
        if !mask.contains(&1) {
            // Its loss would be a division by zero, or a batch slot that teaches nothing.
            return Ok(Fate::Dropped("nothing_trained"));
        }
        if let Some(eod) = self.options.eod {
            ids.push(eod);
            // Who is trained to write the last token is trained to stop behind it; behind a turn of
            // somebody else there is nothing to learn about stopping.
            mask.push(last);
        }
        Ok(Fate::Kept)
    }
}

/// What becomes of a record.
enum Fate {
    Kept,
    Dropped(&'static str),
    Rejected(&'static str),
}

fn text_bytes(spans: &[Span<'_>]) -> usize {
    spans.iter().map(|span| span.text.len()).sum()
}
