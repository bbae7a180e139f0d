//! Merges a word of at most 64 symbols.
//!
//! Each pair of neighbours has a key: the rank of its rule and, below it, the position of the left
//! symbol, so that the smallest key is the pair that goes first, the leftmost of equal ones. Keys
//! are looked at all at once, 8 in a register where the machine can (AVX2); a step has no branch
//! that depends on the word, for each would be guessed wrongly every other time.

use std::ops::Range;

use super::merges::{MAX_RANKS, Merge, Merges, NONE};
use super::word::Word;

/// Most symbols that a word may have here: positions are bits of a number.
pub(super) const MOST_SYMBOLS: usize = 64;

/// The key of a pair without a rule, and of what is no pair.
const NO_KEY: u32 = MAX_RANKS << 6;

/// A word that is merged; what a position holds stands one further, so that ends have neighbours.
#[derive(Debug)]
pub(super) struct ShortWord {
    symbols: [u32; MOST_SYMBOLS + 2],
    /// What the symbol of this position becomes together with its right neighbour.
    joined: [u32; MOST_SYMBOLS + 1],
    keys: [u32; MOST_SYMBOLS],
    length: usize,
}

impl Default for ShortWord {
    fn default() -> Self {
        Self {
            symbols: [NONE; MOST_SYMBOLS + 2],
            joined: [NONE; MOST_SYMBOLS + 1],
            keys: [NO_KEY; MOST_SYMBOLS],
            length: 0,
        }
    }
}

impl ShortWord {
    /// Takes a range of a word, of 1 to [`MOST_SYMBOLS`] symbols.
    #[inline]
    fn fill(&mut self, word: &impl Word, range: Range<usize>) {
        self.length = range.len();
        self.keys = [NO_KEY; MOST_SYMBOLS];
        let last = range.end - 1;
        let places = self.symbols[1..].iter_mut().zip(&mut self.joined[1..]).zip(&mut self.keys);
        for ((position, at), ((symbol, joined), key)) in (range.start..last).zip(0..).zip(places) {
            let (first, merge) = word.symbol_and_rule(position);
            *symbol = first;
            *joined = merge.symbol;
            *key = key_of(merge, at);
        }
        self.symbols[self.length] = word.symbol(last);
        self.symbols[self.length + 1] = NONE;
    }

    /// Merges a range of a word, of 1 to [`MOST_SYMBOLS`] symbols; gives every symbol that remains
    /// with the position it begins at.
    #[inline]
    pub(super) fn merge(
        &mut self,
        word: &impl Word,
        range: Range<usize>,
        merges: &Merges,
        mut give: impl FnMut(u32, usize),
    ) {
        let start = range.start;
        self.fill(word, range);
        let mut begins = dispatch::merge(self, merges);
        while begins != 0 {
            let at = begins.trailing_zeros() as usize;
            give(self.symbols[at + 1], start + at);
            begins &= begins - 1;
        }
    }

    /// Returns that every position is the beginning of a symbol.
    fn all(&self) -> u64 {
        u64::MAX >> (MOST_SYMBOLS - self.length)
    }

    /// Merges the pair of the smallest key; returns what that changes.
    #[inline(always)]
    fn step(&mut self, smallest: u32, begins: &mut u64, merges: &Merges) -> Changes {
        let at = smallest & 63;
        let symbol = self.joined[at as usize + 1];
        self.symbols[at as usize + 1] = symbol;
        let after = *begins & (!1 << at);
        let right = (after & after.wrapping_sub(1)).trailing_zeros();
        let left = 64 - (*begins & ((1 << at) - 1)).leading_zeros();
        *begins ^= after & after.wrapping_neg();
        let with_right = merges.get(symbol, self.symbols[right as usize + 1]);
        let with_left = merges.get(self.symbols[left as usize], symbol);
        self.joined[at as usize + 1] = with_right.symbol;
        self.joined[left as usize] = with_left.symbol;
        let left = left.wrapping_sub(1);
        Changes {
            gone: after.trailing_zeros(),
            at,
            key: key_of(with_right, at),
            left,
            left_key: key_of(with_left, left & 63),
        }
    }
}

/// The three keys that a merge changes, each by its position, which may be none.
struct Changes {
    gone: u32,
    at: u32,
    key: u32,
    left: u32,
    left_key: u32,
}

