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

pub(super) use words::Words;

use self::key::{MIDDLE_BYTES, SHORT_BYTES};
use self::long::{LONGEST, LongWords};
use self::slots::{Elsewhere, Found, Slots};
use super::merger::Merger;

/// How a word becomes ids when no cache holds it.
pub(super) trait Model {
    /// Appends the ids of `word`, a part of a text that is whole for merging.
    fn encode_word(&self, word: &[u8], merger: &mut Merger, ids: &mut Vec<u32>);
}

/// Slots of 32 bytes for words of up to 15 bytes that the table grows to: 32 MiB.
const SHORT_SLOTS: usize = 1 << 20;
/// Slots of 64 bytes for words of up to 31 bytes that the table grows to: 8 MiB.
const MIDDLE_SLOTS: usize = 1 << 17;
/// Ids of words that have too many for a slot; beyond this number all are forgotten.
const ARENA: usize = 2 << 20;

/// A cache that belongs to one thread and one model.
#[derive(Debug)]
pub(super) struct Cache {
    short: Slots<2, 4>,
    middle: Slots<4, 8>,
    long: LongWords,
    ids: Vec<u32>,
    merger: Merger,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            short: Slots::new(SHORT_SLOTS, key::hash_short),
            middle: Slots::new(MIDDLE_SLOTS, key::hash_middle),
            long: LongWords::new(),
            ids: Vec::new(),
            merger: Merger::default(),
        }
    }

    /// Appends the ids of a word, which is not empty.
    #[inline(never)]
    pub(super) fn encode<M: Model>(&mut self, model: &M, word: &[u8], out: &mut Vec<u32>) {
        match word.len() {
            ..=SHORT_BYTES => self.encode_short(model, word, out),
            ..=MIDDLE_BYTES => self.encode_middle(model, word, out),
            ..=LONGEST => self.encode_long(model, word, out),
            _ => model.encode_word(word, &mut self.merger, out),
        }
    }

    fn encode_short<M: Model>(&mut self, model: &M, word: &[u8], out: &mut Vec<u32>) {
        let key = key::short(word, 0, word.len());
        let found = self.short.find(key, out);
        if self.append(found, out) {
            return;
        }
        let before = out.len();
        model.encode_word(word, &mut self.merger, out);
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
        model.encode_word(word, &mut self.merger, out);
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
        model.encode_word(word, &mut self.merger, out);
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
        fn encode_word(&self, word: &[u8], _: &mut Merger, ids: &mut Vec<u32>) {
            let offset = if word[0] == 1 { 1 << 30 } else { 0 };
            ids.extend(word.iter().map(|&byte| offset + u32::from(byte)));
        }
    }

    fn expected(word: &[u8]) -> Vec<u32> {
        let mut ids = Vec::new();
        Bytes.encode_word(word, &mut Merger::default(), &mut ids);
        ids
    }

    #[test]
    fn words_of_any_length_come_out_the_same_again_and_after_a_flood() {
        let mut cache = Cache::new();
        let text: Vec<u8> = (0..9_000u32).map(|i| (i * i % 251) as u8).collect();
        for round in 0..4 {
            for length in (1..50).chain([2_047, 2_048, 2_049]) {
                let mut out = Vec::new();
                let mut words = Words::new(&mut cache, &Bytes, &text, &mut out);
                let starts = (0..6_900).step_by(7);
                for start in starts.clone() {
                    if words.push(start, start + length) {
                        words.flush();
                    }
                }
                words.flush();
                let all = starts.flat_map(|start| expected(&text[start..start + length]));
                assert!(all.eq(out), "round {round}, length {length}");
            }
            if round == 1 {
                cache.keep_ids(&vec![0; ARENA]);
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    fn both_ways_to_flush_give_the_same() {
        if !std::arch::is_x86_feature_detected!("avx2") {
            return;
        }
        let text: Vec<u8> = (0..3_000u32).map(|i| (i * 7 % 5) as u8 + 2).collect();
        let mut ids = [Vec::new(), Vec::new()];
        for (which, out) in ids.iter_mut().enumerate() {
            let mut cache = Cache::new();
            let mut words = Words::new(&mut cache, &Bytes, &text, out);
            for start in (0..2_900).step_by(3) {
                if words.push(start, start + 1 + start % 40) {
                    // SAFETY: just looked.
                    if which == 0 { words.flush() } else { unsafe { words.flush_avx2() } }
                }
            }
            words.flush();
        }
        assert_eq!(ids[0], ids[1]);
        assert!(ids[0].len() > 10_000);
    }
}
