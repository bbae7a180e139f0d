//! A table of rows of bytes, read and written anywhere, of which memory holds what it may.
//!
//! A table that fits its budget lies in memory. Of a larger one the pages used last do, the others
//! in a file without a name. All bytes are zero at first, and cost nothing until they are written.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::output::unnamed_file;
use crate::{Error, Result};

/// Bytes of a page, about: what a disk reads as fast as a single byte.
const PAGE_BYTES: usize = 4096;

/// Rows of equal size, by number.
#[derive(Debug)]
pub struct RowTable {
    row_bytes: usize,
    rows: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File(Pages),
}

impl RowTable {
    /// Makes a table of `rows` rows of zeros. A file lies on the file system of `beside`, which
    /// errors name.
    ///
    /// # Errors
    /// `Io` when a file is needed and cannot be made.
    pub fn new(beside: &Path, row_bytes: usize, rows: u64, memory_bytes: usize) -> Result<Self> {
        let row_bytes = row_bytes.max(1);
        let bytes = usize::try_from(rows).ok().and_then(|rows| rows.checked_mul(row_bytes));
        let place = match bytes.filter(|&bytes| bytes <= memory_bytes) {
            Some(bytes) => Place::Memory(vec![0; bytes]),
            None => Place::File(Pages::new(beside, row_bytes, rows, memory_bytes)?),
        };
        Ok(Self { row_bytes, rows, place })
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.rows
    }

    /// Returns whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Returns a row.
    ///
    /// # Errors
    /// `Io` when its page cannot be read, or the one that makes room for it not written.
    ///
    /// # Panics
    /// If the number is not below that of the rows.
    pub fn row(&mut self, number: u64) -> Result<&[u8]> {
        self.locate(number, false).map(|row| &*row)
    }

    /// Returns a row, to be changed.
    ///
    /// # Errors
    /// As [`RowTable::row`].
    ///
    /// # Panics
    /// As [`RowTable::row`].
    pub fn row_mut(&mut self, number: u64) -> Result<&mut [u8]> {
        self.locate(number, true)
    }

    fn locate(&mut self, number: u64, is_changed: bool) -> Result<&mut [u8]> {
        assert!(number < self.rows, "row {number} of {}", self.rows);
        let (bytes, start) = match &mut self.place {
            // It is in memory, so its offset fits.
            Place::Memory(bytes) => {
                let start = usize::try_from(number).unwrap_or(usize::MAX) * self.row_bytes;
                (&mut bytes[..], start)
            }
            Place::File(pages) => pages.locate(number, is_changed)?,
        };
        Ok(&mut bytes[start..start + self.row_bytes])
    }
}

/// A page that is in memory.
#[derive(Debug, Default)]
struct Held {
    page: u64,
    is_changed: bool,
    /// Whether it was used since the hand passed it.
    is_used: bool,
}

/// A file of pages, some of them in memory; of those, one that was not used since the hand last
/// passed it makes room for another ("clock").
#[derive(Debug)]
struct Pages {
    beside: PathBuf,
    file: File,
    rows_per_page: u64,
    row_bytes: usize,
    page_bytes: usize,
    most_held: usize,
    held: Vec<Held>,
    /// The held pages, one after another.
    bytes: Vec<u8>,
    /// Number of a page -> where it is held.
    places: HashMap<u64, usize>,
    hand: usize,
}

impl Pages {
    fn new(beside: &Path, row_bytes: usize, rows: u64, memory_bytes: usize) -> Result<Self> {
        let file = unnamed_file(beside)?;
        let in_page = (PAGE_BYTES / row_bytes).max(1);
        let rows_per_page = in_page as u64;
        let page_bytes = in_page * row_bytes;
        let size = rows.div_ceil(rows_per_page).saturating_mul(page_bytes as u64);
        // Nothing is written: what was never written reads as zeros.
        file.set_len(size).map_err(|source| Error::io(beside, source))?;
        // Beside its bytes a page takes its entry and that of the map, half empty.
        let weight = page_bytes + size_of::<Held>() + 4 * size_of::<(u64, usize)>();
        Ok(Self {
            beside: beside.to_path_buf(),
            file,
            rows_per_page,
            row_bytes,
            page_bytes,
            most_held: (memory_bytes / weight).max(1),
            held: Vec::new(),
            bytes: Vec::new(),
            places: HashMap::new(),
            hand: 0,
        })
    }

