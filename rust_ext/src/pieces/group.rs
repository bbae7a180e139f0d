//! Equal pieces of all units: what is to be cut.
//!
//! A part of the work is a range of keys. Its pieces are sorted by key and, of equal ones, by keep
//! key, record and place, in memory that is given ([`crate::external_sort`]); the first of each key
//! stays, the others are cuts, sorted once more by record. However often a piece occurs, no group is
//! held.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::rows::{Pieces, SLICES};
use crate::Result;
use crate::control::Control;
use crate::cuts::Cut;
use crate::cuts::file::CutWriter;
use crate::external_sort::{ExternalSorter, Sorted};

/// Most pieces of a part, but for the last bits of the keys: 5 GB of them to be sorted.
const PART_PIECES: u64 = 1 << 27;

/// Pieces between two looks at whether to go on.
const CHECK_EVERY: u64 = 1 << 16;

/// A part of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 0.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl Part {
    fn slices(self) -> Range<usize> {
        self.number * SLICES / self.of..(self.number + 1) * SLICES / self.of
    }
}

/// Returns the number of parts for the pieces of all units, one at least.
///
/// # Errors
/// `Corrupt` when a file is damaged or of another run; `Io`.
pub fn num_parts(pieces: &[PathBuf], fingerprint: u64) -> Result<usize> {
    let mut total = 0;
    for path in pieces {
        total += Pieces::open(path, fingerprint)?.len();
    }
    Ok(usize::try_from(total.div_ceil(PART_PIECES)).unwrap_or(SLICES).clamp(1, SLICES))
}

/// Writes the cuts that equal pieces of a part of the keys ask for.
///
/// # Errors
/// `Corrupt` when a file is damaged or of another run; `Io`; `Interrupted`.
pub fn cut_pieces(
    part: Part,
    pieces: &[PathBuf],
    fingerprint: u64,
    output: &Path,
    memory_bytes: usize,
    control: &Control,
) -> Result<()> {
    let share = memory_bytes / 2;
    let rows = sorted_rows(pieces, &part.slices(), fingerprint, output, share, control)?;
    let mut cuts = later_ones(rows, output, share, control)?;
    let mut writer = CutWriter::create(output, fingerprint)?;
    while let Some([record, range, survivor, survivor_start]) = cuts.take()? {
        let ((start, end), (_, survivor_start)) = (unpack(range), unpack(survivor_start));
        writer.push(&Cut { record, start, end, survivor, survivor_start })?;
    }
    writer.finish()
}

/// Returns of all pieces in the slices key (two numbers), keep key, record, place and length.
fn sorted_rows(
    pieces: &[PathBuf],
    slices: &Range<usize>,
    fingerprint: u64,
    beside: &Path,
    memory_bytes: usize,
    control: &Control,
) -> Result<Sorted<6>> {
    let mut sorter = ExternalSorter::<6>::new(beside, memory_bytes);
    let mut first = 0;
    for path in pieces {
        let unit = Pieces::open(path, fingerprint)?;
        unit.each(slices, |row| {
            if sorter.pushed().is_multiple_of(CHECK_EVERY) {
                control.check()?;
            }
            let place = pack(row.start, row.start + row.length);
            let record = first + u64::from(row.line);
            sorter.push([row.key[0], row.key[1], row.keep_key, record, place, row.stays.into()])
        })?;
        first += unit.lines();
    }
    sorter.finish()
}

/// Returns cuts of all but the first piece of each key, as record, place, survivor, its place.
fn later_ones(
    mut rows: Sorted<6>,
    beside: &Path,
    memory_bytes: usize,
    control: &Control,
) -> Result<Sorted<4>> {
    let mut cuts = ExternalSorter::<4>::new(beside, memory_bytes);
    let mut first = None;
    let mut seen = 0_u64;
    while let Some([upper, lower, _, record, place, stays]) = rows.take()? {
        if seen.is_multiple_of(CHECK_EVERY) {
            control.check()?;
        }
        seen += 1;
        match first {
            Some((key, survivor, start)) if key == [upper, lower] => {
                if stays == 0 {
                    cuts.push([record, place, survivor, start])?;
                }
            }
            _ => first = Some(([upper, lower], record, u64::from(unpack(place).0))),
        }
    }
    drop(rows);
    cuts.finish()
}

