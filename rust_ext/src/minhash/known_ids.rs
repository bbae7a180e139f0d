//! Ids of records that come in no order, looked up for as many rows at a time as memory allows.

use super::signed_corpus::Walk;
use crate::Result;

/// Ids of some records, one after another.
#[derive(Debug, Default)]
pub(crate) struct KnownIds {
    records: Vec<u64>,
    ends: Vec<usize>,
    ids: String,
}

impl KnownIds {
    /// Finds the ids of the records that `named` says of the rows, or of as many of the first rows
    /// as `memory_bytes` of ids allow; returns of how many rows, one at least.
    ///
    /// # Errors
    /// `Corrupt` when they are damaged; `Io`.
    pub(crate) fn find<T>(
        rows: &[T],
        named: impl Fn(&T) -> Option<u64>,
        walk: &mut Walk<'_>,
        memory_bytes: usize,
    ) -> Result<(Self, usize)> {
        let mut known = rows.len();
        loop {
            let mut found = Self::default();
            found.records.extend(rows[..known].iter().filter_map(&named));
            found.records.sort_unstable();
            found.records.dedup();
            for &record in &found.records {
                found.ids.push_str(walk.id(record)?);
                found.ends.push(found.ids.len());
                if found.ids.len() > memory_bytes {
                    break;
                }
            }
            if found.ends.len() == found.records.len() || known == 1 {
                return Ok((found, known));
            }
            known /= 2;
        }
    }

    /// Returns the id of a record, `None` if it was not looked for.
    pub(crate) fn of(&self, record: u64) -> Option<&str> {
        let at = self.records.binary_search(&record).ok()?;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.ids.get(start..*self.ends.get(at)?)
    }
}
