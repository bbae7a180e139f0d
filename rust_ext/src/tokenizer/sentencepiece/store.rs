//! A `SentencePiece` model as sections of a table file.

use super::{Kind, SentencePiece};
use crate::tokenizer::added::AddedTokens;
use crate::tokenizer::merges::Merges;
use crate::tokenizer::stored::{SectionReader, Sections, Stored};
use crate::tokenizer::vocabulary::Vocabulary;

impl Stored for SentencePiece {
    fn store(&self, sections: &mut Sections) {
        self.vocabulary.store(sections);
        self.merges.store(sections);
        self.user_defined.store(sections);
        sections.put(self.byte_ids.into_iter());
        sections.put(self.kinds.iter().map(|&kind| kind as u32));
        // One character in fifty has a piece.
        let characters = (0u32..).zip(&self.characters).filter(|(_, symbol)| **symbol != 0);
        let characters: Vec<_> = characters.map(|(c, &symbol)| [c, symbol]).collect();
        sections.put(characters.into_iter());
        let flags = [self.adds_dummy_prefix, self.removes_extra_spaces, self.cuts_at_spaces];
        sections.put(flags.map(u8::from).into_iter());
        sections.put_bytes(self.unknown_surface.as_bytes());
    }

    fn restore(sections: &mut SectionReader<'_>) -> Option<Self> {
        let (vocabulary, merges) = (Vocabulary::restore(sections)?, Merges::restore(sections)?);
        let user_defined = AddedTokens::restore(sections)?;
        let byte_ids: [u32; 256] = sections.take_array()?;
        let num_ids = vocabulary.num_ids();
        let mut ids = user_defined.ids().chain(byte_ids);
        (merges.symbols_are_below(num_ids) && ids.all(|id| id < num_ids)).then_some(())?;
        drop(ids);
        let kinds = kinds_of(&sections.take()?).filter(|kinds| kinds.len() == num_ids as usize)?;
        let characters = characters_of(sections.take()?, num_ids)?;
        let [adds_dummy_prefix, removes_extra_spaces, cuts_at_spaces] = sections.take_flags()?;
        let unknown_surface = sections.take_text()?.to_owned();
        Some(Self {
            vocabulary,
            kinds,
            merges,
            characters,
            byte_ids,
            user_defined,
            adds_dummy_prefix,
            removes_extra_spaces,
            cuts_at_spaces,
            unknown_surface,
        })
    }
}

fn kinds_of(numbers: &[u32]) -> Option<Vec<Kind>> {
    numbers.iter().map(|&kind| Kind::try_from(i32::try_from(kind).ok()?).ok()).collect()
}

/// Returns the table by code point of `pairs` of a character and one more than its id.
fn characters_of(pairs: Vec<[u32; 2]>, num_ids: u32) -> Option<Vec<u32>> {
    let mut characters = vec![0; 0x11_0000];
    for [c, symbol] in pairs {
        (symbol <= num_ids).then_some(())?;
        *characters.get_mut(c as usize)? = symbol;
    }
    Some(characters)
}
