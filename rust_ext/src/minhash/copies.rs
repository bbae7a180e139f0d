//! Records of equal text: the one that stays of each text, and the others.
//!
//! The first in order stays; the order is that of the keep keys, then that of the records. It is
//! also the one that is compared with others, and may fall to one of them. Then those that are
//! compared by the same words fall with it. Records of equal text may be compared by others, as a
//! conversation is by its own content: of these the first in order, their *heir*, stays instead.

use std::path::Path;

use super::corpus::Entries;
use crate::Result;
use crate::control::Control;
use crate::external_sort::{ExternalSorter, Sorted};
use crate::row_file::{RowFile, RowReader};

/// Bytes of copies that are read or written at a time.
const BUFFER_BYTES: usize = 1 << 16;

/// The records whose text another record keeps, ascending, each with that record.
#[derive(Debug)]
pub(super) struct Copies {
    /// The copy; the record that keeps its text; where that falls, the one that the copy shares
    /// its fate with: the same if both have the same words, else the heir, which stays.
    rows: RowFile<3>,
}

impl Copies {
    /// Finds them, given rows (record, text) of the texts that occur twice or more.
    ///
    /// Takes twice `memory_bytes` beside what `members` takes.
    ///
    /// # Errors
    /// Of reading `entries`; `Io`; `Interrupted`.
    pub(super) fn find(
        mut members: Sorted<2>,
        entries: &mut impl Entries,
        beside: &Path,
        memory_bytes: usize,
        control: &Control,
    ) -> Result<Self> {
        let mut ordered = ExternalSorter::<4>::new(beside, memory_bytes);
        while let Some([record, text]) = members.take()? {
            control.check()?;
            let known = entries.entry(record)?;
            ordered.push([text, known.keep_key, record, known.words.identity()])?;
        }
        drop(members);
        let mut ordered = ordered.finish()?;
        let mut copies = ExternalSorter::<3>::new(beside, memory_bytes);
        while let Some([text, _, keeper, words]) = ordered.take()? {
            control.check()?;
            let mut heir = None;
            while let Some([_, _, copy, other]) = ordered.head().filter(|row| row[0] == text) {
                let after = if other == words { keeper } else { *heir.get_or_insert(copy) };
                copies.push([copy, keeper, after])?;
                ordered.advance()?;
            }
        }
        drop(ordered);
        let mut copies = copies.finish()?;
        let mut rows = RowFile::create(beside, BUFFER_BYTES)?;
        while let Some(row) = copies.take()? {
            rows.push(&row)?;
        }
        rows.flush()?;
        Ok(Self { rows })
    }

    /// Reads them.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn read(&self) -> Result<RowReader<3>> {
        self.rows.read_all(BUFFER_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::super::corpus::double::{Double, members};
    use super::*;

    fn copies(groups: &[&[u64]], keep_keys: &[u64]) -> Vec<[u64; 2]> {
        let rows = rows(groups, &mut Double::keeping(keep_keys));
        assert!(rows.iter().all(|[_, keeper, after]| keeper == after));
        rows.into_iter().map(|[copy, keeper, _]| [copy, keeper]).collect()
    }

    fn rows(groups: &[&[u64]], corpus: &mut Double) -> Vec<[u64; 3]> {
        let directory = tempfile::tempdir().unwrap();
        let beside = directory.path().join("x");
        let (texts, control) = (members(groups, &beside, 64), Control::default());
        let copies = Copies::find(texts, corpus, &beside, 64, &control).unwrap();
        let mut rows = copies.read().unwrap();
        let mut found = Vec::new();
        while let Some(row) = rows.head() {
            found.push(row);
            rows.advance().unwrap();
        }
        found
    }

    #[test]
    fn the_first_in_order_keeps_the_text() {
        let groups: [&[u64]; 3] = [&[2, 5, 7], &[1, 4], &[0, 8, 9]];
        assert_eq!(copies(&groups, &[0; 10]), [[4, 1], [5, 2], [7, 2], [8, 0], [9, 0]]);
        let keys = [3, 9, 7, 0, 8, 6, 0, 5, 3, 2];
        assert_eq!(copies(&groups, &keys), [[0, 9], [1, 4], [2, 7], [5, 7], [8, 9]]);
        assert_eq!(copies(&[], &[]), Vec::<[u64; 2]>::new());
    }

    #[test]
    fn copies_of_other_words_have_an_heir() {
        let mut corpus = Double::keeping(&[5, 5, 5, 5, 5, 0]);
        corpus.words = vec![vec![1, 2], vec![1], vec![1, 2], vec![1, 2, 3], vec![1], vec![1, 2]];
        let expected = [[0, 5, 5], [1, 5, 1], [2, 5, 5], [3, 5, 1], [4, 5, 1]];
        assert_eq!(rows(&[&[0, 1, 2, 3, 4, 5]], &mut corpus), expected);
    }
}