#[inline(always)]
fn key_of(merge: Merge, position: u32) -> u32 {
    merge.rank << 6 | position
}

/// The same for machines without such registers.
mod portable {
    use super::{Changes, MOST_SYMBOLS, Merges, NO_KEY, ShortWord};

    pub(super) fn merge(word: &mut ShortWord, merges: &Merges) -> u64 {
        let mut begins = word.all();
        loop {
            let keys = &mut word.keys[..word.length.min(MOST_SYMBOLS)];
            let smallest = keys.iter().copied().min().unwrap_or(NO_KEY);
            if smallest >= NO_KEY {
                return begins;
            }
            let Changes { gone, at, key, left, left_key } =
                word.step(smallest, &mut begins, merges);
            for (position, key) in [(gone, NO_KEY), (at, key), (left, left_key)] {
                if let Some(place) = word.keys.get_mut(position as usize) {
                    *place = key;
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod dispatch {
    use std::arch::is_x86_feature_detected as has;
    use std::arch::x86_64::{
        __m256i, _mm_cvtsi128_si32, _mm_min_epu32, _mm_shuffle_epi32, _mm256_add_epi32,
        _mm256_blendv_epi8, _mm256_castsi256_si128, _mm256_cmpeq_epi32, _mm256_extracti128_si256,
        _mm256_min_epu32, _mm256_set1_epi32, _mm256_setr_epi32,
    };

    use super::{Changes, Merges, NO_KEY, ShortWord, portable};

    #[inline]
    pub(super) fn merge(word: &mut ShortWord, merges: &Merges) -> u64 {
        if has!("avx2") && has!("bmi1") && has!("bmi2") && has!("lzcnt") {
            // SAFETY: the machine has what the function asks for.
            unsafe { merge_avx2(word, merges) }
        } else {
            portable::merge(word, merges)
        }
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    fn merge_avx2(word: &mut ShortWord, merges: &Merges) -> u64 {
        // A word has a pair less than symbols.
        match word.length {
            0..=9 => merge_vectors::<1>(word, merges),
            10..=17 => merge_vectors::<2>(word, merges),
            18..=33 => merge_vectors::<4>(word, merges),
            _ => merge_vectors::<8>(word, merges),
        }
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    #[inline]
    fn merge_vectors<const NUM: usize>(word: &mut ShortWord, merges: &Merges) -> u64 {
        let mut keys = [_mm256_set1_epi32(0); NUM];
        for (vector, keys) in keys.iter_mut().zip(word.keys.as_chunks::<8>().0) {
            let [a, b, c, d, e, f, g, h] = keys.map(u32::cast_signed);
            *vector = _mm256_setr_epi32(a, b, c, d, e, f, g, h);
        }
        let mut begins = word.all();
        loop {
            let smallest = smallest(&keys);
            if smallest >= NO_KEY {
                return begins;
            }
            let changes = word.step(smallest, &mut begins, merges);
            apply(&changes, &mut keys);
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn apply<const NUM: usize>(changes: &Changes, keys: &mut [__m256i; NUM]) {
        let all = |value: u32| _mm256_set1_epi32(value.cast_signed());
        let (gone, at, left) = (all(changes.gone), all(changes.at), all(changes.left));
        let (no_key, key, left_key) = (all(NO_KEY), all(changes.key), all(changes.left_key));
        let mut lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        for vector in keys {
            let mut new = _mm256_blendv_epi8(*vector, no_key, _mm256_cmpeq_epi32(lane, gone));
            new = _mm256_blendv_epi8(new, key, _mm256_cmpeq_epi32(lane, at));
            *vector = _mm256_blendv_epi8(new, left_key, _mm256_cmpeq_epi32(lane, left));
            lane = _mm256_add_epi32(lane, all(8));
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn smallest<const NUM: usize>(keys: &[__m256i; NUM]) -> u32 {
        let mut eight = keys[0];
        for &vector in &keys[1..] {
            eight = _mm256_min_epu32(eight, vector);
        }
        let four =
            _mm_min_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
        let two = _mm_min_epu32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
        let one = _mm_min_epu32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two));
        _mm_cvtsi128_si32(one).cast_unsigned()
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod dispatch {
    pub(super) use super::portable::merge;
}
