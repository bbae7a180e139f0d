//! The step `drop`: the lines of a unit's survivors, byte for byte, into shards.
//!
//! Lines are not parsed again: what each is stands in the entries of its unit and the verdicts,
//! which are read along ([`super::survivors`]). Plain shards are written straight from what was
//! read, whole ranges of lines at a time. Of compressed ones a batch of lines is one zstd frame,
//! made by a worker, so that the writer only appends. Batches are cut by the input alone, and so the
//! bytes of a shard do not depend on the number of workers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::cut_lines::CutCounts;
use super::survivors::{KeptLines, Passed, Piece, Survivors};
use super::unit_file::{SignedUnit, UnitSummary, open_all};
use super::verdicts::Verdicts;
use crate::control::Control;
use crate::cuts::file::Cuts;
use crate::input::{FileRead, InputFile, Scratch, UnitReader};
use crate::output::{AtomicFile, FileSummary, Share};
use crate::pipeline::{self, Limits, Weigh};
use crate::{Error, Result};

/// What is made of a line, however short: two pieces, in a list with room for as many more.
const LINE_WEIGHT: usize = 4 * size_of::<Piece>();

/// How shards are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As lines, nothing else.
    Jsonl,
    /// Compressed by zstd at this level.
    JsonlZst(i32),
}

impl Format {
    /// Returns the format of this name; `level` is for the one that compresses.
    ///
    /// # Errors
    /// `Argument` when there is no such format or level.
    pub fn named(name: &str, level: i32) -> Result<Self> {
        match name {
            "jsonl" => Ok(Self::Jsonl),
            "jsonl.zst" if (1..=22).contains(&level) => Ok(Self::JsonlZst(level)),
            "jsonl.zst" => Err(Error::Argument(format!(
                "expected a compression level from 1 to 22, got {level}"
            ))),
            _ => Err(Error::Argument(format!("expected jsonl.zst or jsonl, got {name}"))),
        }
    }

    /// Returns the extension of a shard's name.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jsonl => ".jsonl",
            Self::JsonlZst(_) => ".jsonl.zst",
        }
    }
}

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
    /// What is cut out of texts, where something is.
    pub cuts: Option<PathBuf>,
    /// The directory for shards; their names are `UUUUU-SSSSS-part` and the extension.
    pub journal: PathBuf,
    /// Bytes of text after which a shard is finished; `None`: one shard, be it empty.
    pub shard_text_bytes: Option<u64>,
    /// How shards are stored.
    pub format: Format,
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
    /// Figures that add up over the units: clusters whose survivor is in the unit, and with the
    /// first unit those of the whole run.
    pub details: BTreeMap<String, u64>,
}

/// Writes the survivors of a unit.
///
/// # Errors
/// `Corrupt` when an intermediate file is damaged or of another run, or an input has changed since
/// it was signed; `Io`; `Interrupted`.
pub fn drop_unit(files: &[InputFile], options: &Options, control: &Control) -> Result<UnitDropped> {
    let units = open_all(&options.signatures, options.fingerprint)?;
    let first: u64 = units[..options.unit].iter().map(SignedUnit::records).sum();
    let unit = &units[options.unit];
    let summary = unit.summary()?;
    let verdicts = Verdicts::open(&options.verdicts, options.fingerprint)?;
    let cuts = options.cuts.as_ref().map(|path| Cuts::open(path, options.fingerprint));
    let cuts = cuts.transpose()?;
    let mut survivors = Survivors {
        unit: options.unit,
        first,
        count: unit.records(),
        lines: unit.lines()?,
        verdicts: verdicts.starting_at(first)?,
        cuts: cuts.as_ref().map(|cuts| cuts.starting_at(first)).transpose()?,
        passed: Passed::default(),
    };
    let mut reader = UnitReader::new(files, options.memory_bytes, LINE_WEIGHT);
    let mut writer = ShardWriter { options, summary: &summary, open: None, finished: Vec::new() };
    let mut cut = CutCounts::default();
    let others = UnitReader::idle_bytes(options.memory_bytes);
    let limits = Limits::within(options.memory_bytes, options.workers, others);
    pipeline::run(
        limits,
        control,
        || reader.next_job()?.map(|job| survivors.of(job)).transpose(),
        || Packer::new(options.format),
        |packer, kept| packer.pack(kept, options),
        |packed| {
            control.advance(packed.kept.job.batch.lines.len() as u64, packed.kept.text_bytes);
            cut.add(packed.cut);
            writer.append(&packed)
        },
    )?;
    reader.check_unchanged(&summary.files)?;
    let passed = survivors.passed;
    let shards = writer.finish()?;
    let dropped = [
        ("empty_text", passed.empty_text),
        ("exact_duplicate", passed.exact),
        ("near_duplicate", passed.near),
        ("same_url", passed.url),
        ("nothing_left", cut.nothing_left),
    ];
    Ok(UnitDropped {
        shards,
        native: unit.records(),
        dropped: dropped
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(rule, count)| (rule.to_owned(), count))
            .collect(),
        details: details(options, &verdicts, passed, cut)?,
        rejected: summary.rejected,
        inputs: summary.files,
    })
}

