//! Runs of words as hashes.
//!
//! A *shingle* is `ngram_size` words in a row ([`super::words`] says what a word is). A text of
//! fewer words, but one at least, has one shingle of them all; a text without words has none.
//!
//! The hashes of the words are the coefficients of a polynomial; its value, mixed, is the shingle.
//! Modulo 2^32 that is what signatures are made of: there a chance collision costs a sliver of
//! precision. Modulo 2^64 it is what the true similarity is counted on: shingles that differ in
//! one word can never meet, others do by a chance of about 2^-64.

use crate::simd::{self, Level};

/// Base modulo 2^64: odd, and 5 modulo 8, so that its powers stay far apart modulo every power of
/// two.
const BASE_64: u64 = 0xd134_2543_de82_ef95;

/// Base modulo 2^32, of the same kind.
const BASE_32: u32 = 0x9e37_79b5;

/// Tells a short text's only shingle from a whole one.
const SHORT_64: u64 = 0xa076_1d64_78bd_642f;
const SHORT_32: u32 = 0x85eb_ca6b;

/// Shingles handed over at a time; they stay in the nearest cache.
const BLOCK: usize = 512;

/// Returns how many shingles a text of so many words has.
#[must_use]
pub fn count(words: usize, ngram_size: usize) -> usize {
    (words + 1).saturating_sub(ngram_size.max(1)).max(usize::from(words > 0))
}

/// Hands the shingles of a text to `take`, some at a time, as 32 well-mixed bits each, none 0.
///
/// They come in the order of the text; one that occurs twice comes twice.
pub fn each_block32(words: &[u32], ngram_size: usize, take: impl FnMut(&[u32])) {
    each_block32_by(simd::here(), words, ngram_size.max(1), take);
}

fn each_block32_by(level: Level, words: &[u32], ngram_size: usize, mut take: impl FnMut(&[u32])) {
    if (1..ngram_size).contains(&words.len()) {
        let sum = words.iter().fold(0, |sum, &word| next_32(sum, word));
        #[expect(clippy::cast_possible_truncation, reason = "fewer words than ngram_size")]
        let count = words.len() as u32;
        take(&[finish_32(sum ^ count.wrapping_mul(SHORT_32))]);
        return;
    }
    let mut block = [0; BLOCK];
    let num_shingles = count(words.len(), ngram_size);
    for start in (0..num_shingles).step_by(BLOCK) {
        let shingles = &mut block[..BLOCK.min(num_shingles - start)];
        let words = &words[start..start + shingles.len() + ngram_size - 1];
        polynomials_by(level, words, ngram_size, shingles);
        take(shingles);
    }
}

/// Up to this many words of a shingle it is faster to add up all of them than to roll on.
const MOST_ADDED: usize = 16;

