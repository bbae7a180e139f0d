//! From a file to a tokenizer: by building its tables, or from those that were kept.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::fallback::Fallback;
use super::json::HIGHEST_ID;
use super::stored::{SectionReader, Sections, Stored};
use super::table_file::TableFile;
use super::{Model, Tokenizer, hexadecimal, json, locate, sentencepiece, tiktoken};
use crate::{Error, Result};

impl Tokenizer {
    /// Loads a tokenizer from a `tokenizer.json`, a tiktoken rank file, a `SentencePiece` `.model`, or
    /// a directory with one of them; which it is, the content says.
    ///
    /// Tables that were built are kept in the user's cache directory, so that the same content
    /// loads several times as fast again. `$HEPHAESTUS_FORGE_CACHE` names another directory, or,
    /// empty, none; where it cannot be written, nothing is kept.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read; [`Error::Tokenizer`] for one that is not
    /// understood, for a directory without a tokenizer or with several, and for settings that
    /// would give other ids than the reference.
    pub fn load(path: &Path) -> Result<Self> {
        let file = locate::find(path)?;
        let content = std::fs::read(&file).map_err(|error| Error::io(&file, error))?;
        let sha256 = Sha256::digest(&content).into();
        let tables = TableFile::of(sha256, content.len());
        let sha256 = hexadecimal(&sha256);
        if let Some(parts) = tables.as_ref().and_then(TableFile::load::<Parts>) {
            return Ok(parts.into_tokenizer(file, sha256));
        }
        let parts = Parts::of(&file, &content, &sha256)?;
        if let Some(tables) = tables.filter(|_| !matches!(parts.model, Model::Fallback(_))) {
            tables.save(&parts);
        }
        Ok(parts.into_tokenizer(file, sha256))
    }
}

/// All that follows from a file's content.
struct Parts {
    model: Model,
    kind: String,
    special_tokens: Vec<(String, u32)>,
    /// Tokens that the model's own table does not hold; of two with one name the later counts.
    others: Vec<(String, u32)>,
}

impl Parts {
    fn of(file: &Path, content: &[u8], sha256: &str) -> Result<Self> {
        match content.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => Err(Error::tokenizer(file, "expected a tokenizer, found an empty file")),
            _ if tiktoken::is_rank_file(content) => Self::of_ranks(file, content, sha256),
            Some(b'{') => Self::of_json(file, content),
            Some(_) => Self::of_sentencepiece(file, content),
        }
    }

    fn of_ranks(file: &Path, content: &[u8], sha256: &str) -> Result<Self> {
        let (model, special, name) = tiktoken::load(file, content, sha256)?;
        let special_tokens: Vec<_> = special.into_iter().map(|t| (t.content, t.id)).collect();
        Ok(Self {
            kind: format!("byte-level BPE, {} scanner, tiktoken {name}", model.pattern.name()),
            model: Model::ByteLevel(Box::new(model)),
            others: special_tokens.clone(),
            special_tokens,
        })
    }

    fn of_json(file: &Path, content: &[u8]) -> Result<Self> {
        let json::Loaded { model, added, unreachable } = match json::load(content) {
            Ok(loaded) => loaded,
            Err(reason) => return Self::of_library(file, content, reason),
        };
        let special = added.iter().filter(|token| token.special);
        let mut special_tokens: Vec<_> =
            special.map(|token| (token.content.clone(), token.id)).collect();
        special_tokens.sort_unstable_by_key(|&(_, id)| id);
        let others = added.into_iter().map(|token| (token.content, token.id));
        Ok(Self {
            kind: format!("byte-level BPE, {} scanner", model.pattern.name()),
            model: Model::ByteLevel(Box::new(model)),
            special_tokens,
            others: unreachable.into_iter().chain(others).collect(),
        })
    }

    fn of_library(file: &Path, content: &[u8], reason: String) -> Result<Self> {
        let model = Fallback::load(file, content, reason)?;
        Ok(Self {
            kind: "tokenizers library".to_owned(),
            special_tokens: model.special_tokens(),
            model: Model::Fallback(Box::new(model)),
            others: Vec::new(),
        })
    }

    fn of_sentencepiece(file: &Path, content: &[u8]) -> Result<Self> {
        let model = sentencepiece::load(file, content)?;
        Ok(Self {
            kind: "SentencePiece BPE with byte fallback".to_owned(),
            special_tokens: model.special_tokens(),
            model: Model::SentencePiece(Box::new(model)),
            others: Vec::new(),
        })
    }

    fn vocab_size(&self) -> u32 {
        let highest = self.others.iter().map(|&(_, id)| id + 1).max().unwrap_or(0);
        highest.max(match &self.model {
            Model::ByteLevel(model) => model.vocabulary.num_ids(),
            Model::SentencePiece(model) => model.num_ids(),
            Model::Fallback(model) => model.num_ids(),
        })
    }

    fn into_tokenizer(self, file: PathBuf, sha256: String) -> Tokenizer {
        Tokenizer {
            vocab_size: self.vocab_size(),
            other_tokens: self.others.iter().map(|(token, id)| (*id, token.clone())).collect(),
            other_ids: self.others.into_iter().collect(),
            model: self.model,
            special_tokens: self.special_tokens,
            kind: self.kind,
            file,
            sha256,
        }
    }
}

const BYTE_LEVEL: u8 = 0;
const SENTENCEPIECE: u8 = 1;

impl Stored for Parts {
    fn store(&self, sections: &mut Sections) {
        sections.put_bytes(self.kind.as_bytes());
        self.special_tokens.store(sections);
        self.others.store(sections);
        match &self.model {
            Model::ByteLevel(model) => {
                sections.put([BYTE_LEVEL].into_iter());
                model.store(sections);
            }
            Model::SentencePiece(model) => {
                sections.put([SENTENCEPIECE].into_iter());
                model.store(sections);
            }
            Model::Fallback(_) => {} // its tables are the library's own: nothing restores this
        }
    }

    fn restore(sections: &mut SectionReader<'_>) -> Option<Self> {
        let kind = sections.take_text()?.to_owned();
        let special_tokens = Vec::restore(sections)?;
        let others = Vec::<(String, u32)>::restore(sections)?;
        others.iter().all(|&(_, id)| id <= HIGHEST_ID).then_some(())?;
        let model = match sections.take_array()? {
            [BYTE_LEVEL] => Model::ByteLevel(Box::new(Stored::restore(sections)?)),
            [SENTENCEPIECE] => Model::SentencePiece(Box::new(Stored::restore(sections)?)),
            [_] => return None,
        };
        let parts = Self { model, kind, special_tokens, others };
        let size = parts.vocab_size();
        let added_are_below = match &parts.model {
            Model::ByteLevel(model) => model.added_ids().all(|id| id < size),
            Model::SentencePiece(_) | Model::Fallback(_) => true, // checked by the model
        };
        let are_below = added_are_below && parts.special_tokens.iter().all(|&(_, id)| id < size);
        are_below.then_some(parts)
    }
}
