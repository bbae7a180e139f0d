//! What has been decided so far: who takes others, how many each took, and who leads a bucket.

use std::path::Path;

use super::corpus::WordsAt;
use super::edges::{LEADERS, Neighbour};
use super::places::Places;
use crate::Result;
use crate::row_table::RowTable;

/// Set for a candidate that takes nobody; else the number of those that it took.
const TAKES_NOBODY: u32 = 1 << 31;

/// Leaders of a large bucket: their number, and their places.
const LEADERS_BYTES: usize = 8 * (1 + LEADERS);

/// Decisions on candidates, by place. What was not decided yet takes others.
#[derive(Debug)]
pub(super) struct Board {
    places: Places,
    states: RowTable,
    leaders: RowTable,
}

impl Board {
    /// Begins with nothing decided, and `large` buckets without leaders.
    ///
    /// # Errors
    /// `Io` when a table needs a file that cannot be made.
    pub(super) fn new(
        places: Places,
        large: u64,
        beside: &Path,
        memory_bytes: usize,
    ) -> Result<Self> {
        let states = RowTable::new(beside, size_of::<u32>(), places.len(), memory_bytes)?;
        let leaders = RowTable::new(beside, LEADERS_BYTES, large, memory_bytes)?;
        Ok(Self { places, states, leaders })
    }

    /// Returns the record at a place, and where its words lie.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn at(&mut self, place: u64) -> Result<WordsAt> {
        self.places.at(place)
    }

    /// Writes to `earlier` the places, ascending, of those neighbours that take others.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn takers(&mut self, neighbours: &[u64], earlier: &mut Vec<u64>) -> Result<()> {
        earlier.clear();
        let mut is_mixed = false;
        for &number in neighbours {
            match Neighbour::of(number) {
                Neighbour::Earlier(place) => {
                    if self.state(place)? & TAKES_NOBODY == 0 {
                        earlier.push(place);
                    }
                }
                Neighbour::Bucket(bucket) => {
                    let (count, leaders) = words(self.leaders.row(bucket)?);
                    earlier
                        .extend(leaders.iter().take(count).map(|&word| u64::from_le_bytes(word)));
                    is_mixed = true;
                }
            }
        }
        if is_mixed {
            earlier.sort_unstable();
            earlier.dedup();
        }
        Ok(())
    }

    /// Makes a survivor a leader of its large buckets, as long as they have few.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn lead(&mut self, place: u64, neighbours: &[u64]) -> Result<()> {
        for &number in neighbours {
            let Neighbour::Bucket(bucket) = Neighbour::of(number) else { continue };
            let (count, _) = words(self.leaders.row(bucket)?);
            if count < LEADERS {
                let row = self.leaders.row_mut(bucket)?.as_chunks_mut::<8>().0;
                row[0] = (count as u64 + 1).to_le_bytes();
                row[1 + count] = place.to_le_bytes();
            }
        }
        Ok(())
    }

    /// Lets `survivor` take one more, unless it has `most`; returns whether it did.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn take(&mut self, survivor: u64, most: u32) -> Result<bool> {
        let taken = self.state(survivor)?;
        let has_room = taken < most.min(TAKES_NOBODY - 1);
        if has_room {
            self.set(survivor, taken + 1)?;
        }
        Ok(has_room)
    }

    /// Notes that a candidate takes nobody: it fell, or stays without being compared with.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn retire(&mut self, place: u64) -> Result<()> {
        self.set(place, TAKES_NOBODY)
    }

    fn state(&mut self, place: u64) -> Result<u32> {
        let row = self.states.row(place)?.as_chunks::<4>().0;
        Ok(row.first().map_or(0, |&word| u32::from_le_bytes(word)))
    }

    fn set(&mut self, place: u64, state: u32) -> Result<()> {
        self.states.row_mut(place)?.copy_from_slice(&state.to_le_bytes());
        Ok(())
    }
}

/// Returns the number of leaders and their places.
fn words(row: &[u8]) -> (usize, &[[u8; 8]]) {
    match row.as_chunks::<8>().0 {
        [count, leaders @ ..] => {
            (usize::try_from(u64::from_le_bytes(*count)).unwrap_or(0), leaders)
        }
        [] => (0, &[]),
    }
}
