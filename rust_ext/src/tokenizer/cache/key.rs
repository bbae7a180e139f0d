//! Short words as numbers: their bytes, zeros, and their length in the last byte.

/// Longest word, in bytes, whose key has two words of 64 bits.
pub(super) const SHORT_BYTES: usize = 15;
/// Longest word, in bytes, whose key has four.
pub(super) const MIDDLE_BYTES: usize = 31;

/// Set in the last word of a key whose ids are too many for its slot.
pub(super) const ELSEWHERE: u64 = 1 << 63;

const LENGTH_SHIFT: usize = 56;

/// Returns a mask of the lowest bytes of two words, by their number.
const MASKS: [[u64; 2]; 16] = {
    let mut masks = [[0, 0]; 16];
    let mut length = 0;
    while length < 16 {
        masks[length][0] = if length >= 8 { !0 } else { (1 << (8 * length)) - 1 };
        masks[length][1] = if length <= 8 { 0 } else { (1 << (8 * (length - 8))) - 1 };
        length += 1;
    }
    masks
};

/// Returns the key of the word of 1 to 15 bytes at `text[start..]`.
#[inline(always)]
pub(super) fn short(text: &[u8], start: usize, length: usize) -> [u64; 2] {
    let mask = MASKS[length & SHORT_BYTES];
    let bytes = if let Some(bytes) = text[start..].first_chunk::<16>() {
        *bytes
    } else {
        let mut bytes = [0; 16];
        bytes[..length].copy_from_slice(&text[start..start + length]);
        bytes
    };
    let [low, high] = words(bytes);
    [low & mask[0], high & mask[1] | (length as u64) << LENGTH_SHIFT]
}

/// Returns the key of a word of 16 to 31 bytes.
#[inline]
pub(super) fn middle(word: &[u8]) -> [u64; 4] {
    let mut rest = [0; 16];
    let (first, behind) = word.split_at(16);
    rest[..behind.len()].copy_from_slice(behind);
    let [a, b] = words(first.try_into().unwrap_or_default());
    let [c, d] = words(rest);
    [a, b, c, d | (word.len() as u64) << LENGTH_SHIFT]
}

#[inline(always)]
fn words(bytes: [u8; 16]) -> [u64; 2] {
    let all = u128::from_le_bytes(bytes);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    [all as u64, (all >> 64) as u64]
}

/// Returns a hash of a short key; every bit of it depends on every bit of the key.
#[inline(always)]
pub(super) fn hash_short(key: [u64; 2]) -> usize {
    fold(key[0] ^ 0x9E37_79B9_7F4A_7C15, key[1] ^ 0xD1B5_4A32_D192_ED03)
}

/// Returns a hash of a middle key.
#[inline(always)]
pub(super) fn hash_middle(key: [u64; 4]) -> usize {
    let first = fold(key[0] ^ 0x9E37_79B9_7F4A_7C15, key[1] ^ 0xD1B5_4A32_D192_ED03) as u64;
    fold(key[2] ^ first ^ 0xA076_1D64_78BD_642F, key[3] ^ 0xE703_7ED1_A0B4_28DB)
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the halves of a product, the bits of a hash")]
fn fold(left: u64, right: u64) -> usize {
    let product = u128::from(left) * u128::from(right);
    (product as u64 ^ (product >> 64) as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_zero_bytes_and_lengths_apart() {
        let text = [0u8; 40];
        let keys: Vec<_> = (1..=SHORT_BYTES).map(|length| short(&text, 3, length)).collect();
        assert!(keys.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(short(b"abc", 1, 2), short(b"bcdefghijklmnopqrst", 0, 2));
        let keys: Vec<_> = (16..=MIDDLE_BYTES).map(|length| middle(&text[..length])).collect();
        assert!(keys.windows(2).all(|pair| pair[0] != pair[1] && pair[0][3] & ELSEWHERE == 0));
    }
}
