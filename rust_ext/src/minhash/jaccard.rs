//! The Jaccard similarity of two sets of shingles, and whether it reaches a threshold.
//!
//! Sorting the sets costs as much as signing their texts. So one of them is put into a table, in
//! which the elements of others are looked up, one set after another, until the threshold is out
//! of reach. Both numbers are whole, so nothing is rounded where the threshold decides.

use crate::{Error, Result};

/// A least similarity, as the fraction that its decimal notation says: 0.8 is 8 / 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    numerator: u64,
    denominator: u64,
}

impl Threshold {
    /// Takes the shortest decimal number that is read as `value`.
    ///
    /// # Errors
    /// `Argument` when it is not between 0 and 1, or has more than 18 digits behind the point.
    pub fn new(value: f64) -> Result<Self> {
        let refused = || {
            let expected = "expected a threshold from 0 to 1 of at most 18 decimals";
            Error::Argument(format!("{expected}, got {value}"))
        };
        if !(0.0..=1.0).contains(&value) {
            return Err(refused());
        }
        let text = value.to_string();
        let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
        let exponent = u32::try_from(decimals.len()).unwrap_or(u32::MAX);
        let denominator = 10_u64.checked_pow(exponent).filter(|_| exponent <= 18);
        let numerator = format!("{whole}{decimals}").parse();
        match (numerator, denominator) {
            (Ok(numerator), Some(denominator)) => Ok(Self { numerator, denominator }),
            _ => Err(refused()),
        }
    }

    /// Returns how many elements two sets of these sizes must share, at least one.
    #[must_use]
    pub fn least_common(self, left: usize, right: usize) -> usize {
        let (numerator, denominator) = (u128::from(self.numerator), u128::from(self.denominator));
        // common / (left + right - common) >= numerator / denominator, solved for common.
        let total = left as u128 + right as u128;
        let least = (numerator * total).div_ceil(numerator + denominator);
        usize::try_from(least).unwrap_or(usize::MAX).max(1)
    }
}

/// Finds elements of a list of distinct shingles; its table serves one list after another.
///
/// Lists are in the order of their texts. Where two texts are alike, so are their lists, run by run:
/// only the first element of a run is looked up, the rest is read along both lists.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    /// One more than the index of an element, at the first free place from the one that the
    /// element's lowest bits say; 0: free.
    table: Vec<u32>,
    /// Places in use less one: one less than a power of two.
    mask: usize,
}

impl Probe {
    /// Makes a probe of the empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a list in place of the one before, and leaves of each shingle there only the first.
    ///
    /// Takes 12 to 24 bytes of memory a shingle, 5 to 10 of a long list, and keeps them.
    ///
    /// # Panics
    /// If there are 2^32 - 1 shingles or more: a text may not be that long.
    pub fn load(&mut self, shingles: &mut Vec<u64>) {
        assert!(u32::try_from(shingles.len() + 1).is_ok(), "{} shingles", shingles.len());
        // A third full at most: chains of places in use are what makes a lookup slow.
        let places =
            if shingles.len() < LONG { 3 * shingles.len() } else { shingles.len() / 4 * 5 };
        let places = places.next_power_of_two();
        if self.table.len() < places {
            self.table = vec![0; places];
        } else {
            self.table[..places].fill(0);
        }
        self.mask = places - 1;
        let mut length = 0;
        for index in 0..shingles.len() {
            let shingle = shingles[index];
            let at = self.place(shingle, shingles);
            shingles[length] = shingle;
            if self.table[at] == 0 {
                length += 1;
                #[allow(clippy::cast_possible_truncation)] // there are fewer, see above
                let number = length as u32;
                self.table[at] = number;
            }
        }
        shingles.truncate(length);
    }

