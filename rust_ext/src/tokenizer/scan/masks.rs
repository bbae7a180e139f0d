//! The classes of 64 bytes as masks.
#![allow(unsafe_code)]
#![allow(clippy::cast_ptr_alignment)] // loads that need none

/// Bytes of a block: one bit each in a mask.
pub(super) const BLOCK: usize = 64;

/// Which of the 64 bytes of a block are of a class, the first in the lowest bit.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tokenizer) struct Masks {
    pub(super) letters: u64,
    pub(super) digits: u64,
    pub(super) spaces: u64,
    /// ASCII white space, spaces among them.
    pub(super) white: u64,
    pub(super) newlines: u64,
    pub(super) apostrophes: u64,
    /// Bytes of characters that are not ASCII.
    pub(super) high: u64,
    /// Only where [`Scanner::CASED`] asks for them.
    pub(super) upper: u64,
    pub(super) slashes: u64,
}

/// Returns the masks of a block, those of upper case and slashes only if asked for.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn avx2(bytes: &[u8; BLOCK], cased: bool) -> Masks {
    let [low, high] = [0, BLOCK / 2].map(|start| half(bytes, start, cased));
    let both = |index: usize| u64::from(low[index]) | u64::from(high[index]) << 32;
    Masks {
        letters: both(0),
        digits: both(1),
        spaces: both(2),
        white: both(3),
        newlines: both(4),
        apostrophes: both(5),
        high: both(6),
        upper: both(7),
        slashes: both(8),
    }
}

/// Returns the masks of 32 bytes, in the order of the fields of [`Masks`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn half(bytes: &[u8; BLOCK], start: usize, cased: bool) -> [u32; 9] {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8,
        _mm256_or_si256, _mm256_set1_epi8, _mm256_sub_epi8,
    };
    let bytes = &bytes[start..start + BLOCK / 2];
    // SAFETY: 32 bytes are there to read.
    let bytes = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast::<__m256i>()) };
    let all = |byte: u8| _mm256_set1_epi8(byte.cast_signed());
    let mask = |bytes| _mm256_movemask_epi8(bytes).cast_unsigned();
    // Bytes from `first` on, `more` of them behind it: compared as unsigned numbers.
    let between = |bytes, first: u8, more: u8| {
        let offset = _mm256_sub_epi8(bytes, all(first));
        _mm256_cmpeq_epi8(_mm256_min_epu8(offset, all(more)), offset)
    };
    let equal = |byte: u8| _mm256_cmpeq_epi8(bytes, all(byte));
    let spaces = equal(b' ');
    [
        mask(between(_mm256_or_si256(bytes, all(0x20)), b'a', 25)),
        mask(between(bytes, b'0', 9)),
        mask(spaces),
        mask(_mm256_or_si256(spaces, between(bytes, b'\t', 4))),
        mask(_mm256_or_si256(equal(b'\n'), equal(b'\r'))),
        mask(equal(b'\'')),
        mask(bytes),
        if cased { mask(between(bytes, b'A', 25)) } else { 0 },
        if cased { mask(equal(b'/')) } else { 0 },
    ]
}

/// As [`avx2`], all 64 bytes at once.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
pub(super) fn avx512(bytes: &[u8; BLOCK], cased: bool) -> Masks {
    use std::arch::x86_64::{
        __m512i, _mm512_cmpeq_epi8_mask, _mm512_cmple_epu8_mask, _mm512_loadu_si512,
        _mm512_movepi8_mask, _mm512_or_si512, _mm512_set1_epi8, _mm512_sub_epi8,
    };
    // SAFETY: 64 bytes are there to read.
    let bytes = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast::<__m512i>()) };
    let all = |byte: u8| _mm512_set1_epi8(byte.cast_signed());
    let between = |bytes, first: u8, more: u8| {
        _mm512_cmple_epu8_mask(_mm512_sub_epi8(bytes, all(first)), all(more))
    };
    let equal = |byte: u8| _mm512_cmpeq_epi8_mask(bytes, all(byte));
    let spaces = equal(b' ');
    Masks {
        letters: between(_mm512_or_si512(bytes, all(0x20)), b'a', 25),
        digits: between(bytes, b'0', 9),
        spaces,
        white: spaces | between(bytes, b'\t', 4),
        newlines: equal(b'\n') | equal(b'\r'),
        apostrophes: equal(b'\''),
        high: _mm512_movepi8_mask(bytes),
        upper: if cased { between(bytes, b'A', 25) } else { 0 },
        slashes: if cased { equal(b'/') } else { 0 },
    }
}
