//! Reads a `SentencePiece` `.model` and refuses what this encoder would do differently.

use std::collections::HashMap;
use std::path::Path;

use prost::Message as _;

use super::characters::Characters;
use super::joins::Joins;
use super::proto::{Kind, MODEL_TYPE_BPE, ModelProto, NormalizerSpec, PieceProto, TrainerSpec};
use super::{META_SPACE, SentencePiece, spaces};
use crate::tokenizer::added::{AddedToken, AddedTokens};
use crate::tokenizer::merges::{Merge, Merges, NONE, Rules};
use crate::tokenizer::vocabulary::Vocabulary;
use crate::{Error, Result};

/// Returns the model in `content`, the bytes of the file at `path`.
///
/// # Errors
/// [`Error::Tokenizer`] for a file that is no `SentencePiece` model, and for one that is not BPE with
/// byte fallback and the identity normalizer.
pub(in crate::tokenizer) fn load(path: &Path, content: &[u8]) -> Result<SentencePiece> {
    let refuse = |message: String| Error::tokenizer(path, message);
    let model = ModelProto::decode(content).ok().filter(|model| !model.pieces.is_empty());
    let model = model.ok_or_else(|| {
        refuse("expected a SentencePiece model, a tiktoken rank file or a tokenizer.json".into())
    })?;
    let trainer = model.trainer.unwrap_or_default();
    let normalizer = model.normalizer.unwrap_or_default();
    check_settings(&trainer, &normalizer).map_err(refuse)?;
    build(model.pieces, &trainer, &normalizer).map_err(refuse)
}

fn check_settings(
    trainer: &TrainerSpec,
    normalizer: &NormalizerSpec,
) -> std::result::Result<(), String> {
    let name = normalizer.name.as_deref().unwrap_or_default();
    let has_charsmap = normalizer.precompiled_charsmap.as_ref().is_some_and(|map| !map.is_empty());
    let unsupported = [
        (trainer.model_type != Some(MODEL_TYPE_BPE), "a model that is not BPE".to_owned()),
        (trainer.byte_fallback != Some(true), "a model without byte_fallback".to_owned()),
        (trainer.treat_whitespace_as_suffix == Some(true), "white space as suffix".to_owned()),
        (normalizer.escape_whitespaces == Some(false), "white space not escaped".to_owned()),
        (has_charsmap, format!("the normalizer {name:?}, which has a character map")),
    ];
    match unsupported.into_iter().find(|(is_so, _)| *is_so) {
        Some((_, what)) => Err(format!(
            "a SentencePiece model must be BPE with byte fallback and the identity normalizer; \
             this one has {what}; convert it to a tokenizer.json"
        )),
        None => Ok(()),
    }
}

fn build(
    pieces: Vec<PieceProto>,
    trainer: &TrainerSpec,
    normalizer: &NormalizerSpec,
) -> std::result::Result<SentencePiece, String> {
    let mut vocabulary = Vocabulary::with_capacity(pieces.len());
    let mut kinds = Vec::with_capacity(pieces.len());
    let mut mergeable = Vec::new();
    let mut user_defined = Vec::new();
    for (id, piece) in (0..).zip(pieces) {
        let kind = piece.kind.map_or(Ok(Kind::Normal), Kind::try_from);
        let kind = kind.map_err(|error| format!("piece {id}: {error}"))?;
        if piece.piece.is_empty() {
            return Err(format!("piece {id} is empty"));
        }
        if vocabulary.id(piece.piece.as_bytes()).is_some() {
            return Err(format!("piece {id} ({:?}) occurs twice", piece.piece));
        }
        vocabulary.insert(piece.piece.as_bytes(), id);
        kinds.push(kind);
        // A space in a piece is not a space of the text, which is U+2581 by then.
        let content = (!piece.piece.contains(' ')).then(|| piece.piece.replace(META_SPACE, " "));
        match kind {
            Kind::Unused => return Err(format!("piece {id} is of the kind UNUSED")),
            Kind::Normal => mergeable.extend(content.map(|text| (text, id, piece.score))),
            Kind::UserDefined => {
                if content.is_none() && normalizer.remove_extra_whitespaces != Some(false) {
                    return Err(format!("piece {id} is user-defined and has a space"));
                }
                // Found before anything merges, so that no merge can make one.
                let content = content.into_iter();
                user_defined.extend(content.map(|content| AddedToken {
                    id,
                    content,
                    ..Default::default()
                }));
            }
            Kind::Unknown | Kind::Control | Kind::Byte => {}
        }
    }
    let characters = characters_of(&mergeable);
    let removes_extra_spaces = normalizer.remove_extra_whitespaces.unwrap_or(true);
    let byte_ids = byte_ids(&vocabulary, &kinds)?;
    Ok(SentencePiece {
        ascii_ids: ascii_ids(&characters, &byte_ids),
        byte_ids,
        merges: merges_of(&mergeable, &characters)?,
        rewrites_text: removes_extra_spaces
            || user_defined.iter().any(|token| token.content.contains(' ')),
        joins: Joins::new(mergeable.iter().map(|(text, ..)| text.as_str())),
        parts_spaces: spaces::stand_apart(
            mergeable.iter().map(|(text, _, score)| (text.as_str(), *score)),
        ),
        vocabulary,
        kinds,
        characters,
        user_defined: AddedTokens::new(user_defined)?,
        adds_dummy_prefix: normalizer.add_dummy_prefix.unwrap_or(true),
        removes_extra_spaces,
        unknown_surface: trainer.unk_surface.clone().unwrap_or_else(|| " \u{2047} ".to_owned()),
    })
}

