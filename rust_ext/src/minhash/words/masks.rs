//! 64 bytes at a time: which of them are ASCII characters of words, and where words begin and end.

use super::characters::{self, ALONE, OTHER, RESIZED};

/// Bytes of a block: one bit each in a mask.
pub(super) const BLOCK: usize = 64;

/// Most words that begin or end in a block: every second byte.
pub(super) const MOST_WORDS: usize = BLOCK / 2;

/// What is known of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Masks {
    /// ASCII letters and digits, and the low line.
    pub(super) words: u64,
    /// First bytes of characters that are not ASCII.
    pub(super) leads: u64,
    /// The bytes behind these.
    pub(super) tails: u64,
}

/// First bytes of characters that are not ASCII, by their class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Firsts {
    /// Of all classes but `OTHER`.
    pub(super) words: u64,
    /// Of the class `ALONE`.
    pub(super) alone: u64,
    /// Of the class `RESIZED` and those above.
    pub(super) changed: u64,
}

/// The instructions by which blocks are looked at.
pub(super) trait Machine {
    /// Returns the masks of a block and writes it with the bit 0x20 of all ASCII bytes set.
    fn masks(block: &[u8; BLOCK], lowered: &mut [u8; BLOCK]) -> Masks;

    /// Returns the classes of the characters of a block that begin at the bits of `leads` and are
    /// whole.
    #[inline(always)]
    fn classes(block: &[u8; BLOCK], leads: u64) -> Firsts {
        each_class(block, leads)
    }

    /// Writes the positions of the bits of `mask`, at most [`MOST_WORDS`], each plus `offset`.
    ///
    /// What stands in `positions` behind them may be overwritten.
    fn positions(mask: u64, offset: u16, positions: &mut [u16; MOST_WORDS]);
}

/// Looks at one character after another, without branches: what classes the characters of a text
/// are of cannot be foreseen.
#[inline(always)]
pub(super) fn each_class(block: &[u8; BLOCK], leads: u64) -> Firsts {
    let mut firsts = Firsts::default();
    let mut left = leads;
    while left != 0 {
        let at = left.trailing_zeros();
        left &= left - 1;
        let class = characters::class(characters::number_at(block, at as usize));
        firsts.words |= u64::from(class != OTHER) << at;
        firsts.alone |= u64::from(class == ALONE) << at;
        firsts.changed |= u64::from(class >= RESIZED) << at;
    }
    firsts
}

/// Whether a byte is an ASCII character of words.
pub(super) const IS_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_';
        byte += 1;
    }
    table
};

/// What every machine can do.
pub(super) struct Portable;

impl Machine for Portable {
    #[inline(always)]
    fn masks(block: &[u8; BLOCK], lowered: &mut [u8; BLOCK]) -> Masks {
        let mut masks = Masks { words: 0, leads: 0, tails: 0 };
        for (at, (&byte, lowered)) in block.iter().zip(lowered).enumerate() {
            masks.words |= u64::from(IS_WORD[usize::from(byte)]) << at;
            masks.leads |= u64::from(byte >= 0xc0) << at;
            masks.tails |= u64::from((0x80..0xc0).contains(&byte)) << at;
            *lowered = byte | (!byte >> 2 & 0x20);
        }
        masks
    }

    #[inline(always)]
    fn positions(mask: u64, offset: u16, positions: &mut [u16; MOST_WORDS]) {
        let mut left = mask;
        // Eight at a time without a branch: how many there are cannot be foreseen.
        for eight in positions.as_chunks_mut::<8>().0 {
            for position in eight {
                #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
                let at = left.trailing_zeros() as u16;
                *position = offset.wrapping_add(at);
                left &= left.wrapping_sub(1);
            }
            if left == 0 {
                return;
            }
        }
    }
}
