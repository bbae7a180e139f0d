//! A batch of lines becomes documents: what one worker does.

mod messages;
mod spans;

use std::borrow::Cow;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::elements::Elements;
use super::encode::Encode;
use super::{Options, Reasons, add, too_long};
use crate::Result;
use crate::input::lines::Line;
use crate::input::rejected::reject;
use crate::input::shares::Shares;
use crate::input::{Batch, InputFile, Position, Scratch, Unreadable, fields};
use crate::pipeline::Weigh;
use crate::pool::{Pool, Reuse};
use crate::tokenizer::MAX_TEXT_BYTES;

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
    /// A document of so many tokens and bytes of id, text; the number of its share; how often its
    /// data spells a token.
    Document {
        series: Series,
        tokens: u32,
        id_bytes: u32,
        text_bytes: u32,
        share: u32,
        literal_tokens: u32,
    },
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
    pub(super) elements: [Elements; 2],
    /// 1 for each element that is trained, else 0, where records come in spans.
    pub(super) masks: [Vec<u8>; 2],
    /// Ids of the documents of each series, a line each.
    pub(super) ids: [Vec<u8>; 2],
    /// Entries for the rejected file, a line each.
    pub(super) rejected: Vec<u8>,
    /// Source and kind of the documents; events point here.
    pub(super) shares: Shares,
}

impl Weigh for Encoded {
    fn weight(&self) -> usize {
        self.held_bytes()
    }
}

impl Reuse for Encoded {
    fn held_bytes(&self) -> usize {
        let elements: usize = self.elements.iter().map(Elements::held_bytes).sum();
        let ids: usize = self.ids.iter().map(Vec::capacity).sum();
        let events = self.events.capacity() * size_of::<Event>();
        let masks: usize = self.masks.iter().map(Vec::capacity).sum();
        elements + masks + ids + events + self.rejected.capacity() + self.shares.held_bytes()
    }
}

impl Encoded {
    /// Forgets what it held and keeps the memory.
    fn begin(&mut self, file: usize, first_record: u64, native: u64) {
        (self.file, self.first_record, self.native) = (file, first_record, native);
        self.events.clear();
        self.elements.iter_mut().for_each(Elements::clear);
        self.masks.iter_mut().for_each(Vec::clear);
        self.ids.iter_mut().for_each(Vec::clear);
        self.rejected.clear();
        self.shares.clear();
    }

    fn reject(&mut self, path: &str, record: u64, reason: &'static str, raw: &[u8]) {
        let before = self.rejected.len();
        reject(path, record, reason, raw, &mut self.rejected);
        self.events.push(Event::Rejected(reason, self.rejected.len() - before));
    }

    /// Notes a document whose elements were appended.
    fn document(&mut self, series: Series, tokens: u32, id: &str, text_bytes: u32, share: u32) {
        self.ids[series as usize].extend_from_slice(id.as_bytes());
        self.ids[series as usize].push(b'\n');
        #[allow(clippy::cast_possible_truncation)] // an id is shorter than its line
        let id_bytes = id.len() as u32 + 1;
        self.events.push(Event::Document {
            series,
            tokens,
            id_bytes,
            text_bytes,
            share,
            literal_tokens: 0,
        });
    }

