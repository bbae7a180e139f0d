//! GPT-2: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.

use super::{Block, Scanner, Starts, contraction, run_end};
use crate::tokenizer::unicode::{LETTER, NUMBER, SPACE, class_at};

/// The pre-tokenizer of GPT-2, in `tokenizer.json` the `ByteLevel` one with `use_regex`.
pub(in crate::tokenizer) struct Gpt2;

/// The classes that decide; a character is in at most one of them.
const KINDS: u8 = LETTER | NUMBER | SPACE;

impl Scanner for Gpt2 {
    #[inline]
    fn word_end(text: &[u8], start: usize) -> usize {
        let first = text[start];
        if first == b'\'' {
            let length = contraction(text, start, false);
            if length > 0 {
                return start + length;
            }
        }
        let (class, length) = class_at(text, start);
        let kind = class & KINDS;
        let next = start + length;
        if kind != SPACE {
            return run_end(text, next, |class| class & KINDS == kind);
        }
        if next == text.len() {
            return next;
        }
        let (class, length) = class_at(text, next);
        let kind = class & KINDS;
        if kind != SPACE {
            // Only a space goes with the word behind it; any other white stands alone.
            let joins = first == b' ';
            return if joins { run_end(text, next + length, |c| c & KINDS == kind) } else { next };
        }
        spaces_end(text, next)
    }

    #[inline(always)]
    fn starts(block: &Block<'_>, certain: usize) -> Starts {
        let (letters, digits) = (block.masks.letters, block.masks.digits);
        let white = block.masks.white & block.valid();
        let others = !(letters | digits | white);
        let same = |class: u64| class & (class << 1);
        let goes_on = same(letters) | same(digits) | same(others) | same(white);
        // A space keeps what follows, and the last white before anything else stays back.
        let joined = !white & (block.masks.spaces << 1);
        let mask = (!goes_on & !joined) | (white & !(white >> 1)) | 1;
        let mut starts = Starts { mask, certain };
        block.split_contractions(&mut starts, false);
        starts
    }
}

/// Returns where a run of white space ends as a word, of which one character follows at `last`.
///
/// The last character of the run stays back for what follows, whatever white it is.
fn spaces_end(text: &[u8], mut last: usize) -> usize {
    let mut position = last;
    while position < text.len() {
        let (class, length) = class_at(text, position);
        if class & SPACE == 0 {
            return last;
        }
        last = position;
        position += length;
    }
    position
}

#[cfg(test)]
mod tests {
    use super::super::words;
    use super::*;

    #[test]
    fn a_space_joins_what_follows_and_the_last_white_stays_back() {
        assert_eq!(words::<Gpt2>("Hello  world 12!"), ["Hello", " ", " world", " 12", "!"]);
        assert_eq!(words::<Gpt2>("a\n\n\nb \t\n"), ["a", "\n\n", "\n", "b", " \t\n"]);
    }

    #[test]
    fn contractions_are_lower_case_and_begin_a_word() {
        assert_eq!(words::<Gpt2>("it's I'LL"), ["it", "'s", " I", "'", "LL"]);
        assert_eq!(words::<Gpt2>("''s '"), ["''", "s", " '"]);
    }

    #[test]
    fn no_text_is_lost_at_the_edges() {
        assert_eq!(words::<Gpt2>("'"), ["'"]);
        assert_eq!(words::<Gpt2>(" "), [" "]);
        assert_eq!(words::<Gpt2>("\u{3000}é"), ["\u{3000}", "é"]);
        assert_eq!(words::<Gpt2>(""), [""; 0]);
    }
}
