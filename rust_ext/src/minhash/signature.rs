//! Signatures: the smallest hash of a set under many hash functions.
//!
//! Two sets agree in a slot with a probability that is their Jaccard similarity, so the share of
//! slots in which they agree is an unbiased estimate of it.
//!
//! A slot's hash function is `a * x` modulo 2^32, `x` a shingle of 32 well-mixed bits and `a`
//! odd and random: one instruction for eight slots. With well-mixed `x` the estimates have neither
//! a bias nor a variance that differs from those of ideal permutations; adding an offset or
//! spending 64 bits was measured to buy nothing.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::shingle::{each_block32, mix_64};
use super::{Shape, minima};

/// What a slot holds when there was no shingle.
pub const EMPTY_SLOT: u32 = u32::MAX;

/// The hash functions of a signature's slots.
#[derive(Clone, Debug)]
pub struct Permutations {
    multipliers: Vec<u32>,
}

impl Permutations {
    /// Chooses `num_permutations` functions by `seed`.
    #[must_use]
    pub fn new(num_permutations: usize, seed: u64) -> Self {
        // splitmix64: a counter that goes round by the golden ratio, mixed.
        let mut state = mix_64(seed ^ 0x6a09_e667_f3bc_c908);
        let multipliers = (0..num_permutations)
            .map(|_| {
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                (mix_64(state) >> 32) as u32 | 1
            })
            .collect();
        Self { multipliers }
    }

    /// Returns the number of slots.
    #[must_use]
    pub fn num_permutations(&self) -> usize {
        self.multipliers.len()
    }

    /// Writes the signature of a text, given by the hashes of its words.
    ///
    /// A text without words has [`EMPTY_SLOT`] throughout.
    pub fn sign(&self, words: &[u32], ngram_size: usize, slots: &mut [u32]) {
        slots.fill(EMPTY_SLOT);
        each_block32(words, ngram_size, |shingles| self.lower(shingles, slots));
    }

    /// Lowers each slot to the smallest hash that any of the shingles gets there.
    ///
    /// Begin with [`EMPTY_SLOT`] throughout. Order and repetition of the shingles, and how they
    /// are divided among calls, do not change the result. Takes time in proportion to the number
    /// of shingles times that of slots.
    pub fn lower(&self, shingles: &[u32], slots: &mut [u32]) {
        minima::lower(shingles, &self.multipliers, slots);
    }
}

/// Appends the hash of every band of a signature, in order: 64 bits of its slots and its number.
///
/// What has no words has no bands: there is nothing that it could share.
pub fn band_hashes(slots: &[u32], shape: &Shape, bands: &mut Vec<u64>) {
    if slots.iter().all(|&slot| slot == EMPTY_SLOT) {
        return;
    }
    let mut bytes = Vec::with_capacity(4 * shape.rows_per_band);
    bands.extend((0..).zip(slots.chunks_exact(shape.rows_per_band)).map(|(number, band)| {
        bytes.clear();
        bytes.extend(band.iter().flat_map(|slot| slot.to_le_bytes()));
        xxh3_64_with_seed(&bytes, number)
    }));
}

/// Returns the share of slots in which two signatures agree: an estimate of the similarity.
#[must_use]
#[allow(clippy::cast_precision_loss)] // far fewer than 2^53 slots
pub fn estimate(left: &[u32], right: &[u32]) -> f64 {
    let equal = left.iter().zip(right).filter(|(a, b)| a == b).count();
    equal as f64 / left.len().max(1) as f64
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss)] // small counts
mod tests {
    use super::*;

    fn sign(shingles: &[u32], permutations: &Permutations) -> Vec<u32> {
        let mut slots = vec![EMPTY_SLOT; permutations.num_permutations()];
        permutations.lower(shingles, &mut slots);
        slots
    }

    fn hashes(from: u64, count: u64) -> Vec<u32> {
        let mixed = |value| (mix_64(value ^ 0x51_7c_c1_b7) >> 32) as u32;
        (from..from + count).map(mixed).collect()
    }

    #[test]
    fn signatures_are_the_minima_of_their_definition() {
        for (num_permutations, count) in [(1, 9), (7, 1), (112, 1003), (113, 4), (256, 0)] {
            let permutations = Permutations::new(num_permutations, 7);
            let shingles = hashes(1, count);
            let expected: Vec<u32> = permutations
                .multipliers
                .iter()
                .map(|&multiplier| {
                    let hash = |&x: &u32| x.wrapping_mul(multiplier);
                    shingles.iter().map(hash).min().unwrap_or(EMPTY_SLOT)
                })
                .collect();
            assert_eq!(sign(&shingles, &permutations), expected);
        }
    }

    #[test]
    fn order_repetition_and_division_change_nothing() {
        let permutations = Permutations::new(112, 1);
        let shingles = hashes(0, 777);
        let mut other: Vec<u32> = shingles.iter().rev().chain(&shingles[..50]).copied().collect();
        other.rotate_left(13);
        let mut parts = vec![EMPTY_SLOT; 112];
        for part in other.chunks(10) {
            permutations.lower(part, &mut parts);
        }
        assert_eq!(parts, sign(&shingles, &permutations));
        assert_ne!(parts, sign(&shingles, &Permutations::new(112, 2)));
    }

    /// 400 independent pairs for each similarity: the mean error must vanish within four of its
    /// standard errors, and the spread must be that of 112 ideal slots.
    #[test]
    fn estimates_are_unbiased_and_as_precise_as_theory() {
        for (set, common) in [(40_u64, 32_u64), (120, 30), (300, 150), (300, 270), (1500, 900)] {
            let jaccard = common as f64 / (2 * set - common) as f64;
            let errors: Vec<f64> = (0..400_u64)
                .map(|pair| {
                    let permutations = Permutations::new(112, 1000 + pair);
                    let start = pair * 10_000;
                    let left = sign(&hashes(start, set), &permutations);
                    let right = sign(&hashes(start + set - common, set), &permutations);
                    estimate(&left, &right) - jaccard
                })
                .collect();
            let mean = errors.iter().sum::<f64>() / 400.0;
            let variance = errors.iter().map(|error| error * error).sum::<f64>() / 400.0;
            let expected = jaccard * (1.0 - jaccard) / 112.0;
            let standard_error = (expected / 400.0).sqrt();
            assert!(mean.abs() < 4.0 * standard_error, "J {jaccard}: mean error {mean}");
            // The variance of 400 squares has a relative standard error of about 0.07.
            assert!((0.75..1.3).contains(&(variance / expected)), "J {jaccard}: {variance}");
        }
    }
}
