//! The step `connect`: from buckets to the verdict on every record that is in a cluster.
//!
//! Records of equal text fall first: of each text only the first record goes on. The rest is
//! decided by the survivor rule ([`super::cluster`]), for which the texts of records that share a
//! bucket, and only those, are read once more, in the order of the input. One task does the step.
//!
//! Memory: 1 byte a record; 16 bytes and 4 for each bucket a candidate; the shingles and the
//! signature of each survivor whose buckets are still open; the slots of one unit.

use std::collections::HashMap;
use std::path::PathBuf;

use super::LINE_WEIGHT;
use super::Shape;
use super::cluster::{Buckets, Candidates, Decider, Fall, single_link};
use super::shingle;
use super::signature::{EMPTY_SLOT, Permutations, estimate};
use super::unit_file::{LineReader, SignedUnit, open_all};
use super::verdicts::{self, Kind, Verdict};
use super::words::Scanner;
use crate::control::Control;
use crate::input::{InputFile, Job, Scratch, UnitReader, fields};
use crate::pipeline::{self, Limits, Weigh};
use crate::{Error, Result};

/// What the step works on.
#[derive(Clone, Debug)]
pub struct Options {
    /// How texts are compared.
    pub shape: Shape,
    /// Least true similarity at which a record falls; `None`: single link, nothing is confirmed.
    pub threshold: Option<f64>,
    /// Marks the files of this run.
    pub fingerprint: u64,
    /// Signatures of all units.
    pub signatures: Vec<PathBuf>,
    /// Buckets of all bands, then those of the texts.
    pub buckets: Vec<PathBuf>,
    /// The file to write.
    pub output: PathBuf,
    /// Threads that cut texts.
    pub workers: usize,
    /// Bytes that lines in flight may take, and a single one.
    pub memory_bytes: usize,
}

/// Decides every record and writes the verdicts.
///
/// # Errors
/// `Corrupt` when an intermediate file is damaged or of another run, or an input has changed since
/// it was signed; `Io`; `Interrupted`.
pub fn connect(units: &[Vec<InputFile>], options: &Options, control: &Control) -> Result<()> {
    let signed = open_all(&options.signatures, options.fingerprint)?;
    let records: u64 = signed.iter().map(SignedUnit::records).sum();
    let Some((texts, bands)) = options.buckets.split_last() else {
        return Err(Error::Argument("expected the buckets of the bands and of the texts".into()));
    };
    let copies = copies(&Buckets::read(texts, options.fingerprint)?);
    let mut is_copy = vec![false; usize::try_from(records).unwrap_or(usize::MAX)];
    for &(record, _) in &copies {
        is_copy[index(record)] = true;
    }
    let bands = bands.iter().map(|path| Buckets::read(path, options.fingerprint));
    let candidates = Candidates::gather(bands, |record| is_copy[index(record)])?;
    drop(is_copy);
    let falls = match options.threshold {
        Some(threshold) => {
            let decider = Decider::new(&candidates, threshold);
            confirm(units, &signed, &candidates, decider, options, control)?
        }
        None => link(&signed, &candidates, options.shape, control)?,
    };
    verdicts::write(&options.output, options.fingerprint, &combine(&copies, &falls))
}

fn index(record: u64) -> usize {
    usize::try_from(record).unwrap_or(usize::MAX)
}

/// Returns every record whose text an earlier one has, with the first that has it; ascending.
fn copies(texts: &Buckets) -> Vec<(u64, u64)> {
    let mut copies: Vec<(u64, u64)> = texts
        .iter()
        .flat_map(|bucket| bucket[1..].iter().map(|&record| (record, bucket[0])))
        .collect();
    copies.sort_unstable();
    copies
}

/// Joins exact and near duplicates; a copy shares the fate of the first record of its text.
fn combine(copies: &[(u64, u64)], falls: &[Fall]) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = falls.iter().map(|fall| verdict(*fall, Kind::Near)).collect();
    for &(record, first) in copies {
        let fall = match falls.binary_search_by_key(&first, |fall| fall.record) {
            Ok(at) => Fall { record, ..falls[at] },
            Err(_) => Fall { record, survivor: first, estimated: 1.0, jaccard: Some(1.0) },
        };
        verdicts.push(verdict(fall, Kind::Exact));
    }
    let mut survivors: Vec<u64> = verdicts.iter().map(|verdict| verdict.survivor).collect();
    survivors.sort_unstable();
    survivors.dedup();
    verdicts.extend(survivors.into_iter().map(|survivor| {
        let itself = Fall { record: survivor, survivor, estimated: 1.0, jaccard: Some(1.0) };
        verdict(itself, Kind::Survivor)
    }));
    verdicts.sort_unstable_by_key(|verdict| verdict.record);
    verdicts
}

