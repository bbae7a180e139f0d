//! Unicode normalization form C, only where a text needs it.

use std::borrow::Cow;
use std::ops::Range;

use unicode_normalization_alignments::UnicodeNormalization as _;

use super::alignment::Alignment;
use super::unicode::{UNSTABLE, classes, decode};

/// Lead byte of U+0300, below which every character is its own NFC.
const FIRST_LEAD: u8 = 0xCC;

/// Returns NFC of `text` as the `tokenizers` crate computes it: that of Unicode 9.
///
/// Only the stretches around characters that can change are normalized, so that a text without
/// any is borrowed and costs one pass over its bytes.
pub(crate) fn nfc(text: &str) -> Cow<'_, str> {
    let mut stretches = unstable_stretches(text).peekable();
    if stretches.peek().is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut copied = 0;
    for stretch in stretches {
        out.push_str(&text[copied..stretch.start]);
        copied = stretch.end;
        out.extend(text[stretch].nfc().map(|(c, _)| c));
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Returns NFC of `text` and which bytes of it are which of `text`.
pub(super) fn nfc_aligned(text: &str) -> (String, Alignment) {
    let mut out = String::with_capacity(text.len() + 16);
    let mut alignment = Alignment::default();
    let mut copied = 0;
    for stretch in unstable_stretches(text) {
        let source = &text[stretch.clone()];
        let made: String = source.nfc().map(|(c, _)| c).collect();
        let (front, back) = equal_ends(source, &made);
        let (start, end) = (stretch.start + front, stretch.end - back);
        alignment.same(copied, start);
        alignment.changed(start..end, made.len() - front - back);
        out.push_str(&text[copied..stretch.start]);
        out.push_str(&made);
        alignment.same(end, stretch.end);
        copied = stretch.end;
    }
    alignment.same(copied, text.len());
    out.push_str(&text[copied..]);
    (out, alignment)
}

/// Returns how many bytes two texts have in common at their beginning and, of the rest, at their end;
/// whole characters.
fn equal_ends(one: &str, other: &str) -> (usize, usize) {
    let length = |(a, b): (char, char)| (a == b).then(|| a.len_utf8());
    let front: usize = one.chars().zip(other.chars()).map_while(length).sum();
    let (one, other) = (&one[front..], &other[front..]);
    let back = one.chars().rev().zip(other.chars().rev()).map_while(length).sum();
    (front, back)
}

/// Returns the stretches of `text` outside of which NFC changes nothing.
fn unstable_stretches(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let position = find_unstable(text, done)?;
        // The character before may take part; before that one NFC does nothing.
        let start = text[done..position]
            .char_indices()
            .next_back()
            .map_or(done, |(offset, _)| done + offset);
        let end = text[position..]
            .char_indices()
            .find(|&(_, c)| classes(c as u32) & UNSTABLE == 0)
            .map_or(text.len(), |(offset, _)| position + offset);
        done = end;
        Some(start..end)
    })
}

/// Returns where the next character starts that NFC may change, from a boundary on.
fn find_unstable(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut position = from;
    loop {
        position += bytes[position..].iter().position(|&byte| byte >= FIRST_LEAD)?;
        let (code_point, length) = decode(bytes, position);
        if classes(code_point) & UNSTABLE != 0 {
            return Some(position);
        }
        position += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> String {
        text.nfc().map(|(c, _)| c).collect()
    }

    #[test]
    fn a_text_that_is_nfc_is_borrowed() {
        assert!(matches!(nfc("plain, café, 中文, 한국어"), Cow::Borrowed(_)));
    }

    #[test]
    fn marks_join_reorder_and_stay_apart() {
        assert_eq!(nfc("e\u{301}x"), "éx");
        assert_eq!(nfc("\u{1100}\u{1161}\u{11a8}"), "각");
        for text in ["a\u{301}\u{323}e\u{301}", "\u{301}", "\u{212b}\u{f900}", "가\u{11a8}\u{11a8}"]
        {
            assert_eq!(nfc(text), whole(text));
        }
    }

    proptest::proptest! {
        #[test]
        fn stretches_give_what_the_whole_gives(
            text in proptest::collection::vec(proptest::prop_oneof![
                proptest::char::any(),
                proptest::char::range('\u{300}', '\u{36f}'),
                proptest::char::range('\u{1100}', '\u{11ff}'),
                proptest::char::range('\u{ac00}', '\u{ad00}'),
                proptest::char::range('a', 'e'),
            ], 0..40),
        ) {
            let text: String = text.into_iter().collect();
            proptest::prop_assert_eq!(nfc(&text).into_owned(), whole(&text));
        }
    }
}
