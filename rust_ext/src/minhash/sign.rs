//! The step `sign`: a unit's records become words, entries, ids and the keys of their bands.
//!
//! A conversation's words are those of its own content ([`crate::input::own_content`]), any other
//! record's those of its text. Unreadable lines go to the rejected file of the unit. Everything
//! leaves as it comes ([`super::unit_writer`]), so that memory does not grow with the unit.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::Shape;
use super::entry::{Entry, Status};
use super::keep::Keep;
use super::signature::{EMPTY_SLOT, Permutations, band_hashes};
use super::stored_words;
use super::text_key::TextKey;
use super::unit_writer::{Room, SignedLines, UnitWriter};
use super::words::Scanner;
use crate::Result;
use crate::control::Control;
use crate::input::rejected::reject;
use crate::input::unit::BATCH_BYTES;
use crate::input::{
    Fields, FileRead, InputFile, Job, OwnContent, Scratch, UnitReader, Unreadable, fields,
};
use crate::output::ZstdFile;
use crate::pipeline::{self, Limits, Weigh};
use crate::pool::{Pool, Reuse};

/// What the step is to do with a unit.
#[derive(Clone, Debug)]
pub struct Options {
    /// How texts are compared.
    pub shape: Shape,
    /// What makes two records equal.
    pub key: TextKey,
    /// Which of several records that are alike stays.
    pub keep: Keep,
    /// Marks the file as one of this run.
    pub fingerprint: u64,
    /// The file to write; that of the words stands beside it.
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
    // Without bands, only equal records are looked for.
    let shape =
        if options.shape.num_bands == 0 { options.shape } else { options.shape.checked()? };
    let permutations = Permutations::new(shape.num_permutations(), shape.seed);
    let mut reader = UnitReader::new(files, options.memory_bytes, line_weight(&shape));
    let mut unit = UnitWriter::create(&options.output, &shape, options.fingerprint)?;
    let mut rejected = RejectedLines::new(&options.rejected);
    // What the writer gathers and the buffers that wait for their next use come out of the same
    // memory.
    let idle_bytes = (options.memory_bytes / IDLE_PART).min(MOST_IDLE_BYTES);
    let used = Pool::new(idle_bytes);
    let others =
        idle_bytes + UnitReader::idle_bytes(options.memory_bytes) + UnitWriter::held_bytes(&shape);
    pipeline::run(
        Limits::within(options.memory_bytes, options.workers, others),
        control,
        || reader.next_job(),
        || (Signer::new(options, &permutations), Scratch::default()),
        |(signer, scratch), job: Job| {
            let file = &files[job.file].relative;
            Ok(signer.batch(file, &job, scratch, Signed::new(used.take(), &shape, file, &job)))
        },
        |signed| {
            control.advance(signed.lines.entries.len() as u64, signed.text_bytes);
            unit.append(&signed.lines)?;
            rejected.append(&signed)?;
            used.give(signed.lines);
            Ok(())
        },
    )?;
    finish(unit, rejected, reader.into_read())
}

fn finish(unit: UnitWriter, rejected: RejectedLines<'_>, files: Vec<FileRead>) -> Result<()> {
    let reasons = rejected.finish()?;
    unit.finish(files, reasons)
}

/// The part of the memory in which signed batches may lie that wait to be used again.
const IDLE_PART: usize = 8;

/// Signed batches kept to be used again, in bytes, however much memory there is.
const MOST_IDLE_BYTES: usize = 1 << 28;

/// Bytes of an id made of a line's number, beside the file's name: the hash, 20 digits, line end.
const NUMBER_BYTES: usize = 22;

/// What is made of a line, however short it is: its entry, its keys, and an id of its number.
fn line_weight(shape: &Shape) -> usize {
    let keys = shape.num_bands * 8 + 16 + 8;
    size_of::<Entry>() + keys + NUMBER_BYTES
}

/// A batch, signed.
struct Signed {
    lines: SignedLines,
    rejected: Vec<u8>,
    reasons: BTreeMap<&'static str, u64>,
    text_bytes: u64,
}

impl Signed {
    fn new(mut lines: SignedLines, shape: &Shape, file: &str, job: &Job) -> Self {
        let count = job.batch.lines.len();
        lines.begin(Room {
            lines: count,
            bands: shape.num_bands * count,
            // A word of a letter and what stands behind it.
            words: if shape.num_bands > 0 { job.batch.filled() / 2 } else { 0 },
            ids: count * (file.len() + NUMBER_BYTES),
        });
        Self { lines, rejected: Vec::new(), reasons: BTreeMap::new(), text_bytes: 0 }
    }
}

