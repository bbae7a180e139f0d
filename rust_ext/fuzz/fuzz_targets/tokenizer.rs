//! Grows choices of the grammar that reach new code, and compares ids on the texts they make.
//!
//! `FUZZ_TOKENIZERS` lists `tokenizer.json` files to compare on besides the small built-in ones.

#![no_main]

#[path = "../../tests/differential/mod.rs"]
mod differential;

use std::cell::RefCell;

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

thread_local! {
    static PAIRS: RefCell<Vec<(Pair, Encoder<'static>)>> = RefCell::new(
        pairs::all().into_iter().map(|pair| { let encoder = pair.encoder(); (pair, encoder) }).collect()
    );
}

fuzz_target!(|data: &[u8]| {
    let text = text(&mut Grown(Unstructured::new(data)));
    PAIRS.with_borrow_mut(|pairs| {
        for (pair, encoder) in pairs {
            pair.compare(&text, encoder);
        }
    });
});
