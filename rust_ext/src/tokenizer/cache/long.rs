//! Words too long for a slot: their bytes and ids in arenas that are emptied when full.

use xxhash_rust::xxh3::xxh3_64;

use crate::tokenizer::vocabulary::truncated;

/// Longest word, in bytes, that is kept at all; longer ones hardly come again.
pub(super) const LONGEST: usize = 2_048;
const FIRST_SLOTS: usize = 1 << 8;
/// Slots that the table grows to.
const MOST_SLOTS: usize = 1 << 18;
/// The arenas are emptied beyond this many entries: bytes of words, and ids.
const ARENA: usize = 8 << 20;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: u64,
    word_start: u32,
    /// 0 when free.
    word_bytes: u32,
    ids_start: u32,
    num_ids: u32,
}

/// Long words and their ids.
#[derive(Debug)]
pub(super) struct LongWords {
    slots: Vec<Slot>,
    taken: usize,
    words: Vec<u8>,
    ids: Vec<u32>,
}

impl LongWords {
    pub(super) fn new() -> Self {
        let slots = vec![Slot::default(); FIRST_SLOTS];
        Self { slots, taken: 0, words: Vec::new(), ids: Vec::new() }
    }

    /// Returns the ids of a word, if they are known.
    pub(super) fn find(&self, word: &[u8]) -> Option<&[u32]> {
        let found = &self.slots[self.slot(xxh3_64(word), word)];
        let ids_start = found.ids_start as usize;
        (found.word_bytes > 0).then(|| &self.ids[ids_start..ids_start + found.num_ids as usize])
    }

    /// Keeps the ids of a word that was not found.
    pub(super) fn keep(&mut self, word: &[u8], ids: &[u32]) {
        if self.words.len() + word.len() > ARENA || self.ids.len() + ids.len() > ARENA {
            self.empty();
        }
        if self.taken * 2 >= self.slots.len() {
            if self.slots.len() < MOST_SLOTS { self.grow() } else { self.empty() }
        }
        let hash = xxh3_64(word);
        let slot = self.slot(hash, word);
        let at = |length: usize| u32::try_from(length).expect("the arenas are bounded");
        self.slots[slot] = Slot {
            hash,
            word_start: at(self.words.len()),
            word_bytes: at(word.len()),
            ids_start: at(self.ids.len()),
            num_ids: at(ids.len()),
        };
        self.taken += 1;
        self.words.extend_from_slice(word);
        self.ids.extend_from_slice(ids);
    }

    fn empty(&mut self) {
        self.slots.fill(Slot::default());
        self.taken = 0;
        self.words.clear();
        self.ids.clear();
    }

    /// Makes the table four times as large.
    fn grow(&mut self) {
        let larger = vec![Slot::default(); self.slots.len() * 4];
        let old = std::mem::replace(&mut self.slots, larger);
        for slot in old.into_iter().filter(|slot| slot.word_bytes > 0) {
            let at = self.slot(slot.hash, self.word(&slot));
            self.slots[at] = slot;
        }
    }

    /// Returns the slot that holds a word, or the free one where it belongs.
    fn slot(&self, hash: u64, word: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = truncated(hash) & mask;
        loop {
            let found = &self.slots[slot];
            if found.word_bytes == 0 || (found.hash == hash && self.word(found) == word) {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn word(&self, slot: &Slot) -> &[u8] {
        &self.words[slot.word_start as usize..][..slot.word_bytes as usize]
    }
}
