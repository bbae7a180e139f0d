//! What a character is to a word, from a table made at build time (`build/word_classes.rs`).
//!
//! | class | is |
//! |---|---|
//! | `OTHER` | no part of a word |
//! | `WORD` | part of a word, its own lower case |
//! | `ALONE` | a word of its own: of a script that puts no spaces between words |
//! | `RESIZED` | part of a word; in lower case it takes more or fewer bytes |
//! | `LOWERED` and above | part of a word; in lower case it takes as many bytes |

#![allow(unsafe_code)]

include!(concat!(env!("OUT_DIR"), "/word_classes.rs"));

/// Returns the class of a character, given as its number.
#[inline(always)]
pub(super) fn class(character: u32) -> u8 {
    let page = PAGE_NUMBERS[(character >> 6) as usize];
    PAGES[usize::from(page)][(character & 63) as usize]
}

/// Returns the lower case of a character whose class is `LOWERED` or above, both as numbers.
#[inline(always)]
pub(super) fn lowered(character: u32, class: u8) -> u32 {
    character.wrapping_add_signed(DIFFERENCES[usize::from(class - LOWERED)])
}

/// Returns the number of the character at a position, which is not ASCII.
///
/// Of a character that is cut off it may be any number of 21 bits, which has no class.
#[inline(always)]
pub(super) fn number_at(bytes: &[u8], at: usize) -> u32 {
    let four = match bytes.get(at..) {
        Some(&[first, second, third, fourth, ..]) => [first, second, third, fourth],
        Some(&[first, second, third]) => [first, second, third, 0],
        Some(&[first, second]) => [first, second, 0, 0],
        _ => return 0,
    };
    let [first, second, third, fourth] = four.map(u32::from);
    let (second, third, fourth) = (second & 0x3f, third & 0x3f, fourth & 0x3f);
    match first {
        0..0xe0 => (first & 0x1f) << 6 | second,
        0xe0..0xf0 => (first & 0x0f) << 12 | second << 6 | third,
        _ => (first & 0x07) << 18 | second << 12 | third << 6 | fourth,
    }
}

/// Returns the classes of 16 characters, given as their numbers, which must be below 2^21.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn classes(characters: std::arch::x86_64::__m512i) -> std::arch::x86_64::__m512i {
    use std::arch::x86_64::{
        _mm512_and_si512, _mm512_i32gather_epi32, _mm512_min_epu32, _mm512_or_si512,
        _mm512_set1_epi32, _mm512_slli_epi32, _mm512_srli_epi32,
    };
    let all = _mm512_set1_epi32;
    let characters = _mm512_min_epu32(characters, all(0x10_ffff));
    let pages = _mm512_srli_epi32::<6>(characters);
    // SAFETY: there is a page number for every character, and one more.
    let pages = unsafe { _mm512_i32gather_epi32::<2>(pages, PAGE_NUMBERS.as_ptr().cast()) };
    let pages = _mm512_slli_epi32::<6>(_mm512_and_si512(pages, all(0xffff)));
    let places = _mm512_or_si512(pages, _mm512_and_si512(characters, all(63)));
    // SAFETY: there is a page for every number, and one more.
    let classes = unsafe { _mm512_i32gather_epi32::<1>(places, PAGES.as_ptr().cast()) };
    _mm512_and_si512(classes, all(0xff))
}
