//! Which records share a key, with as much memory as there is: an external sort by hash ranges.
//!
//! Keys are hashes, so that equal parts of their range have about equally many. As many ranges are
//! taken as let the rows of one fit the memory; each is read from all runs, sorted and handed on.
//! A range with more than that, because many records share a key, is counted by 256 parts and
//! taken in pieces; one key that is alone too much is handed on as it is read, since runs and their
//! lines come in the order of the records. Nothing of this is seen in the result.

use std::collections::BTreeMap;

use super::groups::Sink;
use super::keys::{Key, KeyRange, KeyReader, KeySection};
use super::sections::Reader;
use crate::Result;
use crate::control::Control;

/// The keys of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub(super) reader: &'a Reader,
    /// Number of the record that is line 0.
    pub(super) first_record: u64,
    pub(super) keys: KeySection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row<K> {
    key: K,
    record: u64,
}

/// Hands to `sink` the groups of two and more records whose keys are equal and in `range`.
///
/// Runs come in the order of the records. Groups come by key, their records ascending. Takes about
/// `memory_bytes` of memory.
///
/// # Errors
/// `Corrupt` when keys are damaged; `Io`; `Interrupted`; that of `sink`.
pub(super) fn group<K: Key + Default>(
    runs: &[Run<'_>],
    range: KeyRange,
    memory_bytes: usize,
    sink: &mut impl Sink,
    control: &Control,
) -> Result<()> {
    let most_rows = (memory_bytes / (2 * size_of::<Row<K>>())).max(1);
    let rows = runs.iter().map(|run| u64::from(run.keys.count)).sum::<u64>();
    let rows = usize::try_from(rows).unwrap_or(usize::MAX).min(most_rows);
    let mut grouper = Grouper {
        runs,
        control,
        most_rows,
        reader: KeyReader::default(),
        rows: Vec::<Row<K>>::with_capacity(rows),
        spare: Vec::new(),
        sink,
    };
    let pieces = grouper.pieces(range);
    (0..pieces).try_for_each(|piece| grouper.range(range.part(piece, pieces)))
}

/// Parts that a range is counted by.
const PARTS_BITS: u32 = 8;

/// Rows in a part of a range, and the least and the largest upper half among them.
#[derive(Clone, Copy, Debug)]
struct Counted {
    rows: usize,
    range: KeyRange,
}

impl Counted {
    const NONE: Self = Self { rows: 0, range: KeyRange { first: u64::MAX, last: 0 } };

    fn add(&mut self, upper: u64) {
        self.rows += 1;
        self.range.first = self.range.first.min(upper);
        self.range.last = self.range.last.max(upper);
    }

    fn join(self, other: Self) -> Self {
        let first = self.range.first.min(other.range.first);
        let last = self.range.last.max(other.range.last);
        Self { rows: self.rows + other.rows, range: KeyRange { first, last } }
    }
}

struct Grouper<'a, K, S> {
    runs: &'a [Run<'a>],
    control: &'a Control,
    most_rows: usize,
    reader: KeyReader,
    rows: Vec<Row<K>>,
    spare: Vec<Row<K>>,
    sink: &'a mut S,
}

