//! Whether an object has a key twice.
//!
//! Keys are kept by their hashes until their object ends, one object inside of the other on one
//! stack; what has the same hash is compared.

use std::borrow::Cow;

use memchr::memchr2;
use xxhash_rust::xxh3::xxh3_64;

/// Up to so many keys are compared each with each.
const FEW: usize = 16;

/// The keys of the objects that are open.
#[derive(Debug, Default)]
pub(super) struct Keys {
    keys: Vec<Key>,
    /// Where the keys of each open object begin.
    objects: Vec<usize>,
}

/// Eight bytes: a record may consist of little else than keys.
#[derive(Clone, Copy, Debug)]
struct Key {
    hash: u32,
    /// Where it lies in the record: at this quote.
    start: u32,
}

impl Keys {
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.objects.clear();
    }

    /// Begins an object inside of the one that is open.
    pub(super) fn open(&mut self) {
        self.objects.push(self.keys.len());
    }

    /// Takes a key that lies at `start..end` of `bytes`, quotes included; beyond the first 4 GiB of
    /// a record, which nobody reads as one, keys are not looked at.
    pub(super) fn add(&mut self, bytes: &[u8], start: usize, end: usize, has_escapes: bool) {
        let Ok(place) = u32::try_from(start) else { return };
        let quoted = &bytes[start..end];
        let hash = if has_escapes { xxh3_64(&unescaped(quoted)) } else { xxh3_64(inside(quoted)) };
        self.keys.push(Key { hash: (hash >> 32) as u32, start: place });
    }

    /// Ends the innermost object; says whether it had a key twice.
    pub(super) fn close(&mut self, bytes: &[u8]) -> bool {
        let Some(first) = self.objects.pop() else { return false };
        let found = has_twice(&mut self.keys[first..], bytes);
        self.keys.truncate(first);
        found
    }
}

fn has_twice(keys: &mut [Key], bytes: &[u8]) -> bool {
    if keys.len() <= FEW {
        return (1..keys.len()).any(|at| {
            let (key, before) = (keys[at], &keys[..at]);
            before.iter().any(|other| other.hash == key.hash && is_same(*other, key, bytes))
        });
    }
    keys.sort_unstable_by_key(|key| key.hash);
    keys.chunk_by(|one, other| one.hash == other.hash).any(|alike| {
        (1..alike.len()).any(|at| alike[..at].iter().any(|other| is_same(*other, alike[at], bytes)))
    })
}

fn is_same(one: Key, other: Key, bytes: &[u8]) -> bool {
    unescaped(quoted_at(bytes, one.start)) == unescaped(quoted_at(bytes, other.start))
}

/// Returns the string that begins at a quote.
fn quoted_at(bytes: &[u8], start: u32) -> &[u8] {
    let quoted = &bytes[start as usize..];
    let mut at = 1;
    while let Some(found) = quoted.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if quoted[at - 1] == b'"' {
            return &quoted[..at];
        }
        at += 1;
    }
    quoted
}

fn inside(quoted: &[u8]) -> &[u8] {
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default()
}

/// Returns what a key stands for; one that is broken stands for itself.
fn unescaped(quoted: &[u8]) -> Cow<'_, [u8]> {
    let spelled = inside(quoted);
    if !spelled.contains(&b'\\') {
        return Cow::Borrowed(spelled);
    }
    serde_json::from_slice::<String>(quoted)
        .map_or(Cow::Borrowed(spelled), |text| Cow::Owned(text.into_bytes()))
}
