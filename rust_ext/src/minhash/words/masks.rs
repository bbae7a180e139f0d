//! 64 bytes at a time: which of them are ASCII characters of words, and where words begin and end.
#![allow(unsafe_code)]

/// Bytes of a block: one bit each in a mask.
pub(super) const BLOCK: usize = 64;

/// Most words that begin or end in a block: every second byte.
pub(super) const MOST_WORDS: usize = BLOCK / 2;

/// What is known of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Masks {
    /// ASCII letters and digits, and the low line.
    pub(super) words: u64,
    /// Bytes of characters that are not ASCII.
    pub(super) high: u64,
}

/// The instructions by which blocks are looked at.
pub(super) trait Machine {
    /// Returns the masks of a block and writes it with the bit 0x20 of all ASCII bytes set.
    fn masks(block: &[u8; BLOCK], lowered: &mut [u8; BLOCK]) -> Masks;

    /// Writes the positions of the bits of `mask`, at most [`MOST_WORDS`], each plus `offset`.
    ///
    /// What stands in `positions` behind them may be overwritten.
    fn positions(mask: u64, offset: u16, positions: &mut [u16; MOST_WORDS]);
}

/// Whether a byte is an ASCII character of words.
const IS_WORD: [bool; 256] = {
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
        let mut masks = Masks { words: 0, high: 0 };
        for (at, (&byte, lowered)) in block.iter().zip(lowered).enumerate() {
            masks.words |= u64::from(IS_WORD[usize::from(byte)]) << at;
            masks.high |= u64::from(byte >> 7) << at;
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

#[cfg(target_arch = "x86_64")]
pub(super) use vectors::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod vectors {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_and_si256, _mm256_andnot_si256,
        _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_set1_epi8, _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8,
        _mm256_srli_epi16, _mm256_storeu_si256, _mm512_add_epi16, _mm512_castsi512_si256,
        _mm512_cvtepu8_epi16, _mm512_loadu_si512, _mm512_maskz_set1_epi8, _mm512_or_si512, _mm512_maskz_compress_epi8,
        _mm512_movepi8_mask, _mm512_permutex2var_epi8, _mm512_set1_epi16,
        _mm512_storeu_si512,
    };

    use super::{BLOCK, IS_WORD, MOST_WORDS, Machine, Masks, Portable};

    /// What machines with AVX2 can do; only to be used there.
    pub(in super::super) struct Avx2;

    /// What machines with AVX-512 can do; only to be used there.
    pub(in super::super) struct Avx512;

    impl Machine for Avx2 {
        #[inline(always)]
        fn masks(block: &[u8; BLOCK], lowered: &mut [u8; BLOCK]) -> Masks {
            // SAFETY: the type is only used on machines that have the instructions.
            unsafe { masks_avx2(block, lowered) }
        }

        #[inline(always)]
        fn positions(mask: u64, offset: u16, positions: &mut [u16; MOST_WORDS]) {
            Portable::positions(mask, offset, positions);
        }
    }

    impl Machine for Avx512 {
        #[inline(always)]
        fn masks(block: &[u8; BLOCK], lowered: &mut [u8; BLOCK]) -> Masks {
            // SAFETY: the type is only used on machines that have the instructions.
            unsafe { masks_avx512(block, lowered) }
        }

        #[inline(always)]
        fn positions(mask: u64, offset: u16, positions: &mut [u16; MOST_WORDS]) {
            // SAFETY: the type is only used on machines that have the instructions.
            unsafe { positions_avx512(mask, offset, positions) }
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn masks_avx2(block: &[u8; BLOCK], lowered: &mut [u8; BLOCK]) -> Masks {
        let mut masks = Masks { words: 0, high: 0 };
        let halves = block.as_chunks::<32>().0.iter().zip(lowered.as_chunks_mut::<32>().0);
        for (number, (half, lowered)) in halves.enumerate() {
            // SAFETY: 32 bytes are there to read.
            let bytes = unsafe { _mm256_loadu_si256(half.as_ptr().cast::<__m256i>()) };
            let high = _mm256_movemask_epi8(bytes).cast_unsigned();
            let others = _mm256_movemask_epi8(others_avx2(bytes)).cast_unsigned();
            masks.high |= u64::from(high) << (32 * number);
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
    fn others_avx2(bytes: __m256i) -> __m256i {
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

    /// [`IS_WORD`] of the ASCII bytes as bit 7, in two vectors.
    static WORD_BITS: [[u8; BLOCK]; 2] = {
        let mut bits = [[0; BLOCK]; 2];
        let mut byte = 0;
        while byte < 2 * BLOCK {
            bits[byte / BLOCK][byte % BLOCK] = if IS_WORD[byte] { 0x80 } else { 0 };
            byte += 1;
        }
        bits
    };

    static COUNT: [u8; BLOCK] = {
        let mut count = [0; BLOCK];
        let mut at = 0;
        while at < 64_u8 {
            count[at as usize] = at;
            at += 1;
        }
        count
    };

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn load(bytes: &[u8; BLOCK]) -> __m512i {
        // SAFETY: 64 bytes are there to read.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast::<__m512i>()) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    #[inline]
    fn masks_avx512(block: &[u8; BLOCK], lowered: &mut [u8; BLOCK]) -> Masks {
        let bytes = load(block);
        let high = _mm512_movepi8_mask(bytes);
        let found = _mm512_permutex2var_epi8(load(&WORD_BITS[0]), bytes, load(&WORD_BITS[1]));
        let bytes = _mm512_or_si512(bytes, _mm512_maskz_set1_epi8(!high, 0x20));
        // SAFETY: 64 bytes are there to write.
        unsafe { _mm512_storeu_si512(lowered.as_mut_ptr().cast::<__m512i>(), bytes) };
        Masks { words: _mm512_movepi8_mask(found) & !high, high }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2")]
    #[inline]
    fn positions_avx512(mask: u64, offset: u16, positions: &mut [u16; MOST_WORDS]) {
        let found = _mm512_castsi512_si256(_mm512_maskz_compress_epi8(mask, load(&COUNT)));
        let offset = _mm512_set1_epi16(offset.cast_signed());
        let found = _mm512_add_epi16(_mm512_cvtepu8_epi16(found), offset);
        // SAFETY: 64 bytes are there to write.
        unsafe { _mm512_storeu_si512(positions.as_mut_ptr().cast::<__m512i>(), found) };
    }
}
