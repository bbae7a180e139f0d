//! The step `bands`: records that share something fall into one bucket.
//!
//! A part of the step is a band, the texts, or the ids. Records whose slots of the band are equal
//! share a bucket; so do records of equal text. An id that occurs twice is an error.
//!
//! Sections of a part's file: 0, the sizes of the buckets, 4 bytes each; 1, the numbers of their
//! records, 8 bytes each, bucket by bucket, ascending within each. Only buckets of two and more
//! are there. It takes 16 bytes of memory a record, 32 for the texts, and one unit's slots.

use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Shape;
use super::sections::{Kind, Reader, Writer, number};
use super::unit_file::{SignedUnit, Status, open_all};
use crate::control::Control;
use crate::{Error, Result};

/// What records are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The slots of a band.
    Band(usize),
    /// The text.
    Text,
    /// The id.
    Id,
}

impl Part {
    /// Returns all parts of the step, in order.
    #[must_use]
    pub fn all(shape: &Shape) -> Vec<Self> {
        (0..shape.num_bands).map(Self::Band).chain([Self::Text, Self::Id]).collect()
    }
}

/// Writes the buckets of a part to `output`.
///
/// # Errors
/// `Corrupt` when signatures are damaged or of another run; `Argument` when an id occurs twice;
/// `Io`; `Interrupted`.
pub fn find_buckets(
    part: Part,
    signatures: &[PathBuf],
    shape: &Shape,
    fingerprint: u64,
    output: &Path,
    control: &Control,
) -> Result<()> {
    let mut units = open_all(signatures, fingerprint)?;
    let records = units.iter().map(SignedUnit::records).sum();
    let buckets = match part {
        Part::Band(band) => group(band_keys(&mut units, band, shape.rows_per_band, control)?),
        Part::Text => group(keys(&mut units, control, |entry| entry.text_hash)?),
        Part::Id => {
            let alike = group(keys(&mut units, control, |entry| entry.id_hash)?);
            refuse_twins(&mut units, &alike)?;
            Buckets::default()
        }
    };
    let mut writer = Writer::create(output, Kind::Buckets, fingerprint)?;
    let sizes: Vec<u8> = buckets.sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
    writer.section(&sizes)?;
    let members: Vec<u8> = buckets.members.iter().flat_map(|record| record.to_le_bytes()).collect();
    writer.section(&members)?;
    writer.finish(records)
}

/// Buckets of records, each of two and more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// Records of each.
    pub sizes: Vec<u32>,
    /// The records, bucket by bucket, ascending within each.
    pub members: Vec<u64>,
}

impl Buckets {
    /// Reads what [`find_buckets`] wrote.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged or of another run; `Io`.
    pub fn read(path: &Path, fingerprint: u64) -> Result<Self> {
        let mut reader = Reader::open(path, Kind::Buckets, fingerprint)?;
        let (sizes, members) = (reader.section(0)?, reader.section(1)?);
        let sizes: Vec<u32> = sizes
            .chunks_exact(4)
            .map(|size| u32::from_le_bytes([size[0], size[1], size[2], size[3]]))
            .collect();
        let members: Vec<u64> = members.chunks_exact(8).map(|record| number(record, 0)).collect();
        if sizes.iter().map(|&size| size as usize).sum::<usize>() != members.len() {
            return Err(reader.corrupt("its sizes do not fit its members"));
        }
        Ok(Self { sizes, members })
    }

    /// Returns the buckets one after another.
    pub fn iter(&self) -> impl Iterator<Item = &[u64]> {
        let mut rest = &self.members[..];
        self.sizes.iter().map(move |&size| {
            let (bucket, after) = rest.split_at(size as usize);
            rest = after;
            bucket
        })
    }
}

/// Groups records by their keys.
fn group<K: Ord + Copy>(mut keyed: Vec<(K, u64)>) -> Buckets {
    keyed.sort_unstable();
    let mut buckets = Buckets::default();
    for bucket in keyed.chunk_by(|left, right| left.0 == right.0) {
        if bucket.len() > 1 {
            buckets.sizes.push(u32::try_from(bucket.len()).unwrap_or(u32::MAX));
            buckets.members.extend(bucket.iter().map(|(_, record)| record));
        }
    }
    buckets
}

