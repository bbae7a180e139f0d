//! Llama 3 and its relatives Qwen 2 and cl100k, which differ in digits and in the end of the text:
//! `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*`
//! `|\s*[\r\n]+|\s+(?!\S)|\s+`.

use super::{Block, Scanner, Starts, contraction, run_end};
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

    #[inline(always)]
    fn starts(block: &Block<'_>, certain: usize) -> Starts {
        let mut starts = word_starts::<DIGITS>(block, certain);
        block.split_contractions(&mut starts, true);
        starts
    }
}

/// Returns where words start in a block, but for what contractions change.
#[inline(always)]
pub(super) fn word_starts<const DIGITS: usize>(block: &Block<'_>, certain: usize) -> Starts {
    let (letters, digits) = (block.masks.letters, block.masks.digits);
    let white = block.masks.white & block.valid();
    let others = !(letters | digits | white);
    let not_white = !white & block.valid();
    if not_white == 0 {
        return Starts { mask: 1, certain: 0 };
    }
    // How a run of white space is cut depends on all of it.
    let certain = certain.min(64 - not_white.leading_zeros() as usize);
    let newlines = block.masks.newlines & white;
    let (white_starts, blanks) = starts_in_white(white, newlines, others);
    let punctuation = others & !(others << 1) & !(block.masks.spaces << 1);
    // Letters join one character before them that begins a word and is no newline.
    let leads = (blanks | punctuation | (others & 1)) & !(others & (others >> 1));
    let words = letters & !(letters << 1) & !(leads << 1);
    let mask = white_starts | punctuation | digit_starts::<DIGITS>(digits) | words | 1;
    Starts { mask, certain }
}

/// Returns where words start in white space, and which of it is no newline.
#[inline(always)]
fn starts_in_white(white: u64, newlines: u64, others: u64) -> (u64, u64) {
    let blanks = white & !newlines;
    // Newlines right behind punctuation belong to it: the carry of the sum runs through them.
    let taken = newlines & !newlines.wrapping_add(newlines & (others << 1));
    let mut to_newline = newlines;
    if blanks & (newlines << 1) & ((newlines | blanks) >> 1) != 0 {
        // Blanks with a newline behind them in their run, in six doublings.
        let mut way = blanks;
        for shift in [1, 2, 4, 8, 16, 32] {
            to_newline |= way & (to_newline >> shift);
            way &= way >> shift;
        }
    }
    let free = white & !taken;
    let starts = (free & !(white << 1))
        | (free & (taken << 1))
        | (blanks & (newlines << 1) & !to_newline)
        | (blanks & !(white >> 1));
    (starts, blanks)
}

/// Returns where groups of at most `MAX` digits start.
#[inline(always)]
fn digit_starts<const MAX: usize>(digits: u64) -> u64 {
    if MAX == 1 {
        return digits;
    }
    let firsts = digits & !(digits << 1);
    let mut starts = firsts;
    let pairs = digits & (digits << 1);
    if pairs & (pairs << 2) != 0 {
        // Runs of more than three.
        let mut left = firsts;
        while left != 0 {
            let first = left.trailing_zeros();
            left &= left - 1;
            let length = (!(digits >> first)).trailing_zeros();
            for offset in (0..length).step_by(MAX).skip(1) {
                starts |= 1 << (first + offset);
            }
        }
    }
    starts
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
