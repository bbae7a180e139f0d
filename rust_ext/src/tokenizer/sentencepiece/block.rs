//! Cuts in 64 bytes at once: each byte's class against what may follow the byte before it.

use super::classes::Joins;

/// Bytes that are looked at together.
pub(super) const BLOCK: usize = 64;

/// What ASCII characters join, in the form that the instructions of the machine want.
#[derive(Debug)]
pub(super) struct Block {
    classes: [u8; 128],
    followers: [u8; 128],
}

impl Block {
    pub(super) fn new(joins: impl Fn(u8) -> Joins) -> Self {
        let mut block = Self { classes: [0; 128], followers: [0; 128] };
        for byte in 0..128 {
            let joins = joins(byte);
            block.classes[usize::from(byte)] = joins.class;
            block.followers[usize::from(byte)] = joins.followers;
        }
        block
    }

    /// Returns the classes that may follow a character, which must be ASCII.
    #[inline]
    pub(super) fn followers(&self, byte: u8) -> u8 {
        self.followers[usize::from(byte & 127)]
    }

    /// Returns which bytes have a cut before them, and how many bytes that holds for.
    ///
    /// It holds up to the first byte that is no ASCII; the first bit is the first byte's, and no
    /// bit is set beyond. `followers` are the classes that may follow what stands before.
    #[inline]
    pub(super) fn cuts(&self, bytes: &[u8; BLOCK], followers: u8) -> (u64, usize) {
        let (cuts, others) = dispatch::cuts(self, bytes, followers);
        let num_ascii = others.trailing_zeros();
        let known = if num_ascii == 64 { u64::MAX } else { (1 << num_ascii) - 1 };
        (cuts & known, num_ascii as usize)
    }

    /// Returns a bit for each byte with a cut before it, and for each that is no ASCII; around
    /// these the cuts mean nothing.
    fn cuts_one_by_one(&self, bytes: &[u8; BLOCK], mut followers: u8) -> (u64, u64) {
        let (mut cuts, mut others) = (0, 0);
        for (at, &byte) in bytes.iter().enumerate() {
            cuts |= u64::from(self.classes[usize::from(byte & 127)] & followers == 0) << at;
            others |= u64::from(byte >> 7) << at;
            followers = self.followers(byte);
        }
        (cuts, others)
    }
}

