//! The refusal of an id that two records have.

use std::borrow::Cow;
use std::collections::HashMap;

use super::groups::Sink;
use super::unit_file::SignedUnit;
use crate::{Error, Result};

/// Looks through groups of records whose ids hash alike; those that differ are no twins.
pub(super) struct Twins<'a> {
    units: &'a [SignedUnit],
    seen: HashMap<String, u64>,
}

impl<'a> Twins<'a> {
    pub(super) fn new(units: &'a [SignedUnit]) -> Self {
        Self { units, seen: HashMap::new() }
    }

    /// Returns the unit that a record is in, and its line there.
    fn find(&self, record: u64) -> Result<(&SignedUnit, u64)> {
        let mut line = record;
        for unit in self.units {
            if line < unit.records() {
                return Ok((unit, line));
            }
            line -= unit.records();
        }
        Err(Error::Argument(format!("expected a record of the input, got number {record}")))
    }

    /// Says where a record stands: its file and its line.
    fn place(&self, record: u64) -> Result<String> {
        let (unit, mut line) = self.find(record)?;
        for file in unit.summary()?.files {
            if line < file.records {
                return Ok(format!("{} (record {line})", file.path));
            }
            line -= file.records;
        }
        Ok(format!("record {record}"))
    }
}

impl Sink for Twins<'_> {
    fn begin(&mut self, _: u64) -> Result<()> {
        self.seen.clear();
        Ok(())
    }

    fn member(&mut self, record: u64) -> Result<()> {
        let (unit, line) = self.find(record)?;
        let id = unit.id(line)?;
        if let Some(&earlier) = self.seen.get(&id) {
            return Err(Error::Argument(format!(
                "expected every id once, {} occurs in {} and in {}; give each input once, or \
                 make the ids unique",
                shown(&id),
                self.place(earlier)?,
                self.place(record)?,
            )));
        }
        self.seen.insert(id, record);
        Ok(())
    }
}

/// Characters of an id that a message shows.
const SHOWN: usize = 100;

/// Returns an id as a message shows it: of a long one the beginning.
fn shown(id: &str) -> Cow<'_, str> {
    match id.char_indices().nth(SHOWN) {
        Some((end, _)) => Cow::Owned(format!("{}...", &id[..end])),
        None => Cow::Borrowed(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_id_is_shown_in_part() {
        assert_eq!(shown("a/é#1"), "a/é#1");
        let long = "é".repeat(SHOWN);
        assert_eq!(shown(&long), long);
        assert_eq!(shown(&format!("{long}b")), format!("{long}..."));
    }
}
