//! Which of the instructions that the crate has code for the machine has, asked in one place.
//!
//! `HEPHAESTUS_FORGE_SIMD` set to `avx2` or `portable` lowers the answer, so that the slower code
//! can be measured and tested anywhere. Whatever it is, results are the same, bit by bit.

use std::sync::LazyLock;

use crate::{Error, Result};

/// The variable that lowers the answer.
const VARIABLE: &str = "HEPHAESTUS_FORGE_SIMD";

/// Instructions, each level with those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every machine has.
    Portable,
    /// AVX2 and the bit manipulations that came with it.
    Avx2,
    /// AVX-512 with its byte permutations (F, BW, VL, DQ, VBMI, VBMI2), as since Ice Lake and Zen 4.
    Avx512,
}

impl Level {
    /// All of them, the lowest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// Returns the name of the level.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Returns all levels that may be used here.
    pub fn all_here() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|&level| level <= here())
    }
}

/// Returns the highest level that the machine has and the environment allows.
#[inline]
#[must_use]
pub fn here() -> Level {
    static HERE: LazyLock<Level> =
        LazyLock::new(|| detect().min(allowed().unwrap_or(Level::Avx512)));
    *HERE
}

/// Checks that the environment names a level, if it names any.
///
/// # Errors
/// `Argument` naming what it says instead.
pub fn check() -> Result<()> {
    allowed().map(drop)
}

fn allowed() -> Result<Level> {
    let Some(name) = std::env::var_os(VARIABLE) else { return Ok(Level::Avx512) };
    Level::ALL.into_iter().find(|level| name == level.name()).ok_or_else(|| {
        Error::Argument(format!(
            "expected {VARIABLE} to be avx512, avx2 or portable, got {}; correct or unset it",
            name.display()
        ))
    })
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    use std::arch::is_x86_feature_detected as has;
    let bits = has!("bmi1") && has!("bmi2") && has!("lzcnt") && has!("popcnt");
    let wide = has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512dq");
    let bytes = has!("avx512vbmi") && has!("avx512vbmi2");
    match has!("avx2") && bits {
        true if wide && bytes => Level::Avx512,
        true => Level::Avx2,
        false => Level::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Portable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_and_levels_ascend() {
        assert!(Level::ALL.is_sorted());
        assert_eq!(Level::ALL.map(Level::name), ["portable", "avx2", "avx512"]);
        assert_eq!(Level::all_here().next(), Some(Level::Portable));
    }
}
