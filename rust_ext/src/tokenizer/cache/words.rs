//! Words on their way through the cache, many at a time.
//!
//! First each word's slot is asked for, then each is read: the memory behind rare words answers
//! while the others are done.
#![allow(unsafe_code)]

use super::key::{self, MIDDLE_BYTES, SHORT_BYTES};
use super::packed::{PACKED, count};
use super::{Cache, Model};
use crate::simd::{self, Level};

/// Words that are worth a look-up together.
pub(in crate::tokenizer) const BATCH: usize = 64;
/// Room beyond a batch for the words of one more block of 64 bytes, written eight at a time.
const CAPACITY: usize = BATCH + 80;
/// The key of no short word.
const NO_KEY: [u64; 2] = [!0; 2];

/// Where words end that follow each other without a gap.
#[derive(Debug)]
pub(in crate::tokenizer) struct Ends {
    positions: [u32; CAPACITY],
    length: usize,
}

impl Ends {
    pub(in crate::tokenizer) fn new() -> Self {
        Self { positions: [0; CAPACITY], length: 0 }
    }

    /// Adds the end of a word, a position below 4 GiB.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "texts are limited to 1 GiB")]
    pub(in crate::tokenizer) fn push(&mut self, end: usize) {
        self.positions[self.length] = end as u32;
        self.length += 1;
    }

    /// Adds an end for each bit of `mask`, `first` being the position of bit 0; returns the last.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "texts are limited to 1 GiB")]
    pub(in crate::tokenizer) fn push_bits(&mut self, first: usize, mut mask: u64) -> usize {
        let count = mask.count_ones() as usize;
        for eight in self.positions[self.length..].as_chunks_mut::<8>().0 {
            // Without looking how many there are: what is too much is overwritten later.
            for position in eight {
                *position = first as u32 + mask.trailing_zeros();
                mask &= mask.wrapping_sub(1);
            }
            if mask == 0 {
                break;
            }
        }
        self.length += count;
        self.positions[self.length - 1] as usize
    }

    /// Takes all positions out.
    #[cfg(test)]
    pub(in crate::tokenizer) fn take(&mut self) -> Vec<usize> {
        let length = std::mem::take(&mut self.length);
        self.positions[..length].iter().map(|&position| position as usize).collect()
    }

    /// Returns whether it is time to look the words up.
    #[inline(always)]
    pub(in crate::tokenizer) fn is_full(&self) -> bool {
        self.length >= BATCH
    }
}

/// What is looked up for the words of a batch.
#[derive(Debug)]
pub(super) struct Batch {
    keys: [[u64; 2]; CAPACITY],
    slots: [u32; CAPACITY],
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { keys: [NO_KEY; CAPACITY], slots: [0; CAPACITY] }
    }
}

impl Cache {
    /// Appends the ids of the words of `text` that begin at `start` and end at `ends`, which are
    /// taken.
    pub(in crate::tokenizer) fn encode_words<M: Model>(
        &mut self,
        model: &M,
        text: &[u8],
        start: usize,
        ends: &mut Ends,
        out: &mut Vec<u32>,
    ) {
        #[cfg(target_arch = "x86_64")]
        if simd::here() >= Level::Avx2 {
            // SAFETY: the processor has what is needed.
            return unsafe { self.encode_words_avx2(model, text, start, ends, out) };
        }
        self.encode_words_portable(model, text, start, ends, out);
    }

    pub(super) fn encode_words_portable<M: Model>(
        &mut self,
        model: &M,
        text: &[u8],
        start: usize,
        ends: &mut Ends,
        out: &mut Vec<u32>,
    ) {
        self.ask(text, start, ends);
        self.answer(model, text, start, ends, out, super::packed::unpack);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn encode_words_avx2<M: Model>(
        &mut self,
        model: &M,
        text: &[u8],
        start: usize,
        ends: &mut Ends,
        out: &mut Vec<u32>,
    ) {
        self.ask(text, start, ends);
        self.answer(model, text, start, ends, out, |packed| super::packed::unpack_avx2(packed));
    }

    /// Asks for the slots of the words.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "tables have less than 2^32 slots")]
    fn ask(&mut self, text: &[u8], mut start: usize, ends: &Ends) {
        let (short, middle, batch) = (&self.short, &self.middle, &mut self.batch);
        for at in 0..ends.length.min(CAPACITY) {
            let end = ends.positions[at] as usize;
            let length = end - start;
            (batch.keys[at], batch.slots[at]) = if length <= SHORT_BYTES {
                let key = key::short(text, start, length);
                let slot = short.slot(key::hash_short(key));
                short.table().prefetch(slot);
                (key, slot as u32)
            } else {
                if length <= MIDDLE_BYTES {
                    middle
                        .table()
                        .prefetch(middle.slot(key::hash_middle(key::middle(&text[start..end]))));
                }
                (NO_KEY, 0)
            };
            start = end;
        }
    }

    /// Appends the ids of the words.
    #[inline(always)]
    fn answer<M: Model>(
        &mut self,
        model: &M,
        text: &[u8],
        mut start: usize,
        ends: &mut Ends,
        out: &mut Vec<u32>,
        unpack: impl Fn([u64; 2]) -> [u32; 8],
    ) {
        let length = std::mem::take(&mut ends.length).min(CAPACITY);
        // Room for what is in slots; a slot's ids are written eight at a time.
        let room = length * PACKED + 8;
        out.reserve(room);
        let mut written = out.len();
        for at in 0..length {
            let slot = self.batch.slots[at] as usize;
            // SAFETY: slots were taken below the table's length, and tables only grow.
            let [low, high, packed @ ..] = unsafe { *self.short.table().get_unchecked(slot) };
            let end = ends.positions[at] as usize;
            if [low, high] == self.batch.keys[at] {
                // SAFETY: `room` was reserved behind what was written before this batch, or since
                // the last word that was not in its slot; each word so far took 6 at most of it.
                unsafe {
                    let target = out.as_mut_ptr().add(written);
                    target.cast::<[u32; 8]>().write_unaligned(unpack(packed));
                }
                written += count(packed);
            } else {
                // SAFETY: all of it was written above.
                unsafe { out.set_len(written) };
                self.encode(model, &text[start..end], out);
                out.reserve(room);
                written = out.len();
            }
            start = end;
        }
        // SAFETY: as above.
        unsafe { out.set_len(written) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_become_positions() {
        let mut ends = Ends::new();
        ends.push(3);
        assert_eq!(ends.push_bits(100, 1 << 63 | 0b1011_0000), 163);
        assert_eq!(ends.positions[..ends.length], [3, 104, 105, 107, 163]);
        assert_eq!(ends.push_bits(200, !1), 263);
        assert_eq!(ends.length, 5 + 63);
        assert!(ends.is_full());
        assert_eq!(ends.positions[5..ends.length], (201..=263).collect::<Vec<u32>>());
    }
}
