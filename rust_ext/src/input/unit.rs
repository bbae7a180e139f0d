//! The files of a unit as one stream of numbered lines, read the same way by every stage.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::lines::Batch;
use super::records::{Columns, Records};
use super::source::InputFile;
use crate::pipeline::Weigh;
use crate::pool::{Pool, Reuse};
use crate::{Error, Result};

/// Bytes of lines read at a time: a few milliseconds of work for one worker. What `dedup` writes
/// is cut by it, so it must not depend on the machine.
pub const BATCH_BYTES: usize = 1 << 20;

/// The longest line that is read, however much memory there is: so the machine does not decide
/// which records are. A text of 1 GiB, the longest that is encoded, may take twice as much with its
/// escapes.
pub const MAX_LINE_BYTES: usize = 1 << 31;

/// Bytes that are made of a byte that was read: no word is shorter than a letter and what stands
/// behind it, and its hash has four.
const MADE_PER_BYTE: usize = 2;

/// The part of the memory in which batches may lie that wait to be used again.
const IDLE_PART: usize = 16;

/// Batches kept to be used again, in bytes, however much memory there is.
const MOST_IDLE_BYTES: usize = 64 * BATCH_BYTES;

/// How far a unit was read: all files before `file`, and `record` lines of that one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Number of the file in the unit.
    pub file: usize,
    /// Lines of it that are done.
    pub record: u64,
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

/// Lines of one file; its buffers go back to the reader when it is dropped.
#[derive(Debug)]
pub struct Job {
    /// The lines.
    pub batch: Batch,
    /// Number of the file in the unit.
    pub file: usize,
    /// Number of the batch's first line in the unit.
    pub first_line: u64,
    line_weight: usize,
    used: Arc<Pool<Batch>>,
}

impl Weigh for Job {
    fn weight(&self) -> usize {
        self.batch.held_bytes()
            + self.batch.filled() * MADE_PER_BYTE
            + self.batch.lines.len() * self.line_weight
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.used.give(std::mem::take(&mut self.batch));
    }
}

/// Reads the files of a unit, one after another.
pub struct UnitReader<'a> {
    files: &'a [InputFile],
    max_line_bytes: usize,
    line_weight: usize,
    start: Position,
    columns: Columns<'a>,
    current: Option<Records>,
    next_file: usize,
    lines: u64,
    file_lines: u64,
    read: Vec<FileRead>,
    used: Arc<Pool<Batch>>,
}

impl<'a> UnitReader<'a> {
    /// Begins with the first file; a line of more than `memory_bytes`, or of more than
    /// [`MAX_LINE_BYTES`], comes as its head. [`UnitReader::idle_bytes`] says what part of the
    /// memory is its own.
    ///
    /// `line_weight` is what is made of a line, however short it is.
    #[must_use]
    pub fn new(files: &'a [InputFile], memory_bytes: usize, line_weight: usize) -> Self {
        Self {
            files,
            max_line_bytes: memory_bytes.min(MAX_LINE_BYTES),
            line_weight,
            start: Position::default(),
            columns: Columns::Records,
            current: None,
            next_file: 0,
            lines: 0,
            file_lines: 0,
            read: Vec::new(),
            used: Arc::new(Pool::new(Self::idle_bytes(memory_bytes))),
        }
    }

    /// Returns the most bytes in batches that wait to be used again: with so much memory, they are
    /// no more for what is in flight.
    #[must_use]
    pub fn idle_bytes(memory_bytes: usize) -> usize {
        (memory_bytes / IDLE_PART).min(MOST_IDLE_BYTES)
    }

    /// Keeps no more batches to be used again than suits so much memory.
    #[must_use]
    pub fn idling(self, memory_bytes: usize) -> Self {
        Self { used: Arc::new(Pool::new(Self::idle_bytes(memory_bytes))), ..self }
    }

    /// Reads only these columns, where a file has columns.
    #[must_use]
    pub fn reading(self, columns: Columns<'a>) -> Self {
        Self { columns, ..self }
    }

    /// Passes over the batches that end before `start`; the one that holds it comes whole.
    #[must_use]
    pub fn starting_at(self, start: Position) -> Self {
        Self { start, ..self }
    }

