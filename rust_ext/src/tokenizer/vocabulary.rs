//! Token bytes by id and ids by token bytes, in three flat arrays: no allocation per token.

use super::stored::{SectionReader, Sections, Stored};

const NONE: u32 = u32::MAX;

/// A vocabulary of at most `u32::MAX - 1` tokens; ids may have gaps.
#[derive(Debug)]
pub(super) struct Vocabulary {
    bytes: Vec<u8>,
    /// Start and end in `bytes`, by id; `(NONE, NONE)` in a gap.
    spans: Vec<(u32, u32)>,
    /// The upper half of a token's hash, and its id; linearly probed, at most half full. What is
    /// no token is seldom compared with one.
    slots: Vec<[u32; 2]>,
    num_tokens: usize,
}

impl Vocabulary {
    pub(super) fn with_capacity(num_tokens: usize) -> Self {
        let num_slots = (num_tokens * 2).next_power_of_two().max(16);
        Self {
            bytes: Vec::with_capacity(num_tokens * 8),
            spans: Vec::with_capacity(num_tokens),
            slots: vec![[NONE; 2]; num_slots],
            num_tokens: 0,
        }
    }

    /// Adds a token; of two with the same bytes, the one added first keeps them.
    pub(super) fn insert(&mut self, token: &[u8], id: u32) {
        if self.num_tokens * 2 >= self.slots.len() {
            self.grow();
        }
        let hash = hash_of(token);
        let slot = self.slot_of(token, hash);
        if self.slots[slot][1] == NONE {
            self.slots[slot] = [tag_of(hash), id];
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
        let [_, id] = self.slots[self.slot_of(token, hash_of(token))];
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
    fn slot_of(&self, token: &[u8], hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = truncated(hash) & mask;
        loop {
            let [tag, id] = self.slots[slot];
            if id == NONE || (tag == tag_of(hash) && self.token(id) == Some(token)) {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let larger = vec![[NONE; 2]; self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, larger);
        for [tag, id] in old.into_iter().filter(|&[_, id]| id != NONE) {
            let hash = self.token(id).map(hash_of);
            if let Some(slot) = hash.map(|hash| self.slot_of(&[], hash)) {
                self.slots[slot] = [tag, id];
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
        let slots = sections.take::<[u32; 2]>()?;
        let num_tokens = slots.iter().filter(|[_, id]| *id != NONE).count();
        let is_inside = |&[start, end]: &[u32; 2]| {
            [start, end] == [NONE; 2] || (start <= end && end as usize <= bytes.len())
        };
        let is_sound = spans.iter().all(is_inside)
            && slots.len().is_power_of_two()
            && num_tokens * 2 <= slots.len()
            && slots.iter().all(|&[_, id]| id == NONE || (id as usize) < spans.len());
        let spans = spans.into_iter().map(|[start, end]| (start, end)).collect();
        is_sound.then_some(Self { bytes, spans, slots, num_tokens })
    }
}

/// Hashes a token: words are short, and a hash that is good for long inputs takes longer to set
/// up than these few instructions. It decides about time only; tokens are compared in full.
#[inline]
fn hash_of(token: &[u8]) -> u64 {
    let (eights, rest) = token.as_chunks::<8>();
    let mut hash = token.len() as u64 ^ 0x9E37_79B9_7F4A_7C15;
    for &eight in eights {
        hash = mixed(hash ^ u64::from_le_bytes(eight), 0xD1B5_4A32_D192_ED03);
    }
    mixed(hash ^ number_of(token, rest), 0xA076_1D64_78BD_642F)
}

/// Returns the last bytes of a token, `rest` of fewer than 8, as one number, without a loop.
#[inline]
fn number_of(token: &[u8], rest: &[u8]) -> u64 {
    if let Some(&eight) = token.last_chunk::<8>() {
        return u64::from_le_bytes(eight); // some of them again
    }
    if let (Some(&first), Some(&last)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(first)) << 32 | u64::from(u32::from_le_bytes(last));
    }
    rest.iter().fold(0, |all, &byte| all << 8 | u64::from(byte))
}

/// Returns the halves of a product, one upon the other.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lower half")]
fn mixed(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    product as u64 ^ (product >> 64) as u64
}

/// Returns the upper half of a hash.
#[inline]
fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32
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
