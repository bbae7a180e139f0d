//! tiktoken's rank files: a token in base64, a space, its rank; one line each.
//!
//! The file holds neither pattern nor special tokens, so only files whose content is known can be
//! read. Any two neighbours merge whose bytes together are a token, and the token's rank, which is
//! its id, is the rank of the merge.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::added::{AddedToken, AddedTokens};
use super::byte_level::{ByteLevel, Spelling};
use super::merges::{Merge, Merges, NONE, Rules};
use super::pieces::Boundaries;
use super::scan::Pattern;
use super::vocabulary::Vocabulary;
use super::word::ByteSymbols;
use crate::{Error, Result};

/// What is published about a rank file, apart from the file.
#[derive(Clone, Copy, Debug)]
struct Published {
    name: &'static str,
    sha256: &'static str,
    pattern: Pattern,
    /// Whether merges that give the same token rank by their parts, not by position: so the
    /// list of merges in Llama 3's `tokenizer.json` is ordered, with which ids must agree.
    ranks_parts: bool,
}

const PUBLISHED: [Published; 3] = [
    Published {
        name: "cl100k_base",
        sha256: "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        pattern: Pattern::Cl100k,
        ranks_parts: false,
    },
    Published {
        name: "o200k_base",
        sha256: "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        pattern: Pattern::O200k,
        ranks_parts: false,
    },
    Published {
        name: "Llama 3",
        sha256: "82e9d31979e92ab929cd544440f129d9ecd797b69e327f80f17e1c50d5551b55",
        pattern: Pattern::Llama3,
        ranks_parts: true,
    },
];

/// Returns whether `content` begins as a rank file does.
pub(super) fn is_rank_file(content: &[u8]) -> bool {
    let line = content.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.len() < 1_000 && parse_line(line).is_some()
}

/// Reads a rank file whose SHA-256 is `sha256`; returns the model, its special tokens and name.
///
/// # Errors
/// [`Error::Tokenizer`] for a line that is no rank, and for a file that is not one of the known.
pub(super) fn load(
    path: &Path,
    content: &[u8],
    sha256: &str,
) -> Result<(ByteLevel, Vec<AddedToken>, &'static str)> {
    let Some(published) = PUBLISHED.into_iter().find(|known| known.sha256 == sha256) else {
        let names = PUBLISHED.map(|known| known.name).join(", ");
        return Err(Error::tokenizer(
            path,
            format!(
                "a tiktoken rank file says neither pattern nor special tokens, and this one \
                 (sha256 {sha256}) is none of {names}; use a tokenizer.json instead"
            ),
        ));
    };
    let vocabulary = read_ranks(path, content)?;
    let byte_ids = byte_ids(&vocabulary)
        .ok_or_else(|| Error::tokenizer(path, "not every byte is a token of its own"))?;
    let special = special_tokens(published.name);
    let added = AddedTokens::new(special.clone()).map_err(|error| Error::tokenizer(path, error))?;
    let merges = merges_of(&vocabulary, published.ranks_parts);
    let model = ByteLevel {
        byte_symbols: ByteSymbols::new(&byte_ids, &merges),
        boundaries: Boundaries::new(&vocabulary),
        merges,
        vocabulary,
        prefers_whole_words: true,
        pattern: published.pattern,
        adds_prefix_space: false,
        normalizes_nfc: false,
        added,
        added_normalized: AddedTokens::default(),
        spelling: Spelling::Bytes,
    };
    Ok((model, special, published.name))
}

fn read_ranks(path: &Path, content: &[u8]) -> Result<Vocabulary> {
    let mut vocabulary = Vocabulary::with_capacity(content.len() / 16);
    let lines = content.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    for (number, line) in (1..).zip(lines).filter(|(_, line)| !line.is_empty()) {
        let Some((token, rank)) = parse_line(line) else {
            let message = format!("line {number}: expected a token in base64 and its rank");
            return Err(Error::tokenizer(path, message));
        };
        vocabulary.insert(&token, rank);
    }
    Ok(vocabulary)
}

fn parse_line(line: &[u8]) -> Option<(Vec<u8>, u32)> {
    let (token, rank) = std::str::from_utf8(line).ok()?.trim_end().split_once(' ')?;
    Some((BASE64_STANDARD.decode(token).ok()?, rank.parse().ok()?))
}

