//! Which windows of a text stand earlier in it, and where first.
//!
//! A window is `length` bytes that hold no [`SEPARATOR`]. Windows that are equal stand together in
//! the suffix array, so that two passes over a run of them give the first. A pair of neighbours is
//! compared by its bytes, `length` at most, which needs no memory, where the usual array of common
//! prefixes would need as much as the suffix array.

use std::thread;

use memchr::memchr;

use super::suffixes::Position;
use crate::Result;
use crate::control::Control;

/// Stands behind each text; no UTF-8 has it.
pub(super) const SEPARATOR: u8 = 0xff;

/// The text is gone through in so many parts: what is known of its windows takes an eighth of what
/// the suffix array takes.
const PARTS: usize = 8;

/// A window, and the first one that equals it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    /// Where it begins.
    pub(super) at: usize,
    /// Where the first one does, which ends at `at` or before it.
    pub(super) first: usize,
}

/// Calls `take` with each window that the first one equal to it does not overlap, that one left
/// out; ascending.
///
/// # Errors
/// `Argument` where there is too little memory for the suffix array; `Interrupted`.
pub(super) fn each_repeat<P: Position>(
    text: &[u8],
    length: usize,
    workers: usize,
    control: &Control,
    mut take: impl FnMut(Repeat),
) -> Result<()> {
    let suffixes = P::sort_suffixes(text)?;
    control.check()?;
    let is_equal = equal_neighbours(text, length, &suffixes, workers, control)?;
    let part_bytes = text.len().div_ceil(PARTS).max(1);
    let mut firsts = vec![P::NONE; part_bytes];
    for start in (0..text.len()).step_by(part_bytes) {
        firsts.fill(P::NONE);
        each_run(&suffixes, &is_equal, |run| {
            let Some(&first) = run.iter().min() else { return };
            for &at in run {
                let offset = at.index().wrapping_sub(start);
                if offset < part_bytes && first.index() + length <= at.index() {
                    firsts[offset] = first;
                }
            }
        });
        control.check()?;
        for (at, first) in (start..).zip(&firsts) {
            if *first != P::NONE {
                take(Repeat { at, first: first.index() });
            }
        }
    }
    Ok(())
}

/// A bit for each suffix: whether its window equals that of the suffix before it.
fn equal_neighbours<P: Position>(
    text: &[u8],
    length: usize,
    suffixes: &[P],
    workers: usize,
    control: &Control,
) -> Result<Vec<u64>> {
    const BITS: usize = u64::BITS as usize;
    let mut words = vec![0_u64; suffixes.len().div_ceil(BITS)];
    let share = words.len().div_ceil(workers.max(1)).max(1);
    thread::scope(|scope| {
        for (number, words) in words.chunks_mut(share).enumerate() {
            scope.spawn(move || {
                for (word, rank) in words.iter_mut().zip((number * share * BITS..).step_by(BITS)) {
                    if control.check().is_err() {
                        return;
                    }
                    let end = suffixes.len().min(rank + BITS);
                    let before = rank.saturating_sub(1);
                    let pairs = suffixes[before..end].windows(2);
                    for (bit, pair) in (usize::from(rank == 0)..).zip(pairs) {
                        let is_equal = are_equal(text, length, pair[0], pair[1]);
                        *word |= u64::from(is_equal) << bit;
                    }
                }
            });
        }
    });
    control.check().map(|()| words)
}

fn are_equal<P: Position>(text: &[u8], length: usize, one: P, other: P) -> bool {
    let window = |at: P| text.get(at.index()..)?.get(..length);
    match (window(one), window(other)) {
        (Some(one), Some(other)) => one == other && memchr(SEPARATOR, one).is_none(),
        _ => false,
    }
}

/// Calls `take` with each run of two and more suffixes whose windows are equal.
fn each_run<P: Position>(suffixes: &[P], is_equal: &[u64], mut take: impl FnMut(&[P])) {
    let mut rank = 0;
    while let Some(second) = find_bit(is_equal, rank, true).filter(|&at| at < suffixes.len()) {
        rank = find_bit(is_equal, second, false).unwrap_or(usize::MAX).min(suffixes.len());
        take(&suffixes[second - 1..rank]);
    }
}

/// Returns the next bit from `from` on that is `wanted`.
fn find_bit(words: &[u64], from: usize, wanted: bool) -> Option<usize> {
    let flip = if wanted { 0 } else { u64::MAX };
    let mut number = from / 64;
    let mut word = (words.get(number)? ^ flip) & u64::MAX << (from % 64);
    while word == 0 {
        number += 1;
        word = words.get(number)? ^ flip;
    }
    Some(number * 64 + word.trailing_zeros() as usize)
}
