//! Grows choices of the grammar that reach new code, and compares ids on the texts they make.
//!
//! `FUZZ_TOKENIZERS` lists `tokenizer.json` files to compare on besides the small built-in ones.

#![no_main]

#[path = "../../tests/differential/mod.rs"]
mod differential;

use std::cell::RefCell;
use std::sync::LazyLock;

use _rust_ext::tokenizer::Encoder;
use arbitrary::Unstructured;
use differential::grammar::{Choices, text};
use differential::pairs::{self, Pair};
use libfuzzer_sys::fuzz_target;

struct Grown<'a>(Unstructured<'a>);

impl Choices for Grown<'_> {
    fn below(&mut self, bound: usize) -> usize {
        self.0.choose_index(bound).unwrap_or(0)
    }

    fn is_spent(&self) -> bool {
        self.0.is_empty()
    }
}

static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(pairs::all);

thread_local! {
    /// Kept between runs, so that what one text leaves in a cache meets the next.
    static ENCODERS: RefCell<Vec<Encoder<'static>>> =
        RefCell::new(PAIRS.iter().map(Pair::encoder).collect());
}

fuzz_target!(|data: &[u8]| {
    let text = text(&mut Grown(Unstructured::new(data)));
    ENCODERS.with_borrow_mut(|encoders| {
        for (pair, encoder) in PAIRS.iter().zip(encoders) {
            pair.compare(&text, encoder);
        }
    });
});