/// Returns the id of each byte's own token, if all have one.
pub(super) fn byte_ids(vocabulary: &Vocabulary) -> Option<[u32; 256]> {
    let mut ids = [NONE; 256];
    for byte in 0..=255u8 {
        ids[usize::from(byte)] = vocabulary.id(&[byte])?;
    }
    Some(ids)
}

/// Returns every way to make a token of two others, ranked by the token.
fn merges_of(vocabulary: &Vocabulary, ranks_parts: bool) -> Merges {
    let mut rules = Rules::with_capacity(vocabulary.num_ids() as usize * 5 / 2);
    let mut num_merges = 0;
    let mut parts = Vec::new();
    for (id, token) in vocabulary.iter() {
        parts.clear();
        parts.extend((1..token.len()).filter_map(|at| {
            let (left, right) = token.split_at(at);
            Some((vocabulary.id(left)?, vocabulary.id(right)?))
        }));
        parts.sort_unstable();
        for &(left, right) in &parts {
            let rank = if ranks_parts { num_merges } else { id };
            rules.insert(left, right, Merge { rank, symbol: id });
            num_merges += 1;
        }
    }
    rules.finish()
}

/// Returns the special tokens published for the rank file of this name.
fn special_tokens(name: &str) -> Vec<AddedToken> {
    let tokens: Vec<(String, u32)> = match name {
        "cl100k_base" => ["endoftext", "fim_prefix", "fim_middle", "fim_suffix", "endofprompt"]
            .into_iter()
            .zip([100_257, 100_258, 100_259, 100_260, 100_276])
            .map(|(name, id)| (format!("<|{name}|>"), id))
            .collect(),
        "o200k_base" => ["endoftext", "endofprompt"]
            .into_iter()
            .zip([199_999, 200_018])
            .map(|(name, id)| (format!("<|{name}|>"), id))
            .collect(),
        _ => llama3_special_tokens().collect(),
    };
    let special = |(content, id)| AddedToken { id, content, special: true, ..Default::default() };
    tokens.into_iter().map(special).collect()
}

/// Returns Llama 3's 256 special tokens: five names among 251 numbered reserves.
fn llama3_special_tokens() -> impl Iterator<Item = (String, u32)> {
    let mut reserved = 0;
    (0..256).map(move |index| {
        let name = match index {
            0 => "begin_of_text",
            1 => "end_of_text",
            6 => "start_header_id",
            7 => "end_header_id",
            9 => "eot_id",
            _ => {
                reserved += 1;
                return (format!("<|reserved_special_token_{}|>", reserved - 1), 128_000 + index);
            }
        };
        (format!("<|{name}|>"), 128_000 + index)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_file_is_known_by_its_first_line() {
        assert!(is_rank_file(b"IQ== 0\nIg== 1\n"));
        assert!(!is_rank_file(b"{\"model\": 1}\n"));
        assert!(!is_rank_file(b"\x0a\x0e\x0a\x05<unk>"));
        assert!(!is_rank_file(b""));
    }

    #[test]
    fn an_unknown_rank_file_is_refused_by_its_hash() {
        let error = load(Path::new("ranks"), b"IQ== 0\n", "12ab").expect_err("unknown");
        assert!(error.to_string().contains("sha256 12ab"), "{error}");
    }

    #[test]
    fn tokens_merge_from_all_pairs_of_tokens() {
        let mut vocabulary = Vocabulary::with_capacity(8);
        for (id, token) in (0..).zip(["a", "b", "ab", "aa", "aab"]) {
            vocabulary.insert(token.as_bytes(), id);
        }
        let merges = merges_of(&vocabulary, false);
        assert_eq!(merges.get(0, 2), Merge { rank: 4, symbol: 4 });
        assert_eq!(merges.get(3, 1), Merge { rank: 4, symbol: 4 });
        let merges = merges_of(&vocabulary, true);
        assert_eq!([merges.get(0, 2).rank, merges.get(3, 1).rank], [2, 3]);
    }

    #[test]
    fn the_last_reserved_token_of_llama_3_is_number_250() {
        let tokens: Vec<_> = llama3_special_tokens().collect();
        assert_eq!(tokens[9], ("<|eot_id|>".to_owned(), 128_009));
        assert_eq!(tokens[255], ("<|reserved_special_token_250|>".to_owned(), 128_255));
    }
}
