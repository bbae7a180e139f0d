//! Megatron's indexed dataset, byte for byte: `PREFIX.bin` and `PREFIX.idx`.
//!
//! `.bin` holds the tokens of all sequences back to back. `.idx`, little endian, unpadded, for S
//! sequences and D document boundaries (documents + 1):
//!
//! | offset       | bytes | content                                                    |
//! |--------------|-------|------------------------------------------------------------|
//! | 0            | 9     | `MMIDIDX\0\0`                                              |
//! | 9            | 8     | u64 version, 1                                             |
//! | 17           | 1     | dtype code, see [`Dtype`]                                  |
//! | 18           | 8     | u64 S                                                      |
//! | 26           | 8     | u64 D                                                      |
//! | 34           | 4 S   | i32 sequence lengths in tokens                             |
//! | 34 + 4 S     | 8 S   | i64 sequence pointers: byte offsets in `.bin`              |
//! | 34 + 12 S    | 8 D   | i64 document indices: sequence numbers, the first is 0     |
//!
//! Source: `megatron/core/datasets/indexed_dataset.py` of Megatron-Core 0.19.2.

mod audit;
mod dtype;
mod elements;
mod kernel_copy;
mod merge;
mod reader;
mod writer;

pub use audit::{Audit, Rules};
pub use dtype::Dtype;
pub use merge::{Merged, Part, merge};
pub use reader::Reader;
pub use writer::{Writer, Written};

#[cfg(feature = "python")]
pub(crate) use reader::with_suffix;
#[cfg(feature = "python")]
pub(crate) use writer::write_index;

/// The first bytes of every index.
pub(crate) const MAGIC: &[u8; 9] = b"MMIDIDX\0\0";
/// The only version there is.
pub(crate) const VERSION: u64 = 1;
/// Where the sequence lengths begin.
pub(crate) const HEADER_BYTES: u64 = 34;
