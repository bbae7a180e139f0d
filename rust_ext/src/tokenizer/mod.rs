//! Texts to token ids, equal to what the reference implementations give.
//!
//! A text's way: [`added`] cuts it at added tokens, [`normalize`] brings it into NFC if the
//! tokenizer wants that, [`scan`] cuts it into words, [`cache`] knows the ids of most words, and
//! [`merger`] makes those of the others. [`byte_level`] and [`sentencepiece`] are the two models;
//! [`json`], [`tiktoken`] and `sentencepiece::load` read their files. A `tokenizer.json` that asks
//! for anything else is left whole to the `tokenizers` crate ([`fallback`]). [`load`] decides, and
//! keeps what was built in a [`table_file`] for the next time, each table as its [`stored`] form.

mod added;
mod alignment;
mod byte_level;
mod cache;
mod fallback;
mod heap_merge;
mod json;
mod json_model;
mod lanes;
mod load;
mod locate;
mod long_merge;
mod merger;
mod merges;
mod nesting;
mod normalize;
mod output;
mod pieces;
mod scan;
mod sentencepiece;
mod short_merge;
mod spans;
mod stored;
mod table_file;
mod tiktoken;
mod unicode;
mod vocabulary;
mod word;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use self::normalize::nfc;
pub use self::spans::Span;

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

    /// Returns the tokens that texts are cut at, and for each whether it is special, sorted: what a
    /// template may name, and what data must not become.
    #[must_use]
    pub fn added_tokens(&self) -> Vec<(String, bool)> {
        let special: std::collections::BTreeMap<String, bool> =
            self.special_tokens.iter().map(|(token, _)| (token.clone(), true)).collect();
        let others = self.other_ids.keys().filter(|token| self.special_id(token).is_some());
        let mut all = special;
        for token in others {
            all.entry(token.clone()).or_insert(false);
        }
        all.retain(|token, _| !token.is_empty());
        all.into_iter().collect()
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

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
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
