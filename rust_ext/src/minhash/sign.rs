//! The step `sign`: a unit's records become entries, ids and signatures in one file.
//!
//! Unreadable lines go to the rejected file of the unit. A unit takes as much memory as its file
//! will take on disk ([`super::unit_file`]), beside the lines in flight.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::LINE_WEIGHT;
use super::Shape;
use super::sections::{Kind, Writer};
use super::shingle;
use super::signature::{EMPTY_SLOT, Permutations};
use super::unit_file::{ENTRY_BYTES, Entry, Status, UnitSummary};
use super::words::Scanner;
use crate::control::Control;
use crate::input::rejected::reject;
use crate::input::shares::Shares;
use crate::input::{FileRead, InputFile, Job, Scratch, UnitReader, Unreadable, fields};
use crate::output::ZstdFile;
use crate::pipeline::{self, Limits, Weigh};
use crate::{Error, Result};

/// What the step is to do with a unit.
#[derive(Clone, Debug)]
pub struct Options {
    /// How texts are compared.
    pub shape: Shape,
    /// Marks the file as one of this run.
    pub fingerprint: u64,
    /// The file to write.
    pub output: PathBuf,
    /// Where unreadable lines go, if there are any.
    pub rejected: PathBuf,
    /// Threads that sign.
    pub workers: usize,
    /// Bytes that lines in flight may take, and a single one.
    pub memory_bytes: usize,
}

/// Signs the records of a unit.
///
/// A truncated file is no error: it is named in the summary after all that could be read.
///
/// # Errors
/// `Io` from reading or writing, `Argument` for a shape that cannot work, `Interrupted`.
pub fn sign_unit(files: &[InputFile], options: &Options, control: &Control) -> Result<()> {
    let shape = options.shape.checked()?;
    let permutations = Permutations::new(shape.num_permutations(), shape.seed);
    let mut reader = UnitReader::new(files, options.memory_bytes, LINE_WEIGHT);
    let mut unit = Unit::new(shape, &options.rejected);
    let limits = Limits { workers: options.workers, budget_bytes: options.memory_bytes };
    pipeline::run(
        limits,
        control,
        || reader.next_job(),
        || (Scanner::new(), Scratch::default()),
        |(scanner, scratch), job: Job| {
            Ok(sign_batch(files, &job, shape.ngram_size, scanner, scratch, &permutations))
        },
        |signed| {
            control.advance(signed.entries.len() as u64, signed.text_bytes);
            unit.append(&signed)
        },
    )?;
    unit.finish(options, reader.into_read())
}

/// A batch, signed.
#[derive(Default)]
struct Signed {
    entries: Vec<Entry>,
    /// Row by row.
    slots: Vec<u32>,
    ids: Vec<u8>,
    rejected: Vec<u8>,
    reasons: BTreeMap<&'static str, u64>,
    shares: Shares,
    text_bytes: u64,
}

impl Weigh for Signed {
    fn weight(&self) -> usize {
        let entries = self.entries.capacity() * size_of::<Entry>() + self.slots.capacity() * 4;
        entries + self.ids.capacity() + self.rejected.capacity() + self.shares.held_bytes()
    }
}

