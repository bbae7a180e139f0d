//! Words found 64 bytes at a time: the starts of all ASCII words of a block by bit algebra.
//!
//! A block begins where a word begins, and no pattern looks behind, so nothing is carried from
//! one block to the next. The class masks of its bytes give every start at once; the last few
//! bytes, whose words may depend on what follows, are seen again by the next block. Whatever is
//! not ASCII is left to [`Scanner::word_end`].

use super::Scanner;
use crate::tokenizer::cache::Ends;

/// Bytes of a block: one bit each in a mask.
pub(super) const BLOCK: usize = 64;
/// A start this far before the end of what is known depends on nothing behind it: a contraction
/// reaches two characters ahead, and a class one.
const LOOKAHEAD: usize = 4;

/// Which of the 64 bytes of a block are of a class, the first in the lowest bit.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tokenizer) struct Masks {
    pub(super) letters: u64,
    pub(super) digits: u64,
    pub(super) spaces: u64,
    /// ASCII white space, spaces among them.
    pub(super) white: u64,
    pub(super) newlines: u64,
    pub(super) apostrophes: u64,
    /// Bytes of characters that are not ASCII.
    pub(super) high: u64,
    /// Only where [`Scanner::CASED`] asks for them.
    pub(super) upper: u64,
    pub(super) slashes: u64,
}

/// What is known of the words in a block.
#[derive(Clone, Copy, Debug)]
pub(in crate::tokenizer) struct Starts {
    /// Bytes at which words start; the first byte of a block always does.
    pub(super) mask: u64,
    /// The last position at which `mask` is certain.
    pub(super) certain: usize,
}

/// A block that starts at `position`, its bytes known up to `known`.
#[derive(Clone, Copy, Debug)]
pub(in crate::tokenizer) struct Block<'t> {
    pub(super) text: &'t [u8],
    pub(super) position: usize,
    pub(super) masks: Masks,
    /// Leading bytes that are ASCII and inside the text.
    pub(super) known: usize,
}

impl Block<'_> {
    /// Returns a mask of the bytes that are known.
    #[inline(always)]
    pub(super) fn valid(&self) -> u64 {
        if self.known >= BLOCK { !0 } else { (1 << self.known) - 1 }
    }

    /// Makes each contraction that begins a word a word of its own.
    ///
    /// `joined` is what a start becomes that falls into the contraction.
    #[inline(always)]
    pub(super) fn split_contractions(&self, starts: &mut Starts, ignores_case: bool) {
        let mut left = self.masks.apostrophes & starts.mask & (self.masks.letters >> 1);
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            left &= left - 1;
            if at + 3 > self.known {
                starts.certain = starts.certain.min(at);
                return;
            }
            let length = super::contraction(self.text, self.position + at, ignores_case);
            if length > 0 {
                // The letters of the contraction begin nothing, what is behind it does.
                let inside = ((1 << length) - 2) << at;
                starts.mask &= !inside;
                if at + length < BLOCK {
                    starts.mask |= 1 << (at + length);
                }
            }
        }
    }
}

/// Finds the words of `text` from `start` on until there are enough; returns where the last ends.
///
/// # Safety
/// The processor has the features named.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
pub(super) fn find_words<S: Scanner>(text: &[u8], mut start: usize, ends: &mut Ends) -> usize {
    while start < text.len() && !ends.is_full() {
        if begins_beyond_ascii(text, start) {
            start = word_end::<S>(text, start);
            ends.push(start);
            continue;
        }
        let block = block_at::<S>(text, start);
        let first = start;
        let mut found = 0;
        if block.known > LOOKAHEAD + 1 {
            let Starts { mask, certain } = S::starts(&block, block.known - LOOKAHEAD);
            found = mask & (2u64 << certain).wrapping_sub(1) & !1;
        }
        if found != 0 {
            start = ends.push_bits(first, found);
            if block.known == BLOCK {
                continue;
            }
        }
        // Past the character that is not ASCII, or past a word that fills the block.
        let stop = if block.known < BLOCK { first + block.known + 1 } else { start + 1 };
        while start < stop.min(text.len()) {
            start = word_end::<S>(text, start);
            ends.push(start);
        }
    }
    start
}

/// Keeps the scalar code out of the loop over blocks.
#[inline(never)]
fn word_end<S: Scanner>(text: &[u8], start: usize) -> usize {
    S::word_end(text, start)
}

