//! The signed units as one corpus: records are numbered through all of them.

use super::corpus::{Entries, Known, Words, WordsAt};
use super::unit_file::{LineReader, SignedUnit};
use crate::{Error, Result};

/// All units, and where the records of each begin.
#[derive(Debug)]
pub(crate) struct SignedCorpus<'a> {
    units: &'a [SignedUnit],
    starts: Vec<u64>,
}

impl<'a> SignedCorpus<'a> {
    /// Takes the units in order.
    pub(crate) fn new(units: &'a [SignedUnit]) -> Self {
        let mut next = 0;
        let starts = units.iter().map(|unit| {
            let start = next;
            next += unit.records();
            start
        });
        Self { units, starts: starts.collect() }
    }

    /// Returns the unit of a record, its number, and the number of its first record.
    fn find(&self, record: u64) -> Result<(usize, &'a SignedUnit, u64)> {
        let index = self.starts.partition_point(|&start| start <= record).wrapping_sub(1);
        let found = self.units.get(index).zip(self.starts.get(index));
        let (unit, &start) = found.ok_or_else(|| {
            Error::Argument(format!("expected a record of the corpus, got {record}"))
        })?;
        Ok((index, unit, start))
    }

    /// Begins to read lines.
    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk { corpus: self, open: None }
    }
}

impl Words for SignedCorpus<'_> {
    fn read(&self, at: WordsAt, words: &mut Vec<u32>) -> Result<()> {
        let (_, unit, _) = self.find(at.record)?;
        unit.words_into(at.first, at.count, at.check, words)
    }
}

/// Reads lines of the corpus; those near each other cost one reading.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    corpus: &'a SignedCorpus<'a>,
    /// A unit, the number of its first record, its lines.
    open: Option<(usize, u64, LineReader<'a>)>,
}

impl<'a> Walk<'a> {
    /// Returns the lines of the record's unit, and its line there.
    fn lines(&mut self, record: u64) -> Result<(&mut LineReader<'a>, u64)> {
        let (index, unit, start) = self.corpus.find(record)?;
        let is_open = self.open.as_ref().is_some_and(|(open, ..)| *open == index);
        if !is_open {
            self.open = Some((index, start, unit.lines()?));
        }
        match &mut self.open {
            Some((_, start, lines)) => Ok((lines, record - *start)),
            None => Err(Error::Argument(format!("record {record} is in no unit"))),
        }
    }

    /// Returns the id of a record. Records that ascend are found fastest.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged; `Io`.
    pub(crate) fn id(&mut self, record: u64) -> Result<&str> {
        let (lines, line) = self.lines(record)?;
        lines.id(line)
    }
}

impl Entries for Walk<'_> {
    fn entry(&mut self, record: u64) -> Result<Known> {
        let (lines, line) = self.lines(record)?;
        let entry = lines.entry(line)?;
        let words =
            WordsAt { record, first: entry.words_at, count: entry.words, check: entry.words_check };
        Ok(Known { keep_key: entry.keep_key, words })
    }
}