fn verdict(fall: Fall, kind: Kind) -> Verdict {
    let Fall { record, survivor, estimated, jaccard } = fall;
    // The survivor is the first record of its cluster by either rule.
    Verdict { record, cluster: survivor, survivor, estimated, jaccard, kind }
}

/// The signatures of a unit, made again of its words.
struct Slots<'a> {
    unit: &'a SignedUnit,
    lines: LineReader<'a>,
    permutations: Permutations,
    ngram_size: usize,
}

impl<'a> Slots<'a> {
    fn of(unit: &'a SignedUnit, shape: Shape) -> Result<Self> {
        let permutations = Permutations::new(shape.num_permutations(), shape.seed);
        Ok(Self { unit, lines: unit.lines()?, permutations, ngram_size: shape.ngram_size })
    }

    fn row(&mut self, line: u64) -> Result<Vec<u32>> {
        let entry = self.lines.entry(line)?;
        let mut slots = vec![EMPTY_SLOT; self.permutations.num_permutations()];
        self.permutations.sign(&self.unit.words(&entry)?, self.ngram_size, &mut slots);
        Ok(slots)
    }
}

/// Single link: only the estimates are left to find.
fn link(
    signed: &[SignedUnit],
    candidates: &Candidates,
    shape: Shape,
    control: &Control,
) -> Result<Vec<Fall>> {
    let firsts = single_link(candidates);
    let mut waiting: HashMap<usize, usize> = HashMap::new();
    for &first in &firsts {
        *waiting.entry(first).or_default() += 1;
    }
    let mut kept: HashMap<usize, Vec<u32>> = HashMap::new();
    let mut falls = Vec::new();
    let mut unit_start = 0;
    for unit in signed {
        control.check()?;
        let here = candidates.between(unit_start, unit_start + unit.records());
        let mut slots = Slots::of(unit, shape)?;
        for at in here {
            let (record, first) = (candidates.records()[at], firsts[at]);
            let signature = slots.row(record - unit_start)?;
            if first == at {
                kept.insert(at, signature);
            } else if let Some(of_first) = kept.get(&first) {
                let estimated = estimate(of_first, &signature);
                let survivor = candidates.records()[first];
                falls.push(Fall { record, survivor, estimated, jaccard: None });
            }
            if let Some(count) = waiting.get_mut(&first) {
                *count -= 1;
                if *count == 0 {
                    kept.remove(&first);
                }
            }
        }
        unit_start += unit.records();
    }
    Ok(falls)
}

/// Lines of a unit, the candidates among them by index, and the number of the unit's first record.
struct Candidate {
    job: Job,
    unit: usize,
    unit_start: u64,
    indices: std::ops::Range<usize>,
}

impl Weigh for Candidate {
    fn weight(&self) -> usize {
        self.job.weight()
    }
}

