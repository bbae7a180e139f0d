//! Texts to token ids, equal to what the reference implementations give.
//!
//! A text's way: [`added`] cuts it at added tokens, [`normalize`] brings it into NFC if the
//! tokenizer wants that, [`scan`] cuts it into words, [`cache`] knows the ids of most words, and
//! [`merger`] makes those of the others. [`byte_level`] and [`sentencepiece`] are the two models;
//! [`json`], [`tiktoken`] and `sentencepiece::load` read their files. A `tokenizer.json` that asks
//! for anything else is left whole to the `tokenizers` crate ([`fallback`]).

mod added;
mod byte_level;
mod cache;
mod fallback;
mod heap_merge;
mod json;
mod json_model;
mod lanes;
mod locate;
mod long_merge;
mod merger;
mod merges;
mod normalize;
mod output;
mod pieces;
mod scan;
mod sentencepiece;
mod short_merge;
mod tiktoken;
mod unicode;
mod vocabulary;
mod word;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use self::byte_level::ByteLevel;
use self::cache::Cache;
use self::fallback::Fallback;
use self::output::Output;
use self::sentencepiece::SentencePiece;
use crate::{Error, Result};

/// A tokenizer as its file defines it; immutable, to be shared by any number of threads.
#[derive(Debug)]
pub struct Tokenizer {
    model: Model,
    file: PathBuf,
    sha256: String,
    kind: String,
    vocab_size: u32,
    special_tokens: Vec<(String, u32)>,
    /// Tokens that the model's own table does not hold: added ones, and ones no text contains.
    other_ids: HashMap<String, u32>,
    other_tokens: HashMap<u32, String>,
    /// Those of encoders that are gone, warm for the next ones.
    caches: Mutex<Vec<Box<Cache>>>,
}

/// Caches kept for encoders to come; each is 150 MB at most.
const KEPT_CACHES: usize = 16;

/// The longest text that is encoded: a prefix space and NFC may make it longer, by a factor of three
/// at most, and positions in it are numbers of 32 bits.
pub const MAX_TEXT_BYTES: usize = (1 << 30) - 1;

#[derive(Debug)]
enum Model {
    ByteLevel(Box<ByteLevel>),
    SentencePiece(Box<SentencePiece>),
    Fallback(Box<Fallback>),
}

impl Tokenizer {
    /// Loads a tokenizer from a `tokenizer.json`, a tiktoken rank file, a `SentencePiece` `.model`, or
    /// a directory with one of them; which it is, the content says.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read; [`Error::Tokenizer`] for one that is not
    /// understood, for a directory without a tokenizer or with several, and for settings that
    /// would give other ids than the reference.
    pub fn load(path: &Path) -> Result<Self> {
        let file = locate::find(path)?;
        let content = std::fs::read(&file).map_err(|error| Error::io(&file, error))?;
        let mut sha256 = String::with_capacity(64);
        for byte in Sha256::digest(&content) {
            write!(sha256, "{byte:02x}").expect("writing to a string cannot fail");
        }
        let first = content.iter().find(|byte| !byte.is_ascii_whitespace());
        if first.is_none() {
            return Err(Error::tokenizer(&file, "expected a tokenizer, found an empty file"));
        }
        if tiktoken::is_rank_file(&content) {
            return Self::of_ranks(file, &content, sha256);
        }
        if first == Some(&b'{') {
            return Self::of_json(file, &content, sha256);
        }
        let model = sentencepiece::load(&file, &content)?;
        Ok(Self {
            vocab_size: model.num_ids(),
            special_tokens: model.special_tokens(),
            kind: "SentencePiece BPE with byte fallback".to_owned(),
            model: Model::SentencePiece(Box::new(model)),
            other_ids: HashMap::new(),
            other_tokens: HashMap::new(),
            caches: Mutex::default(),
            file,
            sha256,
        })
    }

    fn of_ranks(file: PathBuf, content: &[u8], sha256: String) -> Result<Self> {
        let (model, special, name) = tiktoken::load(&file, content, &sha256)?;
        let special_tokens: Vec<_> = special.into_iter().map(|t| (t.content, t.id)).collect();
        let kind = format!("byte-level BPE, {} scanner, tiktoken {name}", model.pattern.name());
        Ok(Self::of_byte_level(model, special_tokens.clone(), special_tokens, kind, file, sha256))
    }

