//! Where a text is cut into parts that are encoded alone: wherever no piece joins two characters.

use super::joins::Joins;
use crate::tokenizer::unicode::decode;

/// Bytes of ASCII that are looked at together: one bit each says where the cuts are.
const BLOCK: usize = 64;

/// Calls `part` with the start and the end of every part of `text`, in order.
///
/// `text` is UTF-8. Parts are not empty, hold whole characters and leave nothing out.
#[inline]
pub(super) fn for_each_part(joins: &Joins, text: &[u8], mut part: impl FnMut(usize, usize)) {
    let (mut start, mut at) = (0, 0);
    let mut before = 0;
    while at < text.len() {
        if let Some(block) = text[at..].first_chunk::<BLOCK>()
            && before < 0x80
            && is_ascii(&block[..8])
        {
            let (mut cuts, length) = cuts_of(joins, block, before);
            while cuts != 0 {
                let cut = at + cuts.trailing_zeros() as usize;
                cuts &= cuts - 1;
                if cut > start {
                    part(start, cut);
                    start = cut;
                }
            }
            at += length;
            before = u32::from(text[at - 1]);
            continue;
        }
        let (code_point, length) = decode(text, at);
        if at > start && !joins.has(before, code_point) {
            part(start, at);
            start = at;
        }
        before = code_point;
        at += length;
    }
    if start < text.len() {
        part(start, text.len());
    }
}

/// Returns a bit for each byte that has a cut before it, and for how many bytes that holds: up to
/// the first that is no ASCII. `before` is the ASCII character before the block.
#[inline]
fn cuts_of(joins: &Joins, block: &[u8; BLOCK], before: u32) -> (u64, usize) {
    let mut cuts = 0;
    #[expect(clippy::cast_possible_truncation, reason = "an ASCII character")]
    let mut left = before as u8;
    for (at, &right) in block.iter().enumerate() {
        cuts |= u64::from(joins.cut_in_ascii(left, right)) << at;
        left = right;
    }
    match block.iter().position(|byte| !byte.is_ascii()).filter(|_| !is_ascii(block)) {
        Some(length) => (cuts & ((1 << length) - 1), length),
        None => (cuts, BLOCK),
    }
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
        let mut parts = Vec::new();
        for_each_part(joins, text.as_bytes(), |start, end| parts.push(&text[start..end]));
        parts
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
