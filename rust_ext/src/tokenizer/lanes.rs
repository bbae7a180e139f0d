//! The loops over the keys of short words, for the instructions that the machine has.
//!
//! For one word the keys stay in registers, 8 in each: what has just been stored one by one cannot
//! be loaded as a whole at once. With several words there is enough to do meanwhile.

use super::merges::Merges;
use super::short_merge::{AT_ONCE, MOST_SYMBOLS, NO_KEY, ShortWord};

#[cfg(not(target_arch = "x86_64"))]
pub(super) use self::portable::{merge, merge_at_once};
#[cfg(target_arch = "x86_64")]
pub(super) use self::vectors::{merge, merge_at_once};

/// Merges words until none has a rule left; returns the positions where symbols begin, as bits.
#[inline(always)]
fn merge_in_memory<const NUM: usize>(
    words: &mut [ShortWord; NUM],
    merges: &Merges,
    smallest_of: impl Fn(&[u32; MOST_SYMBOLS]) -> u32,
) -> [u64; NUM] {
    let mut begins = [0; NUM];
    for (begins, word) in begins.iter_mut().zip(&*words) {
        *begins = word.all();
    }
    loop {
        let mut smallest = [NO_KEY; NUM];
        for (smallest, word) in smallest.iter_mut().zip(&*words) {
            *smallest = smallest_of(word.keys());
        }
        if smallest.iter().all(|&key| key >= NO_KEY) {
            return begins;
        }
        for ((word, begins), smallest) in words.iter_mut().zip(&mut begins).zip(smallest) {
            let changes = word.step(smallest, begins, merges);
            word.apply(&changes);
        }
    }
}

/// For machines without such registers.
mod portable {
    use super::{AT_ONCE, MOST_SYMBOLS, Merges, NO_KEY, ShortWord, merge_in_memory};

    /// Merges a word; returns the positions where symbols begin, as bits.
    pub(in super::super) fn merge(word: &mut ShortWord, merges: &Merges) -> u64 {
        let [begins] = merge_in_memory(std::array::from_mut(word), merges, smallest);
        begins
    }

    /// Merges words as [`merge`] does.
    pub(in super::super) fn merge_at_once(
        words: &mut [ShortWord; AT_ONCE],
        merges: &Merges,
    ) -> [u64; AT_ONCE] {
        merge_in_memory(words, merges, smallest)
    }