    /// Returns the next batch, or `None` at the end of the last file.
    ///
    /// # Errors
    /// `Io` when a file cannot be opened or read, `Argument` when it lacks a column. One that breaks
    /// off is no error:
    /// [`UnitReader::into_read`] tells.
    pub fn next_job(&mut self) -> Result<Option<Job>> {
        loop {
            let Some(batches) = &mut self.current else {
                let Some(file) = self.files.get(self.next_file) else { return Ok(None) };
                let (columns, most) = (self.columns, self.max_line_bytes);
                self.current = Some(Records::open(&file.path, columns, BATCH_BYTES, most)?);
                self.next_file += 1;
                self.file_lines = 0;
                continue;
            };
            let Some(batch) = batches.next_batch(self.used.take())? else {
                self.end_file()?;
                continue;
            };
            let (file, first_line) = (self.next_file - 1, self.lines);
            self.lines += batch.lines.len() as u64;
            self.file_lines += batch.lines.len() as u64;
            let is_done = Position { file, record: self.file_lines } <= self.start;
            let used = Arc::clone(&self.used);
            // An id that is made of the file's name takes as much as that.
            let line_weight = self.line_weight + self.files[file].relative.len();
            let job = Job { batch, file, first_line, line_weight, used };
            if !is_done {
                return Ok(Some(job));
            }
        }
    }

    fn end_file(&mut self) -> Result<()> {
        let Some(batches) = self.current.take() else { return Ok(()) };
        let path = self.files[self.next_file - 1].path.display().to_string();
        let (summary, damage) = batches.finish()?;
        let problem = damage.map(|damage| format!("{path}: {damage}"));
        let (bytes, xxh3) = (summary.bytes, summary.xxh3);
        self.read.push(FileRead { path, records: self.file_lines, bytes, xxh3, problem });
        Ok(())
    }

    /// Checks that the files are those that were read before.
    ///
    /// # Errors
    /// `Corrupt` naming the file that changed.
    pub fn check_unchanged(&self, before: &[FileRead]) -> Result<()> {
        for (now, then) in self.read.iter().zip(before) {
            if (now.bytes, &now.xxh3, now.records) != (then.bytes, &then.xxh3, then.records) {
                return Err(Error::corrupt(
                    &now.path,
                    "expected the file that was signed, it has changed since; run again into a \
                     new directory",
                ));
            }
        }
        Ok(())
    }

    /// Returns what was found in each file; complete at the end.
    #[must_use]
    pub fn into_read(self) -> Vec<FileRead> {
        self.read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &std::path::Path) -> Vec<InputFile> {
        let write = |name: &str| {
            let path = directory.join(name);
            std::fs::write(&path, format!("\"{}\"\n", "x".repeat(99)).repeat(30_000)).unwrap();
            InputFile { path, relative: name.to_owned() }
        };
        ["a.jsonl", "b.jsonl"].map(write).into()
    }

    #[test]
    fn a_start_leaves_out_whole_batches_before_it_and_counts_them() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(directory.path());
        for start in [(0, 0), (0, 1), (0, 29_999), (0, 30_000), (1, 0), (1, 15_000), (2, 0)] {
            let start = Position { file: start.0, record: start.1 };
            let mut reader = UnitReader::new(&files, 1 << 20, 0).starting_at(start);
            let mut reached = None;
            while let Some(job) = reader.next_job().unwrap() {
                let first = Position { file: job.file, record: job.batch.first_record };
                let end = Position { record: first.record + job.batch.lines.len() as u64, ..first };
                assert!(end > start, "{first:?} is before {start:?}");
                assert_eq!(job.first_line, 30_000 * job.file as u64 + first.record);
                assert!(reached.is_some() || first <= start || start.record == 30_000);
                reached = Some(end);
            }
            assert_eq!(reached.is_none(), start.file == 2);
            let records: Vec<_> = reader.into_read().iter().map(|file| file.records).collect();
            assert_eq!(records, [30_000, 30_000]);
        }
    }

    #[test]
    fn short_lines_weigh_what_is_made_of_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        std::fs::write(&path, "1\n".repeat(1_000)).unwrap();
        let files = [InputFile { path, relative: "a.jsonl".to_owned() }];
        let job = UnitReader::new(&files, BATCH_BYTES, 256).next_job().unwrap().unwrap();
        let held = BATCH_BYTES + job.batch.lines.capacity() * size_of_val(&job.batch.lines[0]);
        let made = 2_000 * MADE_PER_BYTE + 1_000 * (256 + "a.jsonl".len());
        assert_eq!(job.weight(), held + made);
    }
}
