//! `tokenizer.json`: what of it this encoder does itself, and why not the rest.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::added::{AddedToken, AddedTokens};
use super::byte_level::{Alphabet, ByteLevel, Spelling};
use super::json_model::Bpe;
use super::merges::{MAX_RANKS, Merge, Merges, Rules};
use super::normalize::nfc;
use super::pieces::Boundaries;
use super::scan::Pattern;
use super::tiktoken::byte_ids;
use super::vocabulary::Vocabulary;
use super::word::ByteSymbols;

/// The outermost object, as far as it decides about ids.
#[derive(Deserialize)]
struct File<'a> {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    #[serde(borrow)]
    model: Bpe<'a>,
}

/// The same of a file with any other model.
#[derive(Deserialize)]
struct OtherFile {
    model: OtherModel,
}

#[derive(Deserialize)]
struct OtherModel {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// A model this encoder does, and what is known about its tokens besides.
pub(super) struct Loaded {
    pub(super) model: ByteLevel,
    pub(super) added: Vec<AddedToken>,
    /// Tokens whose spelling is not of the byte-level alphabet: no text can contain them.
    pub(super) unreachable: HashMap<String, u32>,
}

/// Why a file is left to the `tokenizers` library.
type Reason = String;

/// Ids above it are no vocabulary but a slip of somebody's hand.
pub(super) const HIGHEST_ID: u32 = (1 << 24) - 1;

/// Reads a `tokenizer.json`.
///
/// # Errors
/// The reason why the file needs the `tokenizers` library, which may refuse it in turn.
pub(super) fn load(content: &[u8]) -> Result<Loaded, Reason> {
    let file: File<'_> = sonic_rs::from_slice(content).map_err(|error| unread(content, &error))?;
    let bpe = file.model;
    check_kind(bpe.kind.as_deref())?;
    let (pattern, adds_prefix_space) = pre_tokenizer(file.pre_tokenizer.as_ref())?;
    let normalizes_nfc = normalizer(file.normalizer.as_ref())?;
    bpe.check()?;

    // Tables are as long as the highest id; the library has maps.
    if let Some((token, id)) = bpe.vocab.0.iter().find(|(_, id)| *id > HIGHEST_ID) {
        return Err(format!("token {token:?} with the id {id}"));
    }
    let (vocabulary, unreachable) = vocabulary_of(&bpe);
    // The library keeps the last of two entries, or both: not worth a second rule here.
    if vocabulary.num_tokens() + unreachable.len() != bpe.vocab.0.len() {
        return Err("a vocabulary that names a token twice".to_owned());
    }
    if vocabulary.iter().count() != vocabulary.num_tokens() {
        return Err("a vocabulary with one id for two tokens".to_owned());
    }
    let merges = merges_of(&bpe, &vocabulary)?;
    let byte_ids = byte_ids(&vocabulary).ok_or("a vocabulary without a token for every byte")?;
    let byte_symbols = ByteSymbols::new(&byte_ids, &merges);
    let boundaries = Boundaries::new(&vocabulary);
    let added = check_added(file.added_tokens, &vocabulary, &unreachable, bpe.vocab.0.len())?;
    let (normalized, raw): (Vec<_>, Vec<_>) =
        added.iter().cloned().partition(|token| token.normalized);
    let normalized = normalized.into_iter().map(|token| AddedToken {
        content: if normalizes_nfc { nfc(&token.content).into_owned() } else { token.content },
        ..token
    });
    let model = ByteLevel {
        added: AddedTokens::new(raw)?,
        added_normalized: AddedTokens::new(normalized.collect())?,
        vocabulary,
        merges,
        byte_symbols,
        boundaries,
        prefers_whole_words: bpe.ignore_merges.unwrap_or(false),
        pattern,
        adds_prefix_space,
        normalizes_nfc,
        spelling: Spelling::Alphabet,
    };
    Ok(Loaded { model, added, unreachable })
}

fn check_kind(kind: Option<&str>) -> Result<(), Reason> {
    match kind {
        Some("BPE") => Ok(()),
        other => Err(format!("model type {}", other.unwrap_or("not named"))),
    }
}

/// Returns why a file could not be read: another model if it is one, else the parser's message,
/// without the excerpt of the file on its further lines.
fn unread(content: &[u8], error: &sonic_rs::Error) -> Reason {
    let other = sonic_rs::from_slice::<OtherFile>(content).ok();
    let kind = other.map(|file| check_kind(file.model.kind.as_deref()));
    if let Some(Err(reason)) = kind {
        return reason;
    }
    format!("not read here: {}", error.to_string().lines().next().unwrap_or_default())
}

/// Returns the pattern and whether a space is put in front.
fn pre_tokenizer(value: Option<&Value>) -> Result<(Pattern, bool), Reason> {
    let unknown = || {
        let text = value.map_or_else(|| "none".to_owned(), Value::to_string);
        format!("pre-tokenizer {text}")
    };
    let value = value.ok_or_else(unknown)?;
    if let Some(byte_level) = ByteLevelStep::of(value) {
        return if byte_level.use_regex {
            Ok((Pattern::Gpt2, byte_level.add_prefix_space))
        } else {
            Err(unknown())
        };
    }
    let steps = value["pretokenizers"].as_array().filter(|_| value["type"] == "Sequence");
    let Some([split, byte_level]) = steps.map(Vec::as_slice) else { return Err(unknown()) };
    let pattern = split_pattern(split).and_then(Pattern::recognise).ok_or_else(unknown)?;
    match ByteLevelStep::of(byte_level) {
        Some(ByteLevelStep { add_prefix_space: false, use_regex: false }) => Ok((pattern, false)),
        _ => Err(unknown()),
    }
}

struct ByteLevelStep {
    add_prefix_space: bool,
    use_regex: bool,
}

impl ByteLevelStep {
    fn of(value: &Value) -> Option<Self> {
        (value["type"] == "ByteLevel").then_some(())?;
        let use_regex = value.get("use_regex").map_or(Some(true), Value::as_bool)?;
        Some(Self { add_prefix_space: value["add_prefix_space"].as_bool()?, use_regex })
    }
}

/// Returns the pattern of a `Split` that leaves every match as a word.
fn split_pattern(value: &Value) -> Option<&str> {
    let keeps_matches = matches!(
        (value["behavior"].as_str()?, value["invert"].as_bool()?),
        ("Isolated", false) | ("Removed", true)
    );
    (keeps_matches && value["type"] == "Split").then_some(())?;
    value["pattern"]["Regex"].as_str()
}

/// Returns whether texts are brought into NFC.
fn normalizer(value: Option<&Value>) -> Result<bool, Reason> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(false) };
    match value["type"].as_str() {
        Some("NFC") => Ok(true),
        Some("Sequence") => match value["normalizers"].as_array().map(Vec::as_slice) {
            Some([]) => Ok(false),
            Some([only]) => normalizer(Some(only)),
            _ => Err(format!("normalizer {value}")),
        },
        _ => Err(format!("normalizer {value}")),
    }
}