/// The same for the instructions that the machine has; all give the same bits.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod dispatch {
    use std::arch::x86_64::{
        __m128i, __m256i, _mm_loadu_si128, _mm256_adds_epu8, _mm256_alignr_epi8, _mm256_and_si256,
        _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8,
        _mm256_or_si256, _mm256_permute2x128_si256, _mm256_set1_epi8, _mm256_setzero_si256,
        _mm256_shuffle_epi8, _mm256_xor_si256,
    };

    use super::{BLOCK, Block};

    #[inline]
    pub(super) fn cuts(block: &Block, bytes: &[u8; BLOCK], followers: u8) -> (u64, u64) {
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the machine has AVX2, which is all that the function asks for. Byte by byte
            // the same takes six times as long.
            unsafe { cuts_avx2(block, bytes, followers) }
        } else {
            block.cuts_one_by_one(bytes, followers)
        }
    }

    #[target_feature(enable = "avx2")]
    fn cuts_avx2(block: &Block, bytes: &[u8; BLOCK], followers: u8) -> (u64, u64) {
        let halves = bytes.as_chunks::<32>().0;
        let (low, high) = (load(&halves[0]), load(&halves[1]));
        let [(low_classes, low_followers), (high_classes, high_followers)] =
            look_up(block, [low, high]);
        let before = _mm256_set1_epi8(followers.cast_signed());
        let low_cuts = cuts_of(low_classes, before, low_followers);
        let high_cuts = cuts_of(high_classes, low_followers, high_followers);
        (low_cuts | high_cuts << 32, mask(low) | mask(high) << 32)
    }

    /// Returns the cuts in 32 bytes, given what may follow each of them and those before.
    #[target_feature(enable = "avx2")]
    fn cuts_of(classes: __m256i, followers_before: __m256i, followers: __m256i) -> u64 {
        let across = _mm256_permute2x128_si256::<0x21>(followers_before, followers);
        let shifted = _mm256_alignr_epi8::<15>(followers, across);
        let joined = _mm256_and_si256(classes, shifted);
        mask(_mm256_cmpeq_epi8(joined, _mm256_setzero_si256()))
    }

    /// Returns class and followers of each byte, 0 for one that is no ASCII.
    ///
    /// A shuffle looks up 16 entries by the low four bits and gives 0 where the highest is set:
    /// for each of the eight tables, the addition sets it in all bytes that belong to another.
    #[target_feature(enable = "avx2")]
    fn look_up(block: &Block, halves: [__m256i; 2]) -> [(__m256i, __m256i); 2] {
        let zero = _mm256_setzero_si256();
        let mut found = [(zero, zero); 2];
        let classes = block.classes.as_chunks::<16>().0;
        let followers = block.followers.as_chunks::<16>().0;
        for (number, (classes, followers)) in (0..).zip(classes.iter().zip(followers)) {
            let (classes, followers) = (load_twice(classes), load_twice(followers));
            for (bytes, found) in halves.iter().zip(&mut found) {
                let moved = _mm256_xor_si256(*bytes, _mm256_set1_epi8(number << 4));
                let index = _mm256_adds_epu8(moved, _mm256_set1_epi8(0x70));
                found.0 = _mm256_or_si256(found.0, _mm256_shuffle_epi8(classes, index));
                found.1 = _mm256_or_si256(found.1, _mm256_shuffle_epi8(followers, index));
            }
        }
        found
    }

    #[target_feature(enable = "avx2")]
    fn load(bytes: &[u8; 32]) -> __m256i {
        // SAFETY: an unaligned load of the 32 bytes that the reference is to.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast::<__m256i>()) }
    }

    #[target_feature(enable = "avx2")]
    fn load_twice(bytes: &[u8; 16]) -> __m256i {
        // SAFETY: an unaligned load of the 16 bytes that the reference is to.
        _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(bytes.as_ptr().cast::<__m128i>()) })
    }

    /// Returns the highest bit of each byte.
    #[target_feature(enable = "avx2")]
    fn mask(bytes: __m256i) -> u64 {
        u64::from(_mm256_movemask_epi8(bytes).cast_unsigned())
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod dispatch {
    use super::{BLOCK, Block};

    pub(super) fn cuts(block: &Block, bytes: &[u8; BLOCK], followers: u8) -> (u64, u64) {
        block.cuts_one_by_one(bytes, followers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn all_instructions_find_the_cuts_that_single_bytes_have(
            table in proptest::collection::vec((0u8..9, proptest::num::u8::ANY), 128),
            bytes in proptest::collection::vec(0u8..132, BLOCK),
            before in proptest::num::u8::ANY,
        ) {
            let block = Block::new(|byte| {
                let (class, followers) = table[usize::from(byte)];
                Joins { class: 1u8.checked_shl(class.into()).unwrap_or(0), followers }
            });
            let bytes: [u8; BLOCK] = bytes.try_into().expect("as many as a block has");
            let end = bytes.iter().position(|&byte| byte > 127).unwrap_or(BLOCK);
            let mut expected = 0;
            let mut followers = before;
            for (at, &byte) in bytes[..end].iter().enumerate() {
                let (class, next) = table[usize::from(byte)];
                let joined = class < 8 && followers >> class & 1 == 1;
                expected |= u64::from(!joined) << at;
                followers = next;
            }
            proptest::prop_assert_eq!(block.cuts(&bytes, before), (expected, end));
            let (cuts, others) = block.cuts_one_by_one(&bytes, before);
            let known = if end == BLOCK { u64::MAX } else { (1 << end) - 1 };
            proptest::prop_assert_eq!(cuts & known, expected);
            proptest::prop_assert_eq!(others.trailing_zeros() as usize, end);
        }
    }
}
