//! Where a text is cut into parts that are encoded alone: wherever no piece joins two characters.

use super::joins::{CUT, Joins, SPACES};
use crate::tokenizer::unicode::decode;

/// Bytes of ASCII that are looked at together: one bit each says where the cuts are.
const BLOCK: usize = 64;

/// Who takes the parts of a text, in order: each begins where the last one ended.
pub(super) trait Parts {
    /// Takes the part that ends at a position.
    fn part(&mut self, end: usize);

    /// Takes the parts that end where a bit is set, the lowest at `first`; `spaces` says whether
    /// two spaces stand next to each other in the block, or across its beginning.
    fn block(&mut self, first: usize, ends: u64, spaces: bool);
}

/// Gives every part of `text`, which is UTF-8.
///
/// Parts are not empty, hold whole characters and leave nothing out.
#[inline]
pub(super) fn give_parts(joins: &Joins, text: &[u8], parts: &mut impl Parts) {
    let mut at = 0;
    let mut before = 0;
    while at < text.len() {
        if let Some(block) = text[at..].first_chunk::<BLOCK>()
            && before < 0x80
            && is_ascii(&block[..8])
        {
            let Cuts { mut mask, spaces, length } = cuts_of(joins, block, before);
            if at == 0 {
                mask &= !1;
            }
            parts.block(at, mask, spaces);
            at += length;
            before = u32::from(text[at - 1]);
            continue;
        }
        let (code_point, length) = decode(text, at);
        if at > 0 && !joins.has(before, code_point) {
            parts.part(at);
        }
        before = code_point;
        at += length;
    }
    if at > 0 {
        parts.part(at);
    }
}

/// What is known of a block.
struct Cuts {
    /// A bit for each byte that has a cut before it.
    mask: u64,
    /// Whether there are two spaces side by side, one of them perhaps before the block.
    spaces: bool,
    /// For how many bytes it holds: up to the first that is no ASCII.
    length: usize,
}

/// Looks a block up, before which the ASCII character `before` stands.
#[inline]
fn cuts_of(joins: &Joins, block: &[u8; BLOCK], before: u32) -> Cuts {
    let (mut mask, mut any) = (0, 0);
    #[expect(clippy::cast_possible_truncation, reason = "an ASCII character")]
    let mut left = before as u8;
    for (at, &right) in block.iter().enumerate() {
        let pair = joins.pair_in_ascii(left, right);
        mask |= u64::from(pair & CUT) << at;
        any |= pair;
        left = right;
    }
    let length = block.iter().position(|byte| !byte.is_ascii()).filter(|_| !is_ascii(block));
    let length = length.unwrap_or(BLOCK);
    if length < BLOCK {
        mask &= (1 << length) - 1;
    }
    Cuts { mask, spaces: any & SPACES != 0, length }
}

#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |all, byte| all | byte) < 0x80
}

/// Returns where the first part of `text` ends if a space stands before it: 0 for a cut between
/// the two.
pub(super) fn end_behind_space(joins: &Joins, text: &[u8]) -> usize {
    let mut before = u32::from(' ');
    let mut at = 0;
    while at < text.len() {
        let (code_point, length) = decode(text, at);
        if !joins.has(before, code_point) {
            break;
        }
        before = code_point;
        at += length;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'t>(joins: &Joins, text: &'t str) -> Vec<&'t str> {
        let mut ends = Ends { ends: vec![0], text: text.as_bytes() };
        give_parts(joins, text.as_bytes(), &mut ends);
        ends.ends.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
    }

    struct Ends<'t> {
        ends: Vec<usize>,
        text: &'t [u8],
    }

    impl Parts for Ends<'_> {
        fn part(&mut self, end: usize) {
            self.ends.push(end);
        }

        fn block(&mut self, first: usize, ends: u64, spaces: bool) {
            self.ends.extend((0..64).filter(|bit| ends >> bit & 1 == 1).map(|bit| first + bit));
            let block = &self.text[first.saturating_sub(1)..self.text.len().min(first + BLOCK)];
            let ascii = block.iter().position(|byte| !byte.is_ascii()).unwrap_or(block.len());
            // It may say so for what lies behind the ASCII of a block, too.
            assert!(spaces || !block[..ascii].windows(2).any(|pair| pair == b"  "));
        }
    }

    /// The parts by definition, one character after the other.
    fn by_definition<'t>(joins: &Joins, text: &'t str) -> Vec<&'t str> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let pairs = rest.char_indices().zip(rest.char_indices().skip(1));
            let mut cuts = pairs.filter(|((_, l), (_, r))| !joins.has(*l as u32, *r as u32));
            let (part, behind) = rest.split_at(cuts.next().map_or(rest.len(), |(_, (at, _))| at));
            parts.push(part);
            rest = behind;
        }
        parts
    }

    proptest::proptest! {
        #[test]
        fn blocks_and_single_characters_cut_where_the_definition_does(
            words in proptest::collection::vec("[a-d .]{0,90}|[a-dé中\0\u{7f}😀 ]{0,9}", 0..9),
        ) {
            let text = words.concat();
            let joins = Joins::new(["ab", " c", "ba", "bb", "é", "éa", "dé", "中中", ".."].into_iter());
            proptest::prop_assert_eq!(parts(&joins, &text), by_definition(&joins, &text));
            let prefixed = format!(" {text}");
            let first = by_definition(&joins, &prefixed)[0];
            proptest::prop_assert_eq!(end_behind_space(&joins, text.as_bytes()), first.len() - 1);
        }
    }
}
