//! What makes two texts, or two pieces of them, count as equal where the scope is not `near`.
//!
//! The rule, in this order: normalization form C (of Unicode 9, as tokenizers have it), lower case
//! character by character (the full mapping of Unicode, whatever stands around), each run of white
//! space (Unicode `White_Space`) one blank, none at either end. Nothing else is changed: a
//! difference in a digit or in punctuation is a difference.

use crate::tokenizer::nfc;

/// Bytes looked at together.
const LANES: usize = 8;
const ONES: u64 = u64::from_ne_bytes([1; LANES]);
const HIGHS: u64 = ONES << 7;

/// Writes the normal form of `text` to `to`, in place of what is there.
///
/// Takes time in proportion to the text, and of memory at most three times its length.
pub fn normalise(text: &str, to: &mut Vec<u8>) {
    to.clear();
    let text = nfc(text);
    let mut is_pending = false;
    let mut rest = text.as_bytes();
    loop {
        let plain = push_plain(rest, &mut is_pending, to);
        rest = &rest[plain..];
        let Some(c) = first_char(&text[text.len() - rest.len()..]) else { return };
        rest = &rest[c.len_utf8()..];
        push_char(c, &mut is_pending, to);
    }
}

/// Returns the characters of a normal form.
#[must_use]
pub fn count_characters(normal: &[u8]) -> usize {
    normal.iter().filter(|&&byte| byte.cast_signed() >= -0x40).count()
}

fn first_char(text: &str) -> Option<char> {
    text.chars().next()
}

/// Appends whole words of eight bytes that need no more than lower case; returns how many bytes.
///
/// Such a word is ASCII, without control characters, and of its blanks no two stand together, nor
/// one behind a blank that came before.
fn push_plain(bytes: &[u8], is_pending: &mut bool, to: &mut Vec<u8>) -> usize {
    let words = bytes.as_chunks::<LANES>().0;
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let blanks = blanks(word);
        let is_plain = word & HIGHS == 0
            && below_blank(word) == 0
            && blanks & (blanks << 8) == 0
            && (blanks & 0x80 == 0 || !(*is_pending || to.is_empty()));
        if !is_plain {
            return number * LANES;
        }
        if std::mem::take(is_pending) {
            to.push(b' ');
        }
        to.extend_from_slice(&lower(word).to_le_bytes());
        if blanks >> 63 == 1 {
            // It counts once something follows it.
            *is_pending = to.pop().is_some();
        }
    }
    words.len() * LANES
}

fn push_char(c: char, is_pending: &mut bool, to: &mut Vec<u8>) {
    if c.is_whitespace() {
        *is_pending = !to.is_empty();
        return;
    }
    if std::mem::take(is_pending) {
        to.push(b' ');
    }
    if c.is_ascii() {
        to.push(c.to_ascii_lowercase() as u8);
        return;
    }
    let mut room = [0; 4];
    for lower in c.to_lowercase() {
        to.extend_from_slice(lower.encode_utf8(&mut room).as_bytes());
    }
}

/// The high bit of each blank, if all bytes are ASCII.
fn blanks(word: u64) -> u64 {
    !(word ^ (ONES * u64::from(b' '))).wrapping_add(HIGHS - ONES) & HIGHS
}

/// The high bit of each control character before the blank, if all bytes are ASCII.
fn below_blank(word: u64) -> u64 {
    !word.wrapping_add(HIGHS - ONES * 0x20) & HIGHS
}

/// Lower case of eight bytes of ASCII.
fn lower(word: u64) -> u64 {
    let from_a = word + ONES * (0x80 - u64::from(b'A'));
    let behind_z = word + ONES * (0x7f - u64::from(b'Z'));
    word | (from_a & !behind_z & HIGHS) >> 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization_alignments::UnicodeNormalization as _;

    use super::*;

    fn normal(text: &str) -> String {
        let mut to = b"left over".to_vec();
        normalise(text, &mut to);
        String::from_utf8(to).unwrap()
    }

    /// The rule, as it is stated.
    fn slowly(text: &str) -> String {
        let composed: String = text.nfc().map(|(c, _)| c).collect();
        let lower: String = composed.chars().flat_map(char::to_lowercase).collect();
        lower.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn case_white_space_and_composition_make_no_difference() {
        assert_eq!(normal("  The  Quick\r\n\tBrown\u{a0}FOX \n"), "the quick brown fox");
        assert_eq!(normal("Cafe\u{301} ÉCOLE"), "café école");
        assert_eq!(normal("İSTANBUL ΣΑΣ"), "i\u{307}stanbul σασ");
        assert_eq!(normal("東京　大阪"), "東京 大阪");
        assert_eq!(normal("a1, b2; C3!"), "a1, b2; c3!");
        assert_eq!(normal(" \u{2003}\n"), "");
        assert_eq!(normal(""), "");
        assert_eq!(count_characters("café 東京".as_bytes()), 7);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn it_is_what_the_rule_says(text in prop_oneof![
            "[ -~]{0,60}",
            "[a-cA-CZ@\\[` \t\n\u{b}\u{1f}\u{7f}]{0,60}",
            "[aÉe\u{301}\u{327} \u{a0}\u{2003}\u{85}ΣİǅﬀßḀ東\u{1F600}]{0,40}",
            "\\PC{0,40}",
        ]) {
            let found = normal(&text);
            prop_assert_eq!(&found, &slowly(&text));
            prop_assert_eq!(count_characters(found.as_bytes()), found.chars().count());
        }
    }
}
