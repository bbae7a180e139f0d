//! Ids of words seen before: most words of a text are, and looking them up costs a tenth of merging.
//!
//! Words of up to 15 and of up to 31 bytes lie in tables whose slots hold the word and its ids
//! ([`slots`]); longer ones in an arena ([`long`]). Only time depends on what is found: words are
//! compared in full. [`words`] looks up many at a time.

mod key;
mod long;
mod packed;
mod slots;
mod table;
mod words;

use words::Batch;
pub(super) use words::Ends;

use self::key::{MIDDLE_BYTES, SHORT_BYTES};
use self::long::{LONGEST, LongWords};
use self::slots::{Elsewhere, Found, Slots};
use super::merger::Merger;

/// How a word becomes ids when no cache holds it.
pub(super) trait Model {
    /// Appends the ids of `word`, a part of a text that is whole for merging.
    fn encode_word(&self, word: &[u8], scratch: &mut Scratch, ids: &mut Vec<u32>);
}

/// What making the ids of a word needs: a merger, and the pieces of words seen before.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) merger: Merger,
    pieces: Slots<2, 4>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { merger: Merger::default(), pieces: Slots::new(PIECE_SLOTS, key::hash_short) }
    }
}

impl Scratch {
    /// Appends the ids of a piece of a word, by `merge` if it is not known.
    ///
    /// Pieces are apart from words, since a word may be a token that its bytes do not merge to.
    #[inline]
    pub(super) fn encode_piece(
        &mut self,
        piece: &[u8],
        ids: &mut Vec<u32>,
        merge: impl FnOnce(&mut Merger, &mut Vec<u32>),
    ) {
        if piece.len() > SHORT_BYTES {
            return merge(&mut self.merger, ids);
        }
        let key = key::short(piece, 0, piece.len());
        if let Found::Nothing = self.pieces.find(key, ids) {
            let before = ids.len();
            merge(&mut self.merger, ids);
            // One with too many ids is made again each time.
            self.pieces.keep(key, &ids[before..]);
        }
    }
}

/// Slots of 32 bytes for words of up to 15 bytes that the table grows to: 64 MiB. Web text of
/// 300 MB has 0.7 million such words.
const SHORT_SLOTS: usize = 1 << 21;
/// Slots of 64 bytes for words of up to 31 bytes that the table grows to: 32 MiB, for 0.2 million.
const MIDDLE_SLOTS: usize = 1 << 19;
/// Slots for the pieces of words: 4 MiB.
const PIECE_SLOTS: usize = 1 << 17;
/// Ids of words that have too many for a slot; beyond this number all are forgotten.
const ARENA: usize = 2 << 20;

