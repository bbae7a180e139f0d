//! Files to lines to fields: what every stage that reads records has in common.
//!
//! [`source`] opens a file, plain, gzip or zstd, and hashes the stored bytes as they pass;
//! [`lines`] cuts what comes out into batches of whole lines; [`fields`] takes the fields that are
//! needed out of a line and says what is wrong with one that cannot be read; [`rejected`] writes
//! down such a line.

pub mod fields;
pub mod lines;
pub(crate) mod rejected;
pub mod source;

pub use fields::{Fields, Unreadable};
pub use lines::{Batch, Batches};
pub use source::{Compression, InputFile, Source, SourceSummary};
