//! Spans in the making: control tokens by name, a template's own text, and data.

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::tokenizer::{Span, Tokenizer};
use crate::{Error, Result};

/// What a template has to know of a tokenizer.
#[derive(Debug)]
pub struct Vocabulary {
    /// All added tokens, and for each whether data that spells it is kept from becoming it.
    automaton: AhoCorasick,
    is_kept_apart: Vec<bool>,
    contents: Vec<String>,
    /// The tags of the template that are tokens.
    tags: Vec<&'static str>,
    /// Whether each text between two special tokens gets a space in front by itself.
    pub(super) has_own_spaces: bool,
}

impl Vocabulary {
    /// Looks the control tokens of a template up, and those of its tags that are tokens.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the control tokens that the tokenizer does not have.
    pub fn new(
        tokenizer: &Tokenizer,
        template: &str,
        controls: &[&'static str],
        tags: &[&'static str],
    ) -> Result<Self> {
        let missing: Vec<_> =
            controls.iter().filter(|token| tokenizer.special_id(token).is_none()).collect();
        if !missing.is_empty() {
            return Err(Error::Argument(format!(
                "{}: expected the control tokens of the chat template {template}, found none named \
                 {missing:?}; take the tokenizer that the template is for, or add them to it",
                tokenizer.file().display()
            )));
        }
        let is_tag = |token: &str| tags.iter().copied().find(|tag| *tag == token);
        let added = tokenizer.added_tokens();
        // Special tokens are text in data anyway; ordinary ones are not, and a tag must be.
        let is_kept_apart =
            added.iter().map(|(token, special)| !special && is_tag(token).is_some()).collect();
        let tags = added.iter().filter_map(|(token, _)| is_tag(token)).collect();
        let contents: Vec<String> = added.into_iter().map(|(token, _)| token).collect();
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&contents)
            .map_err(|error| Error::tokenizer(tokenizer.file(), error.to_string()))?;
        let has_own_spaces = tokenizer.kind().starts_with("SentencePiece");
        Ok(Self { automaton, is_kept_apart, contents, tags, has_own_spaces })
    }

    /// Returns whether a tag is a token.
    pub(super) fn has(&self, tag: &str) -> bool {
        self.tags.contains(&tag)
    }
}

/// What a record becomes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rendering<'a> {
    /// In order; a special one without text keeps the texts on its sides from sharing a token.
    pub spans: Vec<Span<'a>>,
    /// How often data spells a token of the tokenizer, which stays text.
    pub literal_tokens: u32,
}

pub(super) struct Writer<'v, 'a> {
    vocabulary: &'v Vocabulary,
    rendering: Rendering<'a>,
}

impl<'v, 'a> Writer<'v, 'a> {
    pub(super) fn new(vocabulary: &'v Vocabulary) -> Self {
        Self { vocabulary, rendering: Rendering::default() }
    }

    pub(super) fn vocabulary(&self) -> &'v Vocabulary {
        self.vocabulary
    }

    pub(super) fn finish(self) -> Rendering<'a> {
        self.rendering
    }

    /// Appends a control token.
    pub(super) fn control(&mut self, token: &'static str, trained: bool) {
        self.push(Cow::Borrowed(token), true, trained);
    }

    /// Appends text of the template, in which tags are tokens where the tokenizer has them.
    pub(super) fn own(&mut self, text: &'static str, trained: bool) {
        let mut rest = text;
        while let Some((at, tag)) = self.first_tag(rest) {
            self.push(Cow::Borrowed(&rest[..at]), false, trained);
            self.push(Cow::Borrowed(tag), true, trained);
            rest = &rest[at + tag.len()..];
        }
        self.push(Cow::Borrowed(rest), false, trained);
    }

    fn first_tag(&self, text: &str) -> Option<(usize, &'static str)> {
        let found = self.vocabulary.tags.iter().filter_map(|tag| Some((text.find(tag)?, *tag)));
        found.min_by_key(|&(at, _)| at)
    }

    /// Appends what the record says; what spells a token in it is counted and stays text.
    pub(super) fn data(&mut self, text: Cow<'a, str>, trained: bool) {
        let vocabulary = self.vocabulary;
        let mut cuts = Vec::new();
        for found in vocabulary.automaton.find_iter(text.as_ref()) {
            self.rendering.literal_tokens += 1;
            if vocabulary.is_kept_apart[found.pattern().as_usize()] {
                let first = vocabulary.contents[found.pattern().as_usize()].chars().next();
                cuts.push(found.start() + first.map_or(0, char::len_utf8));
            }
        }
        if cuts.is_empty() {
            self.push(text, false, trained);
            return;
        }
        let mut start = 0;
        for end in cuts {
            self.push(Cow::Owned(text[start..end].to_owned()), false, trained);
            self.rendering.spans.push(Span { text: Cow::Borrowed(""), special: true, trained });
            start = end;
        }
        self.push(Cow::Owned(text[start..].to_owned()), false, trained);
    }

    fn push(&mut self, text: Cow<'a, str>, special: bool, trained: bool) {
        if !text.is_empty() {
            self.rendering.spans.push(Span { text, special, trained });
        }
    }
}

/// Returns a text without the white space that Python's `strip` takes at its ends.
pub(super) fn trim(text: Cow<'_, str>) -> Cow<'_, str> {
    let is_space = |c: char| c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}');
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(is_space)),
        Cow::Owned(text) => {
            let trimmed = text.trim_matches(is_space);
            if trimmed.len() == text.len() {
                Cow::Owned(text)
            } else {
                Cow::Owned(trimmed.to_owned())
            }
        }
    }
}
