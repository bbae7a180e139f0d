//! `SentencePiece` BPE with byte fallback: the merges run over characters, the white space among
//! them, and characters without a piece become their bytes.
//!
//! Inside, a space and `SentencePiece`'s U+2581 are one character: neither text nor pieces keep
//! both apart.

mod characters;
mod cuts;
mod extents;
mod joins;
mod load;
mod proto;
mod spaces;
mod store;

pub(super) use load::load;
#[cfg(test)]
pub(super) use load::tests::small_model;
use proto::Kind;

use super::added::{AddedTokens, Part};
use super::cache::{Cache, Ends, Model, Scratch};
use super::merges::{Merges, NONE};
use super::output::Output;
use super::unicode::decode;
use super::vocabulary::Vocabulary;
use characters::Characters;
use cuts::Parts;
use joins::Joins;

/// What `SentencePiece` writes for a space.
const META_SPACE: char = '\u{2581}';

/// A BPE model with what its normalizer does.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "settings of the file, and what follows from them"
)]
pub(super) struct SentencePiece {
    /// Pieces as the file spells them.
    vocabulary: Vocabulary,
    kinds: Vec<Kind>,
    merges: Merges,
    characters: Characters,
    joins: Joins,
    /// Whether the spaces before a word are encoded apart from it ([`spaces`]).
    parts_spaces: bool,
    /// The id of each ASCII character, of its byte if it is no piece; `NONE` for a space that is
    /// none, which has three bytes.
    ascii_ids: [u32; 128],
    byte_ids: [u32; 256],
    /// User-defined pieces, which are found before anything merges.
    user_defined: AddedTokens,
    adds_dummy_prefix: bool,
    removes_extra_spaces: bool,
    /// Whether the text must be written anew ([`SentencePiece::normalize`]) before it is encoded.
    rewrites_text: bool,
    unknown_surface: String,
}

/// The parts of a text on their way through the cache.
struct Run<'a, 'o> {
    model: &'a SentencePiece,
    text: &'a [u8],
    cache: &'a mut Cache,
    output: &'a mut Output<'o>,
    /// Where the parts end that wait to be looked up together, of which the first begins at `first`.
    ends: Ends,
    first: usize,
    /// Where the next part begins.
    start: usize,
}

impl Run<'_, '_> {
    fn flush(&mut self) {
        let Self { model, text, first, .. } = *self;
        self.cache.encode_words(model, text, first, &mut self.ends, self.output.ids);
        self.output.hand_on();
        self.first = self.start;
    }
}

impl Parts for Run<'_, '_> {
    #[inline]
    fn part(&mut self, end: usize) {
        let part = &self.text[self.start..end];
        if let Some(run) = spaces::run_before_word(part).filter(|_| self.model.parts_spaces) {
            self.flush();
            self.model.encode_spaces(part, run, self.cache, self.output.ids);
            (self.start, self.first) = (end, end);
            return;
        }
        self.start = end;
        self.ends.push(end);
        if self.ends.is_full() {
            self.flush();
        }
    }

    #[inline]
    fn block(&mut self, first: usize, mut ends: u64, spaces: bool) {
        if spaces || matches!(self.text[self.start..], [b' ', b' ', ..]) {
            while ends != 0 {
                self.part(first + ends.trailing_zeros() as usize);
                ends &= ends - 1;
            }
        } else if ends != 0 {
            self.start = self.ends.push_bits(first, ends);
            if self.ends.is_full() {
                self.flush();
            }
        }
    }
}

impl Model for SentencePiece {
    fn encode_word(&self, word: &[u8], scratch: &mut Scratch, ids: &mut Vec<u32>) {
        let merger = &mut scratch.merger;
        let symbols = merger.start();
        let mut at = 0;
        while at < word.len() {
            // Pieces of bytes are in no merge, so they may stand among the others.
            at += self.push_character(word, at, symbols);
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
        output: &mut Output<'_>,
    ) {
        if self.rewrites_text {
            self.normalize(text, buffer);
            self.user_defined.parts(buffer, true, |part| match part {
                Part::Token(id) => output.ids.push(id),
                Part::Text(text) => self.encode_parts(text.as_bytes(), cache, output),
            });
            return;
        }
        let mut lacks_prefix = self.adds_dummy_prefix;
        self.user_defined.parts(text, true, |part| {
            let lacked_prefix = std::mem::take(&mut lacks_prefix);
            let text = match part {
                Part::Text(text) if lacked_prefix => {
                    self.encode_prefix(text, buffer, cache, output)
                }
                Part::Text(text) => text,
                Part::Token(id) => {
                    if lacked_prefix {
                        self.encode_prefix("", buffer, cache, output);
                    }
                    return output.ids.push(id);
                }
            };
            self.encode_parts(text.as_bytes(), cache, output);
        });
    }

    /// Encodes the space that the model sees before `text`, and the part of it that is encoded
    /// with the space; returns the rest.
    fn encode_prefix<'t>(
        &self,
        text: &'t str,
        buffer: &mut String,
        cache: &mut Cache,
        output: &mut Output<'_>,
    ) -> &'t str {
        let end = cuts::end_behind_space(&self.joins, text.as_bytes());
        buffer.clear();
        buffer.push(' ');
        buffer.push_str(&text[..end]);
        cache.encode(self, buffer.as_bytes(), output.ids);
        &text[end..]
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
        for (at, found) in text.match_indices(META_SPACE) {
            self.push_without_extra_spaces(&text[start..at], buffer);
            buffer.push(' ');
            start = at + found.len();
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

    fn encode_parts(&self, text: &[u8], cache: &mut Cache, output: &mut Output<'_>) {
        let mut run =
            Run { model: self, text, cache, output, ends: Ends::new(), first: 0, start: 0 };
        cuts::give_parts(&self.joins, text, &mut run);
        run.flush();
    }

    /// Encodes a part that begins with `run` spaces, two or more, and a word behind them.
    fn encode_spaces(&self, part: &[u8], run: usize, cache: &mut Cache, ids: &mut Vec<u32>) {
        let before = ids.len();
        cache.encode(self, &part[..run - 1], ids);
        let behind = ids.len();
        cache.encode(self, &part[run - 1..], ids);
        if ids.get(behind) == Some(&self.ascii_ids[usize::from(b' ')]) {
            // The last space has not joined the word, so it belongs to the run.
            let rest = ids.split_off(behind + 1);
            ids.truncate(before);
            cache.encode(self, &part[..run], ids);
            ids.extend(rest);
        }
    }

    /// Appends the id of the character at `at`, those of its bytes if it is no piece; returns how
    /// many bytes it has.
    #[inline]
    fn push_character(&self, text: &[u8], at: usize, ids: &mut Vec<u32>) -> usize {
        let id = self.ascii_ids.get(usize::from(text[at])).copied().unwrap_or(NONE);
        if id != NONE {
            ids.push(id);
            return 1;
        }
        let (code_point, length) = decode(text, at);
        if let Some(id) = self.characters.id(code_point) {
            ids.push(id);
        } else if text[at] == b' ' {
            let mut buffer = [0; 3];
            self.push_bytes(META_SPACE.encode_utf8(&mut buffer).as_bytes(), ids);
        } else {
            self.push_bytes(&text[at..at + length], ids);
        }
        length
    }

    fn push_bytes(&self, bytes: &[u8], ids: &mut Vec<u32>) {
        ids.extend(bytes.iter().map(|&byte| self.byte_ids[usize::from(byte)]));
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

/// Appends bytes as text, with one U+FFFD for each byte that is not part of a character.
fn push_bytes(bytes: &[u8], text: &mut String) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
}
