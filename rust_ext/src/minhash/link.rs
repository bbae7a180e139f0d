//! Single link, the classic rule: of candidates that shared buckets connect, the first stays,
//! however similar the others are.
//!
//! Only the estimates are left to find. The cap holds here too: of a component the first members in
//! order fall to its centre until that is full, then the next member is the centre of the rest.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::corpus::{Words, WordsAt};
use super::decide::Decided;
use super::places::Places;
use super::signature::{EMPTY_SLOT, Permutations, estimate};
use crate::Result;
use crate::control::Control;
use crate::external_sort::{ExternalSorter, Sorted};
use crate::pipeline::{self, Limits, Weigh};

/// Members and words of a job, at most but for the last member.
const JOB_MEMBERS: usize = 1_024;
const JOB_WORDS: usize = 1 << 16;

/// Centre and member of some components.
#[derive(Debug, Default)]
struct Job {
    pairs: Vec<(WordsAt, WordsAt)>,
    words: usize,
}

impl Weigh for Job {
    fn weight(&self) -> usize {
        self.pairs.capacity() * size_of::<(WordsAt, WordsAt)>() + self.words * size_of::<u32>()
    }
}

impl Weigh for Vec<[u64; 4]> {
    fn weight(&self) -> usize {
        self.capacity() * size_of::<[u64; 4]>()
    }
}

/// How signatures are made.
#[derive(Debug)]
pub(super) struct Signing<'a, W> {
    pub(super) words: &'a W,
    pub(super) ngram_size: usize,
    pub(super) permutations: &'a Permutations,
}

/// Lets each member fall to a centre of its component, given rows (member, first of it).
///
/// Takes about `limits.budget_bytes` beside what `members` and `places` take.
///
/// # Errors
/// Of reading words; `Io`; `Interrupted`.
pub(super) fn link<W: Words>(
    mut members: Sorted<2>,
    places: Places,
    signing: &Signing<'_, W>,
    max_cluster: u32,
    limits: Limits,
    beside: &Path,
    control: &Control,
) -> Result<Decided> {
    let share = limits.budget_bytes / 4;
    let mut by_centre = ExternalSorter::<2>::new(beside, share);
    while let Some([member, centre]) = members.take()? {
        by_centre.push([centre, member])?;
    }
    drop(members);
    let mut source = Source {
        rows: by_centre.finish()?,
        places,
        max_cluster,
        first: None,
        centre: None,
        taken: 0,
        full: 0,
    };
    let mut falls = ExternalSorter::new(beside, share);
    let source = Mutex::new(&mut source);
    let next = || source.lock().unwrap_or_else(PoisonError::into_inner).next_job();
    pipeline::run(
        Limits { budget_bytes: 2 * share, ..limits },
        control,
        next,
        || (Vec::new(), Signed::default(), Signed::default()),
        |(words, centre, member), job: Job| {
            let of = |&(at_centre, at_member): &(WordsAt, WordsAt)| {
                centre.sign(at_centre, signing, words)?;
                member.sign(at_member, signing, words)?;
                let estimated = estimate(&centre.slots, &member.slots);
                let numbers = [estimated.to_bits(), f64::NAN.to_bits()];
                Ok([at_member.record, at_centre.record, numbers[0], numbers[1]])
            };
            job.pairs.iter().map(of).collect::<Result<Vec<_>>>()
        },
        |rows| {
            control.advance(rows.len() as u64, 0);
            rows.into_iter().try_for_each(|row| falls.push(row))
        },
    )?;
    let full_clusters = source.into_inner().unwrap_or_else(PoisonError::into_inner).full;
    Ok(Decided { falls: falls.finish()?, full_clusters })
}

/// The signature that was made last.
#[derive(Debug, Default)]
struct Signed {
    record: Option<u64>,
    slots: Vec<u32>,
}

impl Signed {
    fn sign<W: Words>(
        &mut self,
        at: WordsAt,
        signing: &Signing<'_, W>,
        words: &mut Vec<u32>,
    ) -> Result<()> {
        if self.record != Some(at.record) {
            self.slots.resize(signing.permutations.num_permutations(), EMPTY_SLOT);
            signing.words.read(at, words)?;
            signing.permutations.sign(words, signing.ngram_size, &mut self.slots);
            self.record = Some(at.record);
        }
        Ok(())
    }
}

/// Rows (first of a component, member) as jobs.
struct Source {
    rows: Sorted<2>,
    places: Places,
    max_cluster: u32,
    /// The first of the component that was met last, by its place.
    first: Option<u64>,
    /// What its members fall to; `None` where the next one is that.
    centre: Option<WordsAt>,
    /// Members that fell to it.
    taken: u32,
    full: u64,
}

impl Source {
    fn next_job(&mut self) -> Result<Option<Job>> {
        let mut job = Job::default();
        while job.pairs.len() < JOB_MEMBERS && job.words < JOB_WORDS {
            let Some([first, member]) = self.rows.take()? else { break };
            if self.first != Some(first) {
                self.first = Some(first);
                self.centre = Some(self.places.at(first)?);
                self.taken = 0;
            }
            let at_member = self.places.at(member)?;
            let Some(at_centre) = self.centre else {
                (self.centre, self.taken) = (Some(at_member), 0);
                continue;
            };
            self.taken += 1;
            if self.taken == self.max_cluster {
                self.full += 1;
                self.centre = None;
            }
            job.words += at_member.count as usize;
            job.pairs.push((at_centre, at_member));
        }
        Ok((!job.pairs.is_empty()).then_some(job))
    }
}
