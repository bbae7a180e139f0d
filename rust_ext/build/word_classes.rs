//! Writes the table by which `minhash::words` cuts texts: the class of each character.
//!
//! What a letter or a digit is and how it is lower-cased are the compiler's own tables
//! (`char::is_alphanumeric`, `char::to_lowercase`); scripts are those of `regex-syntax`. One byte
//! per character, in pages of 64 (what the last byte of a character tells apart), equal ones
//! stored once.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::{NUM_CHARACTERS, class_of};

/// Characters of a page.
const PAGE: usize = 64;

/// Scripts that put no spaces between words, and the signs that only they use though the Unicode
/// Character Database calls them common.
const SCRIPTS: &str = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\x{3006}\x{3031}-\x{3035}\x{303C}\x{30FC}\x{FF70}\x{FF9E}\x{FF9F}\x{20000}-\x{3FFFF}]";

// What the classes are: `minhash::words::characters`.
const OTHER: u8 = 0;
const WORD: u8 = 1;
const ALONE: u8 = 2;
const RESIZED: u8 = 3;
/// From here on, a class is an index into the differences that lower-casing makes.
const LOWERED: u8 = 4;

/// Returns the source of the table.
pub(super) fn source() -> String {
    let mut differences = Vec::new();
    let mut classes = vec![OTHER; NUM_CHARACTERS];
    for c in ('\0'..=char::MAX).filter(|&c| c.is_alphanumeric() || c == '_') {
        classes[c as usize] = class_of_word(c, &mut differences);
    }
    for range in class_of(SCRIPTS).ranges() {
        for class in &mut classes[range.start() as usize..=range.end() as usize] {
            if *class != OTHER {
                assert_eq!(*class, WORD, "no such script has cases");
                *class = ALONE;
            }
        }
    }
    let mut text = String::new();
    let names = [("OTHER", OTHER), ("ALONE", ALONE), ("RESIZED", RESIZED), ("LOWERED", LOWERED)];
    for (name, class) in names {
        writeln!(text, "pub(super) const {name}: u8 = {class};").expect("writing to a string");
    }
    write_pages(&classes, &mut text);
    let count = differences.len();
    writeln!(text, "static DIFFERENCES: [i32; {count}] = {differences:?};").expect("a string");
    text
}

/// Returns the class of a character of words by how it is lower-cased.
fn class_of_word(c: char, differences: &mut Vec<i32>) -> u8 {
    let mut lower = c.to_lowercase();
    let first = lower.next().expect("the mapping of a character is never empty");
    if first == c && lower.next().is_none() {
        return WORD;
    }
    if first.len_utf8() != c.len_utf8() || c.to_lowercase().count() > 1 {
        return RESIZED;
    }
    let difference = first as i32 - c as i32;
    let known = differences.iter().position(|&known| known == difference);
    let index = known.unwrap_or_else(|| {
        differences.push(difference);
        differences.len() - 1
    });
    u8::try_from(index).expect("few differences") + LOWERED
}

fn write_pages(classes: &[u8], text: &mut String) {
    let mut pages: Vec<&[u8]> = Vec::new();
    let mut number_of: HashMap<&[u8], usize> = HashMap::new();
    let mut page_numbers = Vec::new();
    for page in classes.chunks(PAGE) {
        let number = *number_of.entry(page).or_insert_with(|| {
            pages.push(page);
            pages.len() - 1
        });
        page_numbers.push(u16::try_from(number).expect("fewer than 65,536 pages"));
    }
    // What loads four bytes where one or two are wanted reads beyond the last of them.
    page_numbers.push(0);
    pages.push(&[0; PAGE]);
    let count = page_numbers.len();
    writeln!(text, "static PAGE_NUMBERS: [u16; {count}] = {page_numbers:?};").expect("a string");
    let count = pages.len();
    writeln!(text, "static PAGES: [[u8; {PAGE}]; {count}] = {pages:?};").expect("a string");
}
