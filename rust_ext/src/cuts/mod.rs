//! What is cut out of texts: where, and where the same stays.
//!
//! A scope that removes parts of records ends in one file of cuts ([`file`]), ascending by record
//! and place. `drop` writes the lines without them ([`apply`]), and [`parquet`] tells users.

pub mod apply;
pub mod file;
pub mod gather;
pub mod losses;
pub mod parquet;

/// Bytes of a [`Cut`] in a file.
pub const CUT_BYTES: usize = 28;

/// A part of a record's text that goes, since a record that comes before it in order has it.
///
/// | offset | bytes | is |
/// |---|---|---|
/// | 0 | 8 | number of the record |
/// | 8 | 4 | first byte of the text that goes |
/// | 12 | 4 | one past the last |
/// | 16 | 8 | number of the record in which it stays, which may be the same one |
/// | 24 | 4 | first byte of it there |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cut {
    /// The record.
    pub record: u64,
    /// Where it begins in the text; a text is shorter than 4 GiB, as a line is.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
    /// The record in whose text it stays.
    pub survivor: u64,
    /// Where it begins there.
    pub survivor_start: u32,
}

impl Cut {
    /// Returns its bytes in a file.
    #[must_use]
    pub fn encode(&self) -> [u8; CUT_BYTES] {
        let mut row = [0; CUT_BYTES];
        row[..8].copy_from_slice(&self.record.to_le_bytes());
        row[8..12].copy_from_slice(&self.start.to_le_bytes());
        row[12..16].copy_from_slice(&self.end.to_le_bytes());
        row[16..24].copy_from_slice(&self.survivor.to_le_bytes());
        row[24..].copy_from_slice(&self.survivor_start.to_le_bytes());
        row
    }

    /// Reads it back.
    #[must_use]
    pub fn decode(row: &[u8; CUT_BYTES]) -> Self {
        let long = |at: usize| u64::from(word(row, at)) | u64::from(word(row, at + 4)) << 32;
        Self {
            record: long(0),
            start: word(row, 8),
            end: word(row, 12),
            survivor: long(16),
            survivor_start: word(row, 24),
        }
    }
}

fn word(row: &[u8; CUT_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_reads_back_and_its_bytes_are_pinned() {
        let cut = Cut {
            record: 0x0102_0304_0506_0708,
            start: 0x1112_1314,
            end: u32::MAX,
            survivor: u64::MAX - 1,
            survivor_start: 5,
        };
        assert_eq!(Cut::decode(&cut.encode()), cut);
        let bytes = [8, 7, 6, 5, 4, 3, 2, 1, 0x14, 0x13, 0x12, 0x11, 255, 255, 255, 255];
        assert_eq!(cut.encode()[..16], bytes);
        assert_eq!(cut.encode()[16..], [254, 255, 255, 255, 255, 255, 255, 255, 5, 0, 0, 0]);
    }
}
