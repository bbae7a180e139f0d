//! The keys that the records of a run are grouped by: hashes of a band, of the text, or of the id.
//!
//! The rows of a run, a key and the number of a line in the run (2 bytes), stand in *slices* by
//! the upper bits of their keys, so that whoever groups the keys of a whole corpus reads a range
//! of them from every run without the rest. Within a slice they are in the order of the lines.
//!
//! An index stands before the rows: of each slice the number of its rows (4 bytes) and their xxh3
//! (8 bytes). There are as many slices as leave some 256 rows in one, 256 at most.

use xxhash_rust::xxh3::xxh3_64;

use super::sections::{Reader, Section, Writer, number};
use crate::Result;

/// What records are grouped by.
pub(super) trait Key: Copy + Ord + Send + Sync + 'static {
    /// Bytes that it takes in a file.
    const BYTES: usize;

    /// Returns the upper half, or all of it: keys are in the order of these before all else.
    fn upper(self) -> u64;

    /// Writes it to the beginning of `to`.
    fn encode(self, to: &mut [u8]);

    /// Reads it from the beginning of `bytes`.
    fn decode(bytes: &[u8]) -> Self;
}

impl Key for u64 {
    const BYTES: usize = 8;

    fn upper(self) -> u64 {
        self
    }

    fn encode(self, to: &mut [u8]) {
        to[..8].copy_from_slice(&self.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        number(bytes, 0)
    }
}

/// A hash of 128 bits, the upper half first; not a `u128`, whose rows would take 32 bytes.
pub(super) type Wide = [u64; 2];

impl Key for Wide {
    const BYTES: usize = 16;

    fn upper(self) -> u64 {
        self[0]
    }

    fn encode(self, to: &mut [u8]) {
        to[..8].copy_from_slice(&self[0].to_le_bytes());
        to[8..16].copy_from_slice(&self[1].to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        [number(bytes, 0), number(bytes, 8)]
    }
}

/// Bytes of a line's number.
const LINE_BYTES: usize = 2;

/// Bytes of a slice in the index.
const SLICE_BYTES: usize = 12;

/// Most slices of a run, as a power of two.
const MOST_BITS: u32 = 8;

/// Rows of a slice, about, as a power of two: so few that a run has all its slices where it is
/// full, and a short one hardly more index than rows.
const ROWS_BITS: u32 = 8;

/// Rows of a run, gathered in the order of its lines.
#[derive(Debug)]
pub(super) struct KeyRows<K> {
    keys: Vec<K>,
    lines: Vec<u16>,
}

impl<K> Default for KeyRows<K> {
    fn default() -> Self {
        Self { keys: Vec::new(), lines: Vec::new() }
    }
}

/// The rows of a run in their file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KeySection {
    /// How many.
    pub(super) count: u32,
    /// Their index; the rows follow it.
    pub(super) index: Section,
}

impl<K: Key> KeyRows<K> {
    #[inline]
    pub(super) fn push(&mut self, key: K, line: u16) {
        self.keys.push(key);
        self.lines.push(line);
    }

