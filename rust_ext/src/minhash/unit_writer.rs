//! Writes a signed unit as it comes; memory grows with nothing but its number of runs.
//!
//! [`super::unit_file`] draws the files. What is gathered of a run, its keys, takes some 20 MB at
//! most; entries and ids leave by the block, words with their batch.

use std::collections::BTreeMap;
use std::path::Path;

use super::Shape;
use super::entry::{Entry, Status};
use super::keys::{KeyRows, Wide};
use super::sections::{Kind, Writer};
use super::stored_words;
use super::unit_file::{UnitSummary, run_lines, words_path};
use crate::input::FileRead;
use crate::input::shares::Shares;
use crate::output::AtomicFile;
use crate::pool::Reuse;
use crate::{Error, Result};

/// Most lines of a block.
const BLOCK_LINES: usize = 1_024;

/// Bytes of ids that end a block.
const BLOCK_ID_BYTES: usize = 1 << 18;

/// Ids are short and alike: more effort gains little.
const IDS_LEVEL: i32 = 1;

/// Lines in a row, signed.
#[derive(Debug, Default)]
pub(super) struct SignedLines {
    /// One a line; the first word is counted from the first one here, shares are those of `shares`.
    pub(super) entries: Vec<Entry>,
    /// Of each line with words the hashes of its bands.
    pub(super) bands: Vec<u64>,
    /// Of each record.
    pub(super) text_hashes: Vec<Wide>,
    /// Of each record.
    pub(super) id_hashes: Vec<u64>,
    /// As they are stored.
    pub(super) words: Vec<u32>,
    /// Of each line, with a line end.
    pub(super) ids: Vec<u8>,
    pub(super) shares: Shares,
}

/// How many elements the parts of a batch have at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Entries and hashes.
    pub(super) lines: usize,
    pub(super) bands: usize,
    pub(super) words: usize,
    /// Longer ids of their own may grow beyond it.
    pub(super) ids: usize,
}

impl SignedLines {
    /// Forgets what it held and makes just this room: what was made for a batch of very many lines
    /// must not be held by one of few, which was weighed as such.
    pub(super) fn begin(&mut self, room: Room) {
        fit(&mut self.entries, room.lines);
        fit(&mut self.bands, room.bands);
        fit(&mut self.text_hashes, room.lines);
        fit(&mut self.id_hashes, room.lines);
        fit(&mut self.words, room.words);
        fit(&mut self.ids, room.ids);
        self.shares.clear();
    }
}

fn fit<T>(part: &mut Vec<T>, room: usize) {
    part.clear();
    part.shrink_to(room);
    part.reserve_exact(room);
}

impl Reuse for SignedLines {
    fn held_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + self.bands.capacity() * 8
            + self.text_hashes.capacity() * 16
            + self.id_hashes.capacity() * 8
            + self.words.capacity() * 4
            + self.ids.capacity()
            + self.shares.held_bytes()
    }
}

/// The block being gathered.
#[derive(Default)]
struct Block {
    lines: usize,
    entries: Vec<u8>,
    ids: Vec<u8>,
}

/// The run being gathered.
#[derive(Default)]
struct Run {
    lines: usize,
    blocks: Vec<u8>,
    bands: Vec<KeyRows<u64>>,
    texts: KeyRows<Wide>,
    ids: KeyRows<u64>,
}

/// Writes the files of a unit.
pub(super) struct UnitWriter {
    writer: Writer,
    words: AtomicFile,
    run_lines: usize,
    block: Block,
    run: Run,
    runs: Vec<u8>,
    lines: u64,
    num_words: u64,
    shares: Shares,
    compressor: zstd::bulk::Compressor<'static>,
    rows: Vec<u8>,
}

impl UnitWriter {
    /// Begins the file that [`UnitWriter::finish`] will put at `path`, and that of the words.
    ///
    /// # Errors
    /// `Io` when they cannot be created.
    pub(super) fn create(path: &Path, shape: &Shape, fingerprint: u64) -> Result<Self> {
        let run_lines = run_lines(shape.num_bands);
        let arrays = shape.num_bands + 2;
        let mut runs = Vec::new();
        for number in [run_lines, arrays] {
            runs.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        }
        let bands = std::iter::repeat_with(KeyRows::default).take(shape.num_bands).collect();
        let compressor = zstd::bulk::Compressor::new(IDS_LEVEL);
        Ok(Self {
            writer: Writer::create(path, Kind::Signatures, fingerprint)?,
            words: AtomicFile::create(&words_path(path))?.without_hash(),
            run_lines,
            block: Block::default(),
            run: Run { bands, ..Run::default() },
            runs,
            lines: 0,
            num_words: 0,
            shares: Shares::default(),
            compressor: compressor.map_err(|source| Error::io(path, source))?,
            rows: Vec::new(),
        })
    }

