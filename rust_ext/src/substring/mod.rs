//! Runs of bytes that stand in the texts more than once: the first occurrence stays.
//!
//! A *window* is a run of `length` bytes within one text. If the first window equal to it, in the
//! order in which records are kept, ends before it begins, the characters that lie whole in it are
//! cut. So whatever repeats for `length` bytes or more stays once, where it stands first, and is
//! cut everywhere else, at the borders of characters; nothing reaches from one text into another.
//!
//! All texts lie in memory, in one buffer ([`texts`]), with the suffix array over them
//! ([`suffixes`]): 6 bytes a byte of text up to 2 GiB of it, 11 beyond, and some more a record
//! ([`memory_needed`]). Time is linear. One machine does it.
//!
//! Source: Lee et al., "Deduplicating Training Data Makes Language Models Better" (2022), whose
//! `ExactSubstr` it is, but for the rule which occurrence stays.

mod cuts;
mod segments;
mod suffixes;
mod texts;
mod windows;
