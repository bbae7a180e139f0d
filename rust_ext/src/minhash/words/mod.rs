//! A text as the hashes of its words.
//!
//! A *word* is a longest run of characters that are alphabetic or numeric by Unicode
//! (`char::is_alphanumeric`) or the low line. But a character of a script that puts no spaces
//! between words (Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar, Tibetan) is a word of its
//! own, or texts would be alike only where whole clauses are. Each character is lower-cased on its
//! own, with its full Unicode mapping. What stands between the words does not count.

mod characters;
mod hash;

use characters::{ALONE, OTHER, RESIZED};
use hash::WordHasher;

/// Cuts texts into words; its buffers serve one text after another.
#[derive(Clone, Debug, Default)]
pub struct Scanner {}

impl Scanner {
    /// Makes a scanner.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the hash of every word of `text`, in order, repetitions included; none is 0.
    ///
    /// Takes no memory in proportion to the text but that of the hashes.
    pub fn scan(&mut self, text: &str, words: &mut Vec<u32>) {
        let mut word = WordHasher::default();
        let mut is_inside = false;
        for character in text.chars() {
            let class = characters::class(u32::from(character));
            if is_inside && (class == OTHER || class == ALONE) {
                words.push(word.take());
            }
            is_inside = class != OTHER && class != ALONE;
            match class {
                OTHER => {}
                RESIZED.. => character.to_lowercase().for_each(|lower| word.push(lower)),
                _ => word.push(character),
            }
            if class == ALONE {
                words.push(word.take());
            }
        }
        if is_inside {
            words.push(word.take());
        }
    }
}
