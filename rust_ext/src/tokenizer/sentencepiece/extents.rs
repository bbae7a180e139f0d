//! `SentencePiece` ids together with the bytes of the text that each stands for.

use super::proto::Kind;
use super::{META_SPACE, SentencePiece};
use crate::Result;
use crate::tokenizer::alignment::{Alignment, Extent};
use crate::tokenizer::cache::Cache;
use crate::tokenizer::output::Output;

/// [`META_SPACE`] as pieces hold it.
const META_BYTES: &str = "\u{2581}";

impl SentencePiece {
    /// Gives the ids that [`SentencePiece::encode`] gives, and the extent of each, in order.
    ///
    /// Each byte of a character without a piece is an extent; the space put in front has none.
    pub(in crate::tokenizer) fn encode_with_extents(
        &self,
        text: &str,
        buffer: &mut String,
        cache: &mut Cache,
        give: &mut dyn FnMut(u32, Extent),
    ) {
        let alignment = self.align(text);
        let (mut ids, mut at) = (Vec::new(), 0);
        let mut locate = |ids: &[u32]| -> Result<()> {
            for &id in ids {
                let end = at + self.normalized_len(id);
                give(id, alignment.source(&(at..end)));
                at = end;
            }
            Ok(())
        };
        let mut output = Output::with_sink(&mut ids, &mut locate);
        self.encode(text, buffer, cache, &mut output);
        let given = output.finish();
        debug_assert!(given.is_ok(), "the sink refuses nothing");
    }

    /// Returns the id of a control or user-defined piece: what a rendered template may name.
    pub(in crate::tokenizer) fn control_id(&self, piece: &str) -> Option<u32> {
        let id = self.vocabulary.id(piece.as_bytes())?;
        matches!(self.kind(id), Some(Kind::Control | Kind::UserDefined)).then_some(id)
    }

    /// Returns how many bytes a piece takes in the normalized text, where a space is one byte if it
    /// is a piece, and the three of U+2581 if it is not.
    fn normalized_len(&self, id: u32) -> usize {
        if self.kind(id) == Some(Kind::Byte) {
            return 1;
        }
        let piece = self.vocabulary.token(id).unwrap_or_default();
        let spaces = memchr::memmem::find_iter(piece, META_BYTES).count();
        piece.len() - spaces * (META_BYTES.len() - 1)
    }

    /// Returns which bytes of `text` became which of those that its tokens stand for.
    fn align(&self, text: &str) -> Alignment {
        let mut alignment = Alignment::default();
        let mut at = if self.removes_extra_spaces {
            text.len() - text.trim_start_matches(' ').len()
        } else {
            0
        };
        let space_is_piece = self.characters.id(u32::from(META_SPACE)).is_some();
        let space_bytes = if space_is_piece { 1 } else { META_BYTES.len() };
        if self.adds_dummy_prefix {
            alignment.changed(at..at, space_bytes);
        }
        let mut was_space = false;
        let mut same_from = at;
        while at < text.len() {
            let is_meta = text[at..].starts_with(META_SPACE);
            let is_space = text.as_bytes()[at] == b' ';
            let goes = is_space && was_space && self.removes_extra_spaces;
            if is_meta || goes || (is_space && !space_is_piece) {
                let length = if is_meta { META_BYTES.len() } else { 1 };
                alignment.same(same_from, at);
                alignment.changed(at..at + length, if goes { 0 } else { space_bytes });
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
        of_pieces(&["a", "b", "\u{2581}", "\u{2581}a"], adds_dummy_prefix, removes_extra_spaces)
    }

    fn of_pieces(
        normal: &[&str],
        adds_dummy_prefix: bool,
        removes_extra_spaces: bool,
    ) -> SentencePiece {
        let piece = |piece: &str, kind: Kind| PieceProto {
            piece: piece.to_owned(),
            score: -1.0,
            kind: Some(kind as i32),
        };
        let mut pieces = vec![piece("<unk>", Kind::Unknown), piece("</s>", Kind::Control)];
        pieces.extend((0..=255).map(|byte| piece(&format!("<0x{byte:02X}>"), Kind::Byte)));
        pieces.extend(normal.iter().map(|text| piece(text, Kind::Normal)));
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
        model.encode_with_extents(text, &mut buffer, &mut cache, &mut |id, extent| {
            ids.push(id);
            extents.push(extent);
        });
        model.encode(text, &mut buffer, &mut cache, &mut Output::new(&mut plain));
        assert_eq!(ids, plain, "{text:?}");
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

    #[test]
    fn a_space_that_is_no_piece_is_three_bytes_of_one() {
        let model = of_pieces(&["a", "b"], true, false);
        let expected = [0..0, 0..0, 0..0, 0..1, 1..2, 1..2, 1..2, 2..3];
        assert_eq!(extents(&model, "a b"), expected);
    }
}
