//! Byte-pair merging: the pair of the lowest rank becomes one symbol, until no pair has a rule.
//!
//! Among equal ranks the leftmost pair goes first. Short words look at every rank for each merge,
//! which is quadratic but touches one or two cache lines; longer ones use a heap, `O(n log n)`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::merges::{Merge, Merges, NO_MERGE, NONE};

/// Words of at most this many symbols are merged by looking at all ranks.
const SHORT: usize = 40;

/// The symbols of one word and the memory to merge them in, kept between words.
#[derive(Debug, Default)]
pub(super) struct Merger {
    symbols: Vec<u32>,
    /// What the symbol at the same index and its right neighbour become.
    pairs: Vec<Merge>,
    previous: Vec<u32>,
    next: Vec<u32>,
    heap: BinaryHeap<Reverse<u64>>,
}

impl Merger {
    /// Begins a word; what was left of the last one is forgotten.
    #[inline]
    pub(super) fn start(&mut self) -> &mut Vec<u32> {
        self.symbols.clear();
        &mut self.symbols
    }

    /// Merges the symbols put into [`Merger::start`] and appends what remains to `out`.
    pub(super) fn merge(&mut self, merges: &Merges, out: &mut Vec<u32>) {
        if self.symbols.len() < 2 {
            out.extend_from_slice(&self.symbols);
            return;
        }
        self.pairs.clear();
        self.pairs.extend(self.symbols.windows(2).map(|pair| merges.get(pair[0], pair[1])));
        self.pairs.push(NO_MERGE);
        if self.symbols.len() <= SHORT {
            self.merge_short(merges);
            out.extend_from_slice(&self.symbols);
        } else {
            self.merge_long(merges, out);
        }
    }

    /// Leaves the merged symbols, without holes, in `symbols`.
    fn merge_short(&mut self, merges: &Merges) {
        let (symbols, pairs) = (&mut self.symbols, &mut self.pairs);
        loop {
            let mut best = NO_MERGE;
            let mut at = 0;
            for (index, &pair) in pairs.iter().enumerate() {
                if pair.rank < best.rank {
                    (best, at) = (pair, index);
                }
            }
            if best.rank == NONE {
                return;
            }
            symbols[at] = best.symbol;
            symbols.remove(at + 1);
            pairs.remove(at + 1);
            pairs[at] =
                symbols.get(at + 1).map_or(NO_MERGE, |&right| merges.get(best.symbol, right));
            if at > 0 {
                pairs[at - 1] = merges.get(symbols[at - 1], best.symbol);
            }
        }
    }

    /// Appends the merged symbols to `out`; symbols merged away stay behind as holes.
    fn merge_long(&mut self, merges: &Merges, out: &mut Vec<u32>) {
        let length = self.symbols.len();
        self.link(length);
        while let Some(Reverse(entry)) = self.heap.pop() {
            let (rank, at) = unpack(entry);
            let best = self.pairs[at];
            if best.rank != rank {
                continue; // what stood here when the entry was made is gone
            }
            let gone = self.next[at] as usize;
            let right = self.next[gone] as usize;
            self.symbols[at] = best.symbol;
            self.pairs[gone] = NO_MERGE;
            self.next[at] = self.next[gone];
            self.pairs[at] = NO_MERGE;
            if right < length {
                self.previous[right] = self.previous[gone];
                self.set_pair(at, merges.get(best.symbol, self.symbols[right]));
            }
            let left = self.previous[at] as usize;
            if left < length {
                self.set_pair(left, merges.get(self.symbols[left], best.symbol));
            }
        }
        let mut at = 0;
        while at < length {
            out.push(self.symbols[at]);
            at = self.next[at] as usize;
        }
    }

    /// Makes the list of neighbours and the heap of all pairs that have a rule.
    fn link(&mut self, length: usize) {
        let end = u32::try_from(length).expect("words are cut far below 4 GiB");
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Merges by the definition: find the best pair, replace it, start over.
    fn by_definition(merges: &Merges, mut symbols: Vec<u32>) -> Vec<u32> {
        loop {
            let ranked = symbols.windows(2).map(|pair| merges.get(pair[0], pair[1])).enumerate();
            let Some((at, best)) = ranked.min_by_key(|(at, merge)| (merge.rank, *at)) else {
                return symbols;
            };
            if best.rank == NONE {
                return symbols;
            }
            symbols.splice(at..at + 2, [best.symbol]);
        }
    }

    proptest::proptest! {
        #[test]
        fn every_way_to_merge_gives_what_the_definition_gives(
            rules in proptest::collection::vec((0u32..12, 0u32..12, 0u32..6), 0..60),
            word in proptest::collection::vec(0u32..4, 0..130),
        ) {
            // Few ranks, so that ties abound; a symbol above both parts, so that merging ends.
            let mut merges = Merges::with_capacity(0);
            for (left, right, rank) in rules {
                merges.insert(left, right, Merge { rank, symbol: left.max(right) + 1 });
            }
            let expected = by_definition(&merges, word.clone());
            let mut merger = Merger::default();
            merger.start().extend_from_slice(&word);
            let mut out = vec![99];
            merger.merge(&merges, &mut out);
            proptest::prop_assert_eq!(&out[1..], &expected[..]);
            if word.len() >= 2 {
                merger.start().extend_from_slice(&word);
                merger.pairs.clear();
                merger.pairs.extend(word.windows(2).map(|pair| merges.get(pair[0], pair[1])));
                merger.pairs.push(NO_MERGE);
                out.clear();
                merger.merge_long(&merges, &mut out);
                proptest::prop_assert_eq!(out, expected);
            }
        }
    }
}