    /// Returns about how much memory it takes with such a shape.
    pub(super) fn held_bytes(shape: &Shape) -> usize {
        // Rows as they are gathered, those of the largest array once more as they are written.
        run_lines(shape.num_bands) * (shape.num_bands * 10 + 18 + 10 + 18)
    }

    /// Appends lines.
    ///
    /// # Errors
    /// `Io` when the disk is full, for example.
    pub(super) fn append(&mut self, lines: &SignedLines) -> Result<()> {
        let shares: Vec<u32> = lines
            .shares
            .all()
            .iter()
            .map(|(source, kind)| self.shares.number_within(source, kind))
            .collect();
        let mut bands = lines.bands.chunks_exact(self.run.bands.len().max(1));
        let mut hashes = lines.text_hashes.iter().zip(&lines.id_hashes);
        let mut ids = lines.ids.split_inclusive(|&byte| byte == b'\n');
        for entry in &lines.entries {
            let mut entry = *entry;
            if entry.status == Status::Record {
                entry.share = shares[entry.share as usize];
                entry.words_at += self.num_words;
                let bands = if entry.words > 0 { bands.next() } else { None };
                self.run.push(bands.unwrap_or_default(), hashes.next());
            }
            entry.encode(&mut self.block.entries);
            self.block.ids.extend_from_slice(ids.next().unwrap_or(b"\n"));
            self.end_line()?;
        }
        self.num_words += lines.words.len() as u64;
        self.words.append(stored_words::bytes(&lines.words))
    }

    fn end_line(&mut self) -> Result<()> {
        self.block.lines += 1;
        self.run.lines += 1;
        self.lines += 1;
        let is_run_full = self.run.lines == self.run_lines;
        let is_block_full =
            self.block.lines == BLOCK_LINES || self.block.ids.len() >= BLOCK_ID_BYTES;
        if is_run_full || is_block_full {
            self.end_block()?;
        }
        if is_run_full { self.end_run() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<()> {
        let ids = self.compressor.compress(&self.block.ids);
        let ids = ids.map_err(|source| Error::io(self.writer.path(), source))?;
        let first_line = u32::try_from(self.run.lines - self.block.lines).unwrap_or(u32::MAX);
        self.run.blocks.extend_from_slice(&first_line.to_le_bytes());
        self.writer.append(&self.block.entries)?.encode(&mut self.run.blocks);
        self.writer.append(&ids)?.encode(&mut self.run.blocks);
        self.block.lines = 0;
        self.block.entries.clear();
        self.block.ids.clear();
        Ok(())
    }

    fn end_run(&mut self) -> Result<()> {
        let Self { writer, run, runs, rows, .. } = self;
        writer.append(&run.blocks)?.encode(runs);
        let mut list = |section: super::keys::KeySection| {
            runs.extend_from_slice(&section.count.to_le_bytes());
            section.index.encode(runs);
        };
        for band in &mut run.bands {
            list(band.write(writer, rows)?);
        }
        list(run.texts.write(writer, rows)?);
        list(run.ids.write(writer, rows)?);
        run.blocks.clear();
        run.lines = 0;
        Ok(())
    }

    /// Ends the files, those of the words first: the other one says that the unit is done.
    ///
    /// # Errors
    /// `Io` from writing, syncing or renaming.
    pub(super) fn finish(
        mut self,
        files: Vec<FileRead>,
        rejected: BTreeMap<String, u64>,
    ) -> Result<()> {
        if self.block.lines > 0 {
            self.end_block()?;
        }
        if self.run.lines > 0 {
            self.end_run()?;
        }
        let summary =
            UnitSummary { files, shares: std::mem::take(&mut self.shares).into_all(), rejected };
        let summary = serde_json::to_vec(&summary)
            .map_err(|error| Error::corrupt(self.writer.path(), error.to_string()))?;
        self.words.finish()?;
        self.writer.section(&self.runs)?;
        self.writer.section(&summary)?;
        self.writer.finish(self.lines)
    }
}

impl Run {
    #[inline]
    fn push(&mut self, bands: &[u64], hashes: Option<(&Wide, &u64)>) {
        // A run has no more lines than 16 bits can number.
        let line = u16::try_from(self.lines).unwrap_or(u16::MAX);
        for (rows, &hash) in self.bands.iter_mut().zip(bands) {
            rows.push(hash, line);
        }
        if let Some((&text, &id)) = hashes {
            self.texts.push(text, line);
            self.ids.push(id, line);
        }
    }
}
