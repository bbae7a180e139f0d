//! What `connect` hands to `drop`: the records that are in a cluster, and what became of each.
//!
//! The file is one stream ([`super::stream`]) of rows, ascending by record, and a [`Summary`] as
//! JSON. A row:
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

use super::sections::{Kind as FileKind, Reader, Writer, number};
use super::stream::{StreamReader, StreamWriter};
use crate::{Error, Result};

const ROW_BYTES: usize = 40;

const ROWS: usize = 0;
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

impl Verdict {
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

/// Writes verdicts, ascending by record.
pub struct VerdictWriter {
    file: Writer,
    rows: StreamWriter,
    count: u64,
}

impl VerdictWriter {
    /// Begins the file that [`VerdictWriter::finish`] will put at `path`.
    ///
    /// # Errors
    /// `Io` when it cannot be created.
    pub fn create(path: &Path, fingerprint: u64) -> Result<Self> {
        let file = Writer::create(path, FileKind::Verdicts, fingerprint)?;
        Ok(Self { file, rows: StreamWriter::default(), count: 0 })
    }

    /// Appends a verdict.
    ///
    /// # Errors
    /// `Io` when the disk is full, for example.
    pub fn push(&mut self, verdict: &Verdict) -> Result<()> {
        self.count += 1;
        self.rows.append(&mut self.file, &verdict.encode())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// `Io` from writing, syncing or renaming.
    pub fn finish(mut self, summary: &Summary) -> Result<()> {
        let summary = serde_json::to_vec(summary)
            .map_err(|error| Error::corrupt(self.file.path(), error.to_string()))?;
        self.rows.end(&mut self.file)?;
        self.file.section(&summary)?;
        self.file.finish(self.count)
    }
}

/// A file of verdicts, open.
#[derive(Debug)]
pub struct Verdicts {
    reader: Reader,
}

impl Verdicts {
    /// Opens what [`VerdictWriter`] wrote.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged or of another run; `Io`.
    pub fn open(path: &Path, fingerprint: u64) -> Result<Self> {
        Ok(Self { reader: Reader::open(path, FileKind::Verdicts, fingerprint)? })
    }

    /// Returns the number of verdicts.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.reader.records()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the figures of the run.
    ///
    /// # Errors
    /// `Corrupt` when they are damaged.
    pub fn summary(&self) -> Result<Summary> {
        let summary = self.reader.section(SUMMARY)?;
        serde_json::from_slice(&summary).map_err(|error| self.reader.corrupt(&error.to_string()))
    }

    /// Begins with the first verdict on a record of this number or a higher one.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged; `Io`.
    pub fn starting_at(&self, record: u64) -> Result<VerdictCursor<'_>> {
        let rows = StreamReader::open(&self.reader, ROWS)?;
        if rows.length() != self.len() * ROW_BYTES as u64 {
            return Err(self.reader.corrupt("its rows are not as many as it says"));
        }
        let mut cursor = VerdictCursor { rows, head: None };
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            cursor.seek(middle)?;
            if cursor.head.is_some_and(|verdict| verdict.record < record) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        cursor.seek(low)?;
        Ok(cursor)
    }
}

/// Reads verdicts in order.
#[derive(Debug)]
pub struct VerdictCursor<'a> {
    rows: StreamReader<'a>,
    head: Option<Verdict>,
}

impl VerdictCursor<'_> {
    /// Returns the verdict at hand, `None` behind the last one.
    #[must_use]
    #[inline]
    pub fn head(&self) -> Option<&Verdict> {
        self.head.as_ref()
    }

    /// Goes on to the next verdict.
    ///
    /// # Errors
    /// `Corrupt` when the file is damaged; `Io`.
    pub fn advance(&mut self) -> Result<()> {
        let mut row = [0; ROW_BYTES];
        self.head = self.rows.fill(&mut row)?.then(|| Verdict::decode(&row));
        Ok(())
    }

    fn seek(&mut self, row: u64) -> Result<()> {
        self.rows.seek(row * ROW_BYTES as u64)?;
        self.advance()
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
