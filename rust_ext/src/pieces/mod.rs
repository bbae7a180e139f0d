//! Lines and paragraphs that several records have: the first in order stays, the others are cut.
//!
//! A piece of a text ([`split`]) is compared by the hash of its normal form
//! ([`crate::minhash::normalise`]). What `sign` finds stands beside what it finds of the records
//! ([`rows`], [`sign`]); `bands` sorts it by hash and finds what is to be cut ([`group`]).
//!
//! Of two occurrences of a piece the first in the order of keep key, record and place stays. So a
//! piece never goes from a record unless one before it in that order keeps it.

pub mod group;
pub mod rows;
pub mod sign;
pub mod split;
