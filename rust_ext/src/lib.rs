//! The core of Hephaestus Forge: everything that loops over bytes, hashes or tokens.
//!
//! A record's way through it: [`input`] decompresses files and cuts them into lines,
//! [`minhash`] finds near-duplicates among the texts, [`tokenizer`] turns a text into ids, [`tokenize`] runs it over files,
//! [`indexed`] writes the ids as a Megatron dataset, [`output`] puts files down whole. Only `python` names `PyO3`, and only the
//! feature of that name compiles it.

pub mod chat;
pub mod common_form;
pub mod control;
pub mod cuts;
pub mod error;
pub mod external_sort;
pub mod heap;
pub mod indexed;
pub mod input;
mod large_pages;
pub mod minhash;
pub mod native_json;
pub mod output;
pub mod pieces;
pub mod pipeline;
pub mod pool;
pub mod row_file;
pub mod row_table;
pub mod simd;
pub mod substring;
pub mod tokenize;
pub mod tokenizer;

#[cfg(feature = "python")]
mod python;

pub use error::{Error, Result};
