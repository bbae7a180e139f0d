//! The step `connect`: from buckets to the verdict on every record that is in a cluster.
//!
//! Of each text one record goes on ([`super::copies`]). Those of them that share a bucket are
//! numbered in the order of decision ([`super::places`]) and paired ([`super::edges`]); what falls
//! to what is decided by the survivor rule ([`super::decide`]), which compares sets of shingles
//! made of the stored words, or by single link ([`super::stars`], [`super::link`]). The texts
//! themselves are not read. One task does the step.
//!
//! All of it is sorting and merging of rows that spill ([`crate::external_sort`]), and tables of
//! which memory holds a part ([`crate::row_table`]): memory does not grow with the corpus. On disk
//! it takes at its height 16 bytes for each pair of candidates of a small bucket and bucket of a
//! candidate, and 24 a candidate.

use std::path::{Path, PathBuf};

use super::Shape;
use super::board::Board;
use super::copies::Copies;
use super::corpus::{Entries, Words};
use super::decide::{Decided, decide};
use super::edges::{self, Edges};
use super::groups::Groups;
use super::jaccard::Threshold;
use super::keep::Keep;
use super::link::{Signing, link};
use super::places::{Places, find_places};
use super::sets::Sets;
use super::signature::Permutations;
use super::signed_corpus::SignedCorpus;
use super::stars;
use super::text_key::TextKey;
use super::unit_file::{SignedUnit, Status, open_all};
use super::verdicts::{Kind, Loss, Summary, Verdict, VerdictWriter};
use crate::control::Control;
use crate::external_sort::{ExternalSorter, Sorted};
use crate::input::shares::AGENT_KINDS;
use crate::pipeline::Limits;
use crate::{Error, Result};

/// What the step works on.
#[derive(Clone, Debug)]
pub struct Options {
    /// How texts are compared.
    pub shape: Shape,
    /// What makes two records equal.
    pub key: TextKey,
    /// What `sign` made the keys of the order by.
    pub keep: Keep,
    /// Least true similarity at which a record falls; `None`: single link, nothing is confirmed.
    pub threshold: Option<f64>,
    /// Most near-duplicates that fall to one survivor.
    pub max_cluster: u32,
    /// Marks the files of this run.
    pub fingerprint: u64,
    /// Signatures of all units.
    pub signatures: Vec<PathBuf>,
    /// Buckets of all bands.
    pub buckets: Vec<PathBuf>,
    /// Records of equal text.
    pub texts: Vec<PathBuf>,
    /// The file to write.
    pub output: PathBuf,
    /// Threads that compare.
    pub workers: usize,
    /// Bytes of memory that it may take.
    pub memory_bytes: usize,
}

/// Decides every record and writes the verdicts.
///
/// # Errors
/// `Corrupt` when an intermediate file is damaged or of another run; `Io`; `Interrupted`.
pub fn connect(options: &Options, control: &Control) -> Result<()> {
    let units = open_all(&options.signatures, options.fingerprint)?;
    let corpus = SignedCorpus::new(&units);
    let share = options.memory_bytes / 4;
    let plan = Plan {
        words: &corpus,
        shape: options.shape,
        key: options.key,
        threshold: options.threshold.map(Threshold::new).transpose()?,
        max_cluster: options.max_cluster,
        limits: Limits { workers: options.workers, budget_bytes: share },
        beside: &options.output,
        control,
    };
    let texts = members(&options.texts, options, share, control)?;
    let buckets = || members(&options.buckets, options, share, control);
    let (rows, summary) = plan.fates(texts, buckets, &mut corpus.walk())?;
    write(rows, &units, summary, options, control)
}

/// How records are connected, whatever they are read from.
struct Plan<'a, W> {
    words: &'a W,
    shape: Shape,
    key: TextKey,
    /// `None`: single link.
    threshold: Option<Threshold>,
    max_cluster: u32,
    /// A quarter of the memory: a sorter, or what a thread has in flight.
    limits: Limits,
    beside: &'a Path,
    control: &'a Control,
}

