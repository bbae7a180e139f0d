//! Writes the table of character classes that the tokenizer's scanners look up, and names the code
//! that builds a tokenizer's tables by its hash; `build/word_classes.rs` writes another table.
//!
//! General categories, white space and word characters come from `regex-syntax` (Unicode 16, as
//! in the regex engines of `tokenizers` and `tiktoken`), the normalization class from the crate
//! that `tokenizers` normalizes with (Unicode 9). One byte per character, in pages of 256
//! characters of which equal ones are stored once.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use regex_syntax::hir::{Class, ClassUnicode, HirKind};
use unicode_normalization_alignments::UnicodeNormalization;
use unicode_normalization_alignments::char::canonical_combining_class;

#[path = "build/word_classes.rs"]
mod word_classes;

const NUM_CHARACTERS: usize = 0x11_0000;

/// Name, bit and pattern of each class; `tokenizer::unicode` documents what they are for.
const CLASSES: [(&str, u8, &str); 6] = [
    ("LETTER", 1, r"\p{L}"),
    ("NUMBER", 2, r"\p{N}"),
    ("SPACE", 4, r"\s"),
    ("UPPER", 8, r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"),
    ("LOWER", 16, r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"),
    ("WORD", 32, r"\w"),
];
const UNSTABLE: u8 = 64;

/// What decides which tables a tokenizer file becomes: the sources, this file, and the versions of
/// all other crates. More than needed is no harm, less would let tables go stale.
const BUILDS_TABLES: [&str; 3] = ["src/tokenizer", "build.rs", "../Cargo.lock"];

fn main() {
    println!("cargo:rustc-env=TOKENIZER_BUILD={:016x}", hash_of_code());
    let mut classes = vec![0u8; NUM_CHARACTERS];
    for (_, bit, pattern) in CLASSES {
        for range in class_of(pattern).ranges() {
            for class in &mut classes[range.start() as usize..=range.end() as usize] {
                *class |= bit;
            }
        }
    }
    mark_unstable(&mut classes);
    let directory = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    std::fs::write(directory.join("unicode_classes.rs"), source(&classes))
        .expect("OUT_DIR is writable");
    std::fs::write(directory.join("word_classes.rs"), word_classes::source())
        .expect("OUT_DIR is writable");
}

/// Returns the hash of names and contents of all files in [`BUILDS_TABLES`] and of the version.
fn hash_of_code() -> u64 {
    let mut files = Vec::new();
    for path in BUILDS_TABLES.map(Path::new).into_iter().filter(|path| path.exists()) {
        println!("cargo:rerun-if-changed={}", path.display());
        add_files(path, &mut files);
    }
    files.sort();
    let mut code = env!("CARGO_PKG_VERSION").as_bytes().to_vec();
    for file in files {
        let content = std::fs::read(&file).expect("a source file can be read");
        for part in [file.to_string_lossy().as_bytes(), &content] {
            code.extend_from_slice(&part.len().to_le_bytes());
            code.extend_from_slice(part);
        }
    }
    xxhash_rust::xxh3::xxh3_64(&code)
}

fn add_files(path: &Path, files: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return;
    }
    for entry in std::fs::read_dir(path).expect("a source directory can be read") {
        add_files(&entry.expect("a directory entry").path(), files);
    }
}

fn class_of(pattern: &str) -> ClassUnicode {
    let parsed = regex_syntax::parse(pattern).expect("the patterns above are valid");
    match parsed.into_kind() {
        HirKind::Class(Class::Unicode(class)) => class,
        other => panic!("{pattern} is not a class but {other:?}"),
    }
}

/// Marks every character that NFC changes, reorders or may join with the one before it.
///
/// A text without any is its own NFC, and a boundary before an unmarked character is one across
/// which NFC does nothing. Some that are marked would do no harm: only the speed suffers.
fn mark_unstable(classes: &mut [u8]) {
    let characters = || '\0'..=char::MAX;
    let decomposed = |c: char| std::iter::once(c).nfd().map(|(part, _)| part).collect::<Vec<_>>();
    for c in characters() {
        let parts = decomposed(c);
        for part in &parts[1..] {
            classes[*part as usize] |= UNSTABLE;
        }
        let is_own_nfc = std::iter::once(c).nfc().map(|(part, _)| part).eq([c]);
        if !is_own_nfc || canonical_combining_class(parts[0]) != 0 {
            classes[c as usize] |= UNSTABLE;
        }
    }
    for c in characters() {
        if classes[decomposed(c)[0] as usize] & UNSTABLE != 0 {
            classes[c as usize] |= UNSTABLE;
        }
    }
    // The scan for unstable characters skips every byte below the lead byte of U+0300.
    assert!(classes[..0x300].iter().all(|class| class & UNSTABLE == 0));
}

fn source(classes: &[u8]) -> String {
    let mut pages: Vec<&[u8]> = Vec::new();
    let mut number_of: HashMap<&[u8], usize> = HashMap::new();
    let mut page_numbers = Vec::new();
    for page in classes.chunks(256) {
        let number = *number_of.entry(page).or_insert_with(|| {
            pages.push(page);
            pages.len() - 1
        });
        page_numbers.push(u8::try_from(number).expect("fewer than 256 pages differ"));
    }
    let mut text = String::new();
    let named = CLASSES.iter().map(|&(name, bit, _)| (name, bit));
    for (name, bit) in named.chain([("UNSTABLE", UNSTABLE)]) {
        writeln!(text, "pub(super) const {name}: u8 = {bit};").expect("writing to a string");
    }
    let count = page_numbers.len();
    writeln!(text, "static PAGE_NUMBERS: [u8; {count}] = {page_numbers:?};").expect("a string");
    let count = pages.len();
    writeln!(text, "static PAGES: [[u8; 256]; {count}] = {pages:?};").expect("a string");
    text
}
