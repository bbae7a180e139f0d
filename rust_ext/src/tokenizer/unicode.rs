//! Character classes, from a table made at build time (`build.rs` says from what).
//!
//! | class | is |
//! |---|---|
//! | `LETTER`, `NUMBER`, `SPACE` | `\p{L}`, `\p{N}`, `\s` of the pre-tokenizers' patterns |
//! | `UPPER`, `LOWER` | the two overlapping letter sets of the o200k pattern, marks in both |
//! | `WORD` | `\w`, what an added token with `single_word` must not touch |
//! | `UNSTABLE` | NFC may change it or join it with what stands before it |

include!(concat!(env!("OUT_DIR"), "/unicode_classes.rs"));

/// Classes of the ASCII characters, one byte each, and of no class above.
static ASCII: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        classes[byte] = PAGES[PAGE_NUMBERS[0] as usize][byte];
        byte += 1;
    }
    classes
};

/// Returns the classes of a code point, as bits.
#[inline]
pub(super) fn classes(code_point: u32) -> u8 {
    let page = PAGE_NUMBERS.get((code_point >> 8) as usize).copied().unwrap_or_default();
    PAGES[usize::from(page)][(code_point & 255) as usize]
}

/// Returns the classes and the length in bytes of the character that starts at `position`.
///
/// `text` is UTF-8 and `position` a character boundary inside it.
#[inline]
pub(super) fn class_at(text: &[u8], position: usize) -> (u8, usize) {
    let byte = text[position];
    if byte < 0x80 {
        return (ASCII[usize::from(byte)], 1);
    }
    let (code_point, length) = decode(text, position);
    (classes(code_point), length)
}

/// Returns the code point and the length of the character that starts at `position`.
#[inline]
pub(super) fn decode(text: &[u8], position: usize) -> (u32, usize) {
    let lead = u32::from(text[position]);
    let next = |offset: usize| u32::from(text[position + offset]) & 0x3F;
    match lead {
        0..0x80 => (lead, 1),
        0x80..0xE0 => ((lead & 0x1F) << 6 | next(1), 2),
        0xE0..0xF0 => ((lead & 0x0F) << 12 | next(1) << 6 | next(2), 3),
        _ => ((lead & 0x07) << 18 | next(1) << 12 | next(2) << 6 | next(3), 4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(bit: u8) -> usize {
        (0..0x11_0000).filter(|&code_point| classes(code_point) & bit != 0).count()
    }

    #[test]
    fn classes_have_as_many_members_as_the_reference_engines_give() {
        // Counted by matching every code point with tokenizers 0.23.3 and tiktoken 0.14.0.
        assert_eq!([count(LETTER), count(NUMBER), count(SPACE)], [141_028, 1_911, 25]);
        assert_eq!(count(UPPER), 1_858 + 31 + 404 + 136_477 + 2_501);
        assert_eq!(count(LOWER), 2_258 + 404 + 136_477 + 2_501);
    }

    #[test]
    fn every_character_decodes_to_itself() {
        for c in (0..0x11_0000).filter_map(char::from_u32) {
            let mut buffer = [0; 4];
            let length = c.encode_utf8(&mut buffer).len();
            assert_eq!(decode(&buffer, 0), (c as u32, length));
            assert_eq!(class_at(&buffer, 0), (classes(c as u32), length));
        }
    }

    #[test]
    fn stable_characters_are_their_own_nfc_behind_any_letter() {
        use unicode_normalization_alignments::UnicodeNormalization as _;
        for c in (0..0x11_0000).filter_map(char::from_u32) {
            if classes(c as u32) & UNSTABLE == 0 {
                for before in ['a', '\u{1100}', '\u{ac00}', '\u{11099}'] {
                    let text = [before, c];
                    assert!(text.into_iter().nfc().map(|(c, _)| c).eq(text), "{before:?} {c:?}");
                }
            }
        }
    }
}
