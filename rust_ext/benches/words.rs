//! How fast texts become words, shingles and signatures, by script and by instructions.
//!
//! `cargo bench --bench words -- FILE`: MB of text per CPU-second, the least of several runs. The
//! scripts are those documents of the file of which more than a third is written in them.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // a program of its own, for developers

mod measure;

use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;

use _rust_ext::minhash::shingle::{each_block32, list64};
use _rust_ext::minhash::signature::Permutations;
use _rust_ext::minhash::words::Scanner;
use _rust_ext::simd::{self, Level};
use measure::{least_cpu_seconds, texts_of};

const RUNS: usize = 5;
/// Most text of the file that is looked at, and how much is read in a run at least.
const MOST_BYTES: usize = 100_000_000;
const RUN_BYTES: usize = 50_000_000;
const NGRAM_SIZE: usize = 5;
const SLOTS: usize = 112;

/// Set where a process measures the one level that it was started for.
const IS_CHILD: &str = "WORDS_BENCH_CHILD";

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let Some(input) = arguments.first().map(PathBuf::from) else {
        eprintln!("words: expected a file of records, found none; nothing measured");
        return;
    };
    if std::env::var_os(IS_CHILD).is_some() {
        measure_here(&input);
        return;
    }
    println!("level     script         MB  B/word   words  +shingles  +minima  64-bit   MB/CPU-s");
    for level in Level::all_here().collect::<Vec<_>>().into_iter().rev() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.arg(&input).env(IS_CHILD, "1").env("HEPHAESTUS_FORGE_SIMD", level.name());
        assert!(child.status().unwrap().success());
    }
}

fn measure_here(input: &std::path::Path) {
    let texts = texts_of(input, MOST_BYTES);
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    measure_script("all", &all);
    let scripts = [
        ("Chinese", '\u{3040}'..='\u{9fff}'),
        ("Thai", '\u{e00}'..='\u{e7f}'),
        ("Cyrillic", '\u{400}'..='\u{4ff}'),
    ];
    for (script, range) in scripts {
        let is_written = |text: &&&str| {
            let inside = text.chars().filter(|character| range.contains(character)).count();
            3 * inside > text.chars().count()
        };
        let found: Vec<&str> = all.iter().filter(is_written).copied().collect();
        if !found.is_empty() {
            measure_script(script, &found);
        }
    }
}

/// Prints a line of the table.
fn measure_script(name: &str, texts: &[&str]) {
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let passes = RUN_BYTES.div_ceil(bytes);
    let (mut scanner, mut words) = (Scanner::new(), Vec::new());
    let mut num_words = 0;
    let mut rate = |see: &mut dyn FnMut(&[u32])| {
        let seconds = least_cpu_seconds(RUNS, || {
            for _ in 0..passes {
                num_words = 0;
                for text in texts {
                    words.clear();
                    scanner.scan(text, &mut words);
                    num_words += words.len();
                    see(black_box(&words));
                }
            }
        });
        megabytes(bytes * passes) / seconds
    };
    let found = rate(&mut |_| {});
    let combined = rate(&mut |words| {
        each_block32(words, NGRAM_SIZE, |shingles| {
            black_box(shingles);
        });
    });
    let permutations = Permutations::new(SLOTS, 1);
    let mut slots = [0; SLOTS];
    let signed = rate(&mut |words| {
        permutations.sign(words, NGRAM_SIZE, &mut slots);
        black_box(&slots);
    });
    let mut list = Vec::new();
    let listed = rate(&mut |words| {
        list.clear();
        list64(words, NGRAM_SIZE, &mut list);
        black_box(&list);
    });
    println!(
        "{:<9} {name:<9} {:7.2} {:7.2} {found:7.0} {combined:10.0} {signed:8.0} {listed:7.0}",
        simd::here().name(),
        megabytes(bytes),
        megabytes(bytes) / megabytes(num_words),
    );
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
