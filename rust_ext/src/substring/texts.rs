//! All texts in one buffer, in the order in which records are kept.

use super::windows::SEPARATOR;

/// A record whose text takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its number.
    pub(super) record: u64,
    /// Of records that are alike the one with the smallest key stays, then the first.
    pub(super) keep_key: u64,
    /// Bytes of its text.
    pub(super) text_bytes: u64,
}

/// Where the text of a record stands in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The record.
    pub(super) record: u64,
    /// First byte.
    pub(super) start: usize,
    /// One past the last, where the separator stands.
    pub(super) end: usize,
    /// Whether nothing of it may be cut.
    pub(super) stays_whole: bool,
}

/// Bytes of memory that a record takes beside its text.
pub(super) const RECORD_BYTES: u64 =
    (size_of::<Member>() + size_of::<Place>() + size_of::<u32>()) as u64;

/// The texts, each with a separator behind it.
#[derive(Debug)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    /// By record.
    places: Vec<Place>,
    /// Indices into them, by where they stand.
    order: Vec<u32>,
}

impl Texts {
    /// Makes room for the texts of records, which ascend and are fewer than 2^32.
    pub(super) fn with_room(members: &[Member]) -> Self {
        let index = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = (0..index(members.len())).collect();
        // Stable: those of equal keys stay in the order of the records.
        order.sort_by_key(|&number| members[number as usize].keep_key);
        let nowhere =
            |member: &Member| Place { record: member.record, start: 0, end: 0, stays_whole: false };
        let mut places: Vec<Place> = members.iter().map(nowhere).collect();
        let mut next = 0;
        for &number in &order {
            let place = &mut places[number as usize];
            let text_bytes = members[number as usize].text_bytes;
            place.start = next;
            place.end = next + usize::try_from(text_bytes).unwrap_or(usize::MAX);
            next = place.end + 1;
        }
        Self { bytes: vec![SEPARATOR; next], places, order }
    }

    /// Returns the bytes of all texts.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns where the texts stand, by record.
    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Returns where the texts stand, in the order in which they do.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Place> {
        self.order.iter().map(|&number| &self.places[number as usize])
    }

    /// Returns the text that holds a byte.
    pub(super) fn holding(&self, at: usize) -> &Place {
        let after = self.order.partition_point(|&number| self.places[number as usize].start <= at);
        &self.places[self.order[after - 1] as usize]
    }

    /// Returns whether a record's text takes part.
    pub(super) fn has(&self, record: u64) -> bool {
        self.places.binary_search_by_key(&record, |place| place.record).is_ok()
    }

    /// Puts a text down; `false` if it is not as long as was said.
    pub(super) fn put(&mut self, record: u64, text: &[u8], stays_whole: bool) -> bool {
        let found = self.places.binary_search_by_key(&record, |place| place.record);
        let Some(place) = found.ok().and_then(|at| self.places.get_mut(at)) else { return false };
        if place.end - place.start != text.len() {
            return false;
        }
        place.stays_whole = stays_whole;
        self.bytes[place.start..place.end].copy_from_slice(text);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stand_in_the_order_of_their_keys_and_are_found_by_their_bytes() {
        let member = |record, keep_key, text_bytes| Member { record, keep_key, text_bytes };
        let members = [member(2, 5, 3), member(4, 1, 2), member(5, 5, 1), member(9, 1, 4)];
        let mut texts = Texts::with_room(&members);
        for (record, text) in [(9, "nine"), (2, "two"), (5, "5"), (4, "iv")] {
            assert!(texts.put(record, text.as_bytes(), record == 5));
        }
        assert_eq!(texts.bytes(), b"iv\xffnine\xfftwo\xff5\xff");
        let order: Vec<u64> = texts.in_order().map(|place| place.record).collect();
        assert_eq!(order, [4, 9, 2, 5]);
        for (at, record) in [(0, 4), (1, 4), (3, 9), (6, 9), (8, 2), (12, 5)] {
            assert_eq!(texts.holding(at).record, record);
        }
        assert!(texts.holding(12).stays_whole && !texts.holding(0).stays_whole);
        assert!(texts.has(9) && !texts.has(3));
        assert!(!texts.put(3, b"", false), "takes no part");
        assert!(!texts.put(4, b"iiii", false), "another length");
    }
}
