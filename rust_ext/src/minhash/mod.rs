//! Near-duplicates among records: sign, bands, connect, drop.
//!
//! A text becomes the hashes of its words ([`words`]), and these a set of hashes, one for every run
//! of a few consecutive words ([`shingle`]).
//! The smallest of them under many hash functions are its signature ([`signature`]). Kept are the
//! words, a hash of each band of the signature, the id and the hash of the text ([`sign`],
//! [`unit_file`]). Records whose signatures agree in a whole band fall into one bucket ([`bands`]).
//! Within the buckets it is decided which record falls to which survivor ([`connect`]), by the true
//! Jaccard similarity of the texts ([`jaccard`]), unless that is waived; [`keep`] says which of
//! them stays. What survives is written, line by line as it was ([`drop`]), and a table says what
//! fell ([`clusters_parquet`]).
//!
//! The steps meet in files only ([`sections`]), so each can be a job of its own. Records are
//! numbered through all units in the order of the input, unreadable lines included: a record's
//! number never depends on who worked on it.
//!
//! Source: Broder, "On the resemblance and containment of documents" (1997); Leskovec, Rajaraman
//! and Ullman, "Mining of Massive Datasets", chapter 3.

pub mod bands;
mod board;
pub mod clusters_parquet;
pub mod connect;
mod copies;
mod corpus;
mod cut_lines;
pub mod datasketch;
mod decide;
pub mod drop;
mod edges;
mod entry;
mod grouping;
pub mod groups;
pub mod jaccard;
pub mod keep;
mod keys;
pub(crate) mod known_ids;
mod line_reader;
mod link;
mod minima;
pub mod normalise;
pub mod open_files;
mod places;
pub mod record_rows;
pub mod sections;
mod sets;
pub mod shingle;
pub mod sign;
pub mod signature;
pub(crate) mod signed_corpus;
mod stars;
mod stored_words;
pub mod stream;
mod survivors;
pub mod text_key;
mod twins;
pub mod unit_file;
mod unit_writer;
pub mod url_key;
pub mod verdicts;
pub mod words;

use crate::{Error, Result};

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
