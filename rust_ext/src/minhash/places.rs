//! The candidates: records that share a bucket with another, numbered in the order of decision.
//!
//! A candidate's number is its *place*: the first is the one with the smallest keep key, and of
//! equal keys the earliest record. What is found out about candidates is kept by place.

use std::path::Path;

use super::copies::Copies;
use super::corpus::{Entries, WordsAt};
use crate::Result;
use crate::control::Control;
use crate::external_sort::{ExternalSorter, Sorted};
use crate::row_table::RowTable;

/// Bytes of a row: record, first word, count and check of the words.
const ROW_BYTES: usize = 24;

/// Where the words of each candidate lie, by place.
#[derive(Debug)]
pub(super) struct Places {
    table: RowTable,
}

impl Places {
    /// Returns how many candidates there are.
    pub(super) fn len(&self) -> u64 {
        self.table.len()
    }

    /// Returns the record at a place, and where its words lie.
    ///
    /// # Errors
    /// `Io` when the table cannot be read.
    pub(super) fn at(&mut self, place: u64) -> Result<WordsAt> {
        let words = self.table.row(place)?.as_chunks::<8>().0;
        let [record, first, both] = std::array::from_fn(|index| u64::from_le_bytes(words[index]));
        let [count, check] = halves(both);
        Ok(WordsAt { record, first, count, check })
    }

    fn set(&mut self, place: u64, [record, first, both]: [u64; 3]) -> Result<()> {
        let row = self.table.row_mut(place)?.as_chunks_mut::<8>().0;
        for (to, word) in row.iter_mut().zip([record, first, both]) {
            *to = word.to_le_bytes();
        }
        Ok(())
    }
}

/// Numbers the candidates, given rows (record, bucket) of all bands; returns their places, and the
/// rows (bucket, place) in order. Copies are in no bucket.
///
/// Takes at most three times `memory_bytes`, `members` included; what it returns takes it once, and
/// a quarter.
///
/// # Errors
/// Of reading `entries`; `Io`; `Interrupted`.
pub(super) fn find_places(
    members: Sorted<2>,
    copies: &Copies,
    entries: &mut impl Entries,
    beside: &Path,
    memory_bytes: usize,
    control: &Control,
) -> Result<(Places, Sorted<2>)> {
    let ((mut found, count), mut ordered) =
        order(members, copies, entries, beside, memory_bytes, control)?;
    let mut places = Places { table: RowTable::new(beside, ROW_BYTES, count, memory_bytes / 4)? };
    let mut members = ExternalSorter::<2>::new(beside, memory_bytes);
    for place in 0..count {
        control.check()?;
        let Some([key, record, first, both]) = found.take()? else { break };
        places.set(place, [record, first, both])?;
        while let Some([_, _, bucket]) = ordered.head().filter(|row| row[..2] == [key, record]) {
            members.push([bucket, place])?;
            ordered.advance()?;
        }
    }
    drop((found, ordered));
    Ok((places, members.finish()?))
}

/// Rows (key, record, first word, count and check) of candidates, and how many they are.
type Found = (Sorted<4>, u64);

/// Joins what is known of the records: candidates, and rows (key, record, bucket), in order.
fn order(
    mut members: Sorted<2>,
    copies: &Copies,
    entries: &mut impl Entries,
    beside: &Path,
    memory_bytes: usize,
    control: &Control,
) -> Result<(Found, Sorted<3>)> {
    let mut copies = copies.read()?;
    let mut found = ExternalSorter::<4>::new(beside, memory_bytes);
    let mut ordered = ExternalSorter::<3>::new(beside, memory_bytes);
    while let Some([record, _]) = members.head() {
        control.check()?;
        while copies.head().is_some_and(|[copy, ..]| copy < record) {
            copies.advance()?;
        }
        let is_copy = copies.head().is_some_and(|[copy, ..]| copy == record);
        let mut key = 0;
        if !is_copy {
            let known = entries.entry(record)?;
            key = known.keep_key;
            found.push([key, record, known.words.first, known.words.identity()])?;
        }
        while let Some([_, bucket]) = members.head().filter(|row| row[0] == record) {
            if !is_copy {
                ordered.push([key, record, bucket])?;
            }
            members.advance()?;
        }
    }
    drop(members);
    let count = found.pushed();
    Ok(((found.finish()?, count), ordered.finish()?))
}

/// Returns the lower and the upper half of a number.
#[allow(clippy::cast_possible_truncation)] // that is what halves are
fn halves(both: u64) -> [u32; 2] {
    [both as u32, (both >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::super::corpus::double::{Double, members};
    use super::*;

    #[test]
    fn candidates_are_numbered_by_key_and_record_and_copies_are_none() {
        let directory = tempfile::tempdir().unwrap();
        let beside = directory.path().join("x");
        let mut corpus = Double::keeping(&[5, 5, 0, 9, 5, 7, 0, 5, 5, 5]);
        corpus.words = (0..10).map(|record| vec![record; record as usize]).collect();
        let control = Control::default();
        for memory_bytes in [1, 100, 1 << 20] {
            let texts = members(&[&[1, 4]], &beside, memory_bytes);
            let copies = Copies::find(texts, &mut corpus, &beside, memory_bytes, &control).unwrap();
            let buckets = members(&[&[1, 3, 5], &[2, 4], &[1, 5, 8]], &beside, memory_bytes);
            let (mut places, mut rows) =
                find_places(buckets, &copies, &mut corpus, &beside, memory_bytes, &control)
                    .unwrap();
            let records: Vec<_> =
                (0..places.len()).map(|place| places.at(place).unwrap().record).collect();
            assert_eq!(records, [2, 1, 8, 5, 3]);
            assert_eq!(places.at(3).unwrap().count, 5);
            let mut found = Vec::new();
            while let Some(row) = rows.take().unwrap() {
                found.push(row);
            }
            // Bucket 0 holds 1, 5 and 3; bucket 1 only 2; bucket 2 holds 1, 8 and 5.
            assert_eq!(found, [[0, 1], [0, 3], [0, 4], [1, 0], [2, 1], [2, 2], [2, 3]]);
        }
    }
}
