//! What makes two records equal: what the step `bands` groups texts by.

use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use super::keys::Wide;
use super::normalise::normalise;
use super::url_key::url_key;
use super::verdicts::Kind;
use crate::input::member::origin_url;
use crate::{Error, Result};

/// Keeps what stands for a record without an address apart from all addresses.
const NO_URL_SEED: u64 = 0x6e6f_2075_726c;

/// What makes two records equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextKey {
    /// Their texts are, byte for byte.
    #[default]
    Text,
    /// The normal forms of their texts are ([`super::normalise`]).
    Normal,
    /// Their addresses count as one ([`super::url_key`]); a record without one equals no other.
    Url,
}

impl TextKey {
    /// Returns the key of this name.
    ///
    /// # Errors
    /// `Argument` when there is no such key.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "text" => Ok(Self::Text),
            "normal" => Ok(Self::Normal),
            "url" => Ok(Self::Url),
            _ => Err(Error::Argument(format!("expected text, normal or url, got {name}"))),
        }
    }

    /// Returns what a record is compared by: its line, its text and its id, and room to work in.
    pub(super) fn hash(self, line: &[u8], text: &str, id: &[u8], room: &mut Vec<u8>) -> Wide {
        halves(match self {
            Self::Text => xxh3_128(text.as_bytes()),
            Self::Normal => {
                normalise(text, room);
                xxh3_128(room)
            }
            Self::Url => match origin_url(line).as_deref().and_then(url_key) {
                Some(key) => xxh3_128(key.as_bytes()),
                // Ids are unique.
                None => xxh3_128_with_seed(id, NO_URL_SEED),
            },
        })
    }

    /// Returns why a record falls that equals another.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Text | Self::Normal => Kind::Exact,
            Self::Url => Kind::Url,
        }
    }

    /// Returns the true similarity of equal records, where it follows.
    pub(super) fn jaccard(self) -> Option<f64> {
        // Equal normal forms may differ where a character was composed: nothing is computed.
        (self == Self::Text).then_some(1.0)
    }
}

/// Returns the upper and the lower half.
#[allow(clippy::cast_possible_truncation)] // that is the lower half
pub(crate) fn halves(hash: u128) -> Wide {
    [(hash >> 64) as u64, hash as u64]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(key: TextKey, line: &str, text: &str, id: &str) -> Wide {
        key.hash(line.as_bytes(), text, id.as_bytes(), &mut b"left over".to_vec())
    }

    #[test]
    fn each_key_sees_what_it_compares() {
        let url = |url: &str| format!("{{\"origin\": {{\"url\": \"{url}\"}}}}");
        let (one, other) = (url("http://A.example/#x"), url("http://a.example"));
        let of = |key: &str, line: &str, text: &str, id: &str| {
            hash(TextKey::named(key).unwrap(), line, text, id)
        };
        assert_eq!(of("text", &one, "A b", "1"), of("text", &other, "A b", "2"));
        assert_ne!(of("text", &one, "A b", "1"), of("text", &one, "a b", "1"));
        assert_eq!(of("normal", &one, "A\n b", "1"), of("normal", &other, "a b ", "2"));
        assert_ne!(of("normal", &one, "ab", "1"), of("normal", &one, "a b", "1"));
        assert_eq!(of("url", &one, "A", "1"), of("url", &other, "B", "2"));
        assert_ne!(of("url", &one, "A", "1"), of("url", &url("http://b.example"), "A", "1"));
        assert_ne!(of("url", "{}", "A", "1"), of("url", "{}", "A", "2"));
        assert_ne!(of("url", "{}", "A", "http://a.example"), of("url", &one, "A", "1"));
        assert!(TextKey::named("url ").is_err());
    }
}
