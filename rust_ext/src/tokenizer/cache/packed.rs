//! Ids packed into a slot: six of 20 bits and their number in 16 bytes.

/// Ids that 16 bytes hold.
pub(super) const PACKED: usize = 6;
/// Ids from here on do not fit.
const LIMIT: u32 = 1 << 20;
const ID_BITS: usize = 20;
const COUNT_SHIFT: usize = 120;

/// Packs at most [`PACKED`] ids, unless one is too large.
pub(super) fn pack(ids: &[u32]) -> Option<[u64; 2]> {
    if ids.len() > PACKED || ids.iter().any(|&id| id >= LIMIT) {
        return None;
    }
    let mut packed = (ids.len() as u128) << COUNT_SHIFT;
    for (index, &id) in ids.iter().enumerate() {
        packed |= u128::from(id) << (ID_BITS * index);
    }
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    Some([packed as u64, (packed >> 64) as u64])
}

/// Returns how many ids are packed.
#[inline(always)]
pub(super) fn count(packed: [u64; 2]) -> usize {
    (packed[1] >> (COUNT_SHIFT - 64)) as usize
}

/// Unpacks eight ids, of which the first [`count`] are meant.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "20 bits are taken")]
pub(super) fn unpack(packed: [u64; 2]) -> [u32; 8] {
    let packed = u128::from(packed[0]) | u128::from(packed[1]) << 64;
    let id = |index: usize| (packed >> (ID_BITS * index)) as u32 & (LIMIT - 1);
    [id(0), id(1), id(2), id(3), id(4), id(5), 0, 0]
}

/// Appends the ids of all the pairs of words in `packed`.
pub(super) fn push_unpacked(packed: &[u64], out: &mut Vec<u32>) {
    for pair in packed.chunks_exact(2) {
        let pair = [pair[0], pair[1]];
        out.extend_from_slice(&unpack(pair)[..count(pair)]);
    }
}

/// As [`unpack`], in a few instructions.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
#[allow(unsafe_code)]
pub(super) fn unpack_avx2(packed: [u64; 2]) -> [u32; 8] {
    use std::arch::x86_64::{
        _mm_set_epi64x, _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_set1_epi32,
        _mm256_setr_epi8, _mm256_setr_epi32, _mm256_shuffle_epi8, _mm256_srlv_epi32,
    };
    let both = _mm_set_epi64x(packed[1].cast_signed(), packed[0].cast_signed());
    // The four bytes that hold id `i` begin at byte 2.5 i, every second one in the middle.
    #[rustfmt::skip]
    let bytes = _mm256_setr_epi8(
        0, 1, 2, 3, 2, 3, 4, 5, 5, 6, 7, 8, 7, 8, 9, 10,
        10, 11, 12, 13, 12, 13, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1,
    );
    let windows = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(both), bytes);
    let shifted = _mm256_srlv_epi32(windows, _mm256_setr_epi32(0, 4, 0, 4, 0, 4, 0, 0));
    let ids = _mm256_and_si256(shifted, _mm256_set1_epi32((LIMIT - 1).cast_signed()));
    // SAFETY: 32 bytes either way, and any bits are numbers.
    unsafe { std::mem::transmute(ids) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_in_order_either_way() {
        let ids = [0, LIMIT - 1, 1, 0x5_5555, 0xA_AAAA, 77];
        for length in 0..=PACKED {
            let packed = pack(&ids[..length]).unwrap();
            assert_eq!(count(packed), length);
            assert_eq!(unpack(packed)[..length], ids[..length]);
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            if crate::simd::here() >= crate::simd::Level::Avx2 {
                // SAFETY: just looked.
                assert_eq!(unsafe { unpack_avx2(packed) }, unpack(packed));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(pack(&[LIMIT]), None);
        assert_eq!(pack(&[1; PACKED + 1]), None);
    }
}
