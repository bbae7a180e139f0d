//! The files of a unit as one stream of numbered lines, read the same way by three steps.

use super::unit_file::FileRead;
use crate::input::{Batch, Columns, InputFile, Records};
use crate::pipeline::Weigh;
use crate::{Error, Result};

/// Bytes of lines read at a time. What `drop` writes is cut by it, so it must not depend on the
/// machine.
const BATCH_BYTES: usize = 1 << 20;

/// A batch, what it weighs in flight included: the lines and what is made of them.
const WEIGHT: usize = 3;

/// What each line weighs, however short: a signature of 112 slots, its entry and its id.
const LINE_WEIGHT: usize = 640;

/// Lines of one file.
pub(super) struct Job {
    pub(super) batch: Batch,
    /// Number of the file in the unit.
    pub(super) file: usize,
    /// Number of the batch's first line in the unit.
    pub(super) first_line: u64,
}

impl Weigh for Job {
    fn weight(&self) -> usize {
        self.batch.bytes.len() * WEIGHT + self.batch.lines.len() * LINE_WEIGHT
    }
}

/// Reads the files of a unit, one after another.
pub(super) struct UnitReader<'a> {
    files: &'a [InputFile],
    max_line_bytes: usize,
    current: Option<Records>,
    next_file: usize,
    lines: u64,
    file_lines: u64,
    /// What was found in each file; complete at the end.
    pub(super) read: Vec<FileRead>,
}

impl<'a> UnitReader<'a> {
    pub(super) fn new(files: &'a [InputFile], max_line_bytes: usize) -> Self {
        Self {
            files,
            max_line_bytes,
            current: None,
            next_file: 0,
            lines: 0,
            file_lines: 0,
            read: Vec::new(),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Job>> {
        loop {
            let Some(batches) = &mut self.current else {
                let Some(file) = self.files.get(self.next_file) else { return Ok(None) };
                let limit = self.max_line_bytes;
                self.current = Some(Records::open(&file.path, Columns::All, BATCH_BYTES, limit)?);
                self.next_file += 1;
                self.file_lines = 0;
                continue;
            };
            if let Some(batch) = batches.next_batch(Batch::default())? {
                let first_line = self.lines;
                self.lines += batch.lines.len() as u64;
                self.file_lines += batch.lines.len() as u64;
                return Ok(Some(Job { batch, file: self.next_file - 1, first_line }));
            }
            self.end_file()?;
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

    /// Checks that the files are those that were signed.
    ///
    /// # Errors
    /// `Corrupt` naming the file that changed.
    pub(super) fn check_unchanged(&self, signed: &[FileRead]) -> Result<()> {
        for (now, then) in self.read.iter().zip(signed) {
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
}
