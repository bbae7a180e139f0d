//! A table of words whose key and ids both lie in the slot: one cache line is all that is read.
//!
//! Each key has four slots. The first belongs to the word that was used last, a newcomer takes one
//! of the others; what it drives out is made again when it comes again.

use super::key::ELSEWHERE;
use super::packed::{PACKED, pack, push_unpacked};
use super::table::Table;

/// Slots that a table begins with: an encoder for one text costs little.
const FIRST_SLOTS: usize = 1 << 10;

/// The slots of a key, by what distinguishes their numbers from the first one's.
const WAYS: [usize; 4] = [0, 1, 2, 3];

/// Where ids lie that are too many for a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elsewhere {
    pub(super) start: usize,
    pub(super) count: usize,
}

/// What is known of a word.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// Its ids were appended.
    Appended,
    /// Its ids lie in the arena.
    Elsewhere(Elsewhere),
    Nothing,
}

/// A table with keys of `KEY` words and slots of `SLOT`, twice as many.
#[derive(Debug)]
pub(super) struct Slots<const KEY: usize, const SLOT: usize> {
    table: Table<SLOT>,
    taken: usize,
    /// Which of a full set a newcomer takes: each but the first in turn.
    next_way: usize,
    limit: usize,
    hash: fn([u64; KEY]) -> usize,
}

impl<const KEY: usize, const SLOT: usize> Slots<KEY, SLOT> {
    /// Makes a table that grows to `limit`, a power of two.
    pub(super) fn new(limit: usize, hash: fn([u64; KEY]) -> usize) -> Self {
        Self { table: Table::zeroed(FIRST_SLOTS.min(limit)), taken: 0, next_way: 1, limit, hash }
    }

    /// Returns the slots, for who looks at the first of a key's two itself.
    #[inline(always)]
    pub(super) fn table(&self) -> &Table<SLOT> {
        &self.table
    }

    /// Returns the first of the four slots of a key with this hash.
    #[inline(always)]
    pub(super) fn slot(&self, hash: usize) -> usize {
        hash & (self.table.len() - 1)
    }

    /// Looks a word up in its slots, and makes the first its own.
    pub(super) fn find(&mut self, key: [u64; KEY], out: &mut Vec<u32>) -> Found {
        let first = self.slot((self.hash)(key));
        for slot in WAYS.map(|way| first ^ way) {
            let (found, value) = split::<KEY, SLOT>(&self.table[slot]);
            let found = if found == key {
                push_unpacked(&value, out);
                Found::Appended
            } else if found == elsewhere(key) {
                let [start, count] = [value[0], value[1]].map(|x| usize::try_from(x).unwrap_or(0));
                Found::Elsewhere(Elsewhere { start, count })
            } else {
                continue;
            };
            self.table.swap(first, slot);
            return found;
        }
        Found::Nothing
    }

    /// Keeps the ids of a word that was not found; false if they are too many for a slot.
    pub(super) fn keep(&mut self, key: [u64; KEY], ids: &[u32]) -> bool {
        let mut value = [0; KEY];
        if ids.len() > KEY / 2 * PACKED {
            return false;
        }
        for (group, ids) in value.chunks_exact_mut(2).zip(ids.chunks(PACKED)) {
            let Some(packed) = pack(ids) else { return false };
            group.copy_from_slice(&packed);
        }
        self.put(key, value);
        true
    }

    /// Keeps where the ids of a word lie.
    pub(super) fn keep_elsewhere(&mut self, key: [u64; KEY], place: Elsewhere) {
        let mut value = [0; KEY];
        value[0] = place.start as u64;
        value[1] = place.count as u64;
        self.put(elsewhere(key), value);
    }

    /// Forgets the words whose ids lie in the arena.
    pub(super) fn forget_elsewhere(&mut self) {
        for slot in self.table.iter_mut().filter(|slot| slot[KEY - 1] & ELSEWHERE != 0) {
            *slot = [0; SLOT];
            self.taken -= 1;
        }
    }

    fn put(&mut self, key: [u64; KEY], value: [u64; KEY]) {
        if self.taken * 2 > self.table.len() && self.table.len() < self.limit {
            self.grow();
        }
        let mut slot = [0; SLOT];
        slot[..KEY].copy_from_slice(&key);
        slot[KEY..].copy_from_slice(&value);
        self.put_slot(slot);
    }

    fn put_slot(&mut self, new: [u64; SLOT]) {
        let (mut key, _) = split::<KEY, SLOT>(&new);
        key[KEY - 1] &= !ELSEWHERE;
        let first = self.slot((self.hash)(key));
        let is_free = |slot: usize| self.table[slot][KEY - 1] == 0;
        let slot = WAYS.map(|way| first ^ way).into_iter().find(|&slot| is_free(slot));
        let slot = slot.unwrap_or(first ^ WAYS[self.next_way]);
        self.next_way = self.next_way % (WAYS.len() - 1) + 1;
        self.taken += usize::from(is_free(slot));
        self.table[slot] = new;
    }

    /// Makes the table four times as large.
    fn grow(&mut self) {
        let larger = Table::zeroed((self.table.len() * 4).min(self.limit));
        let old = std::mem::replace(&mut self.table, larger);
        self.taken = 0;
        for slot in old.iter().filter(|slot| slot[KEY - 1] != 0) {
            self.put_slot(*slot);
        }
    }
}

#[inline(always)]
fn elsewhere<const KEY: usize>(mut key: [u64; KEY]) -> [u64; KEY] {
    key[KEY - 1] |= ELSEWHERE;
    key
}

#[inline(always)]
fn split<const KEY: usize, const SLOT: usize>(slot: &[u64; SLOT]) -> ([u64; KEY], [u64; KEY]) {
    let (mut key, mut value) = ([0; KEY], [0; KEY]);
    key.copy_from_slice(&slot[..KEY]);
    value.copy_from_slice(&slot[KEY..]);
    (key, value)
}