    /// Writes the rows, and forgets them; `rows` is room to work in.
    pub(super) fn write(&mut self, writer: &mut Writer, rows: &mut Vec<u8>) -> Result<KeySection> {
        let row_bytes = K::BYTES + LINE_BYTES;
        let bits = (self.keys.len() >> ROWS_BITS).checked_ilog2().unwrap_or(0).min(MOST_BITS);
        let mut counts = vec![0_usize; 1 << bits];
        for key in &self.keys {
            counts[slice_of(key.upper(), bits)] += 1;
        }
        let mut next: Vec<usize> = counts
            .iter()
            .scan(0, |start, count| Some(std::mem::replace(start, *start + count)))
            .collect();
        rows.resize(self.keys.len() * row_bytes, 0);
        for (key, line) in self.keys.iter().zip(&self.lines) {
            let at = &mut next[slice_of(key.upper(), bits)];
            let row = &mut rows[*at * row_bytes..][..row_bytes];
            key.encode(row);
            row[K::BYTES..].copy_from_slice(&line.to_le_bytes());
            *at += 1;
        }
        let mut index = Vec::with_capacity(counts.len() * SLICE_BYTES);
        let mut start = 0;
        for count in counts {
            let slice = &rows[start..start + count * row_bytes];
            index.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
            index.extend_from_slice(&xxh3_64(slice).to_le_bytes());
            start += slice.len();
        }
        let count = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        let index = writer.append(&index)?;
        writer.append_hashed(rows)?;
        self.keys.clear();
        self.lines.clear();
        Ok(KeySection { count, index })
    }
}

/// Returns the slice of a key among 2^`bits`.
#[inline]
fn slice_of(upper: u64, bits: u32) -> usize {
    // Twice, as a shift by 64 is none.
    usize::try_from(upper >> 1 >> (63 - bits)).unwrap_or(usize::MAX)
}

/// Keys whose upper halves are from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyRange {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl KeyRange {
    pub(super) const ALL: Self = Self { first: 0, last: u64::MAX };

    pub(super) fn contains(self, upper: u64) -> bool {
        (self.first..=self.last).contains(&upper)
    }

    /// Returns part number `part` of `parts`, no more than it has keys, that are equally wide.
    pub(super) fn part(self, part: u64, parts: u64) -> Self {
        let width = u128::from(self.last - self.first) + 1;
        let at = |part: u64| {
            // Below 2^64 but for the end of all, which one less is left of.
            u128::from(self.first) + width * u128::from(part) / u128::from(parts)
        };
        let low_half = |value: u128| u64::try_from(value).unwrap_or(u64::MAX);
        Self { first: low_half(at(part)), last: low_half(at(part + 1) - 1) }
    }
}

/// Reads rows of one run after another.
#[derive(Debug, Default)]
pub(super) struct KeyReader {
    index: Vec<u8>,
    rows: Vec<u8>,
}

impl KeyReader {
    /// Calls `take` with the keys in a range and their lines, slice by slice, and in each by line.
    ///
    /// # Errors
    /// `Corrupt` when the rows are damaged; `Io`; that of `take`.
    pub(super) fn read<K: Key>(
        &mut self,
        reader: &Reader,
        section: KeySection,
        range: KeyRange,
        mut take: impl FnMut(K, u16) -> Result<()>,
    ) -> Result<()> {
        let row_bytes = (K::BYTES + LINE_BYTES) as u64;
        reader.read_into(section.index, &mut self.index)?;
        let slices = self.index.chunks_exact(SLICE_BYTES);
        let bits = slices.len().checked_ilog2().unwrap_or(0);
        let (first, last) = (slice_of(range.first, bits), slice_of(range.last, bits));
        let size = |slice: &[u8]| u64::from(count_of(slice)) * row_bytes;
        let before: u64 = slices.clone().take(first).map(size).sum();
        let wanted = slices.skip(first).take(last + 1 - first);
        let length = wanted.clone().map(size).sum();
        let mut offset = section.index.offset + section.index.length + before;
        reader.read_hashed(offset, length, &mut self.rows)?;
        let mut rest = &self.rows[..];
        for slice in wanted {
            let (rows, after) = rest.split_at(usize::try_from(size(slice)).unwrap_or(usize::MAX));
            reader.expect_hash(rows, number(slice, 4), offset)?;
            for row in rows.chunks_exact(K::BYTES + LINE_BYTES) {
                let key = K::decode(row);
                if range.contains(key.upper()) {
                    take(key, u16::from_le_bytes([row[K::BYTES], row[K::BYTES + 1]]))?;
                }
            }
            rest = after;
            offset += size(slice);
        }
        Ok(())
    }
}

