//! Signatures with the permutations of the Python package datasketch, slot by slot.
//!
//! Its permutations come from numpy's random generator; they are taken as arrays, never derived
//! again. Two schemes exist: `affine32`, the default since its version 2.0, and `legacy`, all
//! there was before.

use crate::{Error, Result};

const MERSENNE_PRIME: u64 = (1 << 61) - 1;

/// How datasketch permutes the hash of a shingle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `a * fmix32(x) + b`, all modulo 2^32.
    Affine32,
    /// `(a * x + b) mod (2^61 - 1)`, cut to 32 bits; the product wraps at 2^64, as in numpy.
    Legacy,
}

impl Scheme {
    /// Returns the scheme that datasketch calls by `name`.
    ///
    /// # Errors
    /// `Argument` when it is none of the two.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "affine32" => Ok(Self::Affine32),
            "legacy" => Ok(Self::Legacy),
            _ => Err(Error::Argument(format!(
                "expected a scheme of \"affine32\" or \"legacy\", got {name:?}"
            ))),
        }
    }
}

/// Writes the signature of a set, given as 32-bit hashes in 64-bit words, into `slots`.
///
/// `multipliers` and `offsets` are the two rows of `MinHash.permutations`, one of each for a slot.
///
/// # Errors
/// `Argument` when the lengths differ, or `affine32` is given a number above 32 bits.
pub fn sign(
    hashes: &[u64],
    multipliers: &[u64],
    offsets: &[u64],
    scheme: Scheme,
    slots: &mut [u32],
) -> Result<()> {
    if multipliers.len() != slots.len() || offsets.len() != slots.len() {
        return Err(Error::Argument(format!(
            "expected as many multipliers ({}) as offsets ({}) and slots ({})",
            multipliers.len(),
            offsets.len(),
            slots.len()
        )));
    }
    if scheme == Scheme::Affine32 {
        let all = hashes.iter().chain(multipliers).chain(offsets);
        if let Some(large) = all.copied().find(|&value| value > u64::from(u32::MAX)) {
            return Err(Error::Argument(format!(
                "expected hashes and permutations below 2^32 for scheme affine32, got {large}"
            )));
        }
    }
    slots.fill(u32::MAX);
    for &hash in hashes {
        let hash = if scheme == Scheme::Affine32 { finalise(low(hash)).into() } else { hash };
        for ((slot, &multiplier), &offset) in slots.iter_mut().zip(multipliers).zip(offsets) {
            let affine = multiplier.wrapping_mul(hash).wrapping_add(offset);
            *slot = (*slot).min(match scheme {
                Scheme::Affine32 => low(affine),
                Scheme::Legacy => low(affine % MERSENNE_PRIME),
            });
        }
    }
    Ok(())
}

#[allow(clippy::cast_possible_truncation)] // the lower half is what is asked for
fn low(value: u64) -> u32 {
    value as u32
}

/// The finaliser of `MurmurHash3`, Appleby (2011).
fn finalise(mut value: u32) -> u32 {
    value = (value ^ (value >> 16)).wrapping_mul(0x85eb_ca6b);
    value = (value ^ (value >> 13)).wrapping_mul(0xc2b2_ae35);
    value ^ (value >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unequal_lengths_and_large_numbers_are_refused() {
        let mut slots = [0; 2];
        let error = sign(&[1], &[1], &[1, 2], Scheme::Legacy, &mut slots).unwrap_err();
        assert!(error.to_string().contains("multipliers (1)"), "{error}");
        let error = sign(&[1 << 32], &[1, 3], &[1, 2], Scheme::Affine32, &mut slots).unwrap_err();
        assert!(error.to_string().contains("4294967296"), "{error}");
        assert!(Scheme::named("affine64").is_err());
    }

    #[test]
    fn legacy_wraps_before_the_modulus() {
        let mut slots = [0];
        sign(&[0xffff_ffff], &[(1 << 61) - 2], &[5], Scheme::Legacy, &mut slots).unwrap();
        let wrapped = 0xffff_ffff_u64.wrapping_mul((1 << 61) - 2).wrapping_add(5) % MERSENNE_PRIME;
        assert_eq!(u64::from(slots[0]), wrapped & 0xffff_ffff);
        sign(&[], &[1], &[1], Scheme::Legacy, &mut slots).unwrap();
        assert_eq!(slots, [u32::MAX]);
    }
}
