//! Which record falls to which survivor.
//!
//! *The survivor rule.* Candidates are decided in the order of their places ([`super::places`]). A
//! candidate is compared with the survivors that share a bucket with it, the first in order first,
//! and falls to the first one whose true similarity is at or above the threshold; if there is none,
//! it survives. So every dropped record names a survivor that is truly similar, and a cluster cannot
//! chain away from it. Two limits hold the rule in bounds:
//!
//! - A survivor takes at most so many near-duplicates. Then it is *full*: nothing is compared with
//!   it any more, so that a further near-duplicate falls to the next survivor that it is similar to,
//!   or survives and takes others itself. Full ones are counted.
//! - Of a bucket only [`super::edges::LEADERS`] survivors are compared with, the first ones; each
//!   that is full leaves its place to the next one that survives. Up to that size of a bucket this
//!   is every pair, beyond it the work stays in proportion to the size, whatever the cap.
//!
//! Threads compare ahead as if everything that is not decided yet survived. The decision itself
//! goes in order, uses what they found where it still holds, and compares anew where not: what
//! comes out depends on nothing but the rule.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::board::Board;
use super::corpus::Words;
use super::jaccard::Threshold;
use super::sets::{Loaded, Sets};
use crate::Result;
use crate::control::Control;
use crate::external_sort::{ExternalSorter, Sorted};
use crate::pipeline::{self, Limits, Weigh};

/// Candidates, neighbours and words of a job, at most but for its last candidate: a few
/// milliseconds of work.
const JOB_CANDIDATES: usize = 256;
const JOB_NEIGHBOURS: usize = 1 << 14;
const JOB_WORDS: usize = 1 << 16;

/// Bytes that a word stands for in flight: itself, its shingle, and its share of a probe.
const WORD_WEIGHT: usize = 4 + 8 + 16;

/// What was decided.
#[derive(Debug)]
pub(super) struct Decided {
    /// Rows (record, survivor, estimated, true similarity) of those that fall, by record; the
    /// similarities are the bits of floats.
    pub(super) falls: Sorted<4>,
    /// Survivors that took as many as they may.
    pub(super) full_clusters: u64,
}

/// Candidates in a row, and their neighbours.
#[derive(Debug, Default)]
struct Job {
    /// Place of each, and where its neighbours end.
    candidates: Vec<(u64, usize)>,
    neighbours: Vec<u64>,
    words: usize,
}

impl Job {
    fn is_full(&self) -> bool {
        self.candidates.len() >= JOB_CANDIDATES
            || self.neighbours.len() >= JOB_NEIGHBOURS
            || self.words >= JOB_WORDS
    }

    /// Returns place and neighbours of each candidate.
    fn iter(&self) -> impl Iterator<Item = (u64, &[u64])> {
        let mut start = 0;
        self.candidates.iter().map(move |&(place, end)| {
            let neighbours = &self.neighbours[start..end];
            start = end;
            (place, neighbours)
        })
    }

    fn held_bytes(&self) -> usize {
        self.neighbours.capacity() * 8 + self.candidates.capacity() * size_of::<(u64, usize)>()
    }
}

impl Weigh for Job {
    fn weight(&self) -> usize {
        self.words * WORD_WEIGHT + self.held_bytes()
    }
}

/// What a candidate was found to be similar to.
#[derive(Clone, Copy, Debug)]
struct Hit {
    place: u64,
    record: u64,
    estimated: f64,
    jaccard: f64,
}

/// What was found about a candidate ahead of its decision.
#[derive(Debug, Default)]
struct Comparison {
    /// Places that it is not similar to, ascending.
    misses: Vec<u64>,
    hit: Option<Hit>,
}

/// A job, and what was found about each of its candidates.
#[derive(Debug)]
struct Compared {
    job: Job,
    found: Vec<Comparison>,
}

impl Weigh for Compared {
    fn weight(&self) -> usize {
        let of = |found: &Comparison| found.misses.capacity() * 8 + size_of::<Comparison>();
        self.found.iter().map(of).sum::<usize>() + self.job.held_bytes()
    }
}

/// What a thread works with.
#[derive(Debug, Default)]
struct Scratch {
    /// The candidate at hand.
    own: Loaded,
    /// The last one of those that it is compared with that was not kept.
    other: Loaded,
    words: Vec<u32>,
    takers: Vec<u64>,
}

