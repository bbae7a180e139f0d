//! A `SentencePiece` model as sections of a table file.

use super::characters::Characters;
use super::joins::Joins;
use super::load::ascii_ids;
use super::{Kind, SentencePiece};
use crate::tokenizer::added::AddedTokens;
use crate::tokenizer::merges::Merges;
use crate::tokenizer::stored::{SectionReader, Sections, Stored};
use crate::tokenizer::vocabulary::Vocabulary;

impl SentencePiece {
    fn flags(&self) -> [bool; 4] {
        let Self { parts_spaces, adds_dummy_prefix, removes_extra_spaces, rewrites_text, .. } =
            *self;
        [parts_spaces, adds_dummy_prefix, removes_extra_spaces, rewrites_text]
    }
}

impl Stored for SentencePiece {
    fn store(&self, sections: &mut Sections) {
        self.vocabulary.store(sections);
        self.merges.store(sections);
        self.user_defined.store(sections);
        sections.put(self.byte_ids.into_iter());
        sections.put(self.kinds.iter().map(|&kind| kind as u32));
        self.characters.store(sections);
        self.joins.store(sections);
        sections.put(self.flags().map(u8::from).into_iter());
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
        let (characters, joins) = (Characters::restore(sections)?, Joins::restore(sections)?);
        characters.ids_are_below(num_ids).then_some(())?;
        let ascii_ids = ascii_ids(&characters, &byte_ids);
        let [parts_spaces, adds_dummy_prefix, removes_extra_spaces, rewrites_text] =
            sections.take_flags()?;
        let unknown_surface = sections.take_text()?.to_owned();
        Some(Self {
            vocabulary,
            kinds,
            merges,
            characters,
            joins,
            parts_spaces,
            ascii_ids,
            byte_ids,
            user_defined,
            adds_dummy_prefix,
            removes_extra_spaces,
            rewrites_text,
            unknown_surface,
        })
    }
}

fn kinds_of(numbers: &[u32]) -> Option<Vec<Kind>> {
    numbers.iter().map(|&kind| Kind::try_from(i32::try_from(kind).ok()?).ok()).collect()
}
