//! Which of several records that are alike stays: the one with the smallest key, then the first.
//!
//! A rule is a priority of sources, or an order, or the one and then the other:
//!
//! | rule | the record that stays |
//! |---|---|
//! | `first` | the first of the input |
//! | `longest` | with the most bytes of text |
//! | `highest:FIELD`, `lowest:FIELD` | with the highest or lowest number there |
//! | `source:A,B` | of source A, else of B, else of any other |
//!
//! FIELD is looked for at the top level of the record, then in its `meta`; a record without a
//! number there comes last. A key has 64 bits. Alone, an order has all of them and is exact. Behind
//! a priority of sources, which takes the upper 8, it has 56: exact for lengths, 13 digits of a
//! number.

use crate::input::numbers::number_of;
use crate::{Error, Result};

/// Most sources that a priority names: the others come behind them, all in one place.
const MOST_SOURCES: usize = 255;

/// The order of records that are alike, sources aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As they come.
    #[default]
    First,
    /// The longest text first.
    Longest,
    /// The highest number of a field first.
    Highest(String),
    /// The lowest number of a field first.
    Lowest(String),
}

/// Which of several records that are alike stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    sources: Vec<String>,
    order: Order,
}

impl Keep {
    /// Reads rules as they are written above.
    ///
    /// # Errors
    /// `Argument` naming the rule that is none, or is one too many.
    pub fn parse(rules: &[String]) -> Result<Self> {
        let mut keep = Self::default();
        let mut given: [Option<&str>; 2] = [None; 2];
        for rule in rules {
            let (name, value) = rule.split_once(':').unwrap_or((rule, ""));
            let is_source = name == "source";
            match (name, value) {
                ("first", "") => keep.order = Order::First,
                ("longest", "") => keep.order = Order::Longest,
                ("highest", field) if !field.is_empty() => {
                    keep.order = Order::Highest(field.to_owned());
                }
                ("lowest", field) if !field.is_empty() => {
                    keep.order = Order::Lowest(field.to_owned());
                }
                ("source", sources) => keep.sources = names(sources)?,
                _ => {
                    return Err(Error::Argument(format!(
                        "expected --keep as first, longest, highest:FIELD, lowest:FIELD or \
                         source:A,B, got {rule:?}"
                    )));
                }
            }
            let before = given[usize::from(is_source)].replace(rule);
            // Sources behind an order would decide nothing, or be decided by it unseen.
            let before = before.or(given[0].filter(|_| is_source));
            if let Some(before) = before {
                return Err(Error::Argument(format!(
                    "expected --keep once as source:A,B, then once as an order, got {rule:?} \
                     after {before:?}"
                )));
            }
        }
        Ok(keep)
    }

    /// Returns whether every key is 0.
    #[must_use]
    pub fn is_first(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the field whose number decides, if one does.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match &self.order {
            Order::Highest(field) | Order::Lowest(field) => Some(field),
            Order::First | Order::Longest => None,
        }
    }

    /// Returns whether the record of this key has a number in the field that decides.
    #[must_use]
    pub fn has_number(&self, key: u64) -> bool {
        let none = if self.sources.is_empty() { u64::MAX } else { u64::MAX >> 8 };
        self.field().is_some() && key & none != none
    }

    /// Returns the key of a record: `line` is its JSON, which has been read before.
    #[must_use]
    pub fn key(&self, line: &[u8], source: &str, text_bytes: u64) -> u64 {
        let order = match &self.order {
            Order::First => 0,
            Order::Longest => u64::MAX - text_bytes,
            Order::Highest(field) => number_of(line, field).map_or(u64::MAX, |n| !ascending(n)),
            Order::Lowest(field) => number_of(line, field).map_or(u64::MAX, ascending),
        };
        if self.sources.is_empty() {
            return order;
        }
        let rank = self.sources.iter().position(|each| each == source);
        let rank = rank.unwrap_or(self.sources.len()) as u64;
        // No text has 2^56 bytes: what is cut off of a length is what all lengths have.
        let order = if self.order == Order::Longest { order << 8 } else { order };
        rank << 56 | order >> 8
    }
}

