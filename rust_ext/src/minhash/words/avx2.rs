//! [`super::masks`] with AVX2: 32 bytes at a time.
#![allow(unsafe_code)]
#![allow(clippy::cast_ptr_alignment)] // loads and stores that need none

use std::arch::x86_64::{
    __m256i, _mm256_and_si256, _mm256_andnot_si256, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8,
    _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_setr_epi8,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16, _mm256_storeu_si256,
};

use super::masks::{BLOCK, MOST_WORDS, Machine, Masks, Portable};

/// What machines with AVX2 can do; only to be used there.
pub(super) struct Avx2;

impl Machine for Avx2 {
    #[inline(always)]
    fn masks(block: &[u8; BLOCK], lowered: &mut [u8; BLOCK]) -> Masks {
        // SAFETY: the type is only used on machines that have the instructions.
        unsafe { look(block, lowered) }
    }

    #[inline(always)]
    fn positions(mask: u64, offset: u16, positions: &mut [u16; MOST_WORDS]) {
        Portable::positions(mask, offset, positions);
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn look(block: &[u8; BLOCK], lowered: &mut [u8; BLOCK]) -> Masks {
    let mut masks = Masks { words: 0, leads: 0, tails: 0 };
    let halves = block.as_chunks::<32>().0.iter().zip(lowered.as_chunks_mut::<32>().0);
    for (number, (half, lowered)) in halves.enumerate() {
        // SAFETY: 32 bytes are there to read.
        let bytes = unsafe { _mm256_loadu_si256(half.as_ptr().cast::<__m256i>()) };
        let high = _mm256_movemask_epi8(bytes).cast_unsigned();
        // As signed numbers: tails, leads, ASCII.
        let tails = _mm256_cmpgt_epi8(_mm256_set1_epi8(0xc0_u8.cast_signed()), bytes);
        let tails = _mm256_movemask_epi8(tails).cast_unsigned();
        let others = _mm256_movemask_epi8(others(bytes)).cast_unsigned();
        masks.leads |= u64::from(high & !tails) << (32 * number);
        masks.tails |= u64::from(tails) << (32 * number);
        masks.words |= u64::from(!others) << (32 * number);
        // Bit 7 is set where the bit 0x20 is to stay as it is.
        let bit = _mm256_srli_epi16::<2>(_mm256_andnot_si256(bytes, _mm256_set1_epi8(-128)));
        let bytes = _mm256_or_si256(bytes, bit);
        // SAFETY: 32 bytes are there to write.
        unsafe { _mm256_storeu_si256(lowered.as_mut_ptr().cast::<__m256i>(), bytes) };
    }
    masks
}

/// Returns all bits of each byte that is no ASCII character of words.
///
/// Both halves of a byte are looked up, as is done for classes of bytes since Mula: they share
/// a bit if the byte is of a class. Bit 0: digits; 1: letters of the rows 4 and 6; 2: those of
/// the rows 5 and 7; 3: the low line.
#[target_feature(enable = "avx2")]
#[inline]
fn others(bytes: __m256i) -> __m256i {
    #[rustfmt::skip]
    let of_low = _mm256_setr_epi8(
        5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 6, 2, 2, 2, 2, 10,
        5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 6, 2, 2, 2, 2, 10,
    );
    #[rustfmt::skip]
    let of_high = _mm256_setr_epi8(
        0, 0, 0, 1, 2, 12, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 1, 2, 12, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0,
    );
    // A byte beyond ASCII finds nothing in the first table: its bit 7 is set.
    let low = _mm256_shuffle_epi8(of_low, bytes);
    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(15));
    let shared = _mm256_and_si256(low, _mm256_shuffle_epi8(of_high, high));
    _mm256_cmpeq_epi8(shared, _mm256_setzero_si256())
}
