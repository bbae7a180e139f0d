//! Pre-tokenizers: where a text is cut into the words that merges may not cross.
//!
//! Each known pattern is a function written by hand, since a backtracking regex engine costs
//! twenty times as much as all the rest. None of these patterns looks behind, so a scan can begin
//! at any word and carries no state.

mod blocks;
mod gpt2;
mod llama3;
mod masks;
mod o200k;

use blocks::{Block, Starts};
pub(super) use gpt2::Gpt2;
pub(super) use llama3::{Cl100k, Llama3, Qwen2};
pub(super) use o200k::O200k;

use super::cache::Ends;
use super::unicode::class_at;
use crate::simd::{self, Level};

/// A rule that cuts a text into words, without leaving anything out.
pub(super) trait Scanner {
    /// Returns where the word ends that starts at `start`, a word start below `text.len()`.
    ///
    /// `text` is UTF-8; the end of `text` is the end of the text the pattern sees.
    fn word_end(text: &[u8], start: usize) -> usize;

    /// Whether [`Scanner::starts`] needs the masks of upper case and of slashes.
    const CASED: bool = false;

    /// Returns where words start in a block of 64 bytes of which more than a few are ASCII.
    ///
    /// The first `certain` of its bytes do not depend on what the block does not show, unless
    /// white space goes on beyond them.
    fn starts(block: &Block<'_>, certain: usize) -> Starts;
}

/// Finds the words of `text` from `start` on until there are enough; returns where the last ends.
#[allow(unsafe_code)]
pub(super) fn find_words<S: Scanner>(text: &[u8], mut start: usize, ends: &mut Ends) -> usize {
    match simd::here() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has what is needed.
        Level::Avx512 => unsafe { blocks::find_words_avx512::<S>(text, start, ends) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx2 => unsafe { blocks::find_words_avx2::<S>(text, start, ends) },
        _ => {
            while start < text.len() && !ends.is_full() {
                start = S::word_end(text, start);
                ends.push(start);
            }
            start
        }
    }
}

/// The patterns that have a scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Gpt2,
    Llama3,
    Qwen2,
    Cl100k,
    O200k,
}

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl Pattern {
    /// Recognises the pattern of a `Split` pre-tokenizer, by its exact spelling.
    ///
    /// The spelling that `tiktoken` publishes for cl100k is left out on purpose: Oniguruma reads
    /// its `{1,3}+` as repeated repetition, so in a `tokenizer.json` it means something else.
    pub(super) fn recognise(regex: &str) -> Option<Self> {
        match regex {
            LLAMA3 => Some(Self::Llama3),
            QWEN2 => Some(Self::Qwen2),
            O200K => Some(Self::O200k),
            _ => None,
        }
    }

    /// Returns the pattern of a [`Pattern::name`].
    pub(super) fn named(name: &str) -> Option<Self> {
        let all = [Self::Gpt2, Self::Llama3, Self::Qwen2, Self::Cl100k, Self::O200k];
        all.into_iter().find(|pattern| pattern.name() == name)
    }

    /// Returns the name by which messages call the pattern.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gpt2 => "gpt2",
            Self::Llama3 => "llama3",
            Self::Qwen2 => "qwen2",
            Self::Cl100k => "cl100k",
            Self::O200k => "o200k",
        }
    }
}

/// Returns the end of the run of characters from `position` on for which `belongs` holds.
#[inline]
fn run_end(text: &[u8], mut position: usize, belongs: impl Fn(u8) -> bool) -> usize {
    while position < text.len() {
        let (class, length) = class_at(text, position);
        if !belongs(class) {
            break;
        }
        position += length;
    }
    position
}

/// Returns the length of the English contraction whose apostrophe is at `position`, or 0.
///
/// Without case, U+017F is a third spelling of `s`, as both regex engines fold it.
#[inline]
fn contraction(text: &[u8], position: usize, ignores_case: bool) -> usize {
    let fold = |byte: u8| if ignores_case { byte.to_ascii_lowercase() } else { byte };
    match text[position + 1..] {
        [0xC5, 0xBF, ..] if ignores_case => 3,
        [first, ref rest @ ..] => match (fold(first), rest.first().map(|&second| fold(second))) {
            (b's' | b't' | b'm' | b'd', _) => 2,
            (b'r' | b'v', Some(b'e')) | (b'l', Some(b'l')) => 3,
            _ => 0,
        },
        [] => 0,
    }
}

#[cfg(test)]
pub(super) fn words<S: Scanner>(text: &str) -> Vec<&str> {
    let mut start = 0;
    let mut words = Vec::new();
    while start < text.len() {
        let end = S::word_end(text.as_bytes(), start);
        words.push(&text[start..end]);
        start = end;
    }
    words
}
