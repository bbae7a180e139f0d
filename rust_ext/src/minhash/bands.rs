//! The step `bands`: records that share something fall into one group.
//!
//! A part of the step is a range of the hashes of a band, of the texts, or of the ids. Records that
//! agree in all slots of a band share a group; so do records of equal text. An id that occurs twice
//! is an error. How many ranges there are follows from the number of records alone, so that
//! thousands of tasks share the work and every task numbers the parts alike.
//!
//! A part reads its range of the keys of every run ([`super::keys`]) and writes its groups
//! ([`super::groups`]), in memory that is given ([`super::grouping`]).

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::Shape;
use super::grouping::{Run, group};
use super::groups::GroupWriter;
pub use super::groups::Groups;
use super::keys::{KeyRange, Wide};
use super::twins::Twins;
use super::unit_file::{SignedUnit, open_all};
use crate::control::Control;
use crate::{Error, Result};

/// Most records of a range: 2 GiB of memory for a band, which no machine of a cluster lacks.
const RANGE_RECORDS: u64 = 1 << 27;

/// Memory with which a part is worth a thread.
const THREAD_BYTES: usize = 16 << 20;

/// What records are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// The slots of a band.
    Band(usize),
    /// The text.
    Text,
    /// The id.
    Id,
}

/// A range of what records are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What they are compared by.
    pub compared: Compared,
    /// Number of the range.
    pub range: u64,
}

/// The parts of the step: those of the bands, then of the texts, then of the ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    num_bands: usize,
    ranges: u64,
}

impl Parts {
    /// Returns the parts for so many records.
    #[must_use]
    pub fn new(shape: &Shape, records: u64) -> Self {
        Self { num_bands: shape.num_bands, ranges: records.div_ceil(RANGE_RECORDS).max(1) }
    }

    /// Returns the number of ranges of each band, of the texts and of the ids.
    #[must_use]
    pub fn ranges(&self) -> u64 {
        self.ranges
    }

    /// Returns the part of this number.
    ///
    /// # Errors
    /// `Argument` when there are fewer.
    pub fn get(&self, number: usize) -> Result<Part> {
        let (compared, range) = (number as u64 / self.ranges, number as u64 % self.ranges);
        let compared = match usize::try_from(compared).unwrap_or(usize::MAX) {
            band if band < self.num_bands => Compared::Band(band),
            after if after == self.num_bands => Compared::Text,
            after if after == self.num_bands + 1 => Compared::Id,
            _ => {
                let count = (self.num_bands as u64 + 2) * self.ranges;
                let message = format!("part ({number}) must be below {count}");
                return Err(Error::Argument(message));
            }
        };
        Ok(Part { compared, range })
    }
}

/// What the step works on.
#[derive(Clone, Debug)]
pub struct Options {
    /// How texts are compared.
    pub shape: Shape,
    /// Marks the files of this run.
    pub fingerprint: u64,
    /// What `sign` wrote of all units.
    pub signatures: Vec<PathBuf>,
    /// Threads, each with a part of its own.
    pub workers: usize,
    /// Memory for all of them.
    pub memory_bytes: usize,
}

/// Returns the number of lines of all units.
///
/// # Errors
/// `Corrupt` when a file is damaged or of another run; `Io`.
pub fn count_records(signatures: &[PathBuf], fingerprint: u64) -> Result<u64> {
    Ok(open_all(signatures, fingerprint)?.iter().map(SignedUnit::records).sum())
}

/// Writes the groups of parts, each to its file.
///
/// # Errors
/// `Corrupt` when keys are damaged or of another run; `Argument` when an id occurs twice, or for a
/// part that there is not; `Io`; `Interrupted`.
pub fn find_buckets(
    parts: &[(usize, PathBuf)],
    options: &Options,
    control: &Control,
) -> Result<()> {
    let units = open_all(&options.signatures, options.fingerprint)?;
    let most_threads = options.workers.min(options.memory_bytes / THREAD_BYTES);
    let threads = most_threads.clamp(1, parts.len().max(1));
    let memory_bytes = options.memory_bytes / threads;
    let step = Step { units: &units, options, memory_bytes, control };
    // The ids stand last and are taken first: a twin among them is told before hours of work.
    let waiting: Vec<_> = parts.iter().rev().collect();
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let failed = Mutex::new(None);
    let work = || {
        while let Some((number, output)) = waiting.get(next.fetch_add(1, Ordering::Relaxed)) {
            if has_failed.load(Ordering::Relaxed) {
                break;
            }
            if let Err(error) = step.part(*number, output) {
                has_failed.store(true, Ordering::Relaxed);
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// The parts have this in common.
struct Step<'a> {
    units: &'a [SignedUnit],
    options: &'a Options,
    memory_bytes: usize,
    control: &'a Control,
}

impl Step<'_> {
    fn part(&self, number: usize, output: &PathBuf) -> Result<()> {
        let Self { options, memory_bytes, control, .. } = *self;
        let records = self.units.iter().map(SignedUnit::records).sum();
        let parts = Parts::new(&options.shape, records);
        let part = parts.get(number)?;
        let range = KeyRange::ALL.part(part.range, parts.ranges);
        let num_bands = options.shape.num_bands;
        let mut groups = GroupWriter::create(output, options.fingerprint)?;
        match part.compared {
            Compared::Band(band) => {
                group::<u64>(&self.runs(band)?, range, memory_bytes, &mut groups, control)?;
            }
            Compared::Text => {
                let runs = self.runs(num_bands)?;
                group::<Wide>(&runs, range, memory_bytes, &mut groups, control)?;
            }
            Compared::Id => {
                let runs = self.runs(num_bands + 1)?;
                let twins = &mut Twins::new(self.units);
                group::<u64>(&runs, range, memory_bytes, twins, control)?;
            }
        }
        groups.finish(records)
    }

    /// Returns the runs of all units, with one of their arrays of keys.
    fn runs(&self, array: usize) -> Result<Vec<Run<'_>>> {
        let mut runs = Vec::new();
        let mut first = 0;
        for unit in self.units {
            self.control.check()?;
            let sections = unit.key_sections(array)?.into_iter();
            runs.extend(sections.map(|(line, keys)| Run {
                reader: unit.reader(),
                first_record: first + line,
                keys,
            }));
            first += unit.records();
        }
        Ok(runs)
    }
}
