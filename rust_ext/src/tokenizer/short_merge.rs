//! Merges words of at most 64 symbols, one or four at once.
//!
//! Each pair of neighbours has a key: the rank of its rule and, below it, the position of the left
//! symbol, so that the smallest key is the pair that goes first, the leftmost of equal ones. A step
//! has no branch that depends on the word, for each would be guessed wrongly every other time.
//! So a word takes as long as its steps wait for one another, and four at once take little longer
//! than two one by one.

use std::ops::Range;

use super::lanes;
use super::merges::{MAX_RANKS, Merge, Merges, NONE};
use super::word::Word;

/// Most symbols that a word may have here: positions are bits of a number.
pub(super) const MOST_SYMBOLS: usize = 64;

/// The key of a pair without a rule, and of what is no pair; the least of those.
pub(super) const NO_KEY: u32 = MAX_RANKS << 6;

/// Words that are merged at once.
pub(super) const AT_ONCE: usize = 4;

/// Where nothing is: one beyond the last position. On the left it is one before the first.
const NOWHERE: u32 = 64;

/// Places before the first key.
const BEFORE: usize = 8;

/// A word that is merged. Symbols and what they become stand one further than their position, so
/// that there is a place before the first, and one for [`NOWHERE`].
#[derive(Debug)]
pub(super) struct ShortWord {
    symbols: [u32; MOST_SYMBOLS + 2],
    /// What the symbol of this position becomes together with its right neighbour.
    joined: [u32; MOST_SYMBOLS + 2],
    /// Keys stand 8 further than their position, so that vectors of them are aligned.
    keys: [u32; MOST_SYMBOLS + 2 * BEFORE],
    pub(super) length: usize,
}

impl Default for ShortWord {
    fn default() -> Self {
        Self {
            symbols: [NONE; MOST_SYMBOLS + 2],
            joined: [NONE; MOST_SYMBOLS + 2],
            keys: [NO_KEY; MOST_SYMBOLS + 2 * BEFORE],
            length: 0,
        }
    }
}

/// The keys that a merge changes, each by its position, which may be none of the word.
pub(super) struct Changes {
    pub(super) gone: u32,
    pub(super) at: u32,
    pub(super) key: u32,
    /// One more than the position.
    pub(super) after_left: u32,
    pub(super) left_key: u32,
}

impl ShortWord {
    /// Takes a range of a word, of at most [`MOST_SYMBOLS`] symbols.
    #[inline]
    pub(super) fn fill(&mut self, word: &impl Word, range: Range<usize>) {
        self.length = range.len();
        self.keys = [NO_KEY; MOST_SYMBOLS + 2 * BEFORE];
        let Some(last) = range.clone().last() else { return };
        let places =
            self.symbols[1..].iter_mut().zip(&mut self.joined[1..]).zip(&mut self.keys[BEFORE..]);
        for ((position, at), ((symbol, joined), key)) in (range.start..last).zip(0..).zip(places) {
            let (first, merge) = word.symbol_and_rule(position);
            *symbol = first;
            *joined = merge.symbol;
            *key = key_of(merge, at);
        }
        self.symbols[self.length] = word.symbol(last);
    }

    /// Returns that every position is the beginning of a symbol, as bits.
    #[inline]
    pub(super) fn all(&self) -> u64 {
        u64::MAX.checked_shr(NOWHERE.saturating_sub(self.num_symbols())).unwrap_or(0)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "64 at most")]
    fn num_symbols(&self) -> u32 {
        self.length as u32
    }

    /// Merges the pair of the smallest key, or none if that is [`NO_KEY`] or above.
    ///
    /// `begins` has a bit for every position where a symbol begins. Keys are left to the caller.
    #[inline(always)]
    pub(super) fn step(&mut self, smallest: u32, begins: &mut u64, merges: &Merges) -> Changes {
        let is_pair = smallest < NO_KEY;
        let at = if is_pair { smallest & 63 } else { NOWHERE };
        let known = if is_pair { *begins } else { 0 };
        let symbol = self.joined[at as usize + 1];
        self.symbols[at as usize + 1] = symbol;
        let after = known & (!1 << (at & 63));
        let before = known & ((1 << (at & 63)) - 1);
        let gone = after.trailing_zeros();
        let right = (after & after.wrapping_sub(1)).trailing_zeros();
        // One more than the position: 0 is the place before the first.
        let left = NOWHERE - before.leading_zeros();
        *begins ^= after & after.wrapping_neg();
        let with_right = merges.get(symbol, self.symbol_at(right));
        let with_left = merges.get(self.symbols[left as usize], symbol);
        self.joined[at as usize + 1] = with_right.symbol;
        self.joined[left as usize] = with_left.symbol;
        Changes {
            gone,
            at,
            key: key_of(with_right, at & 63),
            after_left: left,
            left_key: key_of(with_left, left.wrapping_sub(1) & 63),
        }
    }

    /// Returns the keys by position.
    #[inline]
    pub(super) fn keys(&self) -> &[u32; MOST_SYMBOLS] {
        self.keys[BEFORE..].first_chunk().unwrap_or(&[NO_KEY; MOST_SYMBOLS])
    }

    /// Changes the keys in memory.
    #[inline]
    pub(super) fn apply(&mut self, changes: &Changes) {
        self.keys[BEFORE + changes.gone as usize] = NO_KEY;
        self.keys[BEFORE + changes.at as usize] = changes.key;
        self.keys[BEFORE - 1 + changes.after_left as usize] = changes.left_key;
    }

    /// Returns the symbol that begins at a position, [`NONE`] at [`NOWHERE`].
    #[inline]
    fn symbol_at(&self, position: u32) -> u32 {
        self.symbols[position as usize + 1]
    }

    /// Gives every symbol of which `begins` has a bit, with its position.
    #[inline]
    pub(super) fn each(&self, mut begins: u64, mut give: impl FnMut(u32, usize)) {
        while begins != 0 {
            let at = begins.trailing_zeros();
            give(self.symbol_at(at), at as usize);
            begins &= begins - 1;
        }
    }
}

/// Merges a range of a word, of at most [`MOST_SYMBOLS`] symbols; gives every symbol that remains
/// with the position it begins at.
#[inline]
pub(super) fn merge(
    place: &mut ShortWord,
    word: &impl Word,
    range: Range<usize>,
    merges: &Merges,
    mut give: impl FnMut(u32, usize),
) {
    let start = range.start;
    place.fill(word, range);
    let begins = lanes::merge(place, merges);
    place.each(begins, |symbol, at| give(symbol, start + at));
}

/// Merges ranges of words as [`merge`] does, all at once; returns, for each, where symbols begin
/// in it, for [`ShortWord::each`].
#[inline]
pub(super) fn merge_at_once<W: Word>(
    places: &mut [ShortWord; AT_ONCE],
    ranges: [(W, Range<usize>); AT_ONCE],
    merges: &Merges,
) -> [u64; AT_ONCE] {
    for (place, (word, range)) in places.iter_mut().zip(ranges) {
        place.fill(&word, range);
    }
    lanes::merge_at_once(places, merges)
}

#[inline]
fn key_of(merge: Merge, position: u32) -> u32 {
    merge.rank << 6 | position
}
