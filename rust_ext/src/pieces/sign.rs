//! The pieces of a unit's texts, found while it is signed.
//!
//! The unit's records were signed before: what is unreadable stands aside already, and every record
//! has its keep key. The file is read once more for this, a fifth of what finding the pieces costs.

use std::path::PathBuf;

use xxhash_rust::xxh3::xxh3_128;

use super::rows::{PieceRow, PieceWriter};
use super::split::{Grain, each_piece};
use crate::Result;
use crate::control::Control;
use crate::input::member::has_messages;
use crate::input::{Fields, InputFile, Job, Scratch, UnitReader, fields};
use crate::minhash::normalise::{count_characters, normalise};
use crate::minhash::text_key::halves;
use crate::minhash::unit_file::{SignedUnit, Status, words_path};
use crate::pipeline::{self, Limits, Weigh};

/// What each line weighs in flight, however short: its place and a piece.
const LINE_WEIGHT: usize = 64 + size_of::<PieceRow>();

/// What is to be found in a unit.
#[derive(Clone, Debug)]
pub struct Options {
    /// What texts are cut into.
    pub grain: Grain,
    /// Fewest characters of a piece's normal form; shorter ones are none.
    pub min_chars: usize,
    /// Marks the files of this run.
    pub fingerprint: u64,
    /// What `sign` wrote of the unit's records.
    pub signatures: PathBuf,
    /// The file to write.
    pub output: PathBuf,
    /// Threads that look for pieces.
    pub workers: usize,
    /// Bytes that lines in flight may take, and a single one.
    pub memory_bytes: usize,
}

/// Writes the pieces of a unit's texts.
///
/// # Errors
/// `Io` from reading or writing; `Corrupt` when the unit has changed since its records were signed;
/// `Interrupted`.
pub fn sign_pieces(files: &[InputFile], options: &Options, control: &Control) -> Result<()> {
    let words = words_path(&options.signatures);
    let unit = SignedUnit::open(&options.signatures, &words, options.fingerprint)?;
    let mut reader = UnitReader::new(files, options.memory_bytes, LINE_WEIGHT);
    let mut writer = PieceWriter::create(&options.output, options.fingerprint)?;
    // What the writer gathers comes out of the same memory, but lines must always have some.
    let rest = options.memory_bytes.saturating_sub(PieceWriter::HELD_BYTES);
    let budget_bytes = rest.max(options.memory_bytes / 4);
    pipeline::run(
        Limits { workers: options.workers, budget_bytes },
        control,
        || reader.next_job(),
        || (Scratch::default(), Vec::new()),
        |(scratch, normal), job: Job| find_pieces(&unit, &job, options, scratch, normal),
        |found: Found| {
            control.advance(found.records, found.text_bytes);
            writer.append(&found.rows)
        },
    )?;
    reader.check_unchanged(&unit.summary()?.files)?;
    writer.finish(unit.records())
}

/// The pieces of a batch.
#[derive(Default)]
struct Found {
    rows: Vec<PieceRow>,
    records: u64,
    text_bytes: u64,
}

impl Weigh for Found {
    fn weight(&self) -> usize {
        self.rows.capacity() * size_of::<PieceRow>()
    }
}

fn find_pieces(
    unit: &SignedUnit,
    job: &Job,
    options: &Options,
    scratch: &mut Scratch,
    normal: &mut Vec<u8>,
) -> Result<Found> {
    let entries = unit.entries(job.first_line, job.batch.lines.len() as u64)?;
    let mut found = Found::default();
    for ((number, line), entry) in (job.first_line..).zip(&job.batch.lines).zip(&entries) {
        // A line that reads otherwise now is of a file that changed: the check at its end names it.
        let (Status::Record, Ok(Fields { text, .. })) =
            (entry.status, fields::parse(&job.batch, line, "text", scratch))
        else {
            continue;
        };
        found.records += 1;
        found.text_bytes += text.len() as u64;
        let stays = has_messages(job.batch.line(line));
        each_piece(text, options.grain, |piece| {
            normalise(&text[piece.content], normal);
            if count_characters(normal) < options.min_chars {
                return;
            }
            // A unit has fewer than 2^32 lines, and a text fewer bytes.
            let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
            found.rows.push(PieceRow {
                key: halves(xxh3_128(normal)),
                keep_key: entry.keep_key,
                line: u32::try_from(number).unwrap_or(u32::MAX),
                start: narrow(piece.extent.start),
                length: narrow(piece.extent.len()),
                stays,
            });
        });
    }
    Ok(found)
}
