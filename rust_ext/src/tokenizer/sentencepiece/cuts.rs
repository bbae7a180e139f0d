//! Where a text may be cut so that no merge would cross the cut.
//!
//! ASCII goes 64 bytes at a time ([`block`](super::block)), other characters one by one.

use super::block::{BLOCK, Block};
use super::characters::Characters;
use crate::tokenizer::unicode::decode;

/// The rule that cuts a text into parts, each of which is encoded alone.
#[derive(Debug)]
pub(super) struct Cuts {
    block: Block,
}

impl Cuts {
    pub(super) fn new(characters: &Characters) -> Self {
        Self { block: Block::new(|byte| characters.get(u32::from(byte)).joins) }
    }

    /// Calls `part` with the end of every part of `text`, in order.
    ///
    /// `text` is UTF-8. Parts are not empty, hold whole characters and leave nothing out.
    #[inline]
    pub(super) fn parts(&self, characters: &Characters, text: &[u8], mut part: impl FnMut(usize)) {
        let mut at = 0;
        let mut start = 0;
        let mut followers = 0;
        while at < text.len() {
            if let Some(block) = text[at..].first_chunk::<BLOCK>()
                && is_ascii(&block[..4])
            {
                let (mut cuts, num_ascii) = self.block.cuts(block, followers);
                while cuts != 0 {
                    let cut = at + cuts.trailing_zeros() as usize;
                    cuts &= cuts - 1;
                    if cut > start {
                        part(cut);
                        start = cut;
                    }
                }
                at += num_ascii;
                followers = self.block.followers(block[num_ascii - 1]);
                continue;
            }
            let (code_point, length) = decode(text, at);
            let joins = characters.get(code_point).joins;
            if !joins.follows(followers) && at > start {
                part(at);
                start = at;
            }
            followers = joins.followers;
            at += length;
        }
        if start < text.len() {
            part(text.len());
        }
    }

    /// Returns where the first part of `text` ends if a space stands before it: 0 for a cut
    /// between the two.
    pub(super) fn end_behind_space(characters: &Characters, text: &[u8]) -> usize {
        let mut followers = characters.get(u32::from(' ')).joins.followers;
        let mut at = 0;
        while at < text.len() {
            let (code_point, length) = decode(text, at);
            let joins = characters.get(code_point).joins;
            if !joins.follows(followers) {
                break;
            }
            followers = joins.followers;
            at += length;
        }
        at
    }
}

#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |all, byte| all | byte) < 0x80
}