impl<K: Key + Default, S: Sink> Grouper<'_, K, S> {
    /// Returns how many ranges fit the memory if keys are as even as hashes are.
    fn pieces(&self, range: KeyRange) -> u64 {
        let rows: u128 = self.runs.iter().map(|run| u128::from(run.keys.count)).sum();
        let width = u128::from(range.last - range.first) + 1;
        let expected = (rows * width) >> 64;
        // An eighth more than is expected must fit, too.
        let pieces = (expected + expected / 8).div_ceil(self.most_rows as u128).max(1);
        u64::try_from(pieces.min(width)).unwrap_or(u64::MAX)
    }

    fn range(&mut self, range: KeyRange) -> Result<()> {
        if self.load(range)? {
            self.sort(range);
            self.hand_on()
        } else {
            self.split(range)
        }
    }

    /// Calls `take` with the key and the record of every row in a range.
    fn each(
        &mut self,
        range: KeyRange,
        mut take: impl FnMut(&mut Self, K, u64) -> Result<()>,
    ) -> Result<()> {
        let mut reader = std::mem::take(&mut self.reader);
        for run in self.runs {
            self.control.check()?;
            let take = |key, line| take(self, key, run.first_record + u64::from(line));
            reader.read(run.reader, run.keys, range, take)?;
        }
        self.reader = reader;
        Ok(())
    }

    /// Reads a range; `false` if it is more than the memory holds.
    fn load(&mut self, range: KeyRange) -> Result<bool> {
        self.rows.clear();
        let mut fits = true;
        let mut reader = std::mem::take(&mut self.reader);
        for run in self.runs {
            self.control.check()?;
            reader.read(run.reader, run.keys, range, |key, line| {
                fits = self.rows.len() < self.most_rows;
                if fits {
                    self.rows.push(Row { key, record: run.first_record + u64::from(line) });
                }
                Ok(())
            })?;
            if !fits {
                break;
            }
        }
        self.reader = reader;
        Ok(fits)
    }

    /// Takes a range in pieces that fit, and keys that do not fit alone.
    fn split(&mut self, range: KeyRange) -> Result<()> {
        let bits = 64 - (range.last - range.first).leading_zeros();
        let shift = bits.saturating_sub(PARTS_BITS);
        let mut parts = vec![Counted::NONE; 1 << PARTS_BITS];
        self.each(range, |_, key, _| {
            let upper = key.upper();
            let part = (upper - range.first) >> shift;
            parts[usize::try_from(part).unwrap_or(usize::MAX)].add(upper);
            Ok(())
        })?;
        let mut waiting = Counted::NONE;
        for part in parts.into_iter().filter(|part| part.rows > 0) {
            if waiting.rows + part.rows <= self.most_rows {
                waiting = waiting.join(part);
                continue;
            }
            self.counted(waiting)?;
            waiting = part;
        }
        self.counted(waiting)
    }

    fn counted(&mut self, Counted { rows, range }: Counted) -> Result<()> {
        if rows == 0 {
            Ok(())
        } else if rows <= self.most_rows {
            self.range(range)
        } else if range.first < range.last {
            self.split(range)
        } else {
            self.one(range)
        }
    }

    /// Hands on the groups of keys with one upper half, as they are read.
    fn one(&mut self, range: KeyRange) -> Result<()> {
        // Hardly ever more than one: the lower halves are hashes, too.
        let mut sizes: BTreeMap<K, u64> = BTreeMap::new();
        self.each(range, |_, key, _| {
            *sizes.entry(key).or_default() += 1;
            Ok(())
        })?;
        for (wanted, count) in sizes.into_iter().filter(|(_, count)| *count > 1) {
            self.sink.begin(count)?;
            self.each(
                range,
                |grouper, key, record| {
                    if key == wanted { grouper.sink.member(record) } else { Ok(()) }
                },
            )?;
        }
        Ok(())
    }

    /// Sorts the rows by key; those of a key stay in the order of their records.
    fn sort(&mut self, range: KeyRange) {
        let bits = 64 - (range.last - range.first).leading_zeros();
        // So many leading bits leave few rows together that are not of one key.
        let used = bits.min(self.rows.len().checked_ilog2().unwrap_or(0) + 8);
        let shift = bits - used;
        let leading =
            |row: &Row<K>| (row.key.upper() - range.first).checked_shr(shift).unwrap_or(0);
        let passes = used.div_ceil(MOST_DIGIT_BITS);
        let digit_bits = used.div_ceil(passes.max(1));
        for pass in 0..passes {
            let digit = |row: &Row<K>| {
                let digit = leading(row) >> (pass * digit_bits) & ((1 << digit_bits) - 1);
                usize::try_from(digit).unwrap_or(usize::MAX)
            };
            sort_by_digit(&self.rows, &mut self.spare, 1 << digit_bits, digit);
            std::mem::swap(&mut self.rows, &mut self.spare);
        }
        for together in self.rows.chunk_by_mut(|left, right| leading(left) == leading(right)) {
            if together.iter().any(|row| row.key != together[0].key) {
                together.sort_unstable(); // in place, and records ascend within a key
            }
        }
    }

    fn hand_on(&mut self) -> Result<()> {
        for group in self.rows.chunk_by(|left, right| left.key == right.key) {
            if group.len() > 1 {
                self.sink.begin(group.len() as u64)?;
                group.iter().try_for_each(|row| self.sink.member(row.record))?;
            }
        }
        Ok(())
    }
}

/// Bits of a digit at most: the places of 2^11 digits stay in the nearest cache.
const MOST_DIGIT_BITS: u32 = 11;

