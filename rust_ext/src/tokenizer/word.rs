//! What is merged: the symbols a word begins as, and the rules of neighbours among them.

use super::merges::{Merge, Merges, NO_MERGE};

/// A word before any merge.
pub(super) trait Word {
    /// Returns the number of symbols.
    fn length(&self) -> usize;

    /// Returns the symbol at a position and its rule with the next one, which exists.
    fn symbol_and_rule(&self, position: usize) -> (u32, Merge);

    /// Returns the symbol at a position.
    fn symbol(&self, position: usize) -> u32;

    /// Returns whether the `count` symbols at both positions are equal.
    fn is_repeated(&self, left: usize, right: usize, count: usize) -> bool;
}

/// A word given by its symbols.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbols<'a> {
    pub(super) symbols: &'a [u32],
    pub(super) merges: &'a Merges,
}

impl Word for Symbols<'_> {
    #[inline]
    fn length(&self) -> usize {
        self.symbols.len()
    }

    #[inline]
    fn symbol_and_rule(&self, position: usize) -> (u32, Merge) {
        let symbol = self.symbols[position];
        (symbol, self.merges.get(symbol, self.symbols[position + 1]))
    }

    #[inline]
    fn symbol(&self, position: usize) -> u32 {
        self.symbols[position]
    }

    fn is_repeated(&self, left: usize, right: usize, count: usize) -> bool {
        self.symbols[left..left + count] == self.symbols[right..right + count]
    }
}

/// The symbols of the 256 bytes, and the rules of all pairs of them.
#[derive(Debug)]
pub(super) struct ByteSymbols {
    /// By byte.
    ids: [u32; 256],
    /// By left byte, then right byte: most of a text's merges are asked for here, from few lines
    /// of memory.
    rules: Vec<Merge>,
}

impl ByteSymbols {
    pub(super) fn new(ids: &[u32; 256], merges: &Merges) -> Self {
        let right_of = |left| ids.iter().map(move |&right| merges.get(left, right));
        Self { ids: *ids, rules: ids.iter().copied().flat_map(right_of).collect() }
    }

    /// Returns the symbols, by byte.
    pub(super) fn ids(&self) -> &[u32; 256] {
        &self.ids
    }
}

/// A word given by its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) symbols: &'a ByteSymbols,
}

impl Word for Bytes<'_> {
    #[inline]
    fn length(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn symbol_and_rule(&self, position: usize) -> (u32, Merge) {
        let (left, right) = (self.bytes[position], self.bytes[position + 1]);
        let pair = usize::from(left) << 8 | usize::from(right);
        let rule = self.symbols.rules.get(pair).copied().unwrap_or(NO_MERGE);
        (self.symbols.ids[usize::from(left)], rule)
    }

    #[inline]
    fn symbol(&self, position: usize) -> u32 {
        self.symbols.ids[usize::from(self.bytes[position])]
    }

    fn is_repeated(&self, left: usize, right: usize, count: usize) -> bool {
        self.bytes[left..left + count] == self.bytes[right..right + count]
    }
}

impl<W: Word> Word for &W {
    #[inline]
    fn length(&self) -> usize {
        W::length(self)
    }

    #[inline]
    fn symbol_and_rule(&self, position: usize) -> (u32, Merge) {
        W::symbol_and_rule(self, position)
    }

    #[inline]
    fn symbol(&self, position: usize) -> u32 {
        W::symbol(self, position)
    }

    fn is_repeated(&self, left: usize, right: usize, count: usize) -> bool {
        W::is_repeated(self, left, right, count)
    }
}