    fn of_json(file: PathBuf, content: &[u8], sha256: String) -> Result<Self> {
        match json::load(content) {
            Ok(json::Loaded { model, added, unreachable }) => {
                let mut special_tokens: Vec<_> = added
                    .iter()
                    .filter(|token| token.special)
                    .map(|token| (token.content.clone(), token.id))
                    .collect();
                special_tokens.sort_unstable_by_key(|&(_, id)| id);
                let others = added.into_iter().map(|token| (token.content, token.id));
                let others = unreachable.into_iter().chain(others).collect();
                let kind = format!("byte-level BPE, {} scanner", model.pattern.name());
                Ok(Self::of_byte_level(model, special_tokens, others, kind, file, sha256))
            }
            Err(reason) => {
                let model = Fallback::load(&file, content, reason)?;
                Ok(Self {
                    vocab_size: model.num_ids(),
                    special_tokens: model.special_tokens(),
                    kind: "tokenizers library".to_owned(),
                    model: Model::Fallback(Box::new(model)),
                    other_ids: HashMap::new(),
                    other_tokens: HashMap::new(),
                    caches: Mutex::default(),
                    file,
                    sha256,
                })
            }
        }
    }

    fn of_byte_level(
        model: ByteLevel,
        special_tokens: Vec<(String, u32)>,
        others: Vec<(String, u32)>,
        kind: String,
        file: PathBuf,
        sha256: String,
    ) -> Self {
        let highest = others.iter().map(|&(_, id)| id + 1).max().unwrap_or(0);
        Self {
            vocab_size: highest.max(model.vocabulary.num_ids()),
            other_tokens: others.iter().map(|(token, id)| (*id, token.clone())).collect(),
            other_ids: others.into_iter().collect(),
            model: Model::ByteLevel(Box::new(model)),
            special_tokens,
            kind,
            file,
            sha256,
            caches: Mutex::default(),
        }
    }

    /// Returns one more than the highest id, added tokens included.
    #[must_use]
    pub fn vocab_size(&self) -> u32 {
        self.vocab_size
    }

    /// Returns the SHA-256 of the file that was loaded, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Returns the file that was loaded: for a directory, the one found in it.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns a few words for people: which model, which pre-tokenizer.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Returns why the `tokenizers` library does the work, if it does.
    #[must_use]
    pub fn fallback_reason(&self) -> Option<&str> {
        match &self.model {
            Model::Fallback(model) => Some(model.reason()),
            Model::ByteLevel(_) | Model::SentencePiece(_) => None,
        }
    }

    /// Returns the id of a token, spelled as its file spells it (`Ġthe`, `▁the`, `<|endoftext|>`).
    #[must_use]
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.other_ids.get(token).copied().or_else(|| match &self.model {
            Model::ByteLevel(model) => model.token_to_id(token),
            Model::SentencePiece(model) => model.token_to_id(token),
            Model::Fallback(model) => model.token_to_id(token),
        })
    }

    /// Returns the token of an id, as its file spells it; bytes that are no UTF-8, which only
    /// tiktoken's files hold, become U+FFFD.
    #[must_use]
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.other_tokens.get(&id).cloned().or_else(|| match &self.model {
            Model::ByteLevel(model) => model.id_to_token(id),
            Model::SentencePiece(model) => model.id_to_token(id),
            Model::Fallback(model) => model.id_to_token(id),
        })
    }

    /// Returns the special tokens and their ids, by id: control pieces in `SentencePiece`.
    pub fn special_tokens(&self) -> impl Iterator<Item = (&str, u32)> {
        self.special_tokens.iter().map(|(token, id)| (token.as_str(), *id))
    }

    /// Returns the bytes that `ids` stand for, special tokens spelled out.
    ///
    /// For byte-level models these are the bytes that were encoded; the other two give text.
    ///
    /// # Errors
    /// [`Error::Argument`] for an id that is no token.
    pub fn decode(&self, ids: &[u32]) -> Result<Vec<u8>> {
        if let Some(id) = ids.iter().find(|&&id| id >= self.vocab_size) {
            let size = self.vocab_size;
            return Err(Error::Argument(format!(
                "id {id} is not below the vocabulary size {size}"
            )));
        }
        match &self.model {
            Model::ByteLevel(model) => {
                let mut bytes = Vec::with_capacity(ids.len() * 4);
                for id in ids {
                    let other = self.other_tokens.get(id).map(String::as_bytes);
                    let token = other.or_else(|| model.vocabulary.token(*id)).ok_or_else(|| {
                        Error::Argument(format!("id {id} is a gap in the vocabulary"))
                    })?;
                    bytes.extend_from_slice(token);
                }
                Ok(bytes)
            }
            Model::SentencePiece(model) => Ok(model.decode(ids).into_bytes()),
            Model::Fallback(model) => Ok(model.decode(ids)?.into_bytes()),
        }
    }

    /// Returns an encoder, which one thread uses for many texts.
    #[must_use]
    pub fn encoder(&self) -> Encoder<'_> {
        let cache = self.lock_caches().pop();
        Encoder { tokenizer: self, cache, buffer: String::new(), ids: Vec::new() }
    }
}

