//! Files to lines to fields: what every stage that reads records has in common.
//!
//! [`records`] opens a file of records of any format. [`source`] opens a file, plain, gzip or zstd, and hashes the stored bytes as they pass;
//! [`lines`] cuts what comes out into batches of whole lines; [`fields`] takes the fields that are
//! needed out of a line and says what is wrong with one that cannot be read; [`rejected`] writes
//! down such a line. `parquet_rows` makes lines of the rows of a Parquet file.

mod escape;
pub mod fields;
pub mod lines;
mod parquet_column;
mod parquet_rows;
pub mod records;
pub(crate) mod rejected;
pub mod source;

pub use fields::{Fields, Unreadable};
pub use lines::{Batch, Batches};
pub use parquet_rows::ParquetRows;
pub use records::{Columns, Records};
pub use source::{Compression, InputFile, Source, SourceSummary};
