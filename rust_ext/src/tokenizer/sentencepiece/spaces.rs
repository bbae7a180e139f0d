//! Runs of spaces before a word, as in code and tables: encoded apart from the word if that is
//! exact, since each pair of a width and a word would be a part of its own.
//!
//! It is exact where pieces of spaces alone come after all others in rank, and no piece has more
//! than one space beside another character: then the word and the last space merge as if nothing
//! stood before them, and whatever spaces are left over merge at the end, among themselves.

use super::META_SPACE;
use crate::tokenizer::unicode::decode;

/// Says whether pieces, as texts with scores, allow it.
pub(super) fn stand_apart<'p>(pieces: impl Iterator<Item = (&'p str, f32)> + Clone) -> bool {
    let is_run = |text: &str| text.len() > 1 && text.bytes().all(|byte| byte == b' ');
    let (runs, words) = (pieces.clone(), pieces);
    let best_run = runs.filter(|(text, _)| is_run(text)).map(|(_, score)| score);
    let best_run = best_run.fold(f32::NEG_INFINITY, f32::max);
    words.filter(|(text, _)| text.chars().nth(1).is_some() && !is_run(text)).all(|(text, score)| {
        score > best_run && !text.strip_prefix(' ').unwrap_or(text).contains(' ')
    })
}

/// Returns the length of the run of spaces that `part` begins with, if another character that is
/// no space in any spelling stands behind at least two of them.
#[inline]
pub(super) fn run_before_word(part: &[u8]) -> Option<usize> {
    // Not `starts_with`: this is asked of every part, and should cost no call.
    if !matches!(part, [b' ', b' ', ..]) {
        return None;
    }
    let length = part.iter().position(|&byte| byte != b' ')?;
    let (behind, _) = decode(part, length);
    (behind != u32::from(META_SPACE)).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_stand_apart_only_behind_all_others_in_rank() {
        let all = [(" ", -9.0), ("  ", -9.0), ("   ", -9.0), (" a", -1.0), ("ab", -2.0)];
        assert!(stand_apart(all.into_iter()));
        for other in [("ac", -9.0), ("  a", -3.0), ("a ", -3.0), (" a b", -3.0)] {
            assert!(!stand_apart(all.into_iter().chain([other])), "{other:?}");
        }
    }

    #[test]
    fn a_run_counts_before_a_word_only() {
        let run = |part: &str| run_before_word(part.as_bytes());
        assert_eq!([run("  a"), run("    é")], [Some(2), Some(4)]);
        assert_eq!([run(" a"), run("  "), run("a"), run("  \u{2581}a")], [None; 4]);
    }
}
