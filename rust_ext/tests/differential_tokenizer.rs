//! Ids equal to those of the `tokenizers` crate on texts of a grammar, a fixed number by a seed.
//!
//! `FUZZ_CASES` asks for more texts, `FUZZ_SEED` for others, `FUZZ_TOKENIZERS` for real files.

mod differential;

use differential::grammar::{Seeded, text};
use differential::pairs;

const CASES: u64 = 2_000;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{variable}: {value:?} is no number")),
        Err(_) => default,
    }
}

#[test]
fn ids_of_texts_of_the_grammar_equal_those_of_the_reference() {
    let (cases, seed) = (number("FUZZ_CASES", CASES), number("FUZZ_SEED", 1));
    for pair in pairs::all() {
        let mut choices = Seeded(seed);
        let mut encoder = pair.encoder();
        let ids: usize = (0..cases).map(|_| pair.compare(&text(&mut choices), &mut encoder)).sum();
        assert!(ids as u64 > cases * 20, "only {ids} ids were compared");
    }
}
