//! [`super::masks`] with AVX-512: 64 bytes and 16 characters at a time.
#![allow(unsafe_code)]
#![allow(clippy::cast_ptr_alignment)] // loads and stores that need none

use std::arch::x86_64::{
    __m512i, _mm512_add_epi8, _mm512_add_epi16, _mm512_and_si512, _mm512_castsi512_si128,
    _mm512_castsi512_si256, _mm512_cmpeq_epi32_mask, _mm512_cmpge_epu32_mask,
    _mm512_cmpgt_epu32_mask, _mm512_cmplt_epi8_mask, _mm512_cvtepu8_epi16, _mm512_cvtepu8_epi32,
    _mm512_extracti32x4_epi32, _mm512_loadu_si512, _mm512_mask_mov_epi32,
    _mm512_maskz_compress_epi8, _mm512_maskz_set1_epi8, _mm512_movepi8_mask, _mm512_mullo_epi32,
    _mm512_or_si512, _mm512_permutex2var_epi8, _mm512_permutexvar_epi8, _mm512_set1_epi8,
    _mm512_set1_epi16, _mm512_set1_epi32, _mm512_slli_epi32, _mm512_srli_epi32,
    _mm512_storeu_si512, _pdep_u64,
};

use super::characters::{self, ALONE, OTHER, RESIZED};
use super::masks::{BLOCK, Firsts, IS_WORD, MOST_WORDS, Machine, Masks, each_class};

/// What machines with AVX-512 can do; only to be used there.
pub(super) struct Avx512;

impl Machine for Avx512 {
    #[inline(always)]
    fn masks(block: &[u8; BLOCK], lowered: &mut [u8; BLOCK]) -> Masks {
        // SAFETY: the type is only used on machines that have the instructions.
        unsafe { look(block, lowered) }
    }

    #[inline(always)]
    fn classes(block: &[u8; BLOCK], leads: u64) -> Firsts {
        // A few are looked up sooner one by one.
        if leads.count_ones() < 5 {
            return each_class(block, leads);
        }
        // SAFETY: the type is only used on machines that have the instructions.
        unsafe { look_up(block, leads) }
    }

    #[inline(always)]
    fn positions(mask: u64, offset: u16, positions: &mut [u16; MOST_WORDS]) {
        // SAFETY: the type is only used on machines that have the instructions.
        unsafe { write_positions(mask, offset, positions) }
    }
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
fn look(block: &[u8; BLOCK], lowered: &mut [u8; BLOCK]) -> Masks {
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
fn write_positions(mask: u64, offset: u16, positions: &mut [u16; MOST_WORDS]) {
    let found = _mm512_castsi512_si256(_mm512_maskz_compress_epi8(mask, load(&COUNT)));
    let offset = _mm512_set1_epi16(offset.cast_signed());
    let found = _mm512_add_epi16(_mm512_cvtepu8_epi16(found), offset);
    // SAFETY: 64 bytes are there to write.
    unsafe { _mm512_storeu_si512(positions.as_mut_ptr().cast::<__m512i>(), found) };
}

/// The classes of up to 16 characters at a time.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2,bmi2")]
#[inline]
fn look_up(block: &[u8; BLOCK], leads: u64) -> Firsts {
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
