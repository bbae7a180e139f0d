//! The scanner against the definition in plain words.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::characters::{ALONE, LOWERED, OTHER, RESIZED, class, lowered};
use super::*;

/// The words of a text by their definition, in lower case.
fn plain_words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for character in text.chars() {
        let is_alone = class(u32::from(character)) == ALONE;
        let is_word = character.is_alphanumeric() || character == '_';
        if is_alone || !is_word {
            words.push(String::new());
        }
        if is_word {
            let word = words.last_mut().unwrap();
            word.extend(character.to_lowercase());
        }
        if is_alone {
            words.push(String::new());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The hash of a word by its definition.
fn plain_hash(word: &str) -> u32 {
    let bytes: Vec<u8> = word.bytes().map(|b| if b < 0x80 { b | 0x20 } else { b }).collect();
    let mut hash = 0_u64;
    for chunk in bytes.chunks(16) {
        let number =
            chunk.iter().rev().fold(0_u128, |number, &byte| number << 8 | u128::from(byte));
        let low =
            u64::try_from(number & u128::from(u64::MAX)).unwrap() ^ 0x2d35_8dcc_aa6c_78a5 ^ hash;
        let high = u64::try_from(number >> 64).unwrap() ^ 0x8bb8_4b93_962e_acc9;
        let product = u128::from(low) * u128::from(high);
        hash = u64::try_from((product ^ product >> 64) & u128::from(u64::MAX)).unwrap();
    }
    u32::try_from((hash ^ hash >> 32) & 0xffff_ffff).unwrap().max(1)
}

fn plain(text: &str) -> Vec<u32> {
    plain_words(text).iter().map(|word| plain_hash(word)).collect()
}

fn scan(text: &str) -> Vec<u32> {
    let mut words = Vec::new();
    Scanner::new().scan(text, &mut words);
    words
}

/// The words of a text at every level, which must be those of the definition.
fn check(text: &str) {
    let expected = plain(text);
    for level in Level::all_here() {
        let mut words = vec![7];
        Scanner::with(level).scan(text, &mut words);
        assert_eq!(words[1..], expected, "{level:?}: {text:?}");
    }
}

#[test]
fn classes_are_those_of_the_standard_library() {
    for character in '\0'..=char::MAX {
        let class = class(u32::from(character));
        let is_word = character.is_alphanumeric() || character == '_';
        assert_eq!(class != OTHER, is_word, "{character:?}");
        let lower: String = character.to_lowercase().collect();
        if class >= LOWERED {
            let found = char::from_u32(lowered(u32::from(character), class)).unwrap();
            assert_eq!(found.to_string(), lower, "{character:?}");
            assert_eq!(found.len_utf8(), character.len_utf8());
        } else if is_word && class != RESIZED {
            assert_eq!(character.to_string(), lower, "{character:?}");
        }
    }
}

#[test]
fn scripts_without_spaces_are_cut_into_characters() {
    for text in
        ["中文", "かな", "カナ", "ｶﾅ", "ー々", "ไทย", "ລາວ", "ខរ", "မန", "བོད", "𠀀𰀀", "〆ヶ"]
    {
        let letters = text.chars().filter(|character| character.is_alphanumeric());
        let expected: Vec<String> = letters.map(String::from).collect();
        assert_eq!(plain_words(text), expected);
        check(text);
    }
    for text in ["한국어", "Слово", "लिख", "שלום", "مرحبا", "Ελλάδα", "a1_b", "ａｂ"]
    {
        assert!(text.chars().all(|character| class(u32::from(character)) != ALONE), "{text}");
    }
    assert_eq!(plain_words("GPT4中文x_1、第2章"), ["gpt4", "中", "文", "x_1", "第", "2", "章"]);
}

#[test]
fn case_and_what_stands_between_words_do_not_count() {
    let expected = scan("the quick brown_fox jumps");
    assert_eq!(expected.len(), 4);
    assert_eq!(scan("  The QUICK,\tBrown_Fox -- (jumps)!\n"), expected);
    for (one, other) in [
        ("ÉCOLE Ünïcode ПРИВЕТ A_B Ж1", "école ünïcode привет a_b ж1"),
        ("\u{212a}elvin İstanbul ẞ ȺȺ", "kelvin i\u{307}stanbul ß ⱥⱥ"),
    ] {
        // The dot above is no letter, but part of the lower case of one.
        assert_eq!(scan(one), plain(one));
        if !other.contains('\u{307}') {
            assert_eq!(scan(one), scan(other));
        }
        check(one);
        check(other);
    }
    for wordless in ["", " \n", "--- ... !!!", "\u{1f600}\u{2014}", "\0"] {
        assert!(scan(wordless).is_empty(), "{wordless:?}");
    }
}

#[test]
fn words_of_any_length_end_where_they_end() {
    for letter in ["x", "X", "é", "É", "中", "İ", "한", "𐐀", "Ⱥ"] {
        for count in
            [1, 15, 16, 17, 63, 64, 65, 1000, 1365, 1366, 2047, 2048, 4095, 4096, 4097, 9000]
        {
            let word = letter.repeat(count);
            for text in
                [word.clone(), format!("a {word}"), format!("{word} b"), format!("é{word}.")]
            {
                check(&text);
            }
        }
    }
}

#[test]
fn a_word_of_a_million_characters_takes_time_in_proportion() {
    for letter in ["x", "İ", "é"] {
        assert_eq!(scan(&letter.repeat(1_000_000)).len(), 1);
        assert_eq!(scan(&format!("{letter} ").repeat(300_000)).len(), 300_000);
    }
}

#[test]
fn hashes_of_many_words_differ() {
    // Of 300,000 words, 2^32 values make 10 pairs meet by chance.
    let words: Vec<String> = (0..300_000).map(|number| format!("w{number}")).collect();
    let distinct: BTreeSet<u32> = scan(&words.join(" ")).into_iter().collect();
    assert!(distinct.len() > 299_960, "{}", distinct.len());
    assert!(!distinct.contains(&0));
}

/// Pieces of texts in which something is special.
const PIECES: [&str; 36] = [
    "a",
    "the",
    "Word_",
    "X9",
    " ",
    "  ",
    ". ",
    "\n",
    "\t",
    "-",
    "é",
    "É",
    "ß",
    "ẞ",
    "İ",
    "Ж",
    "ж1",
    "中",
    "文。",
    "ก",
    "ไ่",
    "カー",
    "한",
    "\u{301}",
    "\u{200b}",
    "\u{1f600}",
    "𐐀",
    "𠀀",
    "Ⅷ",
    "²",
    "ﬁ",
    "\u{212a}",
    "Ⱥ",
    "Ⓐ",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "……",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_machine_finds_the_words_of_the_definition(
        pieces in prop::collection::vec(0..PIECES.len(), 0..120),
        before in 0_usize..70,
    ) {
        let text: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        check(&text);
        check(&format!("{}{text}", " ".repeat(before)));
    }

    #[test]
    fn any_text_at_the_end_of_a_window(text in "\\PC{0,80}", before in 4000_usize..4110) {
        check(&format!("{}{text}", "ab ".repeat(before).split_at(before).0));
        check(&text.repeat(60));
    }
}

proptest! {
    /// What Python's `re.findall(r"[\w]+", text.lower())` finds in such texts.
    #[test]
    fn latin_texts_are_cut_as_by_a_regular_expression(text in "[a-zA-Z0-9_ .,;:!?'\"\\-\né]{0,300}") {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == 'é';
        let lower = text.to_lowercase();
        let words = lower.split(|c: char| !is_word(c)).filter(|word| !word.is_empty());
        prop_assert_eq!(scan(&text), words.map(plain_hash).collect::<Vec<_>>());
    }
}
