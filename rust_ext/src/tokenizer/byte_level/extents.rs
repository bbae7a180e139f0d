//! Byte-level ids together with the bytes of the text that each stands for.
//!
//! The ids of a word spell its bytes, so their extents follow from their lengths; only what happens
//! to a text before it is cut into words has to be led back.

use std::ops::Range;

use super::ByteLevel;
use crate::tokenizer::alignment::{Alignment, Extent};
use crate::tokenizer::cache::Cache;
use crate::tokenizer::normalize::nfc_aligned;

impl ByteLevel {
    /// Appends the ids that [`ByteLevel::encode`] gives, special tokens being text, and the extent
    /// of each.
    pub(in crate::tokenizer) fn encode_with_extents(
        &self,
        text: &str,
        cache: &mut Cache,
        ids: &mut Vec<u32>,
        extents: &mut Vec<Extent>,
    ) {
        self.added.cuts(text, false, |range, token| match token {
            Some(id) => {
                ids.push(id);
                extents.push(range);
            }
            None if self.normalizes_nfc => {
                let (normalized, alignment) = nfc_aligned(&text[range.clone()]);
                let source = Some((&alignment, range.start));
                self.encode_normalized(&normalized, source, cache, ids, extents);
            }
            None => {
                let from = extents.len();
                self.encode_normalized(&text[range.clone()], None, cache, ids, extents);
                for extent in &mut extents[from..] {
                    *extent = extent.start + range.start..extent.end + range.start;
                }
            }
        });
    }

    /// Encodes what lies between tokens of `added`; `source` leads back to the text.
    fn encode_normalized(
        &self,
        text: &str,
        source: Option<(&Alignment, usize)>,
        cache: &mut Cache,
        ids: &mut Vec<u32>,
        extents: &mut Vec<Extent>,
    ) {
        let lead_back = |range: Range<usize>| match source {
            None => range,
            Some((alignment, base)) => {
                let found = alignment.source(&range);
                found.start + base..found.end + base
            }
        };
        self.added_normalized.cuts(text, false, |range, token| {
            let Some(id) = token else {
                let from = ids.len();
                self.encode_plain(&text[range.clone()], cache, ids);
                let mut at = range.start;
                // The space put in front has no bytes in the text.
                let mut before = usize::from(self.puts_space_before(&text[range]));
                for &id in &ids[from..] {
                    let length = self.vocabulary.token(id).map_or(0, <[u8]>::len);
                    let end = at + length.saturating_sub(before);
                    before = before.saturating_sub(length);
                    extents.push(lead_back(at..end));
                    at = end;
                }
                return;
            };
            ids.push(id);
            extents.push(lead_back(range));
        });
    }
}
