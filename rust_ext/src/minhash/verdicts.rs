//! What `connect` hands to `drop`: the records that are in a cluster, and what became of each.
//!
//! The file has one section of rows, ascending by record:
//!
//! | offset | bytes | is |
//! |---|---|---|
//! | 0 | 8 | number of the record |
//! | 8 | 8 | number of the first record of its cluster |
//! | 16 | 8 | number of the survivor |
//! | 24 | 8 | estimated similarity with the survivor, a float |
//! | 32 | 8 | true similarity with it, a float; not a number where it was not computed |
//! | 40 | 8 | 0 survivor, 1 exact, 2 near |

use std::path::Path;

use super::sections::{Kind as FileKind, Reader, Writer, number};
use super::unit_file::{SignedUnit, ids_of};
use crate::Result;

const ROW_BYTES: usize = 48;

/// Why a record is in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Others fell to it.
    Survivor = 0,
    /// Its text equals that of an earlier record.
    Exact = 1,
    /// Its text is similar to that of the survivor.
    Near = 2,
}

impl Kind {
    /// Returns the word for it in `clusters.parquet`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Survivor => "survivor",
            Self::Exact => "exact",
            Self::Near => "near",
        }
    }
}

/// What became of a record that is in a cluster of two or more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The record.
    pub record: u64,
    /// The first record of its cluster.
    pub cluster: u64,
    /// The record of the cluster that stays.
    pub survivor: u64,
    /// Share of equal slots with the survivor.
    pub estimated: f64,
    /// True similarity with the survivor, where it was computed.
    pub jaccard: Option<f64>,
    /// Why it is here.
    pub kind: Kind,
}

impl Verdict {
    fn encode(&self, to: &mut Vec<u8>) {
        for word in [self.record, self.cluster, self.survivor] {
            to.extend_from_slice(&word.to_le_bytes());
        }
        to.extend_from_slice(&self.estimated.to_le_bytes());
        to.extend_from_slice(&self.jaccard.unwrap_or(f64::NAN).to_le_bytes());
        to.extend_from_slice(&(self.kind as u64).to_le_bytes());
    }

    fn decode(row: &[u8]) -> Self {
        let jaccard = f64::from_bits(number(row, 32));
        Self {
            record: number(row, 0),
            cluster: number(row, 8),
            survivor: number(row, 16),
            estimated: f64::from_bits(number(row, 24)),
            jaccard: (!jaccard.is_nan()).then_some(jaccard),
            kind: match number(row, 40) {
                0 => Kind::Survivor,
                1 => Kind::Exact,
                _ => Kind::Near,
            },
        }
    }
}

/// Writes verdicts, ascending by record.
///
/// # Errors
/// `Io` from writing, syncing or renaming.
pub fn write(path: &Path, fingerprint: u64, verdicts: &[Verdict]) -> Result<()> {
    let mut rows = Vec::with_capacity(verdicts.len() * ROW_BYTES);
    for verdict in verdicts {
        verdict.encode(&mut rows);
    }
    let mut writer = Writer::create(path, FileKind::Verdicts, fingerprint)?;
    writer.section(&rows)?;
    writer.finish(verdicts.len() as u64)
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// `Corrupt` when it is damaged or of another run; `Io`.
pub fn read(path: &Path, fingerprint: u64) -> Result<Vec<Verdict>> {
    let reader = Reader::open(path, FileKind::Verdicts, fingerprint)?;
    let rows = reader.section(0)?;
    let verdicts: Vec<Verdict> = rows.chunks_exact(ROW_BYTES).map(Verdict::decode).collect();
    if verdicts.len() as u64 != reader.records() {
        return Err(reader.corrupt("its rows are not as many as it says"));
    }
    Ok(verdicts)
}

/// Returns the ids of the records, clusters and survivors of the verdicts, three lists alike long.
///
/// # Errors
/// `Corrupt` when the ids are damaged.
pub fn ids(units: &[SignedUnit], verdicts: &[Verdict]) -> Result<[Vec<String>; 3]> {
    // Clusters and survivors are among the records themselves.
    let records: Vec<u64> = verdicts.iter().map(|verdict| verdict.record).collect();
    let ids = ids_of(units, &records)?;
    let id = |record: u64| records.binary_search(&record).map_or("", |at| &ids[at]).to_owned();
    let clusters = verdicts.iter().map(|verdict| id(verdict.cluster)).collect();
    let survivors = verdicts.iter().map(|verdict| id(verdict.survivor)).collect();
    Ok([ids.clone(), clusters, survivors])
}