    fn smallest(keys: &[u32; MOST_SYMBOLS]) -> u32 {
        keys.iter().copied().min().unwrap_or(NO_KEY)
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod vectors {
    use std::arch::x86_64::{
        __m256i, _mm_cvtsi128_si32, _mm_min_epu32, _mm_shuffle_epi32, _mm256_add_epi32,
        _mm256_blendv_epi8, _mm256_castsi256_si128, _mm256_cmpeq_epi32, _mm256_extracti128_si256,
        _mm256_min_epu32, _mm256_set1_epi32, _mm256_setr_epi32,
    };

    use super::super::short_merge::Changes;
    use super::{AT_ONCE, MOST_SYMBOLS, Merges, NO_KEY, ShortWord, merge_in_memory, portable};
    use crate::simd::{self, Level};

    fn is_supported() -> bool {
        simd::here() >= Level::Avx2
    }

    /// Merges a word; returns the positions where symbols begin, as bits.
    #[inline]
    pub(in super::super) fn merge(word: &mut ShortWord, merges: &Merges) -> u64 {
        if is_supported() {
            // SAFETY: the machine has what the function asks for.
            unsafe { merge_in_registers(word, merges) }
        } else {
            portable::merge(word, merges)
        }
    }

    /// Merges words as [`merge`] does.
    #[inline]
    pub(in super::super) fn merge_at_once(
        words: &mut [ShortWord; AT_ONCE],
        merges: &Merges,
    ) -> [u64; AT_ONCE] {
        if is_supported() {
            // SAFETY: the machine has what the function asks for.
            unsafe { merge_words(words, merges) }
        } else {
            portable::merge_at_once(words, merges)
        }
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    fn merge_words(words: &mut [ShortWord; AT_ONCE], merges: &Merges) -> [u64; AT_ONCE] {
        // A word has a pair less than symbols.
        match words.iter().map(|word| word.length).max().unwrap_or(0) {
            0..=9 => merge_in_memory(words, merges, |keys| smallest(&load::<1>(keys))),
            10..=17 => merge_in_memory(words, merges, |keys| smallest(&load::<2>(keys))),
            18..=33 => merge_in_memory(words, merges, |keys| smallest(&load::<4>(keys))),
            _ => merge_in_memory(words, merges, |keys| smallest(&load::<8>(keys))),
        }
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    fn merge_in_registers(word: &mut ShortWord, merges: &Merges) -> u64 {
        match word.length {
            0..=9 => merge_vectors::<1>(word, merges),
            10..=17 => merge_vectors::<2>(word, merges),
            18..=33 => merge_vectors::<4>(word, merges),
            _ => merge_vectors::<8>(word, merges),
        }
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    fn merge_vectors<const NUM: usize>(word: &mut ShortWord, merges: &Merges) -> u64 {
        let mut keys = load::<NUM>(word.keys());
        let mut begins = word.all();
        loop {
            let smallest = smallest(&keys);
            if smallest >= NO_KEY {
                return begins;
            }
            apply(&word.step(smallest, &mut begins, merges), &mut keys);
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn load<const NUM: usize>(keys: &[u32; MOST_SYMBOLS]) -> [__m256i; NUM] {
        let mut vectors = [_mm256_set1_epi32(0); NUM];
        for (vector, keys) in vectors.iter_mut().zip(keys.as_chunks::<8>().0) {
            let [k0, k1, k2, k3, k4, k5, k6, k7] = keys.map(u32::cast_signed);
            *vector = _mm256_setr_epi32(k0, k1, k2, k3, k4, k5, k6, k7);
        }
        vectors
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn smallest<const NUM: usize>(keys: &[__m256i; NUM]) -> u32 {
        let mut eight = keys[0];
        for &vector in &keys[1..] {
            eight = _mm256_min_epu32(eight, vector);
        }
        let halves = (_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
        let four = _mm_min_epu32(halves.0, halves.1);
        let two = _mm_min_epu32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
        let one = _mm_min_epu32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two));
        _mm_cvtsi128_si32(one).cast_unsigned()
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn apply<const NUM: usize>(changes: &Changes, keys: &mut [__m256i; NUM]) {
        let all = |value: u32| _mm256_set1_epi32(value.cast_signed());
        let (gone, at, left) =
            (all(changes.gone), all(changes.at), all(changes.after_left.wrapping_sub(1)));
        let (no_key, key, left_key) = (all(NO_KEY), all(changes.key), all(changes.left_key));
        let mut lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        for vector in keys {
            let mut new = _mm256_blendv_epi8(*vector, no_key, _mm256_cmpeq_epi32(lane, gone));
            new = _mm256_blendv_epi8(new, key, _mm256_cmpeq_epi32(lane, at));
            *vector = _mm256_blendv_epi8(new, left_key, _mm256_cmpeq_epi32(lane, left));
            lane = _mm256_add_epi32(lane, all(8));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::merges::{Merge, Rules};
    use super::super::word::Symbols;
    use super::*;

    fn filled(symbols: &[u32], merges: &Merges) -> ShortWord {
        let mut word = ShortWord::default();
        word.fill(&Symbols { symbols, merges }, 0..symbols.len());
        word
    }

    fn symbols(words: &[ShortWord; AT_ONCE], begins: [u64; AT_ONCE]) -> Vec<u32> {
        let mut all = Vec::new();
        for (word, begins) in words.iter().zip(begins) {
            word.each(begins, |symbol, _| all.push(symbol));
        }
        all
    }

    proptest::proptest! {
        #[test]
        fn every_machine_merges_alike(
            rules in proptest::collection::vec((0u32..12, 0u32..12, 0u32..6), 0..60),
            words in proptest::array::uniform4(proptest::collection::vec(0u32..4, 0..=64)),
        ) {
            let mut table = Rules::default();
            for (left, right, rank) in rules {
                table.insert(left, right, Merge { rank, symbol: left.max(right) + 1 });
            }
            let merges = table.finish();
            let fill = || words.each_ref().map(|symbols| filled(symbols, &merges));
            let (mut here, mut everywhere) = (fill(), fill());
            let begins = merge_at_once(&mut here, &merges);
            proptest::prop_assert_eq!(portable::merge_at_once(&mut everywhere, &merges), begins);
            let expected = symbols(&here, begins);
            proptest::prop_assert_eq!(&symbols(&everywhere, begins), &expected);
            for merge in [merge, portable::merge] {
                let mut alone = fill();
                proptest::prop_assert_eq!(alone.each_mut().map(|word| merge(word, &merges)), begins);
                proptest::prop_assert_eq!(&symbols(&alone, begins), &expected);
            }
        }
    }
}
