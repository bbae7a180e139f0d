//! Merges any number of symbols with a heap of pairs, in `O(n log n)`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::merger::MOST_KEPT;
use super::merges::{Merge, Merges, NO_MERGE, NONE};
use super::word::Word;

/// The symbols being merged, and the memory for that, which is kept.
#[derive(Debug, Default)]
pub(super) struct HeapWord {
    symbols: Vec<u32>,
    /// What the symbol at the same index and its right neighbour become.
    pairs: Vec<Merge>,
    previous: Vec<u32>,
    next: Vec<u32>,
    heap: BinaryHeap<Reverse<u64>>,
}

impl HeapWord {
    /// Merges a range of a word; gives every symbol that remains with the position it begins at.
    pub(super) fn merge(
        &mut self,
        word: &impl Word,
        range: Range<usize>,
        merges: &Merges,
        mut give: impl FnMut(u32, usize),
    ) {
        let start = range.start;
        let length = range.len();
        self.fill(word, range);
        while let Some(Reverse(entry)) = self.heap.pop() {
            let (rank, at) = unpack(entry);
            if self.pairs[at].rank == rank {
                self.merge_at(at, merges);
            } // else what stood here when the entry was made is gone
        }
        let mut at = 0;
        while at < length {
            give(self.symbols[at], start + at);
            at = self.next[at] as usize;
        }
        if length > MOST_KEPT {
            // Seldom, and of no use to the words to come.
            *self = Self::default();
        }
    }

    /// Makes the list of neighbours and the heap of all pairs that have a rule.
    fn fill(&mut self, word: &impl Word, range: Range<usize>) {
        let end = u32::try_from(range.len()).expect("words are cut far below 4 GiB");
        self.symbols.clear();
        self.pairs.clear();
        for position in range.start..range.end.saturating_sub(1) {
            let (symbol, merge) = word.symbol_and_rule(position);
            self.symbols.push(symbol);
            self.pairs.push(merge);
        }
        if let Some(last) = range.last() {
            self.symbols.push(word.symbol(last));
            self.pairs.push(NO_MERGE);
        }
        self.previous.clear();
        self.previous.extend((0..end).map(|index| index.wrapping_sub(1)));
        self.next.clear();
        self.next.extend(1..=end);
        let mut entries = std::mem::take(&mut self.heap).into_vec();
        entries.clear();
        let ranked = self.pairs.iter().zip(0..).filter(|(pair, _)| pair.rank != NONE);
        entries.extend(ranked.map(|(pair, index)| Reverse(pack(pair.rank, index))));
        self.heap = BinaryHeap::from(entries);
    }

    /// Merges a symbol with its right neighbour, which stays behind as a hole.
    fn merge_at(&mut self, at: usize, merges: &Merges) {
        let symbol = self.pairs[at].symbol;
        let gone = self.next[at] as usize;
        let right = self.next[gone] as usize;
        self.symbols[at] = symbol;
        self.pairs[gone] = NO_MERGE;
        self.next[at] = self.next[gone];
        self.pairs[at] = NO_MERGE;
        if right < self.symbols.len() {
            self.previous[right] = self.previous[gone];
            self.set_pair(at, merges.get(symbol, self.symbols[right]));
        }
        let left = self.previous[at] as usize;
        if left < self.symbols.len() {
            self.set_pair(left, merges.get(self.symbols[left], symbol));
        }
    }

    #[inline]
    fn set_pair(&mut self, at: usize, merge: Merge) {
        self.pairs[at] = merge;
        if merge.rank != NONE {
            #[expect(clippy::cast_possible_truncation, reason = "an index below a u32 length")]
            self.heap.push(Reverse(pack(merge.rank, at as u32)));
        }
    }
}

/// Makes one number whose order is that of the ranks, then that of the positions.
#[inline]
fn pack(rank: u32, index: u32) -> u64 {
    u64::from(rank) << 32 | u64::from(index)
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "each half holds 32 bits")]
fn unpack(entry: u64) -> (u32, usize) {
    ((entry >> 32) as u32, (entry as u32) as usize)
}
