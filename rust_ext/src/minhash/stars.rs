//! Connected components of more candidates than memory holds.
//!
//! Rounds of two operations turn any graph into stars whose centres are the first of their
//! components: *large-star* connects each later neighbour of a node with the node's first
//! neighbour, *small-star* does so with the earlier neighbours and the node itself. Both keep what
//! is connected connected; when a round changes nothing, all edges lead to centres. Each round
//! sorts the edges twice.
//!
//! Source: Kiveris, Lattanzi, Mirrokni, Rastogi and Vassilvitskii, "Connected components in
//! `MapReduce` and beyond" (2014), where O(log² n) rounds are proved to be enough.

use std::path::Path;

use super::shingle::mix_64;
use crate::Result;
use crate::control::Control;
use crate::external_sort::{ExternalSorter, Sorted};

/// Returns rows (member, centre) for every node but the centres, ascending, given rows (later,
/// earlier) in any number.
///
/// Takes three times `memory_bytes`.
///
/// # Errors
/// `Io`; `Interrupted`.
pub(super) fn centres(
    mut edges: Sorted<2>,
    beside: &Path,
    memory_bytes: usize,
    control: &Control,
) -> Result<Sorted<2>> {
    let mut before = None;
    loop {
        control.check()?;
        let mut both = ExternalSorter::new(beside, memory_bytes);
        let mut seen = Seen::default();
        while let Some([later, earlier]) = edges.take()? {
            control.check()?;
            seen.add(later, earlier);
            both.push([later, earlier])?;
            both.push([earlier, later])?;
        }
        drop(edges);
        let is_stable = before == Some(seen);
        before = Some(seen);
        let both = both.finish()?;
        if is_stable {
            return later_to_earlier(both, beside, memory_bytes, control);
        }
        let large = large_star(both, beside, memory_bytes, control)?;
        edges = small_star(large, beside, memory_bytes, control)?;
    }
}

/// A set of edges, whatever their order: their number and a sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    count: u64,
    sum: u64,
}

impl Seen {
    fn add(&mut self, later: u64, earlier: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(mix_64(mix_64(later).wrapping_add(earlier)));
    }
}

/// Takes rows (node, neighbour) of both directions.
fn large_star(
    mut both: Sorted<2>,
    beside: &Path,
    memory_bytes: usize,
    control: &Control,
) -> Result<Sorted<2>> {
    let mut star = ExternalSorter::new(beside, memory_bytes);
    while let Some([node, first]) = both.head() {
        control.check()?;
        let centre = first.min(node);
        while let Some([_, neighbour]) = both.head().filter(|row| row[0] == node) {
            if neighbour > node {
                star.push([neighbour, centre])?;
            }
            both.advance()?;
        }
    }
    drop(both);
    star.finish()
}

/// Takes rows (later, earlier).
fn small_star(
    mut edges: Sorted<2>,
    beside: &Path,
    memory_bytes: usize,
    control: &Control,
) -> Result<Sorted<2>> {
    let mut star = ExternalSorter::new(beside, memory_bytes);
    while let Some([node, centre]) = edges.take()? {
        control.check()?;
        star.push([node, centre])?;
        while let Some([_, neighbour]) = edges.head().filter(|row| row[0] == node) {
            star.push([neighbour, centre])?;
            edges.advance()?;
        }
    }
    drop(edges);
    star.finish()
}

fn later_to_earlier(
    mut both: Sorted<2>,
    beside: &Path,
    memory_bytes: usize,
    control: &Control,
) -> Result<Sorted<2>> {
    let mut rows = ExternalSorter::new(beside, memory_bytes);
    while let Some([node, neighbour]) = both.take()? {
        control.check()?;
        if neighbour < node {
            rows.push([node, neighbour])?;
        }
    }
    drop(both);
    rows.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(edges: &[(u64, u64)], memory_bytes: usize) -> Vec<[u64; 2]> {
        let directory = tempfile::tempdir().unwrap();
        let beside = directory.path().join("x");
        let mut sorter = ExternalSorter::new(&beside, memory_bytes);
        for &(one, other) in edges {
            sorter.push([one.max(other), one.min(other)]).unwrap();
        }
        let edges = sorter.finish().unwrap();
        let mut rows = centres(edges, &beside, memory_bytes, &Control::default()).unwrap();
        let mut found = Vec::new();
        while let Some(row) = rows.take().unwrap() {
            found.push(row);
        }
        found
    }

    proptest! {
        #[test]
        fn every_node_is_joined_to_the_first_of_its_component(
            edges in prop::collection::vec((0_u64..80, 0_u64..80), 0..90),
            memory_bytes in 1_usize..5_000,
        ) {
            let edges: Vec<_> = edges.into_iter().filter(|(one, other)| one != other).collect();
            let mut first: Vec<u64> = (0..80).collect();
            for _ in 0..80 {
                for &(one, other) in &edges {
                    let (one, other) = (usize::try_from(one).unwrap(), usize::try_from(other).unwrap());
                    let least = first[one].min(first[other]);
                    (first[one], first[other]) = (least, least);
                }
            }
            let expected: Vec<_> = (0..).zip(first).filter(|(node, first)| node != first)
                .map(|(node, first)| [node, first]).collect();
            prop_assert_eq!(found(&edges, memory_bytes), expected);
        }
    }

    #[test]
    fn a_long_chain_takes_few_rounds() {
        let chain: Vec<_> = (0..20_000).map(|node| (node, node + 1)).collect();
        let started = std::time::Instant::now();
        assert_eq!(found(&chain, 1 << 20), (1..=20_000).map(|node| [node, 0]).collect::<Vec<_>>());
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    }
}