    pub(super) fn text_bytes(&self) -> u64 {
        let of = |event: &Event| match event {
            Event::Document { text_bytes, .. } => u64::from(*text_bytes),
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
    used: &'a Pool<Encoded>,
    holdout_below: u64,
    scratch: Scratch,
}

impl<'a, E: Encode> Worker<'a, E> {
    pub(super) fn new(
        options: &'a Options,
        files: &'a [InputFile],
        used: &'a Pool<Encoded>,
        encode: E,
    ) -> Self {
        // 2^64 as a float; a share of 1 saturates, so that nothing stays outside.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let holdout_below = (options.holdout * 18_446_744_073_709_551_616.0) as u64;
        Self { options, files, encode, used, holdout_below, scratch: Scratch::default() }
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
        let mut encoded = self.used.take();
        encoded.begin(file, batch.first_record + done as u64, lines.len() as u64);
        if let Some(chat) = &self.options.chat {
            self.lines_of_messages(batch, lines, chat.as_ref(), &mut encoded)?;
            return Ok(encoded);
        }
        for (number, line) in (encoded.first_record..).zip(lines) {
            match &self.options.spans_field {
                None => self.line(batch, line, number, &mut encoded)?,
                Some(field) => self.line_of_spans(batch, line, number, field, &mut encoded)?,
            }
        }
        Ok(encoded)
    }

    fn line(&mut self, batch: &Batch, line: &Line, number: u64, to: &mut Encoded) -> Result<()> {
        let (options, relative) = (self.options, &self.files[to.file].relative);
        let fields = match fields::parse(batch, line, &options.text_field, &mut self.scratch) {
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
        if !is_wanted(options, kind) {
            to.events.push(Event::Dropped("other_group"));
            return Ok(());
        }
        let Some(text_bytes) =
            u32::try_from(fields.text.len()).ok().filter(|&bytes| bytes as usize <= MAX_TEXT_BYTES)
        else {
            to.reject(relative, number, "text_too_long", batch.line(line));
            return Ok(());
        };
        let id = fields.id.unwrap_or_else(|| Cow::Owned(format!("{relative}#{number}")));
        let series = series_of(options, self.holdout_below, &id);
        let path = &self.files[to.file].path;
        let elements = &mut to.elements[series as usize];
        let tokens = match document(&mut self.encode, options, fields.text, path, elements)? {
            Document::Written(tokens) => tokens,
            Document::Empty => {
                // A tokenizer may pass over white space, for example.
                to.events.push(Event::Dropped("no_tokens"));
                return Ok(());
            }
            Document::EodInside => {
                to.reject(relative, number, "end_of_document_inside", batch.line(line));
                return Ok(());
            }
        };
        let share = to.shares.number(fields.source.as_deref().unwrap_or("unknown"), kind);
        to.document(series, tokens, &id, text_bytes, share);
        Ok(())
    }
}

fn is_wanted(options: &Options, kind: &str) -> bool {
    options.kinds.is_empty() || options.kinds.iter().any(|wanted| wanted == kind)
}

fn series_of(options: &Options, holdout_below: u64, id: &str) -> Series {
    let held_out = options.holdout >= 1.0 || xxh3_64(id.as_bytes()) < holdout_below;
    if held_out { Series::Valid } else { Series::Part }
}

/// What a text became.
enum Document {
    /// So many elements.
    Written(u32),
    Empty,
    /// Special tokens are text here, but any token may have been named as the end of documents.
    EodInside,
}

/// Appends the elements of a text, as its ids come.
fn document(
    encode: &mut impl Encode,
    options: &Options,
    text: &str,
    path: &Path,
    elements: &mut Elements,
) -> Result<Document> {
    let start = elements.len();
    // Every worker has its own file, and it has no name of this kind.
    let beside = options.journal.join("elements");
    let (mut tokens, mut has_eod) = (0_usize, false);
    encode.text(text, &mut |ids| {
        tokens += ids.len();
        has_eod |= options.eod.is_some_and(|eod| contains(ids, eod));
        // The rest of a document that is rejected needs no room.
        if has_eod { Ok(()) } else { elements.append(ids, options.dtype, &beside) }
    })?;
    if has_eod {
        elements.truncate(start);
        return Ok(Document::EodInside);
    }
    if tokens == 0 {
        return Ok(Document::Empty);
    }
    if let Some(eod) = options.eod {
        elements.append(&[eod], options.dtype, &beside)?;
        tokens += 1;
    }
    count_of(tokens, path).map(Document::Written)
}

/// Returns the number of tokens as an index holds it.
fn count_of(tokens: usize, path: &Path) -> Result<u32> {
    i32::try_from(tokens)
        .map(i32::cast_unsigned)
        .map_err(|_| too_long(&path.display().to_string(), tokens))
}

/// Returns whether an id is among others. Within a chunk there is no early end: so it is vector
/// code.
fn contains(ids: &[u32], wanted: u32) -> bool {
    ids.chunks(64).any(|ids| ids.iter().map(|&id| u32::from(id == wanted)).sum::<u32>() > 0)
}

/// Adds an event to the counts of a shard.
pub(super) fn count(event: &Event, dropped: &mut Reasons, rejected: &mut Reasons) {
    match event {
        Event::Document { .. } => {}
        Event::Dropped(reason) => add(dropped, reason, 1),
        Event::Rejected(reason, _) => add(rejected, reason, 1),
    }
}
