//! A file of rows on records, ascending by record: one stream ([`super::stream`]), read from any
//! record on, so that a task that works on one unit reads that unit's rows alone.

use std::marker::PhantomData;
use std::path::Path;

use super::sections::{Kind, Reader, Writer};
use super::stream::{StreamReader, StreamWriter};
use crate::Result;

const ROWS: usize = 0;

/// What stands in such a file.
pub trait Row: Copy {
    /// What the file is.
    const KIND: Kind;
    /// A row in the file, of which it has many.
    type Bytes: AsRef<[u8]> + AsMut<[u8]>;
    /// Room for one.
    const ROOM: Self::Bytes;

    /// Returns its bytes in a file.
    fn encode(&self) -> Self::Bytes;

    /// Reads it back.
    fn decode(row: &Self::Bytes) -> Self;

    /// Returns the number of the record that it is about.
    fn record(&self) -> u64;
}

/// Writes rows in order.
pub struct RowWriter<R> {
    file: Writer,
    rows: StreamWriter,
    count: u64,
    row: PhantomData<R>,
}

impl<R: Row> RowWriter<R> {
    /// Begins the file that [`RowWriter::finish`] will put at `path`.
    ///
    /// # Errors
    /// `Io` when it cannot be created.
    pub fn create(path: &Path, fingerprint: u64) -> Result<Self> {
        let file = Writer::create(path, R::KIND, fingerprint)?;
        Ok(Self { file, rows: StreamWriter::default(), count: 0, row: PhantomData })
    }

    /// Appends a row, whose record is not before the last one.
    ///
    /// # Errors
    /// `Io` when the disk is full, for example.
    pub fn push(&mut self, row: &R) -> Result<()> {
        self.count += 1;
        self.rows.append(&mut self.file, row.encode().as_ref())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// `Io` from writing, syncing or renaming.
    pub fn finish(mut self) -> Result<()> {
        self.rows.end(&mut self.file)?;
        self.file.finish(self.count)
    }

    /// Ends the file with a section behind the rows.
    ///
    /// # Errors
    /// As [`RowWriter::finish`].
    pub fn finish_with(mut self, section: &[u8]) -> Result<()> {
        self.rows.end(&mut self.file)?;
        self.file.section(section)?;
        self.file.finish(self.count)
    }
}

/// A file of rows, open.
#[derive(Debug)]
pub struct Rows<R> {
    reader: Reader,
    row: PhantomData<R>,
}

impl<R: Row> Rows<R> {
    /// Opens what [`RowWriter`] wrote.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged or of another run; `Io`.
    pub fn open(path: &Path, fingerprint: u64) -> Result<Self> {
        Ok(Self { reader: Reader::open(path, R::KIND, fingerprint)?, row: PhantomData })
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.reader.records()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the file, for what stands behind the rows.
    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Begins before the first row on `record`, or on one behind it.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged; `Io`.
    pub fn starting_at(&self, record: u64) -> Result<RowCursor<'_, R>> {
        let rows = StreamReader::open(&self.reader, ROWS)?;
        if rows.length() != self.len() * size_of::<R::Bytes>() as u64 {
            return Err(self.reader.corrupt("its rows are not as many as it says"));
        }
        let mut cursor = RowCursor { rows, head: None };
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            cursor.seek(middle)?;
            if cursor.head.is_some_and(|row: R| row.record() < record) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        cursor.seek(low)?;
        Ok(cursor)
    }
}

/// Reads rows in order.
#[derive(Debug)]
pub struct RowCursor<'a, R> {
    rows: StreamReader<'a>,
    head: Option<R>,
}

impl<R: Row> RowCursor<'_, R> {
    /// Returns the row at hand, `None` behind the last one.
    #[must_use]
    #[inline]
    pub fn head(&self) -> Option<&R> {
        self.head.as_ref()
    }

    /// Goes on to the next row.
    ///
    /// # Errors
    /// `Corrupt` when the file is damaged; `Io`.
    pub fn advance(&mut self) -> Result<()> {
        let mut row = R::ROOM;
        self.head = self.rows.fill(row.as_mut())?.then(|| R::decode(&row));
        Ok(())
    }

    /// Returns the row at hand and goes on to the next.
    ///
    /// # Errors
    /// `Corrupt` when the file is damaged; `Io`.
    pub fn take(&mut self) -> Result<Option<R>> {
        let head = self.head;
        if head.is_some() {
            self.advance()?;
        }
        Ok(head)
    }

    /// Takes the rows on a record, if it has some; records are asked for in ascending order.
    ///
    /// # Errors
    /// `Corrupt` when the file is damaged; `Io`.
    pub fn take_of(&mut self, record: u64) -> Result<Option<Vec<R>>> {
        while self.head.is_some_and(|row| row.record() < record) {
            self.advance()?;
        }
        let is_of = self.head.is_some_and(|row| row.record() == record);
        is_of.then(|| self.take_before(record + 1)).transpose()
    }

    /// Takes the rows on the records before `end`.
    ///
    /// # Errors
    /// `Corrupt` when the file is damaged; `Io`.
    pub fn take_before(&mut self, end: u64) -> Result<Vec<R>> {
        let mut taken = Vec::new();
        while let Some(row) = self.head.filter(|row| row.record() < end) {
            taken.push(row);
            self.advance()?;
        }
        Ok(taken)
    }

    fn seek(&mut self, row: u64) -> Result<()> {
        self.rows.seek(row * size_of::<R::Bytes>() as u64)?;
        self.advance()
    }
}
