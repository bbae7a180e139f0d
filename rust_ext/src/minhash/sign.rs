//! The step `sign`: a unit's records become entries, ids and signatures in one file.
//!
//! Sections of `UUUUU.sign`, one entry for every line that is not blank:
//!
//! | section | is |
//! |---|---|
//! | 0 | entries of 40 bytes, see [`Entry`] |
//! | 1 | ids, a line each, zstd; empty where the line is no record |
//! | 2 | [`UnitSummary`] as JSON |
//! | 3 + b | band b: `rows_per_band` slots of 4 bytes for every entry |
//!
//! Signatures stand band by band, so that a band is found without reading the others. A unit takes
//! 40 bytes and 4 for each slot a record, here and in memory, and its ids compressed: 488 bytes
//! and about 10 with 112 slots.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::Shape;
use super::reading::{Job, UnitReader};
use super::sections::{Kind, Reader, Writer, number};
use super::shingle::Shingler;
use super::signature::{EMPTY_SLOT, Permutations};
use crate::control::Control;
use crate::input::{Unreadable, fields};
use crate::output::ZstdFile;
use crate::pipeline::{self, Limits};
use crate::tokenize::{InputFile, reject};
use crate::{Error, Result};

/// Bytes of an [`Entry`].
pub const ENTRY_BYTES: usize = 40;

const ENTRIES: usize = 0;
const IDS: usize = 1;
const SUMMARY: usize = 2;
const FIRST_BAND: usize = 3;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A record.
    Record = 0,
    /// A record without text, dropped.
    EmptyText = 1,
    /// Unreadable, in the rejected file.
    Rejected = 2,
}

/// What is kept of a line.
///
/// | offset | bytes | is |
/// |---|---|---|
/// | 0 | 16 | xxh3 (128 bits) of the text |
/// | 16 | 8 | xxh3 (64 bits) of the id |
/// | 24 | 8 | bytes of text |
/// | 32 | 4 | shingles, at most 2^32 - 1; 0: never a near-duplicate |
/// | 36 | 4 | status in the upper 2 bits, number of the share in the lower 30 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// xxh3 (128 bits) of the text.
    pub text_hash: u128,
    /// xxh3 (64 bits) of the id.
    pub id_hash: u64,
    /// Bytes of text.
    pub text_bytes: u64,
    /// Shingles, repetitions counted.
    pub shingles: u32,
    /// Index into [`UnitSummary::shares`].
    pub share: u32,
    /// What the line is.
    pub status: Status,
}

impl Entry {
    const NONE: Self = Self {
        text_hash: 0,
        id_hash: 0,
        text_bytes: 0,
        shingles: 0,
        share: 0,
        status: Status::Rejected,
    };

    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.text_hash.to_le_bytes());
        to.extend_from_slice(&self.id_hash.to_le_bytes());
        to.extend_from_slice(&self.text_bytes.to_le_bytes());
        to.extend_from_slice(&self.shingles.to_le_bytes());
        to.extend_from_slice(&((self.status as u32) << 30 | self.share).to_le_bytes());
    }

    #[allow(clippy::cast_possible_truncation)] // two numbers of 32 bits in one word
    fn decode(bytes: &[u8]) -> Self {
        let last = number(bytes, 32);
        Self {
            text_hash: u128::from(number(bytes, 8)) << 64 | u128::from(number(bytes, 0)),
            id_hash: number(bytes, 16),
            text_bytes: number(bytes, 24),
            shingles: last as u32,
            share: (last >> 32) as u32 & 0x3fff_ffff,
            status: match last >> 62 {
                0 => Status::Record,
                1 => Status::EmptyText,
                _ => Status::Rejected,
            },
        }
    }
}

/// A file, read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRead {
    /// Where it lay.
    pub path: String,
    /// Lines that are not blank.
    pub records: u64,
    /// Stored size.
    pub bytes: u64,
    /// xxh3 (64 bits) of the stored bytes.
    pub xxh3: String,
    /// Where it broke off, if it did.
    pub problem: Option<String>,
}

/// What is known of a unit beside its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitSummary {
    /// Its files, in order.
    pub files: Vec<FileRead>,
    /// Source and kind of its records; entries point here.
    pub shares: Vec<(String, String)>,
    /// Unreadable lines by reason.
    pub rejected: BTreeMap<String, u64>,
}

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
    let mut reader = UnitReader::new(files, options.memory_bytes);
    let mut unit = Unit::new(shape, &options.rejected);
    let limits = Limits { workers: options.workers, budget_bytes: options.memory_bytes };
    pipeline::run(
        limits,
        control,
        || reader.next(),
        || Shingler::new(shape.ngram_size),
        |shingler, job: Job| Ok(sign_batch(files, &job, shingler, &permutations)),
        |signed| {
            control.advance(signed.entries.len() as u64, signed.text_bytes);
            unit.append(&signed)
        },
    )?;
    unit.finish(options, reader.read)
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

