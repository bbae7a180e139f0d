//! 64 bytes at a time: letters of escapes are looked up all at once, and the backslashes before
//! them are squeezed out.
#![allow(unsafe_code)]
#![allow(clippy::cast_ptr_alignment)] // loads and stores that need none

use std::arch::x86_64::{
    __m512i, _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_loadu_si512,
    _mm512_mask_mov_epi8, _mm512_maskz_compress_epi8, _mm512_maskz_loadu_epi8, _mm512_movepi8_mask,
    _mm512_permutex2var_epi8, _mm512_set1_epi8, _mm512_storeu_si512, _mm512_testn_epi8_mask,
};

use super::SIMPLE;

/// Bytes looked at together.
const WIDE: u32 = 64;
const BLOCK: usize = WIDE as usize;

/// As [`super::unescape`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")]
#[target_feature(enable = "bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn unescape(bytes: &[u8], to: &mut [u8]) -> (usize, usize) {
    let all = |byte: u8| _mm512_set1_epi8(byte.cast_signed());
    let (mut at, mut length) = (0, 0);
    while let Some(room) = to.get_mut(length..).and_then(<[u8]>::first_chunk_mut::<BLOCK>) {
        let block = load(&bytes[at..]);
        let backslashes = _mm512_cmpeq_epi8_mask(block, all(b'\\'));
        // What is not there is 0, a control character.
        let ends =
            _mm512_cmpeq_epi8_mask(block, all(b'"')) | _mm512_cmplt_epu8_mask(block, all(0x20));
        // SAFETY: 64 bytes are there to write.
        let mut store = |bytes: __m512i| unsafe {
            _mm512_storeu_si512(room.as_mut_ptr().cast::<__m512i>(), bytes);
        };
        if backslashes | ends == 0 {
            store(block);
            (at, length) = (at + BLOCK, length + BLOCK);
            continue;
        }
        let escapes = escapes(backslashes);
        let letters = escapes << 1;
        let block = look_up(block, letters);
        let unknown = letters & (_mm512_testn_epi8_mask(block, block) | _mm512_movepi8_mask(block));
        let stops = ends & !letters | unknown >> 1;
        // The letter of a last backslash stands in the next block.
        let halts = stops | escapes & 1 << 63;
        let passed = halts.trailing_zeros();
        let kept = !escapes & (!0_u64).checked_shr(WIDE - passed).unwrap_or(0);
        store(_mm512_maskz_compress_epi8(kept, block));
        (at, length) = (at + passed as usize, length + kept.count_ones() as usize);
        if stops != 0 {
            break;
        }
    }
    (at, length)
}

/// The first 64 bytes, zeros behind the last.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn load(bytes: &[u8]) -> __m512i {
    if let Some(block) = bytes.first_chunk::<BLOCK>() {
        // SAFETY: 64 bytes are there to read.
        return unsafe { _mm512_loadu_si512(block.as_ptr().cast::<__m512i>()) };
    }
    let there = (1_u64 << bytes.len()) - 1;
    // SAFETY: only the bytes that are there are read.
    unsafe { _mm512_maskz_loadu_epi8(there, bytes.as_ptr().cast()) }
}

/// Replaces letters of escapes by what they stand for, 0 if by nothing; bytes beyond ASCII are
/// left as they are.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn look_up(block: __m512i, letters: u64) -> __m512i {
    let (low, high) = SIMPLE.split_at(BLOCK);
    let ascii = letters & !_mm512_movepi8_mask(block);
    let (low, high) = (load(low), load(high));
    // Of each byte 7 bits are the index; what is not asked for stays.
    _mm512_mask_mov_epi8(block, ascii, _mm512_permutex2var_epi8(low, block, high))
}

/// Returns which backslashes begin an escape, given that the first byte is not escaped.
#[inline]
fn escapes(backslashes: u64) -> u64 {
    if backslashes & backslashes << 1 == 0 {
        return backslashes;
    }
    let (mut left, mut escapes) = (backslashes, 0);
    while left != 0 {
        let first = left & left.wrapping_neg();
        escapes |= first;
        left &= !(first | first << 1);
    }
    escapes
}
