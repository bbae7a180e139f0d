//! Unicode normalization form C, only where a text needs it.

use std::borrow::Cow;

use unicode_normalization_alignments::UnicodeNormalization as _;

use super::unicode::{UNSTABLE, classes, decode};

/// Lead byte of U+0300, below which every character is its own NFC.
const FIRST_LEAD: u8 = 0xCC;

/// Returns NFC of `text` as the `tokenizers` crate computes it: that of Unicode 9.
///
/// Only the stretches around characters that can change are normalized, so that a text without
/// any is borrowed and costs one pass over its bytes.
pub(super) fn nfc(text: &str) -> Cow<'_, str> {
    let Some(first) = find_unstable(text, 0) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len() + 16);
    let mut copied = 0;
    let mut unstable = Some(first);
    while let Some(position) = unstable {
        // The character before may take part; before that one NFC does nothing.
        let start = text[copied..position]
            .char_indices()
            .next_back()
            .map_or(copied, |(offset, _)| copied + offset);
        let end = text[position..]
            .char_indices()
            .find(|&(_, c)| classes(c as u32) & UNSTABLE == 0)
            .map_or(text.len(), |(offset, _)| position + offset);
        out.push_str(&text[copied..start]);
        out.extend(text[start..end].nfc().map(|(c, _)| c));
        copied = end;
        unstable = find_unstable(text, end);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
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
