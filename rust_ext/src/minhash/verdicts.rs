//! What `connect` hands to `drop`: the records that are in a cluster, and what became of each.
//!
//! The file has rows ([`super::record_rows`]) and a [`Summary`] as JSON. A row:
//!
//! | offset | bytes | is |
//! |---|---|---|
//! | 0 | 8 | number of the record |
//! | 8 | 8 | number of the survivor |
//! | 16 | 8 | estimated similarity with the survivor, a float |
//! | 24 | 8 | true similarity with it, a float; not a number where it was not computed |
//! | 32 | 8 | 0 survivor, 1 exact, 2 near, 3 url |

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::record_rows::{Row, RowCursor, RowWriter, Rows};
use super::sections::{Kind as FileKind, number};
use crate::{Error, Result};

const ROW_BYTES: usize = 40;

const SUMMARY: usize = 1;

/// Why a record is in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Others fell to it.
    Survivor = 0,
    /// Its text equals that of a record before it in order.
    Exact = 1,
    /// Its text is similar to that of the survivor.
    Near = 2,
    /// Its address counts as that of a record before it in order.
    Url = 3,
}

impl Kind {
    /// Returns the kind of this number.
    pub(super) fn of(number: u64) -> Self {
        match number {
            0 => Self::Survivor,
            1 => Self::Exact,
            2 => Self::Near,
            _ => Self::Url,
        }
    }

    /// Returns the word for it in `clusters.parquet`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Survivor => "survivor",
            Self::Exact => "exact",
            Self::Near => "near",
            Self::Url => "url",
        }
    }
}

/// What became of a record that is in a cluster of two or more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The record.
    pub record: u64,
    /// The record of the cluster that stays.
    pub survivor: u64,
    /// Share of equal slots with the survivor.
    pub estimated: f64,
    /// True similarity with it, where it was computed.
    pub jaccard: Option<f64>,
    /// Why it is here.
    pub kind: Kind,
}

impl Row for Verdict {
    const KIND: FileKind = FileKind::Verdicts;
    type Bytes = [u8; ROW_BYTES];
    const ROOM: Self::Bytes = [0; ROW_BYTES];

    fn encode(&self) -> [u8; ROW_BYTES] {
        let jaccard = self.jaccard.unwrap_or(f64::NAN);
        let words = [
            self.record,
            self.survivor,
            self.estimated.to_bits(),
            jaccard.to_bits(),
            self.kind as u64,
        ];
        let mut row = [0; ROW_BYTES];
        for (to, word) in row.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *to = word.to_le_bytes();
        }
        row
    }

    fn decode(row: &[u8; ROW_BYTES]) -> Self {
        let jaccard = f64::from_bits(number(row, 24));
        Self {
            record: number(row, 0),
            survivor: number(row, 8),
            estimated: f64::from_bits(number(row, 16)),
            jaccard: (!jaccard.is_nan()).then_some(jaccard),
            kind: Kind::of(number(row, 32)),
        }
    }

    fn record(&self) -> u64 {
        self.record
    }
}

/// What a source loses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Its records, readable and with text.
    pub records: u64,
    /// Those that fall as exact duplicates.
    pub exact: u64,
    /// Those that fall as near-duplicates.
    pub near: u64,
    /// Of its records, those of agent data.
    pub agent_records: u64,
    /// Of these, those that fall, for either reason.
    pub agent_fallen: u64,
}

impl Loss {
    /// Adds what another part of the source loses.
    pub fn add(&mut self, other: Self) {
        self.records += other.records;
        self.exact += other.exact;
        self.near += other.near;
        self.agent_records += other.agent_records;
        self.agent_fallen += other.agent_fallen;
    }
}

/// Figures of the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// By source.
    pub sources: BTreeMap<String, Loss>,
    /// Buckets of more than 10,000 candidates.
    pub giant_buckets: u64,
    /// Candidates of the largest bucket.
    pub largest_bucket: u64,
    /// Survivors that took as many near-duplicates as they may.
    pub full_clusters: u64,
    /// Records with a number in the field that says which one stays, if one does.
    pub with_keep_number: u64,
}