/// Decides by true similarity, reading the texts of the candidates.
fn confirm(
    units: &[Vec<InputFile>],
    signed: &[SignedUnit],
    candidates: &Candidates,
    mut decider: Decider<'_>,
    options: &Options,
    control: &Control,
) -> Result<Vec<Fall>> {
    let sizes: Vec<u64> = signed.iter().map(SignedUnit::records).collect();
    let files = signed.iter().map(SignedUnit::summary).collect::<Result<Vec<_>>>()?;
    let mut reader = CandidateReader {
        candidates,
        units,
        sizes: &sizes,
        max_line_bytes: options.memory_bytes,
        check: |unit: usize, reader: &UnitReader<'_>| reader.check_unchanged(&files[unit].files),
        current: None,
        next_unit: 0,
        unit_start: 0,
    };
    let mut slots_of_unit: Option<(usize, Slots<'_>)> = None;
    let limits = Limits { workers: options.workers, budget_bytes: options.memory_bytes };
    pipeline::run(
        limits,
        control,
        || reader.next(),
        Scanner::new,
        |scanner, candidate: Candidate| {
            sets(candidates, &candidate, options.shape.ngram_size, scanner)
        },
        |(unit, unit_start, sets)| {
            let slots = match slots_of_unit.take().filter(|(of, _)| *of == unit) {
                Some(slots) => slots,
                None => (unit, Slots::of(&signed[unit], options.shape)?),
            };
            let (_, slots) = slots_of_unit.insert(slots);
            for (at, set, text_bytes) in sets {
                decider.decide(at, set, slots.row(candidates.records()[at] - unit_start)?);
                control.advance(1, text_bytes);
            }
            Ok(())
        },
    )?;
    Ok(decider.finish())
}

/// Unit, number of its first record; index, shingles and bytes of text of each candidate.
type Sets = (usize, u64, Vec<(usize, Vec<u64>, u64)>);

impl Weigh for Sets {
    fn weight(&self) -> usize {
        self.2.iter().map(|(_, set, _)| set.capacity() * size_of::<u64>()).sum()
    }
}

fn sets(
    candidates: &Candidates,
    of: &Candidate,
    ngram_size: usize,
    scanner: &mut Scanner,
) -> Result<Sets> {
    let batch = &of.job.batch;
    let mut words = Vec::new();
    let mut sets = Vec::with_capacity(of.indices.len());
    let mut scratch = Scratch::default();
    for at in of.indices.clone() {
        let line = candidates.records()[at] - of.unit_start - of.job.first_line;
        let fields = fields::parse(batch, &batch.lines[index(line)], "text", &mut scratch);
        let fields = fields.map_err(|fault| {
            Error::Argument(format!(
                "expected record {line} of a batch as it was signed, found {}; an input changed, \
                 run again into a new directory",
                fault.reason()
            ))
        })?;
        words.clear();
        scanner.scan(fields.text, &mut words);
        sets.push((at, shingle::set64(&words, ngram_size), fields.text.len() as u64));
    }
    Ok((of.unit, of.unit_start, sets))
}

/// The units that hold candidates, as one stream.
struct CandidateReader<'a, C> {
    candidates: &'a Candidates,
    units: &'a [Vec<InputFile>],
    sizes: &'a [u64],
    max_line_bytes: usize,
    /// Checks that a unit's files are as they were signed.
    check: C,
    current: Option<UnitReader<'a>>,
    next_unit: usize,
    unit_start: u64,
}

impl<C: FnMut(usize, &UnitReader<'_>) -> Result<()>> CandidateReader<'_, C> {
    fn next(&mut self) -> Result<Option<Candidate>> {
        loop {
            let Some(reader) = &mut self.current else {
                let Some(files) = self.units.get(self.next_unit) else { return Ok(None) };
                let end = self.unit_start + self.sizes[self.next_unit];
                if self.candidates.between(self.unit_start, end).is_empty() {
                    self.unit_start = end;
                } else {
                    self.current = Some(UnitReader::new(files, self.max_line_bytes, LINE_WEIGHT));
                }
                self.next_unit += 1;
                continue;
            };
            let unit = self.next_unit - 1;
            let Some(job) = reader.next_job()? else {
                (self.check)(unit, reader)?;
                self.unit_start += self.sizes[unit];
                self.current = None;
                continue;
            };
            let first = self.unit_start + job.first_line;
            let indices = self.candidates.between(first, first + job.batch.lines.len() as u64);
            if !indices.is_empty() {
                let unit_start = self.unit_start;
                return Ok(Some(Candidate { job, unit, unit_start, indices }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_share_the_fate_of_the_first_record_of_their_text() {
        let texts = Buckets { sizes: vec![3, 2], members: vec![2, 5, 7, 1, 4] };
        let copies = copies(&texts);
        assert_eq!(copies, [(4, 1), (5, 2), (7, 2)]);
        let falls = [Fall { record: 2, survivor: 0, estimated: 0.9, jaccard: Some(0.85) }];
        let found: Vec<_> = combine(&copies, &falls)
            .into_iter()
            .map(|v| (v.record, v.survivor, v.kind.name(), v.jaccard))
            .collect();
        assert_eq!(
            found,
            [
                (0, 0, "survivor", Some(1.0)),
                (1, 1, "survivor", Some(1.0)),
                (2, 0, "near", Some(0.85)),
                (4, 1, "exact", Some(1.0)),
                (5, 0, "exact", Some(0.85)),
                (7, 0, "exact", Some(0.85)),
            ]
        );
    }
}
