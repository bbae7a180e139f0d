//! What a character is to a word, from a table made at build time (`build/word_classes.rs`).
//!
//! | class | is |
//! |---|---|
//! | `OTHER` | no part of a word |
//! | `WORD` | part of a word, its own lower case |
//! | `ALONE` | a word of its own: of a script that puts no spaces between words |
//! | `RESIZED` | part of a word; in lower case it takes more or fewer bytes |
//! | `LOWERED` and above | part of a word; in lower case it takes as many bytes |

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
