//! o200k: words in mixed case are cut where upper case begins anew, and contractions stay with
//! their word. With `U` for `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, `L` for `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
//! and `C` for the contractions:
//! `[^\r\n\p{L}\p{N}]?U*L+C?|[^\r\n\p{L}\p{N}]?U+L*C?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*`
//! `|\s*[\r\n]+|\s+(?!\S)|\s+`.

use super::llama3::{digits_end, is_newline, spaces_end, word_starts};
use super::masks::BLOCK;
use super::{Block, Scanner, Starts, contraction, run_end};
use crate::tokenizer::unicode::{LETTER, LOWER, NUMBER, SPACE, UPPER, class_at};

/// The pre-tokenizer of o200k, in `tiktoken` and in `tokenizer.json` files made from it.
pub(in crate::tokenizer) struct O200k;

const KINDS: u8 = LETTER | NUMBER | SPACE;
const OTHER: u8 = 0;

impl Scanner for O200k {
    #[inline]
    fn word_end(text: &[u8], start: usize) -> usize {
        let first = text[start];
        let (class, length) = class_at(text, start);
        let kind = class & KINDS;
        let next = start + length;
        if kind == NUMBER {
            return digits_end::<3>(text, next);
        }
        let may_lead = kind != LETTER && !is_newline(first);
        if let Some(end) = cased_word_end(text, start, next, may_lead) {
            let is_apostrophe = end < text.len() && text[end] == b'\'';
            return end + if is_apostrophe { contraction(text, end, true) } else { 0 };
        }
        if kind == OTHER {
            return punctuation_end(text, next);
        }
        if first == b' ' && next < text.len() {
            let (class, length) = class_at(text, next);
            if class & KINDS == OTHER {
                return punctuation_end(text, next + length);
            }
        }
        spaces_end::<false>(text, start)
    }

    const CASED: bool = true;

    #[inline(always)]
    fn starts(block: &Block<'_>, certain: usize) -> Starts {
        let mut starts = word_starts::<3>(block, certain);
        let (upper, lower) = (block.masks.upper, block.masks.letters & !block.masks.upper);
        starts.mask |= upper & (lower << 1);
        // A slash behind a newline may belong to the punctuation before: rare, left to the other way.
        let doubtful = block.masks.slashes & (block.masks.newlines << 1);
        if doubtful != 0 {
            starts.certain = starts.certain.min(doubtful.trailing_zeros() as usize - 1);
        }
        join_contractions(block, &mut starts);
        starts
    }
}

/// Gives each contraction to the word that it follows.
#[inline(always)]
fn join_contractions(block: &Block<'_>, starts: &mut Starts) {
    let letters = block.masks.letters;
    let mut left = block.masks.apostrophes & (letters << 1) & (letters >> 1);
    let mut behind_last = 0;
    while left != 0 {
        let at = left.trailing_zeros() as usize;
        left &= left - 1;
        if at + 3 > block.known {
            starts.certain = starts.certain.min(at - 1);
            return;
        }
        // A word takes one contraction; an apostrophe behind it begins a word.
        let length =
            if at == behind_last { 0 } else { contraction(block.text, block.position + at, true) };
        if length > 0 {
            behind_last = at + length;
            starts.mask &= !(((1 << length) - 1) << at);
            if behind_last < BLOCK {
                starts.mask |= 1 << behind_last;
            }
        }
    }
}

/// Returns what the two alternatives for words match at `start`, without the contraction.
///
/// They are tried as a backtracking engine does: `U*L+` behind the leading character, then
/// without one, then `U+L*` in the same order.
#[inline]
fn cased_word_end(text: &[u8], start: usize, next: usize, may_lead: bool) -> Option<usize> {
    if !may_lead {
        let word = CasedRun::at(text, start);
        return word.ending_lower(text).or_else(|| word.ending_upper());
    }
    let led = CasedRun::at(text, next);
    led.ending_lower(text)
        // A leading mark is itself in both sets.
        .or_else(|| CasedRun::at(text, start).ending_lower(text))
        .or_else(|| led.ending_upper())
}

/// The longest run of `U` from some position on.
struct CasedRun {
    start: usize,
    end: usize,
    /// Behind the last character of the run that is in `L` too.
    last_lower_end: Option<usize>,
}

impl CasedRun {
    #[inline]
    fn at(text: &[u8], start: usize) -> Self {
        let mut run = Self { start, end: start, last_lower_end: None };
        while run.end < text.len() {
            let (class, length) = class_at(text, run.end);
            if class & UPPER == 0 {
                break;
            }
            run.end += length;
            if class & LOWER != 0 {
                run.last_lower_end = Some(run.end);
            }
        }
        run
    }

    /// `U*L+`: when nothing of `L` follows the run, it gives back characters until one is in `L`.
    #[inline]
    fn ending_lower(&self, text: &[u8]) -> Option<usize> {
        let end = run_end(text, self.end, |class| class & LOWER != 0);
        if end > self.end { Some(end) } else { self.last_lower_end }
    }

    /// `U+L*`, tried only where `U*L+` failed, so that no `L` follows.
    #[inline]
    fn ending_upper(&self) -> Option<usize> {
        (self.end > self.start).then_some(self.end)
    }
}

/// Returns the end of a run of other characters, and of the newlines and slashes behind it.
#[inline]
fn punctuation_end(text: &[u8], position: usize) -> usize {
    let end = run_end(text, position, |class| class & KINDS == OTHER);
    end + text[end..].iter().take_while(|&&byte| is_newline(byte) || byte == b'/').count()
}

#[cfg(test)]
mod tests {
    use super::super::words;
    use super::*;

    #[test]
    fn upper_case_begins_a_word_and_contractions_stay() {
        assert_eq!(words::<O200k>("HelloWorld's ABCdef"), ["Hello", "World's", " ABCdef"]);
        assert_eq!(words::<O200k>("IT'S it'x"), ["IT'S", " it", "'x"]);
    }

    #[test]
    fn upper_case_behind_uncased_letters_is_given_back() {
        assert_eq!(words::<O200k>("A中B"), ["A中", "B"]);
        assert_eq!(words::<O200k>("(\u{301}AB"), ["(\u{301}", "AB"]);
        assert_eq!(words::<O200k>("\u{301}AB"), ["\u{301}", "AB"]);
    }

    #[test]
    fn slashes_and_newlines_follow_punctuation() {
        assert_eq!(words::<O200k>("a ://\n/b"), ["a", " ://\n/", "b"]);
        assert_eq!(words::<O200k>("1234 \n x"), ["123", "4", " \n", " x"]);
    }
}
