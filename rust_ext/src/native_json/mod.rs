//! Files of JSON, however they are laid out, cut into their native records and checked.
//!
//! A file is an array of records, lines of them, values one behind the other, or one record.
//! [`splitter`] finds where each begins and ends, and holds one at a time; `array` knows what stands
//! between elements. `checker` holds a record against the grammar on the way, strictly: what
//! Python's parsers let pass, or pass over in silence, is a [`Fault`] with a name. Behind a broken
//! record reading goes on where the next one certainly begins (`broken`, `recovery`); else the rest
//! of the file is one rejected record, so that nothing is lost. `layout` knows a file by its first
//! bytes, `window` reads it, plain or compressed.

mod array;
mod broken;
mod checker;
mod ending;
mod fault;
mod keys;
mod layout;
mod nesting;
mod number;
mod recovery;
pub mod splitter;
#[cfg(test)]
mod tests;
mod window;

pub use checker::fault_of;
pub use fault::Fault;
pub use splitter::{Native, Splitter};