fn sign_batch(
    files: &[InputFile],
    job: &Job,
    ngram_size: usize,
    scanner: &mut Scanner,
    scratch: &mut Scratch,
    permutations: &Permutations,
) -> Signed {
    let relative = &files[job.file].relative;
    let mut signed = Signed::default();
    let mut words = Vec::new();
    for (ordinal, line) in (job.batch.first_record..).zip(&job.batch.lines) {
        let row = signed.slots.len();
        signed.slots.resize(row + permutations.num_permutations(), EMPTY_SLOT);
        let entry = match fields::parse(&job.batch, line, "text", scratch) {
            Ok(fields) => {
                let slots = &mut signed.slots[row..];
                words.clear();
                scanner.scan(fields.text, &mut words);
                permutations.sign(&words, ngram_size, slots);
                let count = shingle::count(words.len(), ngram_size);
                let id = fields.id.unwrap_or_else(|| Cow::Owned(format!("{relative}#{ordinal}")));
                signed.ids.extend_from_slice(id.as_bytes());
                signed.text_bytes += fields.text.len() as u64;
                let source = fields.source.as_deref().unwrap_or("unknown");
                let kind = fields.kind.as_deref().unwrap_or("text");
                Entry {
                    text_hash: xxh3_128(fields.text.as_bytes()),
                    id_hash: xxh3_64(id.as_bytes()),
                    text_bytes: fields.text.len() as u64,
                    shingles: u32::try_from(count).unwrap_or(u32::MAX),
                    share: signed.shares.number(source, kind),
                    status: Status::Record,
                }
            }
            Err(Unreadable::EmptyText) => Entry { status: Status::EmptyText, ..Entry::NONE },
            Err(fault) => {
                let raw = job.batch.line(line);
                reject(relative, ordinal, fault.reason(), raw, &mut signed.rejected);
                *signed.reasons.entry(fault.reason()).or_default() += 1;
                Entry::NONE
            }
        };
        signed.ids.push(b'\n');
        signed.entries.push(entry);
    }
    signed
}

/// What has been signed of a unit.
struct Unit {
    shape: Shape,
    entries: Vec<u8>,
    bands: Vec<Vec<u8>>,
    ids: Vec<u8>,
    shares: Shares,
    reasons: BTreeMap<String, u64>,
    rejected_path: PathBuf,
    rejected: Option<ZstdFile>,
}

impl Unit {
    fn new(shape: Shape, rejected_path: &Path) -> Self {
        Self {
            shape,
            entries: Vec::new(),
            bands: vec![Vec::new(); shape.num_bands],
            ids: Vec::new(),
            shares: Shares::default(),
            reasons: BTreeMap::new(),
            rejected_path: rejected_path.to_path_buf(),
            rejected: None,
        }
    }

    fn append(&mut self, signed: &Signed) -> Result<()> {
        for entry in &signed.entries {
            let mut entry = *entry;
            if entry.status == Status::Record {
                let (source, kind) = &signed.shares.all()[entry.share as usize];
                entry.share = self.shares.number_within(source, kind);
            }
            entry.encode(&mut self.entries);
        }
        for row in signed.slots.chunks_exact(self.shape.num_permutations()) {
            for (band, slots) in
                self.bands.iter_mut().zip(row.chunks_exact(self.shape.rows_per_band))
            {
                for slot in slots {
                    band.extend_from_slice(&slot.to_le_bytes());
                }
            }
        }
        // Frames one after another are one stream, whatever they were cut by.
        let frame = zstd::bulk::compress(&signed.ids, 1)
            .map_err(|source| Error::io(&self.rejected_path, source))?;
        self.ids.extend_from_slice(&frame);
        for (reason, count) in &signed.reasons {
            *self.reasons.entry((*reason).to_owned()).or_default() += count;
        }
        if !signed.rejected.is_empty() && self.rejected.is_none() {
            self.rejected = Some(ZstdFile::create(&self.rejected_path)?);
        }
        match &mut self.rejected {
            Some(file) => file.append(&signed.rejected),
            None => Ok(()),
        }
    }

    fn finish(self, options: &Options, files: Vec<FileRead>) -> Result<()> {
        if let Some(file) = self.rejected {
            file.finish()?;
        }
        let records = (self.entries.len() / ENTRY_BYTES) as u64;
        let summary = UnitSummary { files, shares: self.shares.into_all(), rejected: self.reasons };
        let summary = serde_json::to_vec(&summary)
            .map_err(|error| Error::corrupt(&options.output, error.to_string()))?;
        let mut writer = Writer::create(&options.output, Kind::Signatures, options.fingerprint)?;
        writer.section(&self.entries)?;
        writer.section(&self.ids)?;
        writer.section(&summary)?;
        self.bands.iter().try_for_each(|band| writer.section(band))?;
        writer.finish(records)
    }
}