impl Weigh for Signed {
    fn weight(&self) -> usize {
        self.lines.held_bytes() + self.rejected.capacity()
    }
}

/// A worker's tools.
struct Signer<'a> {
    options: &'a Options,
    permutations: &'a Permutations,
    scanner: Scanner,
    own: OwnContent,
    slots: Vec<u32>,
    /// Room for the normal form of a text.
    normal: Vec<u8>,
}

impl<'a> Signer<'a> {
    fn new(options: &'a Options, permutations: &'a Permutations) -> Self {
        let slots = vec![EMPTY_SLOT; permutations.num_permutations()];
        Self {
            options,
            permutations,
            scanner: Scanner::new(),
            own: OwnContent::default(),
            slots,
            normal: Vec::new(),
        }
    }

    fn batch(
        &mut self,
        file: &str,
        job: &Job,
        scratch: &mut Scratch,
        mut signed: Signed,
    ) -> Signed {
        for (ordinal, line) in (job.batch.first_record..).zip(&job.batch.lines) {
            let raw = job.batch.line(line);
            let entry = match fields::parse(&job.batch, line, "text", scratch) {
                Ok(fields) => self.record(&fields, raw, file, ordinal, &mut signed),
                Err(Unreadable::EmptyText) => Entry { status: Status::EmptyText, ..Entry::NONE },
                Err(fault) => {
                    reject(file, ordinal, fault.reason(), raw, &mut signed.rejected);
                    *signed.reasons.entry(fault.reason()).or_default() += 1;
                    Entry::NONE
                }
            };
            signed.lines.ids.push(b'\n');
            signed.lines.entries.push(entry);
        }
        // A long line must not hold its memory to the end of the unit.
        self.normal.clear();
        self.normal.shrink_to(BATCH_BYTES);
        signed
    }

    fn record(
        &mut self,
        fields: &Fields<'_>,
        raw: &[u8],
        file: &str,
        ordinal: u64,
        signed: &mut Signed,
    ) -> Entry {
        let lines = &mut signed.lines;
        let text_bytes = fields.text.len() as u64;
        signed.text_bytes += text_bytes;
        let source = fields.source.as_deref().unwrap_or("unknown");
        let kind = fields.kind.as_deref().unwrap_or("text");
        let id_start = lines.ids.len();
        match &fields.id {
            Some(id) => lines.ids.extend_from_slice(id.as_bytes()),
            // Writing to memory does not fail.
            None => write!(lines.ids, "{file}#{ordinal}").unwrap_or_default(),
        }
        let id = &lines.ids[id_start..];
        lines.id_hashes.push(xxh3_64(id));
        let key = self.options.key.hash(raw, fields.text, id, &mut self.normal);
        lines.text_hashes.push(key);
        let (words_at, words, words_check) = self.words(fields, lines);
        Entry {
            text_bytes,
            keep_key: self.options.keep.key(raw, source, text_bytes),
            words_at,
            words,
            words_check,
            share: lines.shares.number_within(source, kind),
            status: Status::Record,
        }
    }

    /// Appends the words of a record, those of its own content if it is a conversation, and the
    /// hashes of its bands; returns where the words begin, how many there are and their check.
    fn words(&mut self, fields: &Fields<'_>, lines: &mut SignedLines) -> (u64, u32, u32) {
        let start = lines.words.len();
        let shape = &self.options.shape;
        if shape.num_bands > 0 {
            let said = fields.messages.and_then(|messages| self.own.read(messages));
            self.scanner.scan(said.unwrap_or(fields.text), &mut lines.words);
        }
        let words = &mut lines.words[start..];
        if !words.is_empty() {
            self.permutations.sign(words, shape.ngram_size, &mut self.slots);
            band_hashes(&self.slots, shape, &mut lines.bands);
        }
        stored_words::swap(words);
        // No line is longer than 2^31 bytes.
        let count = u32::try_from(words.len()).unwrap_or(u32::MAX);
        (start as u64, count, stored_words::check(words))
    }
}

/// The rejected file of a unit, made once there is a line for it.
struct RejectedLines<'a> {
    path: &'a Path,
    file: Option<ZstdFile>,
    reasons: BTreeMap<String, u64>,
}

impl<'a> RejectedLines<'a> {
    fn new(path: &'a Path) -> Self {
        Self { path, file: None, reasons: BTreeMap::new() }
    }

