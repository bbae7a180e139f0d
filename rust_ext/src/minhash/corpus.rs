//! What `connect` asks of the signed units: entries of ascending records, and words of any record.

use crate::Result;

/// Where the words of a record lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WordsAt {
    /// The record.
    pub(super) record: u64,
    /// Index of the first among the words of its unit.
    pub(super) first: u64,
    /// How many there are.
    pub(super) count: u32,
    /// Checks them.
    pub(super) check: u32,
}

impl WordsAt {
    /// Returns a number that differs, but for a chance of 2^-32, where the words do.
    pub(super) fn identity(self) -> u64 {
        u64::from(self.count) | u64::from(self.check) << 32
    }
}

/// What is known of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Its rank: of two records that are alike the one with the smaller key stays.
    pub(super) keep_key: u64,
    /// Its words.
    pub(super) words: WordsAt,
}

/// Entries by the number of their record.
pub(super) trait Entries {
    /// Returns what is known of a record. Records that ascend are found fastest.
    ///
    /// # Errors
    /// `Corrupt` when the entry is damaged, `Io` when it cannot be read.
    fn entry(&mut self, record: u64) -> Result<Known>;
}

/// Words of records, for any number of threads.
pub(super) trait Words: Sync {
    /// Replaces `words` by those of a record.
    ///
    /// # Errors
    /// `Corrupt` when they are damaged, `Io` when they cannot be read.
    fn read(&self, at: WordsAt, words: &mut Vec<u32>) -> Result<()>;
}

#[cfg(test)]
pub(super) mod double {
    //! A corpus in memory.

    use std::path::Path;

    use super::*;
    use crate::external_sort::{ExternalSorter, Sorted};

    /// Keep keys and words of records.
    #[derive(Clone, Debug, Default)]
    pub(in super::super) struct Double {
        pub(in super::super) keep_keys: Vec<u64>,
        pub(in super::super) words: Vec<Vec<u32>>,
    }

    impl Double {
        pub(in super::super) fn keeping(keep_keys: &[u64]) -> Self {
            Self { keep_keys: keep_keys.to_vec(), words: vec![vec![]; keep_keys.len()] }
        }
    }

    /// Rows (record, number of its group).
    pub(in super::super) fn members(
        groups: &[&[u64]],
        beside: &Path,
        memory_bytes: usize,
    ) -> Sorted<2> {
        let mut rows = ExternalSorter::new(beside, memory_bytes);
        for (number, group) in (0..).zip(groups) {
            group.iter().for_each(|&record| rows.push([record, number]).unwrap());
        }
        rows.finish().unwrap()
    }

    impl Entries for Double {
        fn entry(&mut self, record: u64) -> Result<Known> {
            let index = usize::try_from(record).unwrap();
            let count = u32::try_from(self.words[index].len()).unwrap();
            let check = self.words[index]
                .iter()
                .fold(0, |sum: u32, &word| sum.wrapping_mul(31).wrapping_add(word));
            let words = WordsAt { record, first: 0, count, check };
            Ok(Known { keep_key: self.keep_keys[index], words })
        }
    }

    impl Words for Double {
        fn read(&self, at: WordsAt, words: &mut Vec<u32>) -> Result<()> {
            words.clear();
            words.extend_from_slice(&self.words[usize::try_from(at.record).unwrap()]);
            Ok(())
        }
    }
}
