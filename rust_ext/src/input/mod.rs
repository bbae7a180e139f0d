//! Files to lines to fields: what every stage that reads records has in common.
//!
//! [`records`] opens a file of any format: `parquet_rows` makes lines of the rows of a Parquet
//! file, `json_records` of the records of a `.json` file, `warc` of the texts of a WET file; for the others [`source`] opens it, plain, gzip or zstd, and hashes the stored bytes as
//! they pass, and [`lines`] cuts what comes out into batches of whole lines. [`unit`] does so for
//! file after file; [`fields`] takes the fields that are needed out of a line and says what is
//! wrong with one that cannot be read, [`span_fields`] those of a record in spans,
//! [`conversation_fields`] those of one whose messages a template renders, [`own_content`]
//! what a conversation is known by, [`numbers`] a number that a user named, `member` what few
//! stages ask of a record; [`lookup`] finds records by their ids; [`rejected`] writes down an
//! unreadable line, `cut_text` one with parts of its text left out; [`shares`] numbers the pairs of
//! source and kind that records have.

pub mod conversation_fields;
pub(crate) mod cut_text;
mod escape;
pub mod fields;
mod guarded;
mod gzip;
pub(crate) mod json;
mod json_records;
pub mod lines;
pub mod lookup;
pub(crate) mod member;
pub(crate) mod numbers;
pub mod own_content;
mod parquet_column;
mod parquet_rows;
mod parquet_schema;
pub mod records;
pub(crate) mod rejected;
pub(crate) mod shares;
pub mod source;
pub mod span_fields;
pub(crate) mod unescape;
pub mod unit;
mod warc;

pub use fields::{Fields, Scratch, Unreadable};
pub use json_records::JsonRecords;
pub use lines::{Batch, Batches};
pub use own_content::OwnContent;
pub use parquet_rows::ParquetRows;
pub use records::{Columns, Records};
pub use source::{Compression, InputFile, Source, SourceSummary};
pub use unit::{FileRead, Job, Position, UnitReader};
pub use warc::WetTexts;
