//! Added tokens: strings that are found in a text before it is cut into words.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use super::stored::{SectionReader, Sections, Stored};
use super::unicode::{WORD, classes};

/// One token of the `added_tokens` list of a `tokenizer.json`, with the flags of that format.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the format has these flags")]
pub(super) struct AddedToken {
    pub(super) id: u32,
    pub(super) content: String,
    /// Only found where no word character touches it.
    pub(super) single_word: bool,
    /// Takes the white space before it.
    pub(super) lstrip: bool,
    /// Takes the white space behind it.
    pub(super) rstrip: bool,
    /// Looked for in the normalized text.
    pub(super) normalized: bool,
    /// A control token: in data it is text, unless the caller wants it parsed.
    pub(super) special: bool,
}

/// A part of a text as the search for added tokens cuts it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Text(&'a str),
    Token(u32),
}

/// A set of added tokens, searched for together: the leftmost first, there the longest.
#[derive(Debug, Default)]
pub(super) struct AddedTokens {
    tokens: Vec<AddedToken>,
    automaton: Option<AhoCorasick>,
    has_ordinary: bool,
}

impl AddedTokens {
    /// Makes the set; `tokens` carry in `content` what is to be looked for.
    ///
    /// # Errors
    /// What the search library says when the set is too large for it.
    pub(super) fn new(tokens: Vec<AddedToken>) -> Result<Self, String> {
        let has_ordinary = tokens.iter().any(|token| !token.special);
        let contents = tokens.iter().map(|token| &token.content);
        let automaton = (!tokens.is_empty())
            .then(|| AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(contents))
            .transpose()
            .map_err(|error| error.to_string())?;
        Ok(Self { tokens, automaton, has_ordinary })
    }

    /// Returns the ids that a search may find.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        self.tokens.iter().map(|token| token.id)
    }

    /// Cuts `text` at the tokens in it and gives its parts in order, none of them empty.
    ///
    /// Special tokens that are not parsed are skipped where they match, as `tokenizers` does: what
    /// overlaps them is not found either.
    pub(super) fn parts<'a>(
        &self,
        text: &'a str,
        parse_special: bool,
        mut part: impl FnMut(Part<'a>),
    ) {
        self.cuts(text, parse_special, |range, token| {
            part(token.map_or_else(|| Part::Text(&text[range]), Part::Token));
        });
    }

    /// Gives the parts as ranges of `text`, each with its id where it is a token; the white space
    /// that a token takes belongs to it.
    pub(super) fn cuts(
        &self,
        text: &str,
        parse_special: bool,
        mut part: impl FnMut(Range<usize>, Option<u32>),
    ) {
        let mut start = 0;
        if let Some(automaton) =
            self.automaton.as_ref().filter(|_| parse_special || self.has_ordinary)
        {
            for found in automaton.find_iter(text) {
                let token = &self.tokens[found.pattern().as_usize()];
                let (before, behind) = (&text[..found.start()], &text[found.end()..]);
                if (token.special && !parse_special) || !token.may_stand_between(before, behind) {
                    continue;
                }
                let stripped = if token.lstrip { before.trim_end().len() } else { before.len() };
                // What the token before has taken is gone; one of white space may be gone whole.
                let token_start = stripped.max(start);
                if token.lstrip && token_start >= found.end() {
                    continue;
                }
                if start < token_start {
                    part(start..token_start, None);
                }
                let stripped = if token.rstrip { behind.trim_start() } else { behind };
                let token_end = text.len() - stripped.len();
                part(token_start..token_end, Some(token.id));
                start = token_end;
            }
        }
        if start < text.len() {
            part(start..text.len(), None);
        }
    }

    /// Returns the token of this id, if it is one of the set.
    pub(super) fn by_id(&self, id: u32) -> Option<&AddedToken> {
        self.tokens.iter().find(|token| token.id == id)
    }
}

/// Bytes of all contents up to which a set is restored: the automaton takes many times as much.
const LARGEST_SET: usize = 4 << 20;

/// Contents, ids and flags; the automaton is built again, being small.
impl Stored for AddedTokens {
    fn store(&self, sections: &mut Sections) {
        let names: Vec<_> = self.tokens.iter().map(|t| (t.content.clone(), t.id)).collect();
        names.store(sections);
        for token in &self.tokens {
            sections.put(token.flags().map(u8::from).into_iter());
        }
    }

    fn restore(sections: &mut SectionReader<'_>) -> Option<Self> {
        let names = Vec::<(String, u32)>::restore(sections)?;
        let bytes: usize = names.iter().map(|(content, _)| content.len()).sum();
        let is_sound = bytes <= LARGEST_SET && names.iter().all(|(name, _)| !name.is_empty());
        is_sound.then_some(())?;
        let token = |(content, id)| {
            let [single_word, lstrip, rstrip, normalized, special] = sections.take_flags()?;
            Some(AddedToken { id, content, single_word, lstrip, rstrip, normalized, special })
        };
        Self::new(names.into_iter().map(token).collect::<Option<_>>()?).ok()
    }
}

impl AddedToken {
    fn flags(&self) -> [bool; 5] {
        [self.single_word, self.lstrip, self.rstrip, self.normalized, self.special]
    }

    fn may_stand_between(&self, before: &str, behind: &str) -> bool {
        let is_word = |c: Option<char>| c.is_some_and(|c| classes(c as u32) & WORD != 0);
        !self.single_word
            || !(is_word(before.chars().next_back()) || is_word(behind.chars().next()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: u32, content: &str) -> AddedToken {
        AddedToken { id, content: content.to_owned(), ..AddedToken::default() }
    }

    fn parts(tokens: Vec<AddedToken>, text: &str, parse_special: bool) -> Vec<String> {
        let mut parts = Vec::new();
        AddedTokens::new(tokens).expect("a small set").parts(text, parse_special, |part| {
            parts.push(match part {
                Part::Text(text) => text.to_owned(),
                Part::Token(id) => format!("#{id}"),
            });
        });
        parts
    }

    #[test]
    fn the_longest_of_the_leftmost_tokens_wins() {
        let tokens = vec![token(1, "<a"), token(2, "<a>"), token(3, ">b")];
        assert_eq!(parts(tokens, "x<a>b<a", false), ["x", "#2", "b", "#1"]);
    }

    #[test]
    fn special_tokens_are_text_unless_parsed_and_hide_what_they_overlap() {
        let special = AddedToken { special: true, ..token(1, "<a>") };
        let tokens = vec![special, token(2, ">b")];
        assert_eq!(parts(tokens.clone(), "<a>b>b", false), ["<a>b", "#2"]);
        assert_eq!(parts(tokens, "<a>b>b", true), ["#1", "b", "#2"]);
    }

    #[test]
    fn stripping_tokens_take_white_space_and_single_words_stand_alone() {
        let strips = AddedToken { lstrip: true, rstrip: true, ..token(1, "<m>") };
        assert_eq!(parts(vec![strips], "a \n<m>\u{3000} b", false), ["a", "#1", "b"]);
        let single = AddedToken { single_word: true, ..token(1, "x") };
        assert_eq!(parts(vec![single], "x xé éx (x)", false), ["#1", " xé éx (", "#1", ")"]);
    }
}
