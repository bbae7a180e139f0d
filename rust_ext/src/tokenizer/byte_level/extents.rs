//! Byte-level ids together with the bytes of the text that each stands for.
//!
//! The ids of a word spell its bytes, so their extents follow from their lengths; only what happens
//! to a text before it is cut into words has to be led back.

use std::ops::Range;

use super::ByteLevel;
use crate::Result;
use crate::tokenizer::alignment::{Alignment, Extent};
use crate::tokenizer::cache::Cache;
use crate::tokenizer::normalize::nfc_aligned;
use crate::tokenizer::output::Output;

impl ByteLevel {
    /// Gives the ids that [`ByteLevel::encode`] gives, special tokens being text, and the extent of
    /// each, in order.
    pub(in crate::tokenizer) fn encode_with_extents(
        &self,
        text: &str,
        cache: &mut Cache,
        give: &mut dyn FnMut(u32, Extent),
    ) {
        self.added.cuts(text, false, |range, token| {
            let base = range.start;
            let mut give = |id, extent: Extent| give(id, extent.start + base..extent.end + base);
            match token {
                Some(id) => give(id, 0..range.len()),
                None if self.normalizes_nfc => {
                    let (normalized, alignment) = nfc_aligned(&text[range]);
                    self.encode_normalized(&normalized, Some(&alignment), cache, &mut give);
                }
                None => self.encode_normalized(&text[range], None, cache, &mut give),
            }
        });
    }

    /// Encodes what lies between tokens of `added`; `source` leads back to the text.
    fn encode_normalized(
        &self,
        text: &str,
        source: Option<&Alignment>,
        cache: &mut Cache,
        give: &mut dyn FnMut(u32, Extent),
    ) {
        let lead_back = |range| source.map_or_else(|| Range::clone(&range), |s| s.source(&range));
        self.added_normalized.cuts(text, false, |range, token| {
            if let Some(id) = token {
                return give(id, lead_back(range));
            }
            let mut at = range.start;
            // The space put in front has no bytes in the text.
            let mut before = usize::from(self.puts_space_before(&text[range.clone()]));
            let mut ids = Vec::new();
            let mut locate = |ids: &[u32]| -> Result<()> {
                for &id in ids {
                    let length = self.vocabulary.token(id).map_or(0, <[u8]>::len);
                    let end = at + length.saturating_sub(before);
                    before = before.saturating_sub(length);
                    give(id, lead_back(at..end));
                    at = end;
                }
                Ok(())
            };
            let mut output = Output::with_sink(&mut ids, &mut locate);
            self.encode_plain(&text[range], cache, &mut output);
            let given = output.finish();
            debug_assert!(given.is_ok(), "the sink refuses nothing");
        });
    }
}
