//! Files to lines to fields: what every stage that reads records has in common.
//!
//! [`source`] opens a file, plain, gzip or zstd, and hashes the stored bytes as they pass;
//! [`lines`] cuts what comes out into batches of whole lines, [`unit`] does so for file after file;
//! [`fields`] takes the fields that are needed out of a line and says what is wrong with one that
//! cannot be read; [`rejected`] writes down such a line; [`shares`] numbers the pairs of source and
//! kind that records have.

pub mod fields;
mod json;
pub mod lines;
pub(crate) mod rejected;
pub(crate) mod shares;
pub mod source;
pub mod unit;

pub use fields::{Fields, Scratch, Unreadable};
pub use lines::{Batch, Batches};
pub use source::{Compression, InputFile, Source, SourceSummary};
pub use unit::{FileRead, Job, Position, UnitReader};
