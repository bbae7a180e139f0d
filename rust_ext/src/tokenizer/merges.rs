//! Which two neighbouring symbols become which one, and which pair goes first.

use super::stored::{SectionReader, Sections, Stored};

/// What no symbol and no rank is.
pub(super) const NONE: u32 = u32::MAX;

/// A rule: when it applies (a lower rank first) and what it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Merge {
    pub(super) rank: u32,
    pub(super) symbol: u32,
}

/// The rule that stands for there being none: its rank is worse than any other.
pub(super) const NO_MERGE: Merge = Merge { rank: NONE, symbol: NONE };

#[derive(Clone, Copy, Debug)]
struct Slot {
    left: u32,
    right: u32,
    merge: Merge,
}

const EMPTY: Slot = Slot { left: NONE, right: NONE, merge: NO_MERGE };

/// A table of merge rules by pair: open addressing, at most two thirds full, 16 bytes a slot.
#[derive(Debug)]
pub(super) struct Merges {
    slots: Vec<Slot>,
    length: usize,
    shift: u32,
}

impl Merges {
    pub(super) fn with_capacity(num_merges: usize) -> Self {
        // Never so few that a free slot could be missing: a search ends at one.
        let num_slots = (num_merges * 3 / 2).next_power_of_two().max(16);
        Self { slots: vec![EMPTY; num_slots], length: 0, shift: 64 - num_slots.ilog2() }
    }

    /// Adds a rule; of two for the same pair the later one holds.
    pub(super) fn insert(&mut self, left: u32, right: u32, merge: Merge) {
        if self.length * 3 >= self.slots.len() * 2 {
            self.grow();
        }
        let slot = self.slot_of(left, right);
        self.length += usize::from(self.slots[slot].left == NONE);
        self.slots[slot] = Slot { left, right, merge };
    }

    /// Returns the rule for two neighbours, [`NO_MERGE`] if there is none.
    #[inline]
    pub(super) fn get(&self, left: u32, right: u32) -> Merge {
        self.slots[self.slot_of(left, right)].merge
    }

    #[inline]
    fn slot_of(&self, left: u32, right: u32) -> usize {
        let mask = self.slots.len() - 1;
        let pair = u64::from(left) << 32 | u64::from(right);
        let hash = pair.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift;
        let mut slot = super::vocabulary::truncated(hash) & mask;
        loop {
            let found = &self.slots[slot];
            if (found.left == left && found.right == right) || found.left == NONE {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let mut larger = Self::with_capacity(self.slots.len());
        for slot in self.slots.iter().filter(|slot| slot.left != NONE) {
            larger.insert(slot.left, slot.right, slot.merge);
        }
        *self = larger;
    }

    /// Returns whether every symbol of every rule is below `bound`.
    pub(super) fn symbols_are_below(&self, bound: u32) -> bool {
        let is_below = |slot: &Slot| slot.left.max(slot.right).max(slot.merge.symbol) < bound;
        self.slots.iter().all(|slot| slot.left == NONE || is_below(slot))
    }
}

impl Stored for Merges {
    fn store(&self, sections: &mut Sections) {
        let values = |slot: &Slot| [slot.left, slot.right, slot.merge.rank, slot.merge.symbol];
        sections.put(self.slots.iter().map(values));
    }

    fn restore(sections: &mut SectionReader<'_>) -> Option<Self> {
        let slot = |[left, right, rank, symbol]: [u32; 4]| Slot {
            left,
            right,
            merge: Merge { rank, symbol },
        };
        let slots: Vec<Slot> = sections.take()?.into_iter().map(slot).collect();
        let length = slots.iter().filter(|slot| slot.left != NONE).count();
        let is_sound = slots.len().is_power_of_two() && slots.len() >= 16 && length < slots.len();
        let shift = 64 - slots.len().checked_ilog2()?;
        is_sound.then_some(Self { slots, length, shift })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_found_and_the_later_one_holds() {
        let mut merges = Merges::with_capacity(1);
        for i in 0..5_000 {
            merges.insert(i, i + 1, Merge { rank: i, symbol: i + 2 });
        }
        merges.insert(7, 8, Merge { rank: 1, symbol: 1 });
        assert_eq!(merges.get(4_999, 5_000), Merge { rank: 4_999, symbol: 5_001 });
        assert_eq!(merges.get(7, 8), Merge { rank: 1, symbol: 1 });
        assert_eq!(merges.get(8, 7), NO_MERGE);
    }
}
