//! The `model` object of a `tokenizer.json`: strings are borrowed from the file's bytes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A BPE model as the file has it.
#[derive(serde::Deserialize)]
pub(super) struct Bpe<'a> {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    dropout: Option<f32>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    pub(super) ignore_merges: Option<bool>,
    #[serde(borrow)]
    pub(super) vocab: Vocab<'a>,
    #[serde(borrow)]
    pub(super) merges: MergeList<'a>,
}

impl Bpe<'_> {
    /// Refuses settings that change ids even when every byte has a token.
    ///
    /// # Errors
    /// The setting, by name.
    pub(super) fn check(&self) -> Result<(), String> {
        let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let settings = [
            (self.dropout.is_some_and(|dropout| dropout != 0.0), "dropout"),
            (is_set(&self.continuing_subword_prefix), "continuing_subword_prefix"),
            (is_set(&self.end_of_word_suffix), "end_of_word_suffix"),
        ];
        match settings.iter().find(|(is_set, _)| *is_set) {
            Some((_, name)) => Err(format!("the model setting {name}")),
            None => Ok(()),
        }
    }
}

/// Tokens and ids, in the order of the file.
pub(super) struct Vocab<'a>(pub(super) Vec<(Cow<'a, str>, u32)>);

/// Pairs of tokens, in the order of their ranks.
pub(super) struct MergeList<'a>(pub(super) Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// A string that is borrowed when it has no escapes.
struct Text<'a>(Cow<'a, str>);

/// One merge: `"a b"` or `["a", "b"]`.
struct Pair<'a>(Cow<'a, str>, Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Vocab<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Vocab<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of tokens and ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(1 << 15);
                while let Some((Text(token), id)) = map.next_entry()? {
                    entries.push((token, id));
                }
                Ok(Vocab(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for MergeList<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = MergeList<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of merges")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(1 << 15);
                while let Some(Pair(left, right)) = list.next_element()? {
                    entries.push((left, right));
                }
                Ok(MergeList(entries))
            }
        }
        deserializer.deserialize_seq(Entries)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrowing)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Pair<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Pair<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a merge: two tokens in a list, or in a string with a space")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                let (left, right) =
                    halves(text).ok_or_else(|| E::custom("a merge has two parts"))?;
                Ok(Pair(Cow::Borrowed(left), Cow::Borrowed(right)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                let (left, right) =
                    halves(text).ok_or_else(|| E::custom("a merge has two parts"))?;
                Ok(Pair(Cow::Owned(left.to_owned()), Cow::Owned(right.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut part = || list.next_element::<Text<'de>>();
                match (part()?, part()?, part()?) {
                    (Some(Text(left)), Some(Text(right)), None) => Ok(Pair(left, right)),
                    _ => Err(A::Error::custom("a merge has two parts")),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

fn halves(text: &str) -> Option<(&str, &str)> {
    text.split_once(' ').filter(|(_, right)| !right.contains(' '))
}
