//! What has been decided so far: who takes others, how many each took, and who leads a bucket.

use std::path::Path;

use super::corpus::WordsAt;
use super::edges::{LEADERS, Neighbour};
use super::places::Places;
use crate::Result;
use crate::row_table::RowTable;

/// Set for a candidate that takes nobody, or nobody any more; else the number of those that it took.
const TAKES_NOBODY: u32 = 1 << 31;

/// Leaders of a large bucket: their number, and their places, ascending.
const LEADERS_BYTES: usize = 8 * (1 + LEADERS);

/// Decisions on candidates, by place. What was not decided yet takes others.
#[derive(Debug)]
pub(super) struct Board {
    places: Places,
    states: RowTable,
    leaders: RowTable,
    /// Most that a survivor takes.
    max_cluster: u32,
    full: u64,
}

impl Board {
    /// Begins with nothing decided, and `large` buckets without leaders.
    ///
    /// # Errors
    /// `Io` when a table needs a file that cannot be made.
    pub(super) fn new(
        places: Places,
        large: u64,
        max_cluster: u32,
        beside: &Path,
        memory_bytes: usize,
    ) -> Result<Self> {
        let states = RowTable::new(beside, size_of::<u32>(), places.len(), memory_bytes)?;
        let leaders = RowTable::new(beside, LEADERS_BYTES, large, memory_bytes)?;
        let max_cluster = max_cluster.min(TAKES_NOBODY - 1);
        Ok(Self { places, states, leaders, max_cluster, full: 0 })
    }

    /// Returns how many survivors took as many as they may.
    pub(super) fn full(&self) -> u64 {
        self.full
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
                    earlier.extend(places(self.leaders.row(bucket)?));
                    is_mixed = true;
                }
            }
        }
        if is_mixed {
            earlier.sort_unstable();
            earlier.dedup();
            self.drop_full(earlier)?;
        }
        Ok(())
    }

    /// Drops those that take nobody any more.
    fn drop_full(&mut self, places: &mut Vec<u64>) -> Result<()> {
        let mut kept = 0;
        for at in 0..places.len() {
            if self.state(places[at])? & TAKES_NOBODY == 0 {
                places[kept] = places[at];
                kept += 1;
            }
        }
        places.truncate(kept);
        Ok(())
    }

    /// Makes a survivor a leader of its large buckets, as long as they have few that take others.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn lead(&mut self, place: u64, neighbours: &[u64]) -> Result<()> {
        for &number in neighbours {
            let Neighbour::Bucket(bucket) = Neighbour::of(number) else { continue };
            let mut leaders: Vec<u64> = places(self.leaders.row(bucket)?).collect();
            if leaders.len() == LEADERS {
                // Those that are full make room, so that a bucket never runs out of takers.
                self.drop_full(&mut leaders)?;
            }
            if leaders.len() < LEADERS {
                leaders.push(place);
                let row = self.leaders.row_mut(bucket)?.as_chunks_mut::<8>().0;
                let numbers = std::iter::once(leaders.len() as u64).chain(leaders);
                for (to, number) in row.iter_mut().zip(numbers) {
                    *to = number.to_le_bytes();
                }
            }
        }
        Ok(())
    }

    /// Lets `survivor`, which takes others, take one more: the last one if it is full then.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn take(&mut self, survivor: u64) -> Result<()> {
        let taken = self.state(survivor)? + 1;
        let is_full = taken >= self.max_cluster;
        self.full += u64::from(is_full);
        self.set(survivor, if is_full { TAKES_NOBODY } else { taken })
    }

    /// Notes that a candidate takes nobody: it fell.
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

/// Returns the places of leaders.
fn places(row: &[u8]) -> impl Iterator<Item = u64> {
    let mut words = row.as_chunks::<8>().0.iter().map(|&word| u64::from_le_bytes(word));
    let count = words.next().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    words.take(count)
}