/// Writes the mixed polynomials of all runs of `ngram_size` words.
#[allow(unsafe_code)]
fn polynomials_by(level: Level, words: &[u32], ngram_size: usize, shingles: &mut [u32]) {
    if ngram_size > MOST_ADDED {
        return roll(words, ngram_size, shingles);
    }
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the machine is of that level.
        Level::Avx512 => unsafe { add_up_avx512(words, ngram_size, shingles) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx2 => unsafe { add_up_avx2(words, ngram_size, shingles) },
        _ => add_up(words, ngram_size, shingles),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2")]
fn add_up_avx512(words: &[u32], ngram_size: usize, shingles: &mut [u32]) {
    add_up(words, ngram_size, shingles);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn add_up_avx2(words: &[u32], ngram_size: usize, shingles: &mut [u32]) {
    add_up(words, ngram_size, shingles);
}

/// Term by term, many shingles at a time: the compiler makes vectors of these loops.
#[inline(always)]
fn add_up(words: &[u32], ngram_size: usize, shingles: &mut [u32]) {
    let mut power = 1_u32;
    shingles.copy_from_slice(&words[ngram_size - 1..]);
    for offset in (0..ngram_size - 1).rev() {
        power = power.wrapping_mul(BASE_32);
        for (sum, &word) in shingles.iter_mut().zip(&words[offset..]) {
            *sum = sum.wrapping_add(word.wrapping_mul(power));
        }
    }
    for sum in shingles {
        *sum = finish_32(*sum);
    }
}

/// From one shingle to the next.
fn roll(words: &[u32], ngram_size: usize, shingles: &mut [u32]) {
    let leaving = BASE_32.wrapping_pow(u32::try_from(ngram_size).unwrap_or(u32::MAX));
    let mut sum = words[..ngram_size - 1].iter().fold(0, |sum, &word| next_32(sum, word));
    // Before the first shingle stands a word that never was.
    let before = std::iter::once(&0).chain(words);
    for ((shingle, &word), &before) in shingles.iter_mut().zip(&words[ngram_size - 1..]).zip(before)
    {
        sum = next_32(sum, word).wrapping_sub(before.wrapping_mul(leaving));
        *shingle = finish_32(sum);
    }
}

#[inline(always)]
fn next_32(sum: u32, word: u32) -> u32 {
    sum.wrapping_mul(BASE_32).wrapping_add(word)
}

/// Mixes a polynomial. 0 would be 0 in every slot of a signature, and make strangers alike.
#[inline(always)]
fn finish_32(sum: u32) -> u32 {
    mix_32(sum).max(1)
}

/// Appends the shingles of a text as 64 well-mixed bits each, none 0, in the order of the text;
/// one that occurs twice comes twice.
pub fn list64(words: &[u32], ngram_size: usize, shingles: &mut Vec<u64>) {
    list64_by(simd::here(), words, ngram_size.max(1), shingles);
}

fn list64_by(level: Level, words: &[u32], ngram_size: usize, shingles: &mut Vec<u64>) {
    if words.len() < ngram_size {
        if !words.is_empty() {
            let sum = words.iter().fold(0, |sum, &word| next_64(sum, word));
            let count = words.len() as u64;
            shingles.push(finish_64(sum ^ count.wrapping_mul(SHORT_64)));
        }
        return;
    }
    let start = shingles.len();
    // The last word of each shingle; the others are added in place.
    shingles.extend(words[ngram_size - 1..].iter().copied().map(u64::from));
    let mut words = words;
    for block in shingles[start..].chunks_mut(BLOCK) {
        polynomials64_by(level, words, ngram_size, block);
        words = &words[block.len()..];
    }
}

/// Adds the other words to the last words of shingles, the first of which begins with `words`, and
/// mixes the polynomials.
#[allow(unsafe_code)]
fn polynomials64_by(level: Level, words: &[u32], ngram_size: usize, shingles: &mut [u64]) {
    if ngram_size > MOST_ADDED {
        return roll64(words, ngram_size, shingles);
    }
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the machine is of that level.
        Level::Avx512 => unsafe { add_up64_avx512(words, ngram_size, shingles) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx2 => unsafe { add_up64_avx2(words, ngram_size, shingles) },
        _ => roll64(words, ngram_size, shingles),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2")]
fn add_up64_avx512(words: &[u32], ngram_size: usize, shingles: &mut [u64]) {
    add_up64(words, ngram_size, shingles);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn add_up64_avx2(words: &[u32], ngram_size: usize, shingles: &mut [u64]) {
    add_up64(words, ngram_size, shingles);
}

/// As [`add_up`], modulo 2^64.
#[inline(always)]
fn add_up64(words: &[u32], ngram_size: usize, shingles: &mut [u64]) {
    let mut power = 1_u64;
    for offset in (0..ngram_size - 1).rev() {
        power = power.wrapping_mul(BASE_64);
        for (sum, &word) in shingles.iter_mut().zip(&words[offset..]) {
            *sum = sum.wrapping_add(u64::from(word).wrapping_mul(power));
        }
    }
    for sum in shingles {
        *sum = finish_64(*sum);
    }
}

/// As [`roll`], modulo 2^64.
fn roll64(words: &[u32], ngram_size: usize, shingles: &mut [u64]) {
    let leaving = BASE_64.wrapping_pow(u32::try_from(ngram_size).unwrap_or(u32::MAX));
    let mut sum = words[..ngram_size - 1].iter().fold(0, |sum, &word| next_64(sum, word));
    // Before the first shingle stands a word that never was.
    let before = std::iter::once(&0).chain(words);
    for ((shingle, &word), &before) in shingles.iter_mut().zip(&words[ngram_size - 1..]).zip(before)
    {
        sum = next_64(sum, word).wrapping_sub(u64::from(before).wrapping_mul(leaving));
        *shingle = finish_64(sum);
    }
}

#[inline(always)]
fn next_64(sum: u64, word: u32) -> u64 {
    sum.wrapping_mul(BASE_64).wrapping_add(word.into())
}

/// As [`finish_32`].
#[inline(always)]
fn finish_64(sum: u64) -> u64 {
    mix_64(sum).max(1)
}

/// Returns the set of the shingles of a text, 64 well-mixed bits each, none 0, ascending.
///
/// Takes 8 bytes of memory a word.
#[must_use]
pub fn set64(words: &[u32], ngram_size: usize) -> Vec<u64> {
    let mut set = Vec::with_capacity(count(words.len(), ngram_size));
    list64(words, ngram_size, &mut set);
    set.sort_unstable();
    set.dedup();
    set
}

/// A bijection of 32 bits in which every input bit moves every output bit.
///
/// Source: the constants are Wellons' search for low bias, "Prospecting for hash functions"
/// (2018).
#[inline(always)]
fn mix_32(mut value: u32) -> u32 {
    value = (value ^ (value >> 16)).wrapping_mul(0x7feb_352d);
    value = (value ^ (value >> 15)).wrapping_mul(0x846c_a68b);
    value ^ (value >> 16)
}

/// A bijection of 64 bits in which every input bit moves every output bit.
///
/// Source: the finaliser of splitmix64, Steele, Lea and Flood (2014), in Stafford's variant 13.
#[inline(always)]
pub(super) fn mix_64(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn shingles32(words: &[u32], ngram_size: usize) -> Vec<u32> {
        let mut all = Vec::new();
        each_block32(words, ngram_size, |block| all.extend_from_slice(block));
        all
    }

    /// The polynomial of each run of words, by its definition.
    fn plain(words: &[u32], ngram_size: usize) -> (Vec<u32>, Vec<u64>) {
        let value = |run: &[u32]| {
            let next = |(low, high): (u32, u64), &word: &u32| {
                let high = high.wrapping_mul(BASE_64).wrapping_add(word.into());
                (low.wrapping_mul(BASE_32).wrapping_add(word), high)
            };
            run.iter().fold((0, 0), next)
        };
        if (1..ngram_size).contains(&words.len()) {
            let (low, high) = value(words);
            let low = low ^ u32::try_from(words.len()).unwrap().wrapping_mul(SHORT_32);
            let high = high ^ (words.len() as u64).wrapping_mul(SHORT_64);
            return (vec![mix_32(low).max(1)], vec![mix_64(high).max(1)]);
        }
        let values = words.windows(ngram_size).map(value);
        values.map(|(low, high)| (mix_32(low).max(1), mix_64(high).max(1))).unzip()
    }

    #[test]
    fn short_texts_have_one_shingle_and_wordless_ones_none() {
        assert_eq!(shingles32(&[1, 2, 3], 5).len(), 1);
        assert_ne!(shingles32(&[1, 2, 3], 5), shingles32(&[1, 2, 3, 4], 5));
        assert_ne!(shingles32(&[1, 2], 5), shingles32(&[1, 2], 2));
        assert_ne!(set64(&[1, 2], 5), set64(&[1, 2], 2));
        assert!(shingles32(&[], 5).is_empty());
        assert!(set64(&[], 5).is_empty());
        for (words, shingles) in [(0, 0), (1, 1), (4, 1), (5, 1), (6, 2)] {
            assert_eq!(count(words, 5), shingles);
        }
    }

    proptest! {
        #[test]
        fn shingles_are_the_polynomials_of_the_runs_of_words(
            words in prop::collection::vec(any::<u32>(), 0..60),
            repeats in 1..100_usize,
            ngram_size in 1_usize..20,
        ) {
            let words = words.repeat(repeats);
            let (low, high) = plain(&words, ngram_size);
            prop_assert_eq!(low.len(), count(words.len(), ngram_size));
            for level in Level::all_here() {
                let mut all = Vec::new();
                each_block32_by(level, &words, ngram_size, |block| all.extend_from_slice(block));
                prop_assert_eq!(&all, &low, "{:?}", level);
                let mut listed = vec![3];
                list64_by(level, &words, ngram_size, &mut listed);
                prop_assert_eq!(&listed[1..], &high, "{:?}", level);
            }
            let set: Vec<u64> = high.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
            prop_assert_eq!(set64(&words, ngram_size), set);
        }
    }
}
