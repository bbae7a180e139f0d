//! Which record falls to which survivor, given the buckets.
//!
//! *The survivor rule.* Records are decided in the order of the input. A record is compared with
//! the survivors that share a bucket with it, the earliest first, and is dropped at the first one
//! whose similarity is at or above the threshold; if there is none, it survives. So every dropped
//! record names an earlier survivor that is truly similar, and a cluster cannot chain away from
//! its first record. Of a bucket only the first [`LEADERS`] survivors are compared with: up to
//! that size of a bucket this is every pair, beyond it the work stays in proportion to the size.
//!
//! *Single link*, the classic rule, drops every record but the first of those that are connected
//! by shared buckets, however similar they are.

use std::collections::HashMap;
use std::path::Path;

use super::groups::Groups;
use super::jaccard::jaccard_at_least;
use super::signature::estimate;
use crate::Result;

/// Buckets of records, each of two and more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// Records of each.
    pub sizes: Vec<u32>,
    /// The records, bucket by bucket, ascending within each.
    pub members: Vec<u64>,
}

impl Buckets {
    /// Reads what `bands` wrote.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged or of another run; `Io`.
    pub fn read(path: &Path, fingerprint: u64) -> Result<Self> {
        let mut buckets = Self::default();
        for group in Groups::open(path, fingerprint)?.iter()? {
            let group = group?;
            buckets.sizes.push(u32::try_from(group.len()).unwrap_or(u32::MAX));
            buckets.members.extend(group);
        }
        Ok(buckets)
    }

    /// Returns the buckets one after another.
    pub fn iter(&self) -> impl Iterator<Item = &[u64]> {
        let mut rest = &self.members[..];
        self.sizes.iter().map(move |&size| {
            let (bucket, after) = rest.split_at(size as usize);
            rest = after;
            bucket
        })
    }
}

/// Survivors of one bucket that a record is compared with.
pub const LEADERS: usize = 64;

/// A record that falls to an earlier one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fall {
    /// The dropped record.
    pub record: u64,
    /// The earlier one that stays.
    pub survivor: u64,
    /// Share of equal slots.
    pub estimated: f64,
    /// True similarity, where it was computed.
    pub jaccard: Option<f64>,
}

/// Records that share a bucket with another, and the buckets of each.
///
/// Takes 16 bytes a record and 4 for each of its buckets, four times that while it is made.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// Ascending.
    records: Vec<u64>,
    /// Where the buckets of a record begin; one more than records.
    starts: Vec<usize>,
    /// Numbers of buckets, ascending for each record.
    buckets: Vec<u32>,
    /// Records of each bucket.
    sizes: Vec<u32>,
}

impl Candidates {
    /// Gathers the buckets of all bands; records that `is_left_out` are in none.
    ///
    /// # Errors
    /// The first error of `bands`.
    pub fn gather(
        bands: impl Iterator<Item = Result<Buckets>>,
        is_left_out: impl Fn(u64) -> bool,
    ) -> Result<Self> {
        let mut pairs: Vec<(u64, u32)> = Vec::new();
        let mut sizes = Vec::new();
        for band in bands {
            for bucket in band?.iter() {
                let start = pairs.len();
                let number = u32::try_from(sizes.len()).unwrap_or(u32::MAX);
                let members = bucket.iter().filter(|&&record| !is_left_out(record));
                pairs.extend(members.map(|&record| (record, number)));
                if pairs.len() < start + 2 {
                    pairs.truncate(start);
                } else {
                    sizes.push(u32::try_from(pairs.len() - start).unwrap_or(u32::MAX));
                }
            }
        }
        pairs.sort_unstable();
        let mut found = Self { sizes, ..Self::default() };
        for (record, bucket) in pairs {
            if found.records.last() != Some(&record) {
                found.records.push(record);
                found.starts.push(found.buckets.len());
            }
            found.buckets.push(bucket);
        }
        found.starts.push(found.buckets.len());
        Ok(found)
    }

    /// Returns the records, ascending.
    #[must_use]
    pub fn records(&self) -> &[u64] {
        &self.records
    }

    /// Returns the candidates among the records from `first` to before `end`, by their index.
    #[must_use]
    pub fn between(&self, first: u64, end: u64) -> std::ops::Range<usize> {
        let at = |limit| self.records.partition_point(|&record| record < limit);
        at(first)..at(end)
    }

    fn buckets_of(&self, index: usize) -> &[u32] {
        &self.buckets[self.starts[index]..self.starts[index + 1]]
    }
}

/// A survivor that a later record may have to be compared with.
struct Kept {
    set: Vec<u64>,
    signature: Vec<u32>,
    /// Buckets that still have it as a leader.
    uses: usize,
}

