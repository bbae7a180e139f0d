//! What `sign` hands on: a unit's entries, ids and signatures, and how they are read.
//!
//! Sections of `UUUUU.sign`, one entry for every line that is not blank:
//!
//! | section | is |
//! |---|---|
//! | 0 | entries of 40 bytes, see [`Entry`] |
//! | 1 | ids, a line each, zstd; empty where the line is no record |
//! | 2 | [`UnitSummary`] as JSON |
//! | 3 + b | band b: `rows_per_band` slots of 4 bytes for every entry |
//!
//! Signatures stand band by band, so that a band is found without reading the others. A unit takes
//! 40 bytes and 4 for each slot a record, here and in memory, and its ids compressed: 488 bytes
//! and about 10 with 112 slots.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Shape;
use super::sections::{Kind, Reader, number};
use crate::Result;
use crate::input::FileRead;

/// Bytes of an [`Entry`].
pub const ENTRY_BYTES: usize = 40;

const ENTRIES: usize = 0;
const IDS: usize = 1;
const SUMMARY: usize = 2;
const FIRST_BAND: usize = 3;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A record.
    Record = 0,
    /// A record without text, dropped.
    EmptyText = 1,
    /// Unreadable, in the rejected file.
    Rejected = 2,
}

/// What is kept of a line.
///
/// | offset | bytes | is |
/// |---|---|---|
/// | 0 | 16 | xxh3 (128 bits) of the text |
/// | 16 | 8 | xxh3 (64 bits) of the id |
/// | 24 | 8 | bytes of text |
/// | 32 | 4 | shingles, at most 2^32 - 1; 0: never a near-duplicate |
/// | 36 | 4 | status in the upper 2 bits, number of the share in the lower 30 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// xxh3 (128 bits) of the text.
    pub text_hash: u128,
    /// xxh3 (64 bits) of the id.
    pub id_hash: u64,
    /// Bytes of text.
    pub text_bytes: u64,
    /// Shingles, repetitions counted.
    pub shingles: u32,
    /// Index into [`UnitSummary::shares`].
    pub share: u32,
    /// What the line is.
    pub status: Status,
}

impl Entry {
    /// A line that is no record.
    pub(super) const NONE: Self = Self {
        text_hash: 0,
        id_hash: 0,
        text_bytes: 0,
        shingles: 0,
        share: 0,
        status: Status::Rejected,
    };

    /// Appends its 40 bytes.
    pub(super) fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.text_hash.to_le_bytes());
        to.extend_from_slice(&self.id_hash.to_le_bytes());
        to.extend_from_slice(&self.text_bytes.to_le_bytes());
        to.extend_from_slice(&self.shingles.to_le_bytes());
        to.extend_from_slice(&((self.status as u32) << 30 | self.share).to_le_bytes());
    }

    #[allow(clippy::cast_possible_truncation)] // two numbers of 32 bits in one word
    fn decode(bytes: &[u8]) -> Self {
        let last = number(bytes, 32);
        Self {
            text_hash: u128::from(number(bytes, 8)) << 64 | u128::from(number(bytes, 0)),
            id_hash: number(bytes, 16),
            text_bytes: number(bytes, 24),
            shingles: last as u32,
            share: (last >> 32) as u32 & 0x3fff_ffff,
            status: match last >> 62 {
                0 => Status::Record,
                1 => Status::EmptyText,
                _ => Status::Rejected,
            },
        }
    }
}

/// What is known of a unit beside its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitSummary {
    /// Its files, in order.
    pub files: Vec<FileRead>,
    /// Source and kind of its records; entries point here.
    pub shares: Vec<(String, String)>,
    /// Unreadable lines by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// A unit's file of signatures, open.
#[derive(Debug)]
pub struct SignedUnit {
    reader: Reader,
}

