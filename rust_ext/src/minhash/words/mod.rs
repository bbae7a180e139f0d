//! A text as the hashes of its words.
//!
//! A *word* is a longest run of characters that are alphabetic or numeric by Unicode
//! (`char::is_alphanumeric`) or the low line. But a character of a script that puts no spaces
//! between words (Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar, Tibetan) is a word of its
//! own, or texts would be alike only where whole clauses are. Each character is lower-cased on its
//! own, with its full Unicode mapping. What stands between the words does not count.
//!
//! A text is seen in windows that begin where a word begins or where none is, so nothing is
//! carried from one to the next, and how a text is cut never shows in its words. Within a window,
//! 64 bytes at a time give masks of the bytes of words, and these, by bit algebra, where words
//! begin and end ([`window`]).

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod characters;
mod hash;
mod masks;
#[cfg(test)]
mod tests;
mod window;

use characters::{ALONE, OTHER};
use hash::WordHasher;
use window::Window;

use crate::simd::{self, Level};

/// Cuts texts into words; its buffers serve one text after another.
#[derive(Clone, Debug)]
pub struct Scanner {
    window: Window,
    level: Level,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// Makes a scanner.
    #[must_use]
    pub fn new() -> Self {
        Self::with(simd::here())
    }

    /// Makes a scanner for a level that the machine has.
    fn with(level: Level) -> Self {
        Self { window: Window::new(), level }
    }

    /// Appends the hash of every word of `text`, in order, repetitions included; none is 0.
    ///
    /// Takes no memory in proportion to the text but that of the hashes.
    pub fn scan(&mut self, text: &str, words: &mut Vec<u32>) {
        let mut rest = text;
        while !rest.is_empty() {
            let used = match self.window.scan(rest, self.level, words) {
                0 => long_word(rest, words),
                used => used,
            };
            rest = &rest[used..];
        }
    }
}

/// Appends the hash of the word that `text` begins with, character by character; returns its
/// length in bytes.
fn long_word(text: &str, words: &mut Vec<u32>) -> usize {
    let is_inside = |character: char| !matches!(characters::class(character.into()), OTHER | ALONE);
    let length = text.find(|character| !is_inside(character)).unwrap_or(text.len());
    let mut word = WordHasher::default();
    text[..length].chars().flat_map(char::to_lowercase).for_each(|lower| word.push(lower));
    words.push(word.take());
    length
}