/// Decides candidate after candidate by the survivor rule.
///
/// The shingles of a survivor stay in memory until the last record of its buckets has passed.
pub struct Decider<'a> {
    candidates: &'a Candidates,
    threshold: f64,
    /// Records of each bucket that have not passed.
    waiting: Vec<u32>,
    /// Survivors of each bucket, by index, the earliest first.
    leaders: Vec<Vec<usize>>,
    kept: HashMap<usize, Kept>,
    falls: Vec<Fall>,
    compared: Vec<usize>,
}

impl<'a> Decider<'a> {
    /// Begins before the first candidate.
    #[must_use]
    pub fn new(candidates: &'a Candidates, threshold: f64) -> Self {
        Self {
            candidates,
            threshold,
            waiting: candidates.sizes.clone(),
            leaders: vec![Vec::new(); candidates.sizes.len()],
            kept: HashMap::new(),
            falls: Vec::new(),
            compared: Vec::new(),
        }
    }

    /// Decides the candidate of this index; they come in ascending order, none left out.
    ///
    /// `set` are its shingles, ascending.
    pub fn decide(&mut self, index: usize, set: Vec<u64>, signature: Vec<u32>) {
        if let Some(fall) = self.find_survivor(index, &set, &signature) {
            self.falls.push(fall);
        } else {
            self.keep(index, set, signature);
        }
        for &bucket in self.candidates.buckets_of(index) {
            self.waiting[bucket as usize] -= 1;
            if self.waiting[bucket as usize] == 0 {
                for leader in std::mem::take(&mut self.leaders[bucket as usize]) {
                    self.release(leader);
                }
            }
        }
    }

    fn find_survivor(&mut self, index: usize, set: &[u64], signature: &[u32]) -> Option<Fall> {
        let mut compared = std::mem::take(&mut self.compared);
        compared.clear();
        for &bucket in self.candidates.buckets_of(index) {
            compared.extend_from_slice(&self.leaders[bucket as usize]);
        }
        compared.sort_unstable();
        compared.dedup();
        let found = compared.iter().find_map(|leader| {
            let kept = self.kept.get(leader)?;
            let jaccard = jaccard_at_least(&kept.set, set, self.threshold)?;
            Some(Fall {
                record: self.candidates.records[index],
                survivor: self.candidates.records[*leader],
                estimated: estimate(&kept.signature, signature),
                jaccard: Some(jaccard),
            })
        });
        self.compared = compared;
        found
    }

    fn keep(&mut self, index: usize, set: Vec<u64>, signature: Vec<u32>) {
        let mut uses = 0;
        for &bucket in self.candidates.buckets_of(index) {
            let leaders = &mut self.leaders[bucket as usize];
            if leaders.len() < LEADERS && self.waiting[bucket as usize] > 1 {
                leaders.push(index);
                uses += 1;
            }
        }
        if uses > 0 {
            self.kept.insert(index, Kept { set, signature, uses });
        }
    }

    fn release(&mut self, leader: usize) {
        if let Some(kept) = self.kept.get_mut(&leader) {
            kept.uses -= 1;
            if kept.uses == 0 {
                self.kept.remove(&leader);
            }
        }
    }

    /// Returns the records that fall, ascending.
    #[must_use]
    pub fn finish(self) -> Vec<Fall> {
        self.falls
    }
}

/// Returns for every candidate, by index, the index of the first one that it is connected to.
#[must_use]
pub fn single_link(candidates: &Candidates) -> Vec<usize> {
    let mut parents: Vec<usize> = (0..candidates.records.len()).collect();
    let mut first_of = vec![usize::MAX; candidates.sizes.len()];
    for index in 0..parents.len() {
        for &bucket in candidates.buckets_of(index) {
            let first = &mut first_of[bucket as usize];
            if *first == usize::MAX {
                *first = index;
            }
            let (one, other) = (root(&mut parents, *first), root(&mut parents, index));
            // The smaller index stays the root, so that a root is the first of its cluster.
            parents[one.max(other)] = one.min(other);
        }
    }
    (0..parents.len()).map(|index| root(&mut parents, index)).collect()
}

