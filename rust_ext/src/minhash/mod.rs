//! Near-duplicates among records: sign, bands, connect, drop.
//!
//! A text becomes a set of hashes, one for every run of a few consecutive words ([`shingle`]).
//! The smallest of them under many hash functions are its signature ([`signature`]), which is
//! stored beside the id and the hash of the text ([`sign`], [`unit_file`]). Records whose signatures agree in a
//! whole band of slots fall into one bucket ([`bands`]). Within the buckets it is decided which
//! record falls to which survivor ([`cluster`]), by the true Jaccard similarity of the texts, read
//! once more, unless that is waived ([`connect`]). What survives is written, line by line as it
//! was ([`drop`]).
//!
//! The steps meet in files only ([`sections`]), so each can be a job of its own. Records are
//! numbered through all units in the order of the input, unreadable lines included: a record's
//! number never depends on who worked on it.
//!
//! Source: Broder, "On the resemblance and containment of documents" (1997); Leskovec, Rajaraman
//! and Ullman, "Mining of Massive Datasets", chapter 3.

pub mod bands;
pub mod cluster;
pub mod connect;
pub mod datasketch;
pub mod drop;
pub mod normalise;
pub mod sections;
pub mod shingle;
pub mod sign;
pub mod signature;
pub mod unit_file;
pub mod url_key;
pub mod verdicts;

use crate::{Error, Result};

/// What each line weighs in flight, however short: a signature of 112 slots, its entry and its id.
const LINE_WEIGHT: usize = 640;

/// What makes two texts alike: how they are cut, and which bands their signatures have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Words of a shingle.
    pub ngram_size: usize,
    /// Bands of a signature.
    pub num_bands: usize,
    /// Slots of a band.
    pub rows_per_band: usize,
    /// Chooses the permutations.
    pub seed: u64,
}

impl Shape {
    /// Returns the number of slots of a signature.
    #[must_use]
    pub fn num_permutations(&self) -> usize {
        self.num_bands * self.rows_per_band
    }

    /// Returns the shape if it can work.
    ///
    /// # Errors
    /// `Argument` naming the number that is out of its range.
    pub fn checked(self) -> Result<Self> {
        let ranges = [
            ("ngram_size", self.ngram_size, 1_000),
            ("num_bands", self.num_bands, 10_000),
            ("rows_per_band", self.rows_per_band, 10_000),
        ];
        for (name, value, most) in ranges {
            if !(1..=most).contains(&value) {
                return Err(Error::Argument(format!(
                    "{name} ({value}) must be between 1 and {most}"
                )));
            }
        }
        Ok(self)
    }
}