impl Tokenizer {
    fn lock_caches(&self) -> MutexGuard<'_, Vec<Box<Cache>>> {
        // A panic elsewhere leaves at worst fewer caches.
        self.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Encoder<'_> {
    fn drop(&mut self) {
        // One that panics may have left its cache half written.
        if let Some(cache) = self.cache.take().filter(|_| !std::thread::panicking()) {
            let mut caches = self.tokenizer.lock_caches();
            if caches.len() < KEPT_CACHES {
                caches.push(cache);
            }
        }
    }
}

/// Encodes texts with one tokenizer, and remembers words it has seen; one for each thread.
#[derive(Debug)]
pub struct Encoder<'t> {
    tokenizer: &'t Tokenizer,
    /// One that an earlier encoder left, or made for the first text: the fallback needs none.
    cache: Option<Box<Cache>>,
    buffer: String,
    ids: Vec<u32>,
}

impl Encoder<'_> {
    /// Appends the ids of `text` to `ids`, without those that a post-processor would add.
    ///
    /// With `parse_special`, special tokens spelled in `text` become their ids; without, they are
    /// text like any other. Added tokens that are not special are found either way.
    ///
    /// # Errors
    /// [`Error::Argument`] for a text of 1 GiB or more, and for what the fallback refuses.
    pub fn encode(&mut self, text: &str, parse_special: bool, ids: &mut Vec<u32>) -> Result<()> {
        self.encode_output(text, parse_special, &mut Output::new(ids))
    }

    /// Gives the ids of `text` to `sink`, in blocks: those of a long text never lie in memory all.
    ///
    /// # Errors
    /// As [`Encoder::encode`], and what `sink` returns, which is then not called again.
    pub fn encode_to(
        &mut self,
        text: &str,
        parse_special: bool,
        sink: &mut dyn FnMut(&[u32]) -> Result<()>,
    ) -> Result<()> {
        let mut ids = std::mem::take(&mut self.ids);
        ids.clear();
        let mut output = Output::with_sink(&mut ids, sink);
        let encoded = self.encode_output(text, parse_special, &mut output);
        let outcome = encoded.and_then(|()| output.finish());
        // What one long text took is not kept for the rest.
        ids.shrink_to(1 << 20);
        self.ids = ids;
        outcome
    }

    fn encode_output(
        &mut self,
        text: &str,
        parse_special: bool,
        output: &mut Output<'_>,
    ) -> Result<()> {
        if text.len() > MAX_TEXT_BYTES {
            let bytes = text.len();
            return Err(Error::Argument(format!("a text must be below 1 GiB, got {bytes} bytes")));
        }
        match &self.tokenizer.model {
            Model::ByteLevel(model) => {
                let cache = self.cache.get_or_insert_with(|| Box::new(Cache::new()));
                model.encode(text, parse_special, cache, output);
            }
            Model::SentencePiece(model) => {
                let cache = self.cache.get_or_insert_with(|| Box::new(Cache::new()));
                model.encode(text, &mut self.buffer, cache, output);
            }
            Model::Fallback(model) => model.encode(text, parse_special, output.ids)?,
        }
        Ok(())
    }
}
