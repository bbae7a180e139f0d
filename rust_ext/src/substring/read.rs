//! The texts of all units, read into one buffer.

use super::texts::{Member, Texts};
use super::{Options, check_memory};
use crate::control::Control;
use crate::cuts::gather::Copies;
use crate::input::member::has_messages;
use crate::input::{InputFile, Job, Scratch, UnitReader, fields};
use crate::minhash::unit_file::{Entry, SignedUnit, Status};
use crate::minhash::verdicts::Verdicts;
use crate::pipeline::{self, Limits, Weigh};
use crate::{Error, Result};

/// What each line weighs in flight, however short: its place and what is said of its text.
const LINE_WEIGHT: usize = 64 + size_of::<TextRead>();

/// Returns the records whose texts take part: all but the copies of others.
///
/// Those are counted for the memory that is needed, so that who knows the sizes of the inputs knows
/// whether they will be refused.
pub(super) fn members(units: &[SignedUnit], options: &Options) -> Result<Vec<Member>> {
    expect_memory(units, options.memory_bytes)?;
    let verdicts = Verdicts::open(&options.verdicts, options.fingerprint)?;
    let mut copies = Copies::new(&verdicts)?;
    let mut members = Vec::new();
    each_record(units, |record, entry| {
        if !copies.has(record)? {
            let (keep_key, text_bytes) = (entry.keep_key, entry.text_bytes);
            members.push(Member { record, keep_key, text_bytes });
        }
        Ok(())
    })?;
    Ok(members)
}

fn expect_memory(units: &[SignedUnit], memory_bytes: usize) -> Result<()> {
    let (mut text_bytes, mut records) = (0, 0);
    each_record(units, |_, entry| {
        text_bytes += entry.text_bytes;
        records += 1;
        Ok(())
    })?;
    check_memory(text_bytes, records, memory_bytes as u64)
}

fn each_record(
    units: &[SignedUnit],
    mut take: impl FnMut(u64, &Entry) -> Result<()>,
) -> Result<()> {
    let mut first = 0;
    for unit in units {
        for block in unit.blocks()? {
            let (line, entries) = block?;
            for (record, entry) in (first + line..).zip(&entries) {
                if entry.status == Status::Record {
                    take(record, entry)?;
                }
            }
        }
        first += unit.records();
    }
    Ok(())
}

/// Reads the texts that have room.
pub(super) fn read_texts(
    files: &[Vec<InputFile>],
    units: &[SignedUnit],
    texts: &mut Texts,
    options: &Options,
    control: &Control,
) -> Result<()> {
    let rest = options.memory_bytes.saturating_sub(texts.bytes().len());
    let limits = Limits::within(rest, options.workers, UnitReader::idle_bytes(rest));
    let mut first = 0;
    for (files, unit) in files.iter().zip(units) {
        let mut reader = UnitReader::new(files, options.memory_bytes, LINE_WEIGHT).idling(rest);
        pipeline::run(
            limits,
            control,
            || reader.next_job(),
            Scratch::default,
            |scratch, job: Job| Ok(read_batch(&job, first, scratch)),
            |read| {
                control.advance(read.texts.len() as u64, read.bytes.len() as u64);
                read.put(texts)
            },
        )?;
        reader.check_unchanged(&unit.summary()?.files)?;
        first += unit.records();
    }
    Ok(())
}

/// A text of a batch.
#[derive(Clone, Copy, Debug)]
struct TextRead {
    record: u64,
    text_bytes: usize,
    stays_whole: bool,
}

/// The texts of a batch, one after another.
#[derive(Default)]
struct BatchRead {
    texts: Vec<TextRead>,
    bytes: Vec<u8>,
}

impl Weigh for BatchRead {
    fn weight(&self) -> usize {
        self.bytes.capacity() + self.texts.capacity() * size_of::<TextRead>()
    }
}

fn read_batch(job: &Job, first: u64, scratch: &mut Scratch) -> BatchRead {
    let mut read = BatchRead::default();
    for (record, line) in (first + job.first_line..).zip(&job.batch.lines) {
        let Ok(fields) = fields::parse(&job.batch, line, "text", scratch) else { continue };
        read.bytes.extend_from_slice(fields.text.as_bytes());
        let stays_whole = has_messages(job.batch.line(line));
        read.texts.push(TextRead { record, text_bytes: fields.text.len(), stays_whole });
    }
    read
}

impl BatchRead {
    fn put(&self, texts: &mut Texts) -> Result<()> {
        let mut rest = &self.bytes[..];
        for text in &self.texts {
            let (bytes, after) = rest.split_at(text.text_bytes);
            rest = after;
            if texts.has(text.record) && !texts.put(text.record, bytes, text.stays_whole) {
                return Err(Error::Argument(format!(
                    "expected record {} as it was signed, its text has another length; an input \
                     has changed, run again into a new directory",
                    text.record
                )));
            }
        }
        Ok(())
    }
}
