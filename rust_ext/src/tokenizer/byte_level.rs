//! Byte-level BPE: words are merged from their bytes, every text has ids.

mod extents;

use std::borrow::Cow;

use super::added::{AddedTokens, Part};
use super::cache::{Cache, Ends, Model, Scratch};
use super::merger::Merger;
use super::merges::Merges;
use super::normalize::nfc;
use super::output::Output;
use super::pieces::Boundaries;
use super::scan::{Cl100k, Gpt2, Llama3, O200k, Pattern, Qwen2, Scanner, find_words};
use super::stored::{SectionReader, Sections, Stored};
use super::vocabulary::Vocabulary;
use super::word::{ByteSymbols, Bytes};

/// How a vocabulary file spells the bytes of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// One printable character for each byte (`Alphabet`), as in `tokenizer.json`.
    Alphabet,
    /// The bytes themselves, as in tiktoken's files.
    Bytes,
}

/// A byte-level BPE model with all that happens to a text before it.
#[derive(Debug)]
pub(super) struct ByteLevel {
    pub(super) vocabulary: Vocabulary,
    pub(super) merges: Merges,
    pub(super) byte_symbols: ByteSymbols,
    /// Where words can be cut before they are merged: pays only if ids of pieces are remembered.
    pub(super) boundaries: Boundaries,
    /// A word that is a token is that token, whatever the merges would make of it.
    pub(super) prefers_whole_words: bool,
    pub(super) pattern: Pattern,
    pub(super) adds_prefix_space: bool,
    pub(super) normalizes_nfc: bool,
    /// Looked for in the text as it comes.
    pub(super) added: AddedTokens,
    /// Looked for between those, after normalization.
    pub(super) added_normalized: AddedTokens,
    pub(super) spelling: Spelling,
}

impl Model for ByteLevel {
    fn encode_word(&self, word: &[u8], scratch: &mut Scratch, ids: &mut Vec<u32>) {
        if self.prefers_whole_words
            && let Some(id) = self.vocabulary.id(word)
        {
            ids.push(id);
        } else if word.is_ascii() {
            self.merge(word, &mut scratch.merger, ids);
        } else {
            for piece in self.boundaries.pieces(word) {
                scratch.encode_piece(piece, ids, |merger, ids| self.merge(piece, merger, ids));
            }
        }
    }
}

impl ByteLevel {
    fn merge(&self, bytes: &[u8], merger: &mut Merger, ids: &mut Vec<u32>) {
        let word = Bytes { bytes, symbols: &self.byte_symbols };
        merger.merge_word(&word, &self.merges, ids);
    }

    pub(super) fn encode(
        &self,
        text: &str,
        parse_special: bool,
        cache: &mut Cache,
        output: &mut Output<'_>,
    ) {
        self.added.parts(text, parse_special, |part| match part {
            Part::Token(id) => output.ids.push(id),
            Part::Text(text) => {
                let text = if self.normalizes_nfc { nfc(text) } else { Cow::Borrowed(text) };
                self.added_normalized.parts(&text, parse_special, |part| match part {
                    Part::Token(id) => output.ids.push(id),
                    Part::Text(text) => self.encode_plain(text, cache, output),
                });
            }
        });
    }

    /// Encodes what lies between added tokens.
    fn encode_plain(&self, text: &str, cache: &mut Cache, output: &mut Output<'_>) {
        let text = if self.puts_space_before(text) {
            Cow::Owned(format!(" {text}"))
        } else {
            Cow::Borrowed(text)
        };
        let text = text.as_bytes();
        match self.pattern {
            Pattern::Gpt2 => self.encode_words::<Gpt2>(text, cache, output),
            Pattern::Llama3 => self.encode_words::<Llama3>(text, cache, output),
            Pattern::Qwen2 => self.encode_words::<Qwen2>(text, cache, output),
            Pattern::Cl100k => self.encode_words::<Cl100k>(text, cache, output),
            Pattern::O200k => self.encode_words::<O200k>(text, cache, output),
        }
    }

    /// Returns whether the pre-tokenizer puts a space in front of what lies between added tokens.
    fn puts_space_before(&self, text: &str) -> bool {
        self.adds_prefix_space && !text.starts_with(' ')
    }

    fn encode_words<S: Scanner>(&self, text: &[u8], cache: &mut Cache, output: &mut Output<'_>) {
        let (mut start, mut ends) = (0, Ends::new());
        while start < text.len() {
            let first = start;
            start = find_words::<S>(text, start, &mut ends);
            cache.encode_words(self, text, first, &mut ends, output.ids);
            output.hand_on();
        }
    }

