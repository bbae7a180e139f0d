//! Texts that try what a pre-tokenizer distinguishes: a text is a row of parts, each a choice.

use std::fmt::Write as _;

/// Where choices come from: a seed, or the bytes that a fuzzer mutates.
pub(crate) trait Choices {
    /// Returns a number below `bound`, which is at least 1.
    fn below(&mut self, bound: usize) -> usize;

    /// Returns whether there is anything left to choose by.
    fn is_spent(&self) -> bool;
}

/// Choices without end that a seed decides, by Steele, Lea and Flood's `SplitMix64` (2014).
pub(crate) struct Seeded(pub(crate) u64);

impl Choices for Seeded {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let bound = u64::try_from(bound).expect("64 bits at most");
        usize::try_from((mixed ^ (mixed >> 31)) % bound).expect("below a usize")
    }

    fn is_spent(&self) -> bool {
        false
    }
}

const MOST_PARTS: usize = 24;

const WORDS: [&str; 20] = [
    "the",
    "The",
    "THE",
    "theThe",
    "x_y",
    "iPhone",
    "HTTPServer",
    "don",
    "re",
    "s",
    "ll",
    "llama",
    "e\u{301}te\u{301}",
    "\u{e9}t\u{e9}",
    "stra\u{df}e",
    "\u{130}stanbul",
    "\u{1c5}ep",
    "\u{43f}\u{440}\u{438}",
    "\u{3b1}\u{3b2}\u{3b3}",
    "\u{5e9}\u{5dc}",
];
/// Contractions in every case, what looks like one, and U+017F, which folds to `s`.
const APOSTROPHES: [&str; 20] = [
    "'s",
    "'t",
    "'re",
    "'ve",
    "'m",
    "'ll",
    "'d",
    "'S",
    "'RE",
    "'Ve",
    "'lL",
    "'D",
    "'\u{17f}",
    "'\u{212a}",
    "'",
    "''",
    "'sx",
    "'llama",
    "\u{2019}s",
    " 's",
];
const DIGITS: [&str; 10] =
    ["1", "12", "123", "1234567", "0.5", "1,000", "\u{663}\u{664}", "\u{b2}", "\u{216b}", "\u{bd}"];
/// All white space of Unicode in short runs, and what only looks white.
const SPACES: [&str; 26] = [
    " ", " ", " ", "  ", "   ", "\t", "\n", "\n\n", "\r", "\r\n", " \n", "\n ", " \n \n ", "\u{b}",
    "\u{c}", "\u{85}", "\u{a0}", "\u{1680}", "\u{2003}", "\u{2028}", "\u{202f}", "\u{205f}",
    "\u{3000}", "\u{1c}", "\u{200b}", "\u{feff}",
];
const MARKS: [&str; 10] = [
    "\u{301}",
    "\u{323}",
    "\u{344}",
    "\u{308}\u{301}",
    "\u{e33}",
    "\u{94d}",
    "\u{20dd}",
    "\u{fe0f}",
    "\u{200d}",
    "\u{1161}",
];
const OTHERS: [&str; 20] = [
    ".", ",", "!?", "...", "((", "-", "----", "//", "/*", "_", "=>", "\"", "<|", "|>", "<", "#",
    "\0", "\u{7f}", "\u{20ac}", "\u{2192}",
];
const ASIAN: [&str; 10] = [
    "\u{4e2d}\u{6587}",
    "\u{6211}\u{4eec}\u{7684}",
    "\u{3042}\u{3044}",
    "\u{30ab}\u{30bf}",
    "\u{ac00}\u{ac01}",
    "\u{1100}\u{1161}\u{11a8}",
    "\u{e01}\u{e33}\u{e25}\u{e31}\u{e07}",
    "\u{3002}",
    "\u{20000}",
    "\u{f900}",
];
const EMOJI: [&str; 6] = [
    "\u{1f600}",
    "\u{1f600}\u{1f601}",
    "\u{1f468}\u{200d}\u{1f469}",
    "\u{1f1e9}\u{1f1ea}",
    "\u{2764}\u{fe0f}",
    "\u{1f44d}\u{1f3fd}",
];
/// Tokens that the small tokenizers know, and pieces of them; others are text to them.
const SPECIAL: [&str; 10] = [
    "<|end|>",
    "<|end|><|end|>",
    "<|end",
    "|end|>",
    " <|end|> ",
    "<tool>",
    "<tool",
    "</tool>",
    "<|endoftext|>",
    "<|im_start|>",
];

/// Returns a text of up to [`MOST_PARTS`] parts.
pub(crate) fn text(choices: &mut impl Choices) -> String {
    let mut text = String::new();
    for _ in 0..=choices.below(MOST_PARTS) {
        if choices.is_spent() {
            break;
        }
        part(choices, &mut text);
    }
    text
}

fn part(choices: &mut impl Choices, text: &mut String) {
    match choices.below(16) {
        0..=2 => text.push_str(one_of(&WORDS, choices)),
        3 | 4 => text.push_str(one_of(&APOSTROPHES, choices)),
        5 => text.push_str(one_of(&DIGITS, choices)),
        6..=8 => text.push_str(one_of(&SPACES, choices)),
        9 => text.push_str(one_of(&MARKS, choices)),
        10 => text.push_str(one_of(&OTHERS, choices)),
        11 => text.push_str(one_of(&ASIAN, choices)),
        12 => text.push_str(one_of(&EMOJI, choices)),
        13 => text.push_str(one_of(&SPECIAL, choices)),
        14 => run(choices, text),
        _ => characters(choices, text),
    }
}

fn one_of<'a>(atoms: &[&'a str], choices: &mut impl Choices) -> &'a str {
    atoms[choices.below(atoms.len())]
}

/// One atom again and again: words as long as a vector register, a block, a page.
fn run(choices: &mut impl Choices, text: &mut String) {
    const KINDS: [&[&str]; 6] = [&WORDS, &DIGITS, &SPACES, &MARKS, &OTHERS, &ASIAN];
    const LENGTHS: [usize; 8] = [3, 7, 15, 16, 17, 63, 65, 300];
    let atom = one_of(KINDS[choices.below(KINDS.len())], choices);
    let length = LENGTHS[choices.below(LENGTHS.len())];
    text.extend(std::iter::repeat_n(atom, length));
}

/// A few characters from anywhere in Unicode, or of ASCII.
fn characters(choices: &mut impl Choices, text: &mut String) {
    const PLANES: [(u32, usize); 5] =
        [(0x20, 0x5f), (0x80, 0x780), (0x800, 0xd000), (0xe000, 0x2000), (0x1_0000, 0x10_0000)];
    for _ in 0..=choices.below(4) {
        let (first, count) = PLANES[choices.below(PLANES.len())];
        let offset = u32::try_from(choices.below(count)).expect("below 2^21");
        match char::from_u32(first + offset) {
            Some(character) => text.push(character),
            None => write!(text, "{offset:x}").expect("writing to a string cannot fail"),
        }
    }
}
