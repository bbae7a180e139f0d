//! Pairs of source and kind, numbered as they come.

use std::collections::HashMap;

/// Numbers for the pairs of source and kind that the records of a batch, or of a unit, have.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    /// By source: kinds and their numbers. A source has few kinds.
    numbers: HashMap<String, Vec<(String, u32)>>,
    all: Vec<(String, String)>,
    /// The number given last: records of a source stand together.
    last: usize,
}

impl Shares {
    /// Returns the number of a pair, a new one for a new pair.
    pub(crate) fn number(&mut self, source: &str, kind: &str) -> u32 {
        if !self.all.get(self.last).is_some_and(|last| last.0 == source && last.1 == kind) {
            self.last = self.find_or_add(source, kind);
        }
        // More shares than records of a unit there cannot be: 30 bits are enough.
        u32::try_from(self.last).unwrap_or(u32::MAX)
    }

    fn find_or_add(&mut self, source: &str, kind: &str) -> usize {
        let of_source = self.numbers.get(source);
        if let Some((_, number)) = of_source.and_then(|kinds| kinds.iter().find(|(k, _)| k == kind))
        {
            return *number as usize;
        }
        let number = self.all.len();
        let entry = (kind.to_owned(), u32::try_from(number).unwrap_or(u32::MAX));
        self.numbers.entry(source.to_owned()).or_default().push(entry);
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

    /// Forgets all numbers.
    pub(crate) fn clear(&mut self) {
        self.numbers.clear();
        self.all.clear();
        self.last = 0;
    }
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
}
