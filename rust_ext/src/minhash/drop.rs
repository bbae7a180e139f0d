//! The step `drop`: the lines of a unit's survivors, byte for byte, into shards.
//!
//! Lines are not parsed again: what each is stands in the entries of its unit. A batch of lines is
//! one zstd frame, compressed by a worker, so that the writer only appends. Batches are cut by the
//! input alone, and so the bytes of a shard do not depend on the number of workers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::LINE_WEIGHT;
use super::unit_file::{Entry, SignedUnit, Status, UnitSummary, open_all};
use super::verdicts::{self, Kind, Verdict};
use crate::control::Control;
use crate::input::{FileRead, InputFile, Job, UnitReader};
use crate::output::{AtomicFile, FileSummary, Share};
use crate::pipeline::{self, Limits, Weigh};
use crate::{Error, Result};

/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// What the step is to do with a unit.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of the unit.
    pub unit: usize,
    /// Marks the files of this run.
    pub fingerprint: u64,
    /// Signatures of all units: their sizes tell which records are this one's.
    pub signatures: Vec<PathBuf>,
    /// What `connect` wrote.
    pub verdicts: PathBuf,
    /// The directory for shards; their names are `UUUUU-SSSSS-part.jsonl.zst`.
    pub journal: PathBuf,
    /// Bytes of text after which a shard is finished; `None`: one shard, be it empty.
    pub shard_text_bytes: Option<u64>,
    /// Threads that compress.
    pub workers: usize,
    /// Bytes that lines in flight may take, and a single one.
    pub memory_bytes: usize,
}

/// A shard that was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ShardWritten {
    /// Its records.
    pub records: u64,
    /// Bytes of their text.
    pub text_bytes: u64,
    /// By source and kind.
    pub composition: Vec<Share>,
    /// The file.
    pub file: FileSummary,
}

/// What became of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnitDropped {
    /// Its shards, in order.
    pub shards: Vec<ShardWritten>,
    /// Lines that are not blank.
    pub native: u64,
    /// Dropped records by rule.
    pub dropped: BTreeMap<String, u64>,
    /// Unreadable lines by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Its files.
    pub inputs: Vec<FileRead>,
    /// Clusters whose survivor is in the unit.
    pub clusters: u64,
}

/// Writes the survivors of a unit.
///
/// # Errors
/// `Corrupt` when an intermediate file is damaged or of another run, or an input has changed since
/// it was signed; `Io`; `Interrupted`.
pub fn drop_unit(files: &[InputFile], options: &Options, control: &Control) -> Result<UnitDropped> {
    let signed = open_all(&options.signatures, options.fingerprint)?;
    let first: u64 = signed[..options.unit].iter().map(SignedUnit::records).sum();
    let entries = signed[options.unit].entries(0, u64::MAX)?;
    let summary = signed[options.unit].summary()?;
    let verdicts = verdicts_of(options, first, entries.len() as u64)?;
    let fates = fates(&entries, &verdicts, first);
    let mut reader = UnitReader::new(files, options.memory_bytes, LINE_WEIGHT);
    let mut writer = ShardWriter { options, summary: &summary, open: None, finished: Vec::new() };
    let limits = Limits { workers: options.workers, budget_bytes: options.memory_bytes };
    pipeline::run(
        limits,
        control,
        || reader.next_job(),
        || (),
        |(), job: Job| survivors(&job, &entries, &fates, options),
        |kept| {
            control.advance(kept.lines, kept.text_bytes);
            writer.append(&kept)
        },
    )?;
    reader.check_unchanged(&summary.files)?;
    let shards = writer.finish()?;
    let count = |fate| fates.iter().filter(|&&each| each == fate).count() as u64;
    let dropped = [
        ("empty_text", count(Fate::EmptyText)),
        ("exact_duplicate", count(Fate::Exact)),
        ("near_duplicate", count(Fate::Near)),
    ];
    let clusters = verdicts.iter().filter(|verdict| verdict.kind == Kind::Survivor).count() as u64;
    Ok(UnitDropped {
        shards,
        native: entries.len() as u64,
        dropped: dropped
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(rule, count)| (rule.to_owned(), count))
            .collect(),
        rejected: summary.rejected.clone(),
        inputs: summary.files.clone(),
        clusters,
    })
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Exact,
    Near,
    EmptyText,
    Rejected,
}

/// Reads the verdicts on the records from `first` on, `count` of them.
fn verdicts_of(options: &Options, first: u64, count: u64) -> Result<Vec<Verdict>> {
    let all = verdicts::read(&options.verdicts, options.fingerprint)?;
    let at = |limit| all.partition_point(|verdict| verdict.record < limit);
    Ok(all[at(first)..at(first + count)].to_vec())
}

