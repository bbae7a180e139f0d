//! The `tokenizers` crate, for every `tokenizer.json` that this encoder does not do itself.

mod extents;

use std::path::Path;
use std::sync::OnceLock;

use tokenizers::Tokenizer as Reference;

use crate::{Error, Result};

/// A tokenizer of the reference implementation, once for each way to treat special tokens.
#[derive(Debug)]
pub(super) struct Fallback {
    parsing_special: Reference,
    special_as_text: Reference,
    /// `special_as_text` with a token of our own, for texts that do not begin the input.
    anchored: OnceLock<Reference>,
    reason: String,
}

impl Fallback {
    /// Loads `content`, the bytes of the `tokenizer.json` at `path`.
    ///
    /// Truncation and padding that the file asks for are switched off: a document is encoded whole.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] with what the crate says, and why it was asked.
    pub(super) fn load(path: &Path, content: &[u8], reason: String) -> Result<Self> {
        let refuse = |error: tokenizers::Error| {
            Error::tokenizer(path, format!("{error} (read by the tokenizers library: {reason})"))
        };
        let mut parsing_special = Reference::from_bytes(content).map_err(refuse)?;
        parsing_special.with_truncation(None).map_err(refuse)?;
        parsing_special.with_padding(None);
        parsing_special.set_encode_special_tokens(false);
        let mut special_as_text = parsing_special.clone();
        special_as_text.set_encode_special_tokens(true);
        Ok(Self { parsing_special, special_as_text, anchored: OnceLock::new(), reason })
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    pub(super) fn encode(&self, text: &str, parse_special: bool, ids: &mut Vec<u32>) -> Result<()> {
        let tokenizer = if parse_special { &self.parsing_special } else { &self.special_as_text };
        let encoding = tokenizer.encode_fast(text, false).map_err(|error| argument(&error))?;
        ids.extend_from_slice(encoding.get_ids());
        Ok(())
    }

    pub(super) fn decode(&self, ids: &[u32]) -> Result<String> {
        self.parsing_special.decode(ids, false).map_err(|error| argument(&error))
    }

    pub(super) fn num_ids(&self) -> u32 {
        let vocabulary = self.parsing_special.get_vocab(true);
        vocabulary.into_values().max().map_or(0, |id| id.saturating_add(1))
    }

    pub(super) fn token_to_id(&self, token: &str) -> Option<u32> {
        self.parsing_special.token_to_id(token)
    }

    pub(super) fn id_to_token(&self, id: u32) -> Option<String> {
        self.parsing_special.id_to_token(id)
    }

    pub(super) fn special_tokens(&self) -> Vec<(String, u32)> {
        let added = self.parsing_special.get_added_tokens_decoder();
        let special = added.into_iter().filter(|(_, token)| token.special);
        let mut tokens: Vec<_> = special.map(|(id, token)| (token.content, id)).collect();
        tokens.sort_unstable_by_key(|&(_, id)| id);
        tokens
    }
}

fn argument(error: &tokenizers::Error) -> Error {
    Error::Argument(format!("the tokenizers library refused this input: {error}"))
}