impl<W: Words> Plan<'_, W> {
    /// Decides every record, given rows (record, group) of equal texts and of buckets.
    ///
    /// Returns rows (record, kind, survivor, estimated, true similarity) of all that are in a
    /// cluster, and a summary without sources.
    fn fates(
        &self,
        texts: Sorted<2>,
        buckets: impl FnOnce() -> Result<Sorted<2>>,
        entries: &mut impl Entries,
    ) -> Result<(Sorted<5>, Summary)> {
        let (beside, share) = (self.beside, self.limits.budget_bytes);
        let copies = Copies::find(texts, entries, beside, share, self.control)?;
        let (places, members) =
            find_places(buckets()?, &copies, entries, beside, share, self.control)?;
        let mut summary = Summary::default();
        let decided = match self.threshold {
            Some(threshold) => self.decide(places, members, threshold, &mut summary)?,
            None => self.link(places, members, &mut summary)?,
        };
        summary.full_clusters = decided.full_clusters;
        Ok((combine(decided, &copies, self.key, beside, share, self.control)?, summary))
    }

    fn decide(
        &self,
        places: Places,
        members: Sorted<2>,
        threshold: Threshold,
        summary: &mut Summary,
    ) -> Result<Decided> {
        let (beside, share) = (self.beside, self.limits.budget_bytes);
        let edges = edges::pairs(members, beside, share, self.control)?;
        note(&edges, summary);
        let board = Board::new(places, edges.large, self.max_cluster, beside, share / 4)?;
        let sets = Sets::new(self.words, self.shape.ngram_size, self.permutations(), share);
        decide(edges.rows, board, &sets, threshold, self.limits, beside, self.control)
    }

    fn link(&self, places: Places, members: Sorted<2>, summary: &mut Summary) -> Result<Decided> {
        let (beside, share) = (self.beside, self.limits.budget_bytes);
        let edges = edges::links(members, beside, share, self.control)?;
        note(&edges, summary);
        let centres = stars::centres(edges.rows, beside, share, self.control)?;
        let permutations = &self.permutations();
        let ngram_size = self.shape.ngram_size;
        let signing = Signing { words: self.words, ngram_size, permutations };
        link(centres, places, &signing, self.max_cluster, self.limits, beside, self.control)
    }

    fn permutations(&self) -> Permutations {
        Permutations::new(self.shape.num_permutations(), self.shape.seed)
    }
}

fn note(edges: &Edges, summary: &mut Summary) {
    summary.giant_buckets = edges.giant;
    summary.largest_bucket = edges.largest;
}

/// Returns rows (record, number of its group) of all groups of the files.
fn members(
    paths: &[PathBuf],
    options: &Options,
    memory_bytes: usize,
    control: &Control,
) -> Result<Sorted<2>> {
    let mut rows = ExternalSorter::new(&options.output, memory_bytes);
    let mut number = 0;
    for path in paths {
        let groups = Groups::open(path, options.fingerprint)?;
        let mut groups = groups.cursor()?;
        while groups.next_group()?.is_some() {
            control.check()?;
            while let Some(record) = groups.next_member()? {
                rows.push([record, number])?;
            }
            number += 1;
        }
    }
    rows.finish()
}