/// Puts two numbers into one, the first above the second: it is in their order.
fn pack(first: u32, second: u32) -> u64 {
    u64::from(first) << 32 | u64::from(second)
}

#[allow(clippy::cast_possible_truncation)] // that is the lower half
fn unpack(both: u64) -> (u32, u32) {
    ((both >> 32) as u32, both as u32)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::rows::{PieceRow, PieceWriter};
    use super::*;
    use crate::cuts::file::Cuts;

    /// Units of pieces as (key, keep key, line, start, whether the record stays whole).
    type Units = Vec<Vec<(u64, u64, u32, u32, bool)>>;

    const LINES: u64 = 20;

    fn found(units: &Units, num_parts: usize, memory_bytes: usize) -> Vec<Cut> {
        let directory = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for (number, pieces) in units.iter().enumerate() {
            paths.push(directory.path().join(format!("{number:05}.pieces")));
            let mut writer = PieceWriter::create(&paths[number], 1).unwrap();
            let rows: Vec<PieceRow> = pieces.iter().map(row).collect();
            writer.append(&rows).unwrap();
            writer.finish(LINES).unwrap();
        }
        let mut cuts = Vec::new();
        for part in 0..num_parts {
            let output = directory.path().join("cuts");
            let control = Control::default();
            let part = Part { number: part, of: num_parts };
            cut_pieces(part, &paths, 1, &output, memory_bytes, &control).unwrap();
            let file = Cuts::open(&output, 1).unwrap();
            let of_part = file.starting_at(0).unwrap().take_before(u64::MAX).unwrap();
            assert!(of_part.is_sorted());
            cuts.extend(of_part);
        }
        cuts.sort_unstable();
        cuts
    }

    fn row(&(key, keep_key, line, start, stays): &(u64, u64, u32, u32, bool)) -> PieceRow {
        let key = [key.wrapping_mul(0x9e37_79b9_7f4a_7c15), key];
        PieceRow { key, keep_key, line, start: start * 10, length: 10, stays }
    }

    /// By a map from keys to the first piece.
    fn slowly(units: &Units) -> Vec<Cut> {
        let mut all: Vec<_> = (0..)
            .zip(units)
            .flat_map(|(unit, pieces)| {
                pieces.iter().map(move |&(key, keep, line, start, stays)| {
                    (keep, unit * LINES + u64::from(line), start * 10, key, stays)
                })
            })
            .collect();
        all.sort_unstable();
        let mut firsts = HashMap::new();
        let mut cuts = Vec::new();
        for (_, record, start, key, stays) in all {
            let &mut (survivor, survivor_start) = firsts.entry(key).or_insert((record, start));
            if (survivor, survivor_start) != (record, start) && !stays {
                cuts.push(Cut { record, start, end: start + 10, survivor, survivor_start });
            }
        }
        cuts.sort_unstable();
        cuts
    }

    fn units() -> impl Strategy<Value = Units> {
        // A record has one keep key, and one piece a place; whether it stays whole is its own.
        let text = prop::collection::vec(0_u64..30, 0..5);
        let record = (text, 0_u64..3, prop::bool::weighted(0.2));
        let unit = prop::collection::vec(record, 0..20).prop_map(|records| {
            let pieces = (0..).zip(records).flat_map(|(line, (text, keep, stays))| {
                (0..).zip(text).map(move |(start, key)| (key, keep, line, start, stays))
            });
            pieces.collect::<Vec<_>>()
        });
        prop::collection::vec(unit, 0..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_first_in_order_stays_whatever_memory_and_parts(
            units in units(),
            num_parts in 1_usize..6,
            memory_bytes in prop_oneof![Just(200_usize), Just(1 << 20)],
        ) {
            prop_assert_eq!(found(&units, num_parts, memory_bytes), slowly(&units));
        }
    }

    #[test]
    fn parts_share_all_slices() {
        for num_parts in 1..=SLICES {
            let parts = (0..num_parts).map(|number| Part { number, of: num_parts }.slices());
            assert!(parts.flatten().eq(0..SLICES));
        }
        assert_eq!(num_parts(&[], 1).unwrap(), 1);
    }
}
