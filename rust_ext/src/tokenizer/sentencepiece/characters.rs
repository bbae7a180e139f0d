//! What the model knows of each character: its piece, and what it joins.

use std::collections::HashMap;

use super::classes::Joins;

const PAGE: usize = 256;

/// One character; the default has no piece and joins nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Character {
    /// One more than the id of its piece; 0 without one.
    symbol: u32,
    pub(super) joins: Joins,
}

impl Character {
    /// Returns the id of its piece, if it has one.
    #[inline]
    pub(super) fn symbol(self) -> Option<u32> {
        self.symbol.checked_sub(1)
    }
}

/// A table by code point, in pages of which those without a piece are one.
#[derive(Debug)]
pub(super) struct Characters {
    page_numbers: Box<[u16; 0x11_0000 / PAGE]>,
    characters: Vec<Character>,
}

impl Characters {
    /// Makes the table of the characters that are pieces themselves.
    pub(super) fn new(symbols: impl Iterator<Item = (char, u32)>) -> Self {
        let page_numbers = Box::new([0; 0x11_0000 / PAGE]);
        let mut table = Self { page_numbers, characters: vec![Character::default(); PAGE] };
        for (c, id) in symbols {
            table.entry(c).symbol = id + 1;
        }
        table
    }

    /// Sets what the characters join.
    pub(super) fn set_joins(&mut self, joins: HashMap<char, Joins>) {
        for (c, joins) in joins {
            self.entry(c).joins = joins;
        }
    }

    /// Makes `alias` the same as `c`.
    pub(super) fn set_alias(&mut self, alias: char, c: char) {
        *self.entry(alias) = self.get(u32::from(c));
    }

    /// Returns what is known of a code point.
    #[inline]
    pub(super) fn get(&self, code_point: u32) -> Character {
        let index = code_point as usize;
        let page = self.page_numbers.get(index / PAGE).copied().unwrap_or_default();
        self.characters[usize::from(page) * PAGE + index % PAGE]
    }

    fn entry(&mut self, c: char) -> &mut Character {
        let (page, index) = (c as usize / PAGE, c as usize % PAGE);
        if self.page_numbers[page] == 0 {
            // There are 4,352 pages of characters, so every page has a number.
            self.page_numbers[page] = u16::try_from(self.characters.len() / PAGE).unwrap_or(0);
            self.characters.resize(self.characters.len() + PAGE, Character::default());
        }
        &mut self.characters[usize::from(self.page_numbers[page]) * PAGE + index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_of_any_page_are_told_apart_from_those_without_a_piece() {
        let pieces = [('a', 0), ('é', 7), ('中', 8), ('😀', 9), (char::MAX, 10)];
        let mut table = Characters::new(pieces.into_iter());
        table.set_alias('\u{2581}', 'a');
        for (c, id) in pieces {
            assert_eq!(table.get(c as u32).symbol(), Some(id));
        }
        assert_eq!(table.get(0x2581).symbol(), Some(0));
        assert_eq!((table.get(u32::from('b')).symbol(), table.get(0x2582).symbol()), (None, None));
    }
}