/// Returns key and number of every record.
fn keys<K>(
    units: &mut [SignedUnit],
    control: &Control,
    key: impl Fn(&super::unit_file::Entry) -> K,
) -> Result<Vec<(K, u64)>> {
    let mut keyed = Vec::new();
    let mut first = 0;
    for unit in units {
        control.check()?;
        let entries = unit.entries()?;
        let records = (first..).zip(&entries).filter(|(_, entry)| entry.status == Status::Record);
        keyed.extend(records.map(|(record, entry)| (key(entry), record)));
        first += unit.records();
    }
    Ok(keyed)
}

/// Returns the hash of a band and the number of every record that has shingles.
fn band_keys(
    units: &mut [SignedUnit],
    band: usize,
    rows_per_band: usize,
    control: &Control,
) -> Result<Vec<(u64, u64)>> {
    let mut keyed = Vec::new();
    let mut first = 0;
    for unit in units {
        control.check()?;
        let entries = unit.entries()?;
        let slots = unit.band(band, rows_per_band)?;
        for ((record, entry), slots) in
            (first..).zip(&entries).zip(slots.chunks_exact(rows_per_band * 4))
        {
            if entry.shingles > 0 {
                keyed.push((xxh3_64_with_seed(slots, band as u64), record));
            }
        }
        first += unit.records();
    }
    Ok(keyed)
}

/// Refuses an id that two records have; records whose ids only hash alike are no such.
fn refuse_twins(units: &mut [SignedUnit], buckets: &Buckets) -> Result<()> {
    if buckets.sizes.is_empty() {
        return Ok(());
    }
    let mut wanted: Vec<u64> = buckets.members.clone();
    wanted.sort_unstable();
    let ids = ids_of(units, &wanted)?;
    let id = |record: u64| wanted.binary_search(&record).map_or("", |at| ids[at].as_str());
    for bucket in buckets.iter() {
        let mut seen = std::collections::HashMap::new();
        for &record in bucket {
            if let Some(earlier) = seen.insert(id(record), record) {
                return Err(Error::Argument(format!(
                    "expected every id once, {} occurs in {} and in {}; give each input once, or \
                     make the ids unique",
                    id(record),
                    place(units, earlier)?,
                    place(units, record)?,
                )));
            }
        }
    }
    Ok(())
}

/// Returns the ids of the records, which ascend.
///
/// # Errors
/// `Corrupt` when they are damaged.
pub(super) fn ids_of(units: &mut [SignedUnit], records: &[u64]) -> Result<Vec<String>> {
    let mut found = Vec::with_capacity(records.len());
    let mut first = 0;
    for unit in units {
        let end = first + unit.records();
        let here = &records[found.len()..];
        let here = &here[..here.partition_point(|&record| record < end)];
        if !here.is_empty() {
            let ids = unit.ids()?;
            let mut lines = (first..).zip(ids.lines());
            for &wanted in here {
                let line = lines.find(|(record, _)| *record == wanted);
                found.push(line.map(|(_, id)| id.to_owned()).unwrap_or_default());
            }
        }
        first = end;
    }
    Ok(found)
}

/// Says where a record stands: its file and its line.
fn place(units: &mut [SignedUnit], record: u64) -> Result<String> {
    let mut before = record;
    for unit in units {
        if before >= unit.records() {
            before -= unit.records();
            continue;
        }
        for file in unit.summary()?.files {
            if before < file.records {
                return Ok(format!("{} (record {before})", file.path));
            }
            before -= file.records;
        }
    }
    Ok(format!("record {record}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shared_keys_make_buckets_and_members_ascend() {
        let buckets = group(vec![(7_u64, 4_u64), (1, 0), (7, 1), (9, 2), (1, 9), (7, 3)]);
        let found: Vec<_> = buckets.iter().map(<[u64]>::to_vec).collect();
        assert_eq!(found, [vec![0, 9], vec![1, 3, 4]]);
        assert_eq!(group(Vec::<(u64, u64)>::new()).iter().count(), 0);
    }
}