fn fates(entries: &[Entry], verdicts: &[Verdict], first: u64) -> Vec<Fate> {
    let of = |entry: &Entry| match entry.status {
        Status::Record => Fate::Kept,
        Status::EmptyText => Fate::EmptyText,
        Status::Rejected => Fate::Rejected,
    };
    let mut fates: Vec<Fate> = entries.iter().map(of).collect();
    for verdict in verdicts {
        let line = usize::try_from(verdict.record - first).unwrap_or(usize::MAX);
        match verdict.kind {
            Kind::Survivor => {}
            Kind::Exact => fates[line] = Fate::Exact,
            Kind::Near => fates[line] = Fate::Near,
        }
    }
    fates
}

/// What is left of a batch.
#[derive(Default)]
struct KeptLines {
    lines: u64,
    records: u64,
    text_bytes: u64,
    /// Number of the share -> records, bytes of text.
    shares: BTreeMap<u32, (u64, u64)>,
    /// One frame; empty if nothing is left.
    frame: Vec<u8>,
}

impl Weigh for KeptLines {
    fn weight(&self) -> usize {
        self.frame.capacity()
    }
}

fn survivors(job: &Job, entries: &[Entry], fates: &[Fate], options: &Options) -> Result<KeptLines> {
    let start = usize::try_from(job.first_line).unwrap_or(usize::MAX);
    let mut kept = KeptLines { lines: job.batch.lines.len() as u64, ..KeptLines::default() };
    let mut lines = Vec::with_capacity(job.batch.filled());
    for (number, line) in (start..).zip(&job.batch.lines) {
        // A file that grew has more lines than entries; the check at its end names it.
        let (Some(entry), Some(Fate::Kept)) = (entries.get(number), fates.get(number)) else {
            continue;
        };
        if line.is_oversized {
            // Only its head was read: what was signed with more memory must be dropped with it.
            return Err(Error::Argument(format!(
                "expected memory for line {number} of unit {}, which was signed with more; give \
                 drop the --memory that sign had",
                options.unit
            )));
        }
        lines.extend_from_slice(job.batch.line(line));
        lines.push(b'\n');
        kept.records += 1;
        kept.text_bytes += entry.text_bytes;
        let share = kept.shares.entry(entry.share).or_default();
        share.0 += 1;
        share.1 += entry.text_bytes;
    }
    if !lines.is_empty() {
        kept.frame = zstd::bulk::compress(&lines, ZSTD_LEVEL)
            .map_err(|source| Error::io(&options.journal, source))?;
    }
    Ok(kept)
}

/// The shard being written.
struct Open {
    file: AtomicFile,
    records: u64,
    text_bytes: u64,
    shares: BTreeMap<u32, (u64, u64)>,
}

/// Appends what is left to the shards of a unit.
struct ShardWriter<'a> {
    options: &'a Options,
    summary: &'a UnitSummary,
    open: Option<Open>,
    finished: Vec<ShardWritten>,
}

impl ShardWriter<'_> {
    fn append(&mut self, kept: &KeptLines) -> Result<()> {
        if kept.records == 0 {
            return Ok(());
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin()?,
        };
        open.file.append(&kept.frame)?;
        open.records += kept.records;
        open.text_bytes += kept.text_bytes;
        for (share, (records, text_bytes)) in &kept.shares {
            let sum = open.shares.entry(*share).or_default();
            sum.0 += records;
            sum.1 += text_bytes;
        }
        if self.options.shard_text_bytes.is_some_and(|limit| open.text_bytes >= limit) {
            return self.end(open);
        }
        self.open = Some(open);
        Ok(())
    }

    fn begin(&self) -> Result<Open> {
        let (unit, shard) = (self.options.unit, self.finished.len());
        let name = format!("{unit:05}-{shard:05}-part.jsonl.zst");
        let file = AtomicFile::create(&self.options.journal.join(name))?;
        Ok(Open { file, records: 0, text_bytes: 0, shares: BTreeMap::new() })
    }

    fn end(&mut self, open: Open) -> Result<()> {
        let mut composition: Vec<Share> = open
            .shares
            .into_iter()
            .map(|(share, (records, text_bytes))| {
                let (source, kind) = self.summary.shares[share as usize].clone();
                Share { source, kind, records, text_bytes }
            })
            .collect();
        composition.sort_by(|a, b| (&a.source, &a.kind).cmp(&(&b.source, &b.kind)));
        let (records, text_bytes) = (open.records, open.text_bytes);
        let file = open.file.finish()?;
        self.finished.push(ShardWritten { records, text_bytes, composition, file });
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<ShardWritten>> {
        let is_due = self.finished.is_empty() && self.options.shard_text_bytes.is_none();
        match self.open.take() {
            Some(open) => self.end(open)?,
            None if is_due => {
                // A shard without records is one empty frame: a file of no bytes is no zstd.
                let mut open = self.begin()?;
                let frame = zstd::bulk::compress(&[], ZSTD_LEVEL)
                    .map_err(|source| Error::io(&self.options.journal, source))?;
                open.file.append(&frame)?;
                self.end(open)?;
            }
            None => {}
        }
        Ok(self.finished)
    }
}
