//! Record files to token shards on disk: text never leaves this module but as tokens.
//!
//! The reader decompresses and cuts lines, the workers take the text out of them and encode, the
//! writer appends to the shards in the order of the input. A shard is finished when its text
//! reaches the size asked for; what was read until then stands in its journal entry, so that a
//! killed run goes on behind it.

mod batch;
mod elements;
mod encode;
mod shard;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use encode::{Encode, RecordEncoder};
pub use shard::{FileEntry, ShardEntry};

use crate::chat::Render;
use crate::control::Control;
use crate::indexed::Dtype;
use crate::input::{Columns, InputFile, Job, UnitReader};
use crate::pipeline::{self, Limits};
use crate::pool::Pool;
use crate::{Error, Result};

/// What is made of the records.
#[derive(Clone, Debug)]
pub struct Options {
    /// The field that holds the text.
    pub text_field: String,
    /// The field that holds a list of spans, instead of a text: then shards have masks.
    pub spans_field: Option<String>,
    /// Renders `messages` and `tools` to spans, instead of a text: then, too.
    pub chat: Option<Arc<dyn Render>>,
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

impl Options {
    /// Returns whether each dataset has a mask beside it.
    #[must_use]
    pub fn has_masks(&self) -> bool {
        self.spans_field.is_some() || self.chat.is_some()
    }
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

/// Takes the ids of a text, in as many pieces as its encoder makes of them.
pub type Sink<'a> = dyn FnMut(&[u32]) -> Result<()> + 'a;

/// Takes the ids of a record in spans likewise, and for each of them 1 if it is trained, else 0.
pub type SpanSink<'a> = dyn FnMut(&[u32], &[u8]) -> Result<()> + 'a;

/// Bytes in flight for each line, however short: where it lies, what became of it, its id or its
/// entry among the rejected.
const LINE_WEIGHT: usize = 256;

/// The part of the memory in which encoded batches may lie that wait to be used again.
const IDLE_PART: usize = 8;

/// Bytes in flight for each worker, and for two more that stand for reader and writer: enough for
/// the others to go on while one encodes a record of some hundred MB.
const BUDGET_BYTES: usize = 1 << 26;

/// Encodes the records of a unit's files into shards in the journal.
///
/// `begin` makes one worker's encoder, which hands the ids of a text to a sink. It may do so in
/// pieces: ids become elements at once, and those of a long text go to disk, so that no record
/// takes a multiple of its size in memory.
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
    E: Encode,
{
    let (mut writer, resume) = shard::UnitWriter::open(options)?;
    let mut reader = UnitReader::new(files, options.memory_bytes, LINE_WEIGHT)
        .starting_at(resume)
        .reading(Columns::Fields(&options.text_field));
    let most = BUDGET_BYTES.saturating_mul(options.workers + 2);
    let memory_bytes = options.memory_bytes.min(most);
    let idle_bytes = memory_bytes / IDLE_PART;
    let used = Pool::new(idle_bytes);
    let others = idle_bytes + UnitReader::idle_bytes(options.memory_bytes);
    let limits = Limits::within(memory_bytes, options.workers, others);
    pipeline::run(
        limits,
        control,
        || reader.next_job(),
        || batch::Worker::new(options, files, &used, begin()),
        |worker, job: Job| worker.encode(job.file, &job.batch, resume),
        |encoded| {
            control.advance(encoded.native, encoded.text_bytes());
            writer.append(&encoded)?;
            used.give(encoded);
            Ok(())
        },
    )?;
    let shards = writer.finish()?;
    let read = reader.into_read();
    let problems = read.iter().filter_map(|file| file.problem.clone()).collect();
    let inputs = read.into_iter().map(|file| (file.records, file.bytes, file.xxh3)).collect();
    Ok(UnitSummary { shards, inputs, problems })
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