impl SignedUnit {
    /// Opens what [`super::sign::sign_unit`] wrote.
    ///
    /// # Errors
    /// `Io`, or `Corrupt` when it is damaged or of another run.
    pub fn open(path: &Path, fingerprint: u64) -> Result<Self> {
        Ok(Self { reader: Reader::open(path, Kind::Signatures, fingerprint)? })
    }

    /// Returns the number of its lines.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.reader.records()
    }

    /// Reads its entries.
    ///
    /// # Errors
    /// `Corrupt` when they are damaged.
    pub fn entries(&mut self) -> Result<Vec<Entry>> {
        let bytes = self.reader.section(ENTRIES)?;
        let entries: Vec<Entry> = bytes.chunks_exact(ENTRY_BYTES).map(Entry::decode).collect();
        self.sized(entries.len() as u64 == self.records(), entries)
    }

    /// Reads the slots of a band, 4 bytes each.
    ///
    /// # Errors
    /// `Corrupt` when they are damaged.
    pub fn band(&mut self, band: usize, rows_per_band: usize) -> Result<Vec<u8>> {
        let bytes = self.reader.section(FIRST_BAND + band)?;
        self.sized(bytes.len() as u64 == self.records() * rows_per_band as u64 * 4, bytes)
    }

    /// Reads all its slots.
    ///
    /// # Errors
    /// `Corrupt` when they are damaged.
    pub fn slots(&mut self, shape: &Shape) -> Result<Slots> {
        let bands = 0..shape.num_bands;
        let bands =
            bands.map(|band| self.band(band, shape.rows_per_band)).collect::<Result<_>>()?;
        Ok(Slots { bands, row_bytes: shape.rows_per_band * 4 })
    }

    /// Reads its ids, a line each.
    ///
    /// # Errors
    /// `Corrupt` when they are damaged.
    pub fn ids(&mut self) -> Result<String> {
        let bytes = self.reader.section(IDS)?;
        let ids = zstd::decode_all(&bytes[..]).ok().and_then(|ids| String::from_utf8(ids).ok());
        ids.ok_or_else(|| self.reader.corrupt("its ids cannot be decompressed"))
    }

    /// Reads what is known of it beside its entries.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged.
    pub fn summary(&mut self) -> Result<UnitSummary> {
        let bytes = self.reader.section(SUMMARY)?;
        serde_json::from_slice(&bytes).map_err(|error| self.reader.corrupt(&error.to_string()))
    }

    fn sized<T>(&self, is_right: bool, value: T) -> Result<T> {
        if is_right { Ok(value) } else { Err(self.reader.corrupt("a section has the wrong size")) }
    }
}

/// The signatures of a unit, band by band.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    bands: Vec<Vec<u8>>,
    row_bytes: usize,
}

impl Slots {
    /// Returns the signature of a line.
    #[must_use]
    pub fn row(&self, line: usize) -> Vec<u32> {
        let slots = |band: &'_ Vec<u8>| -> Vec<u32> {
            band[line * self.row_bytes..(line + 1) * self.row_bytes]
                .chunks_exact(4)
                .map(|slot| u32::from_le_bytes([slot[0], slot[1], slot[2], slot[3]]))
                .collect()
        };
        self.bands.iter().flat_map(slots).collect()
    }
}

/// Opens the signatures of all units.
///
/// # Errors
/// As [`SignedUnit::open`].
pub fn open_all(paths: &[PathBuf], fingerprint: u64) -> Result<Vec<SignedUnit>> {
    paths.iter().map(|path| SignedUnit::open(path, fingerprint)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back() {
        for (status, share) in
            [(Status::Record, 0), (Status::EmptyText, 0x3fff_ffff), (Status::Rejected, 5)]
        {
            let entry = Entry {
                text_hash: 0x0123_4567_89ab_cdef_0011_2233_4455_6677,
                id_hash: u64::MAX - 1,
                text_bytes: 1 << 40,
                shingles: u32::MAX,
                share,
                status,
            };
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            assert_eq!(bytes.len(), ENTRY_BYTES);
            assert_eq!(Entry::decode(&bytes), entry);
        }
    }
}
