//! Suffix arrays, by libsais: linear time, no memory but the array in all but odd cases.
//!
//! Source: Nong, Zhang and Chan, "Two Efficient Algorithms for Linear Time Suffix Array
//! Construction" (2011), as Grebnov's libsais implements it.

use libsais::SuffixArrayConstruction;

use crate::{Error, Result};

/// A position in a text, as small as the text allows.
pub(super) trait Position: Copy + Ord + Send + Sync {
    /// No position.
    const NONE: Self;

    /// Returns it as an index.
    fn index(self) -> usize;

    /// Returns where the suffixes of a text begin, in the order of the suffixes.
    fn sort_suffixes(text: &[u8]) -> Result<Vec<Self>>;
}

impl Position for i32 {
    const NONE: Self = -1;

    fn index(self) -> usize {
        self.cast_unsigned() as usize
    }

    fn sort_suffixes(text: &[u8]) -> Result<Vec<Self>> {
        let sorted = SuffixArrayConstruction::for_text(text).in_owned_buffer32();
        Ok(sorted.single_threaded().run().map_err(failed)?.into_vec())
    }
}

impl Position for i64 {
    const NONE: Self = -1;

    fn index(self) -> usize {
        usize::try_from(self).unwrap_or(usize::MAX)
    }

    fn sort_suffixes(text: &[u8]) -> Result<Vec<Self>> {
        let sorted = SuffixArrayConstruction::for_text(text).in_owned_buffer64();
        Ok(sorted.single_threaded().run().map_err(failed)?.into_vec())
    }
}

#[allow(clippy::needless_pass_by_value)] // the shape that map_err asks for
fn failed(error: libsais::LibsaisError) -> Error {
    Error::Argument(format!(
        "expected a suffix array of the texts, found {error:?}; give --scope substring more memory"
    ))
}
