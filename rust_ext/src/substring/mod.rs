//! Runs of bytes that stand in the texts more than once: the first occurrence stays.
//!
//! A *window* is a run of `min_bytes` bytes within one text. If the first window equal to it, in
//! the order in which records are kept, ends before it begins, the characters that lie whole in it
//! are cut. So whatever repeats for `min_bytes` or more stays once, where it stands first, and is
//! cut everywhere else, at the borders of characters; nothing reaches from one text into another.
//! Each cut names a place where the same bytes stay.
//!
//! All texts lie in memory, in one buffer (`texts`), and a suffix array over them (`suffixes`):
//! [`memory_needed`] says how much that is, and what would need more is refused. Time is linear. One
//! machine does it, and all but the suffix array on all its cores.
//!
//! Source: Lee et al., "Deduplicating Training Data Makes Language Models Better" (2022), whose
//! `ExactSubstr` it is, but for the rule which occurrence stays.

mod cuts;
mod read;
mod segments;
mod suffixes;
mod texts;
mod windows;

use std::path::PathBuf;

use self::texts::{RECORD_BYTES, Texts};
use crate::control::Control;
use crate::cuts::file::CutWriter;
use crate::input::InputFile;
use crate::minhash::unit_file::open_all;
use crate::{Error, Result};

/// The shortest repeat that may be asked for: no character is longer.
pub const LEAST_BYTES: usize = 4;

/// Bytes of memory for each byte of text, where positions have 32 bits: the text, its suffix array,
/// an eighth of that again, a bit, and what is found.
const NARROW_BYTES: u64 = 6;

/// The same where they have 64.
const WIDE_BYTES: u64 = 11;

/// What the step works on.
#[derive(Clone, Debug)]
pub struct Options {
    /// Fewest bytes of a repeat.
    pub min_bytes: usize,
    /// Marks the files of this run.
    pub fingerprint: u64,
    /// What `sign` wrote of all units.
    pub signatures: Vec<PathBuf>,
    /// The verdicts on records of equal text.
    pub verdicts: PathBuf,
    /// The file of cuts to write.
    pub output: PathBuf,
    /// Threads that read and compare.
    pub workers: usize,
    /// Bytes of memory that it may take.
    pub memory_bytes: usize,
}

/// Returns the bytes of memory that so many bytes of text in so many records take.
#[must_use]
pub fn memory_needed(text_bytes: u64, records: u64) -> u64 {
    let buffer_bytes = text_bytes.saturating_add(records);
    let is_narrow = i32::try_from(buffer_bytes).is_ok();
    let a_byte = if is_narrow { NARROW_BYTES } else { WIDE_BYTES };
    buffer_bytes.saturating_mul(a_byte).saturating_add(records.saturating_mul(RECORD_BYTES))
}

/// Writes what is to be cut out of the records of all units.
///
/// # Errors
/// `Argument` where the texts take more memory than there is, or a repeat is to be shorter than
/// [`LEAST_BYTES`]; `Corrupt` when an intermediate file is damaged or of another run, or an input
/// has changed since it was signed; `Io`; `Interrupted`.
pub fn find_cuts(files: &[Vec<InputFile>], options: &Options, control: &Control) -> Result<()> {
    if options.min_bytes < LEAST_BYTES {
        let found = options.min_bytes;
        let message = format!("min_bytes ({found}) must be at least {LEAST_BYTES}");
        return Err(Error::Argument(message));
    }
    let units = open_all(&options.signatures, options.fingerprint)?;
    let members = read::members(&units, options)?;
    let mut texts = Texts::with_room(&members);
    drop(members);
    read::read_texts(files, &units, &mut texts, options, control)?;
    let mut writer = CutWriter::create(&options.output, options.fingerprint)?;
    cuts::each_cut(&texts, options.min_bytes, options.workers, control, |cut| writer.push(&cut))?;
    writer.finish()
}

/// Refuses texts that take more memory than there is.
///
/// # Errors
/// `Argument` naming both.
pub fn check_memory(text_bytes: u64, records: u64, memory_bytes: u64) -> Result<()> {
    if u32::try_from(records).is_err() {
        return Err(Error::Argument(format!(
            "--scope substring: expected at most {} records, got {records}; give fewer at a time",
            u32::MAX
        )));
    }
    let needed = memory_needed(text_bytes, records);
    if needed <= memory_bytes {
        return Ok(());
    }
    // A directory that was begun with less than any record may take goes on with as much alone.
    Err(Error::Argument(format!(
        "--scope substring: expected --memory of {needed} bytes at least for {text_bytes} bytes of \
         text in {records} records, which lie in it all at once, got {memory_bytes}; give as much \
         and a new directory, or give fewer records at a time"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_six_bytes_a_byte_up_to_two_gib() {
        assert_eq!(memory_needed(1_000, 1), 1_001 * 6 + RECORD_BYTES);
        assert_eq!(memory_needed((1 << 31) - 2, 1), ((1 << 31) - 1) * 6 + RECORD_BYTES);
        assert_eq!(memory_needed((1 << 31) - 1, 1), (1 << 31) * 11 + RECORD_BYTES);
        assert_eq!(memory_needed(u64::MAX, 9), u64::MAX);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        assert!(check_memory(1_000, 1, 7_000).is_ok());
        let error = check_memory(1_000, 1, 6_000).unwrap_err().to_string();
        assert_eq!(
            error,
            "--scope substring: expected --memory of 6066 bytes at least for 1000 bytes of text in \
             1 records, which lie in it all at once, got 6000; give as much and a new directory, or \
             give fewer records at a time"
        );
        let error = check_memory(1 << 33, 1 << 32, u64::MAX).unwrap_err().to_string();
        let expected = "expected at most 4294967295 records, got 4294967296; give fewer at a time";
        assert!(error.ends_with(expected), "{error}");
    }
}
