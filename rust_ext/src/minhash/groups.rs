//! Groups of records that share a key, as `bands` hands them on.
//!
//! The file has one stream ([`super::stream`]) of numbers of 8 bytes: of each group its size, two
//! at least, and the numbers of its records, ascending. Groups come by their key, ascending.

use std::path::Path;

use super::sections::{Kind, Reader, Writer};
use super::stream::{StreamReader, StreamWriter};
use crate::{Error, Result};

/// What takes groups in, one record after another: a group may be larger than the memory.
pub trait Sink {
    /// Begins a group of `count` records.
    ///
    /// # Errors
    /// What it meets.
    fn begin(&mut self, count: u64) -> Result<()>;

    /// Takes the next record of the group; they ascend.
    ///
    /// # Errors
    /// What it meets.
    fn member(&mut self, record: u64) -> Result<()>;
}

/// Writes groups to a file.
pub struct GroupWriter {
    writer: Writer,
    stream: StreamWriter,
}

impl GroupWriter {
    /// Begins the file that [`GroupWriter::finish`] will put at `path`.
    ///
    /// # Errors
    /// `Io` when it cannot be created.
    pub fn create(path: &Path, fingerprint: u64) -> Result<Self> {
        let writer = Writer::create(path, Kind::Buckets, fingerprint)?;
        Ok(Self { writer, stream: StreamWriter::default() })
    }

    /// Ends the file; `records` are those of the whole input.
    ///
    /// # Errors
    /// `Io` from writing, syncing or renaming.
    pub fn finish(mut self, records: u64) -> Result<()> {
        self.stream.end(&mut self.writer)?;
        self.writer.finish(records)
    }
}

impl Sink for GroupWriter {
    fn begin(&mut self, count: u64) -> Result<()> {
        self.stream.append(&mut self.writer, &count.to_le_bytes())
    }

    fn member(&mut self, record: u64) -> Result<()> {
        self.stream.append(&mut self.writer, &record.to_le_bytes())
    }
}

/// A file of groups, open.
#[derive(Debug)]
pub struct Groups {
    reader: Reader,
}

impl Groups {
    /// Opens what [`GroupWriter`] wrote.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged or of another run; `Io`.
    pub fn open(path: &Path, fingerprint: u64) -> Result<Self> {
        Ok(Self { reader: Reader::open(path, Kind::Buckets, fingerprint)? })
    }

    /// Returns the number of records of the whole input.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.reader.records()
    }

    /// Begins with the first group.
    ///
    /// # Errors
    /// `Corrupt` when the list of its blocks is damaged; `Io`.
    pub fn cursor(&self) -> Result<GroupCursor<'_>> {
        Ok(GroupCursor { stream: StreamReader::open(&self.reader, 0)?, left: 0 })
    }

    /// Returns the groups one after another, 8 bytes of memory for each record of one.
    ///
    /// # Errors
    /// As [`Groups::cursor`]; the iterator gives those of the blocks.
    pub fn iter(&self) -> Result<impl Iterator<Item = Result<Vec<u64>>>> {
        let mut cursor = self.cursor()?;
        Ok(std::iter::from_fn(move || cursor.next_members().transpose()))
    }
}

/// Reads groups record by record, however large they are.
#[derive(Debug)]
pub struct GroupCursor<'a> {
    stream: StreamReader<'a>,
    /// Records of the group that were not taken.
    left: u64,
}

impl GroupCursor<'_> {
    /// Goes to the next group, past what is left of this one, and returns its size.
    ///
    /// # Errors
    /// `Corrupt` when the file is damaged; `Io`.
    pub fn next_group(&mut self) -> Result<Option<u64>> {
        while self.next_member()?.is_some() {}
        let count = self.stream.next_number()?;
        self.left = count.unwrap_or(0);
        Ok(count)
    }

    /// Returns the next record of the group, `None` behind its last one.
    ///
    /// # Errors
    /// `Corrupt` when the file is damaged; `Io`.
    #[inline]
    pub fn next_member(&mut self) -> Result<Option<u64>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let member = self.stream.next_number()?;
        // The blocks fit their hashes, so that only whoever wrote them can have erred.
        member.map(Some).ok_or_else(|| Error::Argument("a file of groups ends inside one".into()))
    }

    fn next_members(&mut self) -> Result<Option<Vec<u64>>> {
        let Some(count) = self.next_group()? else { return Ok(None) };
        let mut members = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        while let Some(member) = self.next_member()? {
            members.push(member);
        }
        Ok(Some(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_read_back_whole_or_in_part() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bucket-00003");
        let groups: Vec<Vec<u64>> =
            vec![vec![1, 9], (0..100_000).map(|n| n * 3).collect(), vec![4, 5, u64::MAX]];
        let mut writer = GroupWriter::create(&path, 9).unwrap();
        for group in &groups {
            writer.begin(group.len() as u64).unwrap();
            group.iter().for_each(|&record| writer.member(record).unwrap());
        }
        writer.finish(77).unwrap();
        let found = Groups::open(&path, 9).unwrap();
        assert_eq!(found.records(), 77);
        assert_eq!(found.iter().unwrap().collect::<Result<Vec<_>>>().unwrap(), groups);
        let mut cursor = found.cursor().unwrap();
        for group in &groups {
            assert_eq!(cursor.next_group().unwrap(), Some(group.len() as u64));
            assert_eq!(cursor.next_member().unwrap(), Some(group[0]));
        }
        assert_eq!(cursor.next_group().unwrap(), None);
        assert!(Groups::open(&path, 8).unwrap_err().to_string().contains("bucket-00003"));
    }
}
