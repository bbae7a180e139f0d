//! Which two neighbouring symbols become which one, and which pair goes first.
//!
//! Most questions are about pairs that have no rule, and whether one has is as good as random, so
//! the table is made to be asked without a branch: a perfect hash table, in which a pair can stand
//! in one slot only. A pair's hash leads to a group of about three pairs, the group's *pilot* (one
//! byte, tried out when the table is made) and the hash to the slot. All groups' pilots stay in
//! the second-level cache, so that a question costs one access to memory at most.
//!
//! Source: Pibiri and Trani, "`PTHash`: revisiting FCH minimal perfect hashing" (2021), simplified.

use super::stored::{SectionReader, Sections, Stored};
use super::vocabulary::truncated;

/// What no symbol and no rank is.
pub(super) const NONE: u32 = u32::MAX;

/// Ranks are below it, so that a rank and a position below 64 fit into 32 bits.
pub(super) const MAX_RANKS: u32 = (1 << 26) - 1;

/// A rule: when it applies (a lower rank first) and what it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Merge {
    pub(super) rank: u32,
    pub(super) symbol: u32,
}

/// The rule that stands for there being none: its rank is worse than any other.
pub(super) const NO_MERGE: Merge = Merge { rank: NONE, symbol: NONE };

/// Rules as they are read, before they become a table.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// Left, right, rank, symbol.
    rules: Vec<[u32; 4]>,
}

impl Rules {
    pub(super) fn with_capacity(num_merges: usize) -> Self {
        Self { rules: Vec::with_capacity(num_merges) }
    }

    /// Adds a rule; of two for the same pair the later one holds.
    ///
    /// # Panics
    /// If the rank is not below [`MAX_RANKS`].
    pub(super) fn insert(&mut self, left: u32, right: u32, merge: Merge) {
        assert!(merge.rank < MAX_RANKS, "a merge has the rank {}", merge.rank);
        self.rules.push([left, right, merge.rank, merge.symbol]);
    }

    /// Makes the table.
    pub(super) fn finish(self) -> Merges {
        let table = (0..).find_map(|seed| Merges::try_build(&self.rules, seed));
        table.expect("a larger table has room")
    }
}

/// A table of merge rules by pair.
#[derive(Debug)]
pub(super) struct Merges {
    /// Left, right, rank, symbol; all [`NONE`] where free. Four fifths are taken. The first is
    /// free: where pairs are sent that no rule can be for.
    slots: Vec<[u32; 4]>,
    /// By some bits of a pair's hash. The low 8 bits are the pilot; of the others, each rule of
    /// the group has set the one that its hash names.
    groups: Vec<u32>,
    seed: u64,
}

impl Merges {
    /// Returns the rule for two neighbours, [`NO_MERGE`] if there is none.
    #[inline]
    pub(super) fn get(&self, left: u32, right: u32) -> Merge {
        let hash = hash(left, right, self.seed);
        let group = self.groups[self.group_of(hash)];
        let is_possible = group >> mark_of(hash) & 1 == 1;
        let slot = slot_of(hash, group & PILOT, self.slots.len());
        let slot = &self.slots[if is_possible { slot } else { 0 }];
        let differs = (slot[0] ^ left) | (slot[1] ^ right);
        let none = u32::from(differs != 0).wrapping_neg();
        Merge { rank: slot[2] | none, symbol: slot[3] | none }
    }

    #[inline]
    fn group_of(&self, hash: u64) -> usize {
        truncated(hash >> 40) & (self.groups.len() - 1)
    }

    /// Makes a table of rules, of those for the same pair the last; none if a group finds no room.
    fn try_build(rules: &[[u32; 4]], seed: u64) -> Option<Self> {
        let num_slots = rules.len() + ((rules.len() / 4) << seed.min(8)) + 2;
        let num_groups = (rules.len() / 3).next_power_of_two().min(1 << 24);
        let slots = vec![[NONE; 4]; num_slots];
        let mut table = Self { slots, groups: vec![0; num_groups], seed };
        let hashes: Vec<u64> =
            rules.iter().map(|&[left, right, ..]| hash(left, right, seed)).collect();
        let (order, ends) = table.by_group(&hashes);
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let mut groups: Vec<&[u32]> =
            starts.zip(&ends).map(|(start, &end)| &order[start..end]).collect();
        // The large ones first, while there is room.
        groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
        let mut taken = Taken::new(num_slots);
        let (mut kept, mut group) = (Vec::new(), Vec::new());
        for all in groups.into_iter().filter(|group| !group.is_empty()) {
            kept.clear();
            kept.extend_from_slice(all);
            keep_last_of_pairs(rules, &mut kept);
            group.clear();
            group.extend(kept.iter().map(|&rule| (hashes[rule as usize], rules[rule as usize])));
            let mut pilots = 0..=PILOT;
            let pilot = pilots.find(|&pilot| taken.try_add(&group, pilot))?;
            let number = table.group_of(group[0].0);
            table.groups[number] = pilot;
            for &(hash, rule) in &group {
                table.slots[slot_of(hash, pilot, num_slots)] = rule;
                table.groups[number] |= 1 << mark_of(hash);
            }
        }
        Some(table)
    }

