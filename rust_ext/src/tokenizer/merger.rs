//! Byte-pair merging: the pair of the lowest rank becomes one symbol, until no pair has a rule.
//!
//! Among equal ranks the leftmost pair goes first. Words of up to 64 symbols are merged in
//! registers ([`super::short_merge`]), longer ones window by window ([`super::long_merge`]).

use super::long_merge::LongWords;
use super::merges::Merges;
use super::short_merge::MOST_SYMBOLS;
use super::word::{Symbols, Word};

/// The symbols of one word and the memory to merge them in, kept between words.
#[derive(Debug, Default)]
pub(super) struct Merger {
    symbols: Vec<u32>,
    long: LongWords,
}

impl Merger {
    /// Begins a word; what was left of the last one is forgotten.
    #[inline]
    pub(super) fn start(&mut self) -> &mut Vec<u32> {
        self.symbols.clear();
        &mut self.symbols
    }

    /// Adds a symbol to the word.
    #[inline]
    pub(super) fn push(&mut self, symbol: u32) {
        self.symbols.push(symbol);
    }

    /// Merges the symbols put into [`Merger::start`] and appends what remains to `out`.
    pub(super) fn merge(&mut self, merges: &Merges, out: &mut Vec<u32>) {
        let symbols = std::mem::take(&mut self.symbols);
        self.merge_word(&Symbols { symbols: &symbols, merges }, merges, out);
        self.symbols = symbols;
    }

    /// Merges a word and appends what remains to `out`.
    #[inline]
    pub(super) fn merge_word(&mut self, word: &impl Word, merges: &Merges, out: &mut Vec<u32>) {
        match word.length() {
            0 => {}
            1 => out.push(word.symbol(0)),
            length @ 2..=MOST_SYMBOLS => {
                self.long.short.merge(word, 0..length, merges, |symbol, _| out.push(symbol));
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

    proptest::proptest! {
        #[test]
        fn every_way_to_merge_gives_what_the_definition_gives(
            rules in proptest::collection::vec((0u32..12, 0u32..12, 0u32..6), 0..60),
            word in proptest::collection::vec(0u32..4, 0..600),
        ) {
            // Few ranks, so that ties abound; a symbol above both parts, so that merging ends.
            let mut table = Rules::default();
            for (left, right, rank) in rules {
                table.insert(left, right, Merge { rank, symbol: left.max(right) + 1 });
            }
            let merges = table.finish();
            let expected = by_definition(&merges, word.clone());
            let mut merger = Merger::default();
            merger.start().extend_from_slice(&word);
            let mut out = vec![99];
            merger.merge(&merges, &mut out);
            proptest::prop_assert_eq!(&out[1..], &expected[..]);
        }
    }
}
