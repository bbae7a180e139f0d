//! 64 bytes at a time: which of them are ASCII characters of words, and where words begin and end.
#![allow(unsafe_code)]

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
fn each_class(block: &[u8; BLOCK], leads: u64) -> Firsts {
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

#[cfg(target_arch = "x86_64")]
pub(super) use vectors::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod vectors {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_and_si256, _mm256_andnot_si256, _mm256_cmpeq_epi8,
        _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_set1_epi8, _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8,
        _mm256_srli_epi16, _mm256_storeu_si256, _mm512_add_epi8, _mm512_add_epi16,
        _mm512_and_si512, _mm512_castsi512_si128, _mm512_castsi512_si256, _mm512_cmpeq_epi32_mask,
        _mm512_cmpge_epu32_mask, _mm512_cmpgt_epu32_mask, _mm512_cmplt_epi8_mask,
        _mm512_cvtepu8_epi16, _mm512_cvtepu8_epi32, _mm512_extracti32x4_epi32, _mm512_loadu_si512,
        _mm512_mask_mov_epi32, _mm512_maskz_compress_epi8, _mm512_maskz_set1_epi8,
        _mm512_movepi8_mask, _mm512_mullo_epi32, _mm512_or_si512, _mm512_permutex2var_epi8,
        _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_set1_epi32,
        _mm512_slli_epi32, _mm512_srli_epi32, _mm512_storeu_si512, _pdep_u64,
    };

    use super::super::characters::{self, ALONE, OTHER, RESIZED};
    use super::{BLOCK, Firsts, IS_WORD, MOST_WORDS, Machine, Masks, Portable};

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
        fn classes(block: &[u8; BLOCK], leads: u64) -> Firsts {
            // A few are looked up sooner one by one.
            if leads.count_ones() < 5 {
                return super::each_class(block, leads);
            }
            // SAFETY: the type is only used on machines that have the instructions.
            unsafe { classes_avx512(block, leads) }
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
        let mut masks = Masks { words: 0, leads: 0, tails: 0 };
        let halves = block.as_chunks::<32>().0.iter().zip(lowered.as_chunks_mut::<32>().0);
        for (number, (half, lowered)) in halves.enumerate() {
            // SAFETY: 32 bytes are there to read.
            let bytes = unsafe { _mm256_loadu_si256(half.as_ptr().cast::<__m256i>()) };
            let high = _mm256_movemask_epi8(bytes).cast_unsigned();
            // As signed numbers: tails, leads, ASCII.
            let tails = _mm256_cmpgt_epi8(_mm256_set1_epi8(0xc0_u8.cast_signed()), bytes);
            let tails = _mm256_movemask_epi8(tails).cast_unsigned();
            let others = _mm256_movemask_epi8(others_avx2(bytes)).cast_unsigned();
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
        // As signed numbers: tails, leads, ASCII.
        let tails = _mm512_cmplt_epi8_mask(bytes, _mm512_set1_epi8(0xc0_u8.cast_signed()));
        Masks { words: _mm512_movepi8_mask(found) & !high, leads: high & !tails, tails }
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

    /// The classes of up to 16 characters at a time.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2,bmi2")]
    #[inline]
    fn classes_avx512(block: &[u8; BLOCK], leads: u64) -> Firsts {
        let bytes = load(block);
        let positions = _mm512_maskz_compress_epi8(leads, load(&COUNT));
        let halves = [_mm512_castsi512_si128(positions), _mm512_extracti32x4_epi32::<1>(positions)];
        let all = |value: u32| _mm512_set1_epi32(value.cast_signed());
        let mut found = Firsts::default();
        for (number, positions) in halves.into_iter().enumerate() {
            // Its position, four times and counted up: then the bytes themselves.
            let four = _mm512_mullo_epi32(_mm512_cvtepu8_epi32(positions), all(0x0101_0101));
            let four = _mm512_add_epi8(four, all(0x0302_0100));
            let characters = numbers(_mm512_permutexvar_epi8(four, bytes));
            let classes = characters::classes(characters);
            let shift = 16 * number;
            found.words |= u64::from(_mm512_cmpgt_epu32_mask(classes, all(OTHER.into()))) << shift;
            found.alone |= u64::from(_mm512_cmpeq_epi32_mask(classes, all(ALONE.into()))) << shift;
            let changed = _mm512_cmpge_epu32_mask(classes, all(RESIZED.into()));
            found.changed |= u64::from(changed) << shift;
            if leads.count_ones() <= 16 {
                break;
            }
        }
        Firsts {
            words: _pdep_u64(found.words, leads),
            alone: _pdep_u64(found.alone, leads),
            changed: _pdep_u64(found.changed, leads),
        }
    }

    /// Returns the numbers of characters, given as four bytes each, the first in the lowest.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn numbers(four: __m512i) -> __m512i {
        let all = |value: u32| _mm512_set1_epi32(value.cast_signed());
        let first = _mm512_and_si512(four, all(0xff));
        let tail = |shifted: __m512i| _mm512_and_si512(shifted, all(0x3f));
        let join = |high: __m512i, low: __m512i| _mm512_or_si512(_mm512_slli_epi32::<6>(high), low);
        let leading = |bits: u32| _mm512_and_si512(first, all(bits));
        let second = tail(_mm512_srli_epi32::<8>(four));
        let third = tail(_mm512_srli_epi32::<16>(four));
        let fourth = tail(_mm512_srli_epi32::<24>(four));
        let two = join(leading(0x1f), second);
        let three = join(join(leading(0x0f), second), third);
        let four = join(join(join(leading(0x07), second), third), fourth);
        let is_long = _mm512_cmpge_epu32_mask(first, all(0xe0));
        let is_longest = _mm512_cmpge_epu32_mask(first, all(0xf0));
        let number = _mm512_mask_mov_epi32(two, is_long, three);
        _mm512_mask_mov_epi32(number, is_longest, four)
    }
}
