//! Token bytes by id and ids by token bytes, in three flat arrays: no allocation per token.

use xxhash_rust::xxh3::xxh3_64;

use super::stored::{SectionReader, Sections, Stored};

const NONE: u32 = u32::MAX;

/// A vocabulary of at most `u32::MAX - 1` tokens; ids may have gaps.
#[derive(Debug)]
pub(super) struct Vocabulary {
    bytes: Vec<u8>,
    /// Start and end in `bytes`, by id; `(NONE, NONE)` in a gap.
    spans: Vec<(u32, u32)>,
    /// Ids by hash, linearly probed; at most half full.
    slots: Vec<u32>,
    num_tokens: usize,
}

impl Vocabulary {
    pub(super) fn with_capacity(num_tokens: usize) -> Self {
        let num_slots = (num_tokens * 2).next_power_of_two().max(16);
        Self {
            bytes: Vec::with_capacity(num_tokens * 8),
            spans: Vec::with_capacity(num_tokens),
            slots: vec![NONE; num_slots],
            num_tokens: 0,
        }
    }

    /// Adds a token; of two with the same bytes, the one added first keeps them.
    pub(super) fn insert(&mut self, token: &[u8], id: u32) {
        if self.num_tokens * 2 >= self.slots.len() {
            self.grow();
        }
        let slot = self.slot_of(token);
        if self.slots[slot] == NONE {
            self.slots[slot] = id;
            self.num_tokens += 1;
        }
        let index = id as usize;
        if self.spans.len() <= index {
            self.spans.resize(index + 1, (NONE, NONE));
        }
        let start = offset(self.bytes.len());
        self.bytes.extend_from_slice(token);
        self.spans[index] = (start, offset(self.bytes.len()));
    }

    /// Returns the id of a token, given its bytes.
    #[inline]
    pub(super) fn id(&self, token: &[u8]) -> Option<u32> {
        let id = self.slots[self.slot_of(token)];
        (id != NONE).then_some(id)
    }

    /// Returns the bytes of a token, given its id.
    pub(super) fn token(&self, id: u32) -> Option<&[u8]> {
        let &(start, end) = self.spans.get(id as usize)?;
        (start != NONE).then(|| &self.bytes[start as usize..end as usize])
    }

    /// Returns one more than the highest id.
    pub(super) fn num_ids(&self) -> u32 {
        offset(self.spans.len())
    }

    /// Returns how many tokens there are, those with equal bytes counted once.
    pub(super) fn num_tokens(&self) -> usize {
        self.num_tokens
    }

    /// Returns every token with its id, in the order of the ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (0..self.num_ids()).filter_map(|id| Some((id, self.token(id)?)))
    }

    /// Returns the slot that holds `token`, or the free one where it belongs.
    #[inline]
    fn slot_of(&self, token: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = truncated(xxh3_64(token)) & mask;
        while self.slots[slot] != NONE && self.token(self.slots[slot]) != Some(token) {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        let larger = vec![NONE; self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, larger);
        for id in old.into_iter().filter(|&id| id != NONE) {
            let slot = self.token(id).map(|token| self.slot_of(token));
            if let Some(slot) = slot {
                self.slots[slot] = id;
            }
        }
    }
}

impl Stored for Vocabulary {
    fn store(&self, sections: &mut Sections) {
        sections.put_bytes(&self.bytes);
        sections.put(self.spans.iter().map(|&(start, end)| [start, end]));
        sections.put(self.slots.iter().copied());
    }

    fn restore(sections: &mut SectionReader<'_>) -> Option<Self> {
        let (bytes, spans) = (sections.take::<u8>()?, sections.take::<[u32; 2]>()?);
        let slots = sections.take::<u32>()?;
        let num_tokens = slots.iter().filter(|&&id| id != NONE).count();
        let is_inside = |&[start, end]: &[u32; 2]| {
            [start, end] == [NONE; 2] || (start <= end && end as usize <= bytes.len())
        };
        let is_sound = spans.iter().all(is_inside)
            && slots.len().is_power_of_two()
            && num_tokens * 2 <= slots.len()
            && slots.iter().all(|&id| id == NONE || (id as usize) < spans.len());
        let spans = spans.into_iter().map(|[start, end]| (start, end)).collect();
        is_sound.then_some(Self { bytes, spans, slots, num_tokens })
    }
}

fn offset(length: usize) -> u32 {
    u32::try_from(length).expect("a tokenizer file is far below 4 GiB")
}

/// Returns the low bits of a hash, as many as an index has.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
pub(super) fn truncated(hash: u64) -> usize {
    hash as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_ids_lead_to_each_other_across_growth_and_gaps() {
        let mut vocabulary = Vocabulary::with_capacity(0);
        for id in (0..2_000u32).step_by(2) {
            vocabulary.insert(&id.to_le_bytes(), id);
        }
        assert_eq!(vocabulary.num_ids(), 1_999);
        assert_eq!(vocabulary.iter().count(), 1_000);
        assert_eq!(vocabulary.id(&44u32.to_le_bytes()), Some(44));
        assert_eq!(vocabulary.token(44), Some(&44u32.to_le_bytes()[..]));
        assert_eq!((vocabulary.id(b"x"), vocabulary.token(45)), (None, None));
    }
}