/// Returns the ids of the characters that are pieces; U+2581 is another name for the space.
fn characters_of(pieces: &[(String, u32, f32)]) -> Characters {
    let single = pieces.iter().filter_map(|(text, id, _)| {
        let mut rest = text.chars();
        rest.next().filter(|_| rest.next().is_none()).map(|c| (c, *id))
    });
    let mut characters = Characters::new(single);
    if let Some(space) = characters.id(u32::from(' ')) {
        characters.insert(META_SPACE, space);
    }
    characters
}

/// Returns every way to make a piece of two others; a higher score is a lower rank.
fn merges_of(
    pieces: &[(String, u32, f32)],
    characters: &Characters,
) -> std::result::Result<Merges, String> {
    let ids: HashMap<&str, u32> = pieces.iter().map(|(text, id, _)| (text.as_str(), *id)).collect();
    let mut scores: Vec<f32> = pieces.iter().map(|&(.., score)| score).collect();
    scores.sort_unstable_by(|left, right| right.total_cmp(left));
    // -0.0, which trainers write, stands behind 0.0, as in the reference.
    scores.dedup_by(|left, right| left.total_cmp(right).is_eq());
    let mut rules = Rules::with_capacity(pieces.len() * 5 / 2);
    for (text, id, score) in pieces {
        if let Some(c) = text.chars().find(|&c| characters.id(c as u32).is_none()) {
            return Err(format!("piece {id} holds {c:?}, which is no piece itself"));
        }
        let rank = scores.partition_point(|other| other.total_cmp(score).is_gt());
        let rank = u32::try_from(rank).map_err(|error| error.to_string())?;
        for (at, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(at);
            if let (Some(&left), Some(&right)) = (ids.get(left), ids.get(right)) {
                rules.insert(left, right, Merge { rank, symbol: *id });
            }
        }
    }
    Ok(rules.finish())
}

/// Returns the id of each ASCII character: `SentencePiece::ascii_ids`.
pub(super) fn ascii_ids(characters: &Characters, byte_ids: &[u32; 256]) -> [u32; 128] {
    std::array::from_fn(|byte| {
        let fallback = if byte == usize::from(b' ') { NONE } else { byte_ids[byte] };
        #[expect(clippy::cast_possible_truncation, reason = "below 128")]
        characters.id(byte as u32).unwrap_or(fallback)
    })
}

fn byte_ids(vocabulary: &Vocabulary, kinds: &[Kind]) -> std::result::Result<[u32; 256], String> {
    let mut ids = [NONE; 256];
    for byte in 0..=255u8 {
        let piece = format!("<0x{byte:02X}>");
        let id = vocabulary.id(piece.as_bytes());
        ids[usize::from(byte)] = id
            .filter(|&id| kinds[id as usize] == Kind::Byte)
            .ok_or_else(|| format!("expected a byte piece {piece}, found none"))?;
    }
    Ok(ids)
}

#[cfg(test)]
pub(in crate::tokenizer) mod tests {
    use super::*;

    /// A model of all bytes, a few letters and what merges of them, with a user-defined piece.
    pub(in crate::tokenizer) fn small_model() -> Vec<u8> {
        let piece = |piece: &str, score: f32, kind: Kind| PieceProto {
            piece: piece.to_owned(),
            score,
            kind: Some(kind as i32),
        };
        let mut pieces = vec![
            piece("<unk>", 0.0, Kind::Unknown),
            piece("<s>", 0.0, Kind::Control),
            piece("<sep>", 0.0, Kind::UserDefined),
        ];
        pieces.extend((0..=255u8).map(|byte| piece(&format!("<0x{byte:02X}>"), 0.0, Kind::Byte)));
        let normal = ["ca", "\u{2581}ca", "ts", "cats", "\u{2581}", "c", "a", "t", "s"];
        let scores = (0u8..).map(|rank| -f32::from(rank));
        pieces.extend(
            normal.iter().zip(scores).map(|(text, score)| piece(text, score, Kind::Normal)),
        );
        let trainer = TrainerSpec {
            model_type: Some(MODEL_TYPE_BPE),
            byte_fallback: Some(true),
            ..TrainerSpec::default()
        };
        ModelProto { pieces, trainer: Some(trainer), normalizer: None }.encode_to_vec()
    }

    #[test]
    fn the_two_zeros_are_two_scores() {
        // As sentencepiece 0.2.3 merges: "abc" with these is "a", "bc".
        let scored = [("zz", 0.0), ("bc", -0.0), ("ab", -1.0), ("a", -2.0), ("b", -2.0)];
        let pieces: Vec<_> = (0..)
            .zip(scored.into_iter().chain([("c", -2.0), ("z", -2.0)]))
            .map(|(id, (text, score))| (text.to_owned(), id, score))
            .collect();
        let single = pieces.iter().filter(|(text, ..)| text.len() == 1);
        let characters =
            Characters::new(single.map(|(text, id, _)| (char::from(text.as_bytes()[0]), *id)));
        let merges = merges_of(&pieces, &characters).expect("rules");
        let rank = |left, right| merges.get(left, right).rank;
        assert!(rank(6, 6) < rank(4, 5) && rank(4, 5) < rank(3, 4));
    }

    #[test]
    fn a_small_model_merges_by_score() {
        let model = load(Path::new("small"), &small_model()).expect("a model");
        let id = |piece| model.token_to_id(piece).expect("a piece");
        assert_eq!(model.merges.get(id("ca"), id("ts")).symbol, id("cats"));
        assert_eq!(model.merges.get(id("\u{2581}"), id("c")).symbol, NONE);
    }
}
