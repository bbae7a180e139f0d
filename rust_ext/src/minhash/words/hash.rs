//! The hash of a word: 32 bits, never 0.
//!
//! The bytes of the lower-cased word, 16 at a time, the last of them filled up with zeros, are two
//! numbers of 64 bits; one multiplication to 128 bits folds them into the hash so far. An ASCII
//! byte counts with its bit 0x20 set, which lower-cases letters, leaves digits as they are and
//! turns the low line into 0x7f, which no word holds otherwise: so a whole word is lower-cased by
//! one instruction. No word holds a zero byte, so the filling cannot make two words one.

/// Bytes that go into the hash at a time.
pub(super) const CHUNK: usize = 16;

const LOW: u64 = 0x2d35_8dcc_aa6c_78a5;
const HIGH: u64 = 0x8bb8_4b93_962e_acc9;

/// Returns the hash so far with 16 more bytes.
#[inline(always)]
pub(super) fn add(hash: u64, low: u64, high: u64) -> u64 {
    let product = u128::from(low ^ LOW ^ hash) * u128::from(high ^ HIGH);
    #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
    let folded = product as u64 ^ (product >> 64) as u64;
    folded
}

/// Returns the hash of a word of which all bytes were added.
#[inline(always)]
pub(super) fn finish(hash: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
    let folded = (hash ^ hash >> 32) as u32;
    folded.max(1)
}

/// The hash of a word that comes byte by byte.
#[derive(Clone, Debug, Default)]
pub(super) struct WordHasher {
    hash: u64,
    chunk: [u8; CHUNK],
    length: usize,
}

impl WordHasher {
    /// Adds a character of the word, in lower case.
    pub(super) fn push(&mut self, character: char) {
        let mut bytes = [0; 4];
        for &byte in character.encode_utf8(&mut bytes).as_bytes() {
            if self.length == CHUNK {
                self.fold();
            }
            self.chunk[self.length] = if byte.is_ascii() { byte | 0x20 } else { byte };
            self.length += 1;
        }
    }

    /// Returns the hash of the word; what follows begins another.
    pub(super) fn take(&mut self) -> u32 {
        self.fold();
        finish(std::mem::take(&mut self.hash))
    }

    fn fold(&mut self) {
        let both = u128::from_le_bytes(std::mem::take(&mut self.chunk));
        #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
        let (low, high) = (both as u64, (both >> 64) as u64);
        self.hash = add(self.hash, low, high);
        self.length = 0;
    }
}
