//! Records with messages become documents and masks: a template renders them to spans first.

use super::spans::Named;
use super::{Encoded, Event, Worker, is_wanted};
use crate::chat::{Render, Rendered};
use crate::input::conversation_fields::{self, ConversationFields};
use crate::input::lines::Line;
use crate::input::{Batch, Unreadable};
use crate::tokenize::encode::Encode;
use crate::{Error, Result};

/// Records handed to a template together: a call into another language is worth as many.
const MOST_RECORDS: usize = 64;

/// No further record is added to bytes of lines beyond this.
const MOST_BYTES: usize = 1 << 20;

impl<E: Encode> Worker<'_, E> {
    /// Encodes lines whose `messages` a template renders.
    pub(super) fn lines_of_messages(
        &mut self,
        batch: &Batch,
        lines: &[Line],
        chat: &dyn Render,
        to: &mut Encoded,
    ) -> Result<()> {
        let (mut rest, mut number) = (lines, to.first_record);
        while !rest.is_empty() {
            let (together, later) = rest.split_at(how_many(rest));
            let read: Vec<_> =
                together.iter().map(|line| conversation_fields::parse(batch, line)).collect();
            let is_asked = |fields: &&ConversationFields<'_>| self.is_conversation_wanted(fields);
            let asked: Vec<_> = read.iter().flatten().filter(is_asked).cloned().collect();
            let rendered = chat.render(&asked)?;
            if rendered.len() != asked.len() {
                let (given, got) = (asked.len(), rendered.len());
                return Err(Error::Argument(format!(
                    "expected {given} renderings of {given} records, the template gave {got}"
                )));
            }
            let mut rendered = rendered.into_iter();
            for (line, fields) in together.iter().zip(read) {
                self.conversation((batch.line(line), number), fields, &mut rendered, to)?;
                number += 1;
            }
            rest = later;
        }
        Ok(())
    }

    fn is_conversation_wanted(&self, fields: &ConversationFields<'_>) -> bool {
        is_wanted(self.options, fields.kind.as_deref().unwrap_or("text"))
    }

    fn conversation<'a>(
        &mut self,
        (raw, number): (&[u8], u64),
        fields: std::result::Result<ConversationFields<'a>, Unreadable>,
        rendered: &mut impl Iterator<Item = Rendered<'a>>,
        to: &mut Encoded,
    ) -> Result<()> {
        let relative = &self.files[to.file].relative;
        let fields = match fields {
            Ok(fields) => fields,
            Err(fault) => {
                to.reject(relative, number, fault.reason(), raw);
                return Ok(());
            }
        };
        if !self.is_conversation_wanted(&fields) {
            to.events.push(Event::Dropped("other_group"));
            return Ok(());
        }
        let Some(rendered) = rendered.next() else { return Ok(()) };
        match rendered {
            Ok(rendering) => {
                let ConversationFields { id, kind, source, .. } = fields;
                let record = Named { raw, number, id, kind, source };
                self.keep_spans(record, &rendering.spans, to)?;
                if let Some(Event::Document { literal_tokens, .. }) = to.events.last_mut() {
                    *literal_tokens = rendering.literal_tokens;
                }
            }
            Err(refusal) if refusal.is_damage() => {
                to.reject(relative, number, refusal.reason(), raw);
            }
            Err(refusal) => to.events.push(Event::Dropped(refusal.reason())),
        }
        Ok(())
    }
}

/// Returns how many lines, one at least, are rendered together.
fn how_many(lines: &[Line]) -> usize {
    let mut bytes = 0;
    let fits = |line: &&Line| {
        let is_first = bytes == 0;
        bytes += (line.end - line.start).max(1);
        is_first || bytes <= MOST_BYTES
    };
    lines.iter().take(MOST_RECORDS).take_while(fits).count()
}
