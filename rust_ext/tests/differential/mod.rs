//! Our encoder against the `tokenizers` crate on texts of a grammar; shared by a test with a seed
//! and by the fuzz target of `rust_ext/fuzz`.

pub(crate) mod grammar;
pub(crate) mod pairs;
