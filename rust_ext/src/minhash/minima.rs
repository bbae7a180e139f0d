//! The smallest multiple of any shingle, for every multiplier: where signing spends its time.
//!
//! The smallest so far stay in registers, as many as there are: 7 vectors beside the 7 of the
//! multipliers, which for the usual 112 slots is all of them with AVX-512 and half with AVX2.

use crate::simd::{self, Level};

/// Lowers each slot to the smallest product, modulo 2^32, of its multiplier and any shingle.
pub(super) fn lower(shingles: &[u32], multipliers: &[u32], slots: &mut [u32]) {
    lower_by(simd::here(), shingles, multipliers, slots);
}

#[allow(unsafe_code)]
fn lower_by(level: Level, shingles: &[u32], multipliers: &[u32], slots: &mut [u32]) {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the machine is of that level.
        Level::Avx512 => unsafe { vectors::lower_avx512(shingles, multipliers, slots) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx2 => unsafe { vectors::lower_avx2(shingles, multipliers, slots) },
        _ => lower_portable(shingles, multipliers, slots),
    }
}

/// The loop for any machine. Four shingles share one pass over the slots, so that loads and
/// stores do not outweigh the multiplications.
#[inline(always)]
fn lower_portable(shingles: &[u32], multipliers: &[u32], slots: &mut [u32]) {
    let (fours, rest) = shingles.as_chunks::<4>();
    for &[a, b, c, d] in fours {
        for (slot, &multiplier) in slots.iter_mut().zip(multipliers) {
            let first = a.wrapping_mul(multiplier).min(b.wrapping_mul(multiplier));
            let second = c.wrapping_mul(multiplier).min(d.wrapping_mul(multiplier));
            *slot = (*slot).min(first.min(second));
        }
    }
    for &shingle in rest {
        for (slot, &multiplier) in slots.iter_mut().zip(multipliers) {
            *slot = (*slot).min(shingle.wrapping_mul(multiplier));
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[allow(clippy::cast_ptr_alignment)] // loads and stores that need none
mod vectors {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_loadu_si256, _mm256_min_epu32, _mm256_mullo_epi32,
        _mm256_set1_epi32, _mm256_setzero_si256, _mm256_storeu_si256, _mm512_loadu_si512,
        _mm512_min_epu32, _mm512_mullo_epi32, _mm512_set1_epi32, _mm512_setzero_si512,
        _mm512_storeu_si512,
    };

    use super::lower_portable;

    /// Vectors of slots that are lowered together.
    const AT_ONCE: usize = 7;

    /// Defines the loop for vectors of so many slots.
    macro_rules! lower {
        ($lower:ident, $lower_vectors:ident, $features:literal, $lanes:literal, $vector:ty,
         $zero:ident, $load:ident, $store:ident, $set:ident, $multiply:ident, $least:ident) => {
            #[target_feature(enable = $features)]
            pub(super) fn $lower(shingles: &[u32], multipliers: &[u32], slots: &mut [u32]) {
                let (vectors, rest) = slots.as_chunks_mut::<$lanes>();
                let (multiplier_vectors, multiplier_rest) = multipliers.as_chunks::<$lanes>();
                let groups = vectors.chunks_mut(AT_ONCE).zip(multiplier_vectors.chunks(AT_ONCE));
                for (slots, multipliers) in groups {
                    match slots.len() {
                        1 => $lower_vectors::<1>(shingles, multipliers, slots),
                        2 => $lower_vectors::<2>(shingles, multipliers, slots),
                        3 => $lower_vectors::<3>(shingles, multipliers, slots),
                        4 => $lower_vectors::<4>(shingles, multipliers, slots),
                        5 => $lower_vectors::<5>(shingles, multipliers, slots),
                        6 => $lower_vectors::<6>(shingles, multipliers, slots),
                        _ => $lower_vectors::<7>(shingles, multipliers, slots),
                    }
                }
                lower_portable(shingles, multiplier_rest, rest);
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn $lower_vectors<const NUM: usize>(
                shingles: &[u32],
                multipliers: &[[u32; $lanes]],
                slots: &mut [[u32; $lanes]],
            ) {
                // SAFETY: the vectors are as long as the arrays.
                let load = |from: &[u32; $lanes]| unsafe { $load(from.as_ptr().cast::<$vector>()) };
                let mut factors = [$zero(); NUM];
                let mut least = [$zero(); NUM];
                for at in 0..NUM {
                    (factors[at], least[at]) = (load(&multipliers[at]), load(&slots[at]));
                }
                for shingle in shingles {
                    let shingle = $set(shingle.cast_signed());
                    for at in 0..NUM {
                        least[at] = $least(least[at], $multiply(shingle, factors[at]));
                    }
                }
                for at in 0..NUM {
                    // SAFETY: the vectors are as long as the arrays.
                    unsafe { $store(slots[at].as_mut_ptr().cast::<$vector>(), least[at]) };
                }
            }
        };
    }

    lower!(
        lower_avx512,
        lower_vectors_avx512,
        "avx512f",
        16,
        __m512i,
        _mm512_setzero_si512,
        _mm512_loadu_si512,
        _mm512_storeu_si512,
        _mm512_set1_epi32,
        _mm512_mullo_epi32,
        _mm512_min_epu32
    );
    lower!(
        lower_avx2,
        lower_vectors_avx2,
        "avx2",
        8,
        __m256i,
        _mm256_setzero_si256,
        _mm256_loadu_si256,
        _mm256_storeu_si256,
        _mm256_set1_epi32,
        _mm256_mullo_epi32,
        _mm256_min_epu32
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_machine_finds_the_smallest_products(
            shingles in prop::collection::vec(any::<u32>(), 0..70),
            multipliers in prop::collection::vec(any::<u32>(), 0..300),
        ) {
            let smallest = |multiplier: &u32| {
                let products = shingles.iter().map(|shingle| shingle.wrapping_mul(*multiplier));
                products.min().unwrap_or(u32::MAX)
            };
            let expected: Vec<u32> = multipliers.iter().map(smallest).collect();
            for level in Level::all_here() {
                let mut slots = vec![u32::MAX; multipliers.len()];
                lower_by(level, &shingles, &multipliers, &mut slots);
                prop_assert_eq!(&slots, &expected, "{:?}", level);
            }
        }
    }
}