fn sign_batch(
    files: &[InputFile],
    job: &Job,
    shingler: &mut Shingler,
    permutations: &Permutations,
) -> Signed {
    let relative = &files[job.file].relative;
    let mut signed = Signed::default();
    for (ordinal, line) in (job.batch.first_record..).zip(&job.batch.lines) {
        let row = signed.slots.len();
        signed.slots.resize(row + permutations.num_permutations(), EMPTY_SLOT);
        let entry = match fields::parse(&job.batch, line, "text") {
            Ok(fields) => {
                let slots = &mut signed.slots[row..];
                let count =
                    shingler.each_block(&fields.text, |block| permutations.lower(block, slots));
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

/// Pairs of source and kind, numbered as they come.
#[derive(Default)]
struct Shares {
    numbers: HashMap<String, Vec<(String, u32)>>,
    all: Vec<(String, String)>,
}

impl Shares {
    fn number(&mut self, source: &str, kind: &str) -> u32 {
        let of_source = self.numbers.get(source);
        if let Some((_, number)) = of_source.and_then(|kinds| kinds.iter().find(|(k, _)| k == kind))
        {
            return *number;
        }
        // More shares than records of a unit there cannot be: 30 bits are enough.
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.numbers.entry(source.to_owned()).or_default().push((kind.to_owned(), number));
        self.all.push((source.to_owned(), kind.to_owned()));
        number
    }
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
                let (source, kind) = &signed.shares.all[entry.share as usize];
                entry.share = self.shares.number(source, kind);
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
        let summary = UnitSummary { files, shares: self.shares.all, rejected: self.reasons };
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

/// A unit's file of signatures, open.
#[derive(Debug)]
pub struct SignedUnit {
    reader: Reader,
}

impl SignedUnit {
    /// Opens what [`sign_unit`] wrote.
    ///
    /// # Errors
    /// `Io`, or `Corrupt` when it is damaged or of another run.
    pub fn open(path: &Path, fingerprint: u64) -> Result<Self> {
        Ok(Self { reader: Reader::open(path, Kind::Signatures, fingerprint)? })
    }

    /// Returns the number of its lines.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.reader.records()
    }

    /// Reads its entries.
    ///
    /// # Errors
    /// `Corrupt` when they are damaged.
    pub fn entries(&mut self) -> Result<Vec<Entry>> {
        let bytes = self.reader.section(ENTRIES)?;
        let entries: Vec<Entry> = bytes.chunks_exact(ENTRY_BYTES).map(Entry::decode).collect();
        self.sized(entries.len() as u64 == self.records(), entries)
    }

    /// Reads the slots of a band, 4 bytes each.
    ///
    /// # Errors
    /// `Corrupt` when they are damaged.
    pub fn band(&mut self, band: usize, rows_per_band: usize) -> Result<Vec<u8>> {
        let bytes = self.reader.section(FIRST_BAND + band)?;
        self.sized(bytes.len() as u64 == self.records() * rows_per_band as u64 * 4, bytes)
    }

    /// Reads all its slots.
    ///
    /// # Errors
    /// `Corrupt` when they are damaged.
    pub fn slots(&mut self, shape: &Shape) -> Result<Slots> {
        let bands = 0..shape.num_bands;
        let bands =
            bands.map(|band| self.band(band, shape.rows_per_band)).collect::<Result<_>>()?;
        Ok(Slots { bands, row_bytes: shape.rows_per_band * 4 })
    }

    /// Reads its ids, a line each.
    ///
    /// # Errors
    /// `Corrupt` when they are damaged.
    pub fn ids(&mut self) -> Result<String> {
        let bytes = self.reader.section(IDS)?;
        let ids = zstd::decode_all(&bytes[..]).ok().and_then(|ids| String::from_utf8(ids).ok());
        ids.ok_or_else(|| self.reader.corrupt("its ids cannot be decompressed"))
    }

    /// Reads what is known of it beside its entries.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged.
    pub fn summary(&mut self) -> Result<UnitSummary> {
        let bytes = self.reader.section(SUMMARY)?;
        serde_json::from_slice(&bytes).map_err(|error| self.reader.corrupt(&error.to_string()))
    }

    fn sized<T>(&self, is_right: bool, value: T) -> Result<T> {
        if is_right { Ok(value) } else { Err(self.reader.corrupt("a section has the wrong size")) }
    }
}

/// The signatures of a unit, band by band.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    bands: Vec<Vec<u8>>,
    row_bytes: usize,
}

impl Slots {
    /// Returns the signature of a line.
    #[must_use]
    pub fn row(&self, line: usize) -> Vec<u32> {
        let slots = |band: &'_ Vec<u8>| -> Vec<u32> {
            band[line * self.row_bytes..(line + 1) * self.row_bytes]
                .chunks_exact(4)
                .map(|slot| u32::from_le_bytes([slot[0], slot[1], slot[2], slot[3]]))
                .collect()
        };
        self.bands.iter().flat_map(slots).collect()
    }
}

/// Opens the signatures of all units.
///
/// # Errors
/// As [`SignedUnit::open`].
pub fn open_all(paths: &[PathBuf], fingerprint: u64) -> Result<Vec<SignedUnit>> {
    paths.iter().map(|path| SignedUnit::open(path, fingerprint)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back() {
        for (status, share) in
            [(Status::Record, 0), (Status::EmptyText, 0x3fff_ffff), (Status::Rejected, 5)]
        {
            let entry = Entry {
                text_hash: 0x0123_4567_89ab_cdef_0011_2233_4455_6677,
                id_hash: u64::MAX - 1,
                text_bytes: 1 << 40,
                shingles: u32::MAX,
                share,
                status,
            };
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            assert_eq!(bytes.len(), ENTRY_BYTES);
            assert_eq!(Entry::decode(&bytes), entry);
        }
    }
}
