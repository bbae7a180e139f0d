//! A text as hashes of runs of words.
//!
//! A *word* is a longest run of characters that are alphabetic or numeric by Unicode
//! (`char::is_alphanumeric`) or the low line. Each of its characters is lower-cased on its own,
//! with its full Unicode mapping. A *shingle* is `ngram_size` words in a row; what stands between
//! the words does not count. A text of fewer words, but one at least, has one shingle of them
//! all; a text without words has none. Scripts that do not put spaces between words give one
//! long word a clause: such texts are alike only where whole clauses are.
//!
//! A shingle is known by 64 bits: each word is hashed by its characters, the hashes of the words
//! are combined as the coefficients of a polynomial, which can roll on by one word at the price of
//! two multiplications, and the sum is mixed, as the permutations need well-mixed input.

/// Multiplier of the hash of a word; odd, from the digits of the golden ratio.
const CHARACTER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Base of the polynomial over words: odd, and 5 modulo 8, so that its powers stay far apart
/// modulo every power of two.
const WORD: u64 = 0xd134_2543_de82_ef95;

/// Tells a short text's only shingle from a whole one.
const SHORT: u64 = 0xa076_1d64_78bd_642f;

/// Hashes handed over at a time; they stay in the nearest cache.
const BLOCK: usize = 1024;

/// Where a word's hash begins.
const BEGIN: u64 = 0x2d35_8dcc_aa6c_78a5;