    /// Returns the id of a token of the model, spelled as its file spells it.
    pub(super) fn token_to_id(&self, token: &str) -> Option<u32> {
        match self.spelling {
            Spelling::Alphabet => self.vocabulary.id(&Alphabet::new().bytes(token)?),
            Spelling::Bytes => self.vocabulary.id(token.as_bytes()),
        }
    }

    /// Returns a token of the model as its file spells it; invalid UTF-8 becomes U+FFFD.
    pub(super) fn id_to_token(&self, id: u32) -> Option<String> {
        let bytes = self.vocabulary.token(id)?;
        Some(match self.spelling {
            Spelling::Alphabet => bytes.iter().map(|&byte| Alphabet::character(byte)).collect(),
            Spelling::Bytes => String::from_utf8_lossy(bytes).into_owned(),
        })
    }
}

impl ByteLevel {
    /// Returns the ids of the added tokens that are looked for.
    pub(super) fn added_ids(&self) -> impl Iterator<Item = u32> {
        self.added.ids().chain(self.added_normalized.ids())
    }

    fn flags(&self) -> [bool; 4] {
        let spells_bytes = self.spelling == Spelling::Bytes;
        [self.prefers_whole_words, self.adds_prefix_space, self.normalizes_nfc, spells_bytes]
    }
}

impl Stored for ByteLevel {
    fn store(&self, sections: &mut Sections) {
        self.vocabulary.store(sections);
        self.merges.store(sections);
        sections.put(self.byte_symbols.ids().iter().copied());
        self.boundaries.store(sections);
        sections.put(self.flags().map(u8::from).into_iter());
        sections.put_bytes(self.pattern.name().as_bytes());
        self.added.store(sections);
        self.added_normalized.store(sections);
    }

    fn restore(sections: &mut SectionReader<'_>) -> Option<Self> {
        let (vocabulary, merges) = (Vocabulary::restore(sections)?, Merges::restore(sections)?);
        let byte_ids: [u32; 256] = sections.take_array()?;
        let num_ids = vocabulary.num_ids();
        let is_sound = merges.symbols_are_below(num_ids) && byte_ids.iter().all(|&id| id < num_ids);
        is_sound.then_some(())?;
        let boundaries = Stored::restore(sections)?;
        let [prefers_whole_words, adds_prefix_space, normalizes_nfc, spells_bytes] =
            sections.take_flags()?;
        Some(Self {
            vocabulary,
            byte_symbols: ByteSymbols::new(&byte_ids, &merges),
            merges,
            boundaries,
            prefers_whole_words,
            pattern: Pattern::named(sections.take_text()?)?,
            adds_prefix_space,
            normalizes_nfc,
            added: Stored::restore(sections)?,
            added_normalized: Stored::restore(sections)?,
            spelling: if spells_bytes { Spelling::Bytes } else { Spelling::Alphabet },
        })
    }
}

/// The byte-level alphabet: printable Latin-1 stands for itself, the other 68 bytes, in order, for
/// the characters from U+0100 on. Source: the encoder of GPT-2 (2019).
pub(super) struct Alphabet {
    byte_of: [Option<u8>; 0x144],
}

impl Alphabet {
    pub(super) fn new() -> Self {
        let mut byte_of = [None; 0x144];
        for byte in 0..=255 {
            byte_of[Self::character(byte) as usize] = Some(byte);
        }
        Self { byte_of }
    }

    pub(super) fn character(byte: u8) -> char {
        let code_point = match byte {
            0..=32 => 0x100 + u32::from(byte),
            127..=160 => 0x100 + 33 + u32::from(byte - 127),
            173 => 0x100 + 67,
            _ => u32::from(byte),
        };
        char::from_u32(code_point).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// Returns the bytes that `token` spells, unless a character is not of the alphabet.
    pub(super) fn bytes(&self, token: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(token.len());
        self.append(token, &mut bytes)?;
        Some(bytes)
    }

    /// Appends the bytes that `token` spells; at a character not of the alphabet, it stops.
    pub(super) fn append(&self, token: &str, bytes: &mut Vec<u8>) -> Option<()> {
        for c in token.chars() {
            bytes.push(self.byte_of.get(c as usize).copied().flatten()?);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_spells_every_byte_once() {
        let all: String = (0..=255).map(Alphabet::character).collect();
        assert_eq!(Alphabet::new().bytes(&all), Some((0..=255).collect()));
        assert_eq!(Alphabet::new().bytes("ĠaĊ"), Some(b" a\n".to_vec()));
        assert_eq!(Alphabet::new().bytes("a b"), None);
    }
}