/// Reads verdicts in order.
pub type VerdictCursor<'a> = RowCursor<'a, Verdict>;

/// Writes verdicts, ascending by record.
pub struct VerdictWriter {
    rows: RowWriter<Verdict>,
}

impl VerdictWriter {
    /// Begins the file that [`VerdictWriter::finish`] will put at `path`.
    ///
    /// # Errors
    /// `Io` when it cannot be created.
    pub fn create(path: &Path, fingerprint: u64) -> Result<Self> {
        Ok(Self { rows: RowWriter::create(path, fingerprint)? })
    }

    /// Appends a verdict.
    ///
    /// # Errors
    /// `Io` when the disk is full, for example.
    pub fn push(&mut self, verdict: &Verdict) -> Result<()> {
        self.rows.push(verdict)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// `Io` from writing, syncing or renaming.
    pub fn finish(self, summary: &Summary) -> Result<()> {
        let summary =
            serde_json::to_vec(summary).map_err(|error| Error::Argument(error.to_string()))?;
        self.rows.finish_with(&summary)
    }
}

/// A file of verdicts, open.
#[derive(Debug)]
pub struct Verdicts {
    rows: Rows<Verdict>,
}

impl Verdicts {
    /// Opens what [`VerdictWriter`] wrote.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged or of another run; `Io`.
    pub fn open(path: &Path, fingerprint: u64) -> Result<Self> {
        Ok(Self { rows: Rows::open(path, fingerprint)? })
    }

    /// Returns the number of verdicts.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.rows.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the figures of the run.
    ///
    /// # Errors
    /// `Corrupt` when they are damaged.
    pub fn summary(&self) -> Result<Summary> {
        let reader = self.rows.reader();
        let summary = reader.section(SUMMARY)?;
        serde_json::from_slice(&summary).map_err(|error| reader.corrupt(&error.to_string()))
    }

    /// Begins with the first verdict on a record of this number or a higher one.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged; `Io`.
    pub fn starting_at(&self, record: u64) -> Result<VerdictCursor<'_>> {
        self.rows.starting_at(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_read_back_from_any_record() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("verdicts");
        let kinds = [Kind::Survivor, Kind::Exact, Kind::Near];
        let verdicts: Vec<Verdict> = (0..30_000_u32)
            .map(|number| Verdict {
                record: u64::from(number) * 3 + 5,
                survivor: u64::from(number / 2),
                estimated: f64::from(number) / 30_000.0,
                jaccard: (number % 2 == 0).then_some(0.25),
                kind: kinds[number as usize % 3],
            })
            .collect();
        let mut writer = VerdictWriter::create(&path, 7).unwrap();
        for verdict in &verdicts {
            writer.push(verdict).unwrap();
        }
        let loss = Loss { records: 3, exact: 2, near: 1, agent_records: 2, agent_fallen: 1 };
        let summary = Summary {
            sources: BTreeMap::from([("web".to_owned(), loss)]),
            largest_bucket: 9,
            ..Summary::default()
        };
        writer.finish(&summary).unwrap();
        let found = Verdicts::open(&path, 7).unwrap();
        assert_eq!((found.len(), found.summary().unwrap()), (30_000, summary));
        for (record, index) in [(0, 0), (5, 0), (6, 1), (8, 1), (45_000, 14_999), (90_002, 29_999)]
        {
            let mut cursor = found.starting_at(record).unwrap();
            for verdict in &verdicts[index..] {
                assert_eq!(cursor.head(), Some(verdict));
                cursor.advance().unwrap();
            }
            assert_eq!(cursor.head(), None);
        }
        assert_eq!(found.starting_at(90_003).unwrap().head(), None);
        assert!(Verdicts::open(&path, 8).is_err());
    }
}
