//! A record in spans becomes a document and its mask.

use std::borrow::Cow;

use super::{Encoded, Event, Worker, contains, count_of, is_wanted, series_of};
use crate::Result;
use crate::input::lines::Line;
use crate::input::{Batch, span_fields};
use crate::tokenize::elements::Elements;
use crate::tokenize::encode::Encode;
use crate::tokenizer::{MAX_TEXT_BYTES, Span};

/// A record in spans, but for its spans.
pub(super) struct Named<'a> {
    /// Its line.
    pub(super) raw: &'a [u8],
    pub(super) number: u64,
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) kind: Option<Cow<'a, str>>,
    pub(super) source: Option<Cow<'a, str>>,
}

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
        let raw = batch.line(line);
        let fields = match span_fields::parse(batch, line, field) {
            Ok(fields) => fields,
            Err(fault) => {
                to.reject(&self.files[to.file].relative, number, fault.reason(), raw);
                return Ok(());
            }
        };
        if !is_wanted(self.options, fields.kind.as_deref().unwrap_or("text")) {
            to.events.push(Event::Dropped("other_group"));
            return Ok(());
        }
        let (id, kind, source) = (fields.id, fields.kind, fields.source);
        self.keep_spans(Named { raw, number, id, kind, source }, &fields.spans, to)
    }

    /// Encodes a record in spans that is wanted, and notes what became of it.
    pub(super) fn keep_spans(
        &mut self,
        record: Named<'_>,
        spans: &[Span<'_>],
        to: &mut Encoded,
    ) -> Result<()> {
        let (options, file, number) = (self.options, &self.files[to.file], record.number);
        let kind = record.kind.as_deref().unwrap_or("text");
        let id = record.id.unwrap_or_else(|| Cow::Owned(format!("{}#{number}", file.relative)));
        let series = series_of(options, self.holdout_below, &id);
        let which = series as usize;
        let (elements, mask) = (&mut to.elements[which], &mut to.masks[which]);
        let begin = (elements.len(), mask.len());
        let fate = self.encode_spans(spans, elements, mask)?;
        if !matches!(fate, Fate::Kept) {
            elements.truncate(begin.0);
            mask.truncate(begin.1);
        }
        let tokens = mask.len() - begin.1;
        match fate {
            Fate::Kept => {
                let tokens = count_of(tokens, &file.path)?;
                let source = record.source.as_deref().unwrap_or("unknown");
                let share = to.shares.number(source, kind);
                let text_bytes = u32::try_from(text_bytes(spans)).unwrap_or(u32::MAX);
                to.document(series, tokens, &id, text_bytes, share);
            }
            Fate::Dropped(rule) => to.events.push(Event::Dropped(rule)),
            Fate::Rejected(reason) => {
                to.reject(&file.relative, number, reason, record.raw);
            }
        }
        Ok(())
    }

    /// Appends elements and mask, the end of the document included; unless the record is kept, what
    /// was appended is to be taken back.
    fn encode_spans(
        &mut self,
        spans: &[Span<'_>],
        elements: &mut Elements,
        mask: &mut Vec<u8>,
    ) -> Result<Fate> {
        if text_bytes(spans) > MAX_TEXT_BYTES {
            return Ok(Fate::Rejected("text_too_long"));
        }
        let is_unknown = |text: &str| !text.is_empty() && !self.encode.is_special(text);
        if spans.iter().any(|span| span.special && is_unknown(&span.text)) {
            return Ok(Fate::Rejected("unknown_special_token"));
        }
        let (options, start) = (self.options, mask.len());
        // Every worker has its own file, and it has no name of this kind.
        let beside = options.journal.join("elements");
        let mut has_eod = false;
        self.encode.spans(spans, &mut |ids, trained| {
            mask.extend_from_slice(trained);
            has_eod |= options.eod.is_some_and(|eod| contains(ids, eod));
            // The rest of a document that is rejected needs no room.
            if has_eod { Ok(()) } else { elements.append(ids, options.dtype, &beside) }
        })?;
        let Some(&last) = mask[start..].last() else { return Ok(Fate::Dropped("no_tokens")) };
        if has_eod {
            return Ok(Fate::Rejected("end_of_document_inside"));
        }
        if !mask[start..].contains(&1) {
            // Its loss would be a division by zero, or a batch slot that teaches nothing.
            return Ok(Fate::Dropped("nothing_trained"));
        }
        if let Some(eod) = options.eod {
            elements.append(&[eod], options.dtype, &beside)?;
            // Who is trained to write the last text is trained to stop behind it. A control token
            // there ends the turn by itself, and behind a turn of somebody else there is nothing to
            // learn about stopping.
            mask.push(if ends_in_control_token(spans) { 0 } else { last });
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

fn ends_in_control_token(spans: &[Span<'_>]) -> bool {
    spans.iter().rev().find(|span| !span.text.is_empty()).is_some_and(|span| span.special)
}

fn text_bytes(spans: &[Span<'_>]) -> usize {
    spans.iter().map(|span| span.text.len()).sum()
}
