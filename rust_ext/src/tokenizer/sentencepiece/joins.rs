//! Which characters stand next to each other inside some piece.
//!
//! A merge joins two neighbours only to a piece, so none ever crosses the boundary between two
//! characters that no piece holds side by side: a text may be cut there, and each part encoded
//! alone.

use std::collections::HashSet;

use super::META_SPACE;
use crate::tokenizer::stored::{SectionReader, Sections, Stored};

/// A text may be cut between the two.
pub(super) const CUT: u8 = 1;
/// Both are spaces.
pub(super) const SPACES: u8 = 2;

/// Bits of the filter for each pair in it: so few are set that one in 32 is found by mistake.
const FILTER_BITS: usize = 32;

/// The pairs of neighbours in pieces: exact for ASCII, a hashed filter for all others.
///
/// A pair that the filter has by mistake costs a cut, never an id.
#[derive(Debug)]
pub(super) struct Joins {
    /// By left and right character: [`CUT`] unless some piece holds the pair, and [`SPACES`].
    ascii: Box<[[u8; 128]; 128]>,
    filter: Vec<u64>,
    shift: u32,
}

impl Joins {
    /// Makes the set of all neighbours in `pieces`, in which U+2581 may stand for any space.
    pub(super) fn new<'p>(pieces: impl Iterator<Item = &'p str>) -> Self {
        let neighbours = pieces.flat_map(|piece| piece.chars().zip(piece.chars().skip(1)));
        let pairs: HashSet<(char, char)> = neighbours
            .flat_map(|(left, right)| spellings(left).map(move |left| (left, right)))
            .flat_map(|(left, right)| spellings(right).map(move |right| (left, right)))
            .collect();
        let others = pairs.iter().filter(|(left, right)| !(left.is_ascii() && right.is_ascii()));
        let num_bits = (others.count() * FILTER_BITS).next_power_of_two().max(64);
        let mut joins = Self {
            ascii: Box::new([[CUT; 128]; 128]),
            filter: vec![0; num_bits / 64],
            shift: 64 - num_bits.ilog2(),
        };
        for (left, right) in pairs {
            joins.insert(u32::from(left), u32::from(right));
        }
        joins.ascii[usize::from(b' ')][usize::from(b' ')] |= SPACES;
        joins
    }

    fn insert(&mut self, left: u32, right: u32) {
        if left | right < 128 {
            self.ascii[left as usize][right as usize] &= !CUT;
        } else {
            let bit = self.bit(left, right);
            self.filter[bit / 64] |= 1 << (bit % 64);
        }
    }

    /// Returns [`CUT`] if a text may be cut between two ASCII characters, and [`SPACES`] if both
    /// are spaces.
    ///
    /// Of other bytes only the lower seven bits count.
    #[inline]
    pub(super) fn pair_in_ascii(&self, left: u8, right: u8) -> u8 {
        self.ascii[usize::from(left & 127)][usize::from(right & 127)]
    }

    /// Says whether some piece may hold these two code points side by side.
    #[inline]
    pub(super) fn has(&self, left: u32, right: u32) -> bool {
        if left | right < 128 {
            return self.ascii[left as usize][right as usize] & CUT == 0;
        }
        let bit = self.bit(left, right);
        self.filter[bit / 64] >> (bit % 64) & 1 == 1
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the shift leaves an index")]
    fn bit(&self, left: u32, right: u32) -> usize {
        let pair = u64::from(left) << 32 | u64::from(right);
        (pair.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }
}

impl Stored for Joins {
    fn store(&self, sections: &mut Sections) {
        sections.put(self.ascii.iter().copied());
        sections.put(self.filter.iter().copied());
    }

    fn restore(sections: &mut SectionReader<'_>) -> Option<Self> {
        let (ascii, filter) = (sections.take::<[u8; 128]>()?, sections.take::<u64>()?);
        let is_sound = ascii.as_flattened().iter().all(|&pair| pair <= (CUT | SPACES))
            && filter.len().is_power_of_two();
        is_sound.then_some(())?;
        let shift = 64 - (filter.len() * 64).ilog2();
        Some(Self { ascii: ascii.into_boxed_slice().try_into().ok()?, filter, shift })
    }
}

/// Returns the two spellings of a space, or a character alone, twice.
fn spellings(c: char) -> std::array::IntoIter<char, 2> {
    [c, if c == ' ' { META_SPACE } else { c }].into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_in_a_piece_joins_and_hardly_any_other() {
        let pieces = [" the", "ing", "...", ").", " (", "  ", "été", "слово", "7", "中"];
        let joins = Joins::new(pieces.into_iter());
        let joined = |left: char, right: char| joins.has(left as u32, right as u32);
        for piece in pieces {
            let mut pairs = piece.chars().zip(piece.chars().skip(1));
            assert!(pairs.all(|(left, right)| joined(left, right)), "{piece:?}");
        }
        for (left, right) in [('g', '.'), (')', 'e'), ('7', '7'), ('e', ' '), ('e', 't')] {
            assert!(!joined(left, right), "{left:?} {right:?}");
            assert_eq!(joins.pair_in_ascii(left as u8, right as u8), CUT, "{left:?} {right:?}");
        }
        assert_eq!(joins.pair_in_ascii(b't', b'h'), 0);
        assert_eq!(joins.pair_in_ascii(b' ', b' '), SPACES);
        assert!(joined(META_SPACE, 't') && joined(' ', META_SPACE) && !joined('e', META_SPACE));
        let by_mistake = ('一'..='龥').filter(|&c| joined(c, '中') || joined('中', c)).count();
        assert!(by_mistake < 20_902 / 4, "{by_mistake}");
    }
}