/// Byte -> what it adds to a word: lower-cased, 0 for what ends a word.
const ASCII: [u8; 128] = {
    let mut table = [0; 128];
    let mut byte = 0;
    while byte < 128_u8 {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            table[byte as usize] = byte.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};

/// Cuts texts into shingles; its buffers serve one text after another.
#[derive(Clone, Debug)]
pub struct Shingler {
    /// Hashes of the last words, a ring.
    window: Vec<u64>,
    /// `WORD` to the power of `ngram_size`: the weight of a word that leaves the window.
    leaving: u64,
    block: Vec<u64>,
}

impl Shingler {
    /// Makes a shingler for runs of `ngram_size` words, at least 1.
    #[must_use]
    pub fn new(ngram_size: usize) -> Self {
        let ngram_size = ngram_size.max(1);
        let leaving = (0..ngram_size).fold(1_u64, |power, _| power.wrapping_mul(WORD));
        Self { window: vec![0; ngram_size], leaving, block: Vec::with_capacity(BLOCK) }
    }

    /// Hands the shingles of `text` to `take`, some at a time, and returns how many there are.
    ///
    /// They come in the order of the text; one that occurs twice comes twice.
    pub fn each_block(&mut self, text: &str, mut take: impl FnMut(&[u64])) -> u64 {
        let ngram_size = self.window.len();
        self.window.fill(0);
        self.block.clear();
        let (mut sum, mut at, mut words, mut handed_over) = (0_u64, 0, 0_u64, 0_u64);
        each_word(text, |word| {
            // A word that never was has the hash 0 and leaves nothing behind.
            sum = sum
                .wrapping_mul(WORD)
                .wrapping_add(word)
                .wrapping_sub(self.window[at].wrapping_mul(self.leaving));
            self.window[at] = word;
            at = if at + 1 == ngram_size { 0 } else { at + 1 };
            words += 1;
            if words >= ngram_size as u64 {
                if self.block.len() == BLOCK {
                    take(&self.block);
                    handed_over += BLOCK as u64;
                    self.block.clear();
                }
                self.block.push(mix(sum));
            }
        });
        if words > 0 && words < ngram_size as u64 {
            self.block.push(mix(sum ^ words.wrapping_mul(SHORT)));
        }
        if !self.block.is_empty() {
            take(&self.block);
        }
        handed_over + self.block.len() as u64
    }

    /// Returns the set of the shingles of `text`, ascending.
    ///
    /// Takes 8 bytes of memory a shingle, twice that while it works.
    pub fn set(&mut self, text: &str) -> Vec<u64> {
        let mut set = Vec::new();
        let mut distinct = 0;
        self.each_block(text, |block| {
            set.extend_from_slice(block);
            // A text that repeats itself must not fill the memory with its repetitions.
            if set.len() >= 2 * distinct + 16 * BLOCK {
                set.sort_unstable();
                set.dedup();
                distinct = set.len();
            }
        });
        set.sort_unstable();
        set.dedup();
        set
    }
}

/// Calls `take` with the hash of every word.
#[inline]
fn each_word(text: &str, mut take: impl FnMut(u64)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut word = BEGIN;
    let mut is_inside = false;
    while let Some(&byte) = bytes.get(at) {
        let (unit, length) = if byte < 128 {
            (u32::from(ASCII[usize::from(byte)]), 1)
        } else {
            beyond_ascii(&text[at..], &mut word)
        };
        at += length;
        if unit != 0 {
            word = add(word, unit);
            is_inside = true;
        } else if is_inside {
            take(finish(word));
            word = BEGIN;
            is_inside = false;
        }
    }
    if is_inside {
        take(finish(word));
    }
}

/// Returns what the first character of `text` adds last to a word, 0 for what ends one, and its
/// length in bytes; what it adds before that is in `word` already.
#[cold]
fn beyond_ascii(text: &str, word: &mut u64) -> (u32, usize) {
    let Some(character) = text.chars().next() else { return (0, 1) };
    if !character.is_alphanumeric() {
        return (0, character.len_utf8());
    }
    let mut unit = 0;
    for lower in character.to_lowercase() {
        if unit != 0 {
            *word = add(*word, unit);
        }
        unit = u32::from(lower);
    }
    (unit, character.len_utf8())
}

#[inline]
fn add(word: u64, unit: u32) -> u64 {
    (word ^ u64::from(unit)).wrapping_mul(CHARACTER)
}

/// Spreads what the multiplications left in the upper bits.
#[inline]
fn finish(word: u64) -> u64 {
    let mixed = (word ^ (word >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

/// A bijection of 64 bits in which every input bit moves every output bit.
///
/// Source: the finaliser of splitmix64, Steele, Lea and Flood (2014), in Stafford's variant 13.
#[inline]
pub(super) fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Returns the Jaccard similarity of two ascending sets if it is at least `least`, else `None`.
///
/// Two empty sets have nothing in common: `None`. Stops as soon as `least` is out of reach.
#[must_use]
pub fn jaccard_at_least(left: &[u64], right: &[u64], least: f64) -> Option<f64> {
    let (mut rest_left, mut rest_right, mut common) = (left, right, 0_usize);
    let total = left.len() + right.len();
    while let (Some(&a), Some(&b)) = (rest_left.first(), rest_right.first()) {
        // Even if all of the shorter rest were common, it would not be enough.
        let most = common + rest_left.len().min(rest_right.len());
        if similarity(most, total) < least {
            return None;
        }
        common += usize::from(a == b);
        rest_left = &rest_left[usize::from(a <= b)..];
        rest_right = &rest_right[usize::from(b <= a)..];
    }
    let jaccard = similarity(common, total);
    (common > 0 && jaccard >= least).then_some(jaccard)
}

/// Jaccard similarity of sets with `common` elements in common and `total` in both lists.
#[allow(clippy::cast_precision_loss)] // a text has fewer than 2^53 shingles
fn similarity(common: usize, total: usize) -> f64 {
    common as f64 / (total - common) as f64
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss)] // small counts
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The definition in plain words: cut, lower-case, hash each run of words as a list of strings.
    fn plain(text: &str, ngram_size: usize) -> Vec<Vec<String>> {
        let words: Vec<String> = text
            .split(|character: char| !character.is_alphanumeric() && character != '_')
            .filter(|word| !word.is_empty())
            .map(|word| word.chars().flat_map(char::to_lowercase).collect())
            .collect();
        if words.is_empty() {
            return vec![];
        }
        words.windows(ngram_size.min(words.len())).map(<[String]>::to_vec).collect()
    }

    fn shingles(text: &str, ngram_size: usize) -> Vec<u64> {
        let mut all = Vec::new();
        let count =
            Shingler::new(ngram_size).each_block(text, |block| all.extend_from_slice(block));
        assert_eq!(count, all.len() as u64);
        all
    }

    #[test]
    fn case_and_what_stands_between_words_do_not_count() {
        let expected = shingles("the quick brown fox jumps over", 5);
        assert_eq!(expected.len(), 2);
        for other in
            ["The QUICK, brown -- fox\n\tjumps (over)!", "  the quick brown fox jumps over "]
        {
            assert_eq!(shingles(other, 5), expected);
        }
        assert_ne!(shingles("the quick brown fox jumped over", 5)[0], expected[0]);
        assert_ne!(shingles("quick the brown fox jumps", 5)[0], expected[0]);
        assert_eq!(
            shingles("ÉCOLE Ünïcode ПРИВЕТ a_b Ж1", 5),
            shingles("école ünïcode привет A_B ж1", 5)
        );
        assert_eq!(shingles("\u{212a}elvin", 1), shingles("kelvin", 1)); // the Kelvin sign
        assert_eq!(shingles("中文没有空格。第二句", 5).len(), 1);
    }

    #[test]
    fn short_texts_have_one_shingle_and_wordless_ones_none() {
        assert_eq!(shingles("a b c", 5).len(), 1);
        assert_ne!(shingles("a b c", 5), shingles("a b c d", 5));
        assert_ne!(shingles("a b", 5), shingles("a b", 2));
        for wordless in ["", " \n", "--- ... !!!", "\u{1f600}\u{2014}"] {
            assert_eq!(shingles(wordless, 5), Vec::<u64>::new(), "{wordless:?}");
        }
    }

    #[test]
    fn a_character_a_million_times_is_one_word() {
        assert_eq!(shingles(&"x".repeat(1_000_000), 5).len(), 1);
        assert_eq!(shingles(&"x ".repeat(1_000_000), 5).len(), 999_996);
        assert_eq!(Shingler::new(5).set(&"x ".repeat(1_000_000)).len(), 1);
        assert_eq!(Shingler::new(5).set(&"é! ".repeat(100_000)).len(), 1);
    }

    #[test]
    fn jaccard_is_exact_and_gives_up_below_the_least() {
        let (left, right) = ([1, 2, 3, 4, 5], [2, 3, 4, 5, 6]);
        assert_eq!(jaccard_at_least(&left, &right, 0.0), Some(4.0 / 6.0));
        assert_eq!(jaccard_at_least(&left, &right, 4.0 / 6.0), Some(4.0 / 6.0));
        assert_eq!(jaccard_at_least(&left, &right, 0.67), None);
        assert_eq!(jaccard_at_least(&left, &left, 1.0), Some(1.0));
        assert_eq!(jaccard_at_least(&[], &[], 0.0), None);
        assert_eq!(jaccard_at_least(&[1], &[2], 0.0), None);
    }

    proptest! {
        #[test]
        fn equal_hashes_mean_equal_shingles(
            texts in prop::collection::vec("[aAbB_é É中Ⅷ²İß.,\u{301} 01]{0,40}|\\PC{0,60}", 1..6),
            ngram_size in 1_usize..7,
        ) {
            let mut hashes = BTreeSet::new();
            let mut expected = BTreeSet::new();
            let mut shingler = Shingler::new(ngram_size);
            for text in &texts {
                let mut found = Vec::new();
                shingler.each_block(text, |block| found.extend_from_slice(block));
                let plain = plain(text, ngram_size);
                prop_assert_eq!(found.len(), plain.len());
                hashes.extend(found);
                expected.extend(plain);
            }
            prop_assert_eq!(hashes.len(), expected.len());
        }

        #[test]
        fn jaccard_equals_that_of_sets(
            left in prop::collection::btree_set(0_u64..40, 0..30),
            right in prop::collection::btree_set(0_u64..40, 0..30),
            least in 0.0..1.0_f64,
        ) {
            let common = left.intersection(&right).count();
            let exact = common as f64 / left.union(&right).count().max(1) as f64;
            let (left, right): (Vec<_>, Vec<_>) = (left.into_iter().collect(), right.into_iter().collect());
            let expected = (common > 0 && exact >= least).then_some(exact);
            prop_assert_eq!(jaccard_at_least(&left, &right, least), expected);
        }
    }
}