/// Joins exact and near duplicates; a copy shares the fate of the record that keeps its text, or
/// falls to its heir ([`super::copies`]).
///
/// Returns rows (record, kind, survivor, estimated, true similarity) of all that are in a cluster.
fn combine(
    decided: Decided,
    copies: &Copies,
    key: TextKey,
    beside: &Path,
    memory_bytes: usize,
    control: &Control,
) -> Result<Sorted<5>> {
    let mut by_keeper = ExternalSorter::<3>::new(beside, memory_bytes);
    let mut copies = copies.read()?;
    while let Some([copy, keeper, after]) = copies.head() {
        by_keeper.push([keeper, copy, after])?;
        copies.advance()?;
    }
    let mut by_keeper = by_keeper.finish()?;
    let mut falls = decided.falls;
    let mut rows = Rows(ExternalSorter::new(beside, memory_bytes));
    while let Some([keeper, copy, after]) = by_keeper.take()? {
        control.check()?;
        while let Some([record, fate @ ..]) = falls.head().filter(|fall| fall[0] < keeper) {
            rows.push(record, Kind::Near, fate)?;
            falls.advance()?;
        }
        let jaccard = key.jaccard().unwrap_or(f64::NAN);
        let same = |survivor| [survivor, 1_f64.to_bits(), jaccard.to_bits()];
        let fate = match falls.head().filter(|fall| fall[0] == keeper) {
            None => same(keeper),
            Some([_, fate @ ..]) if after == keeper => fate,
            Some(_) if after == copy => continue, // it stays
            Some(_) => same(after),
        };
        rows.push(copy, key.kind(), fate)?;
    }
    while let Some([record, fate @ ..]) = falls.take()? {
        control.check()?;
        rows.push(record, Kind::Near, fate)?;
    }
    drop((by_keeper, falls));
    rows.0.finish()
}

/// Rows of all that are in a cluster.
struct Rows(ExternalSorter<5>);

impl Rows {
    /// Adds one that falls, and its survivor: survivor, estimated and true similarity.
    fn push(&mut self, record: u64, kind: Kind, fate: [u64; 3]) -> Result<()> {
        let [survivor, estimated, jaccard] = fate;
        self.0.push([record, kind as u64, survivor, estimated, jaccard])?;
        let same = 1_f64.to_bits();
        self.0.push([survivor, Kind::Survivor as u64, survivor, same, same])
    }
}

/// Writes the verdicts, and what each source loses.
fn write(
    mut rows: Sorted<5>,
    units: &[SignedUnit],
    mut summary: Summary,
    options: &Options,
    control: &Control,
) -> Result<()> {
    let mut writer = VerdictWriter::create(&options.output, options.fingerprint)?;
    let mut unit_start = 0;
    for unit in units {
        control.check()?;
        let shares = unit.summary()?.shares;
        let mut losses = vec![Loss::default(); shares.len()];
        for block in unit.blocks()? {
            let (first, entries) = block?;
            for (record, entry) in (unit_start + first..).zip(entries) {
                let Some(loss) = losses.get_mut(entry.share as usize) else { continue };
                if entry.status == Status::Record {
                    loss.records += 1;
                    summary.with_keep_number += u64::from(options.keep.has_number(entry.keep_key));
                }
                let Some(verdict) = rows.head().filter(|row| row[0] == record).map(verdict) else {
                    continue;
                };
                loss.exact += u64::from(matches!(verdict.kind, Kind::Exact | Kind::Url));
                loss.near += u64::from(verdict.kind == Kind::Near);
                writer.push(&verdict)?;
                rows.advance()?;
            }
        }
        for ((source, kind), mut loss) in shares.into_iter().zip(losses) {
            if AGENT_KINDS.contains(&kind.as_str()) {
                loss.agent_records = loss.records;
                loss.agent_fallen = loss.exact + loss.near;
            }
            summary.sources.entry(source).or_default().add(loss);
        }
        unit_start += unit.records();
    }
    if let Some([record, ..]) = rows.head() {
        // A verdict that no entry took would be missing from the survivors, unseen.
        return Err(Error::Argument(format!(
            "expected verdicts on {unit_start} records, ascending, one has its turn no more: \
             record {record}; this is an error of preprocess itself, please report it"
        )));
    }
    writer.finish(&summary)
}

fn verdict([record, kind, survivor, estimated, jaccard]: [u64; 5]) -> Verdict {
    let jaccard = f64::from_bits(jaccard);
    Verdict {
        record,
        survivor,
        estimated: f64::from_bits(estimated),
        jaccard: (!jaccard.is_nan()).then_some(jaccard),
        kind: Kind::of(kind),
    }
}

#[cfg(test)]
mod tests;
