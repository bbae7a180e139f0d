//! Words found 64 bytes at a time: the starts of all ASCII words of a block by bit algebra.
//!
//! A block begins where a word begins, and no pattern looks behind, so nothing is carried from
//! one block to the next. The class masks of its bytes give every start at once; the last few
//! bytes, whose words may depend on what follows, are seen again by the next block. Whatever is
//! not ASCII is left to [`Scanner::word_end`].

use super::masks::{BLOCK, Masks};
use super::{Scanner, masks};
use crate::tokenizer::cache::Ends;

/// A start this far before the end of what is known depends on nothing behind it: a contraction
/// reaches two characters ahead, and a class one.
const LOOKAHEAD: usize = 4;

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
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn find_words_avx2<S: Scanner>(text: &[u8], start: usize, ends: &mut Ends) -> usize {
    find_words_with::<S>(text, start, ends, |bytes| masks::avx2(bytes, S::CASED))
}

/// As [`find_words_avx2`], for processors that compare 64 bytes at once.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn find_words_avx512<S: Scanner>(text: &[u8], start: usize, ends: &mut Ends) -> usize {
    find_words_with::<S>(text, start, ends, |bytes| masks::avx512(bytes, S::CASED))
}

#[inline(always)]
fn find_words_with<S: Scanner>(
    text: &[u8],
    mut start: usize,
    ends: &mut Ends,
    masks_of: impl Fn(&[u8; BLOCK]) -> Masks,
) -> usize {
    while start < text.len() && !ends.is_full() {
        if begins_beyond_ascii(text, start) {
            start = word_end::<S>(text, start);
            ends.push(start);
            continue;
        }
        let block = block_at(text, start, &masks_of);
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

#[inline(always)]
fn block_at(text: &[u8], position: usize, masks_of: impl Fn(&[u8; BLOCK]) -> Masks) -> Block<'_> {
    let left = &text[position..];
    let mut padded = [0; BLOCK];
    // The masks are made in one place: where two ways met behind it, they would go bit by bit.
    let bytes = if let Some(bytes) = left.first_chunk() {
        bytes
    } else {
        padded[..left.len()].copy_from_slice(left);
        &padded
    };
    let masks = masks_of(bytes);
    let known = (masks.high.trailing_zeros() as usize).min(left.len().min(BLOCK));
    Block { text, position, masks, known }
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use super::super::{Cl100k, Gpt2, Llama3, O200k, Qwen2, words};
    use super::*;
    use crate::simd::Level;

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
    fn by_blocks<S: Scanner>(text: &str, level: Level) -> Vec<&str> {
        let (mut found, mut start, mut ends) = (Vec::new(), 0, Ends::new());
        while start < text.len() {
            let bytes = text.as_bytes();
            let end = match level {
                // SAFETY: the caller has looked.
                Level::Avx512 => unsafe { find_words_avx512::<S>(bytes, start, &mut ends) },
                // SAFETY: as above.
                _ => unsafe { find_words_avx2::<S>(bytes, start, &mut ends) },
            };
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
            let text: String = atoms.into_iter().map(|atom| ATOMS[atom]).collect();
            for level in Level::all_here().skip(1) {
                proptest::prop_assert_eq!(by_blocks::<Gpt2>(&text, level), words::<Gpt2>(&text));
                proptest::prop_assert_eq!(by_blocks::<Llama3>(&text, level), words::<Llama3>(&text));
                proptest::prop_assert_eq!(by_blocks::<Qwen2>(&text, level), words::<Qwen2>(&text));
                proptest::prop_assert_eq!(by_blocks::<Cl100k>(&text, level), words::<Cl100k>(&text));
                proptest::prop_assert_eq!(by_blocks::<O200k>(&text, level), words::<O200k>(&text));
            }
        }
    }
}
