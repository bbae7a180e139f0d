//! Llama 3 and its relatives Qwen 2 and cl100k, which differ in digits and in the end of the text:
//! `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*`
//! `|\s*[\r\n]+|\s+(?!\S)|\s+`.

use super::{Scanner, contraction, run_end};
use crate::tokenizer::unicode::{LETTER, NUMBER, SPACE, class_at};

/// The family: digits in groups of at most `DIGITS`; with `WHOLE_END`, white space that reaches
/// the end of the text is one word even if it holds newlines (`\s++$` in the pattern).
pub(in crate::tokenizer) struct Family<const DIGITS: usize, const WHOLE_END: bool>;

/// Llama 3 and 3.1, and the cl100k pattern as most `tokenizer.json` files spell it.
pub(in crate::tokenizer) type Llama3 = Family<3, false>;
/// Qwen 2 and 2.5: every digit alone.
pub(in crate::tokenizer) type Qwen2 = Family<1, false>;
/// cl100k as `tiktoken` defines it.
pub(in crate::tokenizer) type Cl100k = Family<3, true>;

const KINDS: u8 = LETTER | NUMBER | SPACE;
const OTHER: u8 = 0;

impl<const DIGITS: usize, const WHOLE_END: bool> Scanner for Family<DIGITS, WHOLE_END> {
    #[inline]
    fn word_end(text: &[u8], start: usize) -> usize {
        let first = text[start];
        if first == b'\'' {
            let length = contraction(text, start, true);
            if length > 0 {
                return start + length;
            }
        }
        let (class, length) = class_at(text, start);
        let kind = class & KINDS;
        let next = start + length;
        match kind {
            LETTER => return run_end(text, next, |class| class & LETTER != 0),
            NUMBER => return digits_end::<DIGITS>(text, next),
            _ => {}
        }
        if next < text.len() {
            let (class, length) = class_at(text, next);
            let next_kind = class & KINDS;
            if next_kind == LETTER && !is_newline(first) {
                return run_end(text, next + length, |class| class & LETTER != 0);
            }
            if kind == SPACE && first == b' ' && next_kind == OTHER {
                return punctuation_end(text, next + length);
            }
        }
        if kind == OTHER {
            punctuation_end(text, next)
        } else {
            spaces_end::<WHOLE_END>(text, start)
        }
    }
}

#[inline]
pub(super) fn is_newline(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}

/// Returns the end of a group of at most `MAX` numbers of which one ends at `position`.
#[inline]
pub(super) fn digits_end<const MAX: usize>(text: &[u8], mut position: usize) -> usize {
    for _ in 1..MAX {
        if position == text.len() {
            break;
        }
        let (class, length) = class_at(text, position);
        if class & NUMBER == 0 {
            break;
        }
        position += length;
    }
    position
}

/// Returns the end of a run of other characters, and of the newlines it takes along.
#[inline]
fn punctuation_end(text: &[u8], position: usize) -> usize {
    let end = run_end(text, position, |class| class & KINDS == OTHER);
    end + text[end..].iter().take_while(|&&byte| is_newline(byte)).count()
}

/// Returns the end of the word that white space from `start` on makes.
///
/// It reaches to the last newline of the run; without one, all but the last character when
/// something follows, else all.
#[inline]
pub(super) fn spaces_end<const WHOLE_END: bool>(text: &[u8], start: usize) -> usize {
    let mut position = start;
    let mut last = start;
    let mut after_newline = None;
    while position < text.len() {
        let (class, length) = class_at(text, position);
        if class & SPACE == 0 {
            break;
        }
        last = position;
        position += length;
        if is_newline(text[last]) {
            after_newline = Some(position);
        }
    }
    let reaches_end = position == text.len();
    match after_newline {
        Some(end) if !(WHOLE_END && reaches_end) => end,
        _ if reaches_end || last == start => position,
        _ => last,
    }
}

#[cfg(test)]
mod tests {
    use super::super::words;
    use super::*;

    #[test]
    fn any_one_character_joins_the_letters_behind_it() {
        assert_eq!(words::<Llama3>("(abc ((abc"), ["(abc", " ((", "abc"]);
        assert_eq!(words::<Llama3>("\u{a0}x\ty\nz"), ["\u{a0}x", "\ty", "\n", "z"]);
    }

    #[test]
    fn digits_come_in_groups_and_never_with_a_space() {
        assert_eq!(words::<Llama3>("a 12345"), ["a", " ", "123", "45"]);
        assert_eq!(words::<Qwen2>("a 123"), ["a", " ", "1", "2", "3"]);
    }

    #[test]
    fn contractions_ignore_case_and_know_the_long_s() {
        assert_eq!(words::<Llama3>("I'LLx'\u{17f}'"), ["I", "'LL", "x", "'\u{17f}", "'"]);
    }

    #[test]
    fn newlines_end_white_space_and_follow_punctuation() {
        assert_eq!(words::<Llama3>("!\n\n x  \n  y"), ["!\n\n", " x", "  \n", " ", " y"]);
        assert_eq!(words::<Llama3>("x\n  "), ["x", "\n", "  "]);
        assert_eq!(words::<Cl100k>("x\n  "), ["x", "\n  "]);
        assert_eq!(words::<Cl100k>("x\n  y"), ["x", "\n", " ", " y"]);
    }
}
