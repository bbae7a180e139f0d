//! Byte-pair merging: the pair of the lowest rank becomes one symbol, until no pair has a rule.
//!
//! Among equal ranks the leftmost pair goes first. Words of up to 64 symbols are merged in
//! registers ([`super::short_merge`]), longer ones window by window ([`super::long_merge`]).

use super::long_merge::LongWords;
use super::merges::Merges;
use super::short_merge::{self, MOST_SYMBOLS, ShortWord};
use super::word::{Symbols, Word};

/// Symbols whose memory is kept for the next word.
pub(super) const MOST_KEPT: usize = 1 << 16;

/// The symbols of one word and the memory to merge them in, kept between words.
#[derive(Debug, Default)]
pub(super) struct Merger {
    symbols: Vec<u32>,
    short: ShortWord,
    long: LongWords,
}

impl Merger {
    /// Begins a word; what was left of the last one is forgotten.
    #[inline]
    pub(super) fn start(&mut self) -> &mut Vec<u32> {
        self.symbols.clear();
        &mut self.symbols
    }

    /// Merges the symbols put into [`Merger::start`] and appends what remains to `out`.
    pub(super) fn merge(&mut self, merges: &Merges, out: &mut Vec<u32>) {
        let symbols = std::mem::take(&mut self.symbols);
        self.merge_word(&Symbols { symbols: &symbols, merges }, merges, out);
        self.symbols = symbols;
        // What one long word took is not kept for the rest.
        self.symbols.shrink_to(MOST_KEPT);
    }

    /// Merges a word and appends what remains to `out`.
    #[inline]
    pub(super) fn merge_word(&mut self, word: &impl Word, merges: &Merges, out: &mut Vec<u32>) {
        match word.length() {
            0 => {}
            1 => out.push(word.symbol(0)),
            length @ 2..=MOST_SYMBOLS => {
                short_merge::merge(&mut self.short, word, 0..length, merges, |symbol, _| {
                    out.push(symbol);
                });
            }
            _ => self.long.merge(word, merges, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::merges::{Merge, NONE, Rules};
    use super::*;

    /// Merges by the definition: find the best pair, replace it, start over.
    fn by_definition(merges: &Merges, mut symbols: Vec<u32>) -> Vec<u32> {
        loop {
            let ranked = symbols.windows(2).map(|pair| merges.get(pair[0], pair[1])).enumerate();
            let Some((at, best)) = ranked.min_by_key(|(at, merge)| (merge.rank, *at)) else {
                return symbols;
            };
            if best.rank == NONE {
                return symbols;
            }
            symbols.splice(at..at + 2, [best.symbol]);
        }
    }

    fn table(rules: &[(u32, u32, u32)]) -> Merges {
        let mut table = Rules::default();
        for &(left, right, rank) in rules {
            // A symbol above both parts, so that merging ends.
            table.insert(left, right, Merge { rank, symbol: left.max(right) + 1 });
        }
        table.finish()
    }

    fn merged(merger: &mut Merger, table: &Merges, word: &[u32]) -> Vec<u32> {
        merger.start().extend_from_slice(word);
        let mut out = vec![99];
        merger.merge(table, &mut out);
        assert_eq!(out.remove(0), 99);
        out
    }

    proptest::proptest! {
        #[test]
        fn words_of_any_length_become_what_the_definition_says(
            // Few ranks, so that ties abound.
            rules in proptest::collection::vec((0u32..12, 0u32..12, 0u32..6), 0..60),
            word in proptest::collection::vec(0u32..4, 0..1_000),
            repeats in 1usize..4,
        ) {
            let merges = table(&rules);
            let word = word.repeat(repeats);
            let expected = by_definition(&merges, word.clone());
            proptest::prop_assert_eq!(merged(&mut Merger::default(), &merges, &word), expected);
        }

        #[test]
        fn runs_and_few_rules_become_what_the_definition_says(
            rules in proptest::collection::vec((0u32..5, 0u32..5, 0u32..4), 1..9),
            runs in proptest::collection::vec((0u32..2, 1usize..300), 1..8),
        ) {
            let merges = table(&rules);
            let runs = runs.iter().flat_map(|&(symbol, count)| std::iter::repeat_n(symbol, count));
            let word: Vec<u32> = runs.collect();
            let expected = by_definition(&merges, word.clone());
            proptest::prop_assert_eq!(merged(&mut Merger::default(), &merges, &word), expected);
        }

        #[test]
        fn effects_that_travel_far_to_the_left_are_seen(
            length in 60u32..700,
            cut in proptest::collection::vec(0u32..700, 0..3),
        ) {
            // Neighbours merge from the right to the left: the last decides about the first.
            let links = (0..length).filter(|at| !cut.contains(at));
            let mut rules = Rules::default();
            for at in links {
                rules.insert(at, at + 1, Merge { rank: length - at, symbol: 1_000 + at });
            }
            let merges = rules.finish();
            let mut merger = Merger::default();
            for length in [length, length + 1] {
                let word: Vec<u32> = (0..length).collect();
                let expected = by_definition(&merges, word.clone());
                proptest::prop_assert_eq!(merged(&mut merger, &merges, &word), expected);
            }
        }
    }
}
