//! The families: how a set of shingles becomes 112 slots.
//!
//! Those with a function for each slot share one loop, which the compiler makes vectors of; the
//! product's own is called as it is. The others are plain code.

use _rust_ext::minhash::signature::{EMPTY_SLOT, Permutations};
use _rust_ext::simd::{self, Level};

/// Slots of a signature.
pub(crate) const SLOTS: usize = 112;

/// A signature.
pub(crate) type Slots = [u32; SLOTS];

/// What signs a set, its shingles in any order, with repetitions.
type Sign = Box<dyn Fn(&[u32], &mut Slots)>;

/// A way to sign sets.
pub(crate) struct Family {
    pub(crate) name: &'static str,
    /// Chooses the functions by a seed.
    pub(crate) begin: fn(u64) -> Sign,
}

/// All of them, the product's first.
pub(crate) const FAMILIES: [Family; 12] = [
    Family { name: "a*x, the product's", begin: product },
    Family { name: "a*x", begin: multiply },
    Family { name: "a*x + b", begin: multiply_add },
    Family { name: "(x^b)*a", begin: xor_multiply },
    Family { name: "x^b", begin: xor },
    Family { name: "rol(x)^b", begin: rotate_xor },
    Family { name: "a*x, 64 bit", begin: multiply_64 },
    Family { name: "circulant x + i*c", begin: circulant },
    Family { name: "mixed per slot", begin: mixed },
    Family { name: "one permutation, optimal", begin: one_permutation_optimal },
    Family { name: "one permutation, fast", begin: one_permutation_fast },
    Family { name: "SuperMinHash", begin: super_min_hash },
];

/// splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix_64(self.0)
    }

    /// Returns a number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        below(self.next(), limit)
    }

    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for at in (1..values.len()).rev() {
            values.swap(at, self.below(at + 1));
        }
    }

    fn slots(seed: u64) -> Slots {
        let mut random = Self(mix_64(seed));
        std::array::from_fn(|_| high(random.next()))
    }

    fn odd(seed: u64) -> Slots {
        Self::slots(seed).map(|value| value | 1)
    }
}

fn below(random: u64, limit: usize) -> usize {
    usize::try_from((u128::from(random) * limit as u128) >> 64).unwrap()
}

fn high(value: u64) -> u32 {
    (value >> 32) as u32
}