    /// Returns the Jaccard similarity of `own`, the list that was loaded, to `other`, distinct
    /// shingles in any order, if it is at least `threshold`.
    ///
    /// Sets that share nothing are never alike, whatever the threshold. Stops as soon as the
    /// threshold is out of reach.
    #[must_use]
    pub fn jaccard_at_least(
        &self,
        own: &[u64],
        other: &[u64],
        threshold: Threshold,
    ) -> Option<f64> {
        let least = threshold.least_common(own.len(), other.len());
        if least > own.len().min(other.len()) {
            return None;
        }
        let may_miss = other.len() - least;
        let (mut common, mut missed, mut at) = (0, 0, 0);
        while let Some(&element) = other.get(at) {
            let found = self.table[self.place(element, own)] as usize;
            if found == 0 {
                missed += 1;
                if missed > may_miss {
                    return None;
                }
                at += 1;
                continue;
            }
            let run = 1 + common_prefix(&own[found..], &other[at + 1..]);
            common += run;
            at += run;
        }
        Some(ratio(common, own.len() + other.len() - common))
    }

    /// Returns where the number of an element stands, or would.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // the lowest bits are what is asked for
    fn place(&self, element: u64, list: &[u64]) -> usize {
        let mut at = element as usize & self.mask;
        loop {
            let number = self.table[at] as usize;
            if number == 0 || list[number - 1] == element {
                return at;
            }
            at = (at + 1) & self.mask;
        }
    }
}

/// Lists of so many shingles have a table that is fuller: what it takes counts for more than what
/// it gains.
const LONG: usize = 1 << 20;

/// Returns how many elements two lists have in common from their beginning.
#[inline]
fn common_prefix(left: &[u64], right: &[u64]) -> usize {
    let (fours, other) = (left.as_chunks::<4>().0, right.as_chunks::<4>().0);
    let whole = 4 * fours.iter().zip(other).take_while(|(a, b)| a == b).count();
    let rest = left[whole..].iter().zip(&right[whole..]);
    whole + rest.take_while(|(a, b)| a == b).count()
}

#[allow(clippy::cast_precision_loss)] // a text has fewer than 2^53 shingles
fn ratio(common: usize, union: usize) -> f64 {
    common as f64 / union as f64
}

