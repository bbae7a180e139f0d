//! Families of hash functions for signatures: bias, spread, recall and speed of each.
//!
//! `cargo bench --bench minhash_families -- FILE`: takes the shingles of the file's records and
//! prints one line of JSON. `benchmarks/minhash_families.py` runs it and draws the figure.
//!
//! *Speed*: the texts of the file are signed, words and shingles being made before. *Quality*:
//! pairs of sets of real shingles, drawn without repetition, of known similarity. The
//! permutations of each of [`SEEDS`] seeds estimate the same pairs, so that what is left as error
//! of the mean is the spread over seeds.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // a program of its own, for developers
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // small counts

mod families;
mod measure;

use std::collections::BTreeSet;
use std::path::Path;

use _rust_ext::minhash::shingle::each_block32;
use _rust_ext::minhash::words::Scanner;
use families::{FAMILIES, Family, Random, SLOTS, Slots};
use measure::{least_cpu_seconds, texts_of};
use serde_json::{Value, json};

/// Text of the file that is looked at.
const MOST_BYTES: usize = 40_000_000;
const RUNS: usize = 5;
const SEEDS: u64 = 24;
const PAIRS: usize = 800;
const BANDS: i32 = 14;
const ROWS: i32 = 8;

/// Elements of the union of a pair.
const SIZES: [(usize, usize); 4] = [(1, 8), (9, 30), (31, 111), (112, 400)];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let Some(input) = arguments.next() else {
        eprintln!("minhash_families: expected a file of records, found none; nothing measured");
        return;
    };
    let documents = shingles_of(Path::new(&input));
    let mut pool: Vec<u32> =
        documents.iter().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect();
    Random(1).shuffle(&mut pool);
    let results: Vec<Value> =
        FAMILIES.iter().map(|family| judge(family, &documents, &pool)).collect();
    let sizes: Vec<String> = SIZES.iter().map(|(least, most)| format!("{least}-{most}")).collect();
    println!(
        "{}",
        json!({
            "instructions": _rust_ext::simd::here().name(),
            "shingles": documents.iter().map(Vec::len).sum::<usize>(),
            "pairs": PAIRS, "seeds": SEEDS, "sizes": sizes, "families": results,
        })
    );
}

/// Returns the shingles of each record of a file, repetitions included.
fn shingles_of(path: &Path) -> Vec<Vec<u32>> {
    let (mut scanner, mut words) = (Scanner::new(), Vec::new());
    let texts = texts_of(path, MOST_BYTES);
    let shingles = texts.iter().map(|text| {
        words.clear();
        scanner.scan(text, &mut words);
        let mut shingles = Vec::new();
        each_block32(&words, 5, |block| shingles.extend_from_slice(block));
        shingles
    });
    shingles.filter(|shingles| !shingles.is_empty()).collect()
}

/// Two sets and their similarity; the union is `both`, then `left`, then `right`.
struct Pair<'a> {
    union: &'a [u32],
    both: usize,
    left: usize,
}

impl Pair<'_> {
    fn jaccard(&self) -> f64 {
        self.both as f64 / self.union.len() as f64
    }

    fn sets(&self) -> [Vec<u32>; 2] {
        let (both, rest) = self.union.split_at(self.both);
        let (left, right) = rest.split_at(self.left);
        [[both, left].concat(), [both, right].concat()]
    }
}

/// Draws pairs of all similarities, or, if `alike`, from 0.8 on.
fn pairs<'a>(
    pool: &'a [u32],
    size: (usize, usize),
    alike: bool,
    random: &mut Random,
) -> Vec<Pair<'a>> {
    let draw = |_| {
        let length = size.0 + random.below(size.1 - size.0 + 1);
        let least = if alike { (4 * length).div_ceil(5) } else { 0 };
        let both = least + random.below(length - least + 1);
        let left = random.below(length - both + 1);
        let start = random.below(pool.len() - length);
        Pair { union: &pool[start..start + length], both, left }
    };
    (0..PAIRS)
        .map(draw)
        .filter(|pair| pair.both + pair.left > 0 && pair.union.len() > pair.left)
        .collect()
}

fn judge(family: &Family, documents: &[Vec<u32>], pool: &[u32]) -> Value {
    let mut random = Random(7);
    let mut biases = vec![0.0; SEEDS as usize];
    let mut ratios = Vec::new();
    let mut recalls = Vec::new();
    for size in SIZES {
        let all = pairs(pool, size, false, &mut random);
        let alike = pairs(pool, size, true, &mut random);
        let (mut squares, mut expected) = (0.0, 0.0);
        let (mut found, mut theory) = (0.0, 0.0);
        for seed in 0..SEEDS {
            let sign = (family.begin)(1000 + seed);
            for pair in &all {
                let error = agreement(&signatures(&sign, pair)) - pair.jaccard();
                biases[seed as usize] += error / (PAIRS * SIZES.len()) as f64;
                squares += error * error;
                expected += pair.jaccard() * (1.0 - pair.jaccard()) / SLOTS as f64;
            }
            for pair in &alike {
                found += f64::from(u8::from(share_a_band(&signatures(&sign, pair))));
                theory += 1.0 - (1.0 - pair.jaccard().powi(ROWS)).powi(BANDS);
            }
        }
        ratios.push(squares / expected);
        recalls.push(found / theory);
    }
    let bias = biases.iter().sum::<f64>() / SEEDS as f64;
    let spread = biases.iter().map(|each| (each - bias).powi(2)).sum::<f64>();
    let standard_error = (spread / (SEEDS - 1) as f64 / SEEDS as f64).sqrt();
    let sign = (family.begin)(1);
    let mut slots = [0; SLOTS];
    let seconds = least_cpu_seconds(RUNS, || {
        for shingles in documents {
            sign(shingles, &mut slots);
            std::hint::black_box(&slots);
        }
    });
    let shingles: usize = documents.iter().map(Vec::len).sum();
    eprintln!("{}: {:.2} ns, bias {bias:.5}", family.name, seconds * 1e9 / shingles as f64);
    json!({
        "name": family.name, "nanoseconds_per_shingle": seconds * 1e9 / shingles as f64,
        "bias": bias, "bias_standard_error": standard_error,
        "mse_over_theory": ratios, "recall_over_theory": recalls,
    })
}

fn signatures(sign: &dyn Fn(&[u32], &mut Slots), pair: &Pair<'_>) -> [Slots; 2] {
    pair.sets().map(|set| {
        let mut slots = [0; SLOTS];
        sign(&set, &mut slots);
        slots
    })
}

fn agreement([left, right]: &[Slots; 2]) -> f64 {
    left.iter().zip(right).filter(|(left, right)| left == right).count() as f64 / SLOTS as f64
}

fn share_a_band([left, right]: &[Slots; 2]) -> bool {
    let rows = ROWS as usize;
    left.chunks(rows).zip(right.chunks(rows)).any(|(left, right)| left == right)
}
