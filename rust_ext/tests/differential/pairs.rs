//! Small tokenizers of every pattern, as loaded by both, and the comparison of their ids.

use std::collections::HashMap;
use std::path::Path;

use _rust_ext::tokenizer::Tokenizer;
use serde_json::{Map, Value, json};

use super::grammar::{Choices, Seeded, text};

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const NUM_MERGES: usize = 400;
const TRAINING_TEXTS: u64 = 600;

/// The same tokenizer in our encoder and in the crate that defines its ids.
pub(crate) struct Pair {
    name: String,
    ours: Tokenizer,
    parsing: tokenizers::Tokenizer,
    literal: tokenizers::Tokenizer,
}

impl Pair {
    fn load(name: &str, path: &Path) -> Self {
        let ours = Tokenizer::load(path).expect("loaded by ours");
        assert_eq!(ours.fallback_reason(), None, "{name} is compared with itself");
        let parsing = tokenizers::Tokenizer::from_file(ours.file()).expect("loaded by theirs");
        let mut literal = parsing.clone();
        literal.set_encode_special_tokens(true);
        Self { name: name.to_owned(), ours, parsing, literal }
    }

    /// Returns an encoder whose cache outlives a text.
    pub(crate) fn encoder(&self) -> _rust_ext::tokenizer::Encoder<'_> {
        self.ours.encoder()
    }

    /// Compares the ids of `text` in both modes; returns how many there were.
    ///
    /// `used` has encoded other texts before, as an encoder over a corpus has.
    ///
    /// # Panics
    /// If any id differs.
    pub(crate) fn compare(
        &self,
        text: &str,
        used: &mut _rust_ext::tokenizer::Encoder<'_>,
    ) -> usize {
        let mut count = 0;
        for (parse_special, theirs) in [(false, &self.literal), (true, &self.parsing)] {
            let encoding = theirs.encode_fast(text, false).expect("encoded by theirs");
            let mut ids = Vec::new();
            used.encode(text, parse_special, &mut ids).expect("encoded by ours");
            assert_eq!(
                ids,
                encoding.get_ids(),
                "{}: ids of {text:?} with parse_special={parse_special} differ",
                self.name
            );
            count += ids.len();
        }
        count
    }
}

/// Returns a tokenizer of each pattern, and those of the `tokenizer.json` files that the variable
/// `FUZZ_TOKENIZERS` lists, separated by colons.
pub(crate) fn all() -> Vec<Pair> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let gpt2 = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
    let small = [
        ("gpt2", gpt2.clone(), Value::Null, false),
        ("llama3", split(LLAMA3), Value::Null, true),
        ("qwen2", split(QWEN2), json!({"type": "NFC"}), false),
        ("o200k", split(O200K), Value::Null, false),
        ("gpt2 with NFC", gpt2, json!({"type": "NFC"}), true),
    ];
    let mut pairs = Vec::new();
    for (number, (name, pre_tokenizer, normalizer, ignore_merges)) in small.into_iter().enumerate()
    {
        let mut content = trained(Seeded(number as u64));
        content["pre_tokenizer"] = pre_tokenizer;
        content["normalizer"] = normalizer;
        content["model"]["ignore_merges"] = json!(ignore_merges);
        let path = directory.path().join("tokenizer.json");
        std::fs::write(&path, content.to_string()).expect("written");
        pairs.push(Pair::load(name, &path));
    }
    let given = std::env::var("FUZZ_TOKENIZERS").unwrap_or_default();
    pairs.extend(given.split(':').filter(|path| !path.is_empty()).map(|path| {
        assert!(Path::new(path).exists(), "FUZZ_TOKENIZERS: {path} is missing");
        Pair::load(path, Path::new(path))
    }));
    pairs
}

fn split(regex: &str) -> Value {
    json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
    ]})
}

/// The character that stands for a byte in a `tokenizer.json`, by the rule of GPT-2.
fn spelled(byte: u8) -> char {
    let printable = |b: u8| matches!(b, 33..=126 | 161..=172 | 174..=255);
    let rank = (0..byte).filter(|&b| !printable(b)).count();
    let point = if printable(byte) { usize::from(byte) } else { 256 + rank };
    u32::try_from(point).ok().and_then(char::from_u32).expect("below 512")
}

/// Returns a byte-level BPE whose merges were learnt from texts of the grammar itself, so that
/// merges meet in every part of it, inside of characters too.
fn trained(mut choices: impl Choices) -> Value {
    let texts: Vec<String> = (0..TRAINING_TEXTS).map(|_| text(&mut choices)).collect();
    let mut words: Vec<Vec<usize>> = texts
        .iter()
        .flat_map(|text| text.split_inclusive([' ', '\n']))
        .map(|word| word.bytes().take(40).map(usize::from).collect())
        .collect();
    let mut tokens: Vec<String> = (0..=255u8).map(|byte| spelled(byte).to_string()).collect();
    let mut merges = Vec::new();
    while merges.len() < NUM_MERGES {
        let Some((left, right)) = most_frequent(&words) else { break };
        let joined = format!("{}{}", tokens[left], tokens[right]);
        merges.push(json!([tokens[left], tokens[right]]));
        let id = tokens.iter().position(|token| *token == joined).unwrap_or_else(|| {
            tokens.push(joined);
            tokens.len() - 1
        });
        for word in &mut words {
            merge(word, (left, right), id);
        }
    }
    let vocab: Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
    // The library gives an added token the id of an equal token of the model, else the next one.
    let mut added = Vec::new();
    let mut next = tokens.len();
    for (content, special) in [("<|end|>", true), ("<tool>", false)] {
        let id = tokens.iter().position(|token| token == content).unwrap_or_else(|| {
            next += 1;
            next - 1
        });
        added.push(json!({"id": id, "content": content, "single_word": false, "lstrip": false,
                          "rstrip": false, "normalized": false, "special": special}));
    }
    json!({
        "added_tokens": added,
        "model": {"type": "BPE", "vocab": vocab, "merges": merges},
    })
}

fn most_frequent(words: &[Vec<usize>]) -> Option<(usize, usize)> {
    let mut counts: HashMap<(usize, usize), usize> = HashMap::new();
    for pair in words.iter().flat_map(|word| word.windows(2)) {
        *counts.entry((pair[0], pair[1])).or_default() += 1;
    }
    counts.into_iter().max_by_key(|&(pair, count)| (count, pair)).map(|(pair, _)| pair)
}

fn merge(word: &mut Vec<usize>, (left, right): (usize, usize), id: usize) {
    let mut position = 0;
    while position + 1 < word.len() {
        if (word[position], word[position + 1]) == (left, right) {
            word[position] = id;
            word.remove(position + 1);
        }
        position += 1;
    }
}
