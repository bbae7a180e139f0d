//! Sorting more rows than memory holds.
//!
//! Rows gather in memory. What fills the budget is sorted and stored as a *run*
//! ([`crate::row_file`]); at the end the runs are merged, in several rounds if there are more of
//! them than can be read at once. What comes out does not depend on the budget, and where all rows
//! fit no file is made.
//!
//! A row is `N` numbers, compared from the first to the last. Of equal rows one comes out.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::row_file::{RowFile, RowReader};

/// Bytes of a run that are read at a time, at least, where the budget allows it: a disk that turns
/// seeks for less than that.
const LEAST_READ_BYTES: usize = 1 << 16;

/// Bytes of a run that are written at a time, at most.
const WRITE_BYTES: usize = 1 << 18;

/// Takes rows in any order and gives them back sorted.
#[derive(Debug)]
pub struct ExternalSorter<const N: usize> {
    beside: PathBuf,
    memory_bytes: usize,
    rows: Vec<[u64; N]>,
    runs: Option<Runs<N>>,
    pushed: u64,
}

/// Sorted runs, one after another in a file.
#[derive(Debug)]
struct Runs<const N: usize> {
    file: RowFile<N>,
    /// Where each run ends.
    ends: Vec<u64>,
}

impl<const N: usize> ExternalSorter<N> {
    /// Begins with nothing. Runs go to the file system of `beside`, which errors name.
    ///
    /// It takes at most `memory_bytes`, and so does what [`ExternalSorter::finish`] makes of it.
    #[must_use]
    pub fn new(beside: &Path, memory_bytes: usize) -> Self {
        let beside = beside.to_path_buf();
        Self { beside, memory_bytes, rows: Vec::new(), runs: None, pushed: 0 }
    }

    /// Returns how many rows were pushed.
    #[must_use]
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Takes a row.
    ///
    /// # Errors
    /// `Io` when a run cannot be stored.
    #[inline]
    pub fn push(&mut self, row: [u64; N]) -> Result<()> {
        if self.rows.len() == self.rows.capacity() {
            self.make_room()?;
        }
        self.rows.push(row);
        self.pushed += 1;
        Ok(())
    }

    /// Doubles the rows that memory holds, up to the budget; then stores them.
    fn make_room(&mut self) -> Result<()> {
        let room = self.memory_bytes - self.write_bytes();
        let most = (room / size_of::<[u64; N]>()).max(1);
        if self.rows.len() >= most {
            return self.store_run();
        }
        let more = self.rows.len().max(64).min(most - self.rows.len());
        self.rows.reserve_exact(more);
        Ok(())
    }

    fn write_bytes(&self) -> usize {
        (self.memory_bytes / 8).min(WRITE_BYTES)
    }

    fn sort(&mut self) {
        // Two numbers as one are compared without a branch.
        let first = |row: &[u64; N]| match row[..] {
            [first, second, ..] => u128::from(first) << 64 | u128::from(second),
            [first] => u128::from(first),
            [] => 0,
        };
        if N <= 2 {
            self.rows.sort_unstable_by_key(first);
        } else {
            self.rows.sort_unstable_by(|a, b| first(a).cmp(&first(b)).then_with(|| a.cmp(b)));
        }
        self.rows.dedup();
    }

    fn store_run(&mut self) -> Result<()> {
        self.sort();
        let mut runs = match self.runs.take() {
            Some(runs) => runs,
            None => Runs::create(&self.beside, self.write_bytes())?,
        };
        self.rows.iter().try_for_each(|row| runs.file.push(row))?;
        runs.end_run()?;
        self.runs = Some(runs);
        self.rows.clear();
        Ok(())
    }

    /// Returns the rows sorted.
    ///
    /// # Errors
    /// `Io` when runs cannot be stored or read.
    pub fn finish(mut self) -> Result<Sorted<N>> {
        let rest = if self.runs.is_none() {
            self.sort();
            Rest::Memory(std::mem::take(&mut self.rows).into_iter())
        } else {
            self.store_run()?;
            self.rows = Vec::new();
            match self.runs.take() {
                Some(runs) => Rest::Runs(self.merge_to_one_round(runs)?),
                None => Rest::Memory(Vec::new().into_iter()),
            }
        };
        let mut sorted = Sorted { head: None, rest };
        sorted.advance()?;
        Ok(sorted)
    }

    /// Merges runs until so few are left that one merge gives the rows, and begins that.
    fn merge_to_one_round(&self, mut runs: Runs<N>) -> Result<Merge<N>> {
        // One part of the budget is for what is written.
        let most = (self.memory_bytes / LEAST_READ_BYTES).max(3) - 1;
        let read_bytes = self.memory_bytes / (most + 1);
        while runs.ends.len() > most {
            let mut fewer = Runs::create(&self.beside, read_bytes.min(WRITE_BYTES))?;
            for ranges in runs.ranges().chunks(most) {
                let mut merge = Merge::new(&runs.file, ranges, read_bytes)?;
                while let Some(row) = merge.next()? {
                    fewer.file.push(&row)?;
                }
                fewer.end_run()?;
            }
            runs = fewer;
        }
        let ranges = runs.ranges();
        Merge::new(&runs.file, &ranges, self.memory_bytes / ranges.len().max(1))
    }
}

