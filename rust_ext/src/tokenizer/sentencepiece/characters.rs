//! Which characters are pieces themselves.

use crate::tokenizer::stored::{SectionReader, Sections, Stored};

const PAGE: usize = 256;

/// Ids by code point, in pages; all pages without a piece are the first.
#[derive(Debug)]
pub(super) struct Characters {
    page_numbers: Box<[u16; 0x11_0000 / PAGE]>,
    /// One more than the id of a character's piece; 0 without one.
    symbols: Vec<u32>,
}

impl Characters {
    /// Makes the table of characters and their ids.
    pub(super) fn new(ids: impl Iterator<Item = (char, u32)>) -> Self {
        let page_numbers = Box::new([0; 0x11_0000 / PAGE]);
        let mut table = Self { page_numbers, symbols: vec![0; PAGE] };
        for (c, id) in ids {
            table.insert(c, id);
        }
        table
    }

    /// Sets the id of `c`.
    pub(super) fn insert(&mut self, c: char, id: u32) {
        let (page, index) = (c as usize / PAGE, c as usize % PAGE);
        if self.page_numbers[page] == 0 {
            let number = u16::try_from(self.symbols.len() / PAGE);
            self.page_numbers[page] = number.expect("there are 4,352 pages of characters");
            self.symbols.resize(self.symbols.len() + PAGE, 0);
        }
        self.symbols[usize::from(self.page_numbers[page]) * PAGE + index] = id + 1;
    }

    /// Returns the id of a code point that is a piece.
    #[inline]
    pub(super) fn id(&self, code_point: u32) -> Option<u32> {
        let index = code_point as usize;
        let page = self.page_numbers.get(index / PAGE).copied().unwrap_or_default();
        self.symbols[usize::from(page) * PAGE + index % PAGE].checked_sub(1)
    }

    /// Returns whether every id is below `bound`.
    pub(super) fn ids_are_below(&self, bound: u32) -> bool {
        self.symbols.iter().all(|&symbol| symbol <= bound)
    }
}

impl Stored for Characters {
    fn store(&self, sections: &mut Sections) {
        sections.put(self.page_numbers.iter().copied());
        sections.put(self.symbols.iter().copied());
    }

    fn restore(sections: &mut SectionReader<'_>) -> Option<Self> {
        let (page_numbers, symbols) = (sections.take::<u16>()?, sections.take::<u32>()?);
        let num_pages = symbols.len() / PAGE;
        let is_sound = symbols.len() % PAGE == 0
            && page_numbers.iter().all(|&number| usize::from(number) < num_pages);
        is_sound.then_some(())?;
        Some(Self { page_numbers: page_numbers.into_boxed_slice().try_into().ok()?, symbols })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_of_any_page_are_told_apart_from_those_without_a_piece() {
        let pieces = [('a', 0), ('é', 7), ('中', 8), ('😀', 9), (char::MAX, 10)];
        let table = Characters::new(pieces.into_iter());
        for (c, id) in pieces {
            assert_eq!(table.id(c as u32), Some(id));
        }
        assert_eq!((table.id(u32::from('b')), table.id(0x2581), table.id(0)), (None, None, None));
    }
}
