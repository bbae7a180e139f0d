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

/// Pieces of a batch that wait for their turn to be written, at most: with 32 bytes a piece, all of
/// a batch. Those of a batch of lines of a letter each would take many times its memory.
const MOST_WAITING: usize = 1 << 15;

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
    // What the writer gathers comes out of the same memory.
    let others = PieceWriter::HELD_BYTES + UnitReader::idle_bytes(options.memory_bytes);
    pipeline::run(
        Limits::within(options.memory_bytes, options.workers, others),
        control,
        || reader.next_job(),
        || (Scratch::default(), Vec::new()),
        |(scratch, normal), job: Job| Found::of(&unit, job, options, scratch, normal),
        |found: Found| {
            control.advance(found.records, found.text_bytes);
            writer.append(&found.rows)?;
            match &found.unfinished {
                Some(job) => append_rest(&unit, job, options, &mut writer),
                None => Ok(()),
            }
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
    /// The batch, if it has more of them than may wait.
    unfinished: Option<Job>,
}

impl Weigh for Found {
    fn weight(&self) -> usize {
        let job = self.unfinished.as_ref().map_or(0, Weigh::weight);
        self.rows.capacity() * size_of::<PieceRow>() + job
    }
}

impl Found {
    fn of(
        unit: &SignedUnit,
        job: Job,
        options: &Options,
        scratch: &mut Scratch,
        normal: &mut Vec<u8>,
    ) -> Result<Self> {
        let (mut rows, mut is_whole) = (Vec::new(), true);
        let (records, text_bytes) = each_row(unit, &job, options, scratch, normal, |row| {
            is_whole = rows.len() < MOST_WAITING;
            if is_whole {
                rows.push(row);
            }
            Ok(is_whole)
        })?;
        Ok(Self { rows, records, text_bytes, unfinished: (!is_whole).then_some(job) })
    }
}

/// Appends the pieces of a batch that did not wait; it is read once more.
fn append_rest(
    unit: &SignedUnit,
    job: &Job,
    options: &Options,
    writer: &mut PieceWriter,
) -> Result<()> {
    let mut passed = 0;
    let append = |row| {
        if passed < MOST_WAITING {
            passed += 1;
        } else {
            writer.append(&[row])?;
        }
        Ok(true)
    };
    each_row(unit, job, options, &mut Scratch::default(), &mut Vec::new(), append)?;
    Ok(())
}

/// Calls `take` with the pieces of a batch, in order, until it says that it takes no more; returns
/// the records of the batch and the bytes of their text.
fn each_row(
    unit: &SignedUnit,
    job: &Job,
    options: &Options,
    scratch: &mut Scratch,
    normal: &mut Vec<u8>,
    mut take: impl FnMut(PieceRow) -> Result<bool>,
) -> Result<(u64, u64)> {
    let entries = unit.entries(job.first_line, job.batch.lines.len() as u64)?;
    let (mut records, mut text_bytes) = (0, 0);
    let mut takes_more = Ok(true);
    for ((number, line), entry) in (job.first_line..).zip(&job.batch.lines).zip(&entries) {
        // A line that reads otherwise now is of a file that changed: the check at its end names it.
        let (Status::Record, Ok(Fields { text, .. })) =
            (entry.status, fields::parse(&job.batch, line, "text", scratch))
        else {
            continue;
        };
        records += 1;
        text_bytes += text.len() as u64;
        let stays = has_messages(job.batch.line(line));
        each_piece(text, options.grain, |piece| {
            if !matches!(takes_more, Ok(true)) {
                return;
            }
            normalise(&text[piece.content], normal);
            if count_characters(normal) < options.min_chars {
                return;
            }
            // A unit has fewer than 2^32 lines, and a text fewer bytes.
            let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
            takes_more = take(PieceRow {
                key: halves(xxh3_128(normal)),
                keep_key: entry.keep_key,
                line: u32::try_from(number).unwrap_or(u32::MAX),
                start: narrow(piece.extent.start),
                length: narrow(piece.extent.len()),
                stays,
            });
        });
    }
    takes_more.map(|_| (records, text_bytes))
}

#[cfg(test)]
mod tests {
    use super::super::rows::{Pieces, SLICES};
    use super::*;
    use crate::minhash::Shape;
    use crate::minhash::keep::Keep;
    use crate::minhash::sign::{self, sign_unit};
    use crate::minhash::text_key::TextKey;

    #[test]
    fn a_batch_of_many_short_pieces_does_not_hold_them_and_loses_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        let text = (0..100_000).map(|number| format!("{number:x}")).collect::<Vec<_>>();
        let line = format!("{{\"text\": \"{}\"}}\n", text.join("\\n"));
        std::fs::write(&path, format!("{{\"text\": \"0\"}}\n{line}{{\"text\": \"1\"}}\n")).unwrap();
        let files = [InputFile { path, relative: "a".to_owned() }];
        let signing = sign::Options {
            key: TextKey::Text,
            shape: Shape { ngram_size: 5, num_bands: 0, rows_per_band: 2, seed: 0 },
            keep: Keep::default(),
            fingerprint: 3,
            output: directory.path().join("00000.sign"),
            rejected: directory.path().join("rejected"),
            workers: 1,
            memory_bytes: 1 << 24,
        };
        sign_unit(&files, &signing, &Control::default()).unwrap();
        let options = Options {
            grain: Grain::Line,
            min_chars: 1,
            fingerprint: 3,
            signatures: signing.output,
            output: directory.path().join("00000.pieces"),
            workers: 2,
            memory_bytes: 1 << 24,
        };
        sign_pieces(&files, &options, &Control::default()).unwrap();
        let mut places = Vec::new();
        let take = |row: PieceRow| {
            places.push((row.line, row.start, row.length));
            Ok(())
        };
        Pieces::open(&options.output, 3).unwrap().each(&(0..SLICES), take).unwrap();
        places.sort_unstable();
        let mut start = 0;
        let mut expected = vec![(0, 0, 1)];
        for piece in &text {
            let length = u32::try_from(piece.len()).unwrap() + 1;
            expected.push((1, start, length));
            start += length;
        }
        expected.last_mut().unwrap().2 -= 1; // no line feed behind the last one
        expected.push((2, 0, 1));
        assert!(places == expected);

        let unit = SignedUnit::open(&options.signatures, &words_path(&options.signatures), 3);
        let mut reader = UnitReader::new(&files, options.memory_bytes, LINE_WEIGHT);
        let job = reader.next_job().unwrap().unwrap();
        let held = job.weight();
        let found =
            Found::of(&unit.unwrap(), job, &options, &mut Scratch::default(), &mut Vec::new());
        assert!(found.unwrap().weight() <= held + MOST_WAITING * size_of::<PieceRow>());
    }
}