impl<const N: usize> Runs<N> {
    fn create(beside: &Path, write_bytes: usize) -> Result<Self> {
        Ok(Self { file: RowFile::create(beside, write_bytes)?, ends: Vec::new() })
    }

    fn end_run(&mut self) -> Result<()> {
        self.file.flush()?;
        self.ends.push(self.file.len());
        Ok(())
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| start..end).collect()
    }
}

/// Rows in ascending order, each once.
#[derive(Debug)]
pub struct Sorted<const N: usize> {
    head: Option<[u64; N]>,
    rest: Rest<N>,
}

#[derive(Debug)]
enum Rest<const N: usize> {
    Memory(std::vec::IntoIter<[u64; N]>),
    Runs(Merge<N>),
}

impl<const N: usize> Sorted<N> {
    /// Returns the row at hand, `None` behind the last one.
    #[must_use]
    #[inline]
    pub fn head(&self) -> Option<[u64; N]> {
        self.head
    }

    /// Goes on to the next row.
    ///
    /// # Errors
    /// `Io` when it cannot be read.
    #[inline]
    pub fn advance(&mut self) -> Result<()> {
        self.head = match &mut self.rest {
            Rest::Memory(rows) => rows.next(),
            Rest::Runs(merge) => merge.next()?,
        };
        Ok(())
    }

    /// Returns the row at hand and goes on to the next.
    ///
    /// # Errors
    /// `Io` when that cannot be read.
    #[inline]
    pub fn take(&mut self) -> Result<Option<[u64; N]>> {
        let head = self.head;
        if head.is_some() {
            self.advance()?;
        }
        Ok(head)
    }
}

/// Runs read side by side.
#[derive(Debug)]
struct Merge<const N: usize> {
    runs: Vec<RowReader<N>>,
    /// The row at hand of each run that has one, and the number of the run.
    heads: BinaryHeap<Reverse<([u64; N], usize)>>,
}

impl<const N: usize> Merge<N> {
    fn new(file: &RowFile<N>, ranges: &[Range<u64>], read_bytes: usize) -> Result<Self> {
        let runs: Vec<_> = ranges
            .iter()
            .map(|range| file.read(range.clone(), read_bytes))
            .collect::<Result<_>>()?;
        let heads = runs.iter().enumerate();
        let heads =
            heads.filter_map(|(run, reader)| Some(Reverse((reader.head()?, run)))).collect();
        Ok(Self { runs, heads })
    }

    /// Returns the least row and passes over its equals.
    fn next(&mut self) -> Result<Option<[u64; N]>> {
        let Some(&Reverse((least, _))) = self.heads.peek() else { return Ok(None) };
        while let Some(mut top) = self.heads.peek_mut() {
            let Reverse((row, run)) = *top;
            if row != least {
                break;
            }
            self.runs[run].advance()?;
            match self.runs[run].head() {
                Some(next) => *top = Reverse((next, run)),
                None => drop(std::collections::binary_heap::PeekMut::pop(top)),
            }
        }
        Ok(Some(least))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn sorted<const N: usize>(
        rows: impl IntoIterator<Item = [u64; N]>,
        memory_bytes: usize,
    ) -> Vec<[u64; N]> {
        let directory = tempfile::tempdir().unwrap();
        let mut sorter = ExternalSorter::new(&directory.path().join("rows"), memory_bytes);
        rows.into_iter().for_each(|row| sorter.push(row).unwrap());
        let most_rows = (memory_bytes / (N * 8)).max(1);
        assert!(sorter.rows.capacity() <= most_rows, "{} rows", sorter.rows.capacity());
        let mut sorted = sorter.finish().unwrap();
        let mut found = Vec::new();
        while let Some(row) = sorted.take().unwrap() {
            found.push(row);
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        found
    }

    proptest! {
        #[test]
        fn any_budget_gives_the_distinct_rows_in_order(
            rows in prop::collection::vec(prop::array::uniform2(0_u64..30), 0..400),
            memory_bytes in 1_usize..4_000,
        ) {
            let expected: Vec<_> = rows.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
            prop_assert_eq!(sorted(rows, memory_bytes), expected);
        }
    }

    #[test]
    fn many_runs_are_merged_in_rounds() {
        let count = 300_000_u64;
        let rows =
            (0..count).map(|number| [number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % count, 1, 2]);
        // 3 runs are read at once, of 10,000 rows each.
        let found = sorted(rows.clone(), 1 << 18);
        assert_eq!(found, rows.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn whole_numbers_are_compared_from_the_first() {
        let rows = [[2, 0], [1, u64::MAX], [1, 3], [u64::MAX, 0], [0, 9]];
        let expected = [[0, 9], [1, 3], [1, u64::MAX], [2, 0], [u64::MAX, 0]];
        assert_eq!(sorted(rows, 1 << 20), expected);
        assert_eq!(sorted(rows, 16), expected);
        assert_eq!(sorted(Vec::<[u64; 2]>::new(), 16), Vec::<[u64; 2]>::new());
    }
}
