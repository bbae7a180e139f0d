//! Merges words of any length in windows: time in proportion to the length, little memory.
//!
//! *Lemma.* Say that a symbol is *true* if it is what its own initial symbols merge to, and that
//! two neighbours *hold* if their initial symbols, merged together, give just these two. A sequence
//! is what its initial symbols merge to if and only if all its symbols are true and all its
//! neighbours hold.
//!
//! *Proof.* Merging makes at each time the merge that is first in the order of rank, then
//! position. Look at the merges of a whole up to the first that crosses a boundary between two
//! parts. What happens on each side so far is what happens there in any sequence in which that
//! side stands and nothing crosses its ends: the order among the merges of one part does not
//! depend on what lies between them. *If:* suppose that a merge crosses a boundary of the sequence,
//! and take the first. Until then each part has gone its own way, and its two neighbours, merged
//! alone, go the same ways in the same order, so that the crossing comes there too, as no merge of
//! either is before it: the neighbours do not hold. *Only if:* when no merge of the whole crosses
//! the ends of two neighbours, or of one symbol, the merges inside are those they make alone.
//!
//! So two results that have a symbol in common, at the same place, can be joined there: a word is
//! merged up to some place; then a *window*, which begins at one of the last symbols of what
//! stands and reaches beyond it, is merged for itself; and from the first symbol on that is the
//! same in both, the window's replace those that stood. If there is none, the window begins
//! further to the left. It seldom needs to: what a symbol on the right does to those on the left
//! ends with the first of falling ranks that misses.

use std::ops::Range;

use super::heap_merge::HeapWord;
use super::merges::Merges;
use super::short_merge::{MOST_SYMBOLS, ShortWord};
use super::word::Word;

/// How far a window at first reaches back into what stands, in initial symbols. More is seldom
/// needed, less often; measured on random letters.
const OVERLAP: usize = 12;

/// Symbols that stand whose places are remembered, at least. A window that would begin before
/// them is instead the whole word: no real vocabulary was seen to need even a hundredth of it.
const REMEMBERED: usize = 1 << 14;

/// A symbol and the position in the word where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    symbol: u32,
    start: usize,
}

/// What merging long words needs, kept between words.
#[derive(Debug, Default)]
pub(super) struct LongWords {
    /// The last of the symbols that stand; those before them are in the output already.
    standing: Vec<Placed>,
    /// What the window became.
    window: Vec<Placed>,
    pub(super) short: ShortWord,
    heap: HeapWord,
}

impl LongWords {
    /// Merges a word and appends what remains to `out`.
    pub(super) fn merge(&mut self, word: &impl Word, merges: &Merges, out: &mut Vec<u32>) {
        self.standing.clear();
        let first = out.len();
        let (mut end, mut overlap) = (0, OVERLAP);
        let mut last = 0..0;
        while end < word.length() {
            let found = self.standing.iter().rposition(|placed| placed.start + overlap <= end);
            let is_forgotten = found.is_none() && out.len() > first;
            let from = found.unwrap_or(0);
            let begin =
                if is_forgotten { 0 } else { self.standing.get(from).map_or(0, |p| p.start) };
            // Twice as much as is known already, so that the work stays in proportion.
            let length = MOST_SYMBOLS.max((end - begin) * 2);
            let stop = if is_forgotten { word.length() } else { word.length().min(begin + length) };
            let window = begin..stop;
            let is_same =
                window.len() == last.len() && word.is_repeated(begin, last.start, window.len());
            if is_same {
                let moved = begin - last.start;
                self.window.iter_mut().for_each(|placed| placed.start += moved);
            } else {
                self.merge_window(word, window.clone(), merges);
            }
            last = window;
            if begin == 0 {
                out.truncate(first);
                self.standing.clone_from(&self.window);
            } else if let Some((kept, joined)) = self.meeting(from, end, stop) {
                self.standing.truncate(kept);
                self.standing.extend_from_slice(&self.window[joined..]);
            } else {
                overlap *= 2;
                continue;
            }
            (end, overlap) = (stop, OVERLAP);
            if self.standing.len() > 2 * REMEMBERED {
                let old = self.standing.drain(..REMEMBERED);
                out.extend(old.map(|placed| placed.symbol));
            }
        }
        out.extend(self.standing.iter().map(|placed| placed.symbol));
    }

    /// Returns where the first symbol that is the same in both is: in what stands and the window.
    fn meeting(&self, from: usize, end: usize, stop: usize) -> Option<(usize, usize)> {
        let next =
            |symbols: &[Placed], at: usize, end| symbols.get(at + 1).map_or(end, |p| p.start);
        let (mut left, mut right) = (from, 0);
        while let (Some(old), Some(new)) = (self.standing.get(left), self.window.get(right)) {
            if old == new && next(&self.standing, left, end) == next(&self.window, right, stop) {
                return Some((left, right));
            }
            left += usize::from(old.start <= new.start);
            right += usize::from(new.start <= old.start);
        }
        None
    }

    fn merge_window(&mut self, word: &impl Word, range: Range<usize>, merges: &Merges) {
        self.window.clear();
        let window = &mut self.window;
        let give = |symbol, start| window.push(Placed { symbol, start });
        if range.len() > MOST_SYMBOLS {
            self.heap.merge(word, range, merges, give);
        } else {
            self.short.merge(word, range, merges, give);
        }
    }
}
