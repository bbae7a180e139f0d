//! What the way from record files to `.bin/.idx` costs without the encoder, part by part.
//!
//! `cargo bench --bench around_the_encoder -- FILE [OUTPUT_DIRECTORY]`: CPU-seconds of the whole
//! process per byte of text, the least of five runs of each part. Each part holds those above it;
//! the stand-in for the encoder gives a quarter as many ids as the text has bytes. Last comes the
//! most memory that the process took.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // a program of its own, for developers

use std::path::{Path, PathBuf};

use _rust_ext::control::Control;
use _rust_ext::indexed::Dtype;
use _rust_ext::input::{Batch, Batches, InputFile, Scratch, Source, fields};
use _rust_ext::tokenize::{Options, Sink, tokenize_unit};

const RUNS: usize = 5;
const BATCH_BYTES: usize = 1 << 20;

/// What the stand-in hands on at a time.
static IDS: [u32; 1 << 12] = [7; 1 << 12];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let Some(input) = arguments.next().map(PathBuf::from) else {
        eprintln!("around_the_encoder: expected a file of records, found none; nothing measured");
        return;
    };
    let output = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let text_bytes = read_fields(&input);
    report("decompress", text_bytes, || decompress(&input));
    report("+ lines", text_bytes, || read_lines(&input));
    report("+ fields", text_bytes, || {
        read_fields(&input);
    });
    for (workers, dtype) in
        [(1, Dtype::Uint16), (1, Dtype::Int32), (2, Dtype::Uint16), (2, Dtype::Int32)]
    {
        let name = format!("+ all else, {} workers, {}", workers, dtype.name());
        report(&name, text_bytes, || tokenize(&input, &output, workers, dtype));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
}

fn report(name: &str, text_bytes: u64, run: impl Fn()) {
    let mut least = (f64::MAX, f64::MAX);
    for _ in 0..RUNS {
        let (started, cpu) = (std::time::Instant::now(), cpu_seconds());
        run();
        least.0 = least.0.min(cpu_seconds() - cpu);
        least.1 = least.1.min(started.elapsed().as_secs_f64());
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let per_byte = least.0 * 1e9 / text_bytes as f64;
    println!("{name:<32} {per_byte:5.2} ns/byte  {:5.2} CPU-s  {:5.2} s", least.0, least.1);
}

/// User and system time of this process, from the kernel's table of it, in ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let fields = after_name.split_ascii_whitespace().skip(11).take(2);
    fields.map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

fn decompress(path: &Path) {
    let mut source = Source::open(path).unwrap();
    let mut buffer = vec![0; BATCH_BYTES];
    while std::io::Read::read(&mut source, &mut buffer).unwrap() > 0 {}
}

fn each_batch(path: &Path, mut see: impl FnMut(&Batch)) {
    let mut batches = Batches::new(Source::open(path).unwrap(), BATCH_BYTES, 1 << 30);
    let mut recycled = Batch::default();
    while let Some(batch) = batches.next_batch(recycled).unwrap() {
        see(&batch);
        recycled = batch;
    }
}

fn read_lines(path: &Path) {
    each_batch(path, |batch| {
        std::hint::black_box(batch.lines.len());
    });
}

fn read_fields(path: &Path) -> u64 {
    let mut text_bytes = 0;
    let mut scratch = Scratch::default();
    each_batch(path, |batch| {
        for line in &batch.lines {
            let fields = fields::parse(batch, line, "text", &mut scratch);
            text_bytes += fields.map_or(0, |fields| fields.text.len() as u64);
        }
    });
    text_bytes
}

fn tokenize(input: &Path, output: &Path, workers: usize, dtype: Dtype) {
    let journal = tempfile::tempdir_in(output).unwrap();
    let options = Options {
        text_field: "text".into(),
        spans_field: None,
        chat: None,
        kinds: vec![],
        eod: Some(0),
        dtype,
        holdout: 0.005,
        shard_text_bytes: Some(1 << 28),
        journal: journal.path().to_path_buf(),
        unit: 0,
        workers,
        memory_bytes: 1 << 32,
    };
    let files = [InputFile { path: input.to_path_buf(), relative: "input".into() }];
    let begin = || {
        |text: &str, sink: &mut Sink<'_>| {
            text.as_bytes()
                .chunks(4 * IDS.len())
                .try_for_each(|piece| sink(&IDS[..piece.len() / 4]))
        }
    };
    tokenize_unit(&files, &options, begin, &Control::default()).unwrap();
}
