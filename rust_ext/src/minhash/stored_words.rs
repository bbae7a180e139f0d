//! Words as they are stored: 4 bytes each, the lowest first, and 32 bits that check them.
//!
//! They are looked at as bytes where they lie: of all that is made of a text they take the most, and
//! each copy of them would show.
#![allow(unsafe_code)]

use xxhash_rust::xxh3::xxh3_64;

/// Turns words into what is stored, or back: nothing is done where memory has the lowest byte first.
pub(super) fn swap(words: &mut [u32]) {
    for word in words {
        *word = word.to_le();
    }
}

/// Returns the bytes of words that are as they are stored.
pub(super) fn bytes(words: &[u32]) -> &[u8] {
    // SAFETY: every byte of a number is initialised, and bytes have no alignment.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

/// Returns the bytes of words, to read stored ones into.
pub(super) fn bytes_mut(words: &mut [u32]) -> &mut [u8] {
    // SAFETY: as above, and any four bytes are a number.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}

/// Returns what an entry holds of its words, which are as they are stored.
#[allow(clippy::cast_possible_truncation)] // the lower half is what is wanted
pub(super) fn check(words: &[u32]) -> u32 {
    xxh3_64(bytes(words)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_words_are_their_bytes_lowest_first() {
        let mut words = vec![0x0403_0201, 0xfffe_fdfc];
        swap(&mut words);
        assert_eq!(bytes(&words), [1, 2, 3, 4, 0xfc, 0xfd, 0xfe, 0xff]);
        let mut read = vec![0; 2];
        bytes_mut(&mut read).copy_from_slice(bytes(&words));
        let hash = xxh3_64(&[1, 2, 3, 4, 0xfc, 0xfd, 0xfe, 0xff]);
        assert_eq!(u64::from(check(&read)), hash & u64::from(u32::MAX));
        swap(&mut read);
        assert_eq!(read, [0x0403_0201, 0xfffe_fdfc]);
    }
}
