//! From a file to a tokenizer: by building its tables, or from those that were kept.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::fallback::Fallback;
use super::json::HIGHEST_ID;
use super::stored::{SectionReader, Sections, Stored};
use super::table_file::TableFile;
use super::{Model, Tokenizer, hexadecimal, json, locate, nesting, sentencepiece, tiktoken};
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

/// What some editors write before UTF-8. No reference reads a tokenizer behind it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

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
        if content.starts_with(BYTE_ORDER_MARK) {
            let message = "expected a tokenizer, found a byte order mark before it; save the file \
                           as UTF-8 without one";
            return Err(Error::tokenizer(file, message));
        }
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
        if nesting::is_too_deep(content) {
            let message = format!(
                "expected lists and objects nested at most {} deep, found deeper ones",
                nesting::MAX_DEPTH
            );
            return Err(Error::tokenizer(file, message));
        }
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
            caches: std::sync::Mutex::default(),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes are tokens, `ab` and `abc` merge, and there is one added token of either kind.
    fn small_json() -> Vec<u8> {
        let mut vocab: serde_json::Map<String, serde_json::Value> = (0..=255u8)
            .map(|byte| (super::super::byte_level::Alphabet::character(byte).into(), byte.into()))
            .collect();
        vocab.extend([("ab".to_owned(), 256.into()), ("abc".to_owned(), 257.into())]);
        let added = |id: u32, content: &str, special: bool| {
            serde_json::json!({"id": id, "content": content, "single_word": false, "lstrip": true,
                "rstrip": false, "normalized": !special, "special": special})
        };
        let file = serde_json::json!({
            "added_tokens": [added(258, "<|end|>", true), added(259, "<tool>", false)],
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
            "model": {"type": "BPE", "vocab": vocab, "merges": [["a", "b"], ["ab", "c"]]},
        });
        file.to_string().into_bytes()
    }

    fn parts(content: &[u8]) -> Parts {
        let parts = Parts::of(Path::new("small"), content, "").expect("a tokenizer");
        assert!(!matches!(parts.model, Model::Fallback(_)));
        parts
    }

    fn stored(parts: &Parts) -> Vec<u8> {
        let mut sections = Sections::default();
        parts.store(&mut sections);
        sections.into_bytes()
    }

    fn restored(bytes: &[u8]) -> Option<Tokenizer> {
        let mut sections = SectionReader::new(bytes);
        let parts = Parts::restore(&mut sections)?;
        sections.is_at_end().then(|| parts.into_tokenizer(PathBuf::new(), String::new()))
    }

    /// Uses everything that looks something up in the tables.
    fn use_all(tokenizer: &Tokenizer) -> (Vec<u32>, Vec<Option<String>>) {
        let mut ids = Vec::new();
        for parse_special in [false, true] {
            let text = "abc \u{301}<tool>cab<|end|>\u{2581}   catscats \u{4e2d}\u{4e00}<sep>";
            for text in [text, &"abc".repeat(90), &"cats".repeat(90)] {
                tokenizer.encoder().encode(text, parse_special, &mut ids).expect("encoded");
            }
        }
        let tokens = (0..tokenizer.vocab_size().min(1_000)).map(|id| tokenizer.id_to_token(id));
        let tokens: Vec<_> = tokens.collect();
        for token in tokens.iter().flatten() {
            let _ = tokenizer.token_to_id(token);
        }
        // Gaps are refused, everything else has bytes.
        let _ = tokenizer.decode(&ids);
        (ids, tokens)
    }

    fn samples() -> [Vec<u8>; 2] {
        [small_json(), sentencepiece::small_model()]
    }

    #[test]
    fn restored_tables_give_what_built_ones_give() {
        for content in samples() {
            let parts = parts(&content);
            let tokenizer = restored(&stored(&parts)).expect("restored");
            let built = parts.into_tokenizer(PathBuf::new(), String::new());
            assert_eq!(use_all(&tokenizer), use_all(&built));
            assert_eq!(tokenizer.kind, built.kind);
            assert_eq!(tokenizer.special_tokens, built.special_tokens);
            assert_eq!(tokenizer.other_ids, built.other_ids);
            assert_eq!(tokenizer.vocab_size, built.vocab_size);
        }
    }

    #[test]
    fn tables_cut_anywhere_are_refused() {
        for content in samples() {
            let bytes = stored(&parts(&content));
            let cuts = (0..bytes.len()).filter(|cut| cut % 97 == 0 || bytes.len() - cut < 500);
            for cut in cuts {
                assert!(restored(&bytes[..cut]).is_none());
            }
            assert!(restored(&[&bytes[..], &[0]].concat()).is_none());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// What a hash of the payload does not guard against: bytes made up by somebody.
        #[test]
        fn tables_made_up_by_somebody_never_fail_in_use(
            which in 0..2_usize,
            changes in prop::collection::vec(
                (any::<prop::sample::Index>(), 0..4_u8, prop_oneof![any::<u8>(), Just(0), Just(255)]), 1..6,
            ),
        ) {
            thread_local!(static STORED: [Vec<u8>; 2] = samples().map(|content| stored(&parts(&content))));
            let mut bytes = STORED.with(|stored| stored[which].clone());
            for (at, place, value) in changes {
                // Most of the bytes are bits of no consequence, between the others.
                let at = match place {
                    0 => at.index(bytes.len()),
                    1 => bytes.len() - 1 - at.index(2_000),
                    _ => at.index(16_000),
                };
                bytes[at] = value;
            }
            if let Some(tokenizer) = restored(&bytes) {
                use_all(&tokenizer);
            }
        }
    }
}
