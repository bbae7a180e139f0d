//! Whom a candidate may have to be compared with.
//!
//! In a bucket of few candidates that is every earlier one: an *edge* each. Edges of a large bucket
//! would be too many, and of its survivors only the first ones are compared with: there a
//! candidate has one row that names the bucket, and its survivors are gathered while it is decided
//! ([`super::decide`]). So no bucket takes more than time in proportion to its size.

use std::path::Path;

use crate::Result;
use crate::control::Control;
use crate::external_sort::{ExternalSorter, Sorted};

/// Survivors of one bucket that a candidate is compared with.
pub(super) const LEADERS: usize = 64;

/// Buckets with more candidates are reported: most often they are boilerplate.
const GIANT: u64 = 10_000;

/// Marks the number of a large bucket where the place of an earlier candidate could stand.
const BUCKET: u64 = 1 << 63;

/// What the buckets come to.
#[derive(Debug)]
pub(super) struct Edges {
    /// Rows (place, [`Neighbour`]), ascending: for each candidate first the earlier ones that it
    /// shares a bucket with, then its large buckets.
    pub(super) rows: Sorted<2>,
    /// Large buckets.
    pub(super) large: u64,
    /// Buckets of more than 10,000.
    pub(super) giant: u64,
    /// Candidates of the largest bucket.
    pub(super) largest: u64,
}

/// Whom a candidate may be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Neighbour {
    /// An earlier candidate, by its place.
    Earlier(u64),
    /// The first survivors of a large bucket.
    Bucket(u64),
}

impl Neighbour {
    /// Reads the second number of a row.
    pub(super) fn of(number: u64) -> Self {
        if number & BUCKET == 0 { Self::Earlier(number) } else { Self::Bucket(number & !BUCKET) }
    }
}

/// Makes edges of rows (bucket, place), which ascend.
///
/// Takes `memory_bytes` beside what `members` takes.
///
/// # Errors
/// `Io`; `Interrupted`.
pub(super) fn pairs(
    mut members: Sorted<2>,
    beside: &Path,
    memory_bytes: usize,
    control: &Control,
) -> Result<Edges> {
    let mut sorter = ExternalSorter::new(beside, memory_bytes);
    let (mut large, mut giant, mut largest) = (0, 0, 0);
    let mut first = Vec::with_capacity(LEADERS + 1);
    while let Some([bucket, _]) = members.head() {
        control.check()?;
        let mut size = 0;
        first.clear();
        while let Some([_, place]) = members.head().filter(|row| row[0] == bucket) {
            if first.len() <= LEADERS {
                first.push(place);
            } else {
                sorter.push([place, BUCKET | large])?;
            }
            size += 1;
            members.advance()?;
        }
        if size > first.len() as u64 {
            first.iter().try_for_each(|&place| sorter.push([place, BUCKET | large]))?;
            large += 1;
        } else {
            for (at, &place) in first.iter().enumerate() {
                first[..at].iter().try_for_each(|&earlier| sorter.push([place, earlier]))?;
            }
        }
        giant += u64::from(size > GIANT);
        largest = largest.max(size);
    }
    drop(members);
    Ok(Edges { rows: sorter.finish()?, large, giant, largest })
}

/// Makes rows (later, first) of rows (bucket, place), which ascend: each candidate of a bucket with
/// the first one there. They connect what the pairs connect.
///
/// Takes `memory_bytes` beside what `members` takes; also returns the numbers of giant buckets and
/// of candidates of the largest.
///
/// # Errors
/// `Io`; `Interrupted`.
pub(super) fn links(
    mut members: Sorted<2>,
    beside: &Path,
    memory_bytes: usize,
    control: &Control,
) -> Result<Edges> {
    let mut sorter = ExternalSorter::new(beside, memory_bytes);
    let (mut giant, mut largest) = (0, 0);
    while let Some([bucket, first]) = members.take()? {
        control.check()?;
        let mut size = 1_u64;
        while let Some([_, place]) = members.head().filter(|row| row[0] == bucket) {
            sorter.push([place, first])?;
            size += 1;
            members.advance()?;
        }
        giant += u64::from(size > GIANT);
        largest = largest.max(size);
    }
    drop(members);
    Ok(Edges { rows: sorter.finish()?, large: 0, giant, largest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(
        buckets: &[std::ops::Range<u64>],
        make: fn(Sorted<2>, &Path, usize, &Control) -> Result<Edges>,
    ) -> (Vec<(u64, Neighbour)>, [u64; 3]) {
        let directory = tempfile::tempdir().unwrap();
        let beside = directory.path().join("x");
        let mut members = ExternalSorter::new(&beside, 1 << 10);
        for (bucket, places) in (0..).zip(buckets) {
            places.clone().for_each(|place| members.push([bucket, place]).unwrap());
        }
        let mut edges =
            make(members.finish().unwrap(), &beside, 1 << 10, &Control::default()).unwrap();
        let mut found = Vec::new();
        while let Some([place, number]) = edges.rows.take().unwrap() {
            found.push((place, Neighbour::of(number)));
        }
        (found, [edges.large, edges.giant, edges.largest])
    }

    #[test]
    fn a_small_bucket_gives_every_pair_once_and_a_large_one_a_row_a_member() {
        use Neighbour::{Bucket, Earlier};
        let (found, numbers) = rows(&[1..4, 2..4, 9..10], pairs);
        assert_eq!(found, [(2, Earlier(1)), (3, Earlier(1)), (3, Earlier(2))]);
        assert_eq!(numbers, [0, 0, 3]);
        assert_eq!(rows(std::slice::from_ref(&(0..65)), pairs).0.len(), 65 * 64 / 2);
        let (found, numbers) = rows(&[0..66, 70..136], pairs);
        let expected = (0..66).map(|place| (place, Bucket(0)));
        assert_eq!(found, expected.chain((70..136).map(|p| (p, Bucket(1)))).collect::<Vec<_>>());
        assert_eq!(numbers, [2, 0, 66]);
        assert_eq!(rows(&[0..10_000, 5..10_006], pairs).1, [2, 1, 10_001]);
    }

    #[test]
    fn links_name_the_first_of_the_bucket() {
        use Neighbour::Earlier;
        let (found, numbers) = rows(&[1..4, 2..4, 9..10, 0..10_001], links);
        assert_eq!(found[..3], [(1, Earlier(0)), (2, Earlier(0)), (2, Earlier(1))]);
        assert_eq!((found.len(), numbers), (10_000 + 3, [0, 1, 10_001]));
    }
}