fn mix_64(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn mix_32(mut value: u32) -> u32 {
    value = (value ^ (value >> 16)).wrapping_mul(0x7feb_352d);
    value = (value ^ (value >> 15)).wrapping_mul(0x846c_a68b);
    value ^ (value >> 16)
}

/// Lowers each slot to the smallest value of its function, four shingles in one pass.
#[inline(always)]
fn minima<T: Copy + Ord>(
    shingles: &[u32],
    slots: &mut [T; SLOTS],
    value: impl Fn(u32, usize) -> T,
) {
    let (fours, rest) = shingles.as_chunks::<4>();
    for &[a, b, c, d] in fours {
        for (at, slot) in slots.iter_mut().enumerate() {
            let first = value(a, at).min(value(b, at));
            let second = value(c, at).min(value(d, at));
            *slot = (*slot).min(first.min(second));
        }
    }
    for &shingle in rest {
        for (at, slot) in slots.iter_mut().enumerate() {
            *slot = (*slot).min(value(shingle, at));
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
fn each_slot<T: Copy + Ord>(
    shingles: &[u32],
    slots: &mut [T; SLOTS],
    value: impl Fn(u32, usize) -> T,
) {
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn avx512<T: Copy + Ord>(s: &[u32], slots: &mut [T; SLOTS], value: impl Fn(u32, usize) -> T) {
        minima(s, slots, value);
    }
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn avx2<T: Copy + Ord>(s: &[u32], slots: &mut [T; SLOTS], value: impl Fn(u32, usize) -> T) {
        minima(s, slots, value);
    }
    match simd::here() {
        // SAFETY: the machine is of that level.
        Level::Avx512 => unsafe { avx512(shingles, slots, value) },
        // SAFETY: as above.
        Level::Avx2 => unsafe { avx2(shingles, slots, value) },
        Level::Portable => minima(shingles, slots, value),
    }
}

#[cfg(not(target_arch = "x86_64"))]
use minima as each_slot;

/// A family whose slots have a function of 32 bits each.
fn slotwise(value: impl Fn(u32, usize) -> u32 + Copy + 'static) -> Sign {
    Box::new(move |shingles, slots| {
        slots.fill(EMPTY_SLOT);
        each_slot(shingles, slots, value);
    })
}

fn product(seed: u64) -> Sign {
    let permutations = Permutations::new(SLOTS, seed);
    Box::new(move |shingles, slots| {
        slots.fill(EMPTY_SLOT);
        permutations.lower(shingles, slots);
    })
}

fn multiply(seed: u64) -> Sign {
    let a = Random::odd(seed);
    slotwise(move |x, at| x.wrapping_mul(a[at]))
}

fn multiply_add(seed: u64) -> Sign {
    let (a, b) = (Random::odd(seed), Random::slots(!seed));
    slotwise(move |x, at| x.wrapping_mul(a[at]).wrapping_add(b[at]))
}

fn xor_multiply(seed: u64) -> Sign {
    let (a, b) = (Random::odd(seed), Random::slots(!seed));
    slotwise(move |x, at| (x ^ b[at]).wrapping_mul(a[at]))
}

fn xor(seed: u64) -> Sign {
    let b = Random::slots(seed);
    slotwise(move |x, at| x ^ b[at])
}

fn rotate_xor(seed: u64) -> Sign {
    let (r, b) = (Random::slots(seed), Random::slots(!seed));
    slotwise(move |x, at| x.rotate_left(r[at] & 31) ^ b[at])
}

/// The upper halves of the smallest values.
fn multiply_64(seed: u64) -> Sign {
    let mut random = Random(mix_64(seed));
    let a: [u64; SLOTS] = std::array::from_fn(|_| random.next() | 1);
    Box::new(move |shingles, slots| {
        let mut wide = [u64::MAX; SLOTS];
        each_slot(shingles, &mut wide, |x, at| {
            u64::from(x).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_mul(a[at])
        });
        *slots = wide.map(high);
    })
}

/// The cheap form of C-MinHash: one permutation, shifted from slot to slot.
fn circulant(seed: u64) -> Sign {
    let [c, b] = [Random::odd(seed)[0], Random::slots(seed)[1]];
    let shifts: Slots = std::array::from_fn(|at| b.wrapping_add(c.wrapping_mul(at as u32)));
    slotwise(move |x, at| x.wrapping_add(shifts[at]))
}

/// As good as it gets with independent slots.
fn mixed(seed: u64) -> Sign {
    let b = Random::slots(seed);
    slotwise(move |x, at| mix_32(x ^ b[at]))
}

/// A shingle counts in one slot only.
fn one_permutation(seed: u64, shingles: &[u32], slots: &mut Slots) {
    let (a, b) = (Random::odd(seed)[0], Random::slots(seed)[1]);
    slots.fill(EMPTY_SLOT);
    for &shingle in shingles {
        let x = mix_32(shingle ^ b);
        let slot = &mut slots[((u64::from(x) * SLOTS as u64) >> 32) as usize];
        *slot = (*slot).min(x.wrapping_mul(a));
    }
}

/// An empty slot asks others, drawn by its number, until one is not empty (Shrivastava, 2017).
fn one_permutation_optimal(seed: u64) -> Sign {
    Box::new(move |shingles, slots| {
        one_permutation(seed, shingles, slots);
        let filled = *slots;
        if filled == [EMPTY_SLOT; SLOTS] {
            return;
        }
        for (at, slot) in slots.iter_mut().enumerate().filter(|(_, slot)| **slot == EMPTY_SLOT) {
            let mut random = Random(mix_64(seed) ^ (at as u64) << 32);
            *slot = loop {
                let other = filled[random.below(SLOTS)];
                if other != EMPTY_SLOT {
                    break other;
                }
            };
        }
    })
}

/// Full slots throw copies at others, round by round, until none is empty (Mai et al., 2020).
fn one_permutation_fast(seed: u64) -> Sign {
    Box::new(move |shingles, slots| {
        one_permutation(seed, shingles, slots);
        let filled = *slots;
        let mut empty = filled.iter().filter(|&&slot| slot == EMPTY_SLOT).count();
        if empty == SLOTS {
            return;
        }
        for round in 0.. {
            for (at, &slot) in filled.iter().enumerate().filter(|(_, slot)| **slot != EMPTY_SLOT) {
                let to = below(mix_64(seed ^ (at as u64) << 32 ^ (round + 1_u64) << 48), SLOTS);
                if slots[to] == EMPTY_SLOT {
                    slots[to] = slot;
                    empty -= 1;
                }
            }
            if empty == 0 {
                return;
            }
        }
    })
}

/// Each shingle gives every slot a value, another order of 0, 1, 2 ... and a fraction (Ertl, 2017).
fn super_min_hash(seed: u64) -> Sign {
    Box::new(move |shingles, slots| {
        let mut values = [u64::MAX; SLOTS];
        let mut levels = [0_usize; SLOTS];
        levels[SLOTS - 1] = SLOTS;
        let mut highest = SLOTS - 1;
        let (mut order, mut moved) = ([0_usize; SLOTS], [usize::MAX; SLOTS]);
        for (number, &shingle) in shingles.iter().enumerate() {
            let mut random = Random(mix_64(seed ^ u64::from(shingle) << 16));
            let mut level = 0;
            while level <= highest {
                let fraction = random.next() >> 32;
                let other = level + below(random.next(), SLOTS - level);
                for at in [level, other] {
                    if moved[at] != number {
                        (moved[at], order[at]) = (number, at);
                    }
                }
                order.swap(level, other);
                let value = (level as u64) << 32 | fraction;
                let slot = order[level];
                if value < values[slot] {
                    let before = ((values[slot] >> 32) as usize).min(SLOTS - 1);
                    values[slot] = value;
                    if level < before {
                        levels[before] -= 1;
                        levels[level] += 1;
                        while levels[highest] == 0 {
                            highest -= 1;
                        }
                    }
                }
                level += 1;
            }
        }
        *slots = values.map(|value| mix_64(value) as u32);
    })
}