    /// Returns the held pages, and where in them the row begins.
    fn locate(&mut self, number: u64, is_changed: bool) -> Result<(&mut [u8], usize)> {
        let page = number / self.rows_per_page;
        let place = match self.places.get(&page) {
            Some(&place) => place,
            None => self.read(page)?,
        };
        let held = &mut self.held[place];
        held.is_used = true;
        held.is_changed |= is_changed;
        // Below the rows of a page.
        let row = usize::try_from(number % self.rows_per_page).unwrap_or(usize::MAX);
        Ok((&mut self.bytes, place * self.page_bytes + row * self.row_bytes))
    }

    fn read(&mut self, page: u64) -> Result<usize> {
        let place = self.make_room()?;
        let start = place * self.page_bytes;
        let bytes = &mut self.bytes[start..start + self.page_bytes];
        self.file
            .read_exact_at(bytes, page * self.page_bytes as u64)
            .map_err(|source| Error::io(&self.beside, source))?;
        self.held[place] = Held { page, is_changed: false, is_used: true };
        self.places.insert(page, place);
        Ok(place)
    }

    /// Returns a place for a page, a new one or that of one that was written back.
    fn make_room(&mut self) -> Result<usize> {
        if self.held.len() < self.most_held {
            if self.held.len() == self.held.capacity() {
                let more = self.held.len().max(16).min(self.most_held - self.held.len());
                self.held.reserve_exact(more);
                self.bytes.reserve_exact(more * self.page_bytes);
            }
            self.held.push(Held::default());
            self.bytes.resize(self.held.len() * self.page_bytes, 0);
            return Ok(self.held.len() - 1);
        }
        while std::mem::take(&mut self.held[self.hand].is_used) {
            self.hand = (self.hand + 1) % self.held.len();
        }
        let place = self.hand;
        self.hand = (self.hand + 1) % self.held.len();
        let Held { page, is_changed, .. } = self.held[place];
        if is_changed {
            let start = place * self.page_bytes;
            let bytes = &self.bytes[start..start + self.page_bytes];
            self.file
                .write_all_at(bytes, page * self.page_bytes as u64)
                .map_err(|source| Error::io(&self.beside, source))?;
        }
        self.places.remove(&page);
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_table_keeps_what_was_written_whatever_memory_it_has(
            writes in prop::collection::vec((0_u64..5_000, any::<u8>()), 0..300),
            row_bytes in prop_oneof![Just(1_usize), Just(4), Just(520), Just(5_000)],
            memory_bytes in prop_oneof![Just(0_usize), Just(20_000), Just(200_000), Just(1 << 30)],
        ) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("table");
            let mut table = RowTable::new(&path, row_bytes, 5_000, memory_bytes).unwrap();
            let mut expected = vec![0; 5_000];
            for &(number, value) in &writes {
                table.row_mut(number).unwrap().fill(value);
                expected[usize::try_from(number).unwrap()] = value;
                if let Place::File(pages) = &table.place {
                    prop_assert!(pages.bytes.capacity() <= memory_bytes.max(8_192));
                }
            }
            for (number, &value) in (0..).zip(&expected) {
                let row = table.row(number).unwrap();
                prop_assert_eq!((row.len(), row.iter().all(|&byte| byte == value)), (row_bytes, true));
            }
            prop_assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        }
    }

    #[test]
    #[should_panic(expected = "row 3 of 3")]
    fn a_row_behind_the_last_is_a_bug() {
        let mut table = RowTable::new(Path::new("/nowhere/x"), 8, 3, 1 << 20).unwrap();
        let _ = table.row(3);
    }
}
