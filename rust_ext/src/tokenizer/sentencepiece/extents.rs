//! `SentencePiece` ids together with the bytes of the text that each stands for.

use super::proto::Kind;
use super::{META_SPACE, SentencePiece};
use crate::tokenizer::alignment::{Alignment, Extent};
use crate::tokenizer::cache::Cache;

impl SentencePiece {
    /// Appends the ids that [`SentencePiece::encode`] gives, and the extent of each.
    ///
    /// Each byte of a character without a piece is an extent; the space put in front has none.
    pub(in crate::tokenizer) fn encode_with_extents(
        &self,
        text: &str,
        buffer: &mut String,
        cache: &mut Cache,
        ids: &mut Vec<u32>,
        extents: &mut Vec<Extent>,
    ) {
        let from = ids.len();
        self.encode(text, buffer, cache, ids);
        self.normalize(text, buffer);
        let alignment = self.align(text, buffer.len());
        let mut at = 0;
        for &id in &ids[from..] {
            let end = at + self.normalized_len(id);
            extents.push(alignment.source(&(at..end)));
            at = end;
        }
    }

    /// Returns the id of a control or user-defined piece: what a rendered template may name.
    pub(in crate::tokenizer) fn control_id(&self, piece: &str) -> Option<u32> {
        let id = self.vocabulary.id(piece.as_bytes())?;
        matches!(self.kind(id), Some(Kind::Control | Kind::UserDefined)).then_some(id)
    }

    /// Returns how many bytes a piece takes in the normalized text, where a space is one byte.
    fn normalized_len(&self, id: u32) -> usize {
        if self.kind(id) == Some(Kind::Byte) {
            return 1;
        }
        let piece = self.vocabulary.token(id).unwrap_or_default();
        let spaces = memchr::memmem::find_iter(piece, META_SPACE).count();
        piece.len() - spaces * (META_SPACE.len() - 1)
    }

    /// Returns which bytes of `text` became which of the `made` bytes that `normalize` made of it.
    fn align(&self, text: &str, made: usize) -> Alignment {
        let mut alignment = Alignment::default();
        if made == 0 {
            return alignment;
        }
        let mut at = if self.removes_extra_spaces {
            text.len() - text.trim_start_matches(' ').len()
        } else {
            0
        };
        if self.adds_dummy_prefix {
            alignment.changed(at..at, 1);
        }
        let mut was_space = false;
        let mut same_from = at;
        while at < text.len() {
            let is_meta = text[at..].starts_with(META_SPACE);
            let is_space = text.as_bytes()[at] == b' ';
            if is_meta || (is_space && was_space && self.removes_extra_spaces) {
                let length = if is_meta { META_SPACE.len() } else { 1 };
                alignment.same(same_from, at);
                alignment.changed(at..at + length, usize::from(is_meta));
                at += length;
                same_from = at;
            } else {
                at += text[at..].chars().next().map_or(1, char::len_utf8);
            }
            was_space = is_space;
        }
        // Trailing spaces that were taken away lie behind all that tokens stand for.
        alignment.same(same_from, at);
        alignment
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use prost::Message as _;

    use super::super::proto::{
        MODEL_TYPE_BPE, ModelProto, NormalizerSpec, PieceProto, TrainerSpec,
    };
    use super::*;

    /// Control pieces, the bytes, and `a`, `b`, a space and a space with `a`.
    fn model(adds_dummy_prefix: bool, removes_extra_spaces: bool) -> SentencePiece {
        let piece = |piece: &str, kind: Kind| PieceProto {
            piece: piece.to_owned(),
            score: -1.0,
            kind: Some(kind as i32),
        };
        let mut pieces = vec![piece("<unk>", Kind::Unknown), piece("</s>", Kind::Control)];
        pieces.extend((0..=255).map(|byte| piece(&format!("<0x{byte:02X}>"), Kind::Byte)));
        pieces.extend(["a", "b", "\u{2581}", "\u{2581}a"].map(|text| piece(text, Kind::Normal)));
        let proto = ModelProto {
            pieces,
            trainer: Some(TrainerSpec {
                model_type: Some(MODEL_TYPE_BPE),
                byte_fallback: Some(true),
                ..TrainerSpec::default()
            }),
            normalizer: Some(NormalizerSpec {
                name: Some("identity".to_owned()),
                add_dummy_prefix: Some(adds_dummy_prefix),
                remove_extra_whitespaces: Some(removes_extra_spaces),
                ..NormalizerSpec::default()
            }),
        };
        super::super::load(Path::new("a.model"), &proto.encode_to_vec()).unwrap()
    }

    fn extents(model: &SentencePiece, text: &str) -> Vec<Extent> {
        let (mut cache, mut buffer) = (Cache::new(), String::new());
        let (mut ids, mut extents, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        model.encode_with_extents(text, &mut buffer, &mut cache, &mut ids, &mut extents);
        model.encode(text, &mut buffer, &mut cache, &mut plain);
        assert_eq!(ids, plain, "{text:?}");
        assert_eq!(ids.len(), extents.len());
        extents
    }

    #[test]
    fn extents_cover_the_text_but_for_spaces_that_normalization_takes() {
        let texts = ["ab", "  a  \u{2581} b  é", "\u{2581}\u{2581}", "a b  ", " ", "", "中a"];
        for (dummy, squeeze) in [(true, false), (true, true), (false, true), (false, false)] {
            let model = model(dummy, squeeze);
            for text in texts {
                // At the end U+2581 goes as well: it is a space by then.
                let may_go =
                    |part: &str| squeeze && part.trim_matches([' ', '\u{2581}']).is_empty();
                let mut end = 0;
                for extent in extents(&model, text) {
                    assert!(extent.start >= end, "{text:?} {extent:?}");
                    let between = text.get(end..extent.start).unwrap_or_default();
                    assert!(between.is_empty() || may_go(between), "{text:?} {extent:?}");
                    end = extent.end;
                }
                let rest = &text[end..];
                assert!(rest.is_empty() || may_go(rest), "{text:?} {end}");
            }
        }
    }

    #[test]
    fn the_space_put_in_front_has_no_bytes() {
        assert_eq!(extents(&model(true, false), "a b"), [0..1, 1..2, 2..3]);
        assert_eq!(extents(&model(true, false), "ba"), [0..0, 0..1, 1..2]);
        assert_eq!(extents(&model(true, true), "  ab"), [2..3, 3..4]);
    }
}