/// Decides the candidates that `edges` name, rows as in [`super::edges::Edges`]: those fall whose
/// similarity with a survivor is at or above `threshold`.
///
/// Takes about `limits.budget_bytes` beside what `edges`, `board` and `sets` take.
///
/// # Errors
/// Of reading words; `Io`; `Interrupted`.
pub(super) fn decide<W: Words>(
    mut edges: Sorted<2>,
    board: Board,
    sets: &Sets<'_, W>,
    threshold: Threshold,
    limits: Limits,
    beside: &Path,
    control: &Control,
) -> Result<Decided> {
    let board = Mutex::new(board);
    let comparer = Comparer { board: &board, sets, threshold };
    let mut falls = ExternalSorter::new(beside, limits.budget_bytes / 2);
    let mut own = Scratch::default();
    let limits = Limits { budget_bytes: limits.budget_bytes / 2, ..limits };
    pipeline::run(
        limits,
        control,
        || comparer.next_job(&mut edges),
        Scratch::default,
        |scratch, job| comparer.compare(job, scratch),
        |compared| {
            control.advance(compared.found.len() as u64, 0);
            for ((place, neighbours), found) in compared.job.iter().zip(&compared.found) {
                let hit = comparer.confirm(place, neighbours, found, &mut own)?;
                let mut board = comparer.board();
                let Some(hit) = hit else {
                    board.lead(place, neighbours)?;
                    continue;
                };
                board.retire(place)?;
                board.take(hit.place)?;
                let record = board.at(place)?.record;
                let similarity = [hit.estimated.to_bits(), hit.jaccard.to_bits()];
                falls.push([record, hit.record, similarity[0], similarity[1]])?;
            }
            Ok(())
        },
    )?;
    drop(edges);
    let full_clusters = comparer.board().full();
    Ok(Decided { falls: falls.finish()?, full_clusters })
}

/// Compares candidates, on any thread.
struct Comparer<'a, W> {
    board: &'a Mutex<Board>,
    sets: &'a Sets<'a, W>,
    threshold: Threshold,
}

impl<W: Words> Comparer<'_, W> {
    fn board(&self) -> MutexGuard<'_, Board> {
        // A thread that panics while it holds the board ends the run.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_job(&self, edges: &mut Sorted<2>) -> Result<Option<Job>> {
        let mut job = Job::default();
        let mut board = self.board();
        while let Some([place, _]) = edges.head().filter(|_| !job.is_full()) {
            while let Some([_, neighbour]) = edges.head().filter(|row| row[0] == place) {
                job.neighbours.push(neighbour);
                edges.advance()?;
            }
            job.candidates.push((place, job.neighbours.len()));
            job.words += board.at(place)?.count as usize;
        }
        Ok((!job.candidates.is_empty()).then_some(job))
    }

    /// Compares candidates with what may be a survivor, up to the first hit.
    fn compare(&self, job: Job, scratch: &mut Scratch) -> Result<Compared> {
        let mut found = Vec::with_capacity(job.candidates.len());
        for (place, neighbours) in job.iter() {
            let mut takers = std::mem::take(&mut scratch.takers);
            let at = {
                let mut board = self.board();
                board.takers(neighbours, &mut takers)?;
                board.at(place)?
            };
            let mut comparison = Comparison::default();
            if !takers.is_empty() {
                self.sets.load(at, &mut scratch.own)?;
                for &earlier in &takers {
                    comparison.hit = self.similar(earlier, scratch)?;
                    if comparison.hit.is_some() {
                        break;
                    }
                    comparison.misses.push(earlier);
                }
                if comparison.hit.is_none() {
                    // It survives, most likely, and others are compared with it.
                    self.sets.keep(&scratch.own);
                }
            }
            found.push(comparison);
            scratch.takers = takers;
        }
        Ok(Compared { job, found })
    }

    /// Returns the survivor that a candidate falls to, now that all before it is decided.
    fn confirm(
        &self,
        place: u64,
        neighbours: &[u64],
        found: &Comparison,
        scratch: &mut Scratch,
    ) -> Result<Option<Hit>> {
        let mut takers = std::mem::take(&mut scratch.takers);
        let at = {
            let mut board = self.board();
            board.takers(neighbours, &mut takers)?;
            board.at(place)?
        };
        let mut hit = None;
        for &earlier in &takers {
            if found.misses.binary_search(&earlier).is_ok() {
                continue;
            }
            hit = found.hit.filter(|hit| hit.place == earlier);
            if hit.is_none() {
                if !scratch.own.is(at) {
                    self.sets.load(at, &mut scratch.own)?;
                }
                hit = self.similar(earlier, scratch)?;
            }
            if hit.is_some() {
                break;
            }
        }
        scratch.takers = takers;
        Ok(hit)
    }

    /// Compares the candidate at hand with an earlier one.
    fn similar(&self, earlier: u64, scratch: &mut Scratch) -> Result<Option<Hit>> {
        let at = self.board().at(earlier)?;
        let other = if let Some(other) = self.sets.held_one(at.record) {
            other
        } else {
            self.sets.load(at, &mut scratch.other)?;
            self.sets.keep(&scratch.other)
        };
        let Loaded { probe, shingles, .. } = &scratch.own;
        let jaccard = probe.jaccard_at_least(shingles, &other.shingles, self.threshold);
        let Some(jaccard) = jaccard else { return Ok(None) };
        let estimated = self.sets.estimate(&scratch.own, &other, &mut scratch.words)?;
        Ok(Some(Hit { place: earlier, record: at.record, estimated, jaccard }))
    }
}
