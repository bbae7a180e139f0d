//! Where a word may be cut before it is merged, because no merge can cross the place.
//!
//! What a merge gives is a token, and a token that crosses the boundary between two characters
//! holds both of them next to each other, or ends within one of them. So where no token does, the
//! parts on both sides are merged apart, with the same result. In scripts without spaces words are
//! whole sentences, of which the vocabulary knows few pairs of characters.

use super::stored::{SectionReader, Sections, Stored};
use super::vocabulary::{Vocabulary, truncated};

/// Bits of the set of character pairs, as a power of two: 128 KiB, sparsely set.
const PAIR_BITS: u32 = 20;

/// Which characters a vocabulary has next to each other.
#[derive(Debug)]
pub(super) struct Boundaries {
    /// Hashed pairs of characters that stand in a token side by side, one of them not ASCII.
    /// Pairs that share a hash are cut less often than they may be.
    pairs: Vec<u64>,
    /// By the last byte of the left character: 256 bits for the first of the right one, set where
    /// a token that holds but a part of either has both bytes side by side.
    parts: Vec<[u64; 4]>,
}

impl Boundaries {
    /// Finds the boundaries of all tokens.
    pub(super) fn new(vocabulary: &Vocabulary) -> Self {
        let mut found = Self { pairs: vec![0; 1 << (PAIR_BITS - 6)], parts: vec![[0; 4]; 256] };
        for (_, token) in vocabulary.iter().filter(|(_, token)| !token.is_ascii()) {
            found.add(token);
        }
        found
    }

    fn add(&mut self, token: &[u8]) {
        for at in (1..token.len()).filter(|&at| is_start(token[at])) {
            let start = token[..at].iter().rposition(|&byte| is_start(byte));
            let left = start.and_then(|start| whole_character(&token[start..at]));
            let end = token[at + 1..].iter().position(|&byte| is_start(byte));
            let right = whole_character(&token[at..end.map_or(token.len(), |end| at + 1 + end)]);
            if let (Some(left), Some(right)) = (left, right) {
                let bit = hash(left, right);
                self.pairs[bit >> 6] |= 1 << (bit & 63);
            } else {
                let (left, right) = (token[at - 1], token[at]);
                self.parts[usize::from(left)][usize::from(right >> 6)] |= 1 << (right & 63);
            }
        }
    }

    /// Returns whether a token may hold `left` and `right`, characters in UTF-8 of which one is
    /// not ASCII, side by side, or parts of them.
    #[inline]
    fn may_join(&self, left: &[u8], right: &[u8]) -> bool {
        let bit = hash(packed(left), packed(right));
        let (last, first) = (left[left.len() - 1], right[0]);
        let part = self.parts[usize::from(last)][usize::from(first >> 6)] >> (first & 63);
        (self.pairs[bit >> 6] >> (bit & 63) | part) & 1 == 1
    }

    /// Returns the pieces of a word, in order; together they are the word, which is UTF-8.
    #[inline]
    pub(super) fn pieces<'a>(&'a self, word: &'a [u8]) -> Pieces<'a> {
        Pieces { boundaries: self, rest: word }
    }
}

impl Stored for Boundaries {
    fn store(&self, sections: &mut Sections) {
        sections.put(self.pairs.iter().copied());
        sections.put(self.parts.iter().copied());
    }

    fn restore(sections: &mut SectionReader<'_>) -> Option<Self> {
        let (pairs, parts) = (sections.take()?, sections.take()?);
        let found = Self { pairs, parts };
        (found.pairs.len() == 1 << (PAIR_BITS - 6) && found.parts.len() == 256).then_some(found)
    }
}

/// The pieces of a word that can be merged one by one.
#[derive(Debug)]
pub(super) struct Pieces<'a> {
    boundaries: &'a Boundaries,
    rest: &'a [u8],
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (mut start, mut at) = (0, num_bytes(*self.rest.first()?));
        while at < self.rest.len() {
            let end = (at + num_bytes(self.rest[at])).min(self.rest.len());
            let (left, right) = (&self.rest[start..at], &self.rest[at..end]);
            let is_ascii = left.len() == 1 && right.len() == 1;
            if !is_ascii && !self.boundaries.may_join(left, right) {
                break;
            }
            (start, at) = (at, end);
        }
        let (piece, rest) = self.rest.split_at(at.min(self.rest.len()));
        self.rest = rest;
        Some(piece)
    }
}

/// Returns whether a byte begins a character.
fn is_start(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

/// Returns how long the character is that a byte begins.
#[inline]
fn num_bytes(first: u8) -> usize {
    match first {
        0..0xC0 => 1,
        0xC0..0xE0 => 2,
        0xE0..0xF0 => 3,
        _ => 4,
    }
}

/// Returns the bytes as a number if they are one whole character.
fn whole_character(bytes: &[u8]) -> Option<u32> {
    let mut characters = std::str::from_utf8(bytes).ok()?.chars();
    (characters.next().is_some() && characters.next().is_none()).then(|| packed(bytes))
}

/// Returns the bytes of a character, 4 at most, as a number.
#[inline]
fn packed(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |all, &byte| all << 8 | u32::from(byte))
}

#[inline]
fn hash(left: u32, right: u32) -> usize {
    let pair = u64::from(left) << 32 | u64::from(right);
    truncated(pair.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - PAIR_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(tokens: &[&[u8]], word: &str) -> Vec<String> {
        let mut vocabulary = Vocabulary::with_capacity(tokens.len());
        for (id, token) in (0..).zip(tokens) {
            vocabulary.insert(token, id);
        }
        let boundaries = Boundaries::new(&vocabulary);
        let pieces = boundaries.pieces(word.as_bytes());
        pieces.map(|piece| String::from_utf8_lossy(piece).into_owned()).collect()
    }

    #[test]
    fn a_word_is_cut_where_no_token_has_both_characters() {
        let tokens = ["你好", "好吗 ", " é"].map(str::as_bytes);
        assert_eq!(pieces(&tokens, "你好吗你吗"), ["你好吗", "你", "吗"]);
        assert_eq!(pieces(&tokens, "ab éé é"), ["ab é", "é", " é"]);
        assert_eq!(pieces(&tokens, ""), [""; 0]);
        assert_eq!(pieces(&tokens, "abc"), ["abc"]);
    }

    #[test]
    fn a_token_that_ends_within_a_character_keeps_both_together() {
        // The last byte of 你 (E4 BD A0) and the first of 好 (E5 A5 BD).
        assert_eq!(pieces(&[b"\xA0\xE5"], "你好你"), ["你好", "你"]);
        assert_eq!(pieces(&["你".as_bytes(), b"\xA0\xE5\xA5\xBD"], "你好"), ["你好"]);
        assert_eq!(pieces(&[b"a\xE4"], "a你a好"), ["a你", "a", "好"]);
    }
}
