//! Pairs of source and kind, numbered as they come.

use std::collections::HashMap;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

/// What a record can be; of other kinds only the first pairs are told apart.
const KINDS: [&str; 6] =
    ["tool_documentation", "trajectory", "function_call", "code", "text", "web"];

/// Those of them that are made from few templates.
pub(crate) const AGENT_KINDS: [&str; 3] = ["tool_documentation", "trajectory", "function_call"];

/// What sources and kinds are counted under once there are too many of them.
const OTHER: &str = "other";

/// Pairs that a shard's composition tells apart.
const MAX_TOLD_APART: usize = 1_024;

/// Bytes of both names in a pair that a composition spells out.
const MAX_NAME_BYTES: usize = 1_024;

/// Numbers for the pairs of source and kind that the records of a batch, or of a shard, have.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    /// By the hash of a pair: names need not be held twice.
    numbers: HashMap<u128, u32>,
    all: Vec<(String, String)>,
    name_bytes: usize,
    /// The number given last: records of a source stand together.
    last: usize,
}

impl Shares {
    /// Returns the number of a pair, a new one for a new pair.
    pub(crate) fn number(&mut self, source: &str, kind: &str) -> u32 {
        let number = self.find(source, kind);
        number.unwrap_or_else(|| self.add(source, kind))
    }

    /// Returns the number of a pair as [`Self::number`] does, but a bounded number of them, however
    /// many there are: behind the first ones, and if a name is long, a pair is counted under the
    /// source `other` and, unless its kind is a known one, the kind `other`.
    ///
    /// A kind of a group never hides, so that who looks for it may trust a composition.
    pub(crate) fn number_within(&mut self, source: &str, kind: &str) -> u32 {
        if let Some(number) = self.find(source, kind) {
            return number;
        }
        if self.all.len() < MAX_TOLD_APART && source.len() + kind.len() <= MAX_NAME_BYTES {
            return self.add(source, kind);
        }
        let kind = if KINDS.contains(&kind) { kind } else { OTHER };
        self.number(OTHER, kind)
    }

    fn find(&mut self, source: &str, kind: &str) -> Option<u32> {
        if !self.all.get(self.last).is_some_and(|last| last.0 == source && last.1 == kind) {
            self.last = *self.numbers.get(&key(source, kind))? as usize;
        }
        u32::try_from(self.last).ok()
    }

    fn add(&mut self, source: &str, kind: &str) -> u32 {
        self.last = self.all.len();
        // More shares than records of a unit there cannot be: 30 bits are enough.
        let number = u32::try_from(self.last).unwrap_or(u32::MAX);
        self.numbers.insert(key(source, kind), number);
        self.name_bytes += source.len() + kind.len();
        self.all.push((source.to_owned(), kind.to_owned()));
        number
    }

    /// Returns source and kind of each number.
    pub(crate) fn all(&self) -> &[(String, String)] {
        &self.all
    }

    /// Returns source and kind of each number.
    pub(crate) fn into_all(self) -> Vec<(String, String)> {
        self.all
    }

    /// Returns about how much memory it takes.
    pub(crate) fn held_bytes(&self) -> usize {
        let number = size_of::<(u128, u32)>() + 1; // a byte beside each slot of the map
        self.numbers.capacity() * number
            + self.all.capacity() * size_of::<(String, String)>()
            + self.name_bytes
    }

    /// Forgets all numbers.
    pub(crate) fn clear(&mut self) {
        self.numbers.clear();
        self.all.clear();
        self.name_bytes = 0;
        self.last = 0;
    }
}

fn key(source: &str, kind: &str) -> u128 {
    xxh3_128_with_seed(source.as_bytes(), xxh3_64(kind.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_pairs_have_one_number_whatever_stands_between_them() {
        let mut shares = Shares::default();
        let pairs = [("a", "x"), ("b", "x"), ("a", "y"), ("a", "x"), ("a", "x"), ("b", "x")];
        let numbers = pairs.map(|(source, kind)| shares.number(source, kind));
        assert_eq!(numbers, [0, 1, 2, 0, 0, 1]);
        assert_eq!(shares.all().len(), 3);
        shares.clear();
        assert_eq!(shares.number("b", "x"), 0);
        assert_eq!(shares.into_all(), [("b".to_owned(), "x".to_owned())]);
    }

    #[test]
    fn behind_the_first_pairs_only_known_kinds_are_told_apart() {
        let mut shares = Shares::default();
        for number in 0..10_000 {
            shares.number_within(&format!("source {number}"), &format!("kind {}", number % 7));
        }
        assert_eq!(shares.all().len(), MAX_TOLD_APART + 1);
        assert_eq!(shares.number_within("source 5", "kind 5"), 5);
        for (new, kind) in KINDS.iter().enumerate() {
            for source in ["x", "y"] {
                let number = shares.number_within(source, kind) as usize;
                assert_eq!(number, MAX_TOLD_APART + 1 + new);
                assert_eq!(shares.all()[number], ("other".to_owned(), (*kind).to_owned()));
            }
        }
    }

    #[test]
    fn long_names_are_counted_under_other() {
        let mut shares = Shares::default();
        let long = "x".repeat(MAX_NAME_BYTES);
        for (source, kind, counted) in
            [(&*long, "code", ("other", "code")), ("a", &*long, ("other", "other"))]
        {
            let number = shares.number_within(source, kind) as usize;
            let (source, kind) = &shares.all()[number];
            assert_eq!((source.as_str(), kind.as_str()), counted);
        }
        assert!(shares.held_bytes() < MAX_NAME_BYTES);
    }

    #[test]
    fn memory_is_weighed() {
        let mut shares = Shares::default();
        for number in 0..1_000 {
            shares.number(&format!("source {number}"), "text");
        }
        assert!(shares.held_bytes() > 1_000 * 48, "{}", shares.held_bytes());
    }
}
