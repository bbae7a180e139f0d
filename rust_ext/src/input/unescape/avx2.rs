//! 32 bytes at a time: letters of escapes become what they stand for all at once, and the
//! backslashes before them are squeezed out by a shuffle of eight bytes each.
#![allow(unsafe_code)]
#![allow(clippy::cast_ptr_alignment)] // loads and stores that need none

use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadl_epi64, _mm_shuffle_epi8, _mm_storel_epi64, _mm256_alignr_epi8,
    _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8,
    _mm256_or_si256, _mm256_permute2x128_si256, _mm256_set1_epi8, _mm256_setzero_si256,
    _mm256_storeu_si256, _mm256_sub_epi8,
};

use super::BLOCK;

/// Bytes that are squeezed together.
const LANES: usize = 8;

/// For every mask of bytes to leave out, which bytes are kept, in order.
static KEPT: [[u8; LANES]; 256] = {
    let mut kept = [[0; LANES]; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut from, mut to) = (0, 0);
        while from < LANES {
            if mask >> from & 1 == 0 {
                #[expect(clippy::cast_possible_truncation, reason = "below 8")]
                let index = from as u8;
                kept[mask][to] = index;
                to += 1;
            }
            from += 1;
        }
        mask += 1;
    }
    kept
};

/// As [`super::unescape`]; also stops at a backslash behind a backslash.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn unescape(bytes: &[u8], to: &mut [u8]) -> (usize, usize) {
    let (mut at, mut length) = (0, 0);
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        let Some(room) = to.get_mut(length..).and_then(<[u8]>::first_chunk_mut::<{ 2 * BLOCK }>)
        else {
            break;
        };
        // SAFETY: 32 bytes are there to read.
        let block = unsafe { _mm256_loadu_si256(block.as_ptr().cast::<__m256i>()) };
        let backslash = equal(block, b'\\');
        let backslashes = mask(backslash);
        let control = _mm256_cmpeq_epi8(_mm256_min_epu8(block, all(0x1f)), block);
        let ends = mask(_mm256_or_si256(equal(block, b'"'), control));
        if backslashes | ends == 0 {
            // SAFETY: 32 bytes are there to write.
            unsafe { _mm256_storeu_si256(room.as_mut_ptr().cast::<__m256i>(), block) };
            (at, length) = (at + BLOCK, length + BLOCK);
            continue;
        }
        let letters = backslashes << 1;
        let (block, known) = look_up(block, one_on(backslash));
        // The second of two backslashes is where the first one's letter stands: which is which must
        // be found out from the beginning of their row.
        let rows = backslashes & letters;
        let stops = ends & !letters | (letters & !known) >> 1 | rows >> 1;
        // The letter of a last backslash stands in the next block.
        let passed = (stops | backslashes & 1 << 31).trailing_zeros();
        let before = u32::MAX.checked_shr(32 - passed).unwrap_or(0);
        squeeze(block, backslashes, room);
        at += passed as usize;
        length += (before & !backslashes).count_ones() as usize;
        if stops != 0 {
            break;
        }
    }
    (at, length)
}

#[target_feature(enable = "avx2")]
#[inline]
fn all(byte: u8) -> __m256i {
    _mm256_set1_epi8(byte.cast_signed())
}

#[target_feature(enable = "avx2")]
#[inline]
fn equal(block: __m256i, byte: u8) -> __m256i {
    _mm256_cmpeq_epi8(block, all(byte))
}

#[target_feature(enable = "avx2")]
#[inline]
fn mask(bytes: __m256i) -> u32 {
    _mm256_movemask_epi8(bytes).cast_unsigned()
}

/// Moves each byte to the next place; the first is 0.
#[target_feature(enable = "avx2")]
#[inline]
fn one_on(bytes: __m256i) -> __m256i {
    // The lower half stands before the upper one, zeros before the lower.
    let before = _mm256_permute2x128_si256::<0x08>(bytes, bytes);
    _mm256_alignr_epi8::<15>(bytes, before)
}

/// Replaces letters of escapes by what they stand for; returns which bytes are such letters.
#[target_feature(enable = "avx2")]
#[inline]
fn look_up(block: __m256i, letters: __m256i) -> (__m256i, u32) {
    let (mut replaced, mut known) = (block, _mm256_setzero_si256());
    for same in *b"\"\\/" {
        known = _mm256_or_si256(known, equal(block, same));
    }
    for (letter, byte) in [(b'n', b'\n'), (b't', b'\t'), (b'r', b'\r'), (b'b', 0x08), (b'f', 0x0c)]
    {
        let found = equal(block, letter);
        known = _mm256_or_si256(known, found);
        let found = _mm256_and_si256(found, letters);
        replaced = _mm256_sub_epi8(replaced, _mm256_and_si256(found, all(letter - byte)));
    }
    (replaced, mask(known))
}

/// Writes the bytes of a block that are not in `left_out`, and some more behind them.
#[target_feature(enable = "avx2,popcnt")]
#[inline]
fn squeeze(block: __m256i, left_out: u32, room: &mut [u8; 2 * BLOCK]) {
    let mut bytes = [0_u8; BLOCK];
    // SAFETY: 32 bytes are there to write.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast::<__m256i>(), block) };
    let mut length = 0;
    for (eight, left_out) in bytes.as_chunks::<LANES>().0.iter().zip(left_out.to_le_bytes()) {
        let Some(room) = room[length..].first_chunk_mut::<LANES>() else { return };
        // SAFETY: eight bytes are there to read.
        let eight = unsafe { _mm_loadl_epi64(eight.as_ptr().cast::<__m128i>()) };
        // SAFETY: as above.
        let kept = unsafe { _mm_loadl_epi64(KEPT[usize::from(left_out)].as_ptr().cast()) };
        // SAFETY: eight bytes are there to write.
        unsafe { _mm_storel_epi64(room.as_mut_ptr().cast(), _mm_shuffle_epi8(eight, kept)) };
        length += LANES - left_out.count_ones() as usize;
    }
}
