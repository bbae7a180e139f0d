//! Words on their way through the cache, 64 at a time.
//!
//! First each word's slot is asked for, then each is read: the memory behind rare words answers
//! while the others are done.
#![allow(unsafe_code)]

use super::key::{self, MIDDLE_BYTES, SHORT_BYTES};
use super::packed::{PACKED, count};
use super::{Cache, Model};

/// Words that are looked up together.
const BATCH: usize = 64;
/// The key of no short word.
const NO_KEY: [u64; 2] = [!0; 2];

/// A text's words, to be pushed in order; at the end, what is left has to be flushed.
pub(in crate::tokenizer) struct Words<'a, M> {
    cache: &'a mut Cache,
    model: &'a M,
    text: &'a [u8],
    out: &'a mut Vec<u32>,
    keys: [[u64; 2]; BATCH],
    slots: [u32; BATCH],
    spans: [(u32, u32); BATCH],
    length: usize,
}

impl<'a, M: Model> Words<'a, M> {
    /// Begins with the words of `text`, below 4 GiB, whose ids will be appended to `out`.
    #[inline]
    pub(in crate::tokenizer) fn new(
        cache: &'a mut Cache,
        model: &'a M,
        text: &'a [u8],
        out: &'a mut Vec<u32>,
    ) -> Self {
        assert!(u32::try_from(text.len()).is_ok(), "texts are limited to 1 GiB");
        let (keys, slots, spans) = ([NO_KEY; BATCH], [0; BATCH], [(0, 0); BATCH]);
        Self { cache, model, text, out, keys, slots, spans, length: 0 }
    }

    /// Adds the word at `text[start..end]`, which is not empty; true when it is time to flush.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "positions are below 4 GiB, see `new`")]
    pub(in crate::tokenizer) fn push(&mut self, start: usize, end: usize) -> bool {
        let at = self.length & (BATCH - 1);
        let length = end - start;
        (self.keys[at], self.slots[at]) = if length <= SHORT_BYTES {
            let key = key::short(self.text, start, length);
            let slot = self.cache.short.slot(key::hash_short(key));
            self.cache.short.table().prefetch(slot);
            (key, slot as u32)
        } else {
            if length <= MIDDLE_BYTES {
                let key = key::middle(&self.text[start..end]);
                let slot = self.cache.middle.slot(key::hash_middle(key));
                self.cache.middle.table().prefetch(slot);
            }
            (NO_KEY, 0)
        };
        self.spans[at] = (start as u32, end as u32);
        self.length = at + 1;
        self.length == BATCH
    }

    /// Appends the ids of the words that were pushed.
    #[inline(always)]
    fn flush_with(&mut self, unpack: impl Fn([u64; 2]) -> [u32; 8]) {
        let length = std::mem::take(&mut self.length).min(BATCH);
        // Room for what is in slots; a slot's ids are written eight at a time.
        let room = length * PACKED + 8;
        self.out.reserve(room);
        let mut written = self.out.len();
        for at in 0..length {
            let slot = self.slots[at] as usize;
            // SAFETY: slots were taken below the table's length, and tables only grow.
            let [low, high, packed @ ..] = unsafe { *self.cache.short.table().get_unchecked(slot) };
            if [low, high] == self.keys[at] {
                // SAFETY: `room` was reserved behind what was written before this batch, or since
                // the last word that was not in its slot; each word so far took 6 at most of it.
                unsafe {
                    let target = self.out.as_mut_ptr().add(written);
                    target.cast::<[u32; 8]>().write_unaligned(unpack(packed));
                }
                written += count(packed);
            } else {
                // SAFETY: all of it was written above.
                unsafe { self.out.set_len(written) };
                let (start, end) = self.spans[at];
                let word = &self.text[start as usize..end as usize];
                self.cache.encode(self.model, word, self.out);
                self.out.reserve(room);
                written = self.out.len();
            }
        }
        // SAFETY: as above.
        unsafe { self.out.set_len(written) };
    }

    /// Appends the ids of the words that were pushed.
    pub(in crate::tokenizer) fn flush(&mut self) {
        self.flush_with(super::packed::unpack);
    }

    /// As [`Words::flush`], for processors with AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    pub(in crate::tokenizer) fn flush_avx2(&mut self) {
        self.flush_with(|packed| super::packed::unpack_avx2(packed));
    }
}