fn vocabulary_of(bpe: &Bpe<'_>) -> (Vocabulary, HashMap<String, u32>) {
    let alphabet = Alphabet::new();
    let mut vocabulary = Vocabulary::with_capacity(bpe.vocab.0.len());
    let mut unreachable = HashMap::new();
    let mut bytes = Vec::new();
    for (token, id) in &bpe.vocab.0 {
        bytes.clear();
        match alphabet.append(token, &mut bytes) {
            Some(()) => vocabulary.insert(&bytes, *id),
            None => drop(unreachable.insert(token.clone().into_owned(), *id)),
        }
    }
    (vocabulary, unreachable)
}

fn merges_of(bpe: &Bpe<'_>, vocabulary: &Vocabulary) -> Result<Merges, Reason> {
    let alphabet = Alphabet::new();
    if bpe.merges.0.len() > MAX_RANKS as usize {
        return Err(format!("{} merges", bpe.merges.0.len()));
    }
    let mut rules = Rules::with_capacity(bpe.merges.0.len());
    let mut bytes = Vec::new();
    // Rules stand in the order of what they give, so the next one mostly gives the next id, or, if
    // a token is made in several ways, the same: comparing is cheaper than a search.
    let is_unambiguous = vocabulary.num_tokens() == vocabulary.iter().count();
    let mut last = 0;
    let mut rule = |left: &str, right: &str| {
        bytes.clear();
        alphabet.append(left, &mut bytes)?;
        let middle = bytes.len();
        alphabet.append(right, &mut bytes)?;
        let is_whole = |id: &u32| is_unambiguous && vocabulary.token(*id) == Some(&bytes);
        let guess = [last + 1, last].into_iter().find(is_whole);
        last = guess.or_else(|| vocabulary.id(&bytes))?;
        let (left, right) = bytes.split_at(middle);
        Some((vocabulary.id(left)?, vocabulary.id(right)?, last))
    };
    for (rank, (left, right)) in (0..).zip(&bpe.merges.0) {
        let (left, right, symbol) = rule(left, right)
            .ok_or_else(|| format!("merge {rank} ({left:?}, {right:?}) without its tokens"))?;
        rules.insert(left, right, Merge { rank, symbol });
    }
    Ok(rules.finish())
}

/// Returns the added tokens, if `tokenizers` would give them the ids that stand in the file.
///
/// It takes the id of an equal token of the model, else the next free one.
fn check_added(
    tokens: Vec<AddedToken>,
    vocabulary: &Vocabulary,
    unreachable: &HashMap<String, u32>,
    num_tokens: usize,
) -> Result<Vec<AddedToken>, Reason> {
    let alphabet = Alphabet::new();
    let mut next_id = u32::try_from(num_tokens).map_err(|error| error.to_string())?;
    let mut seen = std::collections::HashSet::new();
    for token in &tokens {
        let of_model = alphabet.bytes(&token.content).and_then(|bytes| vocabulary.id(&bytes));
        let given = of_model.or_else(|| unreachable.get(&token.content).copied());
        let given = given.unwrap_or_else(|| {
            next_id += 1;
            next_id - 1
        });
        if given != token.id || token.content.is_empty() || !seen.insert(&token.content) {
            return Err(format!("added token {:?} with the id {}", token.content, token.id));
        }
    }
    Ok(tokens)
}
