//! What a JSON string stands for, block by block: where reading texts spends its time.
//!
//! Here only escapes of one letter are taken, which make one byte of two. Whatever else ends what
//! stands for itself, such as the closing quote or an escape of a code point, ends the run, and the
//! caller goes on from there ([`super::json`]).

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use crate::simd::{self, Level};

/// Bytes looked at together.
pub(crate) const BLOCK: usize = 32;

/// Room beyond what is written that may be overwritten.
pub(crate) const SLACK: usize = 64;

/// What a backslash and a letter stand for; 0 is for what is no escape, or one of a code point.
pub(super) const SIMPLE: [u8; 256] = {
    let mut table = [0; 256];
    let escapes = *b"\"\"\\\\//n\nt\tr\rb\x08f\x0C";
    let mut index = 0;
    while index < escapes.len() {
        table[escapes[index] as usize] = escapes[index + 1];
        index += 2;
    }
    table
};

/// Writes what the first bytes of a string's rest stand for to `to`; returns how many bytes were
/// passed and how many written.
///
/// Stops at a quote, a control character, an escape that is not of one letter, two backslashes in a
/// row, or where fewer bytes are left than it looks at together: the caller takes one byte or escape
/// and calls again. `to` must have room for `bytes` and [`SLACK`] more.
#[inline]
pub(super) fn unescape(bytes: &[u8], to: &mut [u8]) -> (usize, usize) {
    unescape_by(simd::here(), bytes, to)
}

#[inline]
#[allow(unsafe_code)]
fn unescape_by(level: Level, bytes: &[u8], to: &mut [u8]) -> (usize, usize) {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the machine is of that level.
        Level::Avx512 => unsafe { avx512::unescape(bytes, to) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx2 => unsafe { avx2::unescape(bytes, to) },
        _ => unescape_blocks(bytes, to),
    }
}

/// More is copied than is kept: a copy of fixed size is two instructions. All that is special in a
/// block is found at once, so that one escape does not wait for the one before it.
fn unescape_blocks(bytes: &[u8], to: &mut [u8]) -> (usize, usize) {
    let (mut at, mut length) = (0, 0);
    while let Some(blocks) = bytes.get(at..).and_then(<[u8]>::first_chunk::<{ 2 * BLOCK }>) {
        let mut left = special(blocks.first_chunk().unwrap_or(&[0; BLOCK]));
        let mut from = 0;
        while left != 0 {
            let found = left.trailing_zeros() as usize;
            to[length..length + BLOCK].copy_from_slice(&blocks[from..from + BLOCK]);
            length += found - from;
            let simple = SIMPLE[usize::from(blocks[found + 1])];
            if blocks[found] != b'\\' || simple == 0 {
                return (at + found, length);
            }
            to[length] = simple;
            length += 1;
            from = found + 2;
            // The escaped character may itself be special; it may lie in the next block, too.
            left &= (!0_u32 << found) << 1 << 1;
        }
        if from <= BLOCK {
            to[length..length + BLOCK].copy_from_slice(&blocks[from..from + BLOCK]);
            length += BLOCK - from;
        }
        at += from.max(BLOCK);
    }
    (at, length)
}

/// Returns whether a byte ends a run of what stands for itself in a string.
pub(crate) fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// A bit for each byte of a block that [`is_special`].
#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(unsafe_code)]
pub(crate) fn special(block: &[u8; BLOCK]) -> u32 {
    // SAFETY: every x86-64 processor has SSE2.
    unsafe { special_sse2(block) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn special_sse2(block: &[u8; BLOCK]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };
    let [first, second, third, fourth] = block.as_chunks::<8>().0 else {
        unreachable!("a block has four words")
    };
    let mask = |low: &[u8; 8], high: &[u8; 8]| {
        let bytes = _mm_set_epi64x(i64::from_le_bytes(*high), i64::from_le_bytes(*low));
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"'.cast_signed()));
        let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\'.cast_signed()));
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control)).cast_unsigned()
    };
    mask(first, second) | mask(third, fourth) << 16
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn special(block: &[u8; BLOCK]) -> u32 {
    (0..).zip(block).fold(0, |mask, (bit, &byte)| mask | u32::from(is_special(byte)) << bit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As much as is taken, byte by byte.
    fn plain(bytes: &[u8]) -> (usize, Vec<u8>) {
        let (mut at, mut taken) = (0, Vec::new());
        while let Some(&byte) = bytes.get(at) {
            if !is_special(byte) {
                taken.push(byte);
                at += 1;
                continue;
            }
            let simple = bytes.get(at + 1).map_or(0, |&letter| SIMPLE[usize::from(letter)]);
            if byte != b'\\' || simple == 0 {
                break;
            }
            taken.push(simple);
            at += 2;
        }
        (at, taken)
    }

    fn check(bytes: &[u8]) {
        let (end, _) = plain(bytes);
        for level in Level::all_here() {
            let mut to = vec![7; bytes.len() + SLACK];
            let (passed, written) = unescape_by(level, bytes, &mut to);
            assert_eq!(plain(&bytes[..passed]), (passed, to[..written].to_vec()), "{level:?}");
            // A block that is not whole may be left over, and a row of backslashes.
            let is_left = passed + 2 * BLOCK > bytes.len() || bytes[passed..].starts_with(b"\\\\");
            assert!(passed == end || is_left, "{level:?}: {passed} {end}");
        }
    }

    #[test]
    fn backslashes_in_a_row_are_told_apart_wherever_they_stand() {
        for before in 0..130 {
            for count in 0..70 {
                for after in [&b"n tail"[..], b"u0041", b"q", b"\"", b"\n", b"\xc3\xa9", b""] {
                    let string = [&vec![b'x'; before], &vec![b'\\'; count], after].concat();
                    check(&string);
                    check(&[&string[..], &[b'y'; 200]].concat());
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn every_machine_takes_what_the_definition_takes(
            pieces in prop::collection::vec(prop_oneof![
                8 => "[a-z é中]{1,40}",
                4 => Just("\\n".to_owned()),
                2 => Just("\\\"".to_owned()),
                2 => Just("\\\\".to_owned()),
                1 => "\\\\[/bftr]",
                1 => prop_oneof![Just("\\u00e9"), Just("\\é"), Just("\""), Just("\u{1}"), Just("\\")]
                    .prop_map(str::to_owned),
            ], 0..60),
        ) {
            check(pieces.concat().as_bytes());
        }
    }
}