    fn append(&mut self, signed: &Signed) -> Result<()> {
        for (reason, count) in &signed.reasons {
            *self.reasons.entry((*reason).to_owned()).or_default() += count;
        }
        if signed.rejected.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(ZstdFile::create(self.path)?),
        };
        file.append(&signed.rejected)
    }

    fn finish(self) -> Result<BTreeMap<String, u64>> {
        if let Some(file) = self.file {
            file.finish()?;
        }
        Ok(self.reasons)
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::{KeyRange, KeyReader};
    use super::super::unit_file::{SignedUnit, UnitSummary, run_lines, words_path};
    use super::*;

    /// Many bands, so that a run has only 2,048 lines.
    const SHAPE: Shape = Shape { ngram_size: 2, num_bands: 1_000, rows_per_band: 1, seed: 5 };

    const LINES: u64 = 5_000;

    fn text(number: u64) -> String {
        let words = (0..number % 7).map(|word| format!("w{}", number / 3 + word));
        words.collect::<Vec<_>>().join(" ")
    }

    fn id(number: u64) -> String {
        match number {
            2_001 => "long".repeat(100_000),
            _ if number.is_multiple_of(5) => format!("a.jsonl#{number}"),
            _ => format!("id é {number}"),
        }
    }

    /// Some lines are unreadable, some without text, some without words or without id.
    fn unit(directory: &Path) -> Vec<InputFile> {
        let lines = (0..LINES).map(|number| match (number % 11, number % 5) {
            (3, _) => "{\n".to_owned(),
            (4, _) => "{\"text\": \"\"}\n".to_owned(),
            (_, 0) => format!("{{\"text\": \"!{}\"}}\n", text(number)),
            _ => format!(
                "{{\"id\": \"{}\", \"source\": \"s{}\", \"text\": \"!{}\"}}\n",
                id(number),
                number % 3,
                text(number),
            ),
        });
        let path = directory.join("a.jsonl");
        std::fs::write(&path, lines.collect::<String>()).unwrap();
        vec![InputFile { path, relative: "a.jsonl".to_owned() }]
    }

    fn options(directory: &Path, name: &str, workers: usize, memory_bytes: usize) -> Options {
        Options {
            shape: SHAPE,
            key: TextKey::Text,
            keep: Keep::parse(&["longest".to_owned()]).unwrap(),
            fingerprint: 9,
            output: directory.join(name),
            rejected: directory.join("rejected.jsonl.zst"),
            workers,
            memory_bytes,
        }
    }

    fn signed(directory: &Path, name: &str, workers: usize, memory_bytes: usize) -> PathBuf {
        let options = options(directory, name, workers, memory_bytes);
        sign_unit(&unit(directory), &options, &Control::default()).unwrap();
        options.output
    }

    #[test]
    fn workers_and_memory_change_no_byte() {
        let directory = tempfile::tempdir().unwrap();
        let one = signed(directory.path(), "00000.sign", 1, 1 << 30);
        for (workers, memory_bytes) in [(3, 1 << 30), (2, 1 << 19)] {
            let other = signed(directory.path(), "00001.sign", workers, memory_bytes);
            for (one, other) in [(&one, &other), (&words_path(&one), &words_path(&other))] {
                assert!(std::fs::read(one).unwrap() == std::fs::read(other).unwrap());
            }
        }
    }

    #[test]
    fn what_was_signed_of_every_line_is_read_back_in_any_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = signed(directory.path(), "00000.sign", 2, 1 << 30);
        let unit = SignedUnit::open(&path, &words_path(&path), 9).unwrap();
        assert_eq!(unit.records(), LINES);
        let shares = unit.summary().unwrap().shares;
        let mut blocks = Vec::new();
        for block in unit.blocks().unwrap() {
            let (first, entries) = block.unwrap();
            assert_eq!(first, blocks.len() as u64);
            assert!(entries.len() <= 1_024);
            blocks.extend(entries);
        }
        assert_eq!(unit.entries(0, u64::MAX).unwrap(), blocks);
        let (mut lines, mut words, mut scanner) =
            (unit.lines().unwrap(), Vec::new(), Scanner::new());
        for number in (0..LINES).map(|number| number * 1_237 % LINES) {
            let entry = lines.entry(number).unwrap();
            assert_eq!(entry, blocks[usize::try_from(number).unwrap()]);
            let status = match number % 11 {
                3 => Status::Rejected,
                4 => Status::EmptyText,
                _ => Status::Record,
            };
            assert_eq!(entry.status, status);
            let id = if status == Status::Record { id(number) } else { String::new() };
            assert_eq!(lines.id(number).unwrap(), id);
            words.clear();
            if status == Status::Record {
                assert_eq!(entry.text_bytes, text(number).len() as u64 + 1);
                assert_eq!(entry.keep_key, u64::MAX - entry.text_bytes);
                scanner.scan(&text(number), &mut words);
                let source = if number.is_multiple_of(5) {
                    "unknown".into()
                } else {
                    format!("s{}", number % 3)
                };
                assert_eq!(shares[entry.share as usize].0, source);
            }
            assert_eq!(unit.words(&entry).unwrap(), words);
        }
        assert_eq!(unit.id(LINES - 1).unwrap(), id(LINES - 1));
        assert!(unit.id(LINES).unwrap_err().to_string().contains("a line below 5000, got 5000"));
        assert_eq!(unit.entries(LINES - 1, 5).unwrap().len(), 1);
    }

    #[test]
    fn keys_are_those_of_the_records_run_by_run() {
        let directory = tempfile::tempdir().unwrap();
        let path = signed(directory.path(), "00000.sign", 2, 1 << 30);
        let unit = SignedUnit::open(&path, &words_path(&path), 9).unwrap();
        let entries = unit.entries(0, LINES).unwrap();
        let run = run_lines(SHAPE.num_bands);
        assert_eq!(run, 2_048);
        for (array, has_key) in [
            (0, (|entry| entry.words > 0) as fn(&Entry) -> bool),
            (999, |entry| entry.words > 0),
            (1_000, |entry| entry.status == Status::Record),
            (1_001, |entry| entry.status == Status::Record),
        ] {
            let found: Vec<(u64, u32)> = unit
                .key_sections(array)
                .unwrap()
                .into_iter()
                .map(|(first, keys)| (first, keys.count))
                .collect();
            let count = |run: &[Entry]| {
                u32::try_from(run.iter().filter(|entry| has_key(entry)).count()).unwrap()
            };
            let expected: Vec<(u64, u32)> =
                (0..).step_by(run).zip(entries.chunks(run).map(count)).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn damaged_or_missing_words_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = signed(directory.path(), "00007.sign", 1, 1 << 30);
        let words = words_path(&path);
        let whole = std::fs::read(&words).unwrap();
        let error = |content: &[u8]| {
            std::fs::write(&words, content).unwrap();
            let unit = SignedUnit::open(&path, &words, 9).unwrap();
            let entries = unit.entries(0, LINES).unwrap();
            let last = entries.iter().rev().find(|entry| entry.words > 0).unwrap();
            unit.words(last).unwrap_err().to_string()
        };
        let cut = error(&whole[..whole.len() - 1]);
        assert!(cut.contains("00007.words: it breaks off"), "{cut}");
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(error(&flipped).contains("00007.words: its words from"));
    }

    /// All that a unit's files say.
    type Said = (UnitSummary, Vec<Entry>, Vec<String>, Vec<Vec<u32>>, Vec<(u64, u16)>);

    fn read_all(path: &Path) -> Result<Said> {
        let unit = SignedUnit::open(path, &words_path(path), 9)?;
        let (entries, mut lines) = (unit.entries(0, u64::MAX)?, unit.lines()?);
        let ids = (0..unit.records()).map(|line| lines.id(line).map(str::to_owned));
        let words = entries.iter().map(|entry| unit.words(entry));
        let (ids, words) = (ids.collect::<Result<_>>()?, words.collect::<Result<_>>()?);
        let mut keys = Vec::new();
        for (_, section) in unit.key_sections(1)? {
            KeyReader::default().read(unit.reader(), section, KeyRange::ALL, |key, line| {
                keys.push((key, line));
                Ok(())
            })?;
        }
        Ok((unit.summary()?, entries, ids, words, keys))
    }

    #[test]
    fn no_damage_is_read_as_something_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("00000.sign");
        let options = Options {
            shape: Shape { ngram_size: 2, num_bands: 2, rows_per_band: 3, seed: 5 },
            output: path.clone(),
            ..options(directory.path(), "00000.sign", 2, 1 << 30)
        };
        sign_unit(&unit(directory.path()), &options, &Control::default()).unwrap();
        let said = read_all(&path).unwrap();
        for damaged in [path.clone(), words_path(&path)] {
            let whole = std::fs::read(&damaged).unwrap();
            let mut noticed = 0;
            for place in (0..whole.len()).step_by(whole.len() / 97) {
                let mut bytes = whole.clone();
                bytes[place] ^= 1 << (place % 8);
                std::fs::write(&damaged, &bytes).unwrap();
                match read_all(&path) {
                    Ok(other) => assert!(other == said, "byte {place}"),
                    Err(error) => {
                        noticed += 1;
                        assert!(error.to_string().contains("00000."), "{error}");
                    }
                }
                std::fs::write(&damaged, &whole[..place]).unwrap();
                assert!(read_all(&path).is_err(), "cut at {place}");
            }
            assert!(noticed > 30, "{noticed}");
            std::fs::write(&damaged, &whole).unwrap();
        }
    }
}