    /// Returns the numbers of all rules, of which the hashes are given, group by group and in a
    /// group in their order, and where each group ends.
    fn by_group(&self, hashes: &[u64]) -> (Vec<u32>, Vec<usize>) {
        let mut ends = vec![0; self.groups.len()];
        for &hash in hashes {
            ends[self.group_of(hash)] += 1;
        }
        let mut before = 0;
        for end in &mut ends {
            before += std::mem::replace(end, before);
        }
        let mut order = vec![0; hashes.len()];
        for (rule, &hash) in (0..).zip(hashes) {
            let end = &mut ends[self.group_of(hash)];
            order[*end] = rule;
            *end += 1;
        }
        (order, ends)
    }

    /// Returns whether every symbol of every rule is below `bound`.
    pub(super) fn symbols_are_below(&self, bound: u32) -> bool {
        let is_below = |&[left, right, rank, symbol]: &[u32; 4]| {
            rank == NONE || left.max(right).max(symbol) < bound
        };
        self.slots.iter().all(is_below)
    }
}

/// Removes the rules from a group that a later one for the same pair replaces.
fn keep_last_of_pairs(rules: &[[u32; 4]], group: &mut Vec<u32>) {
    let pair = |rule: u32| (rules[rule as usize][0], rules[rule as usize][1]);
    group.sort_unstable_by_key(|&rule| (pair(rule), std::cmp::Reverse(rule)));
    group.dedup_by_key(|rule| pair(*rule));
}

/// Which slots are taken while a table is made: asked in place of the slots, which are many times
/// as large.
struct Taken {
    slots: Vec<bool>,
}

impl Taken {
    /// All are free but the first.
    fn new(num_slots: usize) -> Self {
        Self { slots: (0..num_slots).map(|slot| slot == 0).collect() }
    }

    /// Takes the slots to which the pilot sends the hashes of a group, if all are free and differ.
    fn try_add(&mut self, group: &[(u64, [u32; 4])], pilot: u32) -> bool {
        let num_slots = self.slots.len();
        let place = |hash: u64| slot_of(hash, pilot, num_slots);
        for (done, &(hash, _)) in group.iter().enumerate() {
            if std::mem::replace(&mut self.slots[place(hash)], true) {
                for &(hash, _) in &group[..done] {
                    self.slots[place(hash)] = false;
                }
                return false;
            }
        }
        true
    }
}

impl Stored for Merges {
    fn store(&self, sections: &mut Sections) {
        sections.put(self.slots.iter().copied());
        sections.put(self.groups.iter().copied());
        sections.put([self.seed].into_iter());
    }

    fn restore(sections: &mut SectionReader<'_>) -> Option<Self> {
        let (slots, groups) = (sections.take::<[u32; 4]>()?, sections.take::<u32>()?);
        let [seed] = sections.take_array()?;
        // What is sent to a free slot, the first among them, must look like no rule in every part.
        let is_ranked = |slot: &[u32; 4]| slot[2] < MAX_RANKS || *slot == [NONE; 4];
        let is_sound = slots.first() == Some(&[NONE; 4])
            && u32::try_from(slots.len()).is_ok()
            && groups.len().is_power_of_two()
            && slots.iter().all(is_ranked);
        is_sound.then_some(Self { slots, groups, seed })
    }
}

/// The bits of a group that are its pilot.
const PILOT: u32 = 0xFF;

/// Returns which bit of its group a rule sets: one of the upper 24.
#[inline]
fn mark_of(hash: u64) -> u32 {
    8 + (((hash >> 32 & 0xFF) as u32 * 24) >> 8)
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the halves of a product")]
fn hash(left: u32, right: u32, seed: u64) -> u64 {
    let pair = (u64::from(left) << 32 | u64::from(right)) ^ seed;
    let product = u128::from(pair ^ 0x9E37_79B9_7F4A_7C15) * 0xD1B5_4A32_D192_ED03_u128;
    product as u64 ^ (product >> 64) as u64
}

/// Returns where the pilot sends a hash: the lower half, moved on by a multiple of the upper one.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the halves of a hash")]
fn slot_of(hash: u64, pilot: u32, num_slots: usize) -> usize {
    let step = (hash >> 32) as u32 | 1;
    let place = (hash as u32).wrapping_add(step.wrapping_mul(pilot));
    truncated((u64::from(place) * num_slots as u64) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_found_and_the_later_one_holds() {
        let mut rules = Rules::with_capacity(1);
        for i in 0..50_000 {
            rules.insert(i, i + 1, Merge { rank: i, symbol: i + 2 });
        }
        rules.insert(7, 8, Merge { rank: 1, symbol: 1 });
        let merges = rules.finish();
        assert_eq!(merges.get(7, 8), Merge { rank: 1, symbol: 1 });
        for i in (0..50_000).filter(|&i| i != 7) {
            assert_eq!(merges.get(i, i + 1), Merge { rank: i, symbol: i + 2 });
            assert_eq!(merges.get(i + 1, i), NO_MERGE);
        }
        assert_eq!(merges.get(NONE, 1), NO_MERGE);
        assert_eq!(merges.get(NONE, NONE), NO_MERGE);
    }

    #[test]
    fn tables_of_no_and_of_few_rules_answer() {
        for count in 0..20 {
            let mut rules = Rules::default();
            for i in 0..count {
                rules.insert(i, 0, Merge { rank: 3, symbol: i });
            }
            let merges = rules.finish();
            let found = (0..40).filter(|&i| merges.get(i, 0) == Merge { rank: 3, symbol: i });
            assert_eq!(found.count(), count as usize);
        }
    }
}
