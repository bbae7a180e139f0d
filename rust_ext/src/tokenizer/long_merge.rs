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
//! merged up to some place; then a *window*, which begins before that place and reaches beyond it,
//! is merged for itself; and from the first symbol on that is the same in both, the window's
//! replace those that stood. Where a window begins does not matter, so that four of them are
//! merged at once. If there is no such symbol, the window begins further to the left. It seldom
//! needs to: what a symbol does to those on its left ends with the first of falling ranks that is
//! missing.

use std::ops::Range;

use super::heap_merge::HeapWord;
use super::merges::Merges;
use super::short_merge::{self, AT_ONCE, MOST_SYMBOLS, ShortWord};
use super::word::Word;

/// How far a window reaches back into what stands, in initial symbols. Of 12, 16, 20 and 24 the
/// first was the fastest on random letters, base64, emoji and Thai, the second on English words
/// run together, by 5 %.
const OVERLAP: usize = 12;

/// Windows at once make no sense where a symbol is longer than this: they would not meet.
const MOST_SHARED: usize = 28;

/// What one window adds when four are merged at once.
const STRIDE: usize = MOST_SYMBOLS - OVERLAP;

/// Windows that are merged one by one after four at once did not meet.
const ONE_BY_ONE: usize = 8;

/// Symbols that stand whose places are remembered, at least. Where a window would have to begin
/// before them, the whole word is merged with the heap: no real vocabulary was seen to need a
/// hundredth of it.
const REMEMBERED: usize = if cfg!(test) { 32 } else { 1 << 14 };

/// A symbol and the position in the word where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    symbol: u32,
    start: usize,
}

/// What merging long words needs; the memory is kept between words.
#[derive(Debug, Default)]
pub(super) struct LongWords {
    /// The last of the symbols that stand; those before them are in the output already.
    standing: Vec<Placed>,
    /// Where they end.
    end: usize,
    /// How far the next window has to reach back.
    overlap: usize,
    /// The last window that was merged alone, and what it became.
    window: Vec<Placed>,
    window_range: Range<usize>,
    /// Windows still to be merged one by one.
    one_by_one: usize,
    windows: [Vec<Placed>; AT_ONCE],
    places: [ShortWord; AT_ONCE],
    heap: HeapWord,
}

impl LongWords {
    /// Merges a word and appends what remains to `out`.
    pub(super) fn merge(&mut self, word: &impl Word, merges: &Merges, out: &mut Vec<u32>) {
        self.standing.clear();
        self.window_range = 0..0;
        (self.end, self.overlap, self.one_by_one) = (0, OVERLAP, 0);
        let first = out.len();
        while self.end < word.length() {
            if self.is_worth_four(word.length()) {
                self.add_four(word, merges);
            } else if !self.add_one(word, out.len() > first, merges) {
                out.truncate(first);
                self.merge_whole(word, merges);
            }
            if self.standing.len() > 2 * REMEMBERED {
                let old = self.standing.drain(..REMEMBERED);
                out.extend(old.map(|placed| placed.symbol));
            }
        }
        out.extend(self.standing.iter().map(|placed| placed.symbol));
    }

    /// Returns whether the next four windows are likely to meet, each with the one before.
    fn is_worth_four(&self, length: usize) -> bool {
        let last = self.standing.iter().rfind(|placed| placed.start + OVERLAP <= self.end);
        let is_short = last.is_some_and(|placed| self.end - placed.start < MOST_SHARED);
        self.one_by_one == 0 && self.end + AT_ONCE * STRIDE <= length && is_short
    }

    /// Adds four windows, or as many of them as meet.
    fn add_four(&mut self, word: &impl Word, merges: &Merges) {
        let first = self.end - OVERLAP;
        let starts: [usize; AT_ONCE] = std::array::from_fn(|number| first + number * STRIDE);
        let ranges = starts.map(|start| (word, start..start + MOST_SYMBOLS));
        let begins = short_merge::merge_at_once(&mut self.places, ranges, merges);
        let places = self.places.iter().zip(begins).zip(starts);
        for (window, ((place, begins), start)) in self.windows.iter_mut().zip(places) {
            window.clear();
            place.each(begins, |symbol, at| window.push(Placed { symbol, start: start + at }));
        }
        for window in &self.windows {
            if !join(&mut self.standing, self.end, window, self.end + STRIDE) {
                self.one_by_one = ONE_BY_ONE;
                return;
            }
            self.end += STRIDE;
        }
    }

    /// Adds one window, if it meets; else the next will reach back twice as far. Returns false if
    /// it would have to begin before what is remembered.
    fn add_one(&mut self, word: &impl Word, is_cut: bool, merges: &Merges) -> bool {
        // The last two are seldom what they will be, when symbols are long.
        let is_before = |placed: &&Placed| placed.start + self.overlap <= self.end;
        let start = match self.standing.iter().rev().skip(2).find(is_before) {
            Some(placed) => placed.start,
            None if is_cut => return false,
            None => 0,
        };
        // More than is known already, so that the work stays in proportion.
        let length = MOST_SYMBOLS.max((self.end - start) * 3);
        let range = start..word.length().min(start + length);
        self.merge_window(word, range.clone(), merges);
        if start == 0 {
            self.standing.clone_from(&self.window);
        } else if !join(&mut self.standing, self.end, &self.window, range.end) {
            self.overlap = 2 * (self.end - start);
            return true;
        }
        (self.end, self.overlap) = (range.end, OVERLAP);
        self.one_by_one = self.one_by_one.saturating_sub(1);
        true
    }

    /// Merges a window, unless it is equal to the one before, as in runs of one character.
    fn merge_window(&mut self, word: &impl Word, range: Range<usize>, merges: &Merges) {
        let last = std::mem::replace(&mut self.window_range, range.clone());
        if range.len() == last.len() && word.is_repeated(last.start, range.start, range.len()) {
            let moved = range.start - last.start;
            self.window.iter_mut().for_each(|placed| placed.start += moved);
            return;
        }
        self.window.clear();
        let give = |symbol, start| self.window.push(Placed { symbol, start });
        if range.len() > MOST_SYMBOLS {
            self.heap.merge(word, range, merges, give);
        } else {
            short_merge::merge(&mut self.places[0], word, range, merges, give);
        }
    }

    fn merge_whole(&mut self, word: &impl Word, merges: &Merges) {
        self.standing.clear();
        let give = |symbol, start| self.standing.push(Placed { symbol, start });
        self.heap.merge(word, 0..word.length(), merges, give);
        self.end = word.length();
    }
}

/// Puts a window in the place of what stands from the first symbol on that is the same in both;
/// returns whether there is one. `end` and `window_end` are where either ends.
fn join(standing: &mut Vec<Placed>, end: usize, window: &[Placed], window_end: usize) -> bool {
    let Some(first) = window.first() else { return false };
    let mut old =
        standing.iter().rposition(|placed| placed.start < first.start).map_or(0, |at| at + 1);
    let mut new = 0;
    let next = |all: &[Placed], at: usize, end| all.get(at + 1).map_or(end, |placed| placed.start);
    while let (Some(left), Some(right)) = (standing.get(old), window.get(new)) {
        if left == right && next(standing, old, end) == next(window, new, window_end) {
            standing.truncate(old);
            standing.extend_from_slice(&window[new..]);
            return true;
        }
        let (left, right) = (left.start, right.start);
        old += usize::from(left <= right);
        new += usize::from(right <= left);
    }
    false
}