/// Returns the sources of a priority, none of them twice.
fn names(sources: &str) -> Result<Vec<String>> {
    let names: Vec<String> = sources.split(',').map(str::to_owned).collect();
    let is_twice = |at: usize| names[..at].contains(&names[at]);
    if names.len() > MOST_SOURCES || names.iter().any(String::is_empty) {
        return Err(Error::Argument(format!(
            "expected --keep source:A,B with one to {MOST_SOURCES} names, got source:{sources}"
        )));
    }
    if let Some(at) = (0..names.len()).find(|&at| is_twice(at)) {
        let name = &names[at];
        return Err(Error::Argument(format!("expected --keep source:A,B with {name} once")));
    }
    Ok(names)
}

/// Returns a number that orders as `value` does among integers; it is never the largest one.
fn ascending(value: f64) -> u64 {
    // Minus zero and zero are the same number.
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keep(rules: &[&str]) -> Keep {
        Keep::parse(&rules.iter().map(|&rule| rule.to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn refused(rules: &[&str]) -> String {
        let rules: Vec<String> = rules.iter().map(|&rule| rule.to_owned()).collect();
        Keep::parse(&rules).unwrap_err().to_string()
    }

    #[test]
    fn each_rule_orders_as_it_says() {
        let line = |score: &str| format!("{{\"text\": \"a\", \"meta\": {{\"score\": {score}}}}}");
        let key = |rules: &[&str], score: &str, source: &str, bytes| {
            keep(rules).key(line(score).as_bytes(), source, bytes)
        };
        assert_eq!(key(&["first"], "1", "a", 9), 0);
        assert_eq!(key(&[], "1", "a", 9), 0);
        assert!(key(&["longest"], "1", "a", 9) < key(&["longest"], "1", "a", 8));
        for (rule, better, worse) in [
            ("highest:score", "2", "1.5"),
            ("highest:score", "0", "-1e300"),
            ("highest:score", "-1e300", "null"),
            ("highest:score", "-5", "\"9\""),
            ("lowest:score", "-3", "-2"),
            ("lowest:score", "1e308", "true"),
            ("lowest:score", "-0.0", "1e-320"),
        ] {
            for rules in [&[rule][..], &["source:x", rule]] {
                assert!(key(rules, better, "a", 1) < key(rules, worse, "a", 1), "{rule} {better}");
            }
        }
        assert_eq!(key(&["lowest:score"], "-0.0", "a", 1), key(&["lowest:score"], "0", "a", 1));
        assert_eq!(key(&["highest:score"], "null", "a", 1), u64::MAX);
        let rules = ["source:agent,code", "longest"];
        assert!(key(&rules, "1", "agent", 1) < key(&rules, "1", "code", 1_000_000));
        assert!(key(&rules, "1", "code", 1) < key(&rules, "1", "web", 1_000_000));
        assert!(key(&rules, "1", "web", 6) < key(&rules, "1", "other", 5));
        assert_eq!(key(&["source:a"], "1", "web", 6), key(&["source:a"], "1", "b", 7));
    }

    #[test]
    fn what_is_no_rule_or_one_too_many_is_named() {
        assert!(refused(&["best"]).contains("expected --keep as first, longest"));
        assert!(refused(&["highest:"]).contains("got \"highest:\""));
        assert!(refused(&["longest:x"]).contains("got \"longest:x\""));
        assert!(refused(&["longest", "first"]).contains("got \"first\" after \"longest\""));
        assert!(refused(&["longest", "source:a"]).contains("got \"source:a\" after \"longest\""));
        assert!(refused(&["source:a", "source:b"]).contains("after \"source:a\""));
        assert!(refused(&["source:a,,b"]).contains("one to 255 names"));
        assert!(refused(&["source:a,b,a"]).contains("with a once"));
        assert!(keep(&["first"]).is_first() && !keep(&["source:a"]).is_first());
    }

    proptest! {
        #[test]
        fn numbers_order_as_their_keys(left in any::<f64>(), right in any::<f64>()) {
            prop_assume!(left.is_finite() && right.is_finite());
            prop_assert_eq!(
                left.partial_cmp(&right).unwrap(),
                ascending(left).cmp(&ascending(right)),
            );
            prop_assert!(!ascending(left) < u64::MAX && ascending(left) < u64::MAX);
        }
    }
}