/// A cache that belongs to one thread and one model.
#[derive(Debug)]
pub(super) struct Cache {
    short: Slots<2, 4>,
    middle: Slots<4, 8>,
    long: LongWords,
    ids: Vec<u32>,
    batch: Box<Batch>,
    scratch: Scratch,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            short: Slots::new(SHORT_SLOTS, key::hash_short),
            middle: Slots::new(MIDDLE_SLOTS, key::hash_middle),
            long: LongWords::new(),
            ids: Vec::new(),
            batch: Box::new(Batch::new()),
            scratch: Scratch::default(),
        }
    }

    /// Appends the ids of a word, which is not empty.
    #[inline(never)]
    pub(super) fn encode<M: Model>(&mut self, model: &M, word: &[u8], out: &mut Vec<u32>) {
        if word.len() <= SHORT_BYTES {
            self.encode_short(model, word, out);
        } else if word.len() <= MIDDLE_BYTES {
            self.encode_middle(model, word, out);
        } else if word.len() <= LONGEST {
            self.encode_long(model, word, out);
        } else {
            model.encode_word(word, &mut self.scratch, out);
        }
    }

    fn encode_short<M: Model>(&mut self, model: &M, word: &[u8], out: &mut Vec<u32>) {
        let key = key::short(word, 0, word.len());
        let found = self.short.find(key, out);
        if self.append(found, out) {
            return;
        }
        let before = out.len();
        model.encode_word(word, &mut self.scratch, out);
        if !self.short.keep(key, &out[before..]) {
            let place = self.keep_ids(&out[before..]);
            self.short.keep_elsewhere(key, place);
        }
    }

    fn encode_middle<M: Model>(&mut self, model: &M, word: &[u8], out: &mut Vec<u32>) {
        let key = key::middle(word);
        let found = self.middle.find(key, out);
        if self.append(found, out) {
            return;
        }
        let before = out.len();
        model.encode_word(word, &mut self.scratch, out);
        if !self.middle.keep(key, &out[before..]) {
            let place = self.keep_ids(&out[before..]);
            self.middle.keep_elsewhere(key, place);
        }
    }

    fn encode_long<M: Model>(&mut self, model: &M, word: &[u8], out: &mut Vec<u32>) {
        if let Some(ids) = self.long.find(word) {
            out.extend_from_slice(ids);
            return;
        }
        let before = out.len();
        model.encode_word(word, &mut self.scratch, out);
        self.long.keep(word, &out[before..]);
    }

    /// Appends what was found; false for nothing.
    fn append(&self, found: Found, out: &mut Vec<u32>) -> bool {
        match found {
            Found::Appended => true,
            Found::Elsewhere(Elsewhere { start, count }) => {
                out.extend_from_slice(&self.ids[start..start + count]);
                true
            }
            Found::Nothing => false,
        }
    }

    fn keep_ids(&mut self, ids: &[u32]) -> Elsewhere {
        if self.ids.len() + ids.len() > ARENA {
            self.ids.clear();
            self.short.forget_elsewhere();
            self.middle.forget_elsewhere();
        }
        let place = Elsewhere { start: self.ids.len(), count: ids.len() };
        self.ids.extend_from_slice(ids);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives each byte as an id, in words that begin with 1 an id that no slot can hold.
    struct Bytes;

    impl Model for Bytes {
        fn encode_word(&self, word: &[u8], _: &mut Scratch, ids: &mut Vec<u32>) {
            let offset = if word[0] == 1 { 1 << 30 } else { 0 };
            ids.extend(word.iter().map(|&byte| offset + u32::from(byte)));
        }
    }

    fn expected(word: &[u8]) -> Vec<u32> {
        let mut ids = Vec::new();
        Bytes.encode_word(word, &mut Scratch::default(), &mut ids);
        ids
    }

    /// Encodes pieces of `text` of all lengths up to `longest`, one behind the other.
    fn encode_all(
        cache: &mut Cache,
        text: &[u8],
        longest: usize,
        encode: impl Fn(&mut Cache, usize, &mut Ends, &mut Vec<u32>),
    ) {
        let (mut out, mut ends, mut all) = (Vec::new(), Ends::new(), Vec::new());
        let (mut start, mut end) = (0, 0);
        for length in (0..).map(|number| 1 + number * 7 % longest) {
            if end + length > text.len() {
                break;
            }
            all.extend(expected(&text[end..end + length]));
            end += length;
            ends.push(end);
            if ends.is_full() {
                encode(cache, start, &mut ends, &mut out);
                start = end;
            }
        }
        encode(cache, start, &mut ends, &mut out);
        assert_eq!(out, all);
        assert!(out.len() + longest > text.len());
    }

    #[test]
    fn words_of_any_length_come_out_the_same_again_and_after_a_flood() {
        let mut cache = Cache::new();
        let text: Vec<u8> = (0..90_000u64).map(|i| (i * i % 251) as u8).collect();
        for round in 0..4 {
            for longest in [1, 15, 16, 31, 50, 2_053] {
                encode_all(&mut cache, &text, longest, |cache, start, ends, out| {
                    cache.encode_words(&Bytes, &text, start, ends, out);
                });
            }
            if round == 1 {
                cache.keep_ids(&vec![0; ARENA]);
            }
        }
    }

    #[test]
    fn the_portable_way_to_look_up_gives_the_same() {
        let text: Vec<u8> = (0..30_000u32).map(|i| (i * 7 % 5) as u8 + 1).collect();
        for longest in [9, 40] {
            encode_all(&mut Cache::new(), &text, longest, |cache, start, ends, out| {
                cache.encode_words_portable(&Bytes, &text, start, ends, out);
            });
        }
    }
}
