//! Lines and paragraphs.

pub mod split;
