//! The cuts of a run in one file, from files that each have some of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};

use super::file::{CutCursor, CutWriter, Cuts};
use crate::Result;
use crate::control::Control;
use crate::minhash::verdicts::{Kind, VerdictCursor, Verdicts};

/// Records that fall as copies of others; of them nothing is cut.
///
/// Nor does a cut name one: what a copy has, the record that it fell to has earlier.
pub struct Copies<'a> {
    verdicts: VerdictCursor<'a>,
}

impl<'a> Copies<'a> {
    /// Begins before the first record.
    ///
    /// # Errors
    /// `Corrupt` when the verdicts are damaged; `Io`.
    pub fn new(verdicts: &'a Verdicts) -> Result<Self> {
        Ok(Self { verdicts: verdicts.starting_at(0)? })
    }

    /// Returns whether a record is one of them; records are asked for in ascending order.
    ///
    /// # Errors
    /// `Corrupt` when the verdicts are damaged; `Io`.
    pub fn has(&mut self, record: u64) -> Result<bool> {
        while self.verdicts.head().is_some_and(|verdict| verdict.record < record) {
            self.verdicts.advance()?;
        }
        let here = self.verdicts.head().filter(|verdict| verdict.record == record);
        Ok(here.is_some_and(|verdict| verdict.kind != Kind::Survivor))
    }
}

/// Merges files of cuts into `output`, those of copies left out.
///
/// # Errors
/// `Corrupt` when a file is damaged or of another run; `Io`; `Interrupted`.
pub fn gather(
    parts: &[PathBuf],
    verdicts: &Path,
    fingerprint: u64,
    output: &Path,
    control: &Control,
) -> Result<()> {
    let verdicts = Verdicts::open(verdicts, fingerprint)?;
    let mut copies = Copies::new(&verdicts)?;
    let parts: Vec<Cuts> =
        parts.iter().map(|path| Cuts::open(path, fingerprint)).collect::<Result<_>>()?;
    let mut parts: Vec<CutCursor<'_>> =
        parts.iter().map(|part| part.starting_at(0)).collect::<Result<_>>()?;
    let heads = parts.iter().enumerate();
    let mut heads: BinaryHeap<_> =
        heads.filter_map(|(number, part)| Some(Reverse((*part.head()?, number)))).collect();
    let mut writer = CutWriter::create(output, fingerprint)?;
    while let Some(Reverse((cut, number))) = heads.pop() {
        control.check()?;
        if !copies.has(cut.record)? {
            writer.push(&cut)?;
        }
        parts[number].take()?;
        heads.extend(parts[number].head().map(|&next| Reverse((next, number))));
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::super::Cut;
    use super::*;
    use crate::minhash::verdicts::{Summary, Verdict, VerdictWriter};

    #[test]
    fn parts_are_merged_in_order_without_the_cuts_of_copies() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let mut verdicts = VerdictWriter::create(&path("verdicts"), 1).unwrap();
        for (record, kind) in [(2, Kind::Survivor), (5, Kind::Exact), (9, Kind::Exact)] {
            let verdict = Verdict { record, survivor: 2, estimated: 1.0, jaccard: None, kind };
            verdicts.push(&verdict).unwrap();
        }
        verdicts.finish(&Summary::default()).unwrap();
        let cut = |(record, start)| Cut { record, start, end: 9, survivor: 0, survivor_start: 0 };
        let parts = [&[(2, 5), (5, 0), (7, 3)][..], &[], &[(2, 1), (2, 8), (9, 0), (10, 0)]];
        let mut paths = Vec::new();
        for (number, cuts) in parts.into_iter().enumerate() {
            paths.push(path(&format!("part-{number}")));
            let mut writer = CutWriter::create(&paths[number], 1).unwrap();
            for &of in cuts {
                writer.push(&cut(of)).unwrap();
            }
            writer.finish().unwrap();
        }
        gather(&paths, &path("verdicts"), 1, &path("cuts"), &Control::default()).unwrap();
        let found = Cuts::open(&path("cuts"), 1).unwrap();
        let found = found.starting_at(0).unwrap().take_before(u64::MAX).unwrap();
        assert_eq!(found, [(2, 1), (2, 5), (2, 8), (7, 3), (10, 0)].map(cut));
    }
}
