//! The objects and lists that are open, a bit each: nesting may be as deep as a file is long.

/// A stack of them, outermost first.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    /// Bits from the lowest on, 1 for an object.
    words: Vec<u64>,
    depth: usize,
}

impl Nesting {
    pub(super) fn clear(&mut self) {
        self.words.clear();
        self.depth = 0;
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn is_empty(&self) -> bool {
        self.depth == 0
    }

    pub(super) fn push(&mut self, is_object: bool) {
        let bit = self.depth % 64;
        if bit == 0 {
            self.words.push(0);
        }
        if let Some(word) = self.words.last_mut() {
            *word = *word & !(1 << bit) | u64::from(is_object) << bit;
        }
        self.depth += 1;
    }

    /// Returns whether the innermost is an object.
    pub(super) fn last(&self) -> Option<bool> {
        let bit = self.depth.checked_sub(1)? % 64;
        self.words.last().map(|word| word >> bit & 1 == 1)
    }

    /// Closes the innermost and returns whether it is an object.
    pub(super) fn pop(&mut self) -> Option<bool> {
        let last = self.last()?;
        self.depth -= 1;
        if self.depth.is_multiple_of(64) {
            self.words.pop();
        }
        Some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_opened_last_is_closed_first() {
        let is_object = |level: usize| level.is_multiple_of(3) || level.is_multiple_of(7);
        let mut nesting = Nesting::default();
        for _ in 0..2 {
            (0..200).for_each(|level| nesting.push(is_object(level)));
            for level in (100..200).rev() {
                assert_eq!(nesting.last(), Some(is_object(level)));
                assert_eq!(nesting.pop(), Some(is_object(level)));
            }
            assert_eq!(nesting.depth(), 100);
            (100..130).for_each(|level| nesting.push(!is_object(level)));
            assert!((100..130).rev().all(|level| nesting.pop() == Some(!is_object(level))));
            assert!((0..100).rev().all(|level| nesting.pop() == Some(is_object(level))));
            assert_eq!((nesting.last(), nesting.pop()), (None, None));
            assert!(nesting.is_empty());
        }
    }
}
