//! `SentencePiece` BPE with byte fallback: the merges run over characters, the white space among
//! them, and characters without a piece become their bytes.
//!
//! Inside, a space stands for `SentencePiece`'s U+2581: neither text nor pieces keep both apart.

mod load;
mod proto;
mod store;

pub(super) use load::load;
#[cfg(test)]
pub(super) use load::tests::small_model;
use proto::Kind;

use super::added::{AddedTokens, Part};
use super::cache::{Cache, Model};
use super::merger::Merger;
use super::merges::Merges;
use super::vocabulary::Vocabulary;

/// What `SentencePiece` writes for a space.
const META_SPACE: &str = "\u{2581}";

/// A BPE model with what its normalizer does.
#[derive(Debug)]
pub(super) struct SentencePiece {
    /// Pieces as the file spells them.
    vocabulary: Vocabulary,
    kinds: Vec<Kind>,
    merges: Merges,
    /// One more than the id of a character's piece, by code point; 0 without one.
    characters: Vec<u32>,
    byte_ids: [u32; 256],
    /// User-defined pieces, which are found before anything merges.
    user_defined: AddedTokens,
    adds_dummy_prefix: bool,
    removes_extra_spaces: bool,
    /// Whether no piece has a space behind another character, so that words can be cut there.
    cuts_at_spaces: bool,
    unknown_surface: String,
}

impl Model for SentencePiece {
    fn encode_word(&self, word: &[u8], merger: &mut Merger, ids: &mut Vec<u32>) {
        // Words are cut at spaces and at user-defined pieces, so this is UTF-8 as the text was.
        let word = std::str::from_utf8(word).unwrap_or_default();
        merger.start();
        for c in word.chars() {
            match self.characters[c as usize] {
                0 => {
                    merger.merge(&self.merges, ids);
                    let mut buffer = [0; 4];
                    let bytes = c.encode_utf8(&mut buffer).bytes();
                    ids.extend(bytes.map(|byte| self.byte_ids[usize::from(byte)]));
                    merger.start();
                }
                symbol => merger.push(symbol - 1),
            }
        }
        merger.merge(&self.merges, ids);
    }
}

impl SentencePiece {
    pub(super) fn encode(
        &self,
        text: &str,
        buffer: &mut String,
        cache: &mut Cache,
        ids: &mut Vec<u32>,
    ) {
        self.normalize(text, buffer);
        self.user_defined.parts(buffer, true, |part| match part {
            Part::Token(id) => ids.push(id),
            Part::Text(text) => self.encode_words(text.as_bytes(), cache, ids),
        });
    }

    /// Writes `text` as the model sees it, with spaces for U+2581, into `buffer`.
    fn normalize(&self, text: &str, buffer: &mut String) {
        buffer.clear();
        let text = if self.removes_extra_spaces { text.trim_start_matches(' ') } else { text };
        if text.is_empty() {
            return;
        }
        buffer.reserve(text.len() + 1);
        if self.adds_dummy_prefix {
            buffer.push(' ');
        }
        let mut start = 0;
        for at in memchr::memmem::find_iter(text.as_bytes(), META_SPACE) {
            self.push_without_extra_spaces(&text[start..at], buffer);
            buffer.push(' ');
            start = at + META_SPACE.len();
        }
        self.push_without_extra_spaces(&text[start..], buffer);
        if self.removes_extra_spaces {
            buffer.truncate(buffer.trim_end_matches(' ').len());
        }
    }

    /// Appends `text`, runs of spaces as one if the model wants that; U+2581 does not count as one.
    fn push_without_extra_spaces(&self, text: &str, buffer: &mut String) {
        if !self.removes_extra_spaces {
            buffer.push_str(text);
            return;
        }
        let mut was_space = false;
        for c in text.chars() {
            if !(was_space && c == ' ') {
                buffer.push(c);
            }
            was_space = c == ' ';
        }
    }

    fn encode_words(&self, text: &[u8], cache: &mut Cache, ids: &mut Vec<u32>) {
        let mut start = 0;
        while start < text.len() {
            let end = if self.cuts_at_spaces { word_end(text, start) } else { text.len() };
            cache.encode(self, text, start, end, ids);
            start = end;
        }
    }

    /// Returns the text of `ids` as `SentencePiece` decodes it.
    ///
    /// Control pieces have none, an unknown piece has the surface the file names, bytes that are
    /// no UTF-8 become U+FFFD one by one, and the space that was put in front is taken away.
    pub(super) fn decode(&self, ids: &[u32]) -> String {
        let mut text = String::new();
        let mut is_start = true;
        for run in
            ids.chunk_by(|&left, &right| self.byte(left).is_some() == self.byte(right).is_some())
        {
            let bytes: Vec<u8> = run.iter().filter_map(|&id| self.byte(id)).collect();
            if bytes.is_empty() {
                for &id in run {
                    self.push_piece(id, &mut text, &mut is_start);
                }
            } else {
                push_bytes(&bytes, &mut text);
                is_start = false;
            }
        }
        text
    }

    fn byte(&self, id: u32) -> Option<u8> {
        if self.kind(id) != Some(Kind::Byte) {
            return None;
        }
        self.byte_ids.iter().position(|&byte_id| byte_id == id)?.try_into().ok()
    }

    fn push_piece(&self, id: u32, text: &mut String, is_start: &mut bool) {
        let Some(piece) = self.id_to_token(id) else { return };
        match self.kind(id) {
            Some(Kind::Control) | None => {}
            Some(Kind::Unknown) => {
                text.push_str(&self.unknown_surface);
                *is_start = false;
            }
            Some(_) => {
                let mut piece = piece.as_str();
                let mut stays_at_start = false;
                if *is_start && (self.adds_dummy_prefix || self.removes_extra_spaces) {
                    let stripped = piece.strip_prefix(META_SPACE);
                    stays_at_start = stripped.is_some() && self.removes_extra_spaces;
                    piece = stripped.unwrap_or(piece);
                }
                text.push_str(&piece.replace(META_SPACE, " "));
                *is_start = stays_at_start && text.is_empty();
            }
        }
    }

    fn kind(&self, id: u32) -> Option<Kind> {
        self.kinds.get(id as usize).copied()
    }

    pub(super) fn num_ids(&self) -> u32 {
        self.vocabulary.num_ids()
    }

    pub(super) fn token_to_id(&self, token: &str) -> Option<u32> {
        self.vocabulary.id(token.as_bytes())
    }

    pub(super) fn id_to_token(&self, id: u32) -> Option<String> {
        self.vocabulary.token(id).map(|piece| String::from_utf8_lossy(piece).into_owned())
    }

    /// Returns the control pieces and the unknown piece, with their ids.
    pub(super) fn special_tokens(&self) -> Vec<(String, u32)> {
        (0..self.num_ids())
            .filter(|&id| matches!(self.kind(id), Some(Kind::Control | Kind::Unknown)))
            .filter_map(|id| Some((self.id_to_token(id)?, id)))
            .collect()
    }
}

/// Returns the end of the word at `start`: spaces, then all up to the next space.
#[inline]
fn word_end(text: &[u8], start: usize) -> usize {
    let spaces = text[start..].iter().take_while(|&&byte| byte == b' ').count();
    let rest = &text[start + spaces..];
    start + spaces + rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len())
}

/// Appends bytes as text, with one U+FFFD for each byte that is not part of a character.
fn push_bytes(bytes: &[u8], text: &mut String) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
}
