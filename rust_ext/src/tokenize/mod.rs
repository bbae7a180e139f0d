//! Record files to token shards on disk: text never leaves this module but as tokens.
//!
//! The reader decompresses and cuts lines, the workers take the text out of them and encode, the
//! writer appends to the shards in the order of the input. A shard is finished when its text
//! reaches the size asked for; what was read until then stands in its journal entry, so that a
//! killed run goes on behind it.

mod batch;
mod shard;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use shard::{FileEntry, Position, ShardEntry};

use crate::control::Control;
use crate::indexed::Dtype;
use crate::input::{Batch, Columns, InputFile, Records};
use crate::pipeline::{self, Limits, Weigh};
use crate::{Error, Result};

/// What is made of the records.
#[derive(Clone, Debug)]
pub struct Options {
    /// The field that holds the text.
    pub text_field: String,
    /// Only records whose kind is among these; empty: all.
    pub kinds: Vec<String>,
    /// The token that ends a document.
    pub eod: Option<u32>,
    /// Element type of the shards.
    pub dtype: Dtype,
    /// Share of the documents, chosen by id, that is held out.
    pub holdout: f64,
    /// Bytes of text after which a shard is finished; `None`: one shard for the unit.
    pub shard_text_bytes: Option<u64>,
    /// The directory of the journal, and this unit's number in it.
    pub journal: PathBuf,
    /// This unit's number.
    pub unit: u64,
    /// Threads that encode.
    pub workers: usize,
    /// Bytes that records in flight may take.
    pub memory_bytes: usize,
}

/// What became of a unit.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct UnitSummary {
    /// Its shards, in order.
    pub shards: Vec<ShardEntry>,
    /// Records, bytes and hash of each input file.
    pub inputs: Vec<(u64, u64, String)>,
    /// Inputs that broke off.
    pub problems: Vec<String>,
}

/// Text read at a time; a few milliseconds of work for one worker.
const BATCH_BYTES: usize = 1 << 20;

/// Bytes in flight for each byte of a batch: itself, its tokens, its ids.
const WEIGHT: usize = 3;

/// Bytes in flight for each line, however short: where it lies, what became of it, its id or its
/// entry among the rejected.
const LINE_WEIGHT: usize = 256;

struct Job {
    batch: Batch,
    file: usize,
}

impl Weigh for Job {
    fn weight(&self) -> usize {
        self.batch.bytes.len() * WEIGHT + self.batch.lines.len() * LINE_WEIGHT
    }
}

/// Encodes the records of a unit's files into shards in the journal.
///
/// `begin` makes one worker's encoder, which appends the ids of a text.
///
/// # Errors
/// `Io` from reading or writing; what an encoder returns; `Interrupted`. A truncated file is no
/// error: it is named in the summary after all that could be read was written.
pub fn tokenize_unit<E>(
    files: &[InputFile],
    options: &Options,
    begin: impl Fn() -> E + Sync,
    control: &Control,
) -> Result<UnitSummary>
where
    E: FnMut(&str, &mut Vec<u32>) -> Result<()>,
{
    let (mut writer, resume) = shard::UnitWriter::open(options)?;
    let mut reader = UnitReader::new(files, options, resume);
    let limits = Limits { workers: options.workers, budget_bytes: options.memory_bytes };
    pipeline::run(
        limits,
        control,
        || reader.next(),
        || batch::Worker::new(options, files, begin()),
        |worker, job: Job| worker.encode(job.file, &job.batch, resume),
        |encoded| {
            control.advance(encoded.native, encoded.text_bytes());
            writer.append(&encoded)
        },
    )?;
    let shards = writer.finish()?;
    let (inputs, problems) = (std::mem::take(&mut reader.inputs), reader.problems);
    Ok(UnitSummary { shards, inputs, problems })
}

/// The files of a unit as one stream of batches.
struct UnitReader<'a> {
    files: &'a [InputFile],
    text_field: &'a str,
    max_line_bytes: usize,
    resume: Position,
    next_file: usize,
    current: Option<Records>,
    records: u64,
    inputs: Vec<(u64, u64, String)>,
    problems: Vec<String>,
}

impl<'a> UnitReader<'a> {
    fn new(files: &'a [InputFile], options: &'a Options, resume: Position) -> Self {
        Self {
            files,
            text_field: &options.text_field,
            max_line_bytes: options.memory_bytes,
            resume,
            next_file: 0,
            current: None,
            records: 0,
            inputs: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn next(&mut self) -> Result<Option<Job>> {
        loop {
            let Some(batches) = &mut self.current else {
                let Some(file) = self.files.get(self.next_file) else { return Ok(None) };
                let columns = Columns::Fields(self.text_field);
                let limit = self.max_line_bytes;
                self.current = Some(Records::open(&file.path, columns, BATCH_BYTES, limit)?);
                self.next_file += 1;
                self.records = 0;
                continue;
            };
            let file = self.next_file - 1;
            if let Some(batch) = batches.next_batch(Batch::default())? {
                self.records += batch.lines.len() as u64;
                // What stands before the position is in finished shards: read past, not encoded.
                if (Position { file, record: self.records }) <= self.resume {
                    continue;
                }
                return Ok(Some(Job { batch, file }));
            }
            self.end_file(file)?;
        }
    }

    fn end_file(&mut self, file: usize) -> Result<()> {
        let Some(batches) = self.current.take() else { return Ok(()) };
        let (summary, damage) = batches.finish()?;
        if let Some(damage) = damage {
            self.problems.push(format!("{}: {damage}", self.files[file].path.display()));
        }
        self.inputs.push((self.records, summary.bytes, summary.xxh3));
        Ok(())
    }
}

/// Counts by reason.
pub type Reasons = BTreeMap<String, u64>;

fn add(reasons: &mut Reasons, reason: &str, count: u64) {
    if let Some(sum) = reasons.get_mut(reason) {
        *sum += count;
    } else {
        reasons.insert(reason.to_owned(), count);
    }
}

/// A document whose number of tokens the format cannot hold is an error of this kind.
fn too_long(path: &str, tokens: usize) -> Error {
    Error::Argument(format!(
        "{path}: a document of {tokens} tokens, an index holds 2147483647 at most; split it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lines_weigh_what_is_made_of_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        std::fs::write(&path, "1\n".repeat(1_000)).unwrap();
        let records = Records::open(&path, Columns::All, BATCH_BYTES, BATCH_BYTES);
        let batch = records.unwrap().next_batch(Batch::default());
        let job = Job { batch: batch.unwrap().unwrap(), file: 0 };
        // Each takes some 120 bytes among the rejected alone.
        assert!(job.weight() > 1_000 * 200, "{}", job.weight());
    }
}
