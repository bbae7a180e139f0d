//! Ids of words seen before: most words of a text are, and looking them up costs a tenth of merging.
//!
//! Words of up to 15 bytes are their own key: 16 bytes of which the last is the length, in a
//! table of 32-byte slots that a newcomer may take over. Longer words are hashed into an arena
//! that is emptied when full. Only time depends on what is found: keys are compared in full.

use xxhash_rust::xxh3::xxh3_64;

use super::merger::Merger;
use super::vocabulary::truncated;

/// How a word becomes ids when no cache holds it.
pub(super) trait Model {
    /// Appends the ids of `word`, a part of a text that is whole for merging.
    fn encode_word(&self, word: &[u8], merger: &mut Merger, ids: &mut Vec<u32>);
}

/// Longest word, in bytes, that is its own key.
const KEY_BYTES: usize = 15;
/// Slots that either table begins with: an encoder for one text costs little.
const FIRST_SLOTS: usize = 1 << 12;
/// Slots for short words, 32 bytes each, that the table grows to: 8 MiB.
const SHORT_SLOTS: usize = 1 << 18;
/// Slots for longer words that the table grows to.
const LONG_SLOTS: usize = 1 << 16;
/// Longest word, in bytes, that is kept at all; longer ones hardly come again.
const LONGEST: usize = 2_048;
/// Ids that one short slot holds itself.
const INLINE: usize = 3;
/// The arenas are emptied beyond this many entries (bytes of words, and ids).
const ARENA: usize = 8 << 20;