/// Puts rows in the order of a digit; equal ones stay as they are.
fn sort_by_digit<K: Key + Default>(
    from: &[Row<K>],
    to: &mut Vec<Row<K>>,
    digits: usize,
    digit: impl Fn(&Row<K>) -> usize,
) {
    let mut counts = vec![0_usize; digits];
    for row in from {
        counts[digit(row)] += 1;
    }
    let mut start = 0;
    for count in &mut counts {
        start += std::mem::replace(count, start);
    }
    to.truncate(from.len());
    to.reserve_exact(from.len() - to.len());
    to.resize(from.len(), Row { key: K::default(), record: 0 });
    for row in from {
        let at = &mut counts[digit(row)];
        to[*at] = *row;
        *at += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use xxhash_rust::xxh3::xxh3_64;

    use super::super::keys::{KeyRows, Wide};
    use super::super::sections::{Kind, Writer};
    use super::*;

    #[derive(Default)]
    struct Gathered {
        groups: Vec<Vec<u64>>,
        counts: Vec<u64>,
    }

    impl Sink for Gathered {
        fn begin(&mut self, count: u64) -> Result<()> {
            self.counts.push(count);
            self.groups.push(Vec::new());
            Ok(())
        }

        fn member(&mut self, record: u64) -> Result<()> {
            self.groups.last_mut().unwrap().push(record);
            Ok(())
        }
    }

    /// Groups keys written in runs of `run_lines`, with room for `most_rows` rows.
    fn grouped<K: Key + Default>(
        keys: &[K],
        run_lines: usize,
        most_rows: usize,
        parts: u64,
    ) -> Vec<Vec<u64>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        let mut writer = Writer::create(&path, Kind::Signatures, 1).unwrap();
        let mut sections = Vec::new();
        for run in keys.chunks(run_lines) {
            let mut rows = KeyRows::default();
            (0..).zip(run).for_each(|(line, &key)| rows.push(key, line));
            sections.push(rows.write(&mut writer, &mut Vec::new()).unwrap());
        }
        writer.finish(0).unwrap();
        let reader = Reader::open(&path, Kind::Signatures, 1).unwrap();
        let runs: Vec<Run<'_>> = sections
            .into_iter()
            .zip((0..).step_by(run_lines))
            .map(|(keys, first_record)| Run { reader: &reader, first_record, keys })
            .collect();
        let mut found = Gathered::default();
        let memory = most_rows * 2 * size_of::<Row<K>>();
        for part in 0..parts {
            let range = KeyRange::ALL.part(part, parts);
            group::<K>(&runs, range, memory, &mut found, &Control::default()).unwrap();
        }
        assert!(found.groups.iter().zip(&found.counts).all(|(g, &n)| g.len() as u64 == n));
        found.groups
    }

    fn plain<K: Key>(keys: &[K]) -> Vec<Vec<u64>> {
        let mut groups: BTreeMap<K, Vec<u64>> = BTreeMap::new();
        (0..).zip(keys).for_each(|(record, &key)| groups.entry(key).or_default().push(record));
        groups.into_values().filter(|group| group.len() > 1).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn groups_are_those_of_a_map_whatever_the_memory_is(
            values in prop::collection::vec(prop_oneof![0_u64..3, 0_u64..400, any::<u64>()], 0..3_000),
            run_lines in 1_usize..2_000,
            most_rows in prop_oneof![1_usize..40, 500_usize..5_000],
            parts in 1_u64..6,
            shift in prop_oneof![Just(0_u32), Just(40), Just(63)],
        ) {
            // With a shift the upper halves, or all but a few keys, are alike.
            let keys: Vec<u64> =
                values.iter().map(|value| xxh3_64(&value.to_le_bytes()) >> shift).collect();
            prop_assert_eq!(grouped(&keys, run_lines, most_rows, parts), plain(&keys));
            let wide: Vec<Wide> = keys.iter().zip(&values).map(|(&k, &v)| [k, v % 5]).collect();
            prop_assert_eq!(grouped(&wide, run_lines, most_rows, parts), plain(&wide));
        }
    }

    #[test]
    fn a_group_larger_than_the_memory_is_handed_on() {
        let mut keys: Vec<u64> = (0..10_000_u64).map(|key| xxh3_64(&key.to_le_bytes())).collect();
        for record in 0..5_000 {
            keys[record * 2] = keys[1];
        }
        let groups = grouped(&keys, 777, 100, 1);
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].len(), 5_001);
        assert!(groups[0].is_sorted());
    }
}