fn count_of(slice: &[u8]) -> u32 {
    u32::from_le_bytes([slice[0], slice[1], slice[2], slice[3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sections::Kind;
    use super::*;

    fn written<K: Key>(path: &std::path::Path, keys: &[K]) -> (Reader, KeySection) {
        let mut writer = Writer::create(path, Kind::Signatures, 1).unwrap();
        let mut rows = KeyRows::default();
        for (line, &key) in (0..=u16::MAX).zip(keys) {
            rows.push(key, line);
        }
        let section = rows.write(&mut writer, &mut Vec::new()).unwrap();
        assert!(rows.keys.is_empty() && rows.lines.is_empty());
        writer.finish(0).unwrap();
        (Reader::open(path, Kind::Signatures, 1).unwrap(), section)
    }

    fn read<K: Key>(reader: &Reader, section: KeySection, range: KeyRange) -> Vec<(K, u16)> {
        let mut found = Vec::new();
        let take = |key, line| {
            found.push((key, line));
            Ok(())
        };
        KeyReader::default().read(reader, section, range, take).unwrap();
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn parts_of_the_range_give_every_row_once_and_in_order(
            count in prop_oneof![0_u64..20, 200_u64..5_000, Just(65_536_u64)],
            parts in 1_u64..40,
            seed in any::<u64>(),
        ) {
            let directory = tempfile::tempdir().unwrap();
            let hash = |value: u64| xxh3_64(&(value ^ seed).to_le_bytes());
            // Some keys occur twice and more.
            let keys: Vec<u64> = (0..count).map(|line| hash(line % 3_000)).collect();
            let wide: Vec<Wide> = keys.iter().map(|&key| [key, hash(key)]).collect();
            let (reader, section) = written(&directory.path().join("a"), &keys);
            let (wide_reader, wide_section) = written(&directory.path().join("b"), &wide);
            prop_assert_eq!(u64::from(section.count), count);
            let (mut all, mut all_wide) = (Vec::new(), Vec::new());
            for part in 0..parts {
                let range = KeyRange::ALL.part(part, parts);
                let mut found = read(&reader, section, range);
                prop_assert!(found.iter().all(|row: &(u64, u16)| range.contains(row.0)));
                found.sort_by_key(|row| row.0); // stable: lines must ascend by themselves
                all.extend(found);
                let mut found: Vec<(Wide, u16)> = read(&wide_reader, wide_section, range);
                found.sort_by_key(|row| row.0);
                all_wide.extend(found);
            }
            let mut expected: Vec<(u64, u16)> = keys.iter().copied().zip(0..=u16::MAX).collect();
            expected.sort_unstable();
            prop_assert!(all == expected);
            let mut expected: Vec<(Wide, u16)> = wide.iter().copied().zip(0..=u16::MAX).collect();
            expected.sort_unstable();
            prop_assert!(all_wide == expected);
        }
    }

    #[test]
    fn parts_cover_all_without_a_gap() {
        for (first, last) in [(0, u64::MAX), (7, 1_000), (u64::MAX - 9, u64::MAX)] {
            for parts in [1, 2, 3, 10] {
                let range = KeyRange { first, last };
                let found: Vec<KeyRange> = (0..parts).map(|at| range.part(at, parts)).collect();
                assert_eq!((found[0].first, found[found.len() - 1].last), (first, last));
                assert!(found.windows(2).all(|two| two[0].last + 1 == two[1].first));
            }
        }
    }

    #[test]
    fn a_damaged_slice_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("00003.sign");
        let keys: Vec<u64> = (0..4_000_u64).map(|key| xxh3_64(&key.to_le_bytes())).collect();
        let (reader, section) = written(&path, &keys);
        let mut bytes = std::fs::read(&path).unwrap();
        let start = section.index.offset + section.index.length;
        bytes[usize::try_from(start).unwrap() + 10 * 4_000 - 5] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let take = |_: u64, _| Ok(());
        let mut keys = KeyReader::default();
        let below = KeyRange::ALL.part(0, 2);
        keys.read(&reader, section, below, take).unwrap();
        let error = keys.read(&reader, section, KeyRange::ALL, take).unwrap_err();
        assert!(error.to_string().contains("do not fit their checksum"), "{error}");
    }
}