#[derive(Clone, Copy, Debug, Default)]
struct Short {
    /// 0 when free; no key is 0, for its last byte is a length.
    key: u128,
    /// The ids, or where in `Cache::ids` they start when there are more than fit.
    ids: [u32; INLINE],
    num_ids: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Long {
    hash: u64,
    word_start: u32,
    /// 0 when free.
    word_bytes: u32,
    ids_start: u32,
    num_ids: u32,
}

/// A cache that belongs to one thread and one model.
#[derive(Debug)]
pub(super) struct Cache {
    short: Vec<Short>,
    num_short: usize,
    long: Vec<Long>,
    num_long: usize,
    words: Vec<u8>,
    ids: Vec<u32>,
    merger: Merger,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            short: vec![Short::default(); FIRST_SLOTS],
            num_short: 0,
            long: vec![Long::default(); FIRST_SLOTS],
            num_long: 0,
            words: Vec::new(),
            ids: Vec::new(),
            merger: Merger::default(),
        }
    }

    /// Appends the ids of the word at `text[start..end]`, which is not empty.
    #[inline]
    pub(super) fn encode<M: Model>(
        &mut self,
        model: &M,
        text: &[u8],
        start: usize,
        end: usize,
        out: &mut Vec<u32>,
    ) {
        if end - start > KEY_BYTES {
            return self.encode_long(model, &text[start..end], out);
        }
        let key = key_of(text, start, end - start);
        let slot = self.short_slot(key);
        let found = &self.short[slot];
        if found.key == key && found.num_ids as usize <= INLINE {
            let [first, second, third] = found.ids;
            let num_ids = found.num_ids;
            out.push(first);
            if num_ids > 1 {
                out.push(second);
                if num_ids > 2 {
                    out.push(third);
                }
            }
            return;
        }
        self.encode_short(model, &text[start..end], key, slot, out);
    }

    /// What `encode` does for a short word whose ids are not in the slot itself.
    #[inline(never)]
    fn encode_short<M: Model>(
        &mut self,
        model: &M,
        word: &[u8],
        key: u128,
        slot: usize,
        out: &mut Vec<u32>,
    ) {
        let other = slot ^ 1;
        if self.short[slot].key != key && self.short[other].key == key {
            self.short.swap(slot, other);
        }
        let found = self.short[slot];
        if found.key == key {
            let num_ids = found.num_ids as usize;
            if num_ids <= INLINE {
                out.extend_from_slice(&found.ids[..num_ids]);
            } else {
                let ids_start = found.ids[0] as usize;
                out.extend_from_slice(&self.ids[ids_start..ids_start + num_ids]);
            }
            return;
        }
        let before = out.len();
        model.encode_word(word, &mut self.merger, out);
        let Some((ids, num_ids)) = self.inline_ids(&out[before..]) else { return };
        // The first slot of the two belongs to the word used last, so the newcomer takes the other.
        let target = if self.short[slot].key == 0 { slot } else { other };
        self.num_short += usize::from(self.short[target].key == 0);
        self.short[target] = Short { key, ids, num_ids };
        if self.num_short * 2 > self.short.len() && self.short.len() < SHORT_SLOTS {
            self.grow_short();
        }
    }

    /// Makes the table of short words four times as large.
    fn grow_short(&mut self) {
        let larger = vec![Short::default(); self.short.len() * 4];
        let old = std::mem::replace(&mut self.short, larger);
        self.num_short = 0;
        for entry in old.into_iter().filter(|entry| entry.key != 0) {
            let slot = self.short_slot(entry.key);
            let target = if self.short[slot].key == 0 { slot } else { slot ^ 1 };
            self.num_short += usize::from(self.short[target].key == 0);
            self.short[target] = entry;
        }
    }

    #[inline]
    fn short_slot(&self, key: u128) -> usize {
        truncated(hash_of(key)) & (self.short.len() - 1)
    }

    /// Returns what a short slot holds for these ids; none for no ids, which are not worth a slot.
    fn inline_ids(&mut self, ids: &[u32]) -> Option<([u32; INLINE], u32)> {
        let mut held = [0; INLINE];
        if ids.len() <= INLINE {
            held[..ids.len()].copy_from_slice(ids);
        } else {
            self.make_room(0, ids.len());
            held[0] = u32::try_from(self.ids.len()).ok()?;
            self.ids.extend_from_slice(ids);
        }
        let num_ids = u32::try_from(ids.len()).ok()?;
        (num_ids > 0).then_some((held, num_ids))
    }

    #[inline(never)]
    fn encode_long<M: Model>(&mut self, model: &M, word: &[u8], out: &mut Vec<u32>) {
        if word.len() > LONGEST {
            return model.encode_word(word, &mut self.merger, out);
        }
        let hash = xxh3_64(word);
        let slot = self.long_slot(hash, word);
        let found = self.long[slot];
        if found.word_bytes > 0 {
            let ids_start = found.ids_start as usize;
            out.extend_from_slice(&self.ids[ids_start..ids_start + found.num_ids as usize]);
            return;
        }
        let before = out.len();
        model.encode_word(word, &mut self.merger, out);
        self.keep_long(hash, word, &out[before..]);
    }

    fn keep_long(&mut self, hash: u64, word: &[u8], ids: &[u32]) {
        self.make_room(word.len(), ids.len());
        if self.num_long * 2 >= self.long.len() {
            if self.long.len() < LONG_SLOTS { self.grow_long() } else { self.empty() }
        }
        let slot = self.long_slot(hash, word);
        let at = |length: usize| u32::try_from(length).expect("the arenas are bounded");
        self.long[slot] = Long {
            hash,
            word_start: at(self.words.len()),
            word_bytes: at(word.len()),
            ids_start: at(self.ids.len()),
            num_ids: at(ids.len()),
        };
        self.num_long += 1;
        self.words.extend_from_slice(word);
        self.ids.extend_from_slice(ids);
    }

    /// Makes the table of long words four times as large.
    fn grow_long(&mut self) {
        let larger = vec![Long::default(); self.long.len() * 4];
        let old = std::mem::replace(&mut self.long, larger);
        for entry in old.into_iter().filter(|entry| entry.word_bytes > 0) {
            let slot = self.long_slot(entry.hash, self.long_word(&entry));
            self.long[slot] = entry;
        }
    }

    /// Returns the slot that holds a long word, or the free one where it belongs.
    fn long_slot(&self, hash: u64, word: &[u8]) -> usize {
        let mask = self.long.len() - 1;
        let mut slot = truncated(hash) & mask;
        loop {
            let found = &self.long[slot];
            if found.word_bytes == 0 || (found.hash == hash && self.long_word(found) == word) {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn long_word(&self, entry: &Long) -> &[u8] {
        &self.words[entry.word_start as usize..][..entry.word_bytes as usize]
    }

    fn make_room(&mut self, num_bytes: usize, num_ids: usize) {
        if self.words.len() + num_bytes > ARENA || self.ids.len() + num_ids > ARENA {
            self.empty();
        }
    }

    /// Forgets everything that lies in the arenas.
    fn empty(&mut self) {
        self.long.fill(Long::default());
        self.num_long = 0;
        self.words.clear();
        self.ids.clear();
        for slot in self.short.iter_mut().filter(|slot| slot.num_ids as usize > INLINE) {
            *slot = Short::default();
            self.num_short -= 1;
        }
    }
}

/// Returns the bytes of a word of 1 to 15 bytes and its length, as one number.
#[inline]
fn key_of(text: &[u8], start: usize, length: usize) -> u128 {
    let bytes: [u8; 16] = if let Some(bytes) = text.get(start..start + 16) {
        bytes.try_into().unwrap_or_default()
    } else {
        let mut bytes = [0; 16];
        bytes[..length].copy_from_slice(&text[start..start + length]);
        bytes
    };
    let mask = (1u128 << (8 * length)) - 1;
    (u128::from_le_bytes(bytes) & mask) | (length as u128) << 120
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the halves of a key and of a product")]
fn hash_of(key: u128) -> u64 {
    let low = key as u64 ^ 0x9E37_79B9_7F4A_7C15;
    let high = (key >> 64) as u64 ^ 0xD1B5_4A32_D192_ED03;
    let product = u128::from(low) * u128::from(high);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a word's bytes as its ids.
    struct Bytes;

    impl Model for Bytes {
        fn encode_word(&self, word: &[u8], _: &mut Merger, ids: &mut Vec<u32>) {
            ids.extend(word.iter().map(|&byte| u32::from(byte)));
        }
    }

    fn encode(cache: &mut Cache, text: &[u8], start: usize, end: usize) -> Vec<u32> {
        let mut ids = Vec::new();
        cache.encode(&Bytes, text, start, end, &mut ids);
        ids
    }

    #[test]
    fn keys_tell_zero_bytes_and_lengths_apart() {
        let text = [0u8; 20];
        let keys: Vec<u128> = (1..=15).map(|length| key_of(&text, 3, length)).collect();
        assert!(keys.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(key_of(b"abc", 1, 2), key_of(b"bcdefghijklmnopqrst", 0, 2));
    }

    #[test]
    fn words_of_any_length_come_out_the_same_again_and_after_a_flood() {
        let mut cache = Cache::new();
        let text: Vec<u8> = (0..5_000u32).map(|i| (i * i % 251) as u8).collect();
        for round in 0..3 {
            for length in (1..40).chain([2_047, 2_048, 2_049]) {
                for start in (0..900).step_by(7) {
                    let expected: Vec<u32> =
                        text[start..start + length].iter().map(|&b| u32::from(b)).collect();
                    assert_eq!(encode(&mut cache, &text, start, start + length), expected);
                }
            }
            if round == 1 {
                cache.empty();
            }
        }
    }
}