/// Finds the root, halving the path to it.
fn root(parents: &mut [usize], mut index: usize) -> usize {
    while parents[index] != index {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    index
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation)] // record numbers are small here
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    fn candidates(buckets: &[&[u64]]) -> Candidates {
        let buckets = Buckets {
            sizes: buckets.iter().map(|bucket| u32::try_from(bucket.len()).unwrap()).collect(),
            members: buckets.concat(),
        };
        Candidates::gather(std::iter::once(Ok(buckets)), |_| false).unwrap()
    }

    fn decide(candidates: &Candidates, sets: &[Vec<u64>], threshold: f64) -> Vec<(u64, u64)> {
        let mut decider = Decider::new(candidates, threshold);
        for (index, record) in candidates.records().iter().enumerate() {
            let set = sets[usize::try_from(*record).unwrap()].clone();
            decider.decide(index, set, vec![0; 4]);
        }
        assert!(decider.kept.is_empty(), "shingles were not freed");
        decider.finish().iter().map(|fall| (fall.record, fall.survivor)).collect()
    }

    /// Sets in a chain: each shares 9 of 11 with its neighbour.
    fn chain(count: u64) -> Vec<Vec<u64>> {
        (0..count).map(|start| (start..start + 10).collect()).collect()
    }

    #[test]
    fn a_cluster_does_not_chain_away_from_its_survivor() {
        let all: Vec<u64> = (0..6).collect();
        let candidates = candidates(&[&all]);
        // 1 falls to 0; 2 is only similar to 1, which is gone.
        assert_eq!(decide(&candidates, &chain(6), 0.8), [(1, 0), (3, 2), (5, 4)]);
        assert_eq!(single_link(&candidates), [0; 6]);
    }

    #[test]
    fn records_left_out_and_buckets_of_one_do_not_count() {
        let band = |members: &[u64]| {
            let sizes = vec![u32::try_from(members.len()).unwrap()];
            Ok(Buckets { sizes, members: members.to_vec() })
        };
        let bands = vec![band(&[1, 5]), band(&[5, 9]), band(&[2, 5, 9])];
        let found = Candidates::gather(bands.into_iter(), |record| record == 5).unwrap();
        assert_eq!(found.records(), [2, 9]);
        assert_eq!(found.between(0, 9), 0..1);
        assert_eq!(single_link(&found), [0, 0]);
    }

    #[test]
    fn a_bucket_of_50_000_takes_linear_time() {
        let all: Vec<u64> = (0..50_000).collect();
        let candidates = candidates(&[all.as_slice(); 14]);
        let start = Instant::now();
        let alike: Vec<Vec<u64>> =
            (0..50_000).map(|own| std::iter::once(own).chain(100_000..100_020).collect()).collect();
        assert_eq!(decide(&candidates, &alike, 0.8).len(), 49_999);
        // None is similar: all survive, and each is compared with 64.
        let apart: Vec<Vec<u64>> =
            (0..50_000).map(|own| (own * 20..own * 20 + 20).collect()).collect();
        assert_eq!(decide(&candidates, &apart, 0.8).len(), 0);
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn small_buckets_are_decided_as_by_comparing_every_pair(
            sets in prop::collection::vec(prop::collection::btree_set(0_u64..14, 1..12), 2..40),
            threshold in 0.3..1.0_f64,
        ) {
            let sets: Vec<Vec<u64>> = sets.into_iter().map(|set| set.into_iter().collect()).collect();
            let all: Vec<u64> = (0..sets.len() as u64).collect();
            let mut survivors: Vec<u64> = Vec::new();
            let mut expected = Vec::new();
            for &record in &all {
                let of = |number: u64| &sets[number as usize];
                let hit = survivors.iter().find(|&&earlier| {
                    jaccard_at_least(of(earlier), of(record), threshold).is_some()
                });
                match hit {
                    Some(&survivor) => expected.push((record, survivor)),
                    None => survivors.push(record),
                }
            }
            prop_assert_eq!(decide(&candidates(&[all.as_slice(), all.as_slice()]), &sets, threshold), expected);
        }

        #[test]
        fn single_link_finds_the_connected_components(
            buckets in prop::collection::vec(prop::collection::btree_set(0_u64..60, 2..5), 1..25),
        ) {
            let buckets: Vec<Vec<u64>> = buckets.into_iter().map(|bucket| bucket.into_iter().collect()).collect();
            let slices: Vec<&[u64]> = buckets.iter().map(Vec::as_slice).collect();
            let candidates = candidates(&slices);
            let mut first: Vec<u64> = (0..60).collect();
            for _ in 0..60 {
                for bucket in &buckets {
                    let least = bucket.iter().map(|&record| first[record as usize]).min().unwrap();
                    for &record in bucket {
                        first[record as usize] = least;
                    }
                }
            }
            let found = single_link(&candidates);
            for (index, &record) in candidates.records().iter().enumerate() {
                prop_assert_eq!(candidates.records()[found[index]], first[record as usize]);
            }
        }
    }
}
