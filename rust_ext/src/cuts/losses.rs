//! How much of its text each source of agent data loses to cuts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::file::{CutCursor, Cuts};
use crate::Result;
use crate::control::Control;
use crate::input::shares::AGENT_KINDS;
use crate::minhash::unit_file::{SignedUnit, Status, open_all};

/// What a source loses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TextLoss {
    /// Its records of agent data, readable and with text.
    pub records: u64,
    /// Bytes of their text.
    pub text_bytes: u64,
    /// Those of them that are cut.
    pub cut_bytes: u64,
}

/// Returns what each source of agent data loses.
///
/// # Errors
/// `Corrupt` when a file is damaged or of another run; `Io`; `Interrupted`.
pub fn text_losses(
    cuts: &Path,
    signatures: &[PathBuf],
    fingerprint: u64,
    control: &Control,
) -> Result<BTreeMap<String, TextLoss>> {
    let units = open_all(signatures, fingerprint)?;
    let cuts = Cuts::open(cuts, fingerprint)?;
    let mut cuts = cuts.starting_at(0)?;
    let mut losses = BTreeMap::<String, TextLoss>::new();
    let mut first = 0;
    for unit in &units {
        let of_unit = losses_of(unit, first, &mut cuts, control)?;
        for ((source, kind), loss) in unit.summary()?.shares.into_iter().zip(of_unit) {
            if AGENT_KINDS.contains(&kind.as_str()) {
                let sum = losses.entry(source).or_default();
                sum.records += loss.records;
                sum.text_bytes += loss.text_bytes;
                sum.cut_bytes += loss.cut_bytes;
            }
        }
        first += unit.records();
    }
    Ok(losses)
}

/// Returns what each share of a unit loses, whose first record has this number.
fn losses_of(
    unit: &SignedUnit,
    first: u64,
    cuts: &mut CutCursor<'_>,
    control: &Control,
) -> Result<Vec<TextLoss>> {
    let mut losses = vec![TextLoss::default(); unit.summary()?.shares.len()];
    for block in unit.blocks()? {
        control.check()?;
        let (line, entries) = block?;
        for (record, entry) in (first + line..).zip(&entries) {
            let cuts = cuts.take_of(record)?.unwrap_or_default();
            let Some(loss) = losses.get_mut(entry.share as usize) else { continue };
            if entry.status == Status::Record {
                loss.records += 1;
                loss.text_bytes += entry.text_bytes;
                loss.cut_bytes +=
                    cuts.iter().map(|cut| u64::from(cut.end - cut.start)).sum::<u64>();
            }
        }
    }
    Ok(losses)
}
