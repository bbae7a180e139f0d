//! A file of cuts: one stream ([`crate::minhash::stream`]) of rows, ascending, read from any record
//! on, so that a task that works on one unit reads that unit's cuts alone.

use std::path::Path;

use super::{CUT_BYTES, Cut};
use crate::Result;
use crate::minhash::sections::{Kind, Reader, Writer};
use crate::minhash::stream::{StreamReader, StreamWriter};

const ROWS: usize = 0;

/// Writes cuts in order.
pub struct CutWriter {
    file: Writer,
    rows: StreamWriter,
    count: u64,
}

impl CutWriter {
    /// Begins the file that [`CutWriter::finish`] will put at `path`.
    ///
    /// # Errors
    /// `Io` when it cannot be created.
    pub fn create(path: &Path, fingerprint: u64) -> Result<Self> {
        let file = Writer::create(path, Kind::Cuts, fingerprint)?;
        Ok(Self { file, rows: StreamWriter::default(), count: 0 })
    }

    /// Appends a cut, which is not before the last one.
    ///
    /// # Errors
    /// `Io` when the disk is full, for example.
    pub fn push(&mut self, cut: &Cut) -> Result<()> {
        self.count += 1;
        self.rows.append(&mut self.file, &cut.encode())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// `Io` from writing, syncing or renaming.
    pub fn finish(mut self) -> Result<()> {
        self.rows.end(&mut self.file)?;
        self.file.finish(self.count)
    }
}

/// A file of cuts, open.
#[derive(Debug)]
pub struct Cuts {
    reader: Reader,
}

impl Cuts {
    /// Opens what [`CutWriter`] wrote.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged or of another run; `Io`.
    pub fn open(path: &Path, fingerprint: u64) -> Result<Self> {
        Ok(Self { reader: Reader::open(path, Kind::Cuts, fingerprint)? })
    }

    /// Begins before the first cut of `record`, or of one behind it.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged; `Io`.
    pub fn starting_at(&self, record: u64) -> Result<CutCursor<'_>> {
        let rows = StreamReader::open(&self.reader, ROWS)?;
        let count = self.reader.records();
        if rows.length() != count * CUT_BYTES as u64 {
            return Err(self.reader.corrupt("its rows are not as many as it says"));
        }
        let mut cursor = CutCursor { rows, head: None };
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            cursor.seek(middle)?;
            if cursor.head.is_some_and(|cut| cut.record < record) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        cursor.seek(low)?;
        Ok(cursor)
    }
}

/// Reads cuts in order.
#[derive(Debug)]
pub struct CutCursor<'a> {
    rows: StreamReader<'a>,
    head: Option<Cut>,
}

impl CutCursor<'_> {
    /// Returns the cut at hand, `None` behind the last one.
    #[must_use]
    pub fn head(&self) -> Option<Cut> {
        self.head
    }

    /// Returns the cut at hand and goes on to the next.
    ///
    /// # Errors
    /// `Corrupt` when the file is damaged; `Io`.
    pub fn take(&mut self) -> Result<Option<Cut>> {
        let head = self.head;
        if head.is_some() {
            self.advance()?;
        }
        Ok(head)
    }

    /// Takes the cuts of a record, if it has some; records are asked for in ascending order.
    ///
    /// # Errors
    /// `Corrupt` when the file is damaged; `Io`.
    pub fn take_of(&mut self, record: u64) -> Result<Option<Vec<Cut>>> {
        while self.head.is_some_and(|cut| cut.record < record) {
            self.advance()?;
        }
        let is_of = self.head.is_some_and(|cut| cut.record == record);
        is_of.then(|| self.take_before(record + 1)).transpose()
    }

    /// Takes the cuts of the records before `end`.
    ///
    /// # Errors
    /// `Corrupt` when the file is damaged; `Io`.
    pub fn take_before(&mut self, end: u64) -> Result<Vec<Cut>> {
        let mut taken = Vec::new();
        while let Some(cut) = self.head.filter(|cut| cut.record < end) {
            taken.push(cut);
            self.advance()?;
        }
        Ok(taken)
    }

    fn advance(&mut self) -> Result<()> {
        let mut row = [0; CUT_BYTES];
        self.head = self.rows.fill(&mut row)?.then(|| Cut::decode(&row));
        Ok(())
    }

    fn seek(&mut self, row: u64) -> Result<()> {
        self.rows.seek(row * CUT_BYTES as u64)?;
        self.advance()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(record: u64, start: u32) -> Cut {
        Cut { record, start, end: start + 1, survivor: 0, survivor_start: 7 }
    }

    #[test]
    fn cuts_are_read_from_any_record_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cuts");
        let cuts: Vec<Cut> =
            (0..9_000).flat_map(|record| (0..3).map(move |at| cut(record * 2, at))).collect();
        let mut writer = CutWriter::create(&path, 5).unwrap();
        for cut in &cuts {
            writer.push(cut).unwrap();
        }
        writer.finish().unwrap();
        let file = Cuts::open(&path, 5).unwrap();
        for first in [0, 1, 2, 6_240, 6_241, 6_242, 17_997, 17_998, 17_999] {
            let mut cursor = file.starting_at(first).unwrap();
            let expected: Vec<Cut> =
                cuts.iter().filter(|cut| cut.record >= first).copied().collect();
            let end = first + 500;
            let split = expected.partition_point(|cut| cut.record < end);
            assert_eq!(cursor.take_before(end).unwrap(), expected[..split]);
            assert_eq!(cursor.take_before(end).unwrap(), []);
            assert_eq!(cursor.head(), expected.get(split).copied());
            assert_eq!(cursor.take_before(u64::MAX).unwrap(), expected[split..]);
            assert_eq!(cursor.take().unwrap(), None);
        }
        let mut cursor = file.starting_at(10).unwrap();
        assert_eq!(cursor.take_of(11).unwrap(), None);
        assert_eq!(cursor.take_of(14).unwrap(), Some((0..3).map(|at| cut(14, at)).collect()));
        assert_eq!(cursor.take_of(18_000).unwrap(), None);
        assert!(Cuts::open(&path, 6).is_err(), "of another run");
    }

    #[test]
    fn a_file_without_cuts_is_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cuts");
        CutWriter::create(&path, 5).unwrap().finish().unwrap();
        assert_eq!(Cuts::open(&path, 5).unwrap().starting_at(3).unwrap().head(), None);
    }
}
