//! A batch of lines becomes documents: what one worker does.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64;

use super::shard::Position;
use super::{Options, Reasons, add, too_long};
use crate::input::lines::Line;
use crate::input::rejected::reject;
use crate::input::{Batch, InputFile, Unreadable, fields};
use crate::tokenizer::MAX_TEXT_BYTES;
use crate::{Error, Result};

/// The series that a document belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Series {
    /// What is trained on.
    Part = 0,
    /// What is held out.
    Valid = 1,
}

/// One line's fate, in the order of the input.
#[derive(Debug)]
pub(super) enum Event {
    /// A document of so many tokens and bytes of id, text; the number of its share.
    Document { series: Series, tokens: u32, id_bytes: u32, text_bytes: u64, share: u32 },
    /// A record dropped by a rule.
    Dropped(&'static str),
    /// An unreadable line; its entry has so many bytes.
    Rejected(&'static str, usize),
}

/// A batch, encoded.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    pub(super) file: usize,
    /// Ordinal of the line of the first event.
    pub(super) first_record: u64,
    /// Lines seen.
    pub(super) native: u64,
    pub(super) events: Vec<Event>,
    /// Elements of the documents of each series, back to back.
    pub(super) elements: [Vec<u8>; 2],
    /// Ids of the documents of each series, a line each.
    pub(super) ids: [Vec<u8>; 2],
    /// Entries for the rejected file, a line each.
    pub(super) rejected: Vec<u8>,
    /// Source and kind of the documents; events point here.
    pub(super) shares: Vec<(String, String)>,
}

impl Encoded {
    fn reject(&mut self, path: &str, record: u64, reason: &'static str, raw: &[u8]) {
        let before = self.rejected.len();
        reject(path, record, reason, raw, &mut self.rejected);
        self.events.push(Event::Rejected(reason, self.rejected.len() - before));
    }

    pub(super) fn text_bytes(&self) -> u64 {
        let of = |event: &Event| match event {
            Event::Document { text_bytes, .. } => *text_bytes,
            _ => 0,
        };
        self.events.iter().map(of).sum()
    }
}

/// One worker's encoder and scratch.
pub(super) struct Worker<'a, E> {
    options: &'a Options,
    files: &'a [InputFile],
    encode: E,
    holdout_below: u64,
    ids: Vec<u32>,
}

impl<'a, E> Worker<'a, E>
where
    E: FnMut(&str, &mut Vec<u32>) -> Result<()>,
{
    pub(super) fn new(options: &'a Options, files: &'a [InputFile], encode: E) -> Self {
        // 2^64 as a float; a share of 1 saturates, so that nothing stays outside.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let holdout_below = (options.holdout * 18_446_744_073_709_551_616.0) as u64;
        Self { options, files, encode, holdout_below, ids: Vec::new() }
    }

    /// Encodes the lines behind `resume`.
    pub(super) fn encode(
        &mut self,
        file: usize,
        batch: &Batch,
        resume: Position,
    ) -> Result<Encoded> {
        let done = if file == resume.file {
            usize::try_from(resume.record.saturating_sub(batch.first_record)).unwrap_or(usize::MAX)
        } else {
            0
        };
        let lines = batch.lines.get(done..).unwrap_or_default();
        let mut encoded = Encoded {
            file,
            first_record: batch.first_record + done as u64,
            native: lines.len() as u64,
            ..Encoded::default()
        };
        for (number, line) in (encoded.first_record..).zip(lines) {
            self.line(batch, line, number, &mut encoded)?;
        }
        Ok(encoded)
    }

    fn line(&mut self, batch: &Batch, line: &Line, number: u64, to: &mut Encoded) -> Result<()> {
        let relative = &self.files[to.file].relative;
        let fields = match fields::parse(batch, line, &self.options.text_field) {
            Ok(fields) => fields,
            Err(Unreadable::EmptyText) => {
                to.events.push(Event::Dropped(Unreadable::EmptyText.reason()));
                return Ok(());
            }
            Err(fault) => {
                to.reject(relative, number, fault.reason(), batch.line(line));
                return Ok(());
            }
        };
        let kind = fields.kind.as_deref().unwrap_or("text");
        if !self.options.kinds.is_empty() && !self.options.kinds.iter().any(|wanted| wanted == kind)
        {
            to.events.push(Event::Dropped("other_group"));
            return Ok(());
        }
        if fields.text.len() > MAX_TEXT_BYTES {
            to.reject(relative, number, "text_too_long", batch.line(line));
            return Ok(());
        }
        self.ids.clear();
        (self.encode)(&fields.text, &mut self.ids)?;
        if self.ids.is_empty() {
            // A tokenizer may pass over white space, for example.
            to.events.push(Event::Dropped("no_tokens"));
            return Ok(());
        }
        if let Some(eod) = self.options.eod {
            // Special tokens are text here, but any token may have been named.
            if self.ids.contains(&eod) {
                to.reject(relative, number, "end_of_document_inside", batch.line(line));
                return Ok(());
            }
            self.ids.push(eod);
        }
        let path = || self.files[to.file].path.display().to_string();
        if i32::try_from(self.ids.len()).is_err() {
            return Err(too_long(&path(), self.ids.len()));
        }
        let id = fields.id.unwrap_or_else(|| Cow::Owned(format!("{relative}#{number}")));
        let held_out = self.options.holdout >= 1.0 || xxh3_64(id.as_bytes()) < self.holdout_below;
        let series = if held_out { Series::Valid } else { Series::Part };
        self.options.dtype.encode(&self.ids, &mut to.elements[series as usize]).map_err(
            |token| {
                Error::Argument(format!("{}: token {token} does not fit the element type", path()))
            },
        )?;
        to.ids[series as usize].extend_from_slice(id.as_bytes());
        to.ids[series as usize].push(b'\n');
        let share = share_of(&mut to.shares, fields.source.as_deref().unwrap_or("unknown"), kind);
        #[allow(clippy::cast_possible_truncation)] // checked above; ids are far below 4 GiB
        to.events.push(Event::Document {
            series,
            tokens: self.ids.len() as u32,
            id_bytes: id.len() as u32 + 1,
            text_bytes: fields.text.len() as u64,
            share,
        });
        Ok(())
    }
}

fn share_of(shares: &mut Vec<(String, String)>, source: &str, kind: &str) -> u32 {
    // A batch comes from one or two sources: the last ones are the likely ones.
    let found = shares.iter().rposition(|share| share.0 == source && share.1 == kind);
    let index = found.unwrap_or_else(|| {
        shares.push((source.to_owned(), kind.to_owned()));
        shares.len() - 1
    });
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Adds an event to the counts of a shard.
pub(super) fn count(event: &Event, dropped: &mut Reasons, rejected: &mut Reasons) {
    match event {
        Event::Document { .. } => {}
        Event::Dropped(reason) => add(dropped, reason, 1),
        Event::Rejected(reason, _) => add(rejected, reason, 1),
    }
}