/// Returns whether the word at `start` begins with a character beyond ASCII, or a space and one.
#[inline(always)]
fn begins_beyond_ascii(text: &[u8], start: usize) -> bool {
    let first = text[start];
    first >= 0x80 || (first == b' ' && text.get(start + 1).is_some_and(|&second| second >= 0x80))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn block_at<S: Scanner>(text: &[u8], position: usize) -> Block<'_> {
    let left = &text[position..];
    let mut padded = [0; BLOCK];
    // The masks are made in one place: where two ways met behind it, they would go bit by bit.
    let bytes = if let Some(bytes) = left.first_chunk() {
        bytes
    } else {
        padded[..left.len()].copy_from_slice(left);
        &padded
    };
    let masks = masks_of::<S>(bytes);
    let length = left.len().min(BLOCK);
    let known = (masks.high.trailing_zeros() as usize).min(length);
    Block { text, position, masks, known }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn masks_of<S: Scanner>(bytes: &[u8; BLOCK]) -> Masks {
    let (low, high) = bytes.split_at(BLOCK / 2);
    let (low, high) = (half::<S>(low), half::<S>(high));
    let both = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Masks {
        letters: both(low[0], high[0]),
        digits: both(low[1], high[1]),
        spaces: both(low[2], high[2]),
        white: both(low[3], high[3]),
        newlines: both(low[4], high[4]),
        apostrophes: both(low[5], high[5]),
        high: both(low[6], high[6]),
        upper: both(low[7], high[7]),
        slashes: both(low[8], high[8]),
    }
}

/// Returns the masks of 32 bytes, in the order of the fields of [`Masks`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
#[allow(unsafe_code)]
fn half<S: Scanner>(bytes: &[u8]) -> [u32; 9] {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8,
        _mm256_or_si256, _mm256_set1_epi8, _mm256_sub_epi8,
    };
    assert_eq!(bytes.len(), 32);
    // SAFETY: 32 bytes are there to read.
    let bytes = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast::<__m256i>()) };
    let all = |byte: u8| _mm256_set1_epi8(byte.cast_signed());
    let mask = |bytes| _mm256_movemask_epi8(bytes).cast_unsigned();
    // Bytes from `first` on, `more` of them behind it: compared as unsigned numbers.
    let between = |bytes, first: u8, more: u8| {
        let offset = _mm256_sub_epi8(bytes, all(first));
        _mm256_cmpeq_epi8(_mm256_min_epu8(offset, all(more)), offset)
    };
    let equal = |byte: u8| _mm256_cmpeq_epi8(bytes, all(byte));
    let spaces = equal(b' ');
    [
        mask(between(_mm256_or_si256(bytes, all(0x20)), b'a', 25)),
        mask(between(bytes, b'0', 9)),
        mask(spaces),
        mask(_mm256_or_si256(spaces, between(bytes, b'\t', 4))),
        mask(_mm256_or_si256(equal(b'\n'), equal(b'\r'))),
        mask(equal(b'\'')),
        mask(bytes),
        if S::CASED { mask(between(bytes, b'A', 25)) } else { 0 },
        if S::CASED { mask(equal(b'/')) } else { 0 },
    ]
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use super::super::{Cl100k, Gpt2, Llama3, O200k, Qwen2, words};
    use super::*;

    const ATOMS: [&str; 49] = [
        "a",
        "the",
        "Word",
        "'s",
        "'S",
        "'re",
        "'LL",
        "'ve",
        "'d",
        "'",
        "''",
        "'\u{17f}",
        " ",
        "  ",
        "   ",
        "\t",
        "\n",
        "\n\n",
        "\r\n",
        "\x0b",
        "\x0c",
        "\u{85}",
        "\u{a0}",
        "\u{3000}",
        "1",
        "12",
        "345",
        "6789",
        "\u{663}",
        ".",
        "..",
        "!",
        "(",
        "-",
        "é",
        "中文",
        "\u{301}",
        "\u{1F600}",
        "A",
        "bC",
        "/",
        "\n/",
        "Ab'rE",
        "\0",
        "\x1c",
        "\x7f",
        "_",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "          \n ",
    ];

    #[allow(unsafe_code)]
    fn by_blocks<S: Scanner>(text: &str) -> Vec<&str> {
        let (mut found, mut start, mut ends) = (Vec::new(), 0, Ends::new());
        while start < text.len() {
            // SAFETY: the caller has looked.
            let end = unsafe { find_words::<S>(text.as_bytes(), start, &mut ends) };
            for position in ends.take() {
                found.push(&text[start..position]);
                start = position;
            }
            assert_eq!(start, end);
        }
        found
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(20_000))]
        #[test]
        fn blocks_find_the_words_that_the_scalar_code_finds(
            atoms in proptest::collection::vec(0..ATOMS.len(), 0..60),
        ) {
            if !crate::tokenizer::scan::has_blocks() {
                return Ok(());
            }
            let text: String = atoms.into_iter().map(|atom| ATOMS[atom]).collect();
            proptest::prop_assert_eq!(by_blocks::<Gpt2>(&text), words::<Gpt2>(&text));
            proptest::prop_assert_eq!(by_blocks::<Llama3>(&text), words::<Llama3>(&text));
            proptest::prop_assert_eq!(by_blocks::<Qwen2>(&text), words::<Qwen2>(&text));
            proptest::prop_assert_eq!(by_blocks::<Cl100k>(&text), words::<Cl100k>(&text));
            proptest::prop_assert_eq!(by_blocks::<O200k>(&text), words::<O200k>(&text));
        }
    }
}
