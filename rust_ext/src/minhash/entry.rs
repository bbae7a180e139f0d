//! What is kept of a line beside its words and its keys.

use super::sections::number;

/// Bytes of an [`Entry`].
pub const ENTRY_BYTES: usize = 36;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A record.
    Record = 0,
    /// A record without text, dropped.
    EmptyText = 1,
    /// Unreadable, in the rejected file.
    Rejected = 2,
}

/// What is kept of a line.
///
/// | offset | bytes | is |
/// |---|---|---|
/// | 0 | 8 | bytes of text |
/// | 8 | 8 | the key that orders records, smallest first: see [`super::keep`] |
/// | 16 | 8 | index of its first word in the file of words |
/// | 24 | 4 | number of its words; 0: never a near-duplicate |
/// | 28 | 4 | lower half of the xxh3 of its words, 4 bytes each |
/// | 32 | 4 | status in the upper 2 bits, number of the share in the lower 30 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Bytes of text.
    pub text_bytes: u64,
    /// Of records that are alike, the one with the smallest key stays, then the first.
    pub keep_key: u64,
    /// Index of its first word among those of the unit.
    pub words_at: u64,
    /// Number of its words.
    pub words: u32,
    /// Lower half of the xxh3 of its words.
    pub words_check: u32,
    /// Index into [`super::unit_file::UnitSummary::shares`].
    pub share: u32,
    /// What the line is.
    pub status: Status,
}

impl Entry {
    /// A line that is no record.
    pub(super) const NONE: Self = Self {
        text_bytes: 0,
        keep_key: 0,
        words_at: 0,
        words: 0,
        words_check: 0,
        share: 0,
        status: Status::Rejected,
    };

    /// Appends its 36 bytes.
    pub(super) fn encode(&self, to: &mut Vec<u8>) {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&self.text_bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.keep_key.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.words_at.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.words.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.words_check.to_le_bytes());
        let last = (self.status as u32) << 30 | self.share;
        bytes[32..].copy_from_slice(&last.to_le_bytes());
        to.extend_from_slice(&bytes);
    }

    #[allow(clippy::cast_possible_truncation)] // two numbers of 32 bits in one word
    pub(super) fn decode(bytes: &[u8]) -> Self {
        let words = number(bytes, 24);
        let last = (number(bytes, 28) >> 32) as u32;
        Self {
            text_bytes: number(bytes, 0),
            keep_key: number(bytes, 8),
            words_at: number(bytes, 16),
            words: words as u32,
            words_check: (words >> 32) as u32,
            share: last & 0x3fff_ffff,
            status: match last >> 30 {
                0 => Status::Record,
                1 => Status::EmptyText,
                _ => Status::Rejected,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back() {
        for (status, share) in
            [(Status::Record, 0), (Status::EmptyText, 0x3fff_ffff), (Status::Rejected, 5)]
        {
            let entry = Entry {
                text_bytes: 1 << 40,
                keep_key: u64::MAX - 1,
                words_at: 0x0123_4567_89ab_cdef,
                words: u32::MAX,
                words_check: 0x1122_3344,
                share,
                status,
            };
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            assert_eq!(bytes.len(), ENTRY_BYTES);
            assert_eq!(Entry::decode(&bytes), entry);
        }
    }
}