/// Returns the Jaccard similarity of two ascending sets if it is at least `least`, else `None`.
///
/// Two empty sets have nothing in common: `None`. Stops as soon as `least` is out of reach.
#[must_use]
pub fn jaccard_at_least(left: &[u64], right: &[u64], least: f64) -> Option<f64> {
    let (mut rest_left, mut rest_right, mut common) = (left, right, 0_usize);
    let total = left.len() + right.len();
    while let (Some(&a), Some(&b)) = (rest_left.first(), rest_right.first()) {
        // Even if all of the shorter rest were common, it would not be enough.
        let most = common + rest_left.len().min(rest_right.len());
        if ratio(most, total - most) < least {
            return None;
        }
        common += usize::from(a == b);
        rest_left = &rest_left[usize::from(a <= b)..];
        rest_right = &rest_right[usize::from(b <= a)..];
    }
    let jaccard = ratio(common, total - common);
    (common > 0 && jaccard >= least).then_some(jaccard)
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss)] // small counts
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn least(threshold: f64) -> Threshold {
        Threshold::new(threshold).unwrap()
    }

    #[test]
    fn a_threshold_is_the_fraction_that_is_written() {
        let written = |threshold: f64| {
            let Threshold { numerator, denominator } = least(threshold);
            (numerator, denominator)
        };
        assert_eq!(written(0.8), (8, 10));
        assert_eq!(written(1.0), (1, 1));
        assert_eq!(written(0.0), (0, 1));
        assert_eq!(written(0.725), (725, 1000));
        // Of 9 in all, 4 shared: 4 / 5. Of 10, 5 / 5 and not 4 / 6.
        assert_eq!(least(0.8).least_common(4, 5), 4);
        assert_eq!(least(0.8).least_common(5, 5), 5);
        assert_eq!(least(0.0).least_common(5, 5), 1);
        for refused in [-0.1, 1.01, f64::NAN, f64::INFINITY, 1e-19] {
            let error = Threshold::new(refused).unwrap_err().to_string();
            assert!(error.contains("expected a threshold from 0 to 1"), "{error}");
        }
    }

    #[test]
    fn a_probe_serves_lists_of_any_size_one_after_another() {
        let mut probe = Probe::new();
        probe.load(&mut vec![]);
        assert_eq!(probe.jaccard_at_least(&[], &[1], least(0.0)), None);
        for size in [1000, 3, 0, 1, 70_000, LONG as u64 + 3] {
            // Small ones meet in few places of the table; large ones would take quadratic time.
            let element = |value| match size {
                ..=1000 => (value << 40) | (value % 7),
                _ => super::super::shingle::mix_64(value),
            };
            let set: Vec<u64> = (1..=size).map(element).collect();
            let mut own = [&set[..], &set[..]].concat();
            probe.load(&mut own);
            assert_eq!(own, set);
            let expected = (size > 0).then_some(1.0);
            assert_eq!(probe.jaccard_at_least(&own, &set, least(1.0)), expected);
            assert_eq!(probe.jaccard_at_least(&own, &[u64::MAX], least(0.0)), None);
        }
        let mut repeated = vec![5, 3, 5, 5, 9, 3];
        probe.load(&mut repeated);
        assert_eq!(repeated, [5, 3, 9]);
        assert_eq!(probe.jaccard_at_least(&repeated, &[9, 4, 3], least(0.5)), Some(0.5));
        assert_eq!(probe.jaccard_at_least(&repeated, &[9, 4, 3], least(0.51)), None);
    }

    #[test]
    fn jaccard_is_exact_and_gives_up_below_the_least() {
        let (left, right) = ([1, 2, 3, 4, 5], [2, 3, 4, 5, 6]);
        assert_eq!(jaccard_at_least(&left, &right, 0.0), Some(4.0 / 6.0));
        assert_eq!(jaccard_at_least(&left, &right, 4.0 / 6.0), Some(4.0 / 6.0));
        assert_eq!(jaccard_at_least(&left, &right, 0.67), None);
        assert_eq!(jaccard_at_least(&left, &left, 1.0), Some(1.0));
        assert_eq!(jaccard_at_least(&[], &[], 0.0), None);
        assert_eq!(jaccard_at_least(&[1], &[2], 0.0), None);
    }

    proptest! {
        #[test]
        fn jaccard_equals_that_of_sets(
            left in prop::collection::vec(1_u64..300, 0..400),
            right in prop::collection::btree_set(1_u64..300, 0..200),
            hundredths in 0..=100_u32,
        ) {
            let threshold = f64::from(hundredths) / 100.0;
            let set: BTreeSet<u64> = left.iter().copied().collect();
            let common = set.intersection(&right).count();
            let union = set.union(&right).count();
            let reaches = common > 0 && 100 * common >= hundredths as usize * union;
            let expected = reaches.then(|| common as f64 / union as f64);
            let mut probe = Probe::new();
            let mut own = left.clone();
            probe.load(&mut own);
            prop_assert_eq!(own.len(), set.len());
            let backwards: Vec<u64> = right.iter().rev().copied().collect();
            prop_assert_eq!(probe.jaccard_at_least(&own, &backwards, least(threshold)), expected);
            let right: Vec<u64> = right.into_iter().collect();
            prop_assert_eq!(probe.jaccard_at_least(&own, &right, least(threshold)), expected);
            let set: Vec<u64> = set.into_iter().collect();
            probe.load(&mut set.clone());
            prop_assert_eq!(probe.jaccard_at_least(&set, &right, least(threshold)), expected);
            prop_assert_eq!(jaccard_at_least(&set, &right, threshold), expected);
        }
    }
}