fn details(
    options: &Options,
    verdicts: &Verdicts,
    passed: Passed,
    cut: CutCounts,
) -> Result<BTreeMap<String, u64>> {
    let mut details = BTreeMap::from([("clusters".to_owned(), passed.clusters)]);
    if options.cuts.is_some() {
        details.insert("pieces_cut".to_owned(), cut.pieces);
        details.insert("bytes_cut".to_owned(), cut.bytes);
    }
    if options.unit == 0 {
        let run = verdicts.summary()?;
        details.insert("giant_buckets".to_owned(), run.giant_buckets);
        details.insert("largest_bucket".to_owned(), run.largest_bucket);
        details.insert("full_clusters".to_owned(), run.full_clusters);
    }
    Ok(details)
}

/// Survivors of a batch as they are written.
struct Packed {
    kept: KeptLines,
    cut: CutCounts,
    /// One frame, where the shard is compressed and something survives.
    frame: Vec<u8>,
}

impl Weigh for Packed {
    fn weight(&self) -> usize {
        self.kept.held_bytes() + self.frame.capacity()
    }
}

/// Packs batches, on a thread of its own.
struct Packer {
    format: Format,
    compressor: Option<zstd::bulk::Compressor<'static>>,
    lines: Vec<u8>,
    scratch: Scratch,
}

impl Packer {
    fn new(format: Format) -> Self {
        Self { format, compressor: None, lines: Vec::new(), scratch: Scratch::default() }
    }

    fn pack(&mut self, mut kept: KeptLines, options: &Options) -> Result<Packed> {
        let cut = kept.cut(&mut self.scratch)?;
        let mut frame = Vec::new();
        if let Format::JsonlZst(level) = self.format
            && kept.records > 0
        {
            let named = |source| Error::io(&options.journal, source);
            let compressor = match &mut self.compressor {
                Some(compressor) => compressor,
                none => none.insert(zstd::bulk::Compressor::new(level).map_err(named)?),
            };
            self.lines.clear();
            for piece in &kept.pieces {
                self.lines.extend_from_slice(kept.bytes(piece));
            }
            frame = compressor.compress(&self.lines).map_err(named)?;
            // A long line must not hold its memory to the end of the unit.
            self.lines.shrink_to(2 * crate::input::unit::BATCH_BYTES);
        }
        Ok(Packed { kept, cut, frame })
    }
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
    fn append(&mut self, packed: &Packed) -> Result<()> {
        let kept = &packed.kept;
        if kept.records == 0 {
            return Ok(());
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin()?,
        };
        match self.options.format {
            Format::Jsonl => {
                let pieces = kept.pieces.iter().map(|piece| kept.bytes(piece));
                open.file.append_all(pieces)?;
            }
            Format::JsonlZst(_) => open.file.append(&packed.frame)?,
        }
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
        let extension = self.options.format.extension();
        let name = format!("{unit:05}-{shard:05}-part{extension}");
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
                let mut open = self.begin()?;
                if let Format::JsonlZst(level) = self.options.format {
                    // One empty frame: a file of no bytes is no zstd.
                    let frame = zstd::bulk::compress(&[], level)
                        .map_err(|source| Error::io(&self.options.journal, source))?;
                    open.file.append(&frame)?;
                }
                self.end(open)?;
            }
            None => {}
        }
        Ok(self.finished)
    }
}
